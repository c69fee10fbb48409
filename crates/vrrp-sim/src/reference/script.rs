//! A sequence of events from bytes, played to the engine and to the model at once.
//!
//! Sixteen bytes make the router, every eight more bytes one event. All bytes mean something, so a fuzzer and a
//! property test can both draw them, and both can shorten them.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use vrrp_proto::{
    AuthenticationKey, ChecksumForm, ChecksumPolicy, Dialect, Family, Input, Interval, LinkFacts,
    MacAddress, Plan, Priority, RouterPlan, VirtualAddress, Vrid,
};

use super::machine::{Machine, group};
use super::subject::{Beside, INTERFACE, Subject, same};
use super::terms::{Form, Nanos, SECOND, Terms, Version};
use super::wire::{self, Packet};

/// Bytes that make the router.
pub const ROUTER_BYTES: usize = 16;
/// Bytes that make one event.
pub const EVENT_BYTES: usize = 8;
/// What comes after so many events is not played.
const LONGEST: usize = 2_000;

const PRIORITIES: [u8; 8] = [100, 1, 50, 150, 200, 254, 255, 99];

/// An advertisement to be, right or wrong.
#[derive(Clone, Copy, Debug)]
pub struct Forgery {
    priority: u8,
    interval: Nanos,
    source: Source,
    form: Form,
    defect: Defect,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Lower,
    Higher,
    Highest,
    Own,
    Stranger,
}

/// What is wrong with a packet; the checksum is right again after all but the first few.
#[derive(Clone, Copy, Debug)]
enum Defect {
    None,
    Checksum(u8),
    OtherForm,
    Ttl(u8),
    Cut(u8),
    Longer(u8),
    Byte(u8, u8),
    Vrid(u8, u8),
    Version(u8),
    NoAddress,
    OtherAddress,
    Reversed,
    Authentication(u8),
    Destination,
    Carp,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A packet arrives.
    Packet(Forgery),
    /// So many 800ths of the interval pass, and every timer is served when it is due.
    Wait(u64),
    /// Time passes until this long after the router's own timer is due (before it, if `early`), unserved until then.
    Deadline {
        /// Off by this many 800ths of the interval.
        by: u64,
        /// And a nanosecond more.
        nano: bool,
        /// Before.
        early: bool,
        /// Timers are served at the end; otherwise whatever happens next comes first.
        served: bool,
    },
    /// Time passes while the machine is suspended.
    Sleep {
        /// How many 800ths of the interval.
        parts: u64,
        /// Timers are served at the end; otherwise whatever happens next comes first.
        served: bool,
    },
    /// The interface.
    Link {
        /// It has carrier and is up.
        works: bool,
        /// Last byte of its address.
        last: Option<u8>,
    },
    /// The configuration changes.
    Reload {
        /// Priority.
        priority: u8,
        /// Interval.
        interval: Nanos,
        /// Preemption.
        preempt: bool,
    },
    /// The kernel holds what it should.
    Applied,
    /// The daemon stops.
    Shutdown,
}

/// A router and what happens to it.
#[derive(Clone, Debug)]
pub struct Script {
    terms: Terms,
    events: Vec<Event>,
}

const fn intervals(version: Version) -> [Nanos; 4] {
    match version {
        Version::Two => [SECOND, 2 * SECOND, 3 * SECOND, 255 * SECOND],
        Version::Three => [SECOND, SECOND / 100, SECOND / 10, 4095 * SECOND / 100],
    }
}

fn pick<T: Copy>(choices: &[T], byte: u8) -> T {
    choices[usize::from(byte) % choices.len()]
}

/// A real address on the LAN.
#[must_use]
pub const fn real(ipv6: bool, last: u8) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last as u16))
    } else {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }
}

