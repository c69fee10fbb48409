//! When a probe is made: at each interval, with a place of its own in it, so that they do not all begin at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Voice;

/// Probes begin within this, however rare they are.
const SPREAD: Duration = Duration::from_secs(1);

/// The turns of one tracker.
#[derive(Debug)]
pub(crate) struct Turns<'a> {
    voice: &'a Voice,
    interval: Duration,
    place: Duration,
    next: Instant,
    begun: bool,
}

impl<'a> Turns<'a> {
    pub(crate) fn new(name: &str, interval: Duration, voice: &'a Voice) -> Self {
        let place = place(name, interval);
        Self {
            voice,
            interval,
            place,
            next: Instant::now() + place,
            begun: false,
        }
    }

    /// Waits for the next one, which an operator may want at once. Those that are over by now are left out: whoever takes longer
    /// than the interval is never made twice at the same time. May be dropped while it waits.
    pub(crate) async fn next(&mut self) {
        let now = Instant::now();
        while self.begun && self.next <= now {
            self.next += self.interval;
        }
        loop {
            self.voice.expect(self.next);
            tokio::select! {
                () = sleep_until(self.next) => {
                    self.begun = true;
                    self.next += self.interval;
                    self.voice.expect(self.next);
                    break;
                }
                at_once = self.voice.wanted() => {
                    if at_once {
                        break;
                    }
                    self.next = self.next.min(Instant::now() + self.place);
                }
            }
        }
        self.voice.begin();
    }
}

fn place(name: &str, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let window = interval.min(SPREAD).as_micros().max(1);
    let micros = u128::from(hasher.finish()) % window;
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread() {
        let interval = Duration::from_secs(1);
        let mut tenths = [0; 10];
        for number in 0..1000_u32 {
            let place = place(&format!("check-{number}"), interval);
            tenths[usize::try_from(place.as_millis() / 100).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|count| (60..=140).contains(count)),
            "{tenths:?}"
        );
        assert!(place("rare", Duration::from_secs(3600)) < SPREAD);
        assert!(place("often", Duration::from_millis(100)) < Duration::from_millis(100));
    }
}
