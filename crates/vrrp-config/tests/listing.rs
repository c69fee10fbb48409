//! What runs, written down, is the same when it is read again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use vrrp_config::{code, listing, parse};
use vrrp_proto::carp::Passphrase;
use vrrp_proto::{AuthenticationKey, Plan};

fn examples() -> Vec<Plan> {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf");
    let mut files: Vec<_> = fs::read_dir(conf.join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(conf.join("vrrpd.toml"));
    let read = |file| parse(&fs::read_to_string(file).unwrap()).unwrap().plan;
    files.into_iter().map(read).collect()
}

/// With everything that is not a default.
const PECULIAR: &str = r#"
[virtual-router."lan.4"]
interface = 'e"\0'
vrid = 7
addresses = ["192.0.2.254/24", "192.0.2.253/32"]
priority = 254
advertise-interval = "30ms"
preempt-delay = "1.5s"
accept-mode = false
data-plane = "ebpf"
announce-refresh = "0s"
checksum = "rfc9568"
checksum-strict = true
unicast-peers = ["192.0.2.2", "192.0.2.3"]
unadvertised-addresses = ["192.0.2.252/24", "2001:db8::1/64", { address = "203.0.113.7/32", interface = "eth1" }]
routes = [
    { to = "default", via = "192.0.2.1", interface = "eth1", table = 200, metric = 7, source = "192.0.2.3", on-link = true },
    { to = "2001:db8::/32", type = "prohibit" },
]
rules = [
    { priority = 7, table = 200 },
    { priority = 8, from = "192.0.2.0/24", to = "198.51.100.0/24", iif = "eth0", oif = "eth1", fwmark = "0x10/0xff", table = 200, suppress-prefix-length = 0 },
    { priority = 9, to = "2001:db8::/32", fwmark = 16, type = "unreachable" },
    { priority = 10, from = "::/0", type = "blackhole" },
]

[virtual-router.old]
interface = "eth0"
vrid = 8
addresses = ["198.51.100.1/24"]
protocol = "vrrpv2"
priority = 200
advertise-interval = "3s"
preempt = false
virtual-mac = false
authentication = { type = "simple-text", key = "pa\"ss" }

[virtual-router.lan6]
interface = "eth0"
vrid = 9
addresses = ["fe80::9/64", "2001:db8::9/64"]
checksum = "auto"
track = { uplink = -40, "b.g.p" = "fault", next = { weight = 10, reverse = true } }

[tracker.uplink]
type = "interface"
interface = "eth1"
carrier = false
up-delay = "5s"
stale-after = "60s"
stale-state = "up"

[tracker."b.g.p"]
type = "route"
prefix = "2001:db8::/32"
table = 100
protocol = "bgp"
next-hop = "fe80::1"

[tracker.next]
type = "neighbour"
address = "198.51.100.1"
interface = "eth1"
fall = 3

[tracker.own]
type = "address"
address = "198.51.100.2"
start-state = "down"
"#;

#[test]
fn a_listing_is_the_plan() {
    let mut plans = examples();
    plans.push(parse(PECULIAR).unwrap().plan);
    for plan in plans {
        for defaults in [true, false] {
            let text = listing(&plan, defaults)
                .replace("<not shown>", "hidden")
                .replace("<the passphrase is not shown>", "hidden");
            let mut expected = plan.clone();
            for router in &mut expected.routers {
                router.authentication = router
                    .authentication
                    .and_then(|_| AuthenticationKey::new(b"hidden"));
                if let Some(carp) = &mut router.carp {
                    carp.passphrase = Passphrase::new(b"hidden").unwrap();
                }
            }
            assert_eq!(parse(&text).unwrap().plan, expected, "{text}");
        }
    }
}

#[test]
fn defaults_stand_there_as_comments() {
    let plan = parse(PECULIAR).unwrap().plan;
    insta::assert_snapshot!("with_defaults", listing(&plan, true));
    insta::assert_snapshot!("without_defaults", listing(&plan, false));
}

#[test]
fn a_secret_is_not_shown_and_a_copy_is_not_run_without_it() {
    let text = listing(&parse(PECULIAR).unwrap().plan, true);
    assert!(!text.contains("pa"), "{text}");
    let findings = parse(&text).unwrap_err();
    assert!(
        findings
            .iter()
            .any(|finding| finding.code == code::AUTHENTICATION_KEY)
    );
}

#[test]
fn a_name_that_the_command_line_has_is_warned_of() {
    let text = PECULIAR.replace("virtual-router.old", "virtual-router.stats");
    let findings = parse(&text).unwrap().findings;
    assert_eq!(
        findings
            .iter()
            .filter(|finding| finding.code == code::NAME_IS_WORD)
            .count(),
        1
    );
}
