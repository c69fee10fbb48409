//! What moves with every packet, in memory that is still there when this process is not: when each router sent its last
//! advertisement, which interval it learned, and all counters.
//!
//! It begins with how many numbers there are of each kind, which are only ever added to: another version of this program
//! reads and writes those that it and the table know.
//!
//! Sendings are entered as they happen. The rest is copied from time to time, so that it costs next to nothing however many
//! routers there are.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use vrrp_proto::{Engine, GlobalStatistics, Instant, Interval, RouterId, RouterStatistics, Trace};

use crate::lateness::{Lateness, LatenessReport};
use crate::syscall::SharedNumbers;

/// Routers that have a place; identifiers are given in turn, so that this is also how many reloads may add. A router
/// without one is taken for silent.
const PLACES: usize = 1 << 16;

/// How many numbers there are of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Layout {
    /// Counters that belong to no router.
    global: usize,
    /// How late the engine ran.
    late: usize,
    /// Counters of a router.
    router: usize,
}

impl Layout {
    const OURS: Self = Self {
        global: GlobalStatistics::COUNT,
        late: LatenessReport::COUNT,
        router: RouterStatistics::COUNT,
    };

    /// Itself, in front of everything: the version of this order, and the three numbers.
    const TITLE: usize = 4;

    const VERSION: u64 = 1;

    /// More of a kind than this there never are.
    const MOST: u64 = 1 << 10;

    fn read(title: &[AtomicU64]) -> Option<Self> {
        let [version, numbers @ ..] = title.first_chunk::<{ Self::TITLE }>()?;
        if version.load(Ordering::Relaxed) != Self::VERSION {
            return None;
        }
        let number = |place: usize| {
            let number = numbers.get(place)?.load(Ordering::Relaxed);
            usize::try_from(Some(number).filter(|number| *number <= Self::MOST)?).ok()
        };
        Some(Self {
            global: number(0)?,
            late: number(1)?,
            router: number(2)?,
        })
    }

    fn write(self, title: &[AtomicU64]) {
        let numbers = [self.global, self.late, self.router].map(|number| number as u64);
        for (place, number) in title.iter().skip(1).zip(numbers) {
            place.store(number, Ordering::Relaxed);
        }
        if let Some(place) = title.first() {
            place.store(Self::VERSION, Ordering::Relaxed);
        }
    }

    /// At the place of a router: when it advertised, the interval it learned in centiseconds, and its counters.
    const fn place(self) -> usize {
        2 + self.router
    }

    /// Before the places: what concerns no router.
    const fn head(self) -> usize {
        Self::TITLE + self.global + self.late
    }

    /// Pages that were never written take no memory.
    const fn count(self) -> usize {
        self.head() + PLACES * self.place()
    }
}

/// Copying takes a thousandth of this for each router, or two where there are so many that none is in a cache.
const PAUSE: Duration = Duration::from_micros(200);

/// The table.
#[derive(Debug)]
pub(crate) struct Pulse {
    numbers: SharedNumbers,
    layout: Layout,
    /// When the counters were copied.
    copied: Instant,
    /// How long to wait for the next time.
    pause: Duration,
}

