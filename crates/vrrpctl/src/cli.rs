//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::page::Page;

/// What the options are called that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Where the daemon listens unless told otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/vrrpd/vrrpd.sock";

/// The daemon's configuration unless told otherwise.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/vrrpd/vrrpd.toml";

/// Asks vrrpd what stands: which router is Active, since when, and what is wrong.
///
/// Without a command it shows the status of all virtual routers.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Exit codes: 0 done, 1 refused or something is wrong, 2 bad input such as a router that does not exist, \
3 the daemon does not answer, 4 timed out, 64 wrong usage.

Examples:
  vrrpctl                          all virtual routers, one line each
  vrrpctl show lan4                everything about one
  vrrpctl show peers               who else speaks, and how regularly
  vrrpctl show trackers            what is watched beside, and how it stands
  vrrpctl explain lan4             why it is in its state, and what would change that
  vrrpctl what-if --link-down eth0 what would happen then; nothing changes
  vrrpctl reload --dry-run         what would change if the file were loaded again
  vrrpctl events -f                what happens, as it happens
  vrrpctl drain lan4 --for 2h      its Active hands over, for maintenance
  vrrpctl status -x                only what is wrong; exit code 1 if anything is
  vrrpctl check a.toml --peer b.toml   do the files of a pair fit together?
  vrrpctl status --json            for programs
  vrrpctl upgrade --wait           run what is installed now, without a failover"
)]
pub(crate) struct Arguments {
    /// Control socket of the daemon
    #[arg(help_heading = EVERYWHERE, long, global = true, value_name = "PATH", env = "VRRPCTL_SOCKET",
        hide_env_values = true, default_value = DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,

    /// Print JSON
    #[arg(help_heading = EVERYWHERE, long, global = true)]
    pub(crate) json: bool,

    /// Only the essential words, a line each, without headings
    #[arg(help_heading = EVERYWHERE, short, long, global = true, conflicts_with = "json")]
    pub(crate) brief: bool,

    /// When to use colour; `auto` means on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE
    #[arg(help_heading = EVERYWHERE, long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(crate) color: Color,

    /// Draw with ASCII characters only
    #[arg(help_heading = EVERYWHERE, long, global = true)]
    pub(crate) ascii: bool,

