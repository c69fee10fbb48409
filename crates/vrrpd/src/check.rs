//! `--check`: saying what is wrong with a configuration file.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use vrrp_config::{LoadError, Loaded, load};

use crate::{agent, hooks};

/// `--check`: errors and warnings to standard error, a sentence to standard output.
pub(crate) fn run(file: &Path, program: Option<&Path>) -> ExitCode {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    // A reader that has gone away is no reason to fail: the exit code is the answer.
    let code = match load(file) {
        Ok(Loaded { config, file, text }) => {
            let mut findings = config.findings.clone();
            findings.extend(hooks::distrusted(&config));
            if !findings.is_empty() {
                let _ = write!(
                    err,
                    "{}",
                    vrrp_config::render(&findings, &file, &text, color)
                );
            }
            let probed = config.plan.trackers.iter().any(|it| it.kind.is_probed());
            if (probed || !config.hooks.is_empty())
                && let Err(error) = agent::find(program)
            {
                let _ = writeln!(err, "{file}: hooks and probes will not run: {error}");
            }
            let count = config.plan.routers.len();
            let _ = writeln!(
                out,
                "{file}: good, {count} virtual router{}",
                if count == 1 { "" } else { "s" }
            );
            0
        }
        Err(LoadError::Wrong(wrong)) => {
            let _ = write!(err, "{}", wrong.render(color));
            2
        }
        Err(error) => {
            let _ = writeln!(err, "{}", crate::log::chain(&error));
            2
        }
    };
    ExitCode::from(code)
}
