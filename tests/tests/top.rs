//! What an operator sees on a real terminal of a real pair: `status` and `top`.
//!
//! With the environment variable `VRRPD_SCREENS` what is seen is written to the file of that name; `scripts/screens` does so
//! for the documentation.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::daemon::{Daemon, binary};
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::screen::Screen;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

/// The usual terminal, and a large one.
const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

const SOON: Duration = ms(6000);

/// Two routers with two virtual routers each, of which the first is Active; one more here whose interface is not there.
struct Operators {
    daemons: [Daemon; 2],
    lan: Lan,
}

impl Operators {
    fn new() -> Self {
        let lan = Lan::new(2);
        let router = |name: &str, profile, priority| {
            Router::new(name, profile)
                .set("priority", priority)
                .text("advertise-interval", "200ms")
        };
        let pair = |first: u8, second: u8| {
            [
                router("lan4", Profile::V3Ipv4, first),
                router("lan6", Profile::V3Ipv6, second),
            ]
        };
        let [lan4, lan6] = pair(200, 100);
        let guest = router("guest4", Profile::V3Ipv4, 100)
            .text("interface", "eth9")
            .set("vrid", 40)
            .list("addresses", &["203.0.113.1/24"]);
        let daemons = [
            Daemon::start(&lan.routers[0], &file(&[lan4, lan6, guest])),
            Daemon::start(&lan.routers[1], &file(&pair(100, 200))),
        ];
        daemons[0].wait_state("lan4", "active", SOON);
        daemons[1].wait_state("lan6", "active", SOON);
        daemons[0].wait_state("lan6", "backup", SOON);
        daemons[1].wait_state("lan4", "backup", SOON);
        Self { daemons, lan }
    }

    /// A shell on the first router, with `vrrpctl` before these words.
    fn screen(&self, (columns, lines): (u16, u16), words: &str, then: &str) -> Screen {
        let command = self.command(words);
        Screen::open(
            columns,
            lines,
            &format!("stty -echo; clear; {command}; {then}"),
        )
    }

    fn command(&self, words: &str) -> String {
        let program = binary("vrrpctl");
        let socket = self.daemons[0].runtime_dir().join("vrrpd.sock");
        format!(
            "{} --utc --socket {} {words}",
            program.display(),
            socket.display()
        )
    }
}

fn is_drawn(text: &str) -> bool {
    text.contains("q quit") && text.contains("ACTIVE")
}

/// No line is longer than the terminal is wide, and what matters is there.
#[test]
fn screens_fit_their_terminals() {
    let operators = Operators::new();
    // So that a peer has been heard for a while.
    std::thread::sleep(ms(2000));
    let mut document = String::from(
        "# Screens\n\nA pair in the laboratory, seen from its first router; `scripts/screens` draws them anew.\n",
    );
    for size @ (columns, lines) in SIZES {
        for command in ["status", "top"] {
            let screen = operators.screen(size, command, "sleep 60");
            let wanted = |text: &str| match command {
                "top" => is_drawn(text),
                _ => text.contains("! guest4"),
            };
            let text = screen.wait(SOON, command, wanted);
            for line in text.lines() {
                assert!(line.chars().count() <= usize::from(columns), "{line}");
            }
            assert!(text.lines().count() <= usize::from(lines), "{text}");
            let row = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
            assert!(
                row(" lan4 ").contains("ACTIVE") && row(" lan4 ").contains("self"),
                "{text}"
            );
            assert!(row(" lan6 ").contains("BACKUP"), "{text}");
            assert!(row("✕ guest4").contains("FAULT"), "{text}");
            assert!(
                text.contains("! guest4: waiting for interface eth9 to appear"),
                "{text}"
            );
            if command == "top" {
                assert!(
                    text.contains("IN A ROW") && text.contains("Last events"),
                    "{text}"
                );
                assert!(screen.is_alternate());
            }
            let shown = text.trim_end();
            document += &format!(
                "\n## `vrrpctl {command}` at {columns}×{lines}\n\n```text\n{shown}\n```\n"
            );
        }
    }
    if let Some(path) = std::env::var_os("VRRPD_SCREENS") {
        fs::write(PathBuf::from(path), document).unwrap();
    }
}

