//! What the laboratory does to a LAN.

use core::fmt;

use vrrp_proto::Plan;

use crate::host::Host;
use crate::wire::{Frame, Weather};

/// One deed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Power and process come up.
    Start(Host),
    /// The machine loses power: not a word to anybody.
    Crash(Host),
    /// The process is asked to stop.
    Stop(Host),
    /// The process is stopped as by SIGSTOP; its kernel goes on.
    Pause(Host),
    /// And continues.
    Resume(Host),
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
    /// The kernel refuses, or no longer does.
    KernelFails(Host, bool),
    /// A stranger sends this to everybody.
    Inject(Frame),
    /// The address the host speaks from is another one: the last byte of it.
    Readdress(Host, u8),
    /// Another configuration is loaded.
    Reload(Host, Plan),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(host) => write!(f, "{host} starts"),
            Self::Crash(host) => write!(f, "{host} crashes"),
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
            Self::Weather(weather) => write!(
                f,
                "weather: loss {}, duplication {}, delay {:?} + {:?}",
                weather.loss, weather.duplication, weather.delay, weather.jitter
            ),
            Self::Deafen(host, true) => write!(f, "{host} cannot hear"),
            Self::Deafen(host, false) => write!(f, "{host} can hear again"),
            Self::KernelFails(host, true) => write!(f, "the kernel of {host} refuses"),
            Self::KernelFails(host, false) => write!(f, "the kernel of {host} obeys again"),
            Self::Inject(frame) => write!(
                f,
                "a stranger at {} sends {:02x?}",
                frame.source, frame.message
            ),
            Self::Readdress(host, last) => write!(f, "{host} has address {last} now"),
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
