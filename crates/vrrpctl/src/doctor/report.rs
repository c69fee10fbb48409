//! Findings as text and as JSON.

use serde_json::Value;

use super::facts::{Facts, Unusable};
use super::finding::{Finding, Severity};
use crate::json;
use crate::moment::span;
use crate::page::{Look, Tone};
use crate::plain;
use crate::prose::wrap;

/// The whole.
pub(crate) fn render(facts: &Facts, findings: &[Finding], look: &Look) -> String {
    let left_out = left_out(facts);
    if look.json {
        return json::pretty(&document(facts, findings, &left_out));
    }
    let mut text = String::new();
    for finding in findings {
        text.push_str(&one(finding, look));
    }
    for sentence in &left_out {
        text.push_str(&wrap(look, "not looked at: ", sentence));
    }
    text.push_str(&summary(facts, findings));
    text
}

fn one(finding: &Finding, look: &Look) -> String {
    let kind = finding.kind;
    let tone = match kind.severity() {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Heading,
    };
    let router = finding.router.as_ref().map(|name| format!("{name}: "));
    let what = format!("{}{}", router.unwrap_or_default(), finding.what);
    let lead = format!("{} {} ", kind.id(), kind.severity().name());
    let head = wrap(look, &lead, &what);
    // After the wrapping, which counts characters.
    let word = kind.severity().name();
    let head = head.replacen(word, &look.paint(tone, word), 1);
    let seen = wrap(look, "  seen: ", &finding.evidence);
    let advice = wrap(look, "  do:   ", &finding.remedy);
    format!("{head}{seen}{advice}\n")
}

fn summary(facts: &Facts, findings: &[Finding]) -> String {
    let wire = &facts.wire;
    let listened = match &wire.interfaces[..] {
        [] => String::new(),
        names => {
            let micros = u64::try_from(wire.span.as_millis())
                .unwrap_or(u64::MAX)
                .saturating_mul(1000);
            format!(
                "; listened for {} on {}",
                span(micros),
                plain::text(&names.join(", "))
            )
        }
    };
    let count = |severity| {
        let of_it = |finding: &&Finding| finding.kind.severity() == severity;
        findings.iter().filter(of_it).count()
    };
    let plural = |number: usize, noun: &str| {
        format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => {
            let routers = facts.report().map_or(0, |report| report.routers.len());
            format!(
                "nothing is wrong with {}{listened}\n",
                plural(routers, "virtual router")
            )
        }
        (errors, warnings) => format!(
            "{}, {}{listened}\n",
            plural(errors, "error"),
            plural(warnings, "warning")
        ),
    }
}

/// What could not be seen from here.
fn left_out(facts: &Facts) -> Vec<String> {
    let mut sentences = Vec::new();
    if facts.silence.is_some() {
        sentences.push("the virtual routers, since the daemon does not answer".to_owned());
    }
    if let Some(Err(Unusable::Unreadable(why))) = facts.file.as_ref().map(|file| &file.plan) {
        sentences.push(format!("what is configured: {why}"));
    }
    for (interface, why) in &facts.wire.deaf {
        sentences.push(format!("packets on {interface}: {why}"));
    }
    if let Some(Err(why)) = &facts.host.rules {
        sentences.push(format!("the firewall: {why}"));
    }
    sentences
}

fn document(facts: &Facts, findings: &[Finding], left_out: &[String]) -> Value {
    let all = findings.iter().map(|finding| {
        json::object([
            ("id", finding.kind.id().into()),
            ("severity", finding.kind.severity().name().into()),
            ("router", finding.router.as_deref().into()),
            ("title", finding.kind.title().into()),
            ("message", finding.what.as_str().into()),
            ("evidence", finding.evidence.as_str().into()),
            ("remedy", finding.remedy.as_str().into()),
        ])
    });
    let millis = u64::try_from(facts.wire.span.as_millis()).unwrap_or(u64::MAX);
    json::object([
        ("version", 1.into()),
        ("healthy", findings.is_empty().into()),
        ("listened-ms", millis.into()),
        ("interfaces", facts.wire.interfaces.clone().into()),
        ("findings", all.collect()),
        ("not-looked-at", left_out.to_vec().into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::Wire;
    use crate::doctor::finding::Kind;
    use crate::testing::{look, report};
    use std::time::Duration;

    fn facts() -> Facts {
        Facts {
            reports: Some([report(), report()]),
            wire: Wire {
                span: Duration::from_millis(3204),
                interfaces: vec!["eth0".into(), "eth1".into()],
                deaf: vec![("eth2".into(), "Operation not permitted".into())],
                ..Wire::default()
            },
            ..Facts::default()
        }
    }

    fn findings() -> Vec<Finding> {
        let duplicate = Finding::new(
            Kind::ForeignSpeaker,
            "10.20.0.77 uses VRID 20 for 10.20.0.250, and this router for 10.20.0.1/24: hosts of both see one MAC address",
            "4 advertisements of 10.20.0.77 on eth1.20: taken all the same",
            "vrid: one of the two virtual routers needs another one than 20",
        );
        let forwarding = Finding::new(
            Kind::NoForwarding,
            "IPv4 is not forwarded from eth1.20\x1b[2J",
            "/proc/sys/net/ipv4/conf/eth1.20/forwarding is 0",
            "sysctl -w net.ipv4.ip_forward=1, and the same in /etc/sysctl.d",
        );
        vec![duplicate.of("lan4"), forwarding.of("lan4")]
    }

    #[test]
    fn on_a_terminal_of_80_columns() {
        let text = render(&facts(), &findings(), &look(Some(80)));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_a_terminal() {
        insta::assert_snapshot!(render(&facts(), &findings(), &look(None)));
    }

    #[test]
    fn for_programs() {
        let look = Look {
            json: true,
            ..look(None)
        };
        insta::assert_snapshot!(render(&facts(), &findings(), &look));
    }

    #[test]
    fn nothing_is_wrong() {
        let mut facts = facts();
        facts.wire.deaf.clear();
        insta::assert_snapshot!(render(&facts, &[], &look(None)), @"nothing is wrong with 4 virtual routers; listened for 3.204 s on eth0, eth1");
    }
}