fn addresses(ipv6: bool, count: u8) -> Vec<IpAddr> {
    (0..count)
        .map(|number| match (ipv6, number) {
            (false, _) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254 - number)),
            (true, 0) => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe)),
            (true, _) => IpAddr::V6(Ipv6Addr::new(
                0x2001,
                0xdb8,
                0,
                0,
                0,
                0,
                0,
                u16::from(number),
            )),
        })
        .collect()
}

impl Script {
    /// Whatever these bytes mean; missing ones are zeros.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut router = [0; ROUTER_BYTES];
        let head = bytes.len().min(ROUTER_BYTES);
        router[..head].copy_from_slice(&bytes[..head]);
        let terms = Self::terms_of(router);
        let events = bytes[head..]
            .chunks_exact(EVENT_BYTES)
            .take(LONGEST)
            .map(|chunk| Self::event_of(&terms, chunk))
            .collect();
        Self { terms, events }
    }

    /// How many events it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing happens.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn terms_of(bytes: [u8; ROUTER_BYTES]) -> Terms {
        let [
            kind,
            priority,
            interval,
            manners,
            count,
            password,
            form,
            peers,
            ..,
        ] = bytes;
        let (version, ipv6) = pick(
            &[
                (Version::Three, false),
                (Version::Two, false),
                (Version::Three, true),
            ],
            kind,
        );
        let interval = pick(&intervals(version), interval);
        let unicast = peers % 8 == 7;
        // An owner's addresses would have to be on the interface; for IPv6 nobody checks.
        let priority = pick(&PRIORITIES, priority);
        Terms {
            version,
            ipv6,
            vrid: 51,
            priority,
            interval,
            preempt: manners % 4 != 3,
            hold_time: match manners % 8 {
                1 => 5 * interval,
                5 => interval / 2,
                _ => 0,
            },
            addresses: addresses(ipv6, 1 + count % 3),
            password: (version == Version::Two && password % 3 == 1).then_some(*b"secret\0\0"),
            send_form: pick(
                &[None, None, Some(Form::Message), Some(Form::PseudoHeader)],
                form,
            ),
            strict: form % 16 == 15,
            peers: if unicast {
                vec![real(ipv6, 5), real(ipv6, 200)]
            } else {
                Vec::new()
            },
        }
    }

    fn event_of(terms: &Terms, bytes: &[u8]) -> Event {
        let byte = |at: usize| bytes[at];
        let parts = |at: usize| u64::from(byte(at));
        match byte(0) % 16 {
            0..=5 => Event::Packet(Self::forgery_of(terms, bytes)),
            6..=8 => Event::Wait(20 * parts(1)),
            9 | 10 => Event::Deadline {
                by: pick(&[0, 0, 16, 200, 1600], byte(1)),
                nano: byte(1) / 5 % 2 == 1,
                early: byte(2) % 4 == 3,
                served: byte(3) % 4 != 3,
            },
            11 => Event::Sleep {
                parts: 20 * parts(1) + parts(2),
                served: byte(3) % 2 == 0,
            },
            12 => Event::Link {
                works: byte(1) % 3 != 2,
                last: pick(&[Some(11), Some(11), Some(12), Some(210), None], byte(2)),
            },
            13 => Event::Reload {
                priority: pick(&PRIORITIES[..6], byte(1)),
                interval: pick(&intervals(terms.version), byte(2)),
                preempt: byte(3) % 4 != 3,
            },
            14 => Event::Applied,
            _ if byte(1) == 255 => Event::Shutdown,
            _ => Event::Wait(parts(2)),
        }
    }

    fn forgery_of(terms: &Terms, bytes: &[u8]) -> Forgery {
        let byte = |at: usize| bytes[at];
        let defect = match byte(4) {
            0..=150 => Defect::None,
            151..=157 => Defect::Checksum(byte(5)),
            158..=164 => Defect::OtherForm,
            165..=171 => Defect::Ttl(byte(5)),
            172..=178 => Defect::Cut(byte(5)),
            179..=185 => Defect::Longer(byte(5)),
            186..=199 => Defect::Byte(byte(5), byte(6)),
            200..=206 => Defect::Vrid(byte(5), byte(6)),
            207..=213 => Defect::Version(byte(5)),
            214..=220 => Defect::NoAddress,
            221..=227 => Defect::OtherAddress,
            228..=234 => Defect::Reversed,
            235..=241 => Defect::Authentication(byte(5)),
            242..=248 => Defect::Destination,
            249..=255 => Defect::Carp,
        };
        Forgery {
            priority: match byte(1) % 8 {
                0 => terms.priority,
                1 => terms.priority.saturating_add(1),
                2 => terms.priority.saturating_sub(1),
                3 => 0,
                4 => 255,
                _ => byte(7),
            },
            interval: match byte(2) % 8 {
                0..=5 => terms.interval,
                6 => pick(&intervals(terms.version), byte(7)),
                _ => 0,
            },
            source: pick(
                &[
                    Source::Higher,
                    Source::Lower,
                    Source::Highest,
                    Source::Higher,
                    Source::Lower,
                    Source::Own,
                    Source::Stranger,
                ],
                byte(3),
            ),
            form: pick(
                &[Form::Message, Form::Message, Form::PseudoHeader],
                byte(3) / 7,
            ),
            defect,
        }
    }

    /// Only the router of [`Self::from_bytes`], and the engine's plan for it: what a packet is checked against.
    #[must_use]
    pub fn router(bytes: [u8; ROUTER_BYTES]) -> (Terms, Plan) {
        let terms = Self::terms_of(bytes);
        let plan = plan(&terms);
        (terms, plan)
    }

    /// Plays it; both must do the same, and the laws of the [`Judge`](crate::judge::Judge) must hold.
    ///
    /// # Errors
    /// The first difference, with everything that led to it.
    pub fn play(&self) -> Result<(), String> {
        let mut pair = Pair::new(&self.terms).map_err(|difference| self.report(0, &difference))?;
        for (number, event) in (1..).zip(&self.events) {
            pair.play(event)
                .and_then(|()| pair.compare())
                .map_err(|difference| self.report(number, &difference))?;
            // In some scripts there is a new process after each event.
            if self.events.len().is_multiple_of(8) {
                pair.subject
                    .hand_over()
                    .and_then(|()| pair.compare())
                    .map_err(|difference| self.report(number, &difference))?;
            }
        }
        Ok(())
    }

    fn report(&self, number: usize, difference: &str) -> String {
        use fmt::Write as _;
        let mut text = format!("{:#?}\n", self.terms);
        for event in &self.events[..number] {
            let _ = writeln!(text, "{event:?}");
        }
        text + difference
    }
}

