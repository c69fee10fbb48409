//! What an operator asks of a router.

use core::fmt;
use core::time::Duration;

use vrrp_proto::{Instant, Note, Order, Priority, Standing};

use crate::random::{Chance, Random};

/// An order, with its end as a time from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Hand over, by force or not.
    Failover(bool),
    /// Hand over and stay out, for so long, by force or not.
    Drain(Option<Duration>, bool),
    /// And come back.
    Undrain,
    /// Another priority, for so long.
    Priority(u8, Option<Duration>),
    /// The configured one.
    Reset,
    /// Nobody preempts, for so long.
    Pin(Duration),
    /// Announce once more.
    Announce,
}

impl Wish {
    /// Any of them that begins something, in a world of this pace.
    pub fn draw(random: &mut Random, pace: Duration) -> Self {
        let time = random.up_to(pace * 15);
        let end = random.happens(Chance::percent(60)).then_some(time);
        let force = random.happens(Chance::percent(20));
        match random.below(8) {
            0..=2 => Self::Failover(force),
            3 | 4 => Self::Drain(end, force),
            5 | 6 => Self::Priority(random.one_of(&[1, 50, 100, 101, 200, 254]), end),
            _ => Self::Pin(time),
        }
    }

    /// In the engine's words.
    #[must_use]
    pub fn order(self, now: Instant) -> Order {
        let note = Note {
            by: "operator".into(),
            ..Note::default()
        };
        let terms = |time: Option<Duration>| Standing {
            until: time.map(|time| now + time),
            note: note.clone(),
        };
        match self {
            Self::Failover(force) => Order::Failover {
                force,
                note: note.clone(),
            },
            Self::Drain(time, force) => Order::Drain {
                force,
                terms: terms(time),
            },
            Self::Undrain => Order::Undrain,
            Self::Priority(priority, time) => Order::SetPriority {
                priority: Priority::new(priority),
                terms: terms(time),
            },
            Self::Reset => Order::ResetPriority,
            Self::Pin(time) => Order::Pin(terms(Some(time))),
            Self::Announce => Order::Announce,
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = |force: bool| if force { " by force" } else { "" };
        match self {
            Self::Failover(force) => write!(f, "to fail over{}", how(*force)),
            Self::Drain(time, force) => write!(f, "to drain{} for {time:?}", how(*force)),
            Self::Undrain => f.write_str("to undrain"),
            Self::Priority(priority, time) => write!(f, "for priority {priority} for {time:?}"),
            Self::Reset => f.write_str("to reset its priority"),
            Self::Pin(time) => write!(f, "to be pinned for {time:?}"),
            Self::Announce => f.write_str("to announce"),
        }
    }
}
