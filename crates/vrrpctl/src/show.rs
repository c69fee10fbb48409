//! Everything about one virtual router.

use vrrp_control::{Answer, CarpReport, EventRecord, RouterReport};

use crate::cli::Shown;
use crate::client::Client;
use crate::counter::{self, Group};
use crate::events;
use crate::failure::Failure;
use crate::groups;
use crate::interfaces;
use crate::json;
use crate::moment::span;
use crate::page::{Look, Page, Tone};
use crate::peers;
use crate::plain;
use crate::prose::wrap;
use crate::running;
use crate::stats;
use crate::status::{self, of_router, state};
use crate::trackers;

/// Events shown.
const EVENTS: u64 = 10;

/// `vrrpctl show`.
pub(crate) fn dispatch(
    client: &Client,
    page: &mut Page,
    what: Option<&Shown>,
    name: Option<&str>,
) -> Result<(), Failure> {
    match (what, name) {
        (Some(Shown::Interfaces), _) => interfaces::run(client, page),
        (Some(Shown::Peers), _) => peers::run(client, page),
        (Some(Shown::Groups), _) => groups::run(client, page),
        (Some(Shown::Trackers), _) => trackers::run(client, page),
        (Some(Shown::Config { all }), _) => running::run(client, page, *all),
        (Some(Shown::Stats { all }), _) => stats::run(client, page, *all),
        (None, Some(name)) => run(client, page, name),
        // The command line does not let this through.
        (None, None) => status::run(client, page, None),
    }
}

/// `vrrpctl show NAME`.
fn run(client: &Client, page: &mut Page, name: &str) -> Result<(), Failure> {
    let (report, reply) = status::fetch(client)?;
    let router = status::find(&report, name)?;
    if page.look.brief {
        let line = status::brief(router, &page.look);
        return page.text(&line);
    }
    let history = events::last(client, name, EVENTS)?;
    if page.look.json {
        let mut reports = reply
            .get("routers")
            .and_then(|routers| routers.as_array())
            .into_iter()
            .flatten();
        let as_it_came = reports.find(|router| router.get("name").is_some_and(|is| is == name));
        return page.document(&json::object([
            ("version", report.version.into()),
            ("router", as_it_came.cloned().unwrap_or_default()),
            (
                "events",
                history
                    .into_iter()
                    .map(|event| json::document(event.value))
                    .collect(),
            ),
        ]));
    }
    let history: Vec<EventRecord> = history
        .into_iter()
        .filter_map(|reply| {
            let Answer::Event(event) = reply.answer else {
                return None;
            };
            Some(event)
        })
        .collect();
    let text = render(router, &history, &page.look);
    page.text(&text)
}

/// The page.
pub(crate) fn render(router: &RouterReport, history: &[EventRecord], look: &Look) -> String {
    let (word, tone) = state(router);
    let ago = match look.width {
        Some(_) => format!(
            "for {} (since {})",
            look.calendar.ago(&router.since),
            look.calendar.absolute(&router.since)
        ),
        None => format!("since {}", look.calendar.exact(&router.since)),
    };
    let name = look.paint(Tone::Heading, &plain::text(&router.name));
    let mut text = format!(
        "{name} is {} {}\n",
        look.paint(tone, &word),
        plain::text(&ago)
    );
    for complaint in of_router(router) {
        text.push_str(&format!(
            "{} {}\n",
            look.paint(Tone::Bad, "!"),
            plain::text(&complaint)
        ));
    }
    text.push('\n');
    text.push_str(&facts(&identity(router)));
    let others: String = router
        .peers
        .iter()
        .map(|peer| wrap(look, "  ", &peers::sentence(peer)))
        .collect();
    section(&mut text, look, "Others that were heard", &others);
    let tracked = router.tracking.iter();
    let tracked: String = tracked
        .map(|it| wrap(look, "  ", &trackers::sentence(it)))
        .collect();
    section(&mut text, look, "Trackers", &tracked);
    section(&mut text, look, "Timers", &facts(&timers(router)));
    for group in [Group::Election, Group::Traffic, Group::Refused] {
        section(
            &mut text,
            look,
            group.title(),
            &counters(router, group, look),
        );
    }
    let lines: String = history
        .iter()
        .map(|event| events::render(event, look, false))
        .collect();
    section(&mut text, look, "Last events", &lines);
    text
}

