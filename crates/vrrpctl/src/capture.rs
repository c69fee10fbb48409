//! Advertisements on the wire as they pass, and what the routers here make of each. Sends nothing.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pcap_parser::Linktype;
use serde_json::Value;
use vrrp_config::load;
use vrrp_proto::Plan;

use crate::client::Client;
use crate::decode::{self, Tally};
use crate::ear::{self, Ear, LONGEST};
use crate::failure::Failure;
use crate::frame;
use crate::interrupt::Interrupt;
use crate::json;
use crate::page::{Look, Page, Tone};
use crate::pcapng::Writer;
use crate::plain;
use crate::ports::{self, Port};
use crate::status;
use crate::verdict::{judge_alone, judge_at};

/// What is wanted.
pub(crate) struct Wanted<'a> {
    /// Interfaces; those of the daemon's routers if none is named.
    pub(crate) interfaces: &'a [String],
    /// Ends after this many advertisements.
    pub(crate) count: Option<u64>,
    /// Where to write them.
    pub(crate) write: Option<&'a Path>,
    /// Ends after this time.
    pub(crate) span: Option<Duration>,
    /// The routers that judge; the running daemon's if there is no file.
    pub(crate) config: Option<&'a Path>,
    /// Whether the hardware decides what to leave aside.
    pub(crate) modest: bool,
}

/// `vrrpctl capture`.
pub(crate) fn run(client: &Client, page: &mut Page, wanted: &Wanted<'_>) -> Result<(), Failure> {
    let report = status::fetch(client).ok().map(|(report, _)| report);
    let plan = match wanted.config {
        Some(file) => Some(load(file).map_err(|error| Failure::from(&error))?),
        // Without the right to read it, packets are judged by themselves.
        None => report
            .as_ref()
            .and_then(|report| load(Path::new(&report.daemon.config)).ok()),
    };
    let plan = plan.map(|loaded| loaded.config.plan).unwrap_or_default();
    let ports = choose(wanted.interfaces, &plan)?;
    let interrupt = Interrupt::catch().map_err(|error| system("catch signals", &error))?;
    let mut ears = Vec::new();
    for port in &ports {
        if !port.up {
            note(&format!(
                "{} is down: nothing passes until it is up",
                port.name
            ));
        }
        let ear = Ear::open(&port.link, !wanted.modest);
        ears.push(ear.map_err(|error| deaf(&port.name, &error))?);
    }
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let mut file = wanted
        .write
        .map(|path| Copy::begin(path, &names))
        .transpose()?;
    let how = if wanted.modest { "" } else { ", promiscuous" };
    note(&format!("listening on {}{how}", names.join(", ")));
    let end = wanted.span.map(|span| Instant::now() + span);
    let mut tally = Tally::default();
    let mut told = 0;
    'listening: loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        if ear::wait(&ears, interrupt.as_fd(), left).map_err(|error| system("wait", &error))? {
            break;
        }
        for (index, ear) in ears.iter_mut().enumerate() {
            let interface = ear.interface.clone();
            loop {
                let passed = match ear.hear() {
                    Ok(Some(passed)) => passed,
                    Ok(None) => break,
                    Err(error) => {
                        note(&format!("{interface}: {error}"));
                        break;
                    }
                };
                let Some(arrived) = frame::open(Linktype::ETHERNET, passed.bytes) else {
                    continue;
                };
                let (router, verdict) = match judge_at(&arrived, &plan, &interface) {
                    Some((router, verdict)) => (Some(router.name.as_str()), verdict),
                    None => (None, judge_alone(&arrived)),
                };
                tally.count(&verdict);
                if let Some(file) = &mut file {
                    file.add(index, &passed)?;
                }
                let text = if page.look.json {
                    let mut document = decode::document(Some(passed.time), &arrived, &verdict);
                    annotate(&mut document, &interface, passed.outgoing, router);
                    json::line(&document)
                } else {
                    let (tone, said) = decode::phrase(&arrived, &verdict);
                    let what = decode::content(&arrived, &verdict);
                    let envelope = &arrived.envelope;
                    let heard = [
                        decode::clock(Some(passed.time), &page.look),
                        interface.clone(),
                        format!("{} > {}", envelope.source, envelope.destination),
                        what,
                        verdict_of(&page.look, (tone, &said), passed.outgoing, router, &plan),
                    ];
                    format!("{}\n", heard.join("  "))
                };
                page.text(&text)?;
                told += 1;
                if wanted.count.is_some_and(|count| told >= count) {
                    break 'listening;
                }
            }
        }
    }
    let plural = if told == 1 { "" } else { "s" };
    note(&format!("{told} advertisement{plural}: {}", tally.parts()));
    if tally.refused > 0 {
        return Err(Failure::Wrong(1));
    }
    Ok(())
}

