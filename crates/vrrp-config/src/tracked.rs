//! What a tracker watches: the keys of each type.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::time::Duration;

use vrrp_proto::tracker::{Pace, ProcessPattern, RecordType};
use vrrp_proto::{Level, TrackerKind, VirtualAddress};

use crate::finding::{Finding, excerpt};
use crate::section::{Field, Section, kind};
use crate::{code, duration, keys, name, timing};

/// How often a probe may be made, and how long it may take.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1);

/// RFC 5880 counts in microseconds; nobody's timers are better than these.
const BFD_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);
const BFD_DEFAULT: Duration = Duration::from_millis(300);

/// The table of the kernel that has the routes of most hosts.
const MAIN: u32 = 254;

/// One type: its word, its keys, those that it needs.
pub(crate) struct Type {
    pub(crate) word: &'static str,
    pub(crate) keys: &'static [&'static str],
    required: &'static [&'static str],
    example: &'static str,
}

#[rustfmt::skip]
pub(crate) const TYPES: [Type; 12] = [
    Type { word: "interface", keys: &["interface", "carrier"], required: &["interface"], example: "interface = \"eth1\"" },
    Type { word: "route", keys: &["prefix", "table", "protocol", "next-hop"], required: &["prefix"], example: "prefix = \"0.0.0.0/0\"" },
    Type { word: "address", keys: &["address", "interface"], required: &["address"], example: "address = \"198.51.100.1\"" },
    Type { word: "neighbour", keys: &["address", "interface"], required: &["address", "interface"], example: "address = \"198.51.100.1\"" },
    Type { word: "process", keys: &["name", "command", "count", "interval"], required: &[], example: "name = \"haproxy\"" },
    Type { word: "file", keys: &["path", "weighted", "interval"], required: &["path"], example: "path = \"/run/healthy\"" },
    Type { word: "script", keys: &["command", "user", "interval", "timeout"], required: &["command"], example: "command = [\"/usr/local/bin/check\"]" },
    Type { word: "ping", keys: &["address", "interface", "source", "loss", "interval", "timeout"], required: &["address"], example: "address = \"198.51.100.1\"" },
    Type { word: "tcp", keys: &["address", "port", "interface", "source", "interval", "timeout"], required: &["address", "port"], example: "port = 443" },
    Type { word: "http", keys: &["url", "host", "status", "body", "verify", "interval", "timeout"], required: &["url"], example: "url = \"https://192.0.2.80/health\"" },
    Type { word: "dns", keys: &["server", "port", "name", "record-type", "expect", "interval", "timeout"], required: &["server", "name"], example: "server = \"192.0.2.53\"" },
    Type { word: "bfd", keys: &["address", "interface", "source", "min-interval", "desired-min-tx-interval", "required-min-rx-interval", "local-multiplier"], required: &["address", "interface"], example: "address = \"192.0.2.2\"` and `interface = \"eth0\"" },
];

/// The words that a key may have as its value.
const LEVELS: [(&str, Level); 3] = [
    ("unknown", Level::Unknown),
    ("up", Level::Up),
    ("down", Level::Down),
];

pub(crate) const RECORDS: [(&str, RecordType); 9] = [
    ("A", RecordType::A),
    ("AAAA", RecordType::Aaaa),
    ("CNAME", RecordType::Cname),
    ("MX", RecordType::Mx),
    ("NS", RecordType::Ns),
    ("PTR", RecordType::Ptr),
    ("SOA", RecordType::Soa),
    ("SRV", RecordType::Srv),
    ("TXT", RecordType::Txt),
];

/// Numbers of those who make routes, by the names that `ip route` gives them.
pub(crate) const PROTOCOLS: [(&str, u8); 14] = [
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("ra", 9),
    ("bird", 12),
    ("dhcp", 16),
    ("keepalived", 18),
    ("babel", 42),
    ("bgp", 186),
    ("isis", 187),
    ("ospf", 188),
    ("rip", 189),
    ("eigrp", 192),
];

