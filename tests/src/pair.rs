//! Two routers on a switched LAN, and what every pair must be able to do.

use crate::capture::{Capture, Frame, Sighting, sighting};
use crate::clock::{Stamp, assert_within, ms, wait_for};
use crate::profile::Profile;
use crate::rival::{Make, Orders, Rival, start};
use crate::topology::Lan;
use std::fmt;
use std::time::Duration;

/// Priority of the first router.
pub const HIGHER: u8 = 200;
/// Priority of the second router.
pub const LOWER: u8 = 100;

/// Two routers, of which the first has the higher priority.
pub struct Pair {
    /// The routers, first the higher.
    pub rivals: [Box<dyn Rival>; 2],
    /// What each router puts on the wire: captures of the switch's ports `lan1` and `lan2`.
    pub ports: [Capture; 2],
    /// Version and family.
    pub profile: Profile,
    /// Advertisement interval.
    pub interval: Duration,
    /// The LAN they stand on.
    pub lan: Lan,
}

/// What a full round of [`Pair::judge`] measured, beside the protocol's bound.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// From priority 0 to the other's first advertisement.
    pub hand_over: Duration,
    /// From the last advertisement of a killed router to the other's first.
    pub after_kill: Duration,
    /// From the last advertisement of an unplugged router to the other's first.
    pub after_unplug: Duration,
    /// Skew_Time of the lower router: the bound of the first.
    pub skew: Duration,
    /// Active_Down_Interval of the lower router: the bound of the others.
    pub down: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |span: Duration| span.as_secs_f64() * 1e3;
        write!(
            f,
            "hand-over {:.1} ms (skew {:.1}), after SIGKILL {:.1} ms, after link loss {:.1} ms (down interval {:.1})",
            ms(self.hand_over),
            ms(self.skew),
            ms(self.after_kill),
            ms(self.after_unplug),
            ms(self.down)
        )
    }
}

/// The interval pairs are judged at: the shortest version 2 has, and a tenth of a second.
#[must_use]
pub fn quick(profile: Profile) -> Duration {
    if profile == Profile::V2 {
        ms(1000)
    } else {
        ms(100)
    }
}

impl Pair {
    /// Starts the lower, then the higher, and waits until the higher alone is Active.
    #[must_use]
    pub fn start(higher: Make, lower: Make, profile: Profile) -> Self {
        Self::start_on(Lan::new(2), higher, lower, profile, quick(profile))
    }

    /// As [`Pair::start`], on a LAN and with an interval of the caller's.
    #[must_use]
    pub fn start_on(
        lan: Lan,
        higher: Make,
        lower: Make,
        profile: Profile,
        interval: Duration,
    ) -> Self {
        Self::start_with(lan, higher, lower, profile, interval, |orders| orders)
    }

    /// As [`Pair::start_on`], with orders of the caller's.
    #[must_use]
    pub fn start_with(
        lan: Lan,
        higher: Make,
        lower: Make,
        profile: Profile,
        interval: Duration,
        adjust: impl Fn(Orders) -> Orders,
    ) -> Self {
        let ports = ["lan1", "lan2"].map(|port| Capture::start(&lan.switch, port));
        let lower = start(
            lower,
            &lan.routers[1],
            adjust(Orders::new(profile, LOWER, interval)),
        );
        let higher = start(
            higher,
            &lan.routers[0],
            adjust(Orders::new(profile, HIGHER, interval)),
        );
        let pair = Self {
            rivals: [higher, lower],
            ports,
            profile,
            interval,
            lan,
        };
        pair.expect_elected(0);
        if profile == Profile::V3Ipv4 {
            // Who takes the first's form of checksum for a fault speaks up after its down interval, and is come round to.
            std::thread::sleep(profile.down(LOWER, interval));
            pair.expect_elected(0);
        }
        pair
    }

    /// Waits until router `index` alone advertises, and has done so for five intervals.
    ///
    /// # Panics
    /// If that does not come about within fifteen intervals and eight seconds.
    pub fn expect_elected(&self, index: usize) {
        let calm = self.interval * 5;
        let elected = wait_for(self.interval * 15 + ms(8000), || {
            let from = Stamp::now() - calm;
            let heard = |router: usize| {
                self.ports[router]
                    .adverts(from)
                    .iter()
                    .filter(|advert| advert.heard.priority() > 0)
                    .count()
            };
            (heard(index) >= 4 && heard(1 - index) == 0).then_some(())
        });
        assert!(
            elected.is_some(),
            "router {index} alone is not Active; in the last five intervals: {}",
            self.recent(calm)
        );
    }

