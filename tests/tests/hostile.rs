//! Two hundred hostile and slow clients of the control sockets: the engine does not notice, and others are answered.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;
use vrrp_lab::capture::Capture;
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::pair::HIGHER;
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::{Orders, ours};
use vrrp_lab::settings::file;
use vrrp_lab::topology::Lan;

const NAME: &str = "lab";
const HOSTILE: usize = 200;
const INTERVAL: Duration = ms(100);

/// How long each of the four spells lasts.
fn spell() -> Duration {
    let set = std::env::var("LAB_HOSTILE_SECONDS").ok();
    Duration::from_secs(set.and_then(|text| text.parse().ok()).unwrap_or(4))
}

/// What one of them does to the daemon, again and again.
fn misbehave(kind: usize, socket: &Path, stop: &AtomicBool, cut: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = UnixStream::connect(socket) else {
            sleep(ms(5));
            continue;
        };
        stream
            .set_read_timeout(Some(ms(100)))
            .expect("a socket takes a timeout");
        stream
            .set_write_timeout(Some(ms(100)))
            .expect("a socket takes a timeout");
        // The daemon may hang up on any of them, and that is what they are for.
        let _ = match kind % 8 {
            // It sits.
            0 => Ok(()),
            1 => stream.write_all(b"{\"request\":\"sta"),
            2 => stream.write_all(&[0xff, 0, b'\n', 0x1b, b'[', b'{', b'{', b'\n']),
            // More than a request may have.
            3 => stream.write_all(&vec![b'['; 64 * 1024]),
            // It never reads.
            4 | 5 => {
                let _ = stream.write_all(b"{\"request\":\"events\",\"follow\":true}\n");
                let end = Instant::now() + ms(3_000);
                while !stop.load(Ordering::Relaxed) && Instant::now() < end {
                    sleep(ms(50));
                }
                continue;
            }
            // Gone at once, and back.
            6 => {
                sleep(ms(2));
                continue;
            }
            // A byte now and then.
            _ => b"{\"request\":\"status\"}\n".iter().try_for_each(|byte| {
                sleep(ms(30));
                stream.write_all(&[*byte])
            }),
        };
        // Until it is cut off.
        let mut buffer = [0; 4096];
        while !stop.load(Ordering::Relaxed) {
            match stream.read(&mut buffer) {
                Ok(0) => {
                    cut.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(error)
                    if !matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    cut.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

struct Horde {
    stop: Arc<AtomicBool>,
    cut: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Horde {
    fn unleash(daemon: &Daemon) -> Self {
        let sockets: [PathBuf; 2] =
            ["vrrpd.sock", "vrrpd-ro.sock"].map(|name| daemon.runtime_dir().join(name));
        let (stop, cut) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let threads = (0..HOSTILE).map(|number| {
            let (stop, cut) = (Arc::clone(&stop), Arc::clone(&cut));
            let socket = sockets[number / 8 % 2].clone();
            spawn(move || misbehave(number, &socket, &stop, &cut))
        });
        Self {
            threads: threads.collect(),
            stop,
            cut,
        }
    }

    /// How often one of them was cut off.
    fn call_off(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("none of them panics");
        }
        self.cut.load(Ordering::Relaxed)
    }
}

/// What a spell did to the engine, and to a client that behaves.
#[derive(Debug)]
struct Spell {
    /// The longest time between two advertisements.
    gap: Duration,
    advertisements: usize,
    /// Timers by how late they were, in the classes of the status.
    lateness: Vec<(Option<u64>, u64)>,
    beyond: u64,
    /// The slowest answer.
    answer: Duration,
    answers: u32,
}

fn lateness(status: &Value) -> Vec<(Option<u64>, u64)> {
    let classes = status["daemon"]["lateness"]["classes"].as_array();
    let classes = classes.expect("a histogram").iter();
    classes
        .map(|class| {
            let count = class["count"].as_u64().expect("a number");
            (class["upto-us"].as_u64(), count)
        })
        .collect()
}

fn beyond(status: &Value) -> u64 {
    let beyond = &status["daemon"]["lateness"]["beyond-interval"];
    beyond.as_u64().expect("a number")
}

fn watch(daemon: &Daemon, port: &Capture) -> Spell {
    let (from, before) = (Stamp::now(), daemon.status());
    let (mut answer, mut answers) = (Duration::ZERO, 0);
    let end = Instant::now() + spell();
    while Instant::now() < end {
        let asked = Instant::now();
        let status = daemon.ctl(&["status"]);
        assert!(
            status.status.success(),
            "a client that behaves is turned away: {status:?}"
        );
        answer = answer.max(asked.elapsed());
        answers += 1;
        sleep(ms(100));
    }
    let after = daemon.status();
    let sent: Vec<Stamp> = port.adverts(from).iter().map(|advert| advert.at).collect();
    let gaps = sent.windows(2).map(|pair| pair[1].since(pair[0]));
    let earlier = lateness(&before);
    Spell {
        gap: gaps.max().unwrap_or_default(),
        advertisements: sent.len(),
        lateness: lateness(&after)
            .into_iter()
            .zip(earlier)
            .map(|((upto, now), (_, then))| (upto, now - then))
            .collect(),
        beyond: beyond(&after) - beyond(&before),
        answer,
        answers,
    }
}

fn show(round: u32, name: &str, spell: &Spell) {
    let micros = |upto: &Option<u64>| upto.map_or("more".to_owned(), |us| format!("{us} us"));
    let classes = spell.lateness.iter().filter(|(_, count)| *count > 0);
    let classes: Vec<String> = classes
        .map(|(upto, count)| format!("{count} up to {}", micros(upto)))
        .collect();
    println!(
        "round {round}, {name}: {} advertisements, longest gap {:.1} ms; timers late: {}; {} answers, slowest {:.1} ms",
        spell.advertisements,
        spell.gap.as_secs_f64() * 1e3,
        classes.join(", "),
        spell.answers,
        spell.answer.as_secs_f64() * 1e3
    );
}

#[test]
fn two_hundred_of_them_change_nothing() {
    let profile = Profile::V3Ipv4;
    let lan = Lan::new(2);
    let port = Capture::start(&lan.switch, "lan1");
    let router = ours(Orders::new(profile, HIGHER, INTERVAL), "rfc9568");
    let daemon = Daemon::start(&lan.routers[0], &file(&[router]));
    daemon.wait_state(NAME, "active", ms(5_000));
    sleep(ms(1_000));
    let worker = daemon.worker();
    for round in 1..=2 {
        let quiet = watch(&daemon, &port);
        show(round, "quiet", &quiet);
        let horde = Horde::unleash(&daemon);
        sleep(ms(500));
        let hostile = watch(&daemon, &port);
        let cut = horde.call_off();
        show(round, "hostile", &hostile);
        assert!(cut > 0, "nobody was cut off");
        assert_eq!(hostile.beyond, 0, "{hostile:?}");
        assert!(
            hostile.gap < INTERVAL * 3 / 2,
            "an advertisement is missing: {hostile:?}"
        );
        // Nobody is turned away, whatever the others do.
        assert!(hostile.answer < ms(2_000), "{hostile:?}");
    }
    assert_eq!(daemon.worker(), worker, "the worker survived them");
    assert_eq!(daemon.state(NAME), "active");
    assert_eq!(daemon.counter(NAME, "master-transitions"), 1);
}