fn section(text: &mut String, look: &Look, title: &str, body: &str) {
    if !body.is_empty() {
        text.push_str(&format!("\n{}\n", look.paint(Tone::Heading, title)));
        text.push_str(body);
    }
}

fn identity(router: &RouterReport) -> Vec<(&'static str, String)> {
    let priority = router.priority;
    let active = match &router.active {
        _ if router.state == "active" => "this router".to_owned(),
        Some(active) if active.carp.is_some() => {
            let bid = active.carp.map(|bid| bid.to_string());
            format!("{}, {}", active.address, bid.unwrap_or_default())
        }
        Some(active) => format!("{}, priority {}", active.address, active.priority),
        None => "none known".to_owned(),
    };
    let mut lines = vec![
        ("interface", router.interface.clone()),
        (
            "protocol",
            format!(
                "{}, {}, {} {}",
                router.protocol,
                families(router),
                if router.carp.is_some() {
                    "vhid"
                } else {
                    "VRID"
                },
                router.vrid
            ),
        ),
        match &router.carp {
            Some(carp) => ("advskew", skew(carp)),
            None => (
                "priority",
                match priority.effective == priority.configured {
                    true => priority.effective.to_string(),
                    false => format!("{}, configured {}", priority.effective, priority.configured),
                },
            ),
        },
        ("active", active),
    ];
    lines.extend(router.carp.iter().flat_map(guard));
    lines.extend(router.group.as_ref().map(|group| {
        let lowest = if group.own_priority == priority.effective {
            String::new()
        } else {
            let what = match router.carp {
                Some(_) => "the worst bid",
                None => "the lowest priority",
            };
            format!(", whose {} has {what}", group.lowest)
        };
        ("group", format!("{}{lowest}", group.name))
    }));
    for (index, address) in router.addresses.iter().enumerate() {
        lines.push((if index == 0 { "addresses" } else { "" }, address.clone()));
    }
    let beside = router.unadvertised_addresses.iter().map(|it| {
        if it.interface == router.interface {
            it.address.clone()
        } else {
            format!("{} on {}", it.address, it.interface)
        }
    });
    for (key, values) in [
        ("not advertised", beside.collect::<Vec<String>>()),
        ("routes", router.routes.clone()),
        ("rules", router.rules.clone()),
        ("goes on without", router.lacks.clone()),
    ] {
        for (index, value) in values.into_iter().enumerate() {
            lines.push((if index == 0 { key } else { "" }, value));
        }
    }
    let or = |value: &Option<String>, otherwise: &str| {
        value.clone().unwrap_or_else(|| otherwise.to_owned())
    };
    lines.extend([(
        "virtual MAC",
        or(&router.virtual_mac, "none: the interface's own answers"),
    )]);
    lines.extend(router.data_plane.clone().map(|it| ("data plane", it)));
    let protection = router.protection.as_ref().map(|it| match &it.why {
        Some(why) => format!("{}: {}", it.means, why),
        None => it.means.clone(),
    });
    lines.extend(protection.map(|it| ("protection", it)));
    lines.extend([
        ("source", or(&router.source_address, "none yet")),
        (
            "preempt",
            match (router.waits_for_ready_ms, router.preempt) {
                (Some(ms), true) => {
                    let word = format!("`vrrpctl ready {}`", router.name);
                    let trackers = router.waits_for_trackers.join(", ");
                    let what = match (router.waits_for_word, trackers.is_empty()) {
                        (_, true) => word,
                        (true, false) => format!("{word} and {trackers} is up"),
                        (false, false) => format!("{trackers} is up"),
                    };
                    format!("not before {what}, or in {}", span(ms.saturating_mul(1000)))
                }
                (_, preempt) => yes(preempt).to_owned(),
            },
        ),
        ("accept mode", yes(router.accept_mode).to_owned()),
    ]);
    lines.extend(
        router
            .checksum
            .clone()
            .map(|form| ("checksum", format!("sent as in {form}"))),
    );
    lines.extend(router.waits_for_hooks.as_ref().map(|it| {
        let ms = span(it.within_ms.saturating_mul(1000));
        let hooks = it.hooks.join(", ");
        ("waits for", format!("hook {hooks}, for {ms} at most"))
    }));
    lines.push((
        "kernel",
        if router.kernel_in_step {
            "in step"
        } else {
            "not in step"
        }
        .to_owned(),
    ));
    lines
}