/// Reads `type` and the keys that it has.
pub(crate) fn read(reader: &mut Reader<'_, '_>) -> Option<TrackerKind> {
    let kind = reader.type_of()?;
    reader.check_keys(kind);
    match kind.word {
        "interface" => {
            let (interface, carrier) = (reader.interface(), reader.boolean("carrier", true));
            Some(TrackerKind::Interface {
                interface: interface??,
                carrier: carrier?,
            })
        }
        "route" => {
            let (prefix, table) = (
                reader.prefix(),
                reader.count("table", &(1..=u32::MAX), MAIN),
            );
            let (protocol, next_hop) = (reader.protocol(), reader.address("next-hop"));
            Some(TrackerKind::Route {
                prefix: prefix?,
                table: table?,
                protocol: protocol?,
                next_hop: next_hop?,
            })
        }
        "address" => {
            let (address, interface) = (reader.address("address"), reader.interface());
            Some(TrackerKind::Address {
                address: address??,
                interface: interface?,
            })
        }
        "neighbour" => {
            let (address, interface) = (reader.address("address"), reader.interface());
            Some(TrackerKind::Neighbour {
                address: address??,
                interface: interface??,
            })
        }
        "process" => {
            let (pattern, count) = (reader.pattern(), reader.count("count", &(1..=10_000), 1));
            let interval = reader.duration("interval", &INTERVAL, SECOND);
            Some(TrackerKind::Process {
                pattern: pattern?,
                count: count?,
                interval: interval?,
            })
        }
        "file" => {
            let (path, weighted) = (reader.path("path"), reader.boolean("weighted", false));
            let interval = reader.duration("interval", &INTERVAL, SECOND);
            Some(TrackerKind::File {
                path: path?,
                weighted: weighted?,
                interval: interval?,
            })
        }
        "script" => {
            let (command, user, pace) = (
                reader.command(),
                reader.text("user", "nobody"),
                reader.pace(),
            );
            Some(TrackerKind::Script {
                command: command?,
                user: user?,
                pace: pace?,
            })
        }
        "ping" => {
            let (address, interface) = (reader.address("address"), reader.interface());
            let (source, pace) = (reader.address("source"), reader.pace());
            let loss = reader.optional_count("loss", &(0..=100));
            Some(TrackerKind::Ping {
                address: address??,
                interface: interface?,
                source: source?,
                pace: pace?,
                loss: loss?.and_then(|loss| u8::try_from(loss).ok()),
            })
        }
        "tcp" => {
            let (address, port) = (reader.address("address"), reader.port(None));
            let (interface, source) = (reader.interface(), reader.address("source"));
            let pace = reader.pace();
            Some(TrackerKind::Tcp {
                address: address??,
                port: port?,
                interface: interface?,
                source: source?,
                pace: pace?,
            })
        }
        "http" => {
            let (url, host) = (reader.url(), reader.text("host", "www.example.net"));
            let (status, body) = (reader.status(), reader.text("body", "healthy"));
            let (verify, pace) = (reader.boolean("verify", true), reader.pace());
            Some(TrackerKind::Http {
                url: url?,
                host: host?,
                status: status?,
                body: body?,
                verify: verify?,
                pace: pace?,
            })
        }
        "dns" => {
            let (server, port) = (reader.address("server"), reader.port(Some(53)));
            let (name, record) = (reader.text("name", "www.example.net"), reader.record());
            let (expect, pace) = (reader.text("expect", "192.0.2.80"), reader.pace());
            Some(TrackerKind::Dns {
                server: server??,
                port: port?,
                name: name??,
                record: record?,
                expect: expect?,
                pace: pace?,
            })
        }
        // The last one of `TYPES`.
        _ => {
            let (peer, source) = (reader.address("address"), reader.address("source"));
            let interface = reader.interface();
            let both = reader.duration("min-interval", &BFD_INTERVAL, BFD_DEFAULT);
            let plain = both.unwrap_or(BFD_DEFAULT);
            let transmit = reader.duration("desired-min-tx-interval", &BFD_INTERVAL, plain);
            let receive = reader.duration("required-min-rx-interval", &BFD_INTERVAL, plain);
            let multiplier = reader.count("local-multiplier", &(1..=255), 3);
            both?;
            Some(TrackerKind::Bfd {
                peer: peer??,
                source: source?,
                interface: interface??,
                desired_min_tx: transmit?,
                required_min_rx: receive?,
                multiplier: NonZeroU8::try_from(u8::try_from(multiplier?).ok()?).ok()?,
            })
        }
    }
}

/// Reads keys of a tracker. Each answers `None` when a finding says why there is no value, or that a required one is missing;
/// of those that may be absent, the inner `None` says that they are.
pub(crate) struct Reader<'t, 'f> {
    section: &'t Section<'t>,
    findings: &'f mut Vec<Finding>,
}

impl<'t, 'f> Reader<'t, 'f> {
    pub(crate) const fn new(section: &'t Section<'t>, findings: &'f mut Vec<Finding>) -> Self {
        Self { section, findings }
    }

