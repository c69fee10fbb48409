//! What is to be delivered to whom, in which order.
//!
//! Each router, each group, and the daemon as a whole has one queue: the next run begins when the last one has ended, whichever
//! hook it is of. States are compared, and other events are sent: of states that were over before a hook could hear of them, the
//! last one is delivered, and nothing at all if it is the one that the hook heard of last. A hook that does not listen to a
//! state passes through it all the same, so that it hears of the next one.
//!
//! `pre-active` is a state before `active`, for those only that ask for it: they hear of it also when it is over, unless no
//! `active` has followed. When nothing of it waits or runs any more, for a router and for the groups it is in, that is said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use vrrp_control::agent::{
    HookCount, HookEvent, HookRun, HookSpec, RouterFacts, Stand, Standing, SubjectKind,
};

use crate::journal::{Line, Past};

/// What has a queue.
pub(crate) type Subject = (SubjectKind, String);

/// Runs that wait in one queue. Of more, the oldest are lost, which are of states that are over.
const WAITING: usize = 1000;

/// A run that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Job {
    pub(crate) hook: String,
    pub(crate) event: HookEvent,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Job>,
    running: Option<Job>,
}

#[derive(Debug, Default)]
pub(crate) struct Desk {
    hooks: Vec<HookSpec>,
    routers: BTreeMap<String, RouterFacts>,
    /// The members of groups, whose states follow from theirs.
    groups: BTreeMap<String, Vec<String>>,
    /// The life of the daemon to which the numbers of events belong.
    since: String,
    /// The last event that came.
    accepted: u64,
    /// What was last heard of everybody's state.
    known: BTreeMap<Subject, HookEvent>,
    /// The state that a hook heard of last, and the number of the event.
    delivered: BTreeMap<(String, Subject), (Standing, u64)>,
    /// Events without a state that hooks have heard of, while older ones have to wait.
    done: BTreeSet<(u64, String)>,
    queues: BTreeMap<Subject, Queue>,
    counts: BTreeMap<String, HookCount>,
    /// The events after which it was said that what a router waits for is done.
    prepared: BTreeMap<String, u64>,
    /// What the journal is to be told.
    lines: Vec<Line>,
    /// Nothing begins any more.
    retired: bool,
    lost: u64,
}

impl Desk {
    /// One that goes on from what the journal says.
    pub(crate) fn new(past: Past) -> Self {
        let mut desk = Self {
            since: past.since,
            accepted: past.settled,
            done: past.done,
            delivered: past.delivered,
            ..Self::default()
        };
        let mut newest: BTreeMap<Subject, (u64, Standing)> = BTreeMap::new();
        for ((_, subject), (state, id)) in &desk.delivered {
            let entry = newest.entry(subject.clone()).or_insert((*id, *state));
            if *id >= entry.0 {
                *entry = (*id, *state);
            }
        }
        for (subject, (id, state)) in newest {
            let event = HookEvent {
                id,
                event: state.name().to_owned(),
                subject: subject.0,
                name: subject.1.clone(),
                state: Some(state),
                ..HookEvent::default()
            };
            desk.known.insert(subject, event);
        }
        desk
    }

    /// A process of the daemon is there: the number of the last event that came, or `floor` if none of its life did.
    pub(crate) fn greet(&mut self, since: &str, floor: u64) -> u64 {
        if self.since != since {
            since.clone_into(&mut self.since);
            self.accepted = floor;
            self.done.clear();
            self.note_settled();
        }
        self.accepted
    }

    /// Other hooks from now on. What waits for one that is gone is forgotten.
    pub(crate) fn configure(
        &mut self,
        hooks: Vec<HookSpec>,
        routers: BTreeMap<String, RouterFacts>,
        groups: BTreeMap<String, Vec<String>>,
    ) {
        self.hooks = hooks;
        self.routers = routers;
        self.groups = groups;
        let known = |name: &str| self.hooks.iter().any(|hook| hook.name == name);
        for queue in self.queues.values_mut() {
            queue.waiting.retain(|job| known(&job.hook));
        }
        self.counts.retain(|name, _| known(name));
        let gone: Vec<_> = self
            .delivered
            .keys()
            .filter(|(hook, _)| !known(hook))
            .cloned()
            .collect();
        for (hook, subject) in gone {
            self.delivered.remove(&(hook.clone(), subject.clone()));
            self.lines.push(Line::Forgotten { hook, subject });
        }
    }

