//! What the daemon and its agent, the process that runs hooks and probes, say to each other: lines of JSON over a pair of
//! connected sockets.
//!
//! ```text
//!   daemon: "greet", "hooks", "probes"           who asks, and what is to be run from now on; the whole of it
//!   agent:  "hello"                              which events it has already
//!   daemon: "event" for each, "standing"         what it missed, and how things stand; then each event as it happens
//!   agent:  "said", "ran"                        what a hook wrote, and how it ended
//!   agent:  "sample"                             what a probe has found
//!   agent:  "prepared"                           what addresses waited for is done
//!   daemon: "finish"                             the end: what is due is still delivered
//! ```
//!
//! A daemon's process may die in the middle of a line, and its successor goes on with the same socket: each begins with an
//! empty line, and lines that are not whole are nothing.

use serde::{Deserialize, Serialize};
use vrrp_proto::{Sample, TrackerPlan};

use crate::tracker::{ProbeReport, ProbeRun};

/// How a router or a group stands, in the words of hooks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It has the addresses.
    Active,
    /// It stands by.
    Backup,
    /// It is about to have the addresses, which wait for hooks.
    PreActive,
    /// It cannot take part.
    Fault,
    /// It takes part no more: the daemon stops, or its configuration is gone.
    Stop,
}

impl Standing {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Backup => "backup",
            Self::PreActive => "pre-active",
            Self::Fault => "fault",
            Self::Stop => "stop",
        }
    }

    /// What keepalived calls it, or would.
    #[must_use]
    pub const fn keepalived(self) -> &'static str {
        match self {
            Self::Active => "MASTER",
            Self::Backup => "BACKUP",
            Self::PreActive => "PRE_MASTER",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
        }
    }

    /// The one that has this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let all = [
            Self::Active,
            Self::Backup,
            Self::PreActive,
            Self::Fault,
            Self::Stop,
        ];
        all.into_iter().find(|it| it.name() == word)
    }
}

/// What something happened to.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A virtual router.
    #[default]
    Router,
    /// A group of them.
    Group,
    /// The daemon as a whole, or something that belongs to no router.
    Daemon,
}

/// Something that hooks may want to hear of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HookEvent {
    /// Number of the event in the history; several events that were noticed late may have the same one.
    pub id: u64,
    /// When, as RFC 3339 in UTC.
    pub time: String,
    /// What `on` calls it.
    pub event: String,
    /// What it happened to.
    pub subject: SubjectKind,
    /// The name of that; empty for the daemon.
    pub name: String,
    /// For `active`, `backup`, `pre-active`, `fault` and `stop`: the state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<Standing>,
    /// The state that hooks heard of before, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub old_state: Option<Standing>,
    /// A stable word for why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The priority that counts at that moment; with CARP, 254 less the skew.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<u8>,
    /// With CARP, by how much it is demoted at that moment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub demotion: Option<u8>,
    /// A sentence.
    pub text: String,
    /// The router that it happened to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub router: Option<RouterFacts>,
}

/// What a hook may want to know of a router.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RouterFacts {
    /// Its interface.
    pub interface: String,
    /// Its identifier, which CARP calls vhid.
    pub vrid: u8,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// What only CARP has; absent with VRRP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carp: Option<CarpFacts>,
}

/// What a hook may want to know of a router that speaks CARP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CarpFacts {
    /// Whole seconds between two advertisements.
    pub advbase: u8,
    /// The configured skew, in 256ths of a second.
    pub advskew: u8,
}

impl HookEvent {
    /// The same, with what follows from its priority for a router that speaks CARP.
    fn in_full(&self) -> Self {
        let carp = self.router.as_ref().and_then(|router| router.carp);
        let demotion = carp.zip(self.priority).map(|(carp, priority)| {
            let configured = vrrp_proto::carp::priority(carp.advskew).get();
            configured.saturating_sub(priority)
        });
        Self {
            demotion,
            ..self.clone()
        }
    }
}

/// A hook, as it is configured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HookSpec {
    /// Its name.
    pub name: String,
    /// The events it hears of.
    pub on: Vec<String>,
    /// The routers and groups it is for; empty for all.
    pub routers: Vec<String>,
    /// Whether states that are over before it could hear of them are left out.
    pub coalesce: bool,
    /// How long one run may take, in milliseconds.
    pub timeout_ms: u64,
    /// What is done.
    pub action: HookAction,
}

