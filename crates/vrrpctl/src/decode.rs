//! Packets of a capture, and what a router makes of each.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use vrrp_config::load;
use vrrp_proto::packet::Header;
use vrrp_proto::{ChecksumForm, Family, Plan};

use crate::carp;
use crate::failure::Failure;
use crate::frame::{self, Arrived};
use crate::json;
use crate::page::{Look, Page, Tone};
use crate::trace::{self, Captured};
use crate::verdict::{self, Verdict, judge, reason};

/// What was seen.
#[derive(Default)]
pub(crate) struct Tally {
    packets: u64,
    good: u64,
    pub(crate) refused: u64,
    carp: u64,
    cut: u64,
}

/// `vrrpctl decode`.
pub(crate) fn run(page: &mut Page, file: &Path, config: Option<&Path>) -> Result<(), Failure> {
    let plan = config
        .map(load)
        .transpose()
        .map_err(|error| Failure::from(&error))?;
    let plan = plan.map(|loaded| loaded.config.plan);
    let mut tally = Tally::default();
    let piped = file == Path::new("-");
    let source: Box<dyn Read + Send> = if piped {
        Box::new(io::stdin())
    } else {
        let opened = File::open(file);
        Box::new(opened.map_err(|error| unreadable(file, &error.to_string()))?)
    };
    let told = trace::read(source, |captured| {
        tell(&captured, plan.as_ref(), &mut tally, page)
    });
    let damage = match told {
        Ok(told) => {
            told?;
            None
        }
        Err(why) => Some(unreadable(file, &why)),
    };
    if !page.look.json && (damage.is_none() || tally.packets > 0) {
        page.text(&tally.sentence())?;
    }
    match damage {
        Some(failure) => Err(failure),
        None if tally.refused > 0 => Err(Failure::Wrong(1)),
        None => Ok(()),
    }
}

fn unreadable(file: &Path, why: &str) -> Failure {
    Failure::File(format!("cannot decode {}: {why}", file.display()))
}

fn tell(
    captured: &Captured<'_>,
    plan: Option<&Plan>,
    tally: &mut Tally,
    page: &mut Page,
) -> Result<(), Failure> {
    tally.packets += 1;
    let Some(arrived) = frame::open(captured.link, captured.bytes) else {
        return Ok(());
    };
    let verdict = judge(&arrived, plan);
    tally.count(&verdict);
    let text = if page.look.json {
        json::line(&document(captured.time, &arrived, &verdict))
    } else {
        line(captured.time, &arrived, &verdict, &page.look)
    };
    page.text(&text)
}

impl Tally {
    /// Counts an advertisement.
    pub(crate) fn count(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Good(_) => &mut self.good,
            Verdict::Refused(_) | Verdict::RefusedCarp(..) => &mut self.refused,
            Verdict::Carp => &mut self.carp,
            Verdict::Cut => &mut self.cut,
        } += 1;
    }

    /// What it was in all: `2 good, 1 refused`.
    pub(crate) fn parts(&self) -> String {
        let mut parts = vec![
            format!("{} good", self.good),
            format!("{} refused", self.refused),
        ];
        if self.carp > 0 {
            parts.push(format!(
                "{} of CARP whose digest was not checked",
                self.carp
            ));
        }
        if self.cut > 0 {
            parts.push(format!("{} not captured as a whole", self.cut));
        }
        parts.join(", ")
    }

    fn sentence(&self) -> String {
        let noun = if self.packets == 1 {
            "packet"
        } else {
            "packets"
        };
        let parts = self.parts();
        format!("{} {noun}; advertisements: {parts}\n", self.packets)
    }
}

fn line(time: Option<Timestamp>, arrived: &Arrived<'_>, verdict: &Verdict, look: &Look) -> String {
    let time = clock(time, look);
    let envelope = &arrived.envelope;
    let (source, destination) = (envelope.source, envelope.destination);
    let what = content(arrived, verdict);
    let (tone, said) = phrase(arrived, verdict);
    let said = look.paint(tone, &said);
    format!("{time}  {source} > {destination}  {what}  {said}\n")
}

/// The time of day on a terminal, and exactly when elsewhere.
pub(crate) fn clock(time: Option<Timestamp>, look: &Look) -> String {
    let Some(time) = time else {
        return "-".to_owned();
    };
    let time = time.to_string();
    match look.width {
        Some(_) => look.calendar.clock(&time),
        None => look.calendar.exact(&time),
    }
}

