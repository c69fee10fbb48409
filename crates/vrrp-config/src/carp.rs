//! The keys of CARP: what a router has that speaks it, and what it has not.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use vrrp_proto::Interval;
use vrrp_proto::carp::{
    CarpPlan, GRACE, LinkLocal, Passphrase, PassphraseError, Profile, Sealing, WINDOW,
};

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::section::{Field, Given, Section};
use crate::timing;

/// Keys that no other protocol has, and what the others have instead.
const OWN: [(&str, Option<&str>); 10] = [
    ("vhid", Some("vrid")),
    ("advbase", Some("advertise-interval")),
    ("advskew", Some("priority")),
    ("passphrase", None),
    ("passphrase-file", None),
    ("carp-profile", None),
    ("carp-link-local", None),
    ("carp-grace", None),
    ("carp-seal", None),
    ("carp-seal-window", None),
];

/// Keys that CARP has not, and what it has instead.
const FOREIGN: [(&str, &str); 6] = [
    ("vrid", "it is called `vhid` there: `vhid = 51`"),
    (
        "priority",
        "CARP has `advskew`, from 0 to 254, and the lowest one becomes Active: `advskew = 100`",
    ),
    (
        "advertise-interval",
        "CARP has `advbase`, in whole seconds: `advbase = 1`",
    ),
    (
        "authentication",
        "CARP always authenticates: `passphrase-file = \"/etc/vrrpd/carp.key\"`",
    ),
    ("checksum", "CARP has one form of checksum; remove it"),
    (
        "checksum-strict",
        "CARP has one form of checksum; remove it",
    ),
];

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Longest file that is looked into for a passphrase, in bytes.
const LONGEST_FILE: u64 = 4096;

/// Whether the router of this section is to speak CARP.
pub(crate) fn is_spoken(section: &Section<'_>) -> bool {
    let protocol = section.value("protocol");
    protocol.and_then(|value| value.get_ref().as_str()) == Some("carp")
}

/// Reports keys of CARP elsewhere, and keys of others with CARP.
pub(crate) fn check_keys(section: &Section<'_>, findings: &mut Vec<Finding>) {
    if is_spoken(section) {
        for (key, help) in FOREIGN {
            if section.value(key).is_some() {
                let message = format!("CARP has no `{key}`");
                findings.push(
                    Finding::error(code::CARP_KEY, section.place(key), message)
                        .label("a key of VRRP")
                        .help(help),
                );
            }
        }
        return;
    }
    for (key, instead) in OWN {
        if section.value(key).is_some() {
            let message = format!("`{key}` is a key of CARP");
            let help = match instead {
                Some(key) => {
                    format!("VRRP calls it `{key}`; or speak CARP with `protocol = \"carp\"`")
                }
                None => "remove it, or speak CARP with `protocol = \"carp\"`".to_owned(),
            };
            findings.push(
                Finding::error(code::CARP_KEY, section.place(key), message)
                    .label("not spoken by this router")
                    .help(help),
            );
        }
    }
}

/// Reads `advbase`.
pub(crate) fn advbase(section: &Section<'_>, findings: &mut Vec<Finding>) -> Field<Interval> {
    section.integer("advbase", 1, findings).and_then(|given| {
        let interval = u8::try_from(given.value).ok().and_then(Interval::from_secs);
        if interval.is_none() {
            let message = format!("`advbase` cannot be {}", given.value);
            findings.push(
                Finding::error(code::CARP_NUMBER, given.span.clone(), message)
                    .label("expected 1 to 255")
                    .help("it is the time between two advertisements, in whole seconds, and the same in the whole group"),
            );
        }
        interval
    })
}

/// Reads what only CARP has; `None` when something is wrong with it.
pub(crate) fn read(section: &Section<'_>, findings: &mut Vec<Finding>) -> Option<CarpPlan> {
    let advskew = section.integer("advskew", 100, findings).and_then(|given| {
        let advskew = u8::try_from(given.value).ok().filter(|skew| *skew < 255);
        if advskew.is_none() {
            let message = format!("`advskew` cannot be {}", given.value);
            findings.push(
                Finding::error(code::CARP_NUMBER, given.span.clone(), message)
                    .label("expected 0 to 254")
                    .help(
                        "the router with the lowest one becomes Active; 255 says that one gives up",
                    ),
            );
        }
        advskew
    });
    let profile = choice(
        section,
        "carp-profile",
        [Profile::Any, Profile::OpenBsd, Profile::FreeBsd],
        Profile::name,
        "use \"any\" (the default), which is safe with all others, \"openbsd\" or \"freebsd\"",
        findings,
    );
    let link_local = choice(
        section,
        "carp-link-local",
        [LinkLocal::LeftOut, LinkLocal::Included],
        LinkLocal::name,
        "use \"left-out\" (the default), as OpenBSD, or \"included\", as FreeBSD and NetBSD with a link-local address in the group",
        findings,
    );
    let sealing = choice(
        section,
        "carp-seal",
        [Sealing::Off, Sealing::Prefer, Sealing::Require],
        Sealing::name,
        "use \"off\" (the default), \"require\", if all members are of this program, or \"prefer\" until all are",
        findings,
    );
    let grace = length(section, "carp-grace", 0, DAY, findings);
    let window = length(section, "carp-seal-window", 1, HOUR, findings);
    let off = sealing.or(Sealing::Off) == Some(Sealing::Off);
    if let Some(window) = window.given().filter(|_| off) {
        findings.push(
            Finding::warning(
                code::CARP_SEAL,
                window.span.clone(),
                "`carp-seal-window` without `carp-seal`",
            )
            .label("nothing is sealed")
            .help("remove it, or write `carp-seal = \"require\"`"),
        );
    }
    let passphrase = passphrase(section, findings);
    Some(CarpPlan {
        profile: profile.or(Profile::Any)?,
        link_local: link_local.or(LinkLocal::LeftOut)?,
        grace: grace.or(GRACE)?,
        sealing: sealing.or(Sealing::Off)?,
        window: window.or(WINDOW)?,
        ..CarpPlan::new(advskew.or(0)?, passphrase?)
    })
}