    /// Something happened. What came already is nothing new.
    pub(crate) fn accept(&mut self, event: HookEvent) {
        if event.id <= self.accepted {
            return;
        }
        self.accepted = event.id;
        self.take(event, false);
        self.note_settled();
    }

    /// How everybody stands. Who is not named is gone.
    pub(crate) fn compare(&mut self, id: u64, time: &str, all: &[Stand]) {
        let synthetic = |subject: &Subject, state: Standing, priority, text: &str| HookEvent {
            id,
            time: time.to_owned(),
            event: state.name().to_owned(),
            subject: subject.0,
            name: subject.1.clone(),
            state: Some(state),
            priority,
            text: text.to_owned(),
            reason: Some("noticed".into()),
            ..HookEvent::default()
        };
        // Whoever asks may not have heard it.
        self.prepared.clear();
        let there: BTreeSet<Subject> = all
            .iter()
            .map(|stand| (stand.subject, stand.name.clone()))
            .collect();
        for stand in all {
            let subject = (stand.subject, stand.name.clone());
            let Some(state) = stand.state else {
                continue;
            };
            if self.known.get(&subject).and_then(|it| it.state) != Some(state) {
                let text = "found in this state";
                self.take(synthetic(&subject, state, stand.priority, text), true);
            }
            self.catch_up(&subject);
        }
        for group in self.groups.keys().cloned().collect::<Vec<_>>() {
            self.catch_up(&(SubjectKind::Group, group));
        }
        let gone: Vec<Subject> = self
            .known
            .iter()
            .filter(|(subject, event)| {
                let stays = match subject.0 {
                    // It is what its members are.
                    SubjectKind::Group => self.groups.contains_key(&subject.1),
                    SubjectKind::Router | SubjectKind::Daemon => there.contains(subject),
                };
                !stays && event.state != Some(Standing::Stop)
            })
            .map(|(subject, _)| subject.clone())
            .collect();
        for subject in gone {
            let text = "it is there no more";
            self.take(synthetic(&subject, Standing::Stop, None, text), true);
        }
    }

    /// Everybody's last state is that it has stopped.
    pub(crate) fn stop(&mut self, time: &str, reason: &str, text: &str) {
        let id = self.accepted;
        let standing: Vec<(Subject, Option<u8>)> = self
            .known
            .iter()
            .filter(|(_, event)| event.state != Some(Standing::Stop))
            .map(|(subject, event)| (subject.clone(), event.priority))
            .collect();
        for ((subject, name), priority) in standing {
            let event = HookEvent {
                id,
                time: time.to_owned(),
                event: Standing::Stop.name().to_owned(),
                subject,
                name,
                state: Some(Standing::Stop),
                reason: Some(reason.to_owned()),
                priority,
                text: text.to_owned(),
                ..HookEvent::default()
            };
            self.take(event, true);
        }
    }

