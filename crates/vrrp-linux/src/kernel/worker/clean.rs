//! The end: everything of ours is removed.

use std::collections::BTreeMap;

use super::Worker;
use super::pass::ROUNDS;
use crate::kernel::op::{Op, Step};
use crate::kernel::reconcile::{self, Guarded, Scope};
use crate::kernel::system::System;

impl<S: System> Worker<S> {
    /// Removes everything of ours; what could not be, as sentences.
    pub(in crate::kernel) fn clean(&mut self) -> Vec<String> {
        self.routers.clear();
        let nothing = BTreeMap::new();
        let mut complaints = Vec::new();
        // What is there of it is not known to a worker that has done nothing yet.
        self.follower.doubt();
        let kept = self.let_go(&nothing, true);
        for _ in 0..ROUNDS {
            complaints.clear();
            self.listen();
            if self.stale
                && let Err(error) = self.look()
            {
                complaints.push(format!(
                    "cannot look at the kernel's links and addresses: {error}"
                ));
            }
            self.learn();
            let plan = reconcile::plan(
                self.owner,
                &nothing,
                Scope::Everything,
                &self.observed,
                &self.touched,
                &Guarded::new(),
            );
            let steps = self.by_group(plan.steps);
            if steps.is_empty() {
                break;
            }
            for (step, refusal) in self.execute(&steps) {
                self.stale = true;
                let attempt = steps[step].op.attempt(&self.observed);
                complaints.push(format!("cannot {attempt}: {refusal}"));
            }
        }
        complaints.extend(kept);
        complaints.extend(self.filter.remove(&mut self.system).err());
        // Last: without the addresses there is nothing to guard.
        complaints.extend(self.system.unfence());
        complaints
    }

    /// Replaces the deletions of links by the deletion of their group, if nothing else is in it.
    fn by_group(&self, mut steps: Vec<Step>) -> Vec<Step> {
        let group = self.owner.group();
        let doomed = |step: &Step| self.observed.link(step.op.deleted()?);
        let members = self
            .observed
            .links()
            .filter(|link| link.group == group)
            .count();
        let leaving = steps
            .iter()
            .filter_map(doomed)
            .filter(|link| link.group == group)
            .count();
        let Some(position) = steps.iter().position(|step| doomed(step).is_some()) else {
            return steps;
        };
        if leaving < 2 || leaving != members {
            return steps;
        }
        steps[position].op = Op::DeleteGroup { group };
        let keep = |step: &Step| doomed(step).is_none_or(|link| link.group != group);
        steps.retain(keep);
        steps
    }
}
