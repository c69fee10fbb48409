//! What advertisements cost both sides: 250 and 1,000 routers at 100 ms, 1,000 at 10 ms, 10,000 at a second.

use super::Row;
use crate::duel::millis;
use crate::effort::Effort;
use crate::fleet::{Fleet, Orders};
use crate::ground::Ground;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::sniff::{Heard, Interest, Sniff};
use crate::{usage, witness};
use std::collections::BTreeMap;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};

pub(crate) const ROW: Row = Row {
    name: "advertisement-cpu",
    about: "Routers at 100 ms on four cables (250 on one), one daemon Active, one Backup, no switch between them: the \
            scheduler's account of all threads of either side, by advertisement on the wire. A sender pays the way through \
            the cable into the receiver's socket, too. Ours and keepalived in turn.",
    run: ordinary,
};

pub(crate) const FAST: Row = Row {
    name: "fast-1000",
    about: "1,000 routers at 10 ms, 100,000 advertisements a second, on four cables, both sides on the same machine. Of \
            four routers, one on each cable, every advertisement is looked at: 1.5 intervals apart or more is a missed tick.",
    run: fast,
};

pub(crate) const SLOW: Row = Row {
    name: "slow-10000",
    about: "10,000 routers at one second on forty cables.",
    run: slow,
};

/// Announcements come in bursts for some seconds.
const SETTLED: Duration = ms(3500);

/// What one look at a pair of fleets found.
struct Look {
    /// Of the sender and the receiver.
    used: [Duration; 2],
    /// The same by thread.
    threads: [BTreeMap<String, Duration>; 2],
    /// All processors, and of that the softirqs.
    machine: [Duration; 2],
    span: Duration,
    adverts: u64,
    /// What the receiving side sent: zero, unless it believes to be Active.
    answered: u64,
    missed: usize,
    worst: Duration,
    /// Of the routers that were looked at, the advertisements of those due.
    kept: f64,
    stalled: bool,
}

impl Look {
    fn percent(&self, side: usize) -> f64 {
        self.used[side].as_secs_f64() * 100.0 / self.span.as_secs_f64()
    }

    fn micros(&self, side: usize) -> f64 {
        micros(self.used[side], self.adverts)
    }

    /// What each thread of a side had, in a sentence.
    fn split(&self, side: usize) -> String {
        let parts = self.threads[side]
            .iter()
            .map(|(name, used)| format!("`{name}` {:.2}", micros(*used, self.adverts)));
        parts.collect::<Vec<_>>().join(", ")
    }
}

fn micros(used: Duration, adverts: u64) -> f64 {
    used.as_secs_f64() * 1e6 / adverts.max(1) as f64
}

fn ordinary(effort: &Effort) -> Vec<Measure> {
    let mut measures = Vec::new();
    let span = effort.span(10, 30);
    let makers = Maker::ours_and(&[Maker::Keepalived]);
    for (parents, rounds) in [(1, effort.trials(1, 3)), (4, effort.trials(1, 4))] {
        let count = usize::from(parents) * 250;
        let mut sending = Measure::new(format!("{count} routers, sending"), "µs per advertisement")
            .goal(Goal::most(Figure::P50, 3.0).times(4.0));
        let mut receiving = Measure::new(
            format!("{count} routers, receiving"),
            "µs per advertisement",
        )
        .goal(Goal::most(Figure::P50, 2.0).times(4.0));
        let mut machine = Measure::new(
            format!("{count} routers, all that the machine did"),
            "µs per advertisement",
        );
        let mut softirq = Measure::new(
            format!("{count} routers, of that softirqs"),
            "µs per advertisement",
        );
        let mut alone = Measure::new(
            format!("{count} routers, sending into a cable that ends in nothing"),
            "µs per advertisement",
        );
        alone.note("the other end drops every frame as it comes in, as far from the sender's own cost as a network card is");
        let mut turns = Maker::order(&makers, rounds);
        if parents == 4 {
            turns.push(Maker::KeepalivedPlain);
        }
        for maker in turns {
            let orders = orders(maker, parents, 250, ms(100));
            let own = send(&orders, span);
            alone.add(maker, own.micros(), own.stalled);
            let look = look(&orders, span, false);
            sending.add(maker, look.micros(0), look.stalled);
            receiving.add(maker, look.micros(1), look.stalled);
            machine.add(maker, micros(look.machine[0], look.adverts), look.stalled);
            softirq.add(maker, micros(look.machine[1], look.adverts), look.stalled);
            if maker.is_ours() {
                sending.note(format!("{}, by thread: {} µs", maker.word(), look.split(0)));
                receiving.note(format!("{}, by thread: {} µs", maker.word(), look.split(1)));
            }
        }
        machine.note("ticks of 10 ms over both processors: both sides, those who measure, and the kernel's own threads");
        measures.extend([sending, alone, receiving, machine, softirq]);
    }
    measures
}