    /// Show times in UTC instead of the local time zone
    #[arg(help_heading = EVERYWHERE, long, global = true)]
    pub(crate) utc: bool,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One line for each virtual router, and below them what is wrong
    Status {
        /// Only this virtual router
        name: Option<String>,

        /// Only what is wrong; exit code 1 if anything is
        #[arg(short = 'x', long)]
        problems: bool,

        /// Go on with a line for each change, until interrupted
        #[arg(short, long, conflicts_with = "problems")]
        watch: bool,
    },
    /// Everything about one virtual router, or about what is beside it
    #[command(arg_required_else_help = true, disable_help_subcommand = true)]
    Show {
        /// The virtual router: its timers, counters, peers and last events
        name: Option<String>,

        #[command(subcommand)]
        what: Option<Shown>,
    },
    /// Why a virtual router is in its state, what led there, and what would change it after how long
    Explain {
        /// The virtual router; or a code such as VR0012 or VD0402, for what it means, which asks no daemon
        what: String,
    },
    /// What would happen if something failed or were changed: nothing changes
    ///
    /// The daemon runs a copy of its state in virtual time, beside the other routers as far as they were heard. What is
    /// supposed becomes true at once; options may be combined and repeated.
    WhatIf(WhatIf),
    /// What happened, also before the daemon or the machine was started
    ///
    /// The daemon keeps up to 2 MiB of events, some thousands, in its state directory.
    Events {
        /// Go on with each event as it happens, until interrupted
        #[arg(short, long)]
        follow: bool,

        /// Only the last NUMBER of those that happened so far [default: all; 10 with --follow]
        #[arg(short, long, value_name = "NUMBER")]
        number: Option<u64>,

        /// Only those no older than this, such as 90s, 15m, 2h or 7d, or a moment such as 2026-11-20T14:00:00Z
        #[arg(long, value_name = "TIME", value_parser = crate::moment::parse_since)]
        since: Option<crate::moment::Since>,

        /// Only those of this virtual router
        #[arg(long, value_name = "NAME")]
        router: Option<String>,
    },
    #[command(flatten)]
    Operate(crate::operate::Verb),
    /// A full screen that follows what stands, with keys for what one does about it
    Top {
        /// A line for each change instead, as `status --watch`
        #[arg(long)]
        plain: bool,
    },
    /// What is wrong with a configuration file, or with those of a pair beside each other; asks no daemon
    ///
    /// Exit codes: 0 good, 1 the two files are good and do not fit together, 2 a file has errors or cannot be read.
    Check {
        /// The file
        #[arg(default_value = DEFAULT_CONFIG)]
        file: PathBuf,

        /// The file of the other router of the pair: VRIDs, addresses, versions, intervals and so on must fit
        #[arg(long, value_name = "FILE")]
        peer: Option<PathBuf>,
    },
    /// What a router makes of each VRRP packet in a capture: taken, or refused and why; asks no daemon
    ///
    /// Reads pcap and pcapng. Exit codes: 0 none is refused, 1 some are, 2 the capture cannot be read.
    Decode {
        /// The capture; `-` is standard input, also of a capture that goes on: tcpdump -i eth0 -U -w - proto 112 | vrrpctl decode -
        file: PathBuf,

        /// Judge as the routers of this configuration file would, instead of one that expects just what comes
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// VRRP packets as they pass, and what the routers here make of each; sends nothing
    ///
    /// Ends after --count packets, after --for, or when interrupted. Exit codes: 0 none is refused, 1 some are, or there is no
    /// right to listen, 2 no such interface.
    ///
    /// Examples:
    ///   vrrpctl capture                     on the interfaces of the running daemon
    ///   vrrpctl capture -i eth0 -c 10 -w vrrp.pcapng
    #[command(verbatim_doc_comment)]
    Capture {
        /// Listen on this interface; may be given again [default: those of the daemon's routers, else all]
        #[arg(short, long = "interface", value_name = "NAME")]
        interfaces: Vec<String>,

        /// End after NUMBER packets
        #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,

        /// Also write the packets to a file, as pcapng
        #[arg(short, long, value_name = "FILE")]
        write: Option<PathBuf>,

        /// End after this time, such as 500ms, 10s or 5m
        #[arg(long = "for", value_name = "TIME", value_parser = crate::moment::parse_span)]
        span: Option<std::time::Duration>,

        /// Judge as the routers of this configuration file would, instead of those of the running daemon
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,

        /// Take only what the interface takes anyway: multicast that is joined here, and packets to this machine
        #[arg(short = 'p', long)]
        no_promiscuous: bool,
    },
    /// What is wrong, or will be, with the daemon, its host, the other routers and the LAN: evidence, and what to do
    ///
    /// Looks at the daemon's status and file, at settings of the kernel and rules of nftables, listens to advertisements for
    /// a few intervals, and asks the LAN who has the virtual addresses. Changes nothing. Needs root to see all of it.
    ///
    /// Exit codes: 0 nothing is wrong, 1 something is, 2 no such router, 3 the daemon does not answer.
    ///
    /// Examples:
    ///   vrrpctl doctor
    ///   vrrpctl doctor lan4 --for 30s       one virtual router, listening for longer
    #[command(verbatim_doc_comment)]
    Doctor {
        /// Only this virtual router, and what concerns all
        name: Option<String>,

        /// Listen for so long, such as 500ms, 10s or 5m [default: three advertisement intervals, 1 s to 15 s]
        #[arg(long = "for", value_name = "TIME", value_parser = crate::moment::parse_span)]
        span: Option<std::time::Duration>,
    },
    /// Load the configuration file again: shows what differs, then applies it
    ///
    /// The daemon reads its own file. One with any error changes nothing. Virtual routers that are the same notice nothing.
    ///
    /// Exit codes: 0 done, 1 refused, 2 the file has errors or cannot be read.
    #[command(after_help = "\
Examples:
  vrrpctl reload --dry-run         what would change?
  vrrpctl reload --confirm         goes back by itself in 60s ...
  vrrpctl confirm                  ... unless this comes before")]
    Reload {
        #[command(flatten)]
        how: crate::reload::How,
    },
    /// Keep the configuration that is on trial after `reload --confirm`
    Confirm,
    /// Go back to an earlier configuration, as if its text had been loaded; the file stays as it is
    ///
    /// A daemon that is started again begins with the configuration that was gone back to, until the file changes or is
    /// loaded by `vrrpctl reload`.
    Rollback {
        /// Its number in `vrrpctl config history` [default: the one before]
        number: Option<u64>,

        #[command(flatten)]
        how: crate::reload::How,
    },
    /// The configurations that were applied
    #[command(subcommand_required = true, disable_help_subcommand = true)]
    Config {
        #[command(subcommand)]
        wanted: crate::configurations::Wanted,
    },
    /// The hooks, which hear of what happens: how they are doing, and how one is run
    #[command(subcommand_required = true, disable_help_subcommand = true)]
    Hook {
        #[command(subcommand)]
        wanted: crate::hook::Wanted,
    },
    /// What routers need beside their own interfaces: how one is probed, now
    #[command(subcommand_required = true, disable_help_subcommand = true)]
    Tracker {
        #[command(subcommand)]
        wanted: crate::tracker::Wanted,
    },
    /// Put another program in the daemon's place, without a failover: it goes on where the running one is
    ///
    /// The new program first reads what it would go on from, and the configuration, while the old one runs on. One that is
    /// not fit changes nothing, and one that fails soon after it took over is replaced by the old one again.
    /// Exit codes: 0 it is at work, 1 it was refused or has failed, 4 neither in time.
    Upgrade {
        /// The new program, which only root may say [default: what is now where the daemon was started from]
        #[arg(long, value_name = "PATH")]
        program: Option<PathBuf>,

        /// Wait until it has proven itself, some seconds later
        #[arg(long)]
        wait: bool,
    },
    /// Print the JSON Schema of what `--json` prints; asks no daemon
    Schema {
        /// Only this document, such as `status`, `event` or `explain`, for a program that checks one [default: all of them]
        document: Option<String>,
    },
    /// Print a script that completes this command line
    Completions {
        /// The shell that is to complete it
        shell: Shell,
    },
}

/// What is supposed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vrrpctl what-if --link-down eth0
  vrrpctl what-if --peer-down
  vrrpctl what-if --priority lan4=50
  vrrpctl what-if --tracker uplink=down
  vrrpctl what-if --config new.toml --for 1m")]
#[command(group = ArgGroup::new("supposition").required(true).multiple(true)
    .args(["link_down", "peer_down", "priority", "tracker", "config"]))]