impl Pulse {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        Self::laid_out(Layout::OURS)
    }

    fn laid_out(layout: Layout) -> io::Result<Self> {
        let file = memfd_create("vrrpd-pulse", MFdFlags::MFD_CLOEXEC)?;
        let length = layout.count() * size_of::<AtomicU64>();
        ftruncate(&file, i64::try_from(length).map_err(io::Error::other)?)?;
        let numbers = SharedNumbers::of(file, layout.count())?;
        layout.write(numbers.all());
        Ok(Self::with(numbers, layout))
    }

    /// What another process wrote into `file`, to be written on.
    pub(crate) fn of(file: OwnedFd) -> io::Result<Self> {
        let title = SharedNumbers::of(file.try_clone()?, Layout::TITLE)?;
        let layout = Layout::read(title.all())
            .ok_or_else(|| io::Error::other("the table of advertisements is of another version"))?;
        Ok(Self::with(SharedNumbers::of(file, layout.count())?, layout))
    }

    const fn with(numbers: SharedNumbers, layout: Layout) -> Self {
        Self {
            numbers,
            layout,
            copied: Instant::ZERO,
            pause: Duration::ZERO,
        }
    }

    fn place(&self, RouterId(id): RouterId) -> Option<&[AtomicU64]> {
        let id = usize::try_from(id).ok().filter(|id| *id < PLACES)?;
        let start = id * self.layout.place() + self.layout.head();
        self.numbers.all().get(start..start + self.layout.place())
    }

    /// This router has just advertised.
    pub(crate) fn beat(&self, router: RouterId, sent: Instant) {
        if let Some([place, ..]) = self.place(router) {
            place.store(sent.as_nanos(), Ordering::Relaxed);
        }
    }

    /// It is time to copy, however short ago that was.
    pub(crate) const fn recopy(&mut self) {
        self.copied = Instant::ZERO;
    }

    /// Copies what has changed of the rest, if it is time for that.
    pub(crate) fn copy(&mut self, now: Instant, engine: &Engine, lateness: &Lateness) {
        if now.saturating_since(self.copied) < self.pause {
            return;
        }
        let mut routers = 0;
        for (id, interval, statistics) in engine.pulses() {
            routers += 1;
            let Some([_, learned, counters @ ..]) = self.place(id) else {
                continue;
            };
            let interval = interval.duration().as_millis() / 10;
            learned.store(u64::try_from(interval).unwrap_or(0), Ordering::Relaxed);
            write(counters, &statistics.numbers());
        }
        let (global, late) = self.head();
        write(global, &engine.statistics().numbers());
        write(late, &lateness.report().numbers());
        self.copied = now;
        self.pause = PAUSE * routers;
    }

    /// What is known of a router; nothing of one that never was.
    pub(crate) fn trace(&self, router: RouterId) -> Trace {
        let Some([sent, learned, counters @ ..]) = self.place(router) else {
            return Trace::default();
        };
        let number = |place: &AtomicU64| match place.load(Ordering::Relaxed) {
            0 => None,
            number => Some(number),
        };
        Trace {
            sent: number(sent).map(Instant::from_nanos),
            learned: number(learned)
                .and_then(|centis| u16::try_from(centis).ok())
                .and_then(Interval::from_centis),
            statistics: RouterStatistics::of_numbers(read(counters)),
        }
    }

    /// Counters that belong to no router, and how late the engine ran.
    pub(crate) fn totals(&self) -> (GlobalStatistics, LatenessReport) {
        let (global, late) = self.head();
        (
            GlobalStatistics::of_numbers(read(global)),
            LatenessReport::of_numbers(read(late)),
        )
    }

    fn head(&self) -> (&[AtomicU64], &[AtomicU64]) {
        self.numbers.all()[Layout::TITLE..self.layout.head()].split_at(self.layout.global)
    }
}

/// What has not changed is not written: a page that only holds zeros need not be there.
fn write(places: &[AtomicU64], numbers: &[u64]) {
    for (place, number) in places.iter().zip(numbers) {
        if place.load(Ordering::Relaxed) != *number {
            place.store(*number, Ordering::Relaxed);
        }
    }
}

/// What is not there is 0.
fn read<const N: usize>(places: &[AtomicU64]) -> [u64; N] {
    let number = |place: &AtomicU64| place.load(Ordering::Relaxed);
    std::array::from_fn(|place| places.get(place).map_or(0, number))
}

impl AsFd for Pulse {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.numbers.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn successor(pulse: &Pulse) -> Pulse {
        Pulse::of(pulse.as_fd().try_clone_to_owned().unwrap()).unwrap()
    }

