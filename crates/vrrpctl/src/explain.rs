//! Why a router is in its state, and what would change that; or what a code means.

use vrrp_control::{Answer, CarpReport, Explanation, Request};

use crate::client::{Client, Reply};
use crate::doctor;
use crate::failure::Failure;
use crate::json;
use crate::moment::span;
use crate::page::{Look, Page, Tone};
use crate::peers;
use crate::plain;
use crate::prose::wrap;
use crate::status::{self, state};

/// `vrrpctl explain`.
pub(crate) fn run(client: &Client, page: &mut Page, what: &str) -> Result<(), Failure> {
    if is_code(what) {
        return code(page, what);
    }
    // A name that does not exist is told beside those that do.
    let (report, _) = status::fetch(client)?;
    status::find(&report, what)?;
    let name = what.to_owned();
    let Reply {
        answer: Answer::Explanation(explanation),
        value,
    } = client.ask_one(&Request::Explain { name })?
    else {
        return Err(client.astray());
    };
    page.answer(value, |look| render(&explanation, look))
}

/// `VR` or `VD` and four digits, which no name of a router looks like by chance.
fn is_code(what: &str) -> bool {
    let what = what.to_uppercase();
    let digits = what.strip_prefix("VR").or_else(|| what.strip_prefix("VD"));
    digits.is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|it| it.is_ascii_digit()))
}

/// What is wrong with a file, or what the doctor finds.
fn code(page: &mut Page, what: &str) -> Result<(), Failure> {
    let wanted = what.to_uppercase();
    let known: Vec<(&str, String)> = if wanted.starts_with("VD") {
        doctor::meanings().collect()
    } else {
        let codes = vrrp_config::code::ALL.iter();
        codes
            .map(|(code, meaning)| (*code, (*meaning).to_owned()))
            .collect()
    };
    let Some((code, meaning)) = known.iter().find(|(code, _)| *code == wanted) else {
        return Err(Failure::File(format!(
            "there is no code {wanted}; the first is {}, the last {}",
            known.first().map_or("", |(code, _)| code),
            known.last().map_or("", |(code, _)| code)
        )));
    };
    if page.look.json {
        return page.document(&json::object([
            ("version", vrrp_control::VERSION.into()),
            ("code", (*code).into()),
            ("meaning", meaning.as_str().into()),
        ]));
    }
    let name = page.look.paint(Tone::Heading, code);
    page.text(&format!("{name}  {meaning}\n"))
}

/// The page.
fn render(explanation: &Explanation, look: &Look) -> String {
    let router = &explanation.router;
    let (word, tone) = state(router);
    let mut page = Lines {
        text: String::new(),
        look,
    };
    page.wrapped(
        "",
        &format!("{} is {word}: {}.", router.name, explanation.why),
    );
    // After the wrapping, which counts characters.
    let painted = look.paint(tone, &word);
    page.text = page.text.replacen(&word, &painted, 1);
    if look.brief {
        return page.text;
    }
    page.text.push('\n');
    for part in &explanation.priority {
        let until = part.until.as_deref();
        let until = until.map(|until| format!("until {}", look.calendar.minute(until)));
        let place = part.place.clone().or(until).unwrap_or_default();
        let number = match part.adds {
            Some(adds) => format!("{adds:+}"),
            None => part.value.to_string(),
        };
        let line = format!("  {number:>4}  {:<40}  {place}", part.text);
        page.line(&plain::text(line.trim_end()));
    }
    for peer in &router.peers {
        page.wrapped("  ", &peers::sentence(peer));
    }
    page.wrapped("  ", &format!("preemption {}", explanation.preemption));
    for sentence in router.carp.iter().flat_map(carp) {
        page.wrapped("  ", &sentence);
    }
    if let Some(plane) = data_plane(explanation) {
        page.wrapped("  ", &plane);
    }
    if !explanation.events.is_empty() {
        page.heading("How it came here");
        for event in &explanation.events {
            let time = match look.width {
                Some(_) => look.calendar.clock(&event.time),
                None => look.calendar.exact(&event.time),
            };
            page.wrapped(&format!("  {time}  "), &event.text);
        }
    }
    page.heading(match router.state.as_str() {
        "active" => "It stays Active unless there is",
        _ => "What would make it Active",
    });
    for prospect in &explanation.prospects {
        page.wrapped("  - ", &prospect.text);
    }
    if explanation.prospects.is_empty() {
        page.line("  nothing that is known");
    } else if router.state != "active" {
        page.wrapped(
            "  ",
            "unless another router speaks before: Backups are silent, and only those that were heard are known",
        );
    }
    page.text
}

