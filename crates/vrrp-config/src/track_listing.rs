//! Trackers, and references to them, as a file would say them.

use std::fmt::{Display, Write};

use vrrp_proto::tracker::{Pace, ProcessPattern};
use vrrp_proto::{Effect, Track, TrackerKind, TrackerPlan};

use crate::listing::{Setting, list, quoted, span};
use crate::tracked::{PROTOCOLS, RECORDS};
use crate::tracker::defaults;

/// `{ uplink = -40, bgp = "fault" }`
pub(crate) fn references<'a>(track: impl Iterator<Item = &'a Track>) -> String {
    let mut text = String::from("{");
    for (index, track) in track.enumerate() {
        let effect = match track.effect {
            Effect::Weight(weight) => weight.to_string(),
            Effect::Fault => quoted("fault"),
            Effect::Takeover => quoted("takeover"),
        };
        let comma = if index == 0 { "" } else { "," };
        let name = crate::listing::bare(&track.tracker);
        // Writing to a string cannot fail.
        let _ = match track.reverse {
            true => write!(
                text,
                "{comma} {name} = {{ weight = {effect}, reverse = true }}"
            ),
            false => write!(text, "{comma} {name} = {effect}"),
        };
    }
    let end = if text.len() == 1 { "}" } else { " }" };
    text + end
}

/// All keys that have a meaning for `tracker`, in the order of the reference.
#[must_use]
pub fn tracker_settings(tracker: &TrackerPlan) -> Vec<Setting> {
    let mut all = Keys(Vec::new());
    all.given("type", quoted(tracker.kind.name()));
    all.kind(&tracker.kind);
    let (is, plain) = (tracker.hysteresis, defaults(&tracker.kind));
    all.both("rise", is.rise, plain.rise);
    all.both("fall", is.fall, plain.fall);
    all.both("up-delay", span(is.up_delay), span(plain.up_delay));
    all.both("down-delay", span(is.down_delay), span(plain.down_delay));
    let word = |level: vrrp_proto::Level| quoted(level.name());
    all.both("start-state", word(is.start), word(plain.start));
    all.both(
        "start-timeout",
        span(is.start_timeout),
        span(plain.start_timeout),
    );
    all.optional("stale-after", is.stale_after.map(span));
    all.both("stale-state", word(is.stale), word(plain.stale));
    all.0
}

struct Keys(Vec<Setting>);

impl Keys {
    fn given(&mut self, key: &'static str, value: String) {
        self.0.push(Setting {
            key,
            value,
            is_default: false,
        });
    }

    fn optional(&mut self, key: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.given(key, value);
        }
    }

    fn both<T: Display + PartialEq>(&mut self, key: &'static str, value: T, default: T) {
        self.0.push(Setting {
            key,
            is_default: value == default,
            value: value.to_string(),
        });
    }

    fn pace(&mut self, pace: Pace) {
        self.both("interval", span(pace.interval), quoted("1s"));
        self.both("timeout", span(pace.timeout), quoted("1s"));
    }

    fn kind(&mut self, kind: &TrackerKind) {
        let text = |text: &Option<String>| text.as_deref().map(quoted);
        let address = |ip: &Option<std::net::IpAddr>| ip.map(|ip| quoted(&ip.to_string()));
        match kind {
            TrackerKind::Interface { interface, carrier } => {
                self.given("interface", quoted(interface));
                self.both("carrier", *carrier, true);
            }
            TrackerKind::Route {
                prefix,
                table,
                protocol,
                next_hop,
            } => {
                self.given("prefix", quoted(&prefix.to_string()));
                self.both("table", *table, 254);
                let name = |number: u8| {
                    let known = PROTOCOLS.iter().find(|(_, it)| *it == number);
                    known.map_or_else(|| number.to_string(), |(name, _)| quoted(name))
                };
                self.optional("protocol", protocol.map(name));
                self.optional("next-hop", address(next_hop));
            }
            TrackerKind::Address {
                address: ip,
                interface,
            } => {
                self.given("address", quoted(&ip.to_string()));
                self.optional("interface", text(interface));
            }
            TrackerKind::Neighbour {
                address: ip,
                interface,
            } => {
                self.given("address", quoted(&ip.to_string()));
                self.given("interface", quoted(interface));
            }
            TrackerKind::Process {
                pattern,
                count,
                interval,
            } => {
                match pattern {
                    ProcessPattern::Name(name) => self.given("name", quoted(name)),
                    ProcessPattern::Command(part) => self.given("command", quoted(part)),
                }
                self.both("count", *count, 1);
                self.both("interval", span(*interval), quoted("1s"));
            }
            TrackerKind::File {
                path,
                weighted,
                interval,
            } => {
                self.given("path", quoted(path));
                self.both("weighted", *weighted, false);
                self.both("interval", span(*interval), quoted("1s"));
            }
            TrackerKind::Script {
                command,
                user,
                pace,
            } => {
                self.given("command", list(command));
                self.optional("user", text(user));
                self.pace(*pace);
            }
            TrackerKind::Ping {
                address: ip,
                interface,
                source,
                pace,
                loss,
            } => {
                self.given("address", quoted(&ip.to_string()));
                self.optional("interface", text(interface));
                self.optional("source", address(source));
                self.optional("loss", loss.map(|loss| loss.to_string()));
                self.pace(*pace);
            }
            TrackerKind::Tcp {
                address: ip,
                port,
                interface,
                source,
                pace,
            } => {
                self.given("address", quoted(&ip.to_string()));
                self.given("port", port.to_string());
                self.optional("interface", text(interface));
                self.optional("source", address(source));
                self.pace(*pace);
            }
            TrackerKind::Http {
                url,
                host,
                status,
                body,
                verify,
                pace,
            } => {
                self.given("url", quoted(url));
                self.optional("host", text(host));
                let range = |(from, to): &(u16, u16)| quoted(&format!("{from}..{to}"));
                let ranges: Vec<String> = status.iter().map(range).collect();
                let ranges = format!("[{}]", ranges.join(", "));
                self.both("status", ranges.as_str(), "[\"200..399\"]");
                self.optional("body", text(body));
                self.both("verify", *verify, true);
                self.pace(*pace);
            }
            TrackerKind::Dns {
                server,
                port,
                name,
                record,
                expect,
                pace,
            } => {
                self.given("server", quoted(&server.to_string()));
                self.both("port", *port, 53);
                self.given("name", quoted(name));
                let word = RECORDS.iter().find(|(_, it)| it == record);
                self.both(
                    "record-type",
                    quoted(word.map_or("A", |(word, _)| word)),
                    quoted("A"),
                );
                self.optional("expect", text(expect));
                self.pace(*pace);
            }
            TrackerKind::Bfd {
                peer,
                source,
                interface,
                desired_min_tx,
                required_min_rx,
                multiplier,
            } => {
                self.given("address", quoted(&peer.to_string()));
                self.given("interface", quoted(interface));
                self.optional("source", address(source));
                for (key, interval) in [
                    ("desired-min-tx-interval", desired_min_tx),
                    ("required-min-rx-interval", required_min_rx),
                ] {
                    self.both(key, span(*interval), quoted("300ms"));
                }
                self.both("local-multiplier", multiplier.get(), 3);
            }
        }
    }
}