/// The engine and the model, side by side.
struct Pair {
    subject: Subject,
    model: Machine,
    last: u8,
}

impl Beside for Pair {
    fn subject(&mut self) -> &mut Subject {
        &mut self.subject
    }

    fn deadline(&self) -> Option<Nanos> {
        self.model.deadline()
    }

    fn wake_model(&mut self) {
        self.model.timer(self.subject.now);
    }

    fn compare(&mut self) -> Result<(), String> {
        let look = self.subject.look()?;
        same("advertisements", &look.sent, &self.model.take_sent())?;
        same("role", &look.role, &self.model.role())?;
        same("counters", &look.tally, &self.model.tally)?;
        same("timer", &look.deadline, &self.model.deadline())
            .map_err(|difference| format!("{difference}\n   now: {}", self.subject.now))
    }
}

impl Pair {
    fn new(terms: &Terms) -> Result<Self, String> {
        let start = 10_000 * SECOND;
        let subject = Subject::new(&plan(terms), start);
        let mut pair = Self {
            subject,
            model: Machine::new(terms.clone()),
            last: 11,
        };
        pair.compare()?;
        let facts = facts(terms, Some(11), true);
        pair.subject.link(&facts);
        pair.model.link(start, Some(real(terms.ipv6, 11)), true);
        pair.compare()?;
        Ok(pair)
    }

