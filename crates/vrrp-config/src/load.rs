//! Reading a configuration file.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{Config, Finding, Severity, parse};

/// Longest configuration file that is read, in bytes: ten thousand routers fit.
const MAX_FILE: u64 = 16 << 20;

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
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
pub struct Wrong {
    /// Its name.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Errors and warnings.
    pub findings: Vec<Finding>,
}

impl Wrong {
    /// All findings, each with its line underlined.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        crate::render(&self.findings, &self.file, &self.text, color)
    }

    /// One line for each error: file, line, column, what is wrong.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let errors = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
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

/// A file that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Its name.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// Reads and checks `file`.
///
/// # Errors
/// It cannot be read, or all that is wrong with it.
pub fn load(file: &Path) -> Result<Loaded, LoadError> {
    let read = |error| LoadError::Read(file.to_owned(), error);
    if std::fs::metadata(file).map_err(read)?.len() > MAX_FILE {
        return Err(LoadError::TooLong(file.to_owned()));
    }
    let bytes = std::fs::read(file).map_err(read)?;
    // Bytes that are no text become characters that no key or value may have, so the checks point at them.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let file = file.display().to_string();
    match parse(&text) {
        Ok(config) => Ok(Loaded { config, file, text }),
        Err(findings) => Err(LoadError::Wrong(Wrong {
            file,
            text,
            findings,
        })),
    }
}