fn fast(effort: &Effort) -> Vec<Measure> {
    let span = effort.span(10, 30);
    let mut sending = Measure::new("sending", "% of a processor");
    let mut receiving = Measure::new("receiving", "% of a processor");
    let mut both = Measure::new("both", "% of a processor").goal(Goal::most(Figure::P50, 45.0));
    let mut lost =
        Measure::new("missed ticks of four routers", "ticks").goal(Goal::most(Figure::Max, 0.0));
    let mut worst =
        Measure::new("longest time between two advertisements of a router", "ms").bound("10 ms");
    let mut rate = Measure::new("advertisements of four routers, of those due", "%")
        .goal(Goal::least(Figure::Min, 99.9));
    let mut takeovers = Measure::new("advertisements of the Backup", "packets")
        .goal(Goal::most(Figure::Max, 0.0))
        .bound("0");
    let mut turns = Maker::order(&Maker::planes(), effort.trials(1, 3));
    turns.push(Maker::Keepalived);
    for maker in turns {
        let orders = orders(maker, 4, 250, ms(10));
        let look = look(&orders, span, true);
        sending.add(maker, look.percent(0), look.stalled);
        receiving.add(maker, look.percent(1), look.stalled);
        both.add(maker, look.percent(0) + look.percent(1), look.stalled);
        lost.add(maker, look.missed as f64, look.stalled);
        worst.add(maker, millis(look.worst), look.stalled);
        rate.add(maker, look.kept, look.stalled);
        takeovers.add(maker, look.answered as f64, look.stalled);
    }
    vec![sending, receiving, both, rate, lost, worst, takeovers]
}

fn slow(effort: &Effort) -> Vec<Measure> {
    let span = effort.span(10, 30);
    let mut sending =
        Measure::new("sending", "% of a processor").goal(Goal::most(Figure::P50, 5.0));
    let mut receiving =
        Measure::new("receiving", "% of a processor").goal(Goal::most(Figure::P50, 5.0));
    let mut takeovers = Measure::new("advertisements of the Backup", "packets")
        .goal(Goal::most(Figure::Max, 0.0))
        .bound("0");
    for maker in Maker::order(&Maker::planes(), effort.trials(1, 2)) {
        let look = look(&orders(maker, 40, 250, ms(1000)), span, false);
        sending.add(maker, look.percent(0), look.stalled);
        receiving.add(maker, look.percent(1), look.stalled);
        takeovers.add(maker, look.answered as f64, look.stalled);
        let split = look.split(0);
        sending.note(format!("{}, by thread: {split} µs", maker.word()));
    }
    vec![sending, receiving, takeovers]
}

fn orders(maker: Maker, parents: u8, each: u8, interval: Duration) -> Orders {
    Orders {
        maker,
        parents,
        each,
        priority: 200,
        interval,
        changed: false,
    }
}

/// What a fleet used that nobody hears.
struct Alone {
    used: Duration,
    adverts: u64,
    stalled: bool,
}