#[group(skip)]
pub(crate) struct WhatIf {
    /// This interface goes down
    #[arg(long, value_name = "INTERFACE")]
    pub(crate) link_down: Vec<String>,

    /// The peer with this address falls silent; all of them, if none is named
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "all")]
    pub(crate) peer_down: Vec<String>,

    /// This virtual router has another priority, 1 to 254
    #[arg(long, value_name = "NAME=PRIORITY", value_parser = crate::what_if::parse_priority)]
    pub(crate) priority: Vec<(String, u8)>,

    /// This tracker finds what it watches up, or down
    #[arg(long, value_name = "NAME=STATE", value_parser = crate::what_if::parse_tracker)]
    pub(crate) tracker: Vec<(String, String)>,

    /// This configuration file is loaded
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// How far to look, such as 500ms, 90s or 10m [default: until nothing more is to be expected]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::what_if::parse_horizon)]
    pub(crate) horizon: Option<std::time::Duration>,
}

/// What can be shown beside a router.
#[derive(Debug, Subcommand)]
pub(crate) enum Shown {
    /// The interfaces on which virtual routers speak
    Interfaces,
    /// Who else was heard to speak for them, and how regularly; Backups are silent
    Peers,
    /// The sync groups: who moves together, and what holds them up
    Groups,
    /// What routers need beside their own interfaces, and how it stands
    Trackers,
    /// The configuration that runs, which need not be what the file says by now
    Config {
        /// Also what nobody said, as comments
        #[arg(long)]
        all: bool,
    },
    /// What was counted
    Stats {
        /// Also counters that stand at zero
        #[arg(long)]
        all: bool,
    },
}

