//! The interfaces on which virtual routers speak.

use vrrp_control::{Answer, InterfaceReport, InterfacesReport, Request};

use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::table::{self, Cell, Column};

const COLUMNS: [Column; 7] = [
    column("IF", false, Some(6)),
    column("STATE", false, None),
    column("INDEX", true, None),
    column("MTU", true, None),
    column("MAC", false, None),
    column("ROUTERS", false, Some(7)),
    column("ADDRESS", false, Some(14)),
];

const fn column(title: &'static str, right: bool, least: Option<usize>) -> Column {
    Column {
        title,
        right,
        least,
    }
}

/// `vrrpctl show interfaces`.
pub(crate) fn run(client: &Client, page: &mut Page) -> Result<(), Failure> {
    let Reply {
        answer: Answer::Interfaces(report),
        value,
    } = client.ask_one(&Request::Interfaces)?
    else {
        return Err(client.astray());
    };
    page.answer(value, |look| render(&report, look))
}

/// The page: a table, and below it what it has no room for.
fn render(report: &InterfacesReport, look: &Look) -> String {
    if look.brief {
        let line = |interface: &InterfaceReport| {
            let (word, tone) = state(interface);
            format!(
                "{} {}\n",
                plain::text(&interface.name),
                look.paint(tone, &word)
            )
        };
        return report.interfaces.iter().map(line).collect();
    }
    if report.interfaces.is_empty() {
        return "no virtual routers are configured, so no interface is used\n".to_owned();
    }
    let rows: Vec<_> = report
        .interfaces
        .iter()
        .map(|interface| row(interface, look))
        .collect();
    let mut text = table::render(look, &COLUMNS, &rows);
    for interface in &report.interfaces {
        text.push_str(&format!(
            "\n{}\n",
            look.paint(Tone::Heading, &plain::text(&interface.name))
        ));
        if let Some(deaf) = &interface.deaf {
            let mark = look.paint(Tone::Bad, "!");
            text.push_str(&format!("{mark} cannot hear: {}\n", plain::text(deaf)));
        }
        if let Some(protection) = &interface.protection {
            let why = protection.why.as_ref().map(|why| format!(": {why}"));
            let sentence = format!("{}{}", protection.means, why.unwrap_or_default());
            text.push_str(&format!(
                "  if the daemon dies: {}\n",
                plain::text(&sentence)
            ));
        }
        for router in &interface.routers {
            let source = router.source_address.as_deref();
            let plane = router.data_plane.as_deref();
            let line = format!(
                "{}: {} {}, VRID {}, from {}, by {}",
                router.name,
                router.family,
                router.state,
                router.vrid,
                source.unwrap_or("no address yet"),
                plane.unwrap_or("the interface itself"),
            );
            text.push_str(&format!("  {}\n", plain::text(&line)));
        }
    }
    text
}

fn state(interface: &InterfaceReport) -> (String, Tone) {
    let word = plain::text(&interface.state.to_uppercase());
    let tone = match (interface.state.as_str(), &interface.deaf) {
        ("up", None) => Tone::Good,
        ("up", Some(_)) => return ("DEAF".into(), Tone::Bad),
        _ => Tone::Bad,
    };
    (word, tone)
}

fn row(interface: &InterfaceReport, look: &Look) -> (Cell, Vec<Cell>) {
    let (word, tone) = state(interface);
    let mark = match (tone, look.ascii) {
        (Tone::Bad, false) => "✕",
        (Tone::Bad, true) => "x",
        (_, false) => "●",
        (_, true) => "*",
    };
    let number = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let names: Vec<&str> = interface
        .routers
        .iter()
        .map(|router| router.name.as_str())
        .collect();
    let few = |all: &[String]| match (all, look.width) {
        ([], _) => "-".to_owned(),
        ([first, rest @ ..], Some(_)) if !rest.is_empty() => format!("{first} +{}", rest.len()),
        (all, _) => all.join(","),
    };
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let cells = vec![
        plain::text(&interface.name).into(),
        Cell { text: word, tone },
        number(interface.index).into(),
        number(interface.mtu).into(),
        plain::text(interface.mac.as_deref().unwrap_or("-")).into(),
        plain::text(&few(&names)).into(),
        plain::text(&few(&interface.addresses)).into(),
    ];
    let mark = Cell {
        text: mark.into(),
        tone,
    };
    (mark, cells)
}

#[cfg(test)]
mod tests {
    use vrrp_control::{InterfaceRouter, Protection};

    use super::*;
    use crate::testing::look;

    fn report() -> InterfacesReport {
        let router = |name: &str, vrid, source: Option<&str>| InterfaceRouter {
            name: name.into(),
            vrid,
            family: "ipv4".into(),
            state: if source.is_some() {
                "active"
            } else {
                "initialize"
            }
            .into(),
            source_address: source.map(Into::into),
            data_plane: Some("macvlan".into()),
        };
        let eth1 = InterfaceReport {
            name: "eth1.20".into(),
            state: "up".into(),
            index: Some(7),
            mtu: Some(1500),
            mac: Some("02:00:00:00:00:07".into()),
            addresses: vec!["10.20.0.2/24".into(), "fe80::ff:fe00:7".into()],
            deaf: None,
            protection: Some(Protection {
                means: "nftables".into(),
                why: Some("not permitted to load the gate: no CAP_BPF".into()),
            }),
            routers: vec![
                router("lan4", 20, Some("10.20.0.2")),
                router("voice4", 30, Some("10.20.0.2")),
            ],
        };
        let missing = InterfaceReport {
            name: "eth9".into(),
            state: "missing".into(),
            index: None,
            mtu: None,
            mac: None,
            addresses: Vec::new(),
            deaf: None,
            protection: None,
            routers: vec![router("guest4", 40, None)],
        };
        let deaf = InterfaceReport {
            name: "eth2".into(),
            deaf: Some("cannot open a socket: too many open files".into()),
            ..eth1.clone()
        };
        InterfacesReport {
            version: 1,
            interfaces: vec![eth1, missing, deaf],
        }
    }

    #[test]
    fn on_a_terminal_of_80_columns() {
        let text = render(&report(), &look(Some(80)));
        let mut table = text.lines().take_while(|line| !line.is_empty());
        assert!(table.all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_a_terminal() {
        insta::assert_snapshot!(render(&report(), &look(None)));
    }

    #[test]
    fn in_brief() {
        let brief = Look {
            brief: true,
            ..look(None)
        };
        insta::assert_snapshot!(render(&report(), &brief));
    }
}
