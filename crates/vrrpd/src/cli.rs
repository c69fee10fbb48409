//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Where the configuration is unless told otherwise.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/vrrpd/vrrpd.toml";

/// Where what is to outlive the daemon is kept unless told otherwise.
const DEFAULT_STATE_DIR: &str = "/var/lib/vrrpd";

/// Router redundancy for Linux: shares addresses among routers by VRRPv2, VRRPv3 and CARP.
///
/// Runs in the foreground and logs to standard error. SIGTERM and SIGINT hand over to the other routers and remove
/// everything this daemon made; SIGHUP loads the configuration again, and a file with any error changes nothing.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Exit codes: 0 stopped as asked, 1 could not run or could not clean up, 2 error in the configuration.

Examples:
  vrrpd --check /etc/vrrpd/vrrpd.toml      what is wrong with this file? Needs no root and no interface
  vrrpd --config pair.toml --runtime-dir /run/vrrpd-test --state-dir /var/lib/vrrpd-test
  vrrpctl status                           what it does now"
)]
pub(crate) struct Arguments {
    /// Configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    /// Directory for control socket and lock; each daemon needs its own
    #[arg(long, value_name = "DIR", default_value = vrrp_control::DEFAULT_RUNTIME_DIR)]
    pub(crate) runtime_dir: PathBuf,

    /// Directory for what is to outlive the daemon; each daemon needs its own
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    pub(crate) state_dir: PathBuf,

    /// The program that runs hooks; vrrp-agent beside vrrpd or in ../libexec/vrrpd unless told otherwise
    #[arg(long, value_name = "PATH")]
    pub(crate) agent: Option<PathBuf>,

    /// Only check the configuration: exits 0 if it can be used and 2 if not
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[expect(
        clippy::option_option,
        reason = "clap's type for an option whose value may be left out"
    )]
    check: Option<Option<PathBuf>>,

    /// Run as the worker of the keeper that has this process identifier
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) worker: Option<u32>,

    /// As a worker, be ready for its turn
    #[arg(long, requires = "worker", hide = true)]
    pub(crate) standby: bool,

    /// How log lines look
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Arguments {
    /// The file for `--check`, if that was asked for.
    pub(crate) fn file_to_check(&self) -> Option<PathBuf> {
        self.check
            .as_ref()
            .map(|file| file.clone().unwrap_or_else(|| self.config.clone()))
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> &std::path::Path {
        &self.config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn check_takes_its_own_file_or_the_configured_one() {
        let file = |words: &[&str]| Arguments::parse_from(words).file_to_check();
        assert_eq!(file(&["vrrpd"]), None);
        assert_eq!(file(&["vrrpd", "--check"]), Some(DEFAULT_CONFIG.into()));
        assert_eq!(file(&["vrrpd", "--check", "a.toml"]), Some("a.toml".into()));
        assert_eq!(
            file(&["vrrpd", "--check", "--config", "b.toml"]),
            Some("b.toml".into())
        );
    }
}