/// When to use colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
}

/// Prints the completion script for `shell`.
pub(crate) fn completions(shell: Shell, page: &mut Page) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "vrrpctl", &mut script);
    page.raw(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_default_socket_is_the_daemons() {
        let theirs =
            std::path::Path::new(vrrp_control::DEFAULT_RUNTIME_DIR).join(vrrp_control::SOCKET_NAME);
        assert_eq!(theirs, std::path::Path::new(DEFAULT_SOCKET));
    }

    #[test]
    fn global_options_stand_on_either_side_of_the_command() {
        for words in [
            ["vrrpctl", "--json", "status"],
            ["vrrpctl", "status", "--json"],
        ] {
            assert!(Arguments::parse_from(words).json);
        }
    }

    #[test]
    fn words_win_over_names() {
        let shown = |words: &[&str]| match Arguments::parse_from(words).command {
            Some(Command::Show { name, what }) => (name, what.is_some()),
            _ => (None, false),
        };
        let name = |name: &str| (Some(name.to_owned()), false);
        assert_eq!(shown(&["vrrpctl", "show", "lan4"]), name("lan4"));
        assert_eq!(shown(&["vrrpctl", "show", "stat"]), name("stat"));
        for word in vrrp_config::SHOWN {
            assert_eq!(shown(&["vrrpctl", "show", word]), (None, true), "{word}");
        }
        assert_eq!(
            vrrp_config::SHOWN.len(),
            Shown::augment_subcommands(clap::Command::new(""))
                .get_subcommands()
                .count()
        );
    }

    /// The manual page is written by hand; this keeps it whole.
    #[test]
    fn the_manual_page_has_every_command_and_option() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/vrrpctl.8");
        let text = std::fs::read_to_string(page).unwrap().replace('\\', "");
        let mut command = Arguments::command();
        command.build();
        let mut missing = missing(&command, &text);
        for child in command
            .get_subcommands()
            .filter(|child| child.get_name() != "help")
        {
            if !text.contains(&format!(".B vrrpctl {}", child.get_name())) {
                missing.push(child.get_name().to_owned());
            }
            missing.extend(self::missing(child, &text));
            missing.extend(
                child
                    .get_subcommands()
                    .filter(|child| child.get_name() != "help")
                    .flat_map(|child| self::missing(child, &text)),
            );
        }
        assert!(missing.is_empty(), "not in docs/man/vrrpctl.8: {missing:?}");
    }

    #[test]
    fn help_texts() {
        let mut command = Arguments::command().term_width(80);
        insta::assert_snapshot!("help", command.render_long_help());
        command.build();
        snapshot(&mut command, "help");
    }

    /// The help of each command, and of those below it.
    fn snapshot(command: &mut clap::Command, prefix: &str) {
        for child in command.get_subcommands_mut() {
            if child.get_name() != "help" {
                let name = format!("{prefix}_{}", child.get_name());
                let help = child.render_long_help().to_string();
                let own = help.split(EVERYWHERE).next().unwrap().trim_end();
                insta::assert_snapshot!(name.clone(), own);
                snapshot(child, &name);
            }
        }
    }

    fn missing(command: &clap::Command, text: &str) -> Vec<String> {
        let long = |argument: &clap::Arg| argument.get_long().map(|long| format!("--{long}"));
        command
            .get_arguments()
            .filter_map(long)
            .filter(|option| !text.contains(option))
            .collect()
    }
}