/// Whatever ends it, the terminal is what it was, and the exit code says how it ended.
#[test]
fn the_terminal_is_given_back() {
    let operators = Operators::new();
    let scratch = Scratch::new("stty");
    let settings = |name: &str| fs::read_to_string(scratch.path().join(name)).unwrap_or_default();
    type End = fn(&Screen);
    let ends: [(&str, End); 3] = [
        ("0", |screen| screen.press(&["q"])),
        ("0", |screen| screen.press(&["C-c"])),
        ("143", |screen| {
            let path = format!("/proc/{0}/task/{0}/children", screen.shell());
            let child = fs::read_to_string(path).unwrap();
            let child = child.trim().parse().unwrap();
            vrrp_lab::process::terminate(child);
        }),
    ];
    for (code, end) in ends {
        let then = format!(
            "echo left with $?; stty -a > {0}/after; sleep 60",
            scratch.path().display()
        );
        let before = format!(
            "status > /dev/null; stty -a > {}/before; echo usual; {}",
            scratch.path().display(),
            operators.command("top")
        );
        let screen = operators.screen((80, 24), &before, &then);
        screen.wait(SOON, "top", is_drawn);
        end(&screen);
        let text = screen.wait(SOON, "shell", |text| text.contains("left with"));
        assert!(
            text.contains("usual") && text.contains(&format!("left with {code}")),
            "{text}"
        );
        assert!(!text.contains("q quit"), "{text}");
        assert!(!screen.is_alternate());
        let after = wait_for(SOON, || {
            Some(settings("after")).filter(|text| !text.is_empty())
        });
        assert_eq!(after.unwrap(), settings("before"));
        fs::remove_file(scratch.path().join("after")).unwrap();
    }
}

/// A connection that breaks takes the terminal away. What goes on reading from it would do nothing else for ever.
#[test]
fn it_ends_with_its_terminal() {
    let operators = Operators::new();
    let screen = operators.screen((80, 24), "top", "sleep 60");
    screen.wait(SOON, "top", is_drawn);
    let path = format!("/proc/{0}/task/{0}/children", screen.shell());
    let top = fs::read_to_string(path).unwrap();
    let process = PathBuf::from(format!("/proc/{}", top.trim()));
    assert!(process.exists());
    drop(screen);
    let gone = wait_for(SOON, || (!process.exists()).then_some(()));
    assert!(gone.is_some(), "top outlives its terminal");
}

/// Sizes change, the daemon goes and comes back, and keys do what they say.
#[test]
fn it_follows_what_happens() {
    let mut operators = Operators::new();
    let screen = operators.screen((80, 24), "top", "sleep 60");
    screen.wait(SOON, "top", is_drawn);
    for (columns, lines) in [(200, 50), (40, 10), (80, 24)] {
        screen.resize(columns, lines);
        let fits = |text: &str| {
            let all: Vec<&str> = text.lines().collect();
            all.len() == usize::from(lines)
                && all.last().is_some_and(|line| line.starts_with("? keys"))
        };
        screen.wait(SOON, "screen of another size", fits);
    }

    screen.press(&["/", "l", "a", "n", "6", "Enter"]);
    screen.wait(SOON, "filter", |text| {
        text.contains("lan6") && !text.contains("guest4")
    });
    screen.press(&["Escape"]);
    screen.wait(SOON, "all of them", |text| text.contains("guest4"));
    screen.press(&["Home", "Enter"]);
    screen.wait(SOON, "everything about lan4", |text| {
        text.contains("vrrpctl show lan4") && text.contains("lan4 is ACTIVE")
    });
    screen.press(&["Escape"]);
    screen.press(&["e"]);
    screen.wait(SOON, "explanation", |text| {
        text.contains("vrrpctl explain lan4") && text.contains("lan4 is ACTIVE")
    });
    screen.press(&["Escape"]);

    // A no is a no.
    screen.press(&["f"]);
    screen.wait(SOON, "question", |text| text.contains("hand lan4 over"));
    screen.press(&["n"]);
    screen.wait(SOON, "top", is_drawn);
    assert_eq!(operators.daemons[0].state("lan4"), "active");
    screen.press(&["f"]);
    screen.wait(SOON, "question", |text| text.contains("hand lan4 over"));
    screen.press(&["y"]);
    operators.daemons[1].wait_state("lan4", "active", SOON);
    let said = screen.wait(SOON, "answer", |text| text.contains("192.0.2.12"));
    assert!(said.contains("vrrpctl failover lan4"), "{said}");
    screen.press(&["Escape"]);
    screen.wait(SOON, "Backup", |text| {
        let row = text
            .lines()
            .find(|line| line.contains(" lan4 "))
            .unwrap_or_default();
        row.contains("BACKUP") && row.contains("192.0.2.12")
    });

    operators.daemons[0].kill();
    let gone = screen.wait(SOON, "word of the dead", |text| {
        text.contains("is not answering")
    });
    assert!(
        !gone.contains("ACTIVE") && !gone.contains("BACKUP"),
        "{gone}"
    );
    let Operators { daemons, lan } = &mut operators;
    daemons[0].restart(&lan.routers[0]);
    screen.wait(ms(10_000), "living daemon", is_drawn);
}

/// Where nothing can be drawn it says so; lines can be had everywhere.
#[test]
fn without_a_terminal_there_are_lines() {
    let operators = Operators::new();
    let daemon = &operators.daemons[0];
    let output = daemon.ctl(&["top"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("--plain"),
        "{output:?}"
    );
    let screen = operators.screen((80, 24), "top --plain", "sleep 60");
    let text = screen.wait(SOON, "lines", |text| text.contains("guest4"));
    assert!(
        text.contains("is active") && !screen.is_alternate(),
        "{text}"
    );
}
