//! Hooks in the words of the agent: what is configured, and what of all that happens they may want to hear of.

use std::collections::BTreeMap;

use nix::unistd::User;
use vrrp_config::{Config, Finding, HookDeed, HookPlan};
use vrrp_control::EventRecord;
use vrrp_control::agent::{
    CarpFacts, HookAction, HookEvent, HookSpec, RouterFacts, Stand, Standing, SubjectKind,
};
use vrrp_proto::{Engine, Gather, Happening, Plan, Role};

/// A hook of the configuration.
pub(crate) fn spec(plan: &HookPlan) -> HookSpec {
    HookSpec {
        name: plan.name.clone(),
        on: plan.on.clone(),
        routers: plan.routers.clone(),
        coalesce: plan.coalesce,
        timeout_ms: u64::try_from(plan.timeout.as_millis()).unwrap_or(u64::MAX),
        action: match plan.action.clone() {
            HookDeed::Exec {
                command,
                keepalived,
                user,
                capabilities,
            } => HookAction::Exec {
                command,
                keepalived,
                user,
                capabilities,
            },
            HookDeed::Fifo { path } => HookAction::Fifo { path },
            HookDeed::Webhook { url } => HookAction::Webhook { url },
        },
    }
}

/// What hooks are told of the routers of a plan.
pub(crate) fn facts(plan: &Plan) -> BTreeMap<String, RouterFacts> {
    let facts = plan.routers.iter().map(|router| {
        let facts = RouterFacts {
            interface: router.interface.clone(),
            vrid: router.vrid.get(),
            addresses: router.addresses.iter().map(ToString::to_string).collect(),
            carp: router.carp.map(|carp| CarpFacts {
                advbase: router.interval.as_secs().unwrap_or(u8::MAX),
                advskew: carp.advskew,
            }),
        };
        (router.name.clone(), facts)
    });
    facts.gather()
}

/// The members of the groups of a plan.
pub(crate) fn groups(plan: &Plan) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for router in &plan.routers {
        if let Some(group) = &router.group {
            let members = groups.entry(group.clone()).or_default();
            members.push(router.name.clone());
        }
    }
    groups
}

/// The priorities of the routers of a plan.
pub(crate) fn priorities(plan: &Plan) -> BTreeMap<String, u8> {
    let routers = plan.routers.iter();
    let priorities = routers.map(|router| (router.name.clone(), router.priority.get()));
    priorities.gather()
}

/// What hooks hear of an event of the history, if it is for them.
pub(crate) fn event(record: &EventRecord) -> Option<HookEvent> {
    let state = match &*record.kind {
        "role" => Some(match record.to.as_deref()? {
            "active" => Standing::Active,
            "backup" => Standing::Backup,
            _ if record.reason.as_deref() == Some("fault") => Standing::Fault,
            _ => Standing::Stop,
        }),
        // Without a role that changes: it has been out already, or never in.
        "faults" if record.text != Happening::Faults(Vec::new()).to_string() => {
            Some(Standing::Fault)
        }
        "pre-active" => Some(Standing::PreActive),
        // What it means for the addresses, if anything.
        "prepared" => Some(match record.to.as_deref()? {
            "active" => Standing::Active,
            _ => Standing::Backup,
        }),
        "conflict" | "start" | "tracker" => None,
        _ => return None,
    };
    let subject = match record.router {
        Some(_) => SubjectKind::Router,
        None => SubjectKind::Daemon,
    };
    let reason = match (&record.reason, &*record.kind) {
        (Some(reason), _) => Some(reason.to_string()),
        (None, "faults") => Some("fault".to_owned()),
        (None, _) => None,
    };
    Some(HookEvent {
        id: record.sequence,
        time: record.time.clone(),
        event: state.map_or_else(|| record.kind.to_string(), |state| state.name().to_owned()),
        subject,
        name: record.router.clone().unwrap_or_default(),
        state,
        old_state: None,
        reason,
        priority: None,
        demotion: None,
        text: record.text.clone(),
        router: None,
    })
}

/// What is wrong on this host with the programs of hooks and trackers.
pub(crate) fn distrusted(config: &Config) -> Vec<Finding> {
    let user = |name: &str| {
        let found = User::from_name(name).ok().flatten();
        found.map(|user| user.uid.as_raw())
    };
    vrrp_config::distrusted(config, user)
}

/// How all routers stand at this moment.
pub(crate) fn standing(engine: &Engine) -> Vec<Stand> {
    let stand = |router: vrrp_proto::RouterStatus<'_>| Stand {
        subject: SubjectKind::Router,
        name: router.plan.name.clone(),
        state: match router.role {
            Role::Active | Role::Backup if router.preparing.is_some() => Some(Standing::PreActive),
            Role::Active => Some(Standing::Active),
            Role::Backup => Some(Standing::Backup),
            Role::Initialize if !router.faults.is_empty() => Some(Standing::Fault),
            // Its interface is not known yet.
            Role::Initialize => None,
        },
        priority: Some(router.effective_priority.get()),
    };
    engine.status().map(stand).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &'static str, to: Option<&'static str>, reason: &'static str) -> EventRecord {
        EventRecord {
            time: String::new(),
            sequence: 3,
            router: Some("lan4".into()),
            kind: kind.into(),
            text: "interface eth0 is down".into(),
            from: None,
            to: to.map(Into::into),
            reason: to.map(|_| reason.into()),
        }
    }

    #[test]
    fn roles_and_faults_are_states() {
        for (kind, to, reason, state) in [
            ("role", Some("active"), "no-response", Standing::Active),
            ("role", Some("backup"), "startup", Standing::Backup),
            ("role", Some("initialize"), "fault", Standing::Fault),
            ("role", Some("initialize"), "shutdown", Standing::Stop),
            ("faults", None, "", Standing::Fault),
        ] {
            let found = event(&record(kind, to, reason)).unwrap();
            assert_eq!(
                (found.state, found.event.as_str()),
                (Some(state), state.name())
            );
        }
        let mut mended = record("faults", None, "");
        mended.text = "no fault any more".into();
        assert_eq!(event(&mended), None);
        assert_eq!(event(&record("refused", None, "")), None);
        assert_eq!(event(&record("conflict", None, "")).unwrap().state, None);
    }
}
