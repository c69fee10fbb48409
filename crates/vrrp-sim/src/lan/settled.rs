//! What must be so after a long quiet.

use core::time::Duration;
use std::collections::BTreeSet;

use vrrp_proto::{Role, RouterPlan};

use super::Lan;
use crate::host::Host;
use crate::judge::{Verdict, Violation};
use crate::kernel::Key;

impl Lan {
    /// After a quiet of at least [`Self::quiet_time`]: exactly one Active on each island, the right one, and every
    /// kernel holds what the role says.
    ///
    /// # Errors
    /// What is not so.
    pub fn settled(&mut self) -> Result<(), Verdict> {
        let at = self.now;
        let broken = |host, violation| {
            Err(Verdict {
                at,
                host,
                violation,
            })
        };
        for (host, machine) in self.hosts().zip(&self.machines) {
            let Some(engine) = machine.engine.as_ref().filter(|_| !machine.paused) else {
                continue;
            };
            let mut wrong = machine.kernel.discrepancies();
            for status in engine.status() {
                let key = (status.plan.family, status.plan.vrid);
                if machine.kernel.holds(key) != (status.role == Role::Active) {
                    wrong.push(format!(
                        "it is {} and the addresses say otherwise",
                        status.role
                    ));
                }
            }
            if !wrong.is_empty() {
                return broken(Some(host), Violation::KernelDisagrees(wrong));
            }
        }
        if self.wire.is_lopsided() {
            return Ok(());
        }
        self.witness_population();
        for (key, island) in self.islands() {
            let actives: Vec<Host> = island
                .iter()
                .copied()
                .filter(|host| self.role(*host, key) == Role::Active)
                .collect();
            let [active] = actives[..] else {
                return broken(None, Violation::NotSettled { island, actives });
            };
            let better = island
                .iter()
                .find(|host| self.should_replace(**host, active, key));
            if let Some(better) = better.copied() {
                return broken(None, Violation::WrongActive { active, better });
            }
            let patient = island.iter().any(|host| {
                self.router(*host, key)
                    .zip(self.router(active, key))
                    .is_some_and(|(ours, theirs)| {
                        !ours.preempt && ours.priority > theirs.priority && host != &active
                    })
            });
            if patient {
                self.sight("a better router without preemption left the Active alone");
            }
        }
        Ok(())
    }

    /// How long every election may take at most when nothing is lost: down interval, preemption, and a second for the
    /// rest; also a kernel's penalty if it refuses or refused.
    #[must_use]
    pub fn quiet_time(&self, kernel_refused: bool) -> Duration {
        let routers = || {
            self.machines
                .iter()
                .flat_map(|machine| &machine.config.routers)
        };
        // A Backup waits by the interval it learned, which may be one that nobody has any more.
        let interval = routers()
            .map(|router| router.interval.duration())
            .fold(self.slowest, Duration::max);
        let delay = routers()
            .map(|router| router.preempt_delay)
            .max()
            .unwrap_or_default();
        let penalty = if kernel_refused { 32 } else { 0 };
        // A tenth more for clocks that are slow.
        (interval * 9 + delay * 2 + Duration::from_secs(2 + penalty)) * 10 / 9
    }

    /// For each virtual router the groups of able hosts that hear each other, directly or not.
    fn islands(&self) -> Vec<(Key, Vec<Host>)> {
        let mut islands = Vec::new();
        for key in self.ledgers.keys() {
            let able = |host: &Host| {
                let machine = &self.machines[host.0];
                machine.is_awake() && self.role(*host, *key) != Role::Initialize
            };
            let mut left: BTreeSet<Host> = self.hosts().filter(able).collect();
            while let Some(first) = left.pop_first() {
                let mut island = vec![first];
                let mut reached = 0;
                while let Some(from) = island.get(reached).copied() {
                    let near: Vec<Host> = left
                        .iter()
                        .copied()
                        .filter(|to| {
                            self.wire.connects(from, *to) && self.understand(from, *to, *key)
                        })
                        .collect();
                    near.iter().for_each(|host| {
                        left.remove(host);
                    });
                    island.extend(near);
                    reached += 1;
                }
                // Who is cut off in both directions from one of its own island cannot be judged.
                let whole = island
                    .iter()
                    .all(|a| island.iter().all(|b| a == b || self.wire.connects(*a, *b)));
                if whole {
                    islands.push((*key, island));
                }
            }
        }
        islands
    }

    /// Counts who lives together here.
    fn witness_population(&mut self) {
        let keys: Vec<Key> = self.ledgers.keys().copied().collect();
        for key in keys {
            let hosts: Vec<Host> = self
                .hosts()
                .filter(|host| self.machines[host.0].is_awake())
                .collect();
            let forms: BTreeSet<String> = hosts
                .iter()
                .filter_map(|host| {
                    let engine = self.engine(*host)?;
                    let mut all = engine.status();
                    let status = all.find(|it| (it.plan.family, it.plan.vrid) == key)?;
                    Some(format!("{:?}", status.checksum_form))
                })
                .collect();
            let babel = hosts
                .windows(2)
                .any(|two| !self.understand(two[0], two[1], key));
            if babel {
                self.sight("versions that do not understand each other");
            } else if forms.len() > 1 {
                self.sight("a peer with the other checksum form");
            }
        }
    }

    fn router(&self, host: Host, key: Key) -> Option<&RouterPlan> {
        self.machines[host.0]
            .config
            .routers
            .iter()
            .find(|router| (router.family, router.vrid) == key)
    }

    /// Whether two hosts take each other's advertisements for what they are: VRRPv2 and VRRPv3 do not.
    fn understand(&self, one: Host, other: Host, key: Key) -> bool {
        self.router(one, key)
            .zip(self.router(other, key))
            .is_some_and(|(one, other)| one.dialect == other.dialect)
    }

    /// Whether a Backup should have preempted this Active by now (RFC 9568 §6.4.2).
    fn should_replace(&self, backup: Host, active: Host, key: Key) -> bool {
        self.router(backup, key)
            .zip(self.router(active, key))
            .is_some_and(|(ours, theirs)| {
                (ours.preempt || ours.priority.is_owner()) && ours.priority > theirs.priority
            })
    }
}