/// What a hook does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum HookAction {
    /// A program is run.
    Exec {
        /// Its path and arguments.
        command: Vec<String>,
        /// Whether keepalived's arguments follow.
        keepalived: bool,
        /// Who runs it; the daemon's own user if absent.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        user: Option<String>,
        /// Capabilities that it has, without `CAP_`, in lower case with dashes.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        capabilities: Vec<String>,
    },
    /// A line in keepalived's format is written to a FIFO.
    Fifo {
        /// Its path.
        path: String,
    },
    /// The event is posted as JSON.
    Webhook {
        /// `http://host[:port][/path]`.
        url: String,
    },
}

impl HookSpec {
    /// Whether it hears of an event.
    #[must_use]
    pub fn hears(&self, event: &HookEvent) -> bool {
        self.is_for(event.subject, &event.name) && self.on.contains(&event.event)
    }

    /// Whether it is for a router or a group; all are for the daemon.
    #[must_use]
    pub fn is_for(&self, subject: SubjectKind, name: &str) -> bool {
        subject == SubjectKind::Daemon
            || self.routers.is_empty()
            || self.routers.iter().any(|router| router == name)
    }

    /// Whether it hears that addresses are about to go live. Who does not knows nothing of such a state.
    #[must_use]
    pub fn hears_early(&self) -> bool {
        self.on
            .iter()
            .any(|word| word == Standing::PreActive.name())
    }

    /// Whether it hears of states at all.
    #[must_use]
    pub fn hears_states(&self) -> bool {
        self.on.iter().any(|word| Standing::of(word).is_some())
    }
}

/// How a router or a group stands at a moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stand {
    /// What it is.
    pub subject: SubjectKind,
    /// Its name.
    pub name: String,
    /// Its state; absent while that is not known yet.
    #[serde(default)]
    pub state: Option<Standing>,
    /// The priority that counts.
    #[serde(default)]
    pub priority: Option<u8>,
}

/// What the daemon says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(
    tag = "say",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum ToAgent {
    /// A process of the daemon is there, and wants to know what was delivered.
    Greet {
        /// Which process.
        worker: u32,
        /// Since when the daemon runs: numbers of events go on for as long as this is the same.
        since: String,
        /// The number of the last event.
        last: u64,
    },
    /// The hooks from now on.
    Hooks {
        /// All of them.
        hooks: Vec<HookSpec>,
        /// Facts about the routers, by name.
        routers: std::collections::BTreeMap<String, RouterFacts>,
        /// The members of the groups, by name.
        #[serde(default)]
        groups: std::collections::BTreeMap<String, Vec<String>>,
    },
    /// The trackers that are to be probed from now on.
    Probes {
        /// All of them. Those that were there before go on.
        trackers: Vec<TrackerPlan>,
    },
    /// Something happened.
    Event(HookEvent),
    /// How things stand; whoever is not named is gone.
    Standing {
        /// The number of the last event.
        id: u64,
        /// When, as RFC 3339 in UTC.
        time: String,
        /// Everybody.
        all: Vec<Stand>,
    },
    /// An operator wants to see a hook run.
    Try {
        /// Which try.
        number: u64,
        /// The name of the hook.
        hook: String,
        /// What it is to be told.
        event: HookEvent,
    },
    /// Somebody wants to know how the probes are doing.
    Look {
        /// Which question.
        number: u64,
    },
    /// An operator wants to see a probe made, at once.
    Probe {
        /// Which question.
        number: u64,
        /// The name of the tracker.
        tracker: String,
    },
    /// The daemon stops: everybody's last state is `stop`. What is due is delivered, for a limited time, and that is the end.
    Finish {
        /// How long it may take, in milliseconds.
        within_ms: u64,
    },
    /// Another agent comes in the place of this one: what runs may end, and nothing else begins.
    Retire,
}

/// What the agent says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(
    tag = "say",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum FromAgent {
    /// To a greeting.
    Hello {
        /// Whom it answers.
        worker: u32,
        /// Which process it is.
        pid: u32,
        /// Device and inode of its program, to tell whether that was replaced.
        program: (u64, u64),
        /// The number of the last event it has.
        accepted: u64,
        /// How its hooks are doing.
        hooks: Vec<HookCount>,
    },
    /// A hook wrote a line.
    Said {
        /// Which hook.
        hook: String,
        /// For whom.
        name: String,
        /// The line, or what is shown of it.
        line: String,
    },
    /// A probe has found something.
    Sample {
        /// The name of the tracker.
        tracker: String,
        /// What.
        sample: Sample,
    },
    /// A hook has run.
    Ran(HookRun),
    /// All hooks that this router's addresses wait for have run.
    Prepared {
        /// Its name.
        name: String,
        /// The number of the event for which they ran.
        id: u64,
    },
    /// To a try.
    Tried {
        /// Which.
        number: u64,
        /// How it went.
        run: HookRun,
        /// What it wrote.
        output: Vec<String>,
    },
    /// How the probes are doing.
    Looked {
        /// To which question.
        number: u64,
        /// All of them.
        probes: Vec<ProbeReport>,
    },
    /// A probe was made because somebody asked for it.
    Probed {
        /// To which question.
        number: u64,
        /// How it went; absent if there is no such probe, or too many ask for it.
        #[serde(default)]
        run: Option<ProbeRun>,
    },
    /// Something that an operator should know.
    Warn {
        /// A sentence.
        text: String,
    },
}