    fn play(&mut self, event: &Event) -> Result<(), String> {
        match *event {
            Event::Packet(forgery) => {
                let (source, destination, ttl, message) = self.forge(&forgery);
                let packet = Packet {
                    source,
                    destination,
                    ttl,
                    message: &message,
                };
                self.model.packet(self.subject.now, &packet);
                self.subject.hear(&packet);
                Ok(())
            }
            Event::Wait(parts) => self.wait(self.part() * parts),
            Event::Deadline {
                by,
                nano,
                early,
                served,
            } => {
                let by = self.part() * by + u64::from(nano);
                self.sleep_about(by, early, served);
                Ok(())
            }
            Event::Sleep { parts, served } => {
                let until = self.subject.now + self.part() * parts;
                self.sleep(until, served);
                Ok(())
            }
            Event::Link { works, last } => {
                let terms = self.model.terms();
                // An owner without another address speaks from the address it owns.
                let owned = terms.addresses.first().copied();
                let address = match last {
                    Some(last) => Some(real(terms.ipv6, last)),
                    None => owned.filter(|_| terms.is_owner() && !terms.ipv6),
                };
                let facts = facts(terms, last, works);
                self.last = last.unwrap_or(self.last);
                self.model.link(self.subject.now, address, works);
                self.subject.link(&facts);
                Ok(())
            }
            Event::Reload {
                priority,
                interval,
                preempt,
            } => {
                let mut terms = self.model.terms().clone();
                if !terms.is_owner() {
                    terms.priority = priority;
                }
                terms.interval = interval;
                terms.preempt = preempt;
                let plan = plan(&terms);
                self.model.reload(self.subject.now, terms);
                self.subject.handle(Input::Reload(&plan));
                Ok(())
            }
            Event::Applied => {
                self.subject.applied();
                Ok(())
            }
            Event::Shutdown => {
                self.model.stop(self.subject.now);
                self.subject.handle(Input::Shutdown);
                Ok(())
            }
        }
    }

    fn part(&self) -> Nanos {
        self.model.terms().interval / 800
    }

    fn forge(&self, forgery: &Forgery) -> (IpAddr, IpAddr, u8, Vec<u8>) {
        let own = self.model.terms();
        let mut terms = own.clone();
        terms.interval = forgery.interval;
        let last = match forgery.source {
            Source::Lower => 5,
            Source::Higher => 200,
            Source::Highest => 253,
            Source::Own => self.last,
            Source::Stranger => 9,
        };
        let source = real(own.ipv6, last);
        let agreed = if own.peers.is_empty() {
            group(own.ipv6)
        } else {
            real(own.ipv6, self.last)
        };
        let other_way = if own.peers.is_empty() {
            real(own.ipv6, self.last)
        } else {
            group(own.ipv6)
        };
        let mut destination = agreed;
        let mut ttl = 255;
        match forgery.defect {
            Defect::Vrid(vrid, _) => terms.vrid = vrid,
            Defect::NoAddress => terms.addresses.clear(),
            Defect::OtherAddress => terms.addresses.push(if own.ipv6 {
                IpAddr::V6(Ipv6Addr::LOCALHOST)
            } else {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            }),
            Defect::Reversed => terms.addresses.reverse(),
            Defect::Destination => destination = other_way,
            Defect::Ttl(other) => ttl = other,
            Defect::None
            | Defect::Checksum(_)
            | Defect::OtherForm
            | Defect::Cut(_)
            | Defect::Longer(_)
            | Defect::Byte(..)
            | Defect::Version(_)
            | Defect::Authentication(_)
            | Defect::Carp => {}
        }
        let mut message = wire::write(&terms, forgery.priority, forgery.form, source, destination);
        let mut form = forgery.form;
        let mut mend = true;
        match forgery.defect {
            Defect::Checksum(by) => {
                message[7] = message[7].wrapping_add(by);
                mend = false;
            }
            // The wrong one of the two for this version and family.
            Defect::OtherForm => {
                form = match (own.version, own.ipv6) {
                    (Version::Three, true) => Form::Message,
                    _ => Form::PseudoHeader,
                };
            }
            Defect::Cut(by) => {
                let keep = message.len().saturating_sub(1 + usize::from(by) % 16);
                message.truncate(keep);
            }
            Defect::Longer(by) => message.resize(message.len() + 1 + usize::from(by) % 40, by),
            Defect::Byte(place, value) => {
                let place = usize::from(place) % message.len();
                message[place] = value;
            }
            Defect::Version(first) => message[0] = first,
            // A stranger may speak the other version.
            Defect::Vrid(_, other) => {
                if other % 2 == 1 {
                    message[0] ^= 0x10;
                }
            }
            Defect::Authentication(kind) => {
                message[4] = kind % 5;
                if let Some(last) = message.last_mut() {
                    *last ^= kind / 5 % 2;
                }
            }
            Defect::Carp => {
                message.resize(36, 7);
                message[0] = 0x21;
                message[3] = 7;
            }
            Defect::None
            | Defect::Ttl(_)
            | Defect::NoAddress
            | Defect::OtherAddress
            | Defect::Reversed
            | Defect::Destination => mend = false,
        }
        if mend {
            wire::mend_checksum(&mut message, own, form, source, destination);
        }
        (source, destination, ttl, message)
    }
}