/// What became of it.
pub(crate) fn phrase(arrived: &Arrived<'_>, verdict: &Verdict) -> (Tone, String) {
    let source = arrived.envelope.source;
    match verdict {
        Verdict::Good(heard) if heard.other_interval => (
            Tone::Good,
            "good, with another interval than ours".to_owned(),
        ),
        Verdict::Good(heard) if heard.other_addresses => (
            Tone::Good,
            "good, with other addresses than ours".to_owned(),
        ),
        Verdict::Good(heard) if heard.form == ChecksumForm::Rfc5798 && source.is_ipv4() => {
            (Tone::Good, "good, checksum of RFC 5798".to_owned())
        }
        Verdict::Good(_) => (Tone::Good, "good".to_owned()),
        Verdict::Refused(reject) => (Tone::Bad, format!("refused: {}", reason(*reject, arrived))),
        Verdict::RefusedCarp(_, why) => (Tone::Bad, format!("refused: {why}")),
        Verdict::Carp => (Tone::Quiet, "digest not checked".to_owned()),
        Verdict::Cut => (Tone::Plain, "not captured as a whole".to_owned()),
    }
}

/// Whether it is CARP's.
fn is_carp(arrived: &Arrived<'_>, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Good(heard) => heard.bid.is_some(),
        Verdict::RefusedCarp(..) | Verdict::Carp => true,
        Verdict::Refused(_) | Verdict::Cut => carp::is_meant(arrived),
    }
}

/// What it says of itself, as far as it says something.
pub(crate) fn content(arrived: &Arrived<'_>, verdict: &Verdict) -> String {
    let length = arrived.message.len();
    let bytes = || format!("{length} {}", if length == 1 { "byte" } else { "bytes" });
    if is_carp(arrived, verdict) {
        return carp::content(arrived.message).unwrap_or_else(bytes);
    }
    let Some(header) = Header::new(arrived.message) else {
        return bytes();
    };
    let family = Family::of(arrived.envelope.source);
    let interval = header.interval(verdict::dialect(header, family));
    let interval = interval.map_or_else(|| "0s".to_owned(), |interval| interval.to_string());
    let addresses: Vec<String> = header.addresses(family).map(|ip| ip.to_string()).collect();
    let vrid = header.vrid().map_or(0, |vrid| vrid.get());
    format!(
        "VRRPv{} {vrid}  priority {} every {interval}  {}",
        header.version(),
        header.priority(),
        addresses.join(","),
    )
}

/// The same for programs.
pub(crate) fn document(time: Option<Timestamp>, arrived: &Arrived<'_>, verdict: &Verdict) -> Value {
    let is_carp = is_carp(arrived, verdict);
    let header = Header::new(arrived.message).filter(|_| !is_carp);
    let family = Family::of(arrived.envelope.source);
    let mac = arrived.source_mac.map(|mac| {
        let [a, b, c, d, e, f] = mac;
        format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    });
    let (word, why, form) = match verdict {
        Verdict::Good(heard) => ("good", None, Some(heard.form)),
        Verdict::Refused(reject) => ("refused", Some(reason(*reject, arrived)), None),
        Verdict::RefusedCarp(_, why) => ("refused", Some(why.clone()), None),
        Verdict::Carp => ("carp", None, None),
        Verdict::Cut => ("cut", None, None),
    };
    let form = form
        .filter(|_| family == Family::Ipv4 && !is_carp)
        .map(|form| match form {
            ChecksumForm::Rfc9568 => "rfc9568",
            ChecksumForm::Rfc5798 => "rfc5798",
        });
    let interval = header.and_then(|header| header.interval(verdict::dialect(header, family)));
    let addresses = header.map(|header| {
        let list = header.addresses(family).map(|ip| ip.to_string());
        list.collect::<Vec<_>>()
    });
    let protocol = header.map(|header| match header.version() {
        2 => "vrrpv2",
        3 => "vrrpv3",
        _ => "unknown",
    });
    let (protocol, group) = if is_carp {
        (Some("carp"), carp::document(arrived.message))
    } else {
        (protocol, Value::Null)
    };
    json::object([
        ("time", time.map(|time| time.to_string()).into()),
        ("source", arrived.envelope.source.to_string().into()),
        (
            "destination",
            arrived.envelope.destination.to_string().into(),
        ),
        ("source-mac", mac.into()),
        ("hop-limit", arrived.envelope.hop_limit.into()),
        ("protocol", protocol.into()),
        ("version", header.map(Header::version).into()),
        (
            "vrid",
            header.and_then(Header::vrid).map(|vrid| vrid.get()).into(),
        ),
        (
            "priority",
            header.map(|header| header.priority().get()).into(),
        ),
        (
            "interval-ms",
            interval
                .map(|it| u64::try_from(it.duration().as_millis()).unwrap_or(0))
                .into(),
        ),
        ("addresses", addresses.into()),
        ("checksum", form.into()),
        ("carp", group),
        ("verdict", word.into()),
        ("reason", why.into()),
    ])
}