/// A CARP group may have addresses of both.
fn families(router: &RouterReport) -> &str {
    let six = |address: &String| address.contains(':');
    if router.family == "ipv4" && router.addresses.iter().any(six) {
        "ipv4 and ipv6"
    } else {
        &router.family
    }
}

/// What keeps others from speaking for it, and who does not fit.
fn guard(carp: &CarpReport) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let sealing = carp.seal.as_str();
    if !matches!(sealing, "" | "off") {
        lines.push(("seal", sealing.to_owned()));
    }
    lines.extend(carp.grace_ms.map(|left| {
        let left = span(left.saturating_mul(1000));
        (
            "digest",
            format!("the former one is good, too, for another {left}"),
        )
    }));
    let mut title = "wrong";
    for problem in &carp.problems {
        lines.push((title, problem.clone()));
        title = "";
    }
    lines
}

fn skew(carp: &CarpReport) -> String {
    let mut text = carp.advertised_advskew.to_string();
    if carp.advertised_advskew != carp.advskew {
        text += &format!(", configured {}", carp.advskew);
    }
    if carp.demotion > 0 {
        text += &format!(", demoted by {}", carp.demotion);
    }
    text
}

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn timers(router: &RouterReport) -> Vec<(&'static str, String)> {
    let millis = |millis: u64| span(millis.saturating_mul(1000));
    vec![
        ("advertise interval", millis(router.advertise_interval_ms)),
        (
            "the Active's interval",
            millis(router.active_advertise_interval_ms),
        ),
        ("skew time", span(router.skew_time)),
        (
            "active down interval",
            format!(
                "{}, then this router takes over",
                span(router.active_down_interval)
            ),
        ),
    ]
}

fn counters(router: &RouterReport, group: Group, look: &Look) -> String {
    let mut text = String::new();
    for (name, value) in router.statistics.entries() {
        let counter = counter::find(&name);
        // What a healthy router counts is shown at zero, too: it is news when it stands still.
        let shown = value > 0 || group == Group::Traffic && counter.vital;
        if counter.group == group && shown {
            let lead = format!("  {name:<26}{value:>10}  ");
            text.push_str(&wrap(look, &lead, counter.meaning));
        }
    }
    text
}

fn facts(lines: &[(&str, String)]) -> String {
    lines
        .iter()
        .map(|(name, value)| format!("  {name:<22}{}\n", plain::text(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{history, look, report};

    #[test]
    fn an_active_on_a_terminal() {
        insta::assert_snapshot!(render(&report().routers[0], &history(), &look(Some(80))));
    }

    #[test]
    fn a_backup_with_refused_packets_without_a_terminal() {
        insta::assert_snapshot!(render(&report().routers[2], &history()[..1], &look(None)));
    }

    #[test]
    fn a_fault() {
        insta::assert_snapshot!(render(&report().routers[3], &[], &look(Some(80))));
    }
}