    /// Nothing begins any more.
    pub(crate) const fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether nothing runs, and nothing that may begin waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues
            .values()
            .all(|queue| queue.running.is_none() && (self.retired || queue.waiting.is_empty()))
    }

    /// The runs that may begin.
    pub(crate) fn begin(&mut self) -> Vec<(HookSpec, Job)> {
        let mut due = Vec::new();
        if self.retired {
            return due;
        }
        let idle: Vec<Subject> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.running.is_none())
            .map(|(subject, _)| subject.clone())
            .collect();
        for subject in idle {
            while let Some(job) = self.next(&subject) {
                let hook = self.hooks.iter().find(|hook| hook.name == job.hook);
                let Some(hook) = hook.filter(|hook| hook.hears(&job.event)).cloned() else {
                    // It passes through.
                    self.note_delivered(&subject, &job);
                    continue;
                };
                if let Some(queue) = self.queues.get_mut(&subject) {
                    queue.running = Some(job.clone());
                }
                due.push((hook, job));
                break;
            }
            if self
                .queues
                .get(&subject)
                .is_some_and(|queue| queue.running.is_none())
            {
                self.queues.remove(&subject);
            }
        }
        if due.is_empty() {
            self.note_settled();
        }
        due
    }

    /// A run has ended.
    pub(crate) fn end(&mut self, job: &Job, run: HookRun) {
        let subject = (job.event.subject, job.event.name.clone());
        if let Some(queue) = self.queues.get_mut(&subject) {
            queue.running = None;
        }
        let count = self.count(&job.hook);
        count.runs += 1;
        count.failures += u64::from(!run.good);
        count.last = Some(run);
        self.note_delivered(&subject, job);
        self.note_settled();
    }

    /// Routers whose addresses wait for nothing any more, each with the event since which they did. Each is said once.
    pub(crate) fn take_prepared(&mut self) -> Vec<(String, u64)> {
        let early: Vec<&HookSpec> = self
            .hooks
            .iter()
            .filter(|hook| hook.hears_early())
            .collect();
        if early.is_empty() {
            return Vec::new();
        }
        let state = |subject: &Subject| self.known.get(subject).and_then(|event| event.state);
        let busy = |subject: &Subject| {
            let is_early = |job: &Job| job.event.state == Some(Standing::PreActive);
            let queue = self.queues.get(subject);
            queue.is_some_and(|queue| queue.waiting.iter().chain(&queue.running).any(is_early))
        };
        let waits = |name: &String| {
            let groups = self
                .groups
                .iter()
                .filter(|(_, members)| members.contains(name));
            let unsettled = |(group, _): (&String, &Vec<String>)| {
                let subject = (SubjectKind::Group, group.clone());
                let wanted = early.iter().any(|hook| hook.is_for(subject.0, &subject.1));
                // Members are told of one after the other.
                let moved = matches!(
                    state(&subject),
                    Some(Standing::PreActive | Standing::Active)
                );
                wanted && (!moved || busy(&subject))
            };
            busy(&(SubjectKind::Router, name.clone())) || groups.into_iter().any(unsettled)
        };
        let mut done = Vec::new();
        for ((kind, name), event) in &self.known {
            let early = *kind == SubjectKind::Router && event.state == Some(Standing::PreActive);
            if early && self.prepared.get(name) != Some(&event.id) && !waits(name) {
                done.push((name.clone(), event.id));
            }
        }
        self.prepared.extend(done.iter().cloned());
        done
    }

    /// A hook by its name, and what it would be told of a router.
    pub(crate) fn find(&self, hook: &str, event: &mut HookEvent) -> Option<HookSpec> {
        event.router = self.routers.get(&event.name).cloned();
        self.hooks.iter().find(|it| it.name == hook).cloned()
    }

    /// How the hooks are doing.
    pub(crate) fn counts(&self) -> Vec<HookCount> {
        self.counts.values().cloned().collect()
    }

    /// What the journal is to be told, since this was asked last.
    pub(crate) fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// How many runs were lost since this was asked last, because too many waited.
    pub(crate) const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.lost, 0)
    }

    /// What a journal is to say that begins now.
    pub(crate) fn past(&self) -> Past {
        Past {
            since: self.since.clone(),
            settled: self.settled(),
            delivered: self.delivered.clone(),
            done: self.done.clone(),
        }
    }

    /// Something is to be delivered, `anew` if it may have the number of what was delivered before.
    fn take(&mut self, mut event: HookEvent, anew: bool) {
        let subject = (event.subject, event.name.clone());
        event.router = self.routers.get(&event.name).cloned();
        let Some(state) = event.state else {
            for hook in self.hooks.clone() {
                let is_done = self.done.contains(&(event.id, hook.name.clone()));
                if hook.hears(&event) && !is_done {
                    self.push(&subject, &hook.name, &event);
                }
            }
            return;
        };
        let before = self.known.get(&subject).and_then(|event| event.state);
        if before == Some(state) {
            return;
        }
        event.old_state = before;
        // Who knows nothing of the state in between comes from the one before it.
        let earlier = match self.known.get(&subject) {
            Some(known) if before == Some(Standing::PreActive) => known.old_state,
            Some(_) | None => before,
        };
        self.known.insert(subject.clone(), event.clone());
        for hook in self.hooks.clone() {
            let key = (hook.name.clone(), subject.clone());
            let heard = self.delivered.get(&key).map_or(0, |(_, id)| *id);
            let early = hook.hears_early();
            let is_for = hook.hears_states()
                && hook.is_for(subject.0, &subject.1)
                && (early || state != Standing::PreActive);
            if is_for && (anew || event.id > heard) {
                let old_state = if early { before } else { earlier };
                let event = HookEvent {
                    old_state,
                    ..event.clone()
                };
                self.push_state(&subject, &hook, &event);
            }
        }
        if subject.0 == SubjectKind::Router {
            self.regroup(&event, anew);
        }
    }

    /// A member has another state: the groups that it is in may have one, too.
    fn regroup(&mut self, of: &HookEvent, anew: bool) {
        for (name, members) in self.groups.clone() {
            if !members.contains(&of.name) {
                continue;
            }
            let known = |member: &String| self.known.get(&(SubjectKind::Router, member.clone()));
            let members: Option<Vec<&HookEvent>> = members.iter().map(known).collect();
            // Until all of them are known, it is none.
            let Some(members) = members else {
                continue;
            };
            let is = |state| move |member: &&HookEvent| member.state == Some(state);
            let all = |state| members.iter().all(is(state));
            // While they go live one after the other, it is what it was.
            let rises = |member: &&HookEvent| {
                matches!(member.state, Some(Standing::PreActive | Standing::Active))
            };
            if members.iter().all(rises) && !all(Standing::Active) && !all(Standing::PreActive) {
                continue;
            }
            let state = if members.iter().any(is(Standing::Fault)) {
                Standing::Fault
            } else if all(Standing::Active) {
                Standing::Active
            } else if all(Standing::PreActive) {
                Standing::PreActive
            } else if all(Standing::Stop) {
                Standing::Stop
            } else {
                Standing::Backup
            };
            let event = HookEvent {
                subject: SubjectKind::Group,
                event: state.name().to_owned(),
                state: Some(state),
                priority: members.iter().filter_map(|member| member.priority).min(),
                text: format!("{}: {}", of.name, of.text),
                name,
                ..of.clone()
            };
            self.take(event, anew);
        }
    }

    /// A hook that has not heard of this state yet does now.
    fn catch_up(&mut self, subject: &Subject) {
        let Some(event) = self.known.get(subject).cloned() else {
            return;
        };
        for hook in self.hooks.clone() {
            let key = (hook.name.clone(), subject.clone());
            let told = self.delivered.get(&key).map(|(state, _)| *state);
            let is_due = |job: &Job| job.hook == hook.name && job.event.state.is_some();
            let queue = self.queues.get(subject);
            let due = queue.is_some_and(|queue| {
                queue.waiting.iter().any(is_due) || queue.running.as_ref().is_some_and(is_due)
            });
            let is_for = hook.hears_states()
                && hook.is_for(subject.0, &subject.1)
                && (hook.hears_early() || event.state != Some(Standing::PreActive));
            if is_for && !due && told != event.state {
                let router = self.routers.get(&subject.1).cloned();
                let event = HookEvent {
                    router,
                    ..event.clone()
                };
                self.push(subject, &hook.name, &event);
            }
        }
    }

    fn push_state(&mut self, subject: &Subject, hook: &HookSpec, event: &HookEvent) {
        if hook.coalesce {
            let key = (hook.name.clone(), subject.clone());
            let mut last = self.delivered.get(&key).map(|(state, _)| *state);
            let mut over = 0;
            if let Some(queue) = self.queues.get_mut(subject) {
                let before = queue.waiting.len();
                let is_of_it = |job: &Job| job.hook == hook.name && job.event.state.is_some();
                // What comes before `active` is not over with it.
                let leads = |job: &Job| {
                    job.event.state == Some(Standing::PreActive)
                        && event.state == Some(Standing::Active)
                };
                queue.waiting.retain(|job| !is_of_it(job) || leads(job));
                over = before - queue.waiting.len();
                let running = queue.running.as_ref().filter(|job| is_of_it(job));
                last = running.map_or(last, |job| job.event.state);
                let waiting = queue.waiting.iter().rfind(|job| is_of_it(job));
                last = waiting.map_or(last, |job| job.event.state);
            }
            self.count(&hook.name).coalesced += over as u64;
            if last == event.state {
                // It is where it was.
                self.count(&hook.name).coalesced += 1;
                return;
            }
        }
        self.push(subject, &hook.name, event);
    }

    fn push(&mut self, subject: &Subject, hook: &str, event: &HookEvent) {
        let queue = self.queues.entry(subject.clone()).or_default();
        if queue.waiting.len() == WAITING {
            queue.waiting.pop_front();
            self.lost += 1;
        }
        queue.waiting.push_back(Job {
            hook: hook.to_owned(),
            event: event.clone(),
        });
    }

    fn next(&mut self, subject: &Subject) -> Option<Job> {
        self.queues.get_mut(subject)?.waiting.pop_front()
    }

    fn count(&mut self, hook: &str) -> &mut HookCount {
        self.counts
            .entry(hook.to_owned())
            .or_insert_with(|| HookCount {
                hook: hook.to_owned(),
                ..HookCount::default()
            })
    }

    fn note_delivered(&mut self, subject: &Subject, job: &Job) {
        let (hook, id) = (job.hook.clone(), job.event.id);
        let line = match job.event.state {
            Some(state) => {
                let key = (hook.clone(), subject.clone());
                self.delivered.insert(key, (state, id));
                Line::Delivered {
                    hook,
                    subject: subject.clone(),
                    state,
                    id,
                }
            }
            None => {
                self.done.insert((id, hook.clone()));
                Line::Done { hook, id }
            }
        };
        self.lines.push(line);
    }

    /// The last event up to which there is nothing left to do.
    fn settled(&self) -> u64 {
        let jobs = self
            .queues
            .values()
            .flat_map(|queue| queue.waiting.iter().chain(&queue.running));
        let oldest = jobs.map(|job| job.event.id).min();
        oldest.map_or(self.accepted, |id| id.saturating_sub(1).min(self.accepted))
    }

    fn note_settled(&mut self) {
        let settled = self.settled();
        self.done.retain(|(id, _)| *id > settled);
        let line = Line::Settled {
            since: self.since.clone(),
            id: settled,
        };
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_control::agent::HookAction;

    fn hook(name: &str, on: &[&str], coalesce: bool) -> HookSpec {
        HookSpec {
            name: name.into(),
            on: on.iter().map(|word| (*word).into()).collect(),
            routers: Vec::new(),
            coalesce,
            timeout_ms: 1000,
            action: HookAction::Fifo { path: "/x".into() },
        }
    }

    fn event(id: u64, word: &str) -> HookEvent {
        HookEvent {
            id,
            event: word.into(),
            name: "lan4".into(),
            state: Standing::of(word),
            ..HookEvent::default()
        }
    }

    const STATES: [&str; 4] = ["active", "backup", "fault", "stop"];

    fn desk(hooks: &[HookSpec]) -> Desk {
        let mut desk = Desk::new(Past::default());
        desk.configure(hooks.to_vec(), BTreeMap::new(), BTreeMap::new());
        desk.greet("now", 0);
        desk
    }

    /// The runs that begin, as `hook state`.
    fn begun(desk: &mut Desk) -> (Vec<Job>, Vec<String>) {
        let jobs: Vec<Job> = desk.begin().into_iter().map(|(_, job)| job).collect();
        let words = jobs
            .iter()
            .map(|job| format!("{} {}", job.hook, job.event.event))
            .collect();
        (jobs, words)
    }

    fn end(desk: &mut Desk, job: &Job) {
        let run = HookRun {
            hook: job.hook.clone(),
            id: job.event.id,
            event: job.event.event.clone(),
            name: job.event.name.clone(),
            time: String::new(),
            took_ms: 0,
            good: true,
            outcome: String::new(),
            lines_lost: 0,
        };
        desk.end(job, run);
    }

    /// Ends what runs, until nothing is left; what has begun.
    fn drain(desk: &mut Desk) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let (jobs, words) = begun(desk);
            if jobs.is_empty() {
                return all;
            }
            all.extend(words);
            jobs.iter().for_each(|job| end(desk, job));
        }
    }

    #[test]
    fn one_runs_at_a_time_and_in_order() {
        let mut desk = desk(&[hook("a", &STATES, false), hook("b", &STATES, false)]);
        for (id, word) in [(1, "backup"), (2, "active"), (3, "backup")] {
            desk.accept(event(id, word));
        }
        let (jobs, words) = begun(&mut desk);
        assert_eq!(words, ["a backup"]);
        assert_eq!(begun(&mut desk).1, [""; 0]);
        end(&mut desk, &jobs[0]);
        let rest = ["b backup", "a active", "b active", "a backup", "b backup"];
        assert_eq!(drain(&mut desk), rest);
        assert!(desk.is_idle());
    }

    #[test]
    fn states_that_are_over_are_left_out_and_the_last_one_is_not() {
        let mut desk = desk(&[hook("a", &STATES, true)]);
        desk.accept(event(1, "backup"));
        let (jobs, _) = begun(&mut desk);
        for (id, word) in [(2, "active"), (3, "backup"), (4, "active")] {
            desk.accept(event(id, word));
        }
        end(&mut desk, &jobs[0]);
        assert_eq!(drain(&mut desk), ["a active"]);
        // There and back again is nothing to hear of.
        desk.accept(event(5, "backup"));
        desk.accept(event(6, "active"));
        assert_eq!(drain(&mut desk), [""; 0]);
        assert_eq!(desk.counts()[0].coalesced, 2 + 2);
    }

    #[test]
    fn who_hears_of_one_state_only_hears_of_it_again() {
        let mut desk = desk(&[hook("a", &["active"], true)]);
        desk.accept(event(1, "active"));
        assert_eq!(drain(&mut desk), ["a active"]);
        desk.accept(event(2, "backup"));
        assert_eq!(drain(&mut desk), [""; 0]);
        desk.accept(event(3, "active"));
        assert_eq!(drain(&mut desk), ["a active"]);
    }

    #[test]
    fn what_came_already_is_nothing_new() {
        let mut desk = desk(&[hook("a", &["active", "conflict"], true)]);
        for id in [1, 1, 2, 1] {
            desk.accept(event(id, "conflict"));
        }
        assert_eq!(drain(&mut desk), ["a conflict", "a conflict"]);
        assert_eq!(desk.greet("now", 0), 2);
        assert_eq!(desk.greet("later", 9), 9);
    }

    #[test]
    fn a_state_that_nobody_spoke_of_is_delivered() {
        let mut desk = desk(&[hook("a", &STATES, true)]);
        desk.accept(event(1, "backup"));
        assert_eq!(drain(&mut desk), ["a backup"]);
        let stand = |name: &str, state| Stand {
            subject: SubjectKind::Router,
            name: name.into(),
            state,
            priority: None,
        };
        let all = [stand("lan4", Some(Standing::Active)), stand("wan4", None)];
        desk.compare(1, "", &all);
        assert_eq!(drain(&mut desk), ["a active"]);
        desk.compare(1, "", &all);
        assert_eq!(drain(&mut desk), [""; 0]);
        // Another hook hears how things stand,
        desk.configure(
            vec![hook("a", &STATES, true), hook("b", &STATES, true)],
            BTreeMap::new(),
            BTreeMap::new(),
        );
        desk.compare(1, "", &all);
        assert_eq!(drain(&mut desk), ["b active"]);
        // and who is gone has stopped.
        desk.compare(1, "", &all[1..]);
        assert_eq!(drain(&mut desk), ["a stop", "b stop"]);
    }

    #[test]
    fn one_that_was_killed_goes_on_from_its_journal() {
        let hooks = [hook("a", &["active", "backup", "conflict"], true)];
        let mut first = desk(&hooks);
        for (id, word) in [
            (1, "backup"),
            (2, "conflict"),
            (3, "active"),
            (4, "conflict"),
        ] {
            first.accept(event(id, word));
        }
        // Coalesced: 2, 3, 4. Two of them have run, and the third one has begun.
        let mut heard = Vec::new();
        for _ in 0..2 {
            let (jobs, words) = begun(&mut first);
            heard.extend(words);
            end(&mut first, &jobs[0]);
        }
        let _ = begun(&mut first);
        let mut second = Desk::new(first.past());
        second.configure(hooks.to_vec(), BTreeMap::new(), BTreeMap::new());
        let from = second.greet("now", 0);
        for (id, word) in [
            (1, "backup"),
            (2, "conflict"),
            (3, "active"),
            (4, "conflict"),
        ] {
            if id > from {
                second.accept(event(id, word));
            }
        }
        heard.extend(drain(&mut second));
        assert_eq!(heard, ["a conflict", "a active", "a conflict"]);
    }

    #[test]
    fn everybody_stops_in_the_end() {
        let mut desk = desk(&[hook("a", &["stop"], true)]);
        desk.accept(event(1, "active"));
        desk.stop("", "shutdown", "the daemon stops");
        assert_eq!(drain(&mut desk), ["a stop"]);
        desk.stop("", "shutdown", "the daemon stops");
        assert_eq!(drain(&mut desk), [""; 0]);
    }

    #[test]
    fn a_group_is_what_its_members_are() {
        let mut desk = desk(&[]);
        let hooks = vec![HookSpec {
            routers: vec!["pair".into()],
            ..hook("g", &STATES, false)
        }];
        let members = ["lan4", "wan4"].map(str::to_owned).to_vec();
        let groups = BTreeMap::from([("pair".to_owned(), members)]);
        desk.configure(hooks, BTreeMap::new(), groups);
        let mut id = 0;
        let mut happens = |name: &str, word: &str| {
            id += 1;
            desk.accept(HookEvent {
                name: name.into(),
                priority: Some(if name == "lan4" { 90 } else { 150 }),
                ..event(id, word)
            });
            let jobs = desk.begin();
            let said = jobs.iter().map(|(_, job)| {
                assert_eq!(
                    (job.event.subject, job.event.name.as_str()),
                    (SubjectKind::Group, "pair")
                );
                format!("{} {}", job.event.event, job.event.priority.unwrap_or(0))
            });
            let said: Vec<String> = said.collect();
            jobs.iter().for_each(|(_, job)| end(&mut desk, job));
            said.concat()
        };
        assert_eq!(happens("lan4", "backup"), "");
        assert_eq!(happens("wan4", "backup"), "backup 90");
        assert_eq!(happens("lan4", "active"), "");
        assert_eq!(happens("wan4", "active"), "active 90");
        assert_eq!(happens("wan4", "fault"), "fault 90");
        assert_eq!(happens("lan4", "backup"), "");
        assert_eq!(happens("wan4", "backup"), "backup 90");
        desk.stop("", "shutdown", "the daemon stops");
        assert_eq!(drain(&mut desk), ["g stop"]);
    }

    const EARLY: [&str; 5] = ["pre-active", "active", "backup", "fault", "stop"];

    #[test]
    fn what_comes_before_is_told_before_and_to_those_only_who_ask() {
        let mut desk = desk(&[hook("early", &EARLY, true), hook("other", &STATES, true)]);
        desk.accept(event(1, "backup"));
        assert_eq!(drain(&mut desk), ["early backup", "other backup"]);
        desk.accept(event(2, "pre-active"));
        let (jobs, words) = begun(&mut desk);
        assert_eq!(words, ["early pre-active"]);
        assert_eq!(desk.take_prepared(), []);
        end(&mut desk, &jobs[0]);
        let prepared = ("lan4".to_owned(), 2);
        assert_eq!(
            desk.take_prepared().as_slice(),
            std::slice::from_ref(&prepared)
        );
        assert_eq!(desk.take_prepared(), [], "once");
        desk.compare(2, "", &[]);
        let stand = Stand {
            subject: SubjectKind::Router,
            name: "lan4".into(),
            state: Some(Standing::PreActive),
            priority: None,
        };
        let mut again = self::desk(&[hook("early", &EARLY, true)]);
        again.compare(2, "", std::slice::from_ref(&stand));
        assert_eq!(drain(&mut again), ["early pre-active"]);
        assert_eq!(
            again.take_prepared().as_slice(),
            std::slice::from_ref(&prepared)
        );
        again.compare(2, "", &[stand]);
        assert_eq!(
            again.take_prepared(),
            [prepared],
            "who asks has not heard it"
        );
    }

    #[test]
    fn a_state_in_between_is_nothing_to_who_does_not_know_it() {
        let mut desk = desk(&[hook("early", &EARLY, true), hook("other", &STATES, true)]);
        for (id, word) in [(1, "backup"), (2, "pre-active"), (3, "backup")] {
            desk.accept(event(id, word));
            let expected: &[&str] = match id {
                1 => &["early backup", "other backup"],
                2 => &["early pre-active"],
                _ => &["early backup"],
            };
            assert_eq!(drain(&mut desk), expected);
        }
        desk.accept(event(4, "pre-active"));
        desk.accept(event(5, "active"));
        // Late, and in order.
        let mut seen = Vec::new();
        loop {
            let due = desk.begin();
            let [(_, job)] = &due[..] else {
                break;
            };
            let old = job.event.old_state.map_or("none", Standing::name);
            seen.push(format!("{} {} from {old}", job.hook, job.event.event));
            end(&mut desk, job);
        }
        assert_eq!(
            seen,
            [
                "early pre-active from backup",
                "early active from pre-active",
                "other active from backup"
            ]
        );
    }

    #[test]
    fn what_was_called_off_before_it_began_is_left_out() {
        let mut desk = desk(&[hook("early", &EARLY, true)]);
        desk.accept(event(1, "backup"));
        let (jobs, _) = begun(&mut desk);
        for (id, word) in [(2, "pre-active"), (3, "backup"), (4, "pre-active")] {
            desk.accept(event(id, word));
        }
        assert_eq!(desk.take_prepared(), []);
        desk.accept(event(5, "backup"));
        end(&mut desk, &jobs[0]);
        assert_eq!(drain(&mut desk), [""; 0]);
        assert_eq!(desk.take_prepared(), []);
    }

    #[test]
    fn members_wait_for_the_hook_of_their_group() {
        let mut desk = desk(&[]);
        let hooks = vec![HookSpec {
            routers: vec!["pair".into()],
            ..hook("g", &EARLY, true)
        }];
        let members = ["lan4", "wan4"].map(str::to_owned).to_vec();
        let groups = BTreeMap::from([("pair".to_owned(), members)]);
        desk.configure(hooks, BTreeMap::new(), groups);
        let mut id = 0;
        let mut happens = |desk: &mut Desk, name: &str, word: &str| {
            id += 1;
            let name = name.into();
            desk.accept(HookEvent {
                name,
                ..event(id, word)
            });
        };
        for name in ["lan4", "wan4"] {
            happens(&mut desk, name, "backup");
        }
        assert_eq!(drain(&mut desk), ["g backup"]);
        happens(&mut desk, "lan4", "pre-active");
        assert_eq!((drain(&mut desk), desk.take_prepared()), (vec![], vec![]));
        happens(&mut desk, "wan4", "pre-active");
        let (jobs, words) = begun(&mut desk);
        assert_eq!(
            (words, desk.take_prepared()),
            (vec!["g pre-active".to_owned()], vec![])
        );
        end(&mut desk, &jobs[0]);
        let both = [("lan4".to_owned(), 3), ("wan4".to_owned(), 4)];
        assert_eq!(desk.take_prepared(), both);
        happens(&mut desk, "lan4", "active");
        assert_eq!(drain(&mut desk), [""; 0]);
        happens(&mut desk, "wan4", "active");
        assert_eq!(drain(&mut desk), ["g active"]);
    }

    #[test]
    fn too_many_that_wait_are_counted() {
        let mut desk = desk(&[hook("a", &["conflict"], false)]);
        for id in 1..=1003 {
            desk.accept(event(id, "conflict"));
        }
        assert_eq!(desk.take_lost(), 3);
        assert_eq!(drain(&mut desk).len(), 1000);
    }
}