    fn recent(&self, span: Duration) -> String {
        let from = Stamp::now() - span;
        let of = |router: usize| -> Vec<u8> {
            self.ports[router]
                .adverts(from)
                .iter()
                .map(|advert| advert.heard.priority())
                .collect()
        };
        format!(
            "priorities sent by the first {:?}, by the second {:?}\n--- first ---\n{}\n--- second ---\n{}",
            of(0),
            of(1),
            tail(&self.rivals[0].log()),
            tail(&self.rivals[1].log())
        )
    }

    /// The last frame of router `index` that `wanted` picks, between two moments.
    fn last(
        &self,
        index: usize,
        from: Stamp,
        until: Stamp,
        wanted: impl Fn(&Sighting) -> bool,
    ) -> Option<Stamp> {
        self.ports[index]
            .adverts(from)
            .into_iter()
            .rfind(|advert| advert.at <= until && wanted(advert))
            .map(|advert| advert.at)
    }

    /// The first advertisement of the second router since `from`.
    ///
    /// # Panics
    /// If it takes five seconds longer than the protocol allows.
    #[must_use]
    pub fn successor(&self, from: Stamp) -> Stamp {
        let limit = self.profile.down(LOWER, self.interval) + ms(5000);
        let first = self.ports[1].wait(from, limit, |frame: &Frame| {
            sighting(frame).map(|advert| advert.at)
        });
        first.unwrap_or_else(|| panic!("nobody took over: {}", self.recent(limit)))
    }

    /// Stops the first router in good order; returns when it said priority 0 and when the second spoke.
    ///
    /// # Panics
    /// If it does not say priority 0.
    pub fn hand_over(&mut self) -> (Stamp, Stamp) {
        let asked = self.rivals[0].terminate();
        let resigned = self.ports[0].wait(asked, ms(3000), |frame| {
            sighting(frame).and_then(|advert| (advert.heard.priority() == 0).then_some(advert.at))
        });
        let resigned = resigned.unwrap_or_else(|| {
            panic!(
                "no priority 0 within 3 s of SIGTERM: {}",
                self.recent(ms(3000))
            )
        });
        (resigned, self.successor(resigned))
    }

    /// Kills the first router; returns when it last advertised and when the second spoke.
    ///
    /// # Panics
    /// If it had never advertised.
    pub fn kill(&mut self) -> (Stamp, Stamp) {
        let before = Stamp::now() - self.interval * 3;
        let killed = self.rivals[0].kill();
        let successor = self.successor(killed);
        let last = self
            .last(0, before, successor, |_| true)
            .expect("it was Active");
        (last, successor)
    }

    /// Unplugs the first router; returns when it was last heard and when the second spoke.
    ///
    /// # Panics
    /// If it had never advertised.
    pub fn unplug(&mut self) -> (Stamp, Stamp) {
        let before = Stamp::now() - self.interval * 3;
        let cut = Stamp::now();
        self.lan.unplug(0);
        let successor = self.successor(cut);
        let last = self
            .last(0, before, successor, |_| true)
            .expect("it was Active");
        (last, successor)
    }

    /// Starts the first router again and waits until it has taken the address back.
    pub fn take_back(&mut self) {
        self.rivals[0].revive(&self.lan.routers[0]);
        self.expect_elected(0);
    }

    /// Election, hand-over, SIGKILL, link loss, and preemption after each.
    ///
    /// `excuse` is what the second router may be late by for reasons of its make; ours has none.
    pub fn judge(&mut self, excuse: Duration) -> Measured {
        let skew = self.profile.skew(LOWER, self.interval);
        let down = self.profile.down(LOWER, self.interval);

        let (resigned, first) = self.hand_over();
        assert_within(
            "priority 0 to the other's first advertisement",
            resigned,
            first,
            skew + excuse,
        );
        let hand_over = first.since(resigned);
        self.expect_elected(1);
        self.take_back();

        let (last, first) = self.kill();
        assert_within(
            "last advertisement of the killed to the other's first",
            last,
            first,
            down + excuse,
        );
        let after_kill = first.since(last);
        self.expect_elected(1);
        self.take_back();

        let (last, first) = self.unplug();
        assert_within(
            "last advertisement of the unplugged to the other's first",
            last,
            first,
            down + excuse,
        );
        let after_unplug = first.since(last);
        std::thread::sleep(self.interval * 3);
        self.lan.plug(0);
        self.expect_elected(0);

        Measured {
            hand_over,
            after_kill,
            after_unplug,
            skew,
            down,
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
