//! What the laboratory does to a LAN.

use core::fmt;
use core::time::Duration;

use vrrp_proto::{Level, Plan};

use crate::host::Host;
use crate::kernel::{Meddling, Temper};
use crate::random::Chance;
use crate::wire::{Frame, Weather};
use crate::wish::Wish;

/// One deed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Power and process come up.
    Start(Host),
    /// The machine loses power: not a word to anybody.
    Crash(Host),
    /// The process is killed: its kernel keeps what it has.
    Kill(Host),
    /// The process is asked to stop.
    Stop(Host),
    /// A successor takes the process's place after this time, in which frames are lost.
    HandOver(Host, Duration),
    /// The process is stopped as by SIGSTOP; what its kernel has stays.
    Pause(Host),
    /// And continues.
    Resume(Host),
    /// The clock leaps forward by this, as after a suspension of the machine.
    Jump(Host, Duration),
    /// The cable is pulled.
    Unplug(Host),
    /// And put back.
    Plug(Host),
    /// The interface vanishes.
    Vanish(Host),
    /// The second one no longer hears the first.
    Cut(Host, Host),
    /// These hear only each other.
    Separate(Vec<Host>),
    /// Everybody hears everybody.
    Heal,
    /// The wire behaves like this from now on.
    Weather(Weather),
    /// The host's sockets fail, or work again.
    Deafen(Host, bool),
    /// The kernel behaves like this from now on.
    Kernel(Host, Temper),
    /// So many of the kernel's next notifications are lost.
    LoseNews(Host, u32),
    /// Somebody else changes something in the kernel.
    Meddle(Host, Meddling),
    /// A stranger sends this to everybody.
    Inject(Frame),
    /// The address the host speaks from is another one: the last byte of it.
    Readdress(Host, u8),
    /// Another configuration is loaded.
    Reload(Host, Plan),
    /// An operator asks this of all its routers.
    Operate(Host, Wish),
    /// Its uplink is found like this.
    Sample(Host, Level),
    /// The hooks that this router's addresses wait for are done, for this time.
    Prepared(Host, String, u64),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(host) => write!(f, "{host} starts"),
            Self::Crash(host) => write!(f, "{host} crashes"),
            Self::Kill(host) => write!(f, "{host} is killed"),
            Self::HandOver(host, gap) => {
                write!(f, "{host} hands over to a successor, {gap:?} later")
            }
            Self::Jump(host, leap) => write!(f, "the clock of {host} leaps by {leap:?}"),
            Self::Stop(host) => write!(f, "{host} is asked to stop"),
            Self::Pause(host) => write!(f, "{host} is paused"),
            Self::Resume(host) => write!(f, "{host} resumes"),
            Self::Unplug(host) => write!(f, "{host} loses its cable"),
            Self::Plug(host) => write!(f, "{host} gets its cable back"),
            Self::Vanish(host) => write!(f, "{host} loses its interface"),
            Self::Cut(from, to) => write!(f, "{to} no longer hears {from}"),
            Self::Separate(island) => {
                write!(f, "on an island:")?;
                island.iter().try_for_each(|host| write!(f, " {host}"))
            }
            Self::Heal => f.write_str("everybody hears everybody"),
            Self::Weather(weather) => {
                write!(
                    f,
                    "weather: loss {}, duplication {}, delay {:?} + {:?}",
                    weather.loss, weather.duplication, weather.delay, weather.jitter
                )?;
                if let Some(bursts) = weather.bursts {
                    write!(
                        f,
                        ", bursts begin {}, end {}, lose {}",
                        bursts.begin, bursts.end, bursts.loss
                    )?;
                }
                if weather.reordering != Chance::NEVER {
                    write!(
                        f,
                        ", {} held back for up to {:?}",
                        weather.reordering, weather.hold
                    )?;
                }
                Ok(())
            }
            Self::Deafen(host, true) => write!(f, "{host} cannot hear"),
            Self::Deafen(host, false) => write!(f, "{host} can hear again"),
            Self::Kernel(host, temper) => write!(f, "the kernel of {host}: {temper:?}"),
            Self::LoseNews(host, count) => {
                write!(f, "the kernel of {host} loses {count} notifications")
            }
            Self::Meddle(host, meddling) => {
                write!(f, "a stranger on {host}: {meddling:?}")
            }
            Self::Inject(frame) => write!(
                f,
                "a stranger at {} sends {:02x?}",
                frame.source, frame.message
            ),
            Self::Readdress(host, last) => write!(f, "{host} has address {last} now"),
            Self::Sample(host, level) => write!(f, "the uplink of {host} is {level}"),
            Self::Prepared(host, router, number) => {
                write!(
                    f,
                    "the hooks of {router} on {host} are done, for the {number}. time"
                )
            }
            Self::Operate(host, wish) => write!(f, "{host} is asked {wish}"),
            Self::Reload(host, plan) => {
                write!(f, "{host} reloads:")?;
                plan.routers.iter().try_for_each(|router| {
                    write!(
                        f,
                        " {} (priority {}, interval {})",
                        router.name, router.priority, router.interval
                    )
                })
            }
        }
    }
}

impl Action {
    /// The hosts it is done to; empty when it concerns all of them.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        match self {
            Self::Start(host)
            | Self::Crash(host)
            | Self::Kill(host)
            | Self::Stop(host)
            | Self::HandOver(host, _)
            | Self::Pause(host)
            | Self::Resume(host)
            | Self::Jump(host, _)
            | Self::Unplug(host)
            | Self::Plug(host)
            | Self::Vanish(host)
            | Self::Deafen(host, _)
            | Self::Kernel(host, _)
            | Self::LoseNews(host, _)
            | Self::Meddle(host, _)
            | Self::Readdress(host, _)
            | Self::Reload(host, _)
            | Self::Operate(host, _)
            | Self::Sample(host, _)
            | Self::Prepared(host, ..) => vec![*host],
            Self::Cut(from, to) => vec![*from, *to],
            Self::Separate(hosts) => hosts.clone(),
            Self::Heal | Self::Weather(_) | Self::Inject(_) => Vec::new(),
        }
    }
}
