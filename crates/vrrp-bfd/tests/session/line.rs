//! Two sessions on a line that loses, delays and cuts, with seeds.

use crate::bench::{config, ms, number};
use std::time::Duration;
use vrrp_bfd::{Config, ControlPacket, Session, State};
use vrrp_proto::Instant;

/// A small generator of numbers that nobody has to trust.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 32).unwrap_or(0)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit.max(1)
    }

    pub(crate) fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[1]
    }
}

struct Line {
    ends: [Session; 2],
    now: Instant,
    /// When it arrives, at which end, and what.
    flying: Vec<(Instant, usize, [u8; 24])>,
    random: Random,
    /// How many of a hundred are lost in each direction.
    loss: [usize; 2],
    /// The longest delay.
    delay: Duration,
    /// Changes of each end since that was last looked at.
    changes: [Vec<(State, bool)>; 2],
}

impl Line {
    fn new(seed: u64, configs: [Config; 2]) -> Self {
        let mut numbers = [11, 22].into_iter();
        Self {
            ends: configs.map(|config| {
                let number = number(numbers.next().expect("two"));
                Session::new(Instant::ZERO, config, number)
            }),
            now: Instant::ZERO,
            flying: Vec::new(),
            random: Random::new(seed),
            loss: [0, 0],
            delay: ms(1),
            changes: [Vec::new(), Vec::new()],
        }
    }

    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            for end in 0..2 {
                let change = self.ends[end].handle_timeout(self.now);
                self.note(end, change);
                while let Some(packet) = self.ends[end].poll_transmit(self.now, self.random.next())
                {
                    if self.random.below(100) >= self.loss[end] {
                        let delay = self.delay.as_micros() as usize;
                        let delay = Duration::from_micros(self.random.below(delay) as u64 + 1);
                        // A single hop does not change the order.
                        let before = self
                            .flying
                            .iter()
                            .filter(|it| it.1 == 1 - end)
                            .map(|it| it.0);
                        let at = before.fold(self.now + delay, Instant::max);
                        self.flying.push((at, 1 - end, packet.emit()));
                    }
                }
            }
            self.flying.sort_by_key(|(at, ..)| *at);
            let next = self.ends.iter().filter_map(Session::poll_timeout);
            let next = next.chain(self.flying.first().map(|(at, ..)| *at)).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                self.now = until;
                return;
            };
            assert!(
                next > self.now || self.flying.first().is_some_and(|it| it.0 <= self.now),
                "it hangs at {next:?}"
            );
            self.now = next.max(self.now);
            while self.flying.first().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, end, octets) = self.flying.remove(0);
                let packet = ControlPacket::parse(255, &octets).expect("ours are good");
                if let Ok(change) = self.ends[end].receive(self.now, &packet) {
                    self.note(end, change);
                }
            }
        }
    }

    fn note(&mut self, end: usize, change: Option<vrrp_bfd::Change>) {
        self.changes[end].extend(change.map(|it| (it.to, it.is_loss())));
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }

    fn forget(&mut self) {
        self.changes = [Vec::new(), Vec::new()];
    }
}

fn random_config(random: &mut Random) -> Config {
    let intervals = [10, 20, 50, 100, 300, 1000, 2000];
    let one = |random: &mut Random| ms(intervals[random.below(intervals.len())]);
    Config {
        desired_min_tx: one(random),
        required_min_rx: one(random),
        ..config(50, 1 + random.octet() % 5)
    }
}

#[test]
fn a_good_line_comes_up_and_stays_up() {
    for seed in 0..500 {
        let mut random = Random::new(seed + 1);
        let configs = [random_config(&mut random), random_config(&mut random)];
        let mut line = Line::new(seed, configs);
        line.run(ms(8000));
        assert_eq!(line.states(), [State::Up; 2], "seed {seed}");
        for end in 0..2 {
            assert_eq!(
                line.changes[end].last(),
                Some(&(State::Up, false)),
                "seed {seed}"
            );
            let (ours, theirs) = (configs[end], configs[1 - end]);
            let transmit = ours.desired_min_tx.max(theirs.required_min_rx);
            assert_eq!(
                line.ends[end].transmit_interval(),
                Some(transmit),
                "seed {seed}"
            );
            let detect = ours.required_min_rx.max(theirs.desired_min_tx)
                * u32::from(theirs.multiplier.get());
            assert_eq!(line.ends[end].detection_time(), detect, "seed {seed}");
            assert!(!line.ends[end].is_polling(), "seed {seed}");
        }
        // With no loss nothing happens any more, whatever the jitter, and while rates change.
        line.forget();
        line.run(ms(20_000));
        for (end, config) in configs.iter().enumerate() {
            line.ends[end].reconfigure(Config {
                multiplier: config.multiplier,
                ..random_config(&mut random)
            });
            line.run(ms(10_000));
        }
        assert_eq!(line.changes, [vec![], vec![]], "seed {seed}");
    }
}

#[test]
fn a_line_that_is_cut_is_lost_in_the_detection_time_and_comes_back() {
    for seed in 0..500 {
        let mut random = Random::new(seed + 1000);
        let configs = [random_config(&mut random), random_config(&mut random)];
        let mut line = Line::new(seed, configs);
        line.run(ms(8000));
        line.forget();
        let times = [0, 1].map(|end: usize| line.ends[end].detection_time());
        line.loss = [100, 100];
        let cut = line.now;
        line.run(times[0].max(times[1]) + ms(2));
        for end in 0..2 {
            assert_eq!(
                line.changes[end],
                [(State::Down, true)],
                "seed {seed}, cut at {cut:?}"
            );
        }
        line.loss = [0, 0];
        line.run(ms(8000));
        assert_eq!(line.states(), [State::Up; 2], "seed {seed}");
    }
}

/// One that is not heard learns it from the other one, and does not take it for lost: it hears it.
#[test]
fn one_direction_alone_is_lost_on_the_deaf_side_only() {
    for seed in 0..200 {
        let mut line = Line::new(seed, [config(50, 3), config(50, 3)]);
        line.run(ms(5000));
        line.forget();
        line.loss = [100, 0];
        line.run(ms(300));
        assert_eq!(
            line.changes[1].first(),
            Some(&(State::Down, true)),
            "seed {seed}"
        );
        assert_eq!(
            line.changes[0].first(),
            Some(&(State::Down, false)),
            "seed {seed}"
        );
    }
}

/// On a line that loses at random, they agree in the end, and what goes up was down.
#[test]
fn a_bad_line_flaps_and_ends_well() {
    for seed in 0..300 {
        let mut random = Random::new(seed + 5000);
        let mut line = Line::new(seed, [config(50, 2), config(20, 3)]);
        for _ in 0..20 {
            line.loss = [random.below(101), random.below(101)];
            line.delay = ms(1 + random.below(60) as u64);
            line.run(ms(1000));
        }
        for end in 0..2 {
            let states: Vec<State> = line.changes[end].iter().map(|(state, _)| *state).collect();
            assert!(
                states.windows(2).all(|pair| pair[0] != pair[1]),
                "seed {seed}: {states:?}"
            );
        }
        line.loss = [0, 0];
        line.delay = ms(1);
        line.run(ms(8000));
        assert_eq!(line.states(), [State::Up; 2], "seed {seed}");
        assert!(line.ends.iter().all(|end| !end.is_polling()), "seed {seed}");
    }
}