impl Alone {
    fn micros(&self) -> f64 {
        micros(self.used, self.adverts)
    }
}

fn send(orders: &Orders, span: Duration) -> Alone {
    let ground = Ground::direct(orders.parents);
    for parent in 0..orders.parents {
        ground.routers[1].sh(&format!(
            "nft add table netdev sink
             nft add chain netdev sink eth{parent} '{{ type filter hook ingress device eth{parent} priority 0; policy drop; }}'"
        ));
    }
    let active = Fleet::active(&ground, 0, *orders);
    std::thread::sleep(SETTLED);
    let pids = usage::pids(&ground.routers[0]);
    let (from, first) = sent(&ground, 0);
    let before = usage::run_time(&pids);
    std::thread::sleep(span);
    let used = usage::run_time(&pids).saturating_sub(before);
    let (until, last) = sent(&ground, 0);
    drop(active);
    Alone {
        used,
        adverts: last - first,
        stalled: witness::stalled(from, until),
    }
}

/// Frames that a router has sent on its cables, and when that was.
fn sent(ground: &Ground, router: usize) -> (Stamp, u64) {
    let (at, packets) = usage::packets(&ground.routers[router]);
    let cables = packets.iter().filter(|(name, _)| name.starts_with("eth"));
    (at, cables.map(|(_, [_, sent])| sent).sum())
}

fn look(orders: &Orders, span: Duration, ticks: bool) -> Look {
    let ground = Ground::direct(orders.parents);
    let active = Fleet::active(&ground, 0, *orders);
    let backup = Fleet::backup(
        &ground,
        1,
        Orders {
            priority: 100,
            ..*orders
        },
    );
    std::thread::sleep(SETTLED);
    let pids = [0, 1].map(|index| usage::pids(&ground.routers[index]));
    let sniffs: Vec<Sniff> = (0..orders.parents)
        .filter(|_| ticks)
        .map(|parent| {
            let (namespace, interface) = ground.ear(0, parent);
            Sniff::start(namespace, &interface, Interest::AdvertsOf(1 + parent * 60))
        })
        .collect();
    let used = || [0, 1].map(|index: usize| usage::by_thread(&pids[index]));
    let ((from, first), (_, silent)) = (sent(&ground, 0), sent(&ground, 1));
    let (before, quiet) = (used(), usage::machine());
    std::thread::sleep(span);
    let (after, loud) = (used(), usage::machine());
    let ((until, last), (_, spoken)) = (sent(&ground, 0), sent(&ground, 1));
    let threads = [0, 1].map(|side: usize| {
        let since = |(name, used): (&String, &Duration)| {
            let before = before[side].get(name).copied().unwrap_or_default();
            (name.clone(), used.saturating_sub(before))
        };
        after[side].iter().map(since).collect::<BTreeMap<_, _>>()
    });
    let (mut due, mut sent) = (0.0, 0);
    let mut worst = Duration::ZERO;
    let mut missed = 0;
    for sniff in &sniffs {
        let adverts = sniff.since(from, |heard: &Heard| heard.claim().map(|_| heard.at));
        let gaps = adverts.windows(2).map(|pair| pair[1].since(pair[0]));
        for gap in gaps {
            worst = worst.max(gap);
            missed += usize::from(gap >= orders.interval * 3 / 2);
        }
        missed += usize::from(adverts.len() < 2);
        if let [first, .., last] = adverts[..] {
            due += millis(last.since(first)) / millis(orders.interval);
            sent += adverts.len() - 1;
        }
    }
    drop((active, backup));
    Look {
        used: [0, 1].map(|side: usize| threads[side].values().sum()),
        threads,
        machine: [0, 1].map(|part| loud[part].saturating_sub(quiet[part])),
        span: until.since(from),
        adverts: last - first,
        answered: spoken - silent,
        missed,
        worst,
        kept: sent as f64 * 100.0 / f64::max(due, 1.0),
        stalled: witness::stalled(from, until),
    }
}
