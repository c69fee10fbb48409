//! Roles and timers: RFC 9568 §6.4 with its errata, RFC 3768 §6.4.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeMap;

use super::terms::{Form, Nanos, Terms, Version};
use super::wire::{self, Packet, Refusal, Said};

/// RFC 9568 §6.4. The names that CARP has are other ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// §6.4.1; INIT
    Initialize,
    /// §6.4.2; BACKUP
    Backup,
    /// §6.4.3; MASTER
    Active,
}

/// An advertisement that left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// The bytes.
    pub message: Vec<u8>,
}

#[derive(Clone, Debug)]
enum State {
    Initialize,
    Backup(Backup),
    Active(Active),
}

#[derive(Clone, Debug)]
struct Backup {
    active_adver_interval: Nanos,
    /// When Active_Down_Timer was last started.
    started: Nanos,
    /// The Skew_Time it was started with, after a release, instead of Active_Down_Interval.
    released: Option<Nanos>,
    /// Until when a lower-priority Active is put up with, once one was heard.
    put_up_until: Option<Nanos>,
}

#[derive(Clone, Debug)]
struct Active {
    /// When Adver_Timer fires.
    adver_timer: Nanos,
    last_sent: Nanos,
    last_answer: Option<Nanos>,
}

/// Counters by name.
pub type Tally = BTreeMap<&'static str, u64>;

/// One virtual router.
#[derive(Clone, Debug)]
pub struct Machine {
    terms: Terms,
    state: State,
    own_address: Option<IpAddr>,
    form: Form,
    finished: bool,
    sent: Vec<Sent>,
    /// What happened so far, by the names of RFC 8347 where it has one.
    pub tally: Tally,
}