/// Whom a CARP group believes.
fn carp(carp: &CarpReport) -> Vec<String> {
    let seal = match carp.seal.as_str() {
        "require" => Some("believes only what is sealed, and not twice"),
        "prefer" => Some("seals what it says, and believes also what is not sealed"),
        _ => None,
    };
    let grace = carp.grace_ms.map(|left| {
        let left = span(left.saturating_mul(1000));
        format!("says everything twice, with the former digest, too, and accepts both, for another {left}")
    });
    let problems = carp.problems.iter().cloned();
    seal.map(str::to_owned)
        .into_iter()
        .chain(grace)
        .chain(problems)
        .collect()
}

/// What takes its frames in, and what takes them off the wire.
fn data_plane(explanation: &Explanation) -> Option<String> {
    let router = &explanation.router;
    let plane = router.data_plane.as_ref()?;
    let step = if router.kernel_in_step {
        "as the kernel has it"
    } else {
        "which the kernel does not have yet"
    };
    let mut text = format!(
        "virtual MAC address {} by {plane}, {step}",
        router.virtual_mac.as_deref().unwrap_or("none")
    );
    if let Some(protection) = &router.protection {
        text.push_str(&match protection.means.as_str() {
            "none" => "; nothing takes it off the wire if the daemon dies".to_owned(),
            means => format!("; leased by {means}"),
        });
    }
    Some(text)
}

struct Lines<'a> {
    text: String,
    look: &'a Look,
}

impl Lines<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn heading(&mut self, title: &str) {
        let title = self.look.paint(Tone::Heading, title);
        self.line(&format!("\n{title}"));
    }

    fn wrapped(&mut self, lead: &str, sentence: &str) {
        self.text.push_str(&wrap(self.look, lead, sentence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{look, report};
    use vrrp_control::{EventRecord, PeerReport, PriorityPart, ProspectReport};

    fn prospect(condition: &str, text: &str) -> ProspectReport {
        ProspectReport {
            condition: condition.into(),
            peers: Vec::new(),
            priority: None,
            after_us: 0,
            give_or_take_us: 0,
            then_active: None,
            text: text.into(),
        }
    }

    fn explanation() -> Explanation {
        let mut router = report().routers.swap_remove(2);
        router.peers = vec![PeerReport {
            address: "fe80::3".into(),
            priority: 150,
            carp: None,
            state: "active".into(),
            advertise_interval_ms: 1000,
            first_heard_us: 412_000_000,
            last_heard_us: 412_345,
            in_a_row: 412,
            late: 0,
            longest_gap_us: 1_000_812,
            other_interval: false,
            other_addresses: false,
        }];
        let part = |value, text: &str, place: Option<&str>| PriorityPart {
            value,
            adds: None,
            text: text.into(),
            place: place.map(Into::into),
            until: None,
        };
        let set = PriorityPart {
            until: Some("2026-11-20T13:12:00Z".into()),
            ..part(90, "set by alice", None)
        };
        Explanation {
            version: 1,
            time: "2026-11-20T13:02:31.000000Z".into(),
            why: "fe80::3 advertises 150, we have 90".into(),
            priority: vec![
                part(100, "configured priority", Some("vrrpd.toml:41")),
                set,
                PriorityPart {
                    adds: Some(-40),
                    ..part(
                        50,
                        "uplink down: eth1 has no carrier",
                        Some("vrrpd.toml:44"),
                    )
                },
                part(50, "effective", None),
            ],
            preemption: "on, delay 30 s, not running".into(),
            events: vec![EventRecord {
                time: "2026-11-20T13:02:11.204561Z".into(),
                sequence: 7,
                router: Some("voice6".into()),
                kind: "role".into(),
                text: "active -> backup: another router advertises a higher priority".into(),
                from: Some("active".into()),
                to: Some("backup".into()),
                reason: Some("higher-priority".into()),
            }],
            prospects: vec![
                prospect(
                    "peers-silent",
                    "fe80::3 silent for 3.609 s (3 x 1 s + skew 609.375 ms): after 3.197 s",
                ),
                prospect(
                    "priority-raised",
                    "a priority of 151 or more: after 32.787 s",
                ),
            ],
            router,
        }
    }

    #[test]
    fn on_a_terminal_of_80_columns() {
        let text = render(&explanation(), &look(Some(80)));
        let wide = text.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_a_terminal() {
        insta::assert_snapshot!(render(&explanation(), &look(None)));
    }

    #[test]
    fn a_code_is_no_name() {
        assert!(is_code("VR0012") && is_code("vr0012") && is_code("vd0402"));
        assert!(!is_code("VR12") && !is_code("lan4") && !is_code("VR001x"));
    }
}
