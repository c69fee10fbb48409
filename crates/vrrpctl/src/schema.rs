//! The JSON Schema of everything that `--json` prints.
//!
//! It is a file of the documentation, made of the types of the control protocol by the test below, and printed as it is.

use serde_json::Value;

use crate::failure::Failure;
use crate::json;
use crate::page::Page;

/// `docs/schema.json`.
const SCHEMA: &str = include_str!("../../../docs/schema.json");

/// `vrrpctl schema`: all documents, or the one that is called `name`.
pub(crate) fn run(page: &mut Page, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else {
        return page.text(SCHEMA);
    };
    // The file is one of ours, and a test reads it.
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap_or_default();
    let known = documents(&schema);
    if !known.contains(&name) {
        let why = format!(
            "there is no document \"{name}\"; there is {}",
            known.join(", ")
        );
        return Err(Failure::File(why));
    }
    let definitions = schema.get_mut("$defs").map(Value::take).unwrap_or_default();
    let draft = schema.get("$schema").cloned().unwrap_or_default();
    page.text(&json::pretty(&json::object([
        ("$schema", draft),
        ("$ref", format!("#/$defs/{name}").into()),
        ("$defs", definitions),
    ])))
}

/// The names of the documents: they are in lower case, and those of their parts are not.
fn documents(schema: &Value) -> Vec<&str> {
    let all = schema.get("$defs").and_then(Value::as_object);
    let names = all
        .into_iter()
        .flat_map(|all| all.keys().map(String::as_str));
    names
        .filter(|name| name.starts_with(|it: char| it.is_ascii_lowercase()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(dead_code, reason = "only the shape of these types is asked for")]

    use std::collections::BTreeMap;

    use schemars::generate::SchemaSettings;
    use schemars::{JsonSchema, SchemaGenerator};
    use serde::Serialize;
    use vrrp_control::{
        ConfigurationAnswer, EventRecord, Explanation, ForecastReport, HookTrial, HooksReport,
        InterfacesReport, OrderReport, PeerReport, ProbeTrial, RouterReport, RunningConfig,
        StatusReport, TrackersReport, UpgradeReport,
    };

    use super::*;

    /// `status --problems`.
    #[derive(Serialize, JsonSchema)]
    struct Problems {
        /// Version of this document.
        version: u32,
        /// How many routers were looked at.
        routers: u64,
        /// Sentences; empty when nothing is wrong.
        problems: Vec<String>,
    }

    /// `show NAME`.
    #[derive(Serialize, JsonSchema)]
    struct Router {
        /// Version of this document.
        version: u32,
        /// The router.
        router: RouterReport,
        /// The last things that happened to it.
        events: Vec<EventRecord>,
    }

    /// `show peers`.
    #[derive(Serialize, JsonSchema)]
    struct Peers {
        /// Version of this document.
        version: u32,
        /// The routers.
        routers: Vec<PeersOfRouter>,
    }

    /// Who else was heard to speak for a router.
    #[derive(Serialize, JsonSchema)]
    struct PeersOfRouter {
        /// The router.
        name: String,
        /// The others.
        peers: Vec<PeerReport>,
    }

    /// `show groups`.
    #[derive(Serialize, JsonSchema)]
    struct Groups {
        /// Version of this document.
        version: u32,
        /// The groups, in the order of their first members.
        groups: Vec<Group>,
    }

    /// Routers that are Active together or not at all.
    #[derive(Serialize, JsonSchema)]
    struct Group {
        /// Its name.
        name: String,
        /// The state of all its members: `initialize`, `backup` or `active`.
        state: String,
        /// The priority that all of them advertise.
        priority: u8,
        /// Its members, in the order of the configuration.
        members: Vec<Member>,
    }

    /// A member of a group.
    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    struct Member {
        /// The router.
        name: String,
        /// Its interface.
        interface: String,
        /// Its state.
        state: String,
        /// The priority that it would have alone.
        own_priority: u8,
        /// Sentences that say why it does not take part; empty when nothing is wrong.
        faults: Vec<String>,
        /// The member that keeps this one, which hears nobody any more, from taking over; null if there is none.
        waits_for: Option<String>,
    }

    /// `show stats`: counters by name, those that stand at zero with `--all` only.
    #[derive(Serialize, JsonSchema)]
    struct Stats {
        /// Version of this document.
        version: u32,
        /// Those that belong to no router.
        statistics: BTreeMap<String, u64>,
        /// The routers.
        routers: Vec<StatsOfRouter>,
    }

    /// What a router counted.
    #[derive(Serialize, JsonSchema)]
    struct StatsOfRouter {
        /// The router.
        name: String,
        /// Counters by name.
        statistics: BTreeMap<String, u64>,
    }

    /// A line of `events`, and of `status --watch`.
    #[derive(Serialize, JsonSchema)]
    #[serde(untagged)]
    enum Event {
        /// Something happened.
        Happened(EventRecord),
        /// Events that were not read in time.
        Lost {
            /// `events-lost`
            kind: String,
            /// How many.
            count: u64,
        },
    }

    /// `explain CODE`.
    #[derive(Serialize, JsonSchema)]
    struct Code {
        /// Version of this document.
        version: u32,
        /// A code of the configuration, such as `VR0012`.
        code: String,
        /// A sentence.
        meaning: String,
    }

    /// `check`.
    #[derive(Serialize, JsonSchema)]
    struct Check {
        /// Version of this document.
        version: u32,
        /// Whether the file can be used, and fits that of the peer if one was given.
        good: bool,
        /// What is to be said about it.
        findings: Vec<CheckFinding>,
    }

    /// Something about a configuration file.
    #[derive(Serialize, JsonSchema)]
    struct CheckFinding {
        /// The file.
        file: String,
        /// The line, from 1 on.
        line: u64,
        /// The column in characters, from 1 on.
        column: u64,
        /// `error` or `warning`.
        severity: String,
        /// A stable name of the rule, such as `VR0012`.
        code: String,
        /// What is wrong.
        message: String,
        /// The same in few words, for the place itself.
        label: String,
        /// What would be right; null where nothing can be said.
        help: Option<String>,
    }

    /// A line of `decode`, and of `capture`, for which the last three are there.
    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    struct Packet {
        /// When, as RFC 3339 in UTC; null if the capture does not say.
        time: Option<String>,
        /// Source address.
        source: String,
        /// Destination address.
        destination: String,
        /// Source MAC address; null if there is none.
        source_mac: Option<String>,
        /// TTL or hop limit.
        hop_limit: u8,
        /// Version of VRRP; null if it is cut before that, as all below that belongs to it.
        version: Option<u8>,
        /// Virtual router identifier.
        vrid: Option<u8>,
        /// Priority.
        priority: Option<u8>,
        /// Advertisement interval in milliseconds.
        interval_ms: Option<u64>,
        /// Virtual addresses.
        addresses: Option<Vec<String>>,
        /// VRRPv3 over IPv4: the form of the checksum, `rfc9568` or `rfc5798`.
        checksum: Option<String>,
        /// `good`, `refused`, `carp` or `cut`.
        verdict: String,
        /// Why it is refused.
        reason: Option<String>,
        /// Where it was heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        /// `in` or `out`.
        #[serde(skip_serializing_if = "Option::is_none")]
        direction: Option<String>,
        /// The router of the configuration that it is for; null if it is for none.
        #[serde(skip_serializing_if = "Option::is_none")]
        router: Option<Option<String>>,
    }

    /// `doctor`.
    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    struct Doctor {
        /// Version of this document.
        version: u32,
        /// Whether nothing was found.
        healthy: bool,
        /// How long it listened, in milliseconds.
        listened_ms: u64,
        /// Where.
        interfaces: Vec<String>,
        /// What is wrong.
        findings: Vec<DoctorFinding>,
        /// Sentences on what could not be looked at.
        not_looked_at: Vec<String>,
    }

    /// Something that is wrong.
    #[derive(Serialize, JsonSchema)]
    struct DoctorFinding {
        /// A stable word.
        id: String,
        /// `error` or `warning`.
        severity: String,
        /// The router that it concerns; null if it concerns all.
        router: Option<String>,
        /// What it is, in few words.
        title: String,
        /// What is wrong.
        message: String,
        /// What was seen.
        evidence: String,
        /// What to do.
        remedy: String,
    }

    fn schema() -> String {
        let mut generator = SchemaSettings::draft2020_12()
            .for_serialize()
            .into_generator();
        let mut documents: BTreeMap<&str, Value> = BTreeMap::new();
        fn add<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
            generator.subschema_for::<T>().to_value()
        }
        type Add = fn(&mut SchemaGenerator) -> Value;
        let all: [(&str, Add); 22] = [
            ("status", add::<StatusReport>),
            ("status-problems", add::<Problems>),
            ("show-router", add::<Router>),
            ("show-interfaces", add::<InterfacesReport>),
            ("show-peers", add::<Peers>),
            ("show-groups", add::<Groups>),
            ("show-trackers", add::<TrackersReport>),
            ("show-config", add::<RunningConfig>),
            ("show-stats", add::<Stats>),
            ("event", add::<Event>),
            ("explain", add::<Explanation>),
            ("explain-code", add::<Code>),
            ("what-if", add::<ForecastReport>),
            ("order", add::<OrderReport>),
            ("configuration", add::<ConfigurationAnswer>),
            ("check", add::<Check>),
            ("packet", add::<Packet>),
            ("doctor", add::<Doctor>),
            ("upgrade", add::<UpgradeReport>),
            ("tracker-run", add::<ProbeTrial>),
            ("hooks", add::<HooksReport>),
            ("hook-run", add::<HookTrial>),
        ];
        for (name, add) in all {
            documents.insert(name, add(&mut generator));
        }
        let mut definitions: BTreeMap<String, Value> =
            generator.take_definitions(true).into_iter().collect();
        for (name, document) in documents {
            definitions.insert(name.to_owned(), document);
        }
        let definitions = definitions.into_iter().collect();
        json::pretty(&json::object([
            ("$schema", "https://json-schema.org/draft/2020-12/schema".into()),
            ("title", "What vrrpctl prints with --json".into()),
            (
                "description",
                "One definition for each document, in lower case, and for each of its parts. Fields are only ever added.".into(),
            ),
            ("$defs", Value::Object(definitions)),
        ]))
    }

    /// `INSTA_UPDATE=always` writes it anew.
    #[test]
    fn the_published_schema_is_that_of_the_types() {
        let made = schema();
        if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.json");
            std::fs::write(path, &made).unwrap();
            return;
        }
        assert!(made == SCHEMA, "docs/schema.json is not that of the types");
    }

    #[test]
    fn documents_are_told_from_their_parts() {
        let schema = serde_json::from_str(SCHEMA).unwrap();
        let names = documents(&schema);
        assert_eq!(names.len(), 22, "{names:?}");
        assert!(names.contains(&"status") && !names.contains(&"StatusReport"));
    }
}
