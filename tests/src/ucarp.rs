//! UCarp as a peer.

use crate::clock::Stamp;
use crate::netns::Namespace;
use crate::process::Process;
use crate::scratch::Scratch;
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The vhid of the laboratory: the VRID of its other suites.
pub const VHID: u8 = 51;
/// The passphrase of the group.
pub const PASSPHRASE: &str = "lab secret";

/// How it is started.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    /// Its own address.
    pub source: &'a str,
    /// The address that it shares: it can share one, of IPv4.
    pub address: &'a str,
    /// Its skew.
    pub advskew: u8,
    /// What it takes for the passphrase.
    pub passphrase: &'a str,
}

/// A running UCarp that preempts, and gives its address up when it ends.
pub struct Ucarp {
    process: Process,
    scratch: Scratch,
    arguments: Vec<String>,
}

impl Ucarp {
    /// Starts it.
    ///
    /// # Panics
    /// If its scripts cannot be written.
    #[must_use]
    pub fn start(namespace: &Namespace, orders: Orders<'_>) -> Self {
        let scratch = Scratch::new("ucarp");
        for (name, verb) in [("up", "add"), ("down", "del")] {
            scratch.write(
                name,
                &format!("#!/bin/sh\nexec ip address {verb} \"$2/24\" dev \"$1\"\n"),
            );
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(scratch.path().join(name), mode).expect("our own file");
        }
        let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
        let arguments = [
            ("-i", "eth0".to_owned()),
            ("-s", orders.source.to_owned()),
            ("-v", VHID.to_string()),
            ("-p", orders.passphrase.to_owned()),
            ("-a", orders.address.to_owned()),
            ("-b", "1".to_owned()),
            ("-k", orders.advskew.to_string()),
            ("-u", at("up")),
            ("-d", at("down")),
        ];
        let arguments: Vec<String> = arguments
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .chain(["-P".to_owned(), "-z".to_owned(), "-n".to_owned()])
            .collect();
        Self {
            process: launch(namespace, &scratch, &arguments),
            scratch,
            arguments,
        }
    }

    /// Kills it. It leaves its address behind.
    pub fn kill(&mut self) -> Stamp {
        self.process.kill()
    }

    /// Asks it to end.
    pub fn terminate(&mut self) -> Stamp {
        self.process.signal(Signal::SIGTERM)
    }

    /// Starts it again.
    pub fn revive(&mut self, namespace: &Namespace) {
        self.process.kill();
        self.process = launch(namespace, &self.scratch, &self.arguments);
    }

    /// What it said.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }
}

fn launch(namespace: &Namespace, scratch: &Scratch, arguments: &[String]) -> Process {
    let program =
        std::env::var_os("UCARP_BIN").map_or_else(|| "/usr/sbin/ucarp".into(), PathBuf::from);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = scratch.path().join("ucarp.log");
    Process::start(namespace, &program, &arguments, &log)
}

impl Drop for Ucarp {
    fn drop(&mut self) {
        if self.process.runs() {
            self.process.kill();
        }
    }
}
