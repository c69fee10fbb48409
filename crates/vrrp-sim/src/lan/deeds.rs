//! What is done to the hosts.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use vrrp_proto::{Family, Happening, Input, LinkFacts, Output, Sample};

use super::{Due, Lan};
use crate::action::Action;
use crate::host::{Host, Mail};
use crate::judge::{Verdict, Violation};
use crate::plan::UPLINK;

/// The process learns that its sockets fail after this time.
const HEARING_NEWS: Duration = Duration::from_millis(1);

/// A process that stops needs this long for the kernel.
const CLEANING: Duration = Duration::from_millis(1);

impl Lan {
    pub(super) fn perform(&mut self, action: Action) -> Result<(), Verdict> {
        match action {
            Action::Start(host) => return self.start(host),
            Action::Crash(host) => {
                self.machines[host.0].end();
                self.machines[host.0].kernel.lose_power();
                self.judges[host.0].forget();
                self.heirs.remove(&host);
                self.note_holding(host);
            }
            Action::Kill(host) => {
                if self.machines[host.0].engine.is_some() {
                    self.machines[host.0].end();
                    self.machines[host.0].kernel.kill();
                    self.judges[host.0].forget();
                    self.heirs.remove(&host);
                    self.sight("a process was killed");
                }
            }
            Action::Stop(host) => return self.stop(host),
            Action::HandOver(host, gap) => {
                if self.machines[host.0].is_awake() {
                    self.machines[host.0].bequeath();
                    self.put(self.now + gap, Due::Successor(host));
                }
            }
            Action::Pause(host) => {
                self.machines[host.0].paused = self.machines[host.0].engine.is_some();
            }
            Action::Resume(host) => return self.resume(host),
            Action::Jump(host, leap) => return self.jump(host, leap),
            Action::Unplug(host) => self.change_link(host, |facts| facts.carrier = false),
            Action::Plug(host) => self.change_link(host, |facts| {
                facts.up = true;
                facts.carrier = true;
            }),
            Action::Vanish(host) => {
                self.machines[host.0].facts = None;
                self.machines[host.0].kernel.set_interface(self.now, None);
                self.note_holding(host);
            }
            Action::Cut(from, to) => self.wire.cut(from, to),
            Action::Separate(hosts) => self.wire.separate(&hosts),
            Action::Heal => self.wire.heal(),
            Action::Weather(weather) => self.wire.weather = weather,
            Action::Deafen(host, deaf) => {
                self.machines[host.0].deaf = deaf;
                self.put(self.now + HEARING_NEWS, Due::Hearing(host));
            }
            Action::Kernel(host, temper) => self.machines[host.0].kernel.set_temper(temper),
            Action::LoseNews(host, count) => self.machines[host.0].kernel.lose_news(count),
            Action::Meddle(host, meddling) => {
                self.machines[host.0].kernel.meddle(self.now, meddling);
                self.note_holding(host);
            }
            Action::Inject(frame) => {
                for host in self.hosts() {
                    self.put(self.now, Due::Forged(host, frame.clone()));
                }
            }
            Action::Readdress(host, last) => self.change_link(host, |facts| {
                facts.ipv4[0].0 = Ipv4Addr::new(192, 0, 2, last);
                facts.link_local[0] = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last));
            }),
            Action::Reload(host, plan) => {
                // A stopped process would merge several of these; they are simply lost on it, and on one that changes
                // hands.
                if self.machines[host.0].paused || self.machines[host.0].legacy.is_some() {
                    return Ok(());
                }
                if self.actives().is_empty() {
                    self.sight("a reload during a takeover");
                }
                let before = &self.machines[host.0].config;
                let intervals = before.routers.iter().chain(&plan.routers);
                self.slowest = intervals
                    .map(|router| router.interval.duration())
                    .fold(self.slowest, Duration::max);
                let outputs = self.machines[host.0].feed(self.now, Input::Reload(&plan));
                self.machines[host.0].config = plan;
                return self.carry_out(host, outputs);
            }
            // What is told to a process that is stopped or changes hands is lost, as with an agent that dies.
            Action::Sample(host, _) | Action::Prepared(host, ..)
                if !self.machines[host.0].is_awake() => {}
            Action::Sample(host, level) => {
                let sample = Sample {
                    level,
                    offset: None,
                    detail: String::new(),
                };
                let input = Input::Sample {
                    tracker: UPLINK,
                    sample: &sample,
                };
                let outputs = self.machines[host.0].feed(self.now, input);
                return self.carry_out(host, outputs);
            }
            Action::Prepared(host, router, number) => {
                let input = Input::Prepared {
                    router: &router,
                    number: Some(number),
                };
                let outputs = self.machines[host.0].feed(self.now, input);
                return self.carry_out(host, outputs);
            }
            Action::Operate(host, wish) => {
                // To a process that is stopped nobody can speak.
                for router in self.machines[host.0].config.routers.clone() {
                    let outputs = self.machines[host.0].operate(self.now, &router.name, wish);
                    self.carry_out(host, outputs)?;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, host: Host) -> Result<(), Verdict> {
        let machine = &self.machines[host.0];
        if let Some(engine) = &machine.engine
            && engine.status().any(|status| status.leaving)
        {
            // As a service manager does it: the old process has to be gone.
            self.put(self.now + CLEANING, Due::Action(Action::Start(host)));
            return Ok(());
        }
        if machine.absent || machine.engine.is_some() || machine.legacy.is_some() {
            return Ok(());
        }
        // One that is still stopping is waited for.
        self.clean(host)?;
        let outputs = self.machines[host.0].boot(self.now);
        self.carry_out(host, outputs)?;
        self.hearing(host)
    }

    fn stop(&mut self, host: Host) -> Result<(), Verdict> {
        if !self.machines[host.0].is_awake() {
            return Ok(());
        }
        let outputs = self.machines[host.0].feed(self.now, Input::Shutdown);
        self.carry_out(host, outputs)
    }

    /// A process that was asked to stop has nothing to wait for any more.
    pub(super) fn exit(&mut self, host: Host) {
        self.machines[host.0].end();
        self.judges[host.0].forget();
        self.heirs.remove(&host);
        self.put(self.now + CLEANING, Due::Clean(host));
    }

    /// What a process that was asked to stop does last.
    pub(super) fn clean(&mut self, host: Host) -> Result<(), Verdict> {
        let machine = &mut self.machines[host.0];
        if machine.engine.is_some() || machine.kernel.wakes_at().is_none() {
            return Ok(());
        }
        let complaints = machine.kernel.stop(self.now);
        let left = machine.kernel.discrepancies();
        self.note_holding(host);
        if complaints.is_empty() && !left.is_empty() {
            return Err(Verdict {
                at: self.now,
                host: Some(host),
                violation: Violation::NotCleaned(left),
            });
        }
        Ok(())
    }

    /// The successor of a hand-over begins: nothing may change by that, and its plan is its predecessor's.
    pub(super) fn succeed(&mut self, host: Host) -> Result<(), Verdict> {
        let Some(outputs) = self.machines[host.0].inherit(self.now) else {
            return Ok(());
        };
        let fell = |outputs: &[Output]| {
            let role = |output: &Output| matches!(output, Output::Event(event) if matches!(event.happening, Happening::Role { .. }));
            outputs.iter().any(role)
        };
        let mut changed = fell(&outputs);
        self.carry_out(host, outputs)?;
        let plan = self.machines[host.0].config.clone();
        let outputs = self.machines[host.0].feed(self.now, Input::Reload(&plan));
        changed |= fell(&outputs);
        self.carry_out(host, outputs)?;
        if changed {
            return Err(Verdict {
                at: self.now,
                host: Some(host),
                violation: Violation::HandedOverAndFell,
            });
        }
        self.sight("a hand-over");
        self.heirs.insert(host);
        let outputs = self.machines[host.0].ring(self.now);
        self.carry_out(host, outputs)
    }

    /// The process reads what has piled up, and only then looks at the clock.
    fn resume(&mut self, host: Host) -> Result<(), Verdict> {
        if !self.machines[host.0].paused {
            return Ok(());
        }
        self.machines[host.0].paused = false;
        self.stalled = Some((self.now, host, "a zombie stood back after a pause"));
        while let Some(mail) = self.machines[host.0].unkeep() {
            match mail {
                Mail::Frame(frame) => self.deliver(host, frame)?,
                Mail::Hearing => self.hearing(host)?,
            }
        }
        let outputs = self.machines[host.0].ring(self.now);
        self.carry_out(host, outputs)
    }

    fn jump(&mut self, host: Host, leap: Duration) -> Result<(), Verdict> {
        let machine = &mut self.machines[host.0];
        machine.clock.jump(self.now, leap);
        if machine.paused {
            return Ok(());
        }
        self.stalled = Some((self.now, host, "an Active stood back when its clock leapt"));
        let outputs = self.machines[host.0].ring(self.now);
        self.carry_out(host, outputs)
    }

    fn change_link(&mut self, host: Host, change: impl FnOnce(&mut LinkFacts)) {
        let machine = &mut self.machines[host.0];
        let fresh = || {
            // An interface that comes back has another number.
            machine.born.index += 1_000;
            machine.born.clone()
        };
        let mut facts = machine.facts.take().unwrap_or_else(fresh);
        change(&mut facts);
        machine.kernel.set_interface(self.now, Some(&facts));
        machine.facts = Some(facts);
        self.note_holding(host);
    }

    pub(super) fn hearing(&mut self, host: Host) -> Result<(), Verdict> {
        if self.machines[host.0].paused {
            self.machines[host.0].keep(Mail::Hearing);
            return Ok(());
        }
        for family in [Family::Ipv4, Family::Ipv6] {
            let outputs = self.machines[host.0].listen(self.now, family);
            self.carry_out(host, outputs)?;
        }
        Ok(())
    }
}
