//! A NAT gateway of two routers with the real conntrackd between them: a transfer through it outlives whoever is Active.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::netns::Namespace;
use vrrp_lab::process::Process;
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::{Lan, cable};

const NAME: &str = "lan";
const PATIENCE: Duration = ms(8000);

/// A piece of the transfer, and how many there are, with this pause after each: four seconds in all.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 2000;
const PAUSE: Duration = ms(2);

/// Connections are translated to the public address, which follows. What belongs to none that is known is dropped, and counted: a
/// router that answers for itself would reset it.
const RULES: &str = r#"table ip gateway {
    chain out { type nat hook postrouting priority srcnat; oifname "eth1" ip saddr 192.0.2.0/24 snat to 198.51.100.254; }
    chain through { type filter hook forward priority filter; ct state invalid counter drop; }
    chain here { type filter hook input priority filter; iifname "eth1" ip daddr 198.51.100.254 ct state { invalid, new } counter drop; }
}"#;

/// One half of the gateway.
struct Half {
    daemon: Daemon,
    _conntrackd: Process,
}

impl Half {
    fn start(space: &Namespace, scratch: &Scratch, number: u8, priority: u8) -> Self {
        space.sysctl("netfilter/nf_conntrack_tcp_loose=0 netfilter/nf_conntrack_tcp_be_liberal=1");
        let rules = scratch.write(&format!("{number}.nft"), RULES);
        space.sh(&format!("nft -f {}", rules.display()));
        let folder = scratch.path().display();
        let other = 3 - number;
        let config = format!(
            "Sync {{\n Mode FTFW {{\n }}\n UDP {{\n IPv4_address 10.99.0.{number}\n IPv4_Destination_Address 10.99.0.{other}\n Port 3780\n Interface eth2\n Checksum on\n }}\n}}\nGeneral {{\n HashSize 1024\n HashLimit 8192\n LogFile {folder}/{number}.log\n Syslog off\n LockFile {folder}/{number}.lock\n UNIX {{\n Path {folder}/{number}.ctl\n }}\n NetlinkBufferSize 2097152\n NetlinkBufferSizeMaxGrowth 8388608\n Filter From Kernelspace {{\n Protocol Accept {{\n TCP\n }}\n }}\n}}\n"
        );
        let config = scratch.write(&format!("{number}.conf"), &config);
        let arguments = ["-C".to_owned(), config.display().to_string()];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let log = scratch.path().join(format!("{number}.out"));
        let conntrackd = Process::start(space, Path::new("/usr/sbin/conntrackd"), &arguments, &log);
        let asked = format!("conntrackd -C {} -s", config.display());
        let answers = wait_for(PATIENCE, || space.try_sh(&asked).then_some(()));
        assert!(answers.is_some(), "conntrackd does not run");

        // In a folder that only root may change, as it would be installed.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/hooks/conntrackd");
        let script = fs::read_to_string(script).expect("the hook");
        let hook = scratch.write("conntrackd", &script);
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
        let router = Router::new(NAME, Profile::V3Ipv4)
            .set("priority", priority)
            .text("advertise-interval", "100ms")
            .set(
                "unadvertised-addresses",
                r#"[{ address = "198.51.100.254/24", interface = "eth1" }]"#,
            );
        let text = format!(
            "{}[hook.conntrackd]\non = [\"pre-active\", \"active\", \"backup\", \"fault\", \"stop\"]\npre-active-timeout = \"2s\"\ncommand = [\"{}\", \"-C\", \"{}\"]\narguments = \"keepalived\"\n",
            file(&[router]),
            hook.display(),
            config.display()
        );
        Self {
            daemon: Daemon::start(space, &text),
            _conntrackd: conntrackd,
        }
    }
}

/// What stands at this position of the transfer.
fn byte(position: usize) -> u8 {
    let mixed = position.wrapping_mul(2_654_435_761) >> 7;
    u8::try_from(mixed & 0xff).unwrap_or(0)
}

