//! The daemon: ties the engine, the kernel backend, the configuration and the control socket together.
//!
//! | module | noun |
//! |---|---|
//! | `cli` | the command line |
//! | `check` | `--check`: reading a configuration file and saying what is wrong with it |
//! | `keeper` | the process that replaces a worker which died |
//! | `restarts`, `occasion` | how often it did, and why; why a worker goes on where another one was |
//! | `signals`, `word` | what the keeper hears, from others and from its worker |
//! | `trial`, `standby`, `upgrade` | another program on trial, its process, and the worker that makes way for it |
//! | `passage` | what a keeper passes on when it becomes another program |
//! | `notify`, `summary` | the service manager, and what it is told |
//! | `runtime_dir` | the directory that belongs to one daemon, and the lock that keeps others out |
//! | `state_dir` | the directory for what is to outlive the daemon |
//! | `daemon` | start, signals, reload, stop |
//! | `office` | where events become log lines, history and news for subscribers |
//! | `annals` | the history on disk, for those who look back further |
//! | `wear` | how much may be written to the disk |
//! | `past` | what happened, for those who ask |
//! | `chronicle` | the history, for the process that comes after this one |
//! | `control` | the control sockets: which handler answers which request |
//! | `services` | what the handlers need |
//! | `caller`, `access` | who asks, and who may |
//! | `answers`, `places` | the way back to a client, and how many there may be |
//! | `operate`, `standing` | orders of operators, and those that outlive the daemon |
//! | `agent`, `mail` | the process that runs hooks, and what comes from the engine for the office and for it |
//! | `hooks`, `hook_answers` | hooks in the words of that process, and for those who ask |
//! | `life` | since when the daemon runs, and with what |
//! | `configuration` | the configuration that runs: how it is replaced, and how that is taken back |
//! | `ledger`, `archive` | which configurations were applied, and their texts |
//! | `changes`, `change_report` | requests to change it, and what is answered |
//! | `report` | the engine's state in the words of the control socket |
//! | `interfaces` | the interfaces, for those who ask |
//! | `running` | the configuration that runs, for those who ask |
//! | `thrift` | when memory is given back |
#![forbid(unsafe_code)]

mod access;
mod agent;
mod annals;
mod answers;
mod archive;
mod caller;
mod change_report;
mod changes;
mod check;
mod chronicle;
mod cli;
mod configuration;
mod control;
mod daemon;
mod explain;
mod foresight;
mod hook_answers;
mod hooks;
mod interfaces;
mod keeper;
mod ledger;
mod life;
mod log;
mod mail;
mod notify;
mod occasion;
mod office;
mod operate;
mod passage;
mod past;
mod peers;
mod places;
mod report;
mod restarts;
mod running;
mod runtime_dir;
mod services;
mod signals;
mod span;
mod standby;
mod standing;
mod state_dir;
mod summary;
mod thrift;
mod trackers;
mod trial;
mod upgrade;
mod wear;
mod what_if;
mod word;

use std::process::ExitCode;

use clap::Parser;
use vrrp_config::LoadError;

fn main() -> ExitCode {
    if keeper::is_asked_for(std::env::args_os()) {
        return keep();
    }
    let arguments = cli::Arguments::parse();
    if let Some(file) = arguments.file_to_check() {
        return check::run(&file, arguments.agent.as_deref());
    }
    let Some(keeper) = arguments.worker else {
        return keep();
    };
    log::start(arguments.log_format);
    daemon::run(&arguments, keeper).unwrap_or_else(|error| fail(&error))
}

fn keep() -> ExitCode {
    keeper::run().unwrap_or_else(|error| {
        log::start(cli::Arguments::parse().log_format);
        fail(&error)
    })
}

fn fail(error: &daemon::RunError) -> ExitCode {
    if let daemon::RunError::Load(LoadError::Wrong(wrong)) = error {
        wrong
            .lines()
            .iter()
            .for_each(|line| tracing::error!("{line}"));
    } else {
        tracing::error!("{}", log::chain(error));
    }
    ExitCode::from(error.exit_code())
}
