//! The engine as scripts play it, whatever protocol it speaks: with one router, beside a model.

use core::fmt;
use std::collections::BTreeMap;

use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    Datagram, Engine, Generation, Input, Instant, KernelReport, LinkFacts, LinkId, Output, Plan,
    RouterId,
};

use super::machine::{Role, Sent};
use super::terms::Nanos;
use super::wire::Packet;
use crate::host::Host;
use crate::judge::Judge;

/// The interface of its router.
pub(super) const INTERFACE: &str = "eth0";

/// An engine, and how late it is.
pub(super) struct Subject {
    pub(super) engine: Engine,
    pub(super) now: Nanos,
    judge: Judge,
    link: LinkId,
    desired: Option<(RouterId, Generation)>,
}

/// What an engine did, and what it is now.
pub(super) struct Look {
    pub(super) sent: Vec<Sent>,
    pub(super) role: Role,
    pub(super) deadline: Option<Nanos>,
    /// Counters that are not zero.
    pub(super) tally: BTreeMap<&'static str, u64>,
}

impl Subject {
    pub(super) fn new(plan: &Plan, now: Nanos) -> Self {
        let engine = Engine::new(plan, at(now));
        let first = engine.links().map(|(link, _)| link).next();
        Self {
            engine,
            now,
            judge: Judge::new(Host(0)),
            link: first.unwrap_or(LinkId(0)),
            desired: None,
        }
    }

    pub(super) fn handle(&mut self, input: Input<'_>) {
        self.engine.handle(at(self.now), input);
    }

    pub(super) fn link(&mut self, facts: &LinkFacts) {
        self.handle(Input::Link {
            interface: INTERFACE,
            facts: Some(facts),
        });
    }

    pub(super) fn hear(&mut self, packet: &Packet<'_>) {
        let datagram = Datagram {
            link: self.link,
            envelope: Envelope {
                source: packet.source,
                destination: packet.destination,
                hop_limit: packet.ttl,
            },
            message: packet.message,
        };
        self.handle(Input::Datagram(datagram));
    }

    /// The kernel has what is wanted of it.
    pub(super) fn applied(&mut self) {
        if let Some((router, generation)) = self.desired {
            self.handle(Input::Kernel {
                router,
                generation,
                report: &KernelReport::Applied,
            });
        }
    }

    /// Another process goes on with the engine, after nothing but text has passed between them.
    pub(super) fn hand_over(&mut self) -> Result<(), String> {
        let text = serde_json::to_string(&self.engine.save()).map_err(|error| error.to_string())?;
        let handover = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        self.engine = Engine::resume(handover);
        Ok(())
    }

    /// What it did since this was last asked; the laws of the [`Judge`] must hold.
    pub(super) fn look(&mut self) -> Result<Look, String> {
        let mut outputs = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            outputs.push(output);
        }
        let mut sent = Vec::new();
        for output in &outputs {
            match output {
                Output::Transmit(transmit) => sent.push(Sent {
                    source: transmit.source,
                    destination: transmit.destination,
                    message: transmit.message.to_vec(),
                }),
                Output::Desired(router, desired) => {
                    self.desired = desired
                        .as_ref()
                        .map(|desired| (*router, desired.generation));
                }
                Output::Announce(_) | Output::Event(_) => {}
            }
        }
        self.judge
            .outputs(at(self.now), &mut self.engine, &outputs)
            .map_err(|verdict| verdict.to_string())?;
        let tally = tally(&self.engine);
        let status = self.engine.status().next();
        let role = status
            .as_ref()
            .map_or(Role::Initialize, |status| match status.role {
                vrrp_proto::Role::Initialize => Role::Initialize,
                vrrp_proto::Role::Backup => Role::Backup,
                vrrp_proto::Role::Active => Role::Active,
            });
        let deadline = status.and_then(|status| status.deadline);
        Ok(Look {
            sent,
            role,
            deadline: deadline.map(Instant::as_nanos),
            tally,
        })
    }
}

/// An engine beside the model of its protocol, at the same time of day.
pub(super) trait Beside {
    fn subject(&mut self) -> &mut Subject;

