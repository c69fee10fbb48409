//! `vrrp-agent`: runs hooks and probes for vrrpd, which starts it. What forks, waits for others or reads what strangers say has no place in
//! a process that has real-time priority, locked memory and the capabilities to change the network.
//!
//! ```text
//!   vrrpd <== lines of JSON ==> link ---> desk: a queue for each router ---> run, fifo, webhook
//!                                           |                                  |
//!                            ^              +------ journal <--- what has run -+
//!                            +--- samples --- probe: each at its own pace
//! ```
//!
//! | module | noun |
//! |---|---|
//! | `link` | the socket to the daemon, which outlives the daemon's processes |
//! | `desk` | what is to be delivered to whom, in which order; pure |
//! | `journal` | what was delivered, on the disk |
//! | `agent` | the loop around them |
//! | `account` | whom a program is run as |
//! | `run` | a run of a hook: who runs it, what it may, how it ends |
//! | `output` | what hooks write, as far as it is shown |
//! | `fifo`, `webhook` | hooks that are no programs |
//! | `probe` | what trackers watch that the kernel does not tell of |
#![forbid(unsafe_code)]

mod account;
mod agent;
mod desk;
mod fifo;
mod journal;
mod link;
mod output;
mod probe;
mod run;
mod webhook;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::prctl::set_name;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};
use tokio::task::LocalSet;

const USAGE: &str = "\
vrrp-agent runs the hooks and probes of vrrpd, which starts it with a socket as its standard input.

Usage: vrrp-agent --journal FILE
       vrrp-agent --version
";

/// Descriptors for some hundred runs at a time. What it starts inherits the limit.
const DESCRIPTORS: u64 = 4096;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let journal = match words[..] {
        ["--journal", file] => PathBuf::from(file),
        ["--version" | "-V"] => {
            let line = concat!("vrrp-agent ", env!("CARGO_PKG_VERSION"), "\n");
            let _ = std::io::stdout().write_all(line.as_bytes());
            return ExitCode::SUCCESS;
        }
        ["--help" | "-h"] => {
            let _ = std::io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        _ => {
            let _ = std::io::stderr().write_all(USAGE.as_bytes());
            return ExitCode::from(64);
        }
    };
    begin();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| {
        // All of it on this thread: there is no other.
        let outcome = runtime.block_on(LocalSet::new().run_until(agent::work(&journal)));
        // Whoever still waits for a disk or a name is not waited for.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "vrrp-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Gives up what was inherited from the daemon.
fn begin() {
    vrrp_linux::child::stand_back();
    let _ = set_name(c"vrrp-agent");
    let _ = SigSet::all().thread_unblock();
    umask(Mode::from_bits_truncate(0o022));
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(DESCRIPTORS), hard);
    }
}