/// How often a hook ran.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HookCount {
    /// Its name.
    pub hook: String,
    /// Runs that ended.
    pub runs: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// States that were left out, because they were over.
    pub coalesced: u64,
    /// The last run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<HookRun>,
}

/// A run of a hook.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HookRun {
    /// Which hook.
    pub hook: String,
    /// The number of the event.
    pub id: u64,
    /// What `on` calls it.
    pub event: String,
    /// For whom; empty for the daemon.
    pub name: String,
    /// When it began, as RFC 3339 in UTC.
    pub time: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether it did what it was to do.
    pub good: bool,
    /// How it ended, as a clause: `exit status 1`, `killed after 30 s`.
    pub outcome: String,
    /// Lines that it wrote beyond those that are shown.
    #[serde(default)]
    pub lines_lost: u64,
}

/// How a hook is run for an event: what `vrrpctl hook run --dry-run` shows, and what is done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Invocation {
    /// Program and arguments; empty if none is run.
    pub command: Vec<String>,
    /// Variables beside `PATH`, `HOME`, `USER` and `LOGNAME`.
    pub environment: std::collections::BTreeMap<String, String>,
    /// What it reads: one line of JSON; for a FIFO, the line that is written.
    pub input: String,
}

impl Invocation {
    /// What `hook` does when it hears of `event`.
    #[must_use]
    pub fn of(hook: &HookSpec, event: &HookEvent) -> Self {
        let event = &event.in_full();
        let json = serde_json::to_string(event).unwrap_or_default() + "\n";
        match &hook.action {
            HookAction::Exec {
                command,
                keepalived,
                ..
            } => {
                let mut command = command.clone();
                if *keepalived {
                    command.extend(keepalived_words(event).map(str::to_owned));
                    command.push(event.priority.unwrap_or(0).to_string());
                }
                Self {
                    command,
                    environment: environment(hook, event),
                    input: json,
                }
            }
            HookAction::Fifo { .. } => {
                let [kind, name, state] = keepalived_words(event);
                let priority = event.priority.unwrap_or(0);
                Self {
                    command: Vec::new(),
                    environment: std::collections::BTreeMap::new(),
                    input: format!("{kind} \"{name}\" {state} {priority}\n"),
                }
            }
            HookAction::Webhook { .. } => Self {
                command: Vec::new(),
                environment: std::collections::BTreeMap::new(),
                input: json,
            },
        }
    }
}

/// The first three of keepalived's arguments.
fn keepalived_words(event: &HookEvent) -> [&str; 3] {
    let kind = match event.subject {
        SubjectKind::Router | SubjectKind::Daemon => "INSTANCE",
        SubjectKind::Group => "GROUP",
    };
    let state = match (event.state, event.event.as_str()) {
        (Some(state), _) => state.keepalived(),
        (None, "conflict") => "MASTER_RX_LOWER_PRI",
        (None, other) => other,
    };
    [kind, &event.name, state]
}