/// One of a few words.
fn choice<T: Copy, const N: usize>(
    section: &Section<'_>,
    key: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
    help: &str,
    findings: &mut Vec<Finding>,
) -> Field<T> {
    let example = all.first().map_or("", |first| name(*first));
    section.string(key, example, findings).and_then(|given| {
        let found = all.iter().find(|it| name(**it) == given.value);
        if found.is_none() {
            let message = format!("`{key}` cannot be \"{}\"", excerpt(given.value));
            findings.push(
                Finding::error(code::CHOICE, given.span.clone(), message)
                    .label("not one of its words")
                    .help(help),
            );
        }
        found.copied()
    })
}

/// A duration in whole seconds, within these.
fn length(
    section: &Section<'_>,
    key: &str,
    least: u64,
    most: u64,
    findings: &mut Vec<Finding>,
) -> Field<Duration> {
    timing::duration(section, key, "60s", findings).and_then(|given| {
        let (duration, text) = given.value;
        let whole = duration.subsec_nanos() == 0;
        let fits = whole && (least..=most).contains(&duration.as_secs());
        if !fits {
            let message = format!("`{key}` cannot be \"{}\"", excerpt(text));
            findings.push(
                Finding::error(code::CARP_NUMBER, given.span.clone(), message)
                    .label(format!("expected \"{least}s\" to \"{most}s\""))
                    .help("in whole seconds"),
            );
        }
        fits.then_some(duration)
    })
}

/// From the file of configuration or from one of its own. No finding repeats it.
fn passphrase(section: &Section<'_>, findings: &mut Vec<Finding>) -> Option<Passphrase> {
    let inline = section.string("passphrase", "...", findings);
    let file = section.string("passphrase-file", "/etc/vrrpd/carp.key", findings);
    if let (Some(_), Some(file)) = (
        section.value("passphrase"),
        section.value("passphrase-file"),
    ) {
        findings.push(
            Finding::error(
                code::PASSPHRASE,
                file.span(),
                "both `passphrase` and `passphrase-file`",
            )
            .label("which of them?")
            .related(section.place("passphrase"), "the other one")
            .help("remove one of the two"),
        );
        return None;
    }
    match (inline, file) {
        (Field::Given(given), _) => usable(&given, given.value.as_bytes(), findings),
        (Field::Absent, Field::Given(given)) => {
            let text = from_file(&given, findings)?;
            usable(&given, &text, findings)
        }
        (Field::Absent | Field::Refused, _) => None,
    }
}

fn usable(given: &Given<&str>, text: &[u8], findings: &mut Vec<Finding>) -> Option<Passphrase> {
    let error = match Passphrase::new(text) {
        Ok(passphrase) => return Some(passphrase),
        Err(error) => error,
    };
    let help = match error {
        PassphraseError::Empty => {
            "whoever hears one advertisement of a group without a passphrase may send any; write 1 to 19 bytes"
        }
        PassphraseError::TooLong(_) => {
            "to agree with a BSD that has the longer one, write the first 19 bytes; UCarp refuses a longer one, too"
        }
        PassphraseError::Zero => "write a passphrase without \\u0000",
    };
    findings.push(
        Finding::error(code::PASSPHRASE, given.span.clone(), error.to_string())
            .label("1 to 19 bytes")
            .help(help),
    );
    None
}

/// The content of a file, without the end of its line.
fn from_file(given: &Given<&str>, findings: &mut Vec<Finding>) -> Option<Vec<u8>> {
    let path = Path::new(given.value);
    let shown = excerpt(given.value);
    let refused = |message: String, help: &str| {
        Finding::error(code::PASSPHRASE, given.span.clone(), message)
            .label("no passphrase")
            .help(help)
    };
    if !path.is_absolute() {
        findings.push(refused(
            format!("\"{shown}\" is not an absolute path"),
            "write it from the root on, such as \"/etc/vrrpd/carp.key\"",
        ));
        return None;
    }
    // A file that is not a plain one might never end, or wait for somebody.
    let found = fs::metadata(path).and_then(|facts| {
        if facts.is_file() && facts.len() <= LONGEST_FILE {
            let mut text = Vec::new();
            fs::File::open(path)?
                .take(LONGEST_FILE)
                .read_to_end(&mut text)?;
            Ok(Some((text, facts.permissions().mode())))
        } else {
            Ok(None)
        }
    });
    let (mut text, mode) = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            findings.push(refused(
                format!("\"{shown}\" is not a file with a passphrase"),
                "name a plain file whose one line is the passphrase",
            ));
            return None;
        }
        Err(error) => {
            findings.push(refused(
                format!("cannot read the passphrase from \"{shown}\": {error}"),
                "the file must be there, and readable for whoever reads this configuration",
            ));
            return None;
        }
    };
    if mode & 0o004 != 0 {
        let message = format!("everybody on this machine can read \"{shown}\"");
        findings.push(
            Finding::warning(code::PASSPHRASE_OPEN, given.span.clone(), message)
                .label("the passphrase is in it")
                .help(format!("chmod 600 {shown}")),
        );
    }
    for end in [b'\n', b'\r'] {
        text.pop_if(|last| *last == end);
    }
    Some(text)
}