    #[test]
    fn a_successor_reads_what_was_written_until_the_end() {
        let pulse = Pulse::new().unwrap();
        pulse.beat(RouterId(7), Instant::from_nanos(5));
        let successor = successor(&pulse);
        pulse.beat(RouterId(7), Instant::from_nanos(6));
        drop(pulse);
        let sent = |id| successor.trace(RouterId(id)).sent;
        assert_eq!(sent(7), Some(Instant::from_nanos(6)));
        assert_eq!(sent(8), None);
        successor.beat(RouterId(u32::MAX), Instant::from_nanos(6));
        assert_eq!(sent(u32::MAX), None);
    }

    #[test]
    fn places_do_not_overlap() {
        let pulse = Pulse::new().unwrap();
        for id in 0..3 {
            let place = pulse.place(RouterId(id)).unwrap();
            let numbers: [u64; Layout::OURS.place()] =
                std::array::from_fn(|at| u64::from(id) * 100 + 10 + at as u64);
            write(place, &numbers);
        }
        let (global, late) = pulse.head();
        write(global, &[7; GlobalStatistics::COUNT]);
        write(late, &[9; LatenessReport::COUNT]);
        for id in 0..3 {
            let trace = pulse.trace(RouterId(id));
            let base = u64::from(id) * 100 + 10;
            assert_eq!(trace.sent, Some(Instant::from_nanos(base)));
            assert_eq!(
                trace.learned.map(|it| it.duration().as_millis()),
                Some(u128::from(base + 1) * 10)
            );
            assert_eq!(trace.statistics.master_transitions, base + 2);
            assert_eq!(trace.statistics.repairs, base + 23);
        }
        let (global, late) = pulse.totals();
        assert_eq!(global.checksum_errors, 7);
        assert_eq!(late.beyond_interval, 9);
        assert!(pulse.place(RouterId((1 << 16) - 1)).is_some());
        assert!(pulse.place(RouterId(1 << 16)).is_none());
    }

    #[test]
    fn a_version_with_fewer_counters_or_more_reads_those_it_knows() {
        let (fewer, more) = (
            Layout {
                router: Layout::OURS.router - 2,
                ..Layout::OURS
            },
            Layout {
                global: Layout::OURS.global + 3,
                router: Layout::OURS.router + 3,
                ..Layout::OURS
            },
        );
        for layout in [fewer, more] {
            let theirs = Pulse::laid_out(layout).unwrap();
            for id in 0..3 {
                let numbers: Vec<u64> = (0..layout.place() as u64)
                    .map(|at| u64::from(id) * 100 + at + 10)
                    .collect();
                write(theirs.place(RouterId(id)).unwrap(), &numbers);
            }
            let (global, late) = theirs.head();
            write(global, &vec![7; layout.global]);
            write(late, &vec![9; layout.late]);
            let ours = successor(&theirs);
            for id in 0..3 {
                let (trace, base) = (ours.trace(RouterId(id)), u64::from(id) * 100 + 10);
                assert_eq!(trace.sent, Some(Instant::from_nanos(base)));
                assert_eq!(trace.statistics.master_transitions, base + 2);
                let known = layout.router.min(Layout::OURS.router);
                let numbers = trace.statistics.numbers();
                assert_eq!(numbers[known - 1], base + 1 + known as u64);
                assert!(numbers[known..].iter().all(|number| *number == 0));
            }
            assert_eq!(ours.totals().0.numbers(), [7; GlobalStatistics::COUNT]);
            assert_eq!(ours.totals().1.beyond_interval, 9);
        }
    }

    #[test]
    fn another_file_is_refused() {
        let file = memfd_create("long", MFdFlags::MFD_CLOEXEC).unwrap();
        ftruncate(&file, 1 << 20).unwrap();
        assert!(Pulse::of(file).is_err());
        let file = memfd_create("short", MFdFlags::MFD_CLOEXEC).unwrap();
        assert!(Pulse::of(file).is_err());
    }
}