impl Machine {
    /// In Initialize.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            form: terms.send_form.unwrap_or(Form::Message),
            terms,
            state: State::Initialize,
            own_address: None,
            finished: false,
            sent: Vec::new(),
            tally: Tally::new(),
        }
    }

    /// What has left since this was last asked.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        core::mem::take(&mut self.sent)
    }

    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.state {
            State::Initialize => Role::Initialize,
            State::Backup(_) => Role::Backup,
            State::Active(_) => Role::Active,
        }
    }

    /// When the one timer of the present role fires.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        match &self.state {
            State::Initialize => None,
            State::Backup(backup) => Some(self.active_down_timer(backup)),
            State::Active(active) => Some(active.adver_timer),
        }
    }

    /// The present configuration.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    fn active_down_timer(&self, backup: &Backup) -> Nanos {
        backup.started
            + backup.released.unwrap_or_else(|| {
                self.terms
                    .active_down_interval(backup.active_adver_interval)
            })
    }

    fn count(&mut self, name: &'static str) {
        *self.tally.entry(name).or_default() += 1;
    }

    /// The interface has this address, and carries packets or not.
    pub fn link(&mut self, now: Nanos, own_address: Option<IpAddr>, carries: bool) {
        match (carries && own_address.is_some(), &self.state) {
            (true, State::Initialize) if !self.finished => {
                self.own_address = own_address;
                self.startup(now);
            }
            // The next advertisement comes from there.
            (true, _) => self.own_address = own_address,
            // Decision: a release is sent if the link still carries it, from the address that was there a moment ago.
            (false, _) if carries => {
                self.shutdown();
                self.own_address = own_address;
            }
            (false, _) => {
                self.state = State::Initialize;
                self.own_address = own_address;
            }
        }
    }

    /// The daemon stops.
    pub fn stop(&mut self, now: Nanos) {
        // What has been replaced has nothing to release.
        self.stand_back_if_late(now);
        self.finished = true;
        self.shutdown();
    }

    /// §6.4.1 Startup.
    fn startup(&mut self, now: Nanos) {
        if self.terms.is_owner() {
            self.become_active(now);
        } else {
            self.become_backup(now, self.terms.interval);
        }
    }

    /// §6.4.2, §6.4.3 Shutdown.
    fn shutdown(&mut self) {
        if self.role() == Role::Active {
            self.send(0);
            self.count("priority-zero-pkts-sent");
        }
        self.state = State::Initialize;
    }

    fn become_active(&mut self, now: Nanos) {
        self.count("master-transitions");
        self.send(self.terms.priority);
        self.state = State::Active(Active {
            adver_timer: now + self.terms.interval,
            last_sent: now,
            last_answer: None,
        });
    }

    fn become_backup(&mut self, now: Nanos, active_adver_interval: Nanos) {
        self.state = State::Backup(Backup {
            active_adver_interval,
            started: now,
            released: None,
            put_up_until: None,
        });
    }

    /// Whatever timer is due.
    pub fn timer(&mut self, now: Nanos) {
        self.stand_back_if_late(now);
        match &mut self.state {
            State::Backup(backup) => {
                let backup = backup.clone();
                if self.active_down_timer(&backup) <= now {
                    self.become_active(now);
                }
            }
            State::Active(active) if active.adver_timer <= now => {
                // Decision: advertisements are due on a grid, so that lateness does not add up.
                let next = active.adver_timer + self.terms.interval;
                active.adver_timer = if next > now {
                    next
                } else {
                    now + self.terms.interval
                };
                active.last_sent = now;
                self.send(self.terms.priority);
            }
            State::Initialize | State::Active(_) => {}
        }
    }

    /// Decision, beyond the RFCs: an Active that was silent for longer than anybody waits has been replaced. It says
    /// nothing and listens, as after an advertisement that wins.
    fn stand_back_if_late(&mut self, now: Nanos) {
        if let State::Active(active) = &self.state
            && now - active.last_sent > self.terms.active_down_interval(self.terms.interval)
        {
            self.become_backup(now, self.terms.interval);
        }
    }

    /// A packet arrived.
    pub fn packet(&mut self, now: Nanos, packet: &Packet<'_>) {
        let said = match wire::check(packet, &self.terms, self.own_address) {
            Ok(said) => said,
            Err(refusal) => {
                self.count_refusal(refusal);
                return;
            }
        };
        // Decision: without an address of its own a router has no voice in the matter, and does not even count.
        if self.own_address.is_none() {
            return;
        }
        self.count_accepted(&said);
        if self.terms.send_form.is_none() {
            self.form = said.form;
        }
        self.stand_back_if_late(now);
        match self.state {
            // §6.4.1: anything else is ignored.
            State::Initialize => {}
            State::Backup(_) => self.backup_hears(now, &said),
            State::Active(_) => self.active_hears(now, &said),
        }
    }

    /// §6.4.2
    fn backup_hears(&mut self, now: Nanos, said: &Said) {
        // The owner always preempts: §6.1 Preempt_Mode.
        let preempt = self.terms.preempt || self.terms.is_owner();
        // Decision: that is about Preempt_Mode; a hold time holds for the owner, too.
        let hold_time = self.terms.hold_time;
        let learned = match self.terms.version {
            Version::Two => self.terms.interval,
            Version::Three => said.interval,
        };
        let priority = self.terms.priority;
        let State::Backup(backup) = &mut self.state else {
            return;
        };
        let skew = self.terms.skew_time(backup.active_adver_interval);
        if said.priority == 0 {
            backup.started = now;
            // Decision: a reload does not change this one, which is short.
            backup.released = Some(skew);
        } else if !preempt || said.priority >= priority {
            backup.active_adver_interval = learned;
            backup.started = now;
            backup.released = None;
            backup.put_up_until = None;
        } else {
            // Decision (RFC 8347 `hold-time`): for so long a lower-priority Active is put up with as if it won.
            let until = *backup.put_up_until.get_or_insert(now + hold_time);
            if now < until {
                backup.active_adver_interval = learned;
                backup.started = now;
                backup.released = None;
            }
        }
    }

    /// §6.4.3
    fn active_hears(&mut self, now: Nanos, said: &Said) {
        let own = self.own_address.map_or(0, number);
        let theirs = number(said.source);
        let priority = self.terms.priority;
        let State::Active(active) = &mut self.state else {
            return;
        };
        // Decision: answers out of turn are at least a twentieth of the interval apart.
        let pause = self.terms.interval / 20;
        let hushed = active.last_answer.is_some_and(|last| now < last + pause);
        if said.priority == 0 {
            if hushed {
                // Decision: a release must be answered, so the next advertisement is due within that pause.
                active.adver_timer = active.adver_timer.min(now + pause);
            } else {
                active.last_answer = Some(now);
                active.last_sent = now;
                active.adver_timer = now + self.terms.interval;
                self.send(priority);
            }
        } else if said.priority > priority || (said.priority == priority && theirs > own) {
            let learned = match self.terms.version {
                Version::Two => self.terms.interval,
                Version::Three => said.interval,
            };
            self.become_backup(now, learned);
        } else {
            if self.terms.version == Version::Three && !hushed {
                active.last_answer = Some(now);
                active.last_sent = now;
                self.send(priority);
            }
            self.count("conflicts");
        }
    }

    /// Another configuration of the same router: no transition.
    pub fn reload(&mut self, now: Nanos, terms: Terms) {
        let the_same = self.terms.priority == terms.priority
            && self.terms.interval == terms.interval
            && self.terms.preempt == terms.preempt;
        if self.finished || the_same {
            return;
        }
        self.stand_back_if_late(now);
        let old = core::mem::replace(&mut self.terms, terms);
        let interval = self.terms.interval;
        match &mut self.state {
            State::Initialize => {}
            State::Backup(backup) => {
                // Decision: VRRPv3's Active_Adver_Interval stays until an Active says another, whether it was learned or
                // only assumed at startup. VRRPv2 has one interval for all.
                if self.terms.version == Version::Two {
                    backup.active_adver_interval = interval;
                }
            }
            State::Active(_) => {
                if old.priority != self.terms.priority || old.interval != interval {
                    self.advertise_news(now);
                }
            }
        }
    }

    fn advertise_news(&mut self, now: Nanos) {
        self.send(self.terms.priority);
        let interval = self.terms.interval;
        if let State::Active(active) = &mut self.state {
            active.adver_timer = now + interval;
            active.last_sent = now;
        }
    }

    fn send(&mut self, priority: u8) {
        let Some(source) = self.own_address else {
            return;
        };
        let destinations = if self.terms.peers.is_empty() {
            vec![group(self.terms.ipv6)]
        } else {
            self.terms.peers.clone()
        };
        self.count("advertisement-sent");
        for destination in destinations {
            let message = wire::write(&self.terms, priority, self.form, source, destination);
            self.sent.push(Sent {
                source,
                destination,
                message,
            });
        }
    }

    fn count_accepted(&mut self, said: &Said) {
        self.count("advertisement-rcvd");
        if said.priority == 0 {
            self.count("priority-zero-pkts-rcvd");
        }
        if said.priority == 255 && self.terms.is_owner() {
            self.count("owner-conflicts");
        }
        if said.other_interval {
            self.count("interval-errors");
        }
        if said.other_addresses {
            self.count("address-list-errors");
        }
        if self.terms.version == Version::Three && !self.terms.ipv6 {
            self.count(match said.form {
                Form::Message => "checksum-rfc9568-rcvd",
                Form::PseudoHeader => "checksum-rfc5798-rcvd",
            });
        }
    }

    fn count_refusal(&mut self, refusal: Refusal) {
        self.count(match refusal {
            Refusal::Short => "short-packets",
            Refusal::Carp => "carp-pkts-rcvd",
            Refusal::Ttl => "ip-ttl-errors",
            Refusal::Version => "version-errors",
            Refusal::Checksum => "checksum-errors",
            Refusal::Vrid => "vrid-errors",
            Refusal::OwnPacket => "own-pkts-looped",
            Refusal::Type => "invalid-type-pkts-rcvd",
            Refusal::Length => "packet-length-errors",
            Refusal::Interval => "interval-errors",
            Refusal::Addresses => "address-list-errors",
            Refusal::AuthenticationUnknown => "auth-type-invalid",
            Refusal::AuthenticationOther => "auth-type-mismatch",
            Refusal::Password => "auth-failures",
            Refusal::Source => "source-errors",
            Refusal::Mode => "mode-errors",
            Refusal::Owner => "owner-conflicts",
        });
    }
}

/// RFC 9568 §5.1.1.2, §5.1.2.2.
#[must_use]
pub const fn group(ipv6: bool) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12))
    } else {
        IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18))
    }
}

/// "An unsigned integer comparison in network byte order": RFC 9568 §6.4.3.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}
