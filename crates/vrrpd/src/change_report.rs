//! What is said about a text that is to become the configuration.

use vrrp_config::{Difference, Finding, LoadError, Loaded, Severity, render};
use vrrp_control::{
    ChangeReport, ConfigurationStatus, FindingReport, ForecastReport, KeyDifference, Outcome,
    TableDifference,
};

/// A text and what it is worth.
pub(crate) struct Judged {
    source: String,
    hash: String,
    routers: usize,
    findings: Vec<FindingReport>,
    explanation: String,
}

impl Judged {
    /// It can be used.
    pub(crate) fn of_loaded(loaded: &Loaded, hash: &str) -> Self {
        let Loaded { config, file, text } = loaded;
        Self {
            source: file.clone(),
            hash: hash.to_owned(),
            routers: config.plan.routers.len(),
            findings: reports(&config.findings, text),
            explanation: explain(&config.findings, file, text),
        }
    }

    /// It cannot.
    pub(crate) fn of_error(error: &LoadError) -> Self {
        let (source, findings, explanation) = match error {
            LoadError::Wrong(wrong) => (
                wrong.file.clone(),
                reports(&wrong.findings, &wrong.text),
                explain(&wrong.findings, &wrong.file, &wrong.text),
            ),
            LoadError::Read(file, _) | LoadError::TooLong(file) => (
                file.display().to_string(),
                Vec::new(),
                crate::log::chain(error) + "\n",
            ),
        };
        Self {
            source,
            hash: String::new(),
            routers: 0,
            findings,
            explanation,
        }
    }

    /// The whole report.
    pub(crate) fn report(
        self,
        outcome: Outcome,
        difference: &[Difference],
        prediction: Option<Box<ForecastReport>>,
        running: ConfigurationStatus,
    ) -> ChangeReport {
        ChangeReport {
            version: vrrp_control::VERSION,
            source: self.source,
            outcome,
            hash: self.hash,
            routers: self.routers,
            findings: self.findings,
            explanation: self.explanation,
            difference: difference.iter().map(table).collect(),
            prediction,
            running,
        }
    }
}

/// Warnings, to the log.
pub(crate) fn warn(findings: &[Finding], file: &str, text: &str) {
    for finding in findings {
        let (line, column) = finding.line_column(text);
        tracing::warn!("{file}:{line}:{column}: {}", finding.message);
    }
}

fn explain(findings: &[Finding], file: &str, text: &str) -> String {
    if findings.is_empty() {
        return String::new();
    }
    render(findings, file, text, false)
}

fn reports(findings: &[Finding], text: &str) -> Vec<FindingReport> {
    let report = |finding: &Finding| {
        let (line, column) = finding.line_column(text);
        FindingReport {
            line,
            column,
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            }
            .into(),
            code: finding.code.into(),
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    };
    findings.iter().map(report).collect()
}

fn table(difference: &Difference) -> TableDifference {
    TableDifference {
        table: difference.table.into(),
        router: difference.router.clone(),
        change: difference.change.name().into(),
        keys: difference
            .keys
            .iter()
            .map(|key| KeyDifference {
                key: key.key.into(),
                old: key.old.clone(),
                new: key.new.clone(),
            })
            .collect(),
    }
}