/// Whose verdict it is.
fn verdict_of(
    look: &Look,
    (tone, said): (Tone, &str),
    outgoing: bool,
    router: Option<&str>,
    plan: &Plan,
) -> String {
    let sent = if outgoing { "sent, " } else { "" };
    let said = look.paint(tone, said);
    match router {
        Some(router) => format!("{}: {sent}{said}", plain::text(router)),
        None if plan.routers.is_empty() => format!("{sent}{said}"),
        None => format!("{sent}{said}, of no router here"),
    }
}

fn annotate(document: &mut Value, interface: &str, outgoing: bool, router: Option<&str>) {
    if let Value::Object(fields) = document {
        let direction = if outgoing { "out" } else { "in" };
        fields.insert("interface".to_owned(), interface.into());
        fields.insert("direction".to_owned(), direction.into());
        fields.insert("router".to_owned(), router.into());
    }
}

/// Those that were named, or those of the routers, or all that can be listened on.
fn choose(named: &[String], plan: &Plan) -> Result<Vec<Port>, Failure> {
    let there = ports::all();
    let known = || {
        let names: Vec<&str> = there.iter().map(|port| port.name.as_str()).collect();
        names.join(", ")
    };
    let mut chosen: Vec<Port> = Vec::new();
    for name in named {
        let port = there.iter().find(|port| port.name == *name);
        let port = port.ok_or_else(|| {
            Failure::File(format!(
                "there is no interface {name:?}; there is {}",
                known()
            ))
        })?;
        if !port.ethernet {
            return Err(Failure::File(format!("{name} has no Ethernet frames")));
        }
        if chosen.iter().all(|other| other.name != port.name) {
            chosen.push(port.clone());
        }
    }
    if chosen.is_empty() {
        let ours = |port: &&Port| plan.routers.iter().any(|it| it.interface == port.name);
        chosen = there.iter().filter(ours).cloned().collect();
    }
    if chosen.is_empty() {
        chosen = there.into_iter().filter(Port::is_ordinary).collect();
    }
    if chosen.is_empty() {
        return Err(Failure::File(
            "there is no Ethernet interface that is up".to_owned(),
        ));
    }
    Ok(chosen)
}

/// Why an interface cannot be listened on.
pub(crate) fn deaf(interface: &str, error: &io::Error) -> Failure {
    let help = if error.kind() == io::ErrorKind::PermissionDenied {
        ": it takes root, or CAP_NET_RAW"
    } else {
        ""
    };
    Failure::System(format!("cannot listen on {interface}: {error}{help}"))
}

fn system(what: &str, error: &io::Error) -> Failure {
    Failure::System(format!("cannot {what}: {error}"))
}

/// Beside the packets, which are for a pipe.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", plain::text(text));
}

/// The file that is written.
struct Copy {
    path: PathBuf,
    writer: Writer<File>,
}

impl Copy {
    fn begin(path: &Path, interfaces: &[&str]) -> Result<Self, Failure> {
        let longest = u32::try_from(LONGEST).unwrap_or(0);
        let begun = File::create(path)
            .and_then(|file| Writer::begin(file, interfaces.iter().copied(), longest));
        match begun {
            Ok(writer) => Ok(Self {
                path: path.to_owned(),
                writer,
            }),
            Err(error) => Err(unwritable(path, &error)),
        }
    }

    fn add(&mut self, interface: usize, passed: &ear::Passed<'_>) -> Result<(), Failure> {
        self.writer
            .frame(interface, passed.time, passed.bytes, passed.length)
            .map_err(|error| unwritable(&self.path, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::System(format!("cannot write {}: {error}", path.display()))
}