fn facts(terms: &Terms, last: Option<u8>, works: bool) -> LinkFacts {
    let mut ipv4: Vec<_> = last
        .map(|last| (Ipv4Addr::new(192, 0, 2, last), 24))
        .into_iter()
        .collect();
    if terms.is_owner() {
        ipv4.extend(terms.addresses.iter().filter_map(|address| match address {
            IpAddr::V4(v4) => Some((*v4, 24)),
            IpAddr::V6(_) => None,
        }));
    }
    LinkFacts {
        index: 2,
        up: works,
        carrier: works,
        mtu: 1500,
        mac: MacAddress([2, 0, 0, 0, 0, 11]),
        ipv4,
        link_local: last
            .map(|last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)))
            .into_iter()
            .collect(),
    }
}

fn plan(terms: &Terms) -> Plan {
    let (dialect, interval) = match terms.version {
        Version::Two => (
            Dialect::Vrrp2,
            u8::try_from(terms.interval / SECOND)
                .ok()
                .and_then(Interval::from_secs),
        ),
        Version::Three => (
            Dialect::Vrrp3,
            u16::try_from(terms.interval * 100 / SECOND)
                .ok()
                .and_then(Interval::from_centis),
        ),
    };
    let Some(vrid) = Vrid::new(terms.vrid) else {
        return Plan::default();
    };
    let (family, prefix_len) = if terms.ipv6 {
        (Family::Ipv6, 64)
    } else {
        (Family::Ipv4, 24)
    };
    let addresses = terms
        .addresses
        .iter()
        .map(|&ip| VirtualAddress { ip, prefix_len });
    Plan {
        routers: vec![RouterPlan {
            dialect,
            priority: Priority::new(terms.priority),
            interval: interval.unwrap_or(Interval::DEFAULT),
            preempt: terms.preempt,
            preempt_delay: Duration::from_nanos(terms.hold_time),
            checksum: ChecksumPolicy {
                send: terms.send_form.map(|form| match form {
                    Form::Message => ChecksumForm::Rfc9568,
                    Form::PseudoHeader => ChecksumForm::Rfc5798,
                }),
                strict: terms.strict,
            },
            authentication: terms
                .password
                .and_then(|password| AuthenticationKey::new(&password)),
            unicast_peers: terms.peers.clone(),
            ..RouterPlan::new("gateway", INTERFACE, vrid, family, addresses.collect())
        }],
        ..Plan::default()
    }
}
