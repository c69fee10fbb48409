//! `vrrpctl`: asks a running vrrpd what stands, and shows the answer.
//!
//! ```text
//!   arguments --> cli --> Client --> Answer --> status | show | events --> Page --> standard output
//!                            |
//!                            +--> Failure: a sentence on standard error, an exit code, and nothing else
//! ```
//!
//! It keeps no state of its own: what is printed was said by the daemon in this very call. A daemon that does not
//! answer is a failure, never an old answer.
#![forbid(unsafe_code)]

mod bfd;
mod capture;
mod carp;
mod check;
mod cli;
mod client;
mod configurations;
mod counter;
mod decode;
mod difference;
mod doctor;
mod ear;
mod events;
mod explain;
mod failure;
mod frame;
mod groups;
mod hook;
mod interfaces;
mod interrupt;
mod json;
mod moment;
mod operate;
mod page;
mod pcapng;
mod peers;
mod plain;
mod ports;
mod problems;
mod prose;
mod reload;
mod running;
mod schema;
mod show;
mod stats;
mod status;
mod table;
mod top;
mod trace;
mod tracker;
mod trackers;
mod upgrade;
mod verdict;
mod watch;
mod what_if;

#[cfg(test)]
mod testing;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Arguments, Command};
use crate::client::Client;
use crate::events::Wanted;
use crate::failure::{Failure, USAGE};
use crate::page::Page;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, not errors; a reader that has gone away changes neither.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.socket);
    let mut page = Page::open(arguments);
    let whole = Command::Status {
        name: None,
        problems: false,
        watch: false,
    };
    match arguments.command.as_ref().unwrap_or(&whole) {
        Command::Status {
            name,
            problems: true,
            ..
        } => problems::run(&client, &mut page, name.as_deref()),
        Command::Status {
            name, watch: true, ..
        } => watch::run(&client, &mut page, name.as_deref()),
        Command::Status { name, .. } => status::run(&client, &mut page, name.as_deref()),
        Command::Show { what, name } => {
            show::dispatch(&client, &mut page, what.as_ref(), name.as_deref())
        }
        Command::Events {
            follow,
            number,
            since,
            router,
        } => {
            let wanted = Wanted {
                number: *number,
                since: *since,
                router: router.as_deref(),
            };
            events::run(&client, &mut page, *follow, wanted)
        }
        Command::Explain { what } => explain::run(&client, &mut page, what),
        Command::WhatIf(supposed) => what_if::run(&client, &mut page, supposed),
        Command::Operate(verb) => operate::run(&client, &mut page, verb),
        Command::Top { plain } => top::run(&client, &mut page, *plain),
        Command::Check { file, peer } => check::run(&mut page, file, peer.as_deref()),
        Command::Decode { file, config } => decode::run(&mut page, file, config.as_deref()),
        Command::Capture {
            interfaces,
            count,
            write,
            span,
            config,
            no_promiscuous,
        } => {
            let wanted = capture::Wanted {
                interfaces,
                count: *count,
                write: write.as_deref(),
                span: *span,
                config: config.as_deref(),
                modest: *no_promiscuous,
            };
            capture::run(&client, &mut page, &wanted)
        }
        Command::Doctor { name, span } => doctor::run(
            &client,
            &arguments.socket,
            &mut page,
            name.as_deref(),
            *span,
        ),
        Command::Reload { how } => reload::run(&client, &mut page, reload::What::Reload, how),
        Command::Rollback { number, how } => {
            reload::run(&client, &mut page, reload::What::Rollback(*number), how)
        }
        Command::Confirm => reload::confirm(&client, &mut page),
        Command::Config { wanted } => configurations::run(&client, &mut page, wanted),
        Command::Hook { wanted } => hook::run(&client, &mut page, wanted),
        Command::Tracker { wanted } => tracker::run(&client, &mut page, wanted),
        Command::Upgrade { program, wait } => {
            upgrade::run(&client, &mut page, program.as_deref(), *wait)
        }
        Command::Schema { document } => schema::run(&mut page, document.as_deref()),
        Command::Completions { shell } => cli::completions(*shell, &mut page),
    }
}