/// Sends everything to whoever connects; nothing is lost by waiting for a client that is slow to hear.
fn serve(listener: &TcpListener) {
    let (mut stream, from) = listener.accept().expect("a client");
    assert_eq!(from.ip().to_string(), "198.51.100.254", "translated");
    stream.set_nodelay(true).expect("an option");
    for piece in 0..PIECES {
        let start = piece * PIECE;
        let bytes: Vec<u8> = (start..start + PIECE).map(byte).collect();
        stream.write_all(&bytes).expect("the connection lives");
        thread::sleep(PAUSE);
    }
}

/// Reads everything; the longest time in which nothing came.
fn fetch(server: SocketAddr) -> Duration {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).expect("a connection");
    stream
        .set_read_timeout(Some(ms(20_000)))
        .expect("an option");
    let mut bytes = vec![0; PIECE];
    let (mut position, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
    loop {
        let count = stream.read(&mut bytes).expect("the connection lives");
        if count == 0 {
            assert_eq!(position, PIECE * PIECES, "all of it");
            return longest;
        }
        longest = longest.max(last.elapsed());
        last = Instant::now();
        for (offset, found) in bytes[..count].iter().enumerate() {
            assert_eq!(*found, byte(position + offset), "at {}", position + offset);
        }
        position += count;
    }
}

/// A transfer, in the middle of which the Active goes away; the longest stall of it.
fn through(what: &str, misfortune: impl FnOnce(&Lan, &mut Half)) {
    let lan = Lan::new(2);
    let scratch = Scratch::new("nat");
    let (one, two) = (&lan.routers[0], &lan.routers[1]);
    cable((one, "eth2"), (two, "eth2"));
    for (number, space) in [(1, one), (2, two)] {
        space.ip(&format!(
            "addr add 10.99.0.{number}/24 dev eth2\nlink set eth2 up"
        ));
    }
    let mut first = Half::start(one, &scratch, 1, 200);
    first.daemon.wait_state(NAME, "active", PATIENCE);
    let second = Half::start(two, &scratch, 2, 100);
    second.daemon.wait_state(NAME, "backup", PATIENCE);
    thread::sleep(ms(500));

    let server: SocketAddr = "198.51.100.1:7000".parse().expect("an address");
    let listener = lan
        .upstream
        .enter(|| TcpListener::bind(server).expect("a port"));
    let stall = thread::scope(|scope| {
        scope.spawn(|| serve(&listener));
        let client = scope.spawn(|| lan.client.enter(|| fetch(server)));
        thread::sleep(ms(1500));
        misfortune(&lan, &mut first);
        let stall = client.join();
        stall.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert_eq!(second.daemon.state(NAME), "active");
    // The connections were there before the addresses.
    let counted = two.sh("nft list table ip gateway");
    let strangers: Vec<&str> = counted
        .split("packets ")
        .skip(1)
        .filter_map(|rest| rest.split(' ').next())
        .collect();
    assert_eq!(strangers, ["0", "0"], "{counted}");
    let events = second.daemon.ctl(&["events"]);
    let events = String::from_utf8_lossy(&events.stdout).into_owned();
    let waited = events
        .lines()
        .find(|line| line.contains("hook conntrackd: done after"));
    let waited = waited.unwrap_or_else(|| panic!("{events}"));
    println!("{}", waited.trim());
    println!(
        "{} MiB through NAT, intact; {what}, longest stall {:.0} ms",
        (PIECE * PIECES) >> 20,
        stall.as_secs_f64() * 1e3
    );
    // Of the order of the down interval, 0.36 s, and what TCP waits before it tries again.
    assert!(stall < ms(10_000), "{stall:?}");
}

#[test]
fn a_transfer_survives_sigkill_of_the_active() {
    through("SIGKILL of daemon and keeper", |_, first| {
        first.daemon.kill();
    });
}

#[test]
fn a_transfer_survives_loss_of_the_link() {
    through("LAN cable of the Active unplugged", |lan, _| lan.unplug(0));
}
