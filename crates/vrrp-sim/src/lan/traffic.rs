//! What the hosts say, to each other and to their kernels.

use std::borrow::Cow;

use vrrp_proto::packet::Header;
use vrrp_proto::{Event, Fault, Happening, Output, Priority, Reason, Role};

use super::{Due, Lan, Takeover};
use crate::action::Action;
use crate::host::{Host, Mail};
use crate::judge::{Verdict, Violation};
use crate::random::Chance;
use crate::wire::{Frame, Missed};

impl Lan {
    pub(super) fn deliver(&mut self, to: Host, frame: Frame) -> Result<(), Verdict> {
        let machine = &mut self.machines[to.0];
        if !machine.is_plugged() || machine.deaf || machine.engine.is_none() {
            return Ok(());
        }
        if machine.paused {
            machine.keep(Mail::Frame(frame));
            return Ok(());
        }
        let outputs = machine.receive(self.now, &frame);
        self.carry_out(to, outputs)
    }

    pub(super) fn deliver_forged(&mut self, to: Host, frame: Frame) -> Result<(), Verdict> {
        let release = Header::new(&frame.message).map(Header::priority) == Some(Priority::RELEASE);
        let before = self.sent[to.0];
        self.deliver(to, frame)?;
        if release && self.sent[to.0] > before {
            self.sight("a release of a stranger was answered");
        }
        Ok(())
    }

    /// The kernel's worker of a host does what is due.
    pub(super) fn kernel_turn(&mut self, host: Host) -> Result<(), Verdict> {
        let notices = self.machines[host.0].kernel.turn(self.now);
        if self.machines[host.0].kernel.noticed_a_loss() {
            self.sight("a lost notification was noticed");
        }
        self.note_holding(host);
        for notice in notices {
            let outputs = self.machines[host.0].heed(self.now, &notice);
            self.carry_out(host, outputs)?;
        }
        Ok(())
    }

    /// Counts what happened, and what it means together with what happened before.
    fn witness(&mut self, host: Host, event: &Event) {
        self.sight(&sighting(&event.happening));
        let Happening::Role { to, reason, .. } = event.happening else {
            return;
        };
        let heir = self.heirs.remove(&host);
        if reason == Reason::Late
            && let Some((at, stalled, what)) = self.stalled
            && (at, stalled) == (self.now, host)
        {
            self.sight(what);
        }
        if reason == Reason::Fault && self.refused_by_kernel(host) {
            self.sight("a router that its kernel refused stood back");
        }
        if to != Role::Active {
            return;
        }
        if heir {
            self.sight("a takeover by a successor");
        }
        if reason == Reason::Preempting && self.waits_to_preempt(host, &event.name) {
            self.sight("a preemption delay was waited out");
        }
        if reason == Reason::NoResponse {
            let all = |from: Host| self.wire.missed(from, host).all;
            let missed = self.hosts().map(all).collect();
            self.takeovers.push(Takeover {
                at: self.now,
                host,
                missed,
            });
            self.witness_takeover(host);
        }
    }

    fn witness_takeover(&mut self, host: Host) {
        let living = |from: &Host| {
            let active = self.machines[from.0]
                .engine
                .as_ref()
                .is_some_and(|engine| engine.status().any(|it| it.role == Role::Active));
            *from != host && active && self.machines[from.0].is_awake()
        };
        let missed: Vec<Missed> = self
            .hosts()
            .filter(living)
            .map(|from| self.wire.missed(from, host))
            .collect();
        if missed.iter().any(|missed| missed.by_loss >= 3) {
            self.sight("three losses in a row made a takeover from a living Active");
        }
        if missed.iter().any(|missed| missed.in_bursts >= 3) {
            self.sight("a burst of loss made a takeover");
        }
    }

    fn refused_by_kernel(&self, host: Host) -> bool {
        self.engine(host).is_some_and(|engine| {
            engine.status().any(|status| {
                let mut faults = status.faults.iter();
                faults.any(|fault| matches!(fault, Fault::Kernel(_)))
            })
        })
    }

    fn waits_to_preempt(&self, host: Host, name: &str) -> bool {
        let mut routers = self.plan(host).routers.iter();
        routers.any(|router| router.name == name && !router.preempt_delay.is_zero())
    }

