//! How things stand with one router: what was reported, and how patient to be with failures and with strangers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vrrp_proto::desired::Desired;

use super::reconcile::Surroundings;

/// One router as the worker knows it.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) desired: Arc<Desired>,
    /// Whether `Applied` was the last thing said about this generation.
    pub(super) applied: bool,
    /// Whether all was in place when it was last looked at.
    pub(super) complete: bool,
    /// The failure that was the last thing said about this generation.
    pub(super) failure: Option<String>,
    /// Where it stood when all was in place.
    pub(super) surroundings: Option<Surroundings>,
    pub(super) patience: Patience,
    pub(super) repairs: Repairs,
    /// It was withdrawn, and is forgotten then.
    pub(super) until: Option<Instant>,
}

impl Standing {
    pub(super) fn new(desired: Desired) -> Self {
        Self {
            desired: Arc::new(desired),
            applied: false,
            complete: false,
            failure: None,
            surroundings: None,
            patience: Patience::default(),
            repairs: Repairs::default(),
            until: None,
        }
    }

    /// Another desired state: nothing is known about it, and failures of the old one do not count.
    pub(super) fn replace(&mut self, desired: Desired) {
        self.desired = Arc::new(desired);
        self.applied = false;
        self.complete = false;
        self.failure = None;
        self.surroundings = None;
        self.patience = Patience::default();
        self.until = None;
    }

    /// Nobody wants it any more: it is silent from now on, and gone at `until`.
    pub(super) fn withdraw(&mut self, until: Instant) {
        self.replace(Desired {
            active: false,
            accept: true,
            ..Desired::clone(&self.desired)
        });
        self.until = Some(until);
    }

    /// Whether `desired` describes the same virtual router.
    pub(super) fn is_like(&self, desired: &Desired) -> bool {
        self.desired.interface == desired.interface
            && self.desired.family == desired.family
            && self.desired.vrid == desired.vrid
    }

    /// When a repair is to be reported: not before it worked.
    pub(super) fn report_at(&self) -> Option<Instant> {
        self.repairs.report_at().filter(|_| self.complete)
    }

    /// When its steps may be done.
    pub(super) fn free_at(&self) -> Option<Instant> {
        self.patience.until.max(self.repairs.until)
    }
}

/// Backoff after failures: 100 ms, doubled up to 5 s.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
    pub(super) until: Option<Instant>,
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(super) fn fail(&mut self, now: Instant) {
        let wait = Self::FIRST.saturating_mul(1 << self.failures.min(10));
        self.until = Some(now + wait.min(Self::LONGEST));
        self.failures += 1;
    }

    /// The wait is over; how long the next one is remains.
    pub(super) fn forget(&mut self, now: Instant) {
        self.until = self.until.filter(|until| *until > now);
    }
}

/// Repairs of what somebody else undid: at once, unless they keep undoing it.
///
/// The first few are immediate; then there is a pause between two, up to 200 ms, so that a program which fights us costs
/// neither a busy processor nor a flood of reports, and the router still has its address most of the time. A report is
/// made at most once a second then and tells how many repairs it stands for.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    recent: u32,
    last: Option<Instant>,
    until: Option<Instant>,
    reported: Option<Instant>,
    /// What waits to be reported, and how many repairs it stands for.
    pending: Option<(String, u32)>,
}

impl Repairs {
    const IMMEDIATE: u32 = 5;
    const QUIET: Duration = Duration::from_secs(3);
    const FIRST_PAUSE: Duration = Duration::from_millis(20);
    const LONGEST_PAUSE: Duration = Duration::from_millis(200);
    const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

    /// A repair of `what` is about to be done.
    pub(super) fn note(&mut self, now: Instant, what: String) {
        if self.last.is_none_or(|last| now - last > Self::QUIET) {
            self.recent = 0;
        }
        self.recent += 1;
        self.last = Some(now);
        let strikes = self.recent.saturating_sub(Self::IMMEDIATE);
        self.until = (strikes > 0).then(|| {
            let pause = Self::FIRST_PAUSE.saturating_mul(1 << (strikes - 1).min(10));
            now + pause.min(Self::LONGEST_PAUSE)
        });
        let count = self.pending.take().map_or(0, |(_, count)| count);
        self.pending = Some((what, count + 1));
    }

    /// What is pending was about this.
    pub(super) fn correct(&mut self, what: String) {
        if let Some((pending, _)) = &mut self.pending {
            *pending = what;
        }
    }

    /// The pause is over.
    pub(super) fn forget(&mut self, now: Instant) {
        self.until = self.until.filter(|until| *until > now);
    }

    /// What to report now.
    pub(super) fn report(&mut self, now: Instant) -> Option<String> {
        if self.report_at()? > now {
            return None;
        }
        self.reported = Some(now);
        self.pending.take().map(|(what, count)| match count {
            1 => what,
            _ => format!("{what} ({count} repairs)"),
        })
    }

    /// When the next report is due.
    fn report_at(&self) -> Option<Instant> {
        self.pending.as_ref()?;
        let last = self.last?;
        Some(match self.reported {
            Some(reported) if self.recent > Self::IMMEDIATE => reported + Self::BETWEEN_REPORTS,
            _ => last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_retried_ever_less_often() {
        let now = Instant::now();
        let mut patience = Patience::default();
        let waits: Vec<u128> = (0..8)
            .map(|_| {
                patience.fail(now);
                (patience.until.unwrap() - now).as_millis()
            })
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn a_stranger_who_insists_is_slowed_down_and_reported_once_a_second() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        let mut done = 0;
        let mut reports = Vec::new();
        for millis in 0..3000 {
            let now = start + Duration::from_millis(millis);
            // Deleted 100 times a second.
            if millis % 10 == 0 && repairs.until.is_none_or(|until| until <= now) {
                repairs.note(now, "it".into());
                done += 1;
            }
            reports.extend(repairs.report(now));
        }
        assert!((15..30).contains(&done), "{done}");
        assert!((6..10).contains(&reports.len()), "{reports:?}");
        assert_eq!(reports[0], "it");
        assert!(
            reports.iter().any(|it| it.contains(" repairs)")),
            "{reports:?}"
        );
    }

    #[test]
    fn after_a_quiet_time_repairs_are_immediate_again() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        for _ in 0..20 {
            repairs.note(start, "it".into());
        }
        assert!(repairs.until.is_some());
        repairs.note(start + Duration::from_secs(4), "it".into());
        assert_eq!(repairs.until, None);
    }
}
