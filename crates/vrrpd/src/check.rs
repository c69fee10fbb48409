//! Reading a configuration file, and saying what is wrong with it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use thiserror::Error;
use vrrp_config::Config;

/// Longest configuration file that is read, in bytes: ten thousand routers fit.
const MAX_FILE: u64 = 16 << 20;

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub(crate) enum LoadError {
    /// It cannot be read.
    #[error("cannot read the configuration {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// It is too long to be one.
    #[error("{} has more than {MAX_FILE} bytes", .0.display())]
    TooLong(PathBuf),
    /// It has errors.
    #[error("{}", .0.summary())]
    Wrong(Wrong),
}

/// A file with errors, and what to say about them.
#[derive(Debug)]
pub(crate) struct Wrong {
    file: String,
    text: String,
    findings: Vec<vrrp_config::Finding>,
}

impl Wrong {
    /// All findings, each with its line underlined.
    pub(crate) fn render(&self, color: bool) -> String {
        vrrp_config::render(&self.findings, &self.file, &self.text, color)
    }

    /// One line for each error: file, line, column, what is wrong.
    pub(crate) fn lines(&self) -> Vec<String> {
        let errors = self
            .findings
            .iter()
            .filter(|finding| finding.severity == vrrp_config::Severity::Error);
        errors
            .map(|finding| {
                let (line, column) = finding.line_column(&self.text);
                let help = finding
                    .help
                    .as_ref()
                    .map(|help| format!(" ({help})"))
                    .unwrap_or_default();
                format!("{}:{line}:{column}: {}{help}", self.file, finding.message)
            })
            .collect()
    }

    fn summary(&self) -> String {
        self.lines().join("; ")
    }
}

/// Reads and checks `file`.
pub(crate) fn load(file: &Path) -> Result<(Config, String), LoadError> {
    let read = |error| LoadError::Read(file.to_owned(), error);
    if std::fs::metadata(file).map_err(read)?.len() > MAX_FILE {
        return Err(LoadError::TooLong(file.to_owned()));
    }
    let bytes = std::fs::read(file).map_err(read)?;
    // Bytes that are no text become characters that no key or value may have, so the checks point at them.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match vrrp_config::parse(&text) {
        Ok(config) => Ok((config, text)),
        Err(findings) => Err(LoadError::Wrong(Wrong {
            file: file.display().to_string(),
            text,
            findings,
        })),
    }
}

/// `--check`: errors and warnings to standard error, a sentence to standard output.
pub(crate) fn run(file: &Path) -> ExitCode {
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    // A reader that has gone away is no reason to fail: the exit code is the answer.
    let code = match load(file) {
        Ok((config, text)) => {
            if !config.findings.is_empty() {
                let _ = write!(
                    err,
                    "{}",
                    vrrp_config::render(
                        &config.findings,
                        &file.display().to_string(),
                        &text,
                        color
                    )
                );
            }
            let count = config.plan.routers.len();
            let _ = writeln!(
                out,
                "{}: good, {count} virtual router{}",
                file.display(),
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