    /// When the model wants to be woken up.
    fn deadline(&self) -> Option<Nanos>;

    /// The model is woken up.
    fn wake_model(&mut self);

    /// Both did the same.
    fn compare(&mut self) -> Result<(), String>;

    /// Time passes for both, and whoever wants to be woken up is, unless they are too late for that.
    fn sleep(&mut self, until: Nanos, served: bool) {
        let subject = self.subject();
        subject.now = subject.now.max(until);
        if served {
            self.wake_model();
            let subject = self.subject();
            subject.engine.handle_timeout(at(subject.now));
        }
    }

    /// They sleep until so long before or after the model's deadline, if it has one.
    fn sleep_about(&mut self, by: Nanos, early: bool, served: bool) {
        let Some(deadline) = self.deadline() else {
            return;
        };
        let until = if early {
            deadline.saturating_sub(by)
        } else {
            deadline + by
        };
        self.sleep(until, served);
    }

    /// Time passes, and the engine is woken up whenever it wants to be.
    fn wait(&mut self, nanos: Nanos) -> Result<(), String> {
        let end = self.subject().now + nanos;
        // Announcements, too, wake the engine up; thousands of them without the time moving would be a fault.
        for _ in 0..100_000 {
            let subject = self.subject();
            let wakeup = subject.engine.poll_timeout();
            let due = wakeup.map(|wakeup| wakeup.at.as_nanos());
            let Some(due) = due.filter(|due| *due <= end) else {
                subject.now = end;
                return Ok(());
            };
            self.sleep(due, true);
            self.compare()?;
        }
        Err(String::from("the engine never sleeps"))
    }
}

pub(super) fn same<T: PartialEq + fmt::Debug>(
    what: &str,
    engine: &T,
    model: &T,
) -> Result<(), String> {
    if engine == model {
        return Ok(());
    }
    Err(format!(
        "{what} differ\nengine: {engine:?}\n model: {model:?}"
    ))
}

pub(super) const fn at(nanos: Nanos) -> Instant {
    Instant::from_nanos(nanos)
}

fn tally(engine: &Engine) -> BTreeMap<&'static str, u64> {
    let global = engine.statistics();
    let mut counters = vec![
        ("short-packets", global.short_packets),
        ("carp-pkts-rcvd", global.carp_pkts_rcvd),
        ("ip-ttl-errors", global.ip_ttl_errors),
        ("version-errors", global.version_errors),
        ("checksum-errors", global.checksum_errors),
        ("vrid-errors", global.vrid_errors),
    ];
    for status in engine.status() {
        let statistics = status.statistics;
        counters.extend([
            ("own-pkts-looped", statistics.own_pkts_looped),
            ("invalid-type-pkts-rcvd", statistics.invalid_type_pkts_rcvd),
            ("packet-length-errors", statistics.packet_length_errors),
            ("interval-errors", statistics.interval_errors),
            ("address-list-errors", statistics.address_list_errors),
            ("auth-type-invalid", statistics.auth_type_invalid),
            ("auth-type-mismatch", statistics.auth_type_mismatch),
            ("auth-failures", statistics.auth_failures),
            ("source-errors", statistics.source_errors),
            ("mode-errors", statistics.mode_errors),
            ("owner-conflicts", statistics.owner_conflicts),
            ("advertisement-rcvd", statistics.advertisement_rcvd),
            ("advertisement-sent", statistics.advertisement_sent),
            (
                "priority-zero-pkts-rcvd",
                statistics.priority_zero_pkts_rcvd,
            ),
            (
                "priority-zero-pkts-sent",
                statistics.priority_zero_pkts_sent,
            ),
            ("master-transitions", statistics.master_transitions),
            ("conflicts", statistics.conflicts),
            ("checksum-rfc9568-rcvd", statistics.checksum_rfc9568_rcvd),
            ("checksum-rfc5798-rcvd", statistics.checksum_rfc5798_rcvd),
        ]);
    }
    counters.retain(|(_, count)| *count > 0);
    counters.into_iter().collect()
}
