//! How long a failover takes, and how often two routers are Active, by loss: the same experiment over many seeds.
//!
//! Each seed is a LAN of two or three routers with distinct priorities. It settles without loss, then the loss begins;
//! after some sixty intervals, at a random moment, the Active's machine loses power. *Failover* is the time from there
//! until another kernel holds the addresses: zero if one already did because of the loss. *Dual* is what two kernels
//! shared before the crash.

use core::fmt;
use core::time::Duration;

use vrrp_proto::{Dialect, Instant, Interval};

use crate::action::Action;
use crate::host::Host;
use crate::judge::{Verdict, Violation};
use crate::lan::Lan;
use crate::plan::{HostPlan, priority};
use crate::random::{Chance, Random};
use crate::wire::Weather;

/// The priorities of the routers, best first.
pub const PRIORITIES: [u8; 3] = [200, 150, 100];

/// The loss rates of the table.
pub const LOSSES: [Chance; 7] = [
    Chance::NEVER,
    Chance::permille(1),
    Chance::percent(1),
    Chance::percent(5),
    Chance::percent(10),
    Chance::percent(20),
    Chance::percent(40),
];

/// A version at an interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// Version.
    pub dialect: Dialect,
    /// Centiseconds.
    pub centis: u16,
}

/// The profiles of the table.
pub const PROFILES: [Profile; 4] = [
    Profile {
        name: "v2-1s",
        dialect: Dialect::Vrrp2,
        centis: 100,
    },
    Profile {
        name: "v3-1s",
        dialect: Dialect::Vrrp3,
        centis: 100,
    },
    Profile {
        name: "v3-100ms",
        dialect: Dialect::Vrrp3,
        centis: 10,
    },
    Profile {
        name: "v3-10ms",
        dialect: Dialect::Vrrp3,
        centis: 1,
    },
];

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Version and interval.
    pub profile: Profile,
    /// Two or three.
    pub routers: usize,
    /// Loss per receiver.
    pub loss: Chance,
}

/// All lines in their order.
pub fn cells() -> impl Iterator<Item = Cell> {
    PROFILES.into_iter().flat_map(|profile| {
        [2, 3].into_iter().flat_map(move |routers| {
            LOSSES.into_iter().map(move |loss| Cell {
                profile,
                routers,
                loss,
            })
        })
    })
}

/// What one seed showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// From the crash until another kernel holds the addresses; `None` if that never came.
    pub failover: Option<Duration>,
    /// Time under loss before the crash.
    pub watched: Duration,
    /// Of it, with more than one holder.
    pub dual: Duration,
    /// Longest stretch of it.
    pub dual_longest: Duration,
    /// Stretches of it.
    pub duals: u64,
}

/// Intervals watched under loss before the crash.
const WATCHED: u32 = 60;

impl Cell {
    fn interval(self) -> Duration {
        Interval::from_centis(self.profile.centis)
            .unwrap_or(Interval::DEFAULT)
            .duration()
    }

    /// The LAN of this seed at time zero, and when its Active will crash.
    #[must_use]
    pub fn lan(self, seed: u64) -> (Lan, Instant) {
        let host = |value: &u8| -> HostPlan {
            priority(*value)
                .dialect(self.profile.dialect)
                .interval(crate::plan::centis(self.profile.centis))
                .lateness(Duration::from_micros(200))
        };
        let weather = Weather {
            delay: Duration::from_micros(50),
            jitter: Duration::from_micros(100),
            ..Weather::CALM
        };
        let mut lan = Lan::new(
            PRIORITIES.iter().take(self.routers).map(host),
            weather,
            seed,
        );
        let lossy = Weather {
            loss: self.loss,
            ..weather
        };
        let settled = Instant::ZERO + self.interval() * 6;
        let phase = Random::stream(seed, 0xfa11).up_to(self.interval());
        let crash = settled + self.interval() * WATCHED + phase;
        lan.schedule(settled, Action::Weather(lossy));
        lan.schedule(crash, Action::Crash(Host(0)));
        (lan, crash)
    }

    /// Runs one seed.
    ///
    /// # Errors
    /// A law was broken.
    pub fn run(self, seed: u64) -> Result<Outcome, Verdict> {
        let (mut lan, crash) = self.lan(seed);
        lan.try_run_until(crash - Duration::from_nanos(1))?;
        Self::only_after_three_losses(&lan)?;
        let ledger = lan.ledger();
        let (dual, dual_longest, duals) = (ledger.dual, ledger.dual_longest, ledger.duals);
        let mut failover = None;
        let mut end = crash;
        // Nothing keeps a Backup from its timer, so this ends long before.
        while failover.is_none() && end < crash + self.interval() * 200 {
            end = end + self.interval();
            lan.try_run_until(end)?;
            failover = lan.ledger().first_holder_after(crash, Host(0));
        }
        Ok(Outcome {
            failover: failover.map(|at| at.saturating_since(crash)),
            watched: crash.saturating_since(Instant::ZERO + self.interval() * 6),
            dual,
            dual_longest,
            duals,
        })
    }

