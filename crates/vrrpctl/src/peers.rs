//! Who else was heard to speak for the virtual routers, and how regularly.

use serde_json::Value;
use vrrp_control::{PeerReport, StatusReport};

use crate::client::Client;
use crate::failure::Failure;
use crate::json;
use crate::moment::span;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::status;
use crate::table::{self, Cell, Column};

pub(crate) const COLUMNS: [Column; 9] = [
    column("NAME", false, Some(8)),
    column("PEER", false, Some(15)),
    column("STATE", false, None),
    column("PRIO", true, None),
    column("EVERY", true, None),
    column("HEARD", true, None),
    column("IN A ROW", true, None),
    column("LATE", true, None),
    column("LONGEST", true, None),
];

const fn column(title: &'static str, right: bool, least: Option<usize>) -> Column {
    Column {
        title,
        right,
        least,
    }
}

/// `vrrpctl show peers`.
pub(crate) fn run(client: &Client, page: &mut Page) -> Result<(), Failure> {
    let (report, reply) = status::fetch(client)?;
    if page.look.json {
        return page.document(&document(&reply));
    }
    let text = render(&report, &page.look);
    page.text(&text)
}

fn document(reply: &Value) -> Value {
    let of = |router: &Value| {
        let field = |name| router.get(name).cloned();
        let none = || Value::Array(Vec::new());
        json::object([
            ("name", field("name").unwrap_or_default()),
            ("peers", field("peers").unwrap_or_else(none)),
        ])
    };
    let routers = reply.get("routers").and_then(Value::as_array);
    json::object([
        ("version", reply.get("version").cloned().unwrap_or_default()),
        ("routers", routers.into_iter().flatten().map(of).collect()),
    ])
}

/// The page.
fn render(report: &StatusReport, look: &Look) -> String {
    let peers = || {
        let of = |router| move |peer| (router, peer);
        report
            .routers
            .iter()
            .flat_map(move |router| router.peers.iter().map(of(router.name.as_str())))
    };
    if look.brief {
        let line = |(router, peer): (&str, &PeerReport)| {
            let state = plain::text(&peer.state.to_uppercase());
            let address = plain::text(&peer.address);
            format!(
                "{} {address} {state} {}\n",
                plain::text(router),
                strength(peer)
            )
        };
        return peers().map(line).collect();
    }
    if peers().next().is_none() {
        return "nobody else was heard; Backups are silent\n".to_owned();
    }
    let rows: Vec<_> = peers()
        .map(|(router, peer)| row(router, peer, look))
        .collect();
    let mut text = table::render(look, &COLUMNS, &rows);
    let oddities: Vec<String> = peers()
        .flat_map(|(router, peer)| oddities(router, peer))
        .collect();
    if !oddities.is_empty() {
        text.push('\n');
    }
    for oddity in oddities {
        let mark = look.paint(Tone::Bad, "!");
        text.push_str(&format!("{mark} {}\n", plain::text(&oddity)));
    }
    text
}

/// What differs from what is configured here.
fn oddities(router: &str, peer: &PeerReport) -> impl Iterator<Item = String> {
    let of = |is: bool, what: &str| {
        is.then(|| format!("{router}: {} advertises {what} than we", peer.address))
    };
    let interval = of(peer.other_interval, "another interval");
    let addresses = of(peer.other_addresses, "other addresses");
    interval.into_iter().chain(addresses)
}

/// Its line in the table.
pub(crate) fn row(router: &str, peer: &PeerReport, look: &Look) -> (Cell, Vec<Cell>) {
    let tone = match peer.state.as_str() {
        "active" => Tone::Good,
        "silent" => Tone::Bad,
        _ => Tone::Quiet,
    };
    let mark = match (tone, look.ascii) {
        (Tone::Good, false) => "●",
        (Tone::Good, true) => "*",
        (Tone::Bad, false) => "✕",
        (Tone::Bad, true) => "x",
        (_, false) => "○",
        (_, true) => "o",
    };
    let heard = match look.width {
        Some(_) => coarse(peer.last_heard_us),
        None => span(peer.last_heard_us),
    };
    let cells = vec![
        plain::text(router).into(),
        plain::text(&peer.address).into(),
        Cell {
            text: plain::text(&peer.state.to_uppercase()),
            tone,
        },
        strength(peer).into(),
        span(peer.advertise_interval_ms.saturating_mul(1000)).into(),
        heard.into(),
        peer.in_a_row.to_string().into(),
        peer.late.to_string().into(),
        span(peer.longest_gap_us).into(),
    ];
    let mark = Cell {
        text: mark.into(),
        tone,
    };
    (mark, cells)
}

/// What it advertises: its priority, or with CARP advbase and advskew, and its demotion behind a minus.
fn strength(peer: &PeerReport) -> String {
    match peer.carp {
        None => peer.priority.to_string(),
        Some(bid) if bid.demotion == 0 => format!("{}/{}", bid.advbase, bid.advskew),
        Some(bid) => format!("{}/{} -{}", bid.advbase, bid.advskew, bid.demotion),
    }
}

/// The same of one, in words.
pub(crate) fn sentence(peer: &PeerReport) -> String {
    let late = match peer.late {
        0 => "none late".to_owned(),
        late => format!("{late} late"),
    };
    let offer = match peer.carp {
        Some(bid) => bid.to_string(),
        None => format!("priority {}", peer.priority),
    };
    format!(
        "{}: {}, {offer}, heard {} ago, every {}, {} in a row, {late}, longest gap {}",
        peer.address,
        peer.state,
        span(peer.last_heard_us),
        span(peer.advertise_interval_ms.saturating_mul(1000)),
        peer.in_a_row,
        span(peer.longest_gap_us),
    )
}

/// How long ago, as one looks at it: `0.4s`, `12s`, `3m 12s`, `2h 05m`, `4d 01h`.
pub(crate) fn coarse(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        0..10 => format!("{seconds}.{}s", micros / 100_000 % 10),
        _ => crate::moment::age(seconds),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{look, report};

    /// A peer that speaks, and one that fell silent.
    pub(crate) fn heard() -> StatusReport {
        let mut report = report();
        let peer = PeerReport {
            address: "fe80::a8bb:ccff:fedd:1122".into(),
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
            other_addresses: true,
        };
        report.routers[2].peers = vec![peer.clone()];
        report.routers[0].peers = vec![PeerReport {
            address: "10.20.0.3".into(),
            priority: 100,
            state: "silent".into(),
            last_heard_us: 3_912_000_000,
            late: 2,
            longest_gap_us: 3_609_000,
            other_interval: true,
            other_addresses: false,
            ..peer
        }];
        report
    }

    #[test]
    fn on_a_terminal_of_80_columns() {
        let text = render(&heard(), &look(Some(80)));
        let mut table = text.lines().take_while(|line| !line.is_empty());
        assert!(table.all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_a_terminal() {
        insta::assert_snapshot!(render(&heard(), &look(None)));
    }

    #[test]
    fn in_brief() {
        let brief = Look {
            brief: true,
            ..look(None)
        };
        insta::assert_snapshot!(render(&heard(), &brief));
    }

    #[test]
    fn in_words() {
        let peer = &heard().routers[2].peers[0];
        assert_eq!(
            sentence(peer),
            "fe80::a8bb:ccff:fedd:1122: active, priority 150, heard 412.345 ms ago, every 1 s, 412 in a row, none late, \
             longest gap 1 s"
        );
    }

    #[test]
    fn nobody() {
        let mut report = report();
        report.routers.clear();
        assert!(render(&report, &look(None)).starts_with("nobody else"));
    }
}