    fn type_of(&mut self) -> Option<&'static Type> {
        let words = TYPES.map(|kind| kind.word);
        let all = keys::enumerate(&words).replace('`', "\"");
        let given = match self.section.string("type", "interface", self.findings) {
            Field::Given(given) => given,
            Field::Refused => return None,
            Field::Absent => {
                let message = "this tracker has no `type`";
                self.findings.push(
                    Finding::error(code::MISSING_KEY, self.section.head.clone(), message)
                        .label("incomplete")
                        .help(format!(
                            "add for example `type = \"interface\"`; the types are {all}"
                        )),
                );
                return None;
            }
        };
        let found = TYPES.iter().find(|kind| kind.word == given.value);
        if found.is_none() {
            let word = given.value.to_ascii_lowercase();
            let meant = match word.as_str() {
                "neighbor" => Some("neighbour"),
                "https" => Some("http"),
                "icmp" => Some("ping"),
                "exec" | "command" => Some("script"),
                "link" => Some("interface"),
                other => keys::nearest(other, &words),
            };
            let help = meant.map_or_else(
                || format!("the types are {all}"),
                |meant| format!("did you mean \"{meant}\"?"),
            );
            let message = format!("unknown type \"{}\"", excerpt(given.value));
            self.findings.push(
                Finding::error(code::CHOICE, given.span, message)
                    .label("not a type of a tracker")
                    .help(help),
            );
        }
        found
    }

    /// Reports keys that this type does not have, and those that it lacks.
    fn check_keys(&mut self, kind: &Type) {
        let known: Vec<&str> = [kind.keys, &keys::COMMON].concat();
        let place = format!("a tracker of type \"{}\"", kind.word);
        let mut meant = Vec::new();
        for key in self.section.table.keys() {
            let word = key.get_ref().as_ref();
            if known.contains(&word) {
                continue;
            }
            let message = format!("unknown key `{}` in {place}", excerpt(word));
            let near = keys::nearest(&word.to_ascii_lowercase().replace('_', "-"), &known);
            meant.extend(near);
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{place} has the keys {}", keys::enumerate(&known)),
            };
            self.findings.push(
                Finding::error(code::UNKNOWN_KEY, key.span(), message)
                    .label("not a key of this type")
                    .help(help),
            );
        }
        let has = |key: &&&str| self.section.value(key).is_none() && !meant.contains(*key);
        let missing: Vec<&str> = kind.required.iter().filter(has).copied().collect();
        if !missing.is_empty() {
            let verb = if missing.len() == 1 { "is" } else { "are" };
            let message = format!("{} {verb} missing", keys::enumerate(&missing));
            self.findings.push(
                Finding::error(code::MISSING_KEY, self.section.head.clone(), message)
                    .label(format!("{place} is incomplete"))
                    .help(format!("write for example `{}`", kind.example)),
            );
        }
    }

    fn refuse(&mut self, code: &'static str, key: &str, message: String, help: &str) {
        let span = self.section.value(key).map(toml::Spanned::span);
        let span = span.unwrap_or_else(|| self.section.head.clone());
        self.findings.push(
            Finding::error(code, span, message)
                .label("not usable")
                .help(help),
        );
    }

    fn required<T>(field: Field<T>) -> Option<T> {
        field.into_given().map(|given| given.value)
    }

    fn optional<T>(field: Field<T>) -> Option<Option<T>> {
        match field {
            Field::Given(given) => Some(Some(given.value)),
            Field::Absent => Some(None),
            Field::Refused => None,
        }
    }

    fn text(&mut self, key: &str, example: &str) -> Option<Option<String>> {
        let given = Self::optional(self.section.string(key, example, self.findings))?;
        let Some(text) = given else { return Some(None) };
        if text.is_empty() || text.chars().any(char::is_control) {
            let help = format!("write for example `{key} = \"{example}\"`");
            self.refuse(
                code::TRACKED,
                key,
                format!("`{key}` is empty or has control characters"),
                &help,
            );
            return None;
        }
        Some(Some(text.to_owned()))
    }

    fn boolean(&mut self, key: &str, default: bool) -> Option<bool> {
        self.section.boolean(key, self.findings).or(default)
    }

    pub(crate) fn level(&mut self, key: &str, default: Level) -> Option<Level> {
        let help = "use \"unknown\", \"up\" or \"down\"";
        self.choice(key, "unknown", &LEVELS, help)?
            .or(Some(default))
    }

    fn choice<T: Copy>(
        &mut self,
        key: &str,
        example: &str,
        choices: &[(&str, T)],
        help: &str,
    ) -> Option<Option<T>> {
        let given = Self::optional(self.section.string(key, example, self.findings))?;
        let Some(word) = given else { return Some(None) };
        let found = choices.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let message = format!("`{key}` cannot be \"{}\"", excerpt(word));
            self.refuse(code::CHOICE, key, message, help);
        }
        Some(Some(found?.1))
    }

    fn optional_count(&mut self, key: &str, range: &RangeInclusive<u32>) -> Option<Option<u32>> {
        let (least, most) = (*range.start(), *range.end());
        let example = u8::try_from(least.max(1)).unwrap_or(1);
        let given = Self::optional(self.section.integer(key, example, self.findings))?;
        let Some(number) = given else {
            return Some(None);
        };
        let fits = u32::try_from(number)
            .ok()
            .filter(|number| range.contains(number));
        if fits.is_none() {
            let help = format!("use {least} to {most}");
            self.refuse(code::COUNT, key, format!("`{key}` is out of range"), &help);
        }
        Some(Some(fits?))
    }

    pub(crate) fn count(
        &mut self,
        key: &str,
        range: &RangeInclusive<u32>,
        default: u32,
    ) -> Option<u32> {
        self.optional_count(key, range)?.or(Some(default))
    }

    fn port(&mut self, default: Option<u16>) -> Option<u16> {
        match self.optional_count("port", &(1..=65_535))? {
            Some(port) => u16::try_from(port).ok(),
            None => default,
        }
    }

    pub(crate) fn duration(
        &mut self,
        key: &str,
        range: &RangeInclusive<Duration>,
        default: Duration,
    ) -> Option<Duration> {
        let given = Self::optional(timing::duration(self.section, key, "1s", self.findings))?;
        let Some((span, _)) = given else {
            return Some(default);
        };
        if !range.contains(&span) {
            let shown = |at: &Duration| duration::show(*at);
            let help = format!(
                "use \"{}\" to \"{}\"",
                shown(range.start()),
                shown(range.end())
            );
            let message = format!("`{key}` cannot be {}", shown(&span));
            self.refuse(code::DURATION_RANGE, key, message, &help);
            return None;
        }
        Some(span)
    }

    fn pace(&mut self) -> Option<Pace> {
        let interval = self.duration("interval", &INTERVAL, SECOND);
        let timeout = self.duration("timeout", &TIMEOUT, SECOND);
        Some(Pace {
            interval: interval?,
            timeout: timeout?,
        })
    }

    fn interface(&mut self) -> Option<Option<String>> {
        let field = self.section.string("interface", "eth1", self.findings);
        Self::optional(field.and_then(|given| name::check_interface(given, self.findings)))
    }

    fn address(&mut self, key: &str) -> Option<Option<IpAddr>> {
        let given = Self::optional(self.section.string(key, "198.51.100.1", self.findings))?;
        let Some(text) = given else { return Some(None) };
        let address = text.parse().ok();
        if address.is_none() {
            let message = format!("\"{}\" is not an IP address", excerpt(text));
            let help =
                "write one without a prefix length, such as \"198.51.100.1\" or \"2001:db8::1\"";
            self.refuse(code::ADDRESS, key, message, help);
        }
        Some(Some(address?))
    }

    fn prefix(&mut self) -> Option<VirtualAddress> {
        let text = Self::required(self.section.string("prefix", "0.0.0.0/0", self.findings))?;
        let prefix = parse_prefix(text);
        if prefix.is_none() {
            let message = format!("\"{}\" is not a prefix", excerpt(text));
            let help = "write an address, whose bits behind the length are zero, and the length: \"0.0.0.0/0\", \"198.51.100.0/24\", \"2001:db8::/32\"";
            self.refuse(code::TRACKED, "prefix", message, help);
        }
        prefix
    }

    /// A name that `ip route` shows, or a number.
    fn protocol(&mut self) -> Option<Option<u8>> {
        let numeric = self
            .section
            .value("protocol")
            .is_some_and(|value| value.get_ref().is_integer());
        if numeric {
            let number = self.optional_count("protocol", &(1..=255))?;
            return Some(number.and_then(|number| u8::try_from(number).ok()));
        }
        let names = PROTOCOLS.map(|(name, _)| name);
        let help = format!(
            "use a number of /etc/iproute2/rt_protos, or one of {}",
            keys::enumerate(&names).replace('`', "\"")
        );
        self.choice("protocol", "bgp", &PROTOCOLS, &help)
    }

    fn pattern(&mut self) -> Option<ProcessPattern> {
        let (name, command) = (
            self.text("name", "haproxy"),
            self.text("command", "haproxy -W"),
        );
        match (name?, command?) {
            (Some(name), None) => Some(ProcessPattern::Name(name)),
            (None, Some(command)) => Some(ProcessPattern::Command(command)),
            (both, _) => {
                let message = match both {
                    Some(_) => "`name` and `command` are both given",
                    None => "`name` and `command` are both missing",
                };
                let help = "write one of them: `name = \"haproxy\"` as `ps -o comm` shows it, or `command`, a part of the command line";
                self.refuse(code::TRACKED, "command", message.to_owned(), help);
                None
            }
        }
    }

    fn path(&mut self, key: &str) -> Option<String> {
        let path = self.text(key, "/run/healthy")??;
        self.absolute(key, &path).then_some(path)
    }

    fn absolute(&mut self, key: &str, path: &str) -> bool {
        let good = path.starts_with('/') && !path.ends_with('/');
        if !good {
            let message = format!("\"{}\" is not the path of a file", excerpt(path));
            let help = "write the whole path, which begins with `/`: there is no working directory, and no search path";
            self.refuse(code::TRACKED, key, message, help);
        }
        good
    }

    fn command(&mut self) -> Option<Vec<String>> {
        let words = Self::required(self.section.strings(
            "command",
            "/usr/local/bin/check",
            self.findings,
        ))?;
        let words: Vec<String> = words.iter().map(|word| word.value.to_owned()).collect();
        let Some(first) = words.first() else {
            let help = "write `command = [\"/usr/local/bin/check\", \"argument\"]`";
            self.refuse(
                code::TRACKED,
                "command",
                "`command` is empty".to_owned(),
                help,
            );
            return None;
        };
        let good = self.absolute("command", &first.clone());
        good.then_some(words)
    }

    fn url(&mut self) -> Option<String> {
        let url = self.text("url", "https://192.0.2.80/health")??;
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && url.bytes().all(|byte| byte.is_ascii_graphic());
        if !good {
            let message = format!("\"{}\" is not a URL", excerpt(&url));
            let help = "write `http://` or `https://`, a host and a path, such as \"https://192.0.2.80/health\"";
            self.refuse(code::TRACKED, "url", message, help);
        }
        good.then_some(url)
    }

    /// Numbers and ranges: `[200, "300..399"]`.
    fn status(&mut self) -> Option<Vec<(u16, u16)>> {
        let help = "write `status = [200, \"300..399\"]`, with numbers of 100 to 599";
        let Some(value) = self.section.value("status") else {
            return Some(vec![(200, 399)]);
        };
        let range = |text: &str| {
            let (from, to) = text.split_once("..").unwrap_or((text, text));
            let number = |text: &str| {
                let number = text.trim().parse::<u16>().ok();
                number.filter(|number| (100..=599).contains(number))
            };
            number(from).zip(number(to)).filter(|(from, to)| from <= to)
        };
        let ranges: Option<Vec<_>> = value.get_ref().as_array().and_then(|list| {
            let one = |element: &toml::Spanned<toml::de::DeValue<'_>>| {
                let number = element
                    .get_ref()
                    .as_integer()
                    .map(toml::de::DeInteger::as_str);
                range(number.or(element.get_ref().as_str())?)
            };
            list.iter().map(one).collect()
        });
        let ranges = ranges.filter(|ranges| !ranges.is_empty());
        if ranges.is_none() {
            let message = format!(
                "`status` is {}, and no list of status codes",
                kind(value.get_ref())
            );
            self.refuse(code::TRACKED, "status", message, help);
        }
        ranges
    }

    fn record(&mut self) -> Option<RecordType> {
        let names = RECORDS.map(|(name, _)| name);
        let help = format!("use one of {}", keys::enumerate(&names).replace('`', "\""));
        self.choice("record-type", "A", &RECORDS, &help)?
            .or(Some(RecordType::A))
    }
}

fn parse_prefix(text: &str) -> Option<VirtualAddress> {
    let (address, length) = text.split_once('/')?;
    let (ip, prefix_len): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    let (bits, host) = match ip {
        IpAddr::V4(v4) => (32, u128::from(u32::from(v4)) << 96),
        IpAddr::V6(v6) => (128, u128::from(v6)),
    };
    let rest = host.checked_shl(u32::from(prefix_len)).unwrap_or(0);
    (prefix_len <= bits && rest == 0).then_some(VirtualAddress { ip, prefix_len })
}