fn environment(hook: &HookSpec, event: &HookEvent) -> std::collections::BTreeMap<String, String> {
    let mut all = std::collections::BTreeMap::new();
    let mut set = |key: &str, value: &str| {
        // A variable ends where a zero byte is, and a name can have none.
        all.insert(format!("VRRP_{key}"), value.replace('\0', ""));
    };
    set("HOOK", &hook.name);
    set("EVENT", &event.event);
    set("EVENT_ID", &event.id.to_string());
    set("TIME", &event.time);
    set("NAME", &event.name);
    set(
        "TYPE",
        match event.subject {
            SubjectKind::Router => "router",
            SubjectKind::Group => "group",
            SubjectKind::Daemon => "daemon",
        },
    );
    set("STATE", event.state.map_or("", Standing::name));
    set("OLD_STATE", event.old_state.map_or("", Standing::name));
    set("REASON", event.reason.as_deref().unwrap_or_default());
    let priority = event.priority.map(|priority| priority.to_string());
    set("PRIORITY", &priority.unwrap_or_default());
    set("TEXT", &event.text);
    if let Some(router) = &event.router {
        set("INTERFACE", &router.interface);
        set("VRID", &router.vrid.to_string());
        set("ADDRESSES", &router.addresses.join(" "));
        if let Some(carp) = router.carp {
            set("VHID", &router.vrid.to_string());
            set("ADVBASE", &carp.advbase.to_string());
            set("ADVSKEW", &carp.advskew.to_string());
            let demotion = event.demotion.map(|demotion| demotion.to_string());
            set("DEMOTION", &demotion.unwrap_or_default());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> HookEvent {
        HookEvent {
            id: 7,
            time: "2026-01-01T00:00:00.000000Z".into(),
            event: "active".into(),
            name: "lan4".into(),
            state: Some(Standing::Active),
            old_state: Some(Standing::Backup),
            reason: Some("no-response".into()),
            priority: Some(150),
            text: "Backup -> Active: the Active fell silent".into(),
            ..HookEvent::default()
        }
    }

    fn hook(action: HookAction) -> HookSpec {
        HookSpec {
            name: "notify".into(),
            on: vec!["active".into()],
            routers: Vec::new(),
            coalesce: true,
            timeout_ms: 30_000,
            action,
        }
    }

    #[test]
    fn keepalived_arguments_follow_our_own() {
        let hook = hook(HookAction::Exec {
            command: vec!["/usr/local/bin/notify".into(), "-v".into()],
            keepalived: true,
            user: None,
            capabilities: Vec::new(),
        });
        let found = Invocation::of(&hook, &event());
        let words = [
            "/usr/local/bin/notify",
            "-v",
            "INSTANCE",
            "lan4",
            "MASTER",
            "150",
        ];
        assert_eq!(found.command, words);
        assert_eq!(found.environment["VRRP_STATE"], "active");
        assert_eq!(found.environment["VRRP_OLD_STATE"], "backup");
        assert_eq!(found.environment["VRRP_EVENT_ID"], "7");
        let said: HookEvent = serde_json::from_str(&found.input).unwrap();
        assert_eq!(said, event());
    }

    #[test]
    fn carp_is_said_in_its_own_words_beside_keepalived_ones() {
        let hook = hook(HookAction::Exec {
            command: vec!["/usr/local/bin/notify".into()],
            keepalived: true,
            user: None,
            capabilities: Vec::new(),
        });
        let of_carp = HookEvent {
            priority: Some(114),
            router: Some(RouterFacts {
                vrid: 7,
                carp: Some(CarpFacts {
                    advbase: 1,
                    advskew: 100,
                }),
                ..RouterFacts::default()
            }),
            ..event()
        };
        let found = Invocation::of(&hook, &of_carp);
        assert_eq!(found.command[1..], ["INSTANCE", "lan4", "MASTER", "114"]);
        for (key, value) in [
            ("VHID", "7"),
            ("ADVBASE", "1"),
            ("ADVSKEW", "100"),
            ("DEMOTION", "40"),
        ] {
            assert_eq!(found.environment[&format!("VRRP_{key}")], value, "{key}");
        }
        let said: HookEvent = serde_json::from_str(&found.input).unwrap();
        assert_eq!(said.demotion, Some(40));
        let of_vrrp = Invocation::of(&hook, &event());
        assert!(!of_vrrp.environment.contains_key("VRRP_DEMOTION"));
        assert!(!of_vrrp.input.contains("demotion"), "{}", of_vrrp.input);
    }

    #[test]
    fn a_fifo_gets_keepalived_lines() {
        let fifo = hook(HookAction::Fifo {
            path: "/run/x".into(),
        });
        let line = Invocation::of(&fifo, &event()).input;
        assert_eq!(line, "INSTANCE \"lan4\" MASTER 150\n");
        let group = HookEvent {
            subject: SubjectKind::Group,
            ..event()
        };
        let line = Invocation::of(&fifo, &group).input;
        assert_eq!(line, "GROUP \"lan4\" MASTER 150\n");
    }

    #[test]
    fn half_a_line_is_nothing() {
        let line = crate::encode(&ToAgent::Event(event())).unwrap();
        for cut in 1..line.len() - 1 {
            assert!(crate::decode::<ToAgent>(&line[..cut]).is_err(), "{cut}");
            assert!(crate::decode::<ToAgent>(&line[cut..]).is_err(), "{cut}");
        }
        assert_eq!(
            crate::decode::<ToAgent>(&line).unwrap(),
            ToAgent::Event(event())
        );
    }
}
