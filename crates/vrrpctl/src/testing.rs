//! A fixed report and history for the tests of this program.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use vrrp_control::{
    ActiveRouter, ConfigurationStatus, Daemon, EventRecord, GlobalCounters, Lateness,
    PriorityStatus, Protection, RouterCounters, RouterReport, StatusReport,
};

use crate::moment::Calendar;
use crate::page::Look;

/// A page in Central Europe on an afternoon in November.
pub(crate) fn look(width: Option<usize>) -> Look {
    let zone = TimeZone::posix("CET-1").unwrap();
    let calendar = Calendar {
        now: "2026-11-20T13:02:31Z".parse().unwrap(),
        zone,
    };
    Look {
        json: false,
        brief: false,
        color: false,
        ascii: false,
        width,
        calendar,
    }
}

fn router(name: &str, interface: &str, vrid: u8, state: &str, addresses: &[&str]) -> RouterReport {
    RouterReport {
        name: name.into(),
        interface: interface.into(),
        vrid,
        family: if addresses[0].contains(':') {
            "ipv6"
        } else {
            "ipv4"
        }
        .into(),
        protocol: "vrrpv3".into(),
        state: state.into(),
        rfc8347_state: if state == "active" { "master" } else { state }.into(),
        faults: Vec::new(),
        priority: PriorityStatus {
            configured: 200,
            effective: 200,
        },
        active: None,
        since: "2026-11-08T09:00:00.204561Z".into(),
        addresses: addresses.iter().map(|&address| address.into()).collect(),
        unadvertised_addresses: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        lacks: Vec::new(),
        virtual_mac: Some(format!("00:00:5e:00:01:{vrid:02x}")),
        data_plane: Some("macvlan".into()),
        protection: Some(Protection {
            means: "ebpf".into(),
            why: None,
        }),
        source_address: Some("10.20.0.2".into()),
        advertise_interval_ms: 1000,
        active_advertise_interval_ms: 1000,
        skew_time: 218_750,
        active_down_interval: 3_218_750,
        group: None,
        waits_for_ready_ms: None,
        waits_for_trackers: Vec::new(),
        waits_for_word: false,
        waits_for_hooks: None,
        carp: None,
        preempt: true,
        accept_mode: true,
        checksum: None,
        peers: Vec::new(),
        kernel_in_step: true,
        orders: Vec::new(),
        tracking: Vec::new(),
        statistics: RouterCounters {
            advertisement_sent: 1_036_800,
            master_transitions: 1,
            ..RouterCounters::default()
        },
    }
}

/// Four routers: an Active of each family, a Backup that refused packets, and one without carrier.
pub(crate) fn report() -> StatusReport {
    let lan4 = RouterReport {
        checksum: Some("rfc9568".into()),
        ..router(
            "lan4",
            "eth1.20",
            20,
            "active",
            &["10.20.0.1/24", "10.20.1.1/24"],
        )
    };
    let lan6 = router(
        "lan6",
        "eth1.20",
        20,
        "active",
        &["fe80::20/64", "2001:db8:20::1/64"],
    );
    let voice6 = RouterReport {
        active: Some(ActiveRouter {
            address: "fe80::a8bb:ccff:fedd:1122".into(),
            priority: 150,
            carp: None,
        }),
        priority: PriorityStatus {
            configured: 110,
            effective: 110,
        },
        since: "2026-11-20T12:59:19.001000Z".into(),
        statistics: RouterCounters {
            advertisement_rcvd: 192,
            address_list_errors: 192,
            auth_failures: 3,
            ..RouterCounters::default()
        },
        kernel_in_step: false,
        virtual_mac: None,
        data_plane: None,
        protection: None,
        ..router("voice6", "eth1.30", 30, "backup", &["fe80::30/64"])
    };
    let guest4 = RouterReport {
        faults: vec![
            "interface eth1.40 has no carrier".into(),
            "waiting for an IPv4 address on eth1.40".into(),
        ],
        since: "2026-11-20T13:01:50Z".into(),
        source_address: None,
        protection: Some(Protection {
            means: "nftables".into(),
            why: Some("not permitted to load the gate: no CAP_BPF".into()),
        }),
        statistics: RouterCounters::default(),
        ..router("guest4", "eth1.40", 40, "initialize", &["10.40.0.1/24"])
    };
    StatusReport {
        version: 1,
        daemon: Daemon {
            version: "0.1.0".into(),
            pid: 4711,
            worker_pid: 4712,
            restarts: 0,
            last_restart: None,
            upgrade: None,
            since: "2026-10-10T10:00:00Z".into(),
            config: "/etc/vrrpd/vrrpd.toml".into(),
            config_loaded: "2026-11-18T10:00:00Z".into(),
            reload_error: Some("/etc/vrrpd/vrrpd.toml:7:12: priority is 1 to 255, not 300".into()),
            configuration: ConfigurationStatus {
                number: 7,
                ..ConfigurationStatus::default()
            },
            state_dir: "/var/lib/vrrpd".into(),
            state_problem: None,
            scheduling: "fifo".into(),
            memory_locked: true,
            unprotected: BTreeMap::new(),
            lateness: Lateness::default(),
        },
        routers: vec![lan4, lan6, voice6, guest4],
        statistics: GlobalCounters::default(),
    }
}

/// What happened to them.
pub(crate) fn history() -> Vec<EventRecord> {
    let event = |sequence: u64,
                 time: &str,
                 router: Option<&str>,
                 kind: &str,
                 text: &str,
                 to: Option<&str>| EventRecord {
        time: time.into(),
        sequence,
        router: router.map(Into::into),
        kind: kind.to_owned().into(),
        text: text.into(),
        from: to.map(|_| "backup".into()),
        to: to.map(|to| to.to_owned().into()),
        reason: to.map(|_| "no-response".into()),
    };
    vec![
        event(
            1,
            "2026-11-08T08:59:50Z",
            None,
            "start",
            "vrrpd 0.1.0 started with /etc/vrrpd/vrrpd.toml",
            None,
        ),
        event(
            2,
            "2026-11-08T09:00:00.204561Z",
            Some("lan4"),
            "role",
            "backup -> active: the Active fell silent",
            Some("active"),
        ),
        event(
            3,
            "2026-11-20T13:01:50Z",
            Some("guest4"),
            "faults",
            "interface eth1.40 has no carrier",
            None,
        ),
        event(
            4,
            "2026-11-20T13:02:11.204Z",
            None,
            "reload-refused",
            "nothing changed: priority is 1 to 255, not 300",
            None,
        ),
    ]
}