    /// Sees to it that what an engine wants is done, after the judge has seen it.
    pub(super) fn carry_out(&mut self, host: Host, outputs: Vec<Output>) -> Result<(), Verdict> {
        let machine = &mut self.machines[host.0];
        if let Some(engine) = machine.engine.as_mut() {
            let shown = machine.clock.shows(self.now);
            self.judges[host.0].outputs(shown, engine, &outputs)?;
        }
        if let Some(difference) = machine.estranged.take() {
            return Err(Verdict {
                at: self.now,
                host: Some(host),
                violation: Violation::Estranged(difference),
            });
        }
        machine.arm(self.now);
        for output in outputs {
            match output {
                Output::Transmit(transmit) => {
                    self.sent[host.0] += 1;
                    self.trace.note(self.now, Some(host), || {
                        let priority =
                            Header::new(&transmit.message).map(|header| header.priority().get());
                        format!("advertises priority {}", priority.unwrap_or_default())
                    });
                    self.send(
                        host,
                        &Frame {
                            source: transmit.source,
                            destination: transmit.destination,
                            hop_limit: 255,
                            message: transmit.message,
                        },
                    );
                }
                Output::Announce(_) => self.trace.note(self.now, Some(host), || {
                    String::from("announces its addresses")
                }),
                Output::Desired(router, wanted) => {
                    self.machines[host.0].kernel.order(self.now, router, wanted);
                }
                Output::Event(event) => {
                    self.witness(host, &event);
                    self.run_hooks(host, &event);
                    self.trace.note(self.now, Some(host), || {
                        format!("{}: {}", event.name, event.happening)
                    });
                }
            }
        }
        let engine = self.machines[host.0].engine.as_ref();
        if engine.is_some_and(vrrp_proto::Engine::is_stopped) {
            self.exit(host);
        }
        Ok(())
    }

    /// Hooks take their time, and some are never done.
    fn run_hooks(&mut self, host: Host, event: &Event) {
        let Happening::Preparing {
            timeout, number, ..
        } = &event.happening
        else {
            return;
        };
        let after = self.hooks.up_to(*timeout * 3 / 2);
        if !self.hooks.happens(Chance::percent(10)) {
            let action = Action::Prepared(host, event.name.clone(), *number);
            self.schedule(self.now + after, action);
        }
    }

    fn send(&mut self, from: Host, frame: &Frame) {
        if !self.machines[from.0].is_plugged() {
            return;
        }
        for to in self.hosts().filter(|to| *to != from) {
            let for_it =
                frame.destination.is_multicast() || self.machines[to.0].has(frame.destination);
            let mut arrived = false;
            for delay in self.wire.carry(from, to).filter(|_| for_it) {
                arrived = true;
                let at = self.now + delay;
                let last = self.arrivals.insert((from, to), at);
                if last.is_some_and(|last| last > at) {
                    self.sight("a frame overtook another");
                }
                self.put(at, Due::Frame(to, frame.clone()));
            }
            if for_it && !arrived {
                let priority = Header::new(&frame.message).map(Header::priority);
                if priority == Some(Priority::RELEASE) {
                    self.sight("a release was lost");
                }
                self.trace.note(self.now, Some(from), || {
                    format!("    lost on the way to {to}")
                });
            }
        }
    }

    pub(super) fn note_holding(&mut self, host: Host) {
        let duals = |lan: &Self| -> usize {
            let ledgers = lan.ledgers.values();
            ledgers.filter(|ledger| ledger.holders().len() > 1).count()
        };
        let before = duals(self);
        self.settle_accounts(host);
        let after = duals(self);
        if after > before {
            self.sight("two held the addresses");
        } else if after < before {
            self.sight("two held the addresses, then one");
        }
    }

    fn settle_accounts(&mut self, host: Host) {
        for (key, ledger) in &mut self.ledgers {
            let holds = self.machines[host.0].kernel.holds(*key);
            if ledger.holders().contains(&host) != holds {
                self.trace.note(self.now, Some(host), || {
                    String::from(if holds {
                        "HOLDS the addresses"
                    } else {
                        "lets the addresses go"
                    })
                });
            }
            ledger.note(self.now, host, holds);
        }
    }
}

fn sighting(happening: &Happening) -> Cow<'static, str> {
    match happening {
        Happening::Left(Some(_)) => "left when the successor was heard".into(),
        Happening::Role { to, reason, .. } => format!("{to}: {}", reason.name()).into(),
        Happening::Faults(_)
        | Happening::FollowedActive { .. }
        | Happening::Conflict { .. }
        | Happening::Claimed { .. }
        | Happening::Refused { .. }
        | Happening::Odd { .. }
        | Happening::Late(_)
        | Happening::Repaired(_)
        | Happening::Lacks(_)
        | Happening::KernelRefused(_)
        | Happening::Ready(_)
        | Happening::Preparing { .. }
        | Happening::Prepared { .. }
        | Happening::Revised
        | Happening::Digest(_)
        | Happening::Added
        | Happening::Left(None)
        | Happening::Removed
        | Happening::OrderEnded { .. }
        | Happening::Tracker { .. }
        | Happening::PeerLost { .. }
        | Happening::Adjusted { .. } => happening.name().into(),
    }
}