    /// Nobody takes over from the living Active unless three of its advertisements in a row were really lost on the way to
    /// it (RFC 9568 §6.1: that is what three intervals are for).
    fn only_after_three_losses(lan: &Lan) -> Result<(), Verdict> {
        let too_soon = lan
            .takeovers()
            .iter()
            .filter(|takeover| takeover.host != Host(0))
            .find(|takeover| takeover.missed[0] < 3);
        match too_soon {
            Some(takeover) => Err(Verdict {
                at: takeover.at,
                host: Some(takeover.host),
                violation: Violation::FalseTakeover(takeover.missed[0]),
            }),
            None => Ok(()),
        }
    }

    /// The command that shows this seed.
    #[must_use]
    pub fn replay_command(self, seed: u64) -> String {
        let loss = self.loss.to_string().replace(" %", "");
        format!(
            "cargo run -p vrrp-sim --bin replay -- failover --profile {} --routers {} --loss {loss} --seed {seed}",
            self.profile.name, self.routers
        )
    }
}

/// All seeds of one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    cell: Cell,
    failovers: Vec<Duration>,
    never: usize,
    watched: Duration,
    dual: Duration,
    dual_longest: Duration,
    duals: u64,
}

impl Row {
    /// Runs seeds 0 to `seeds` - 1.
    ///
    /// # Errors
    /// The first law that was broken, with the command that shows it.
    pub fn of(cell: Cell, seeds: u64) -> Result<Self, String> {
        let mut row = Self {
            cell,
            failovers: Vec::new(),
            never: 0,
            watched: Duration::ZERO,
            dual: Duration::ZERO,
            dual_longest: Duration::ZERO,
            duals: 0,
        };
        for seed in 0..seeds {
            let outcome = cell
                .run(seed)
                .map_err(|verdict| format!("{verdict}\nreplay: {}", cell.replay_command(seed)))?;
            match outcome.failover {
                Some(failover) => row.failovers.push(failover),
                None => row.never += 1,
            }
            row.watched += outcome.watched;
            row.dual += outcome.dual;
            row.dual_longest = row.dual_longest.max(outcome.dual_longest);
            row.duals += outcome.duals;
        }
        row.failovers.sort_unstable();
        Ok(row)
    }

    fn quantile(&self, permille: usize) -> Duration {
        let last = self.failovers.len().saturating_sub(1);
        self.failovers
            .get(last * permille / 1000)
            .copied()
            .unwrap_or_default()
    }

    /// Longest failover seen.
    #[must_use]
    pub fn worst(&self) -> Duration {
        self.quantile(1000)
    }

    /// What a Backup with the second priority may take when nothing is lost: its Active_Down_Interval.
    #[must_use]
    pub fn bound(&self) -> Duration {
        let interval = crate::plan::centis(self.cell.profile.centis);
        self.cell
            .profile
            .dialect
            .active_down_interval(vrrp_proto::Priority::new(PRIORITIES[1]), interval)
    }

    /// Seeds in which nobody took over.
    #[must_use]
    pub const fn never(&self) -> usize {
        self.never
    }
}

/// The head of the table.
pub const HEAD: &str = "\
| profile  | routers | loss  | failover p50 | p99        | max        | dual Active | longest dual | duals per 1,000 intervals |
|----------|--------:|------:|-------------:|-----------:|-----------:|------------:|-------------:|--------------------------:|";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cell {
            profile,
            routers,
            loss,
        } = self.cell;
        let intervals = self.watched.as_micros() / self.cell.interval().as_micros().max(1);
        let millionths = self.dual.as_nanos() * 1_000_000 / self.watched.as_nanos().max(1);
        let thousandths = u128::from(self.duals) * 1_000_000 / intervals.max(1);
        write!(
            f,
            "| {:<8} | {routers:>7} | {:>5} | {:>12} | {:>10} | {:>10} | {:>11} | {:>12} | {:>25} |",
            profile.name,
            loss.to_string(),
            in_millis(self.quantile(500)),
            in_millis(self.quantile(990)),
            in_millis(self.worst()),
            format!("{}.{:04} %", millionths / 10_000, millionths % 10_000),
            in_millis(self.dual_longest),
            format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000),
        )
    }
}

fn in_millis(duration: Duration) -> String {
    let tenths = (duration.as_micros() + 50) / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}
