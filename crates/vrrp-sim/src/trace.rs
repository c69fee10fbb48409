//! What happened, one line each, for people.

use core::fmt;

use vrrp_proto::Instant;

use crate::host::Host;

/// Lines in the order of events; free while it does not record.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) const fn recording() -> Self {
        Self {
            lines: Some(Vec::new()),
        }
    }

    pub(crate) fn note(&mut self, at: Instant, host: Option<Host>, what: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else {
            return;
        };
        let (seconds, micros) = (
            at.as_nanos() / 1_000_000_000,
            at.as_nanos() / 1_000 % 1_000_000,
        );
        let who = host.map_or_else(|| String::from("------"), |host| host.to_string());
        lines.push(format!("{seconds:>5}.{micros:06}  {who:<7} {}", what()));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .flatten()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
