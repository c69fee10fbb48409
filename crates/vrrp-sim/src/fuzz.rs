//! What a fuzzer throws bytes at: a function for each target, which panics when something is wrong.
//!
//! The targets in `fuzz/` are one line each, and the tests feed the kept corpora to the same functions.

use core::net::IpAddr;

use vrrp_control::{Answer, EventRecord, Request, decode, encode};
use vrrp_proto::packet::Header;
use vrrp_proto::receive::{Envelope, Expectation, examine};
use vrrp_proto::{Engine, Family, Instant};

use crate::reference::Script;
use crate::reference::machine::group;
use crate::reference::script::{ROUTER_BYTES, real};
use crate::reference::wire::{Packet, check, mend};

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What takes the bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 4] = [
    Target {
        name: "packet",
        run: packet,
    },
    Target {
        name: "engine",
        run: engine,
    },
    Target {
        name: "config",
        run: config,
    },
    Target {
        name: "control",
        run: control,
    },
];

/// Sixteen bytes of router, one of circumstances, then a message: engine and model must agree whether to accept it.
///
/// # Panics
/// If they do not.
pub fn packet(bytes: &[u8]) {
    let Some((router, rest)) = bytes.split_first_chunk::<ROUTER_BYTES>() else {
        return;
    };
    let Some((circumstances, message)) = rest.split_first() else {
        return;
    };
    let (terms, plan) = Script::router(*router);
    let source = real(terms.ipv6, [5, 200, 9, 11][usize::from(circumstances % 4)]);
    let own = real(terms.ipv6, 11);
    let destination = if circumstances & 4 == 0 {
        group(terms.ipv6)
    } else {
        own
    };
    let hop_limit = if circumstances & 0x38 == 0x38 {
        circumstances / 2
    } else {
        255
    };
    let mut message = message.to_vec();
    // Without this a fuzzer never gets past the checksum.
    if circumstances & 0xc0 != 0 {
        mend(
            &mut message,
            &terms,
            source,
            destination,
            circumstances & 0x80 != 0,
        );
    }
    if let Some(header) = Header::new(&message) {
        for family in [Family::Ipv4, Family::Ipv6] {
            assert!(header.addresses(family).count() <= header.count());
        }
    }
    let envelope = Envelope {
        source,
        destination,
        hop_limit,
    };
    let plan = plan.routers.first();
    let heard = examine(&envelope, &message, |vrid| {
        plan.filter(|plan| plan.vrid == vrid)
            .map(|plan| Expectation {
                plan,
                primary: Some(own),
            })
    });
    let packet = Packet {
        source,
        destination,
        ttl: hop_limit,
        message: &message,
    };
    let said = check(&packet, &terms, Some(own));
    let engine = heard.as_ref().ok().map(|heard| {
        (
            heard.priority.get(),
            heard.interval.duration().as_nanos(),
            heard.source,
            heard.other_interval,
            heard.other_addresses,
        )
    });
    let model = said.as_ref().ok().map(|said| {
        (
            said.priority,
            u128::from(said.interval),
            said.source,
            said.other_interval,
            said.other_addresses,
        )
    });
    assert_eq!(engine, model, "{heard:?} {said:?}");
}

/// A [`Script`]: engine and model must do the same, under the eyes of the judge.
///
/// # Panics
/// If they do not, or a law is broken.
pub fn engine(bytes: &[u8]) {
    if let Err(difference) = Script::from_bytes(bytes).play() {
        panic!("{difference}");
    }
}

/// A configuration file: either findings that can be shown, or a plan that an engine takes.
///
/// # Panics
/// If it is neither.
pub fn config(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    match vrrp_config::parse(text) {
        Ok(config) => {
            let shown = vrrp_config::render(&config.findings, "vrrpd.toml", text, false);
            assert!(config.findings.is_empty() || !shown.is_empty());
            for router in &config.plan.routers {
                assert!(!router.addresses.is_empty() && router.addresses.len() <= 255);
                let family = router.family;
                assert!(
                    router
                        .addresses
                        .iter()
                        .all(|address| Family::of(address.ip) == family)
                );
                assert!(router.unicast_peers.iter().all(|peer| !unusable(*peer)));
            }
            let mut engine = Engine::new(&config.plan, Instant::ZERO);
            while engine.poll_output().is_some() {}
            assert_eq!(engine.status().count(), config.plan.routers.len());
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            for color in [false, true] {
                assert!(!vrrp_config::render(&findings, "vrrpd.toml", text, color).is_empty());
            }
        }
    }
}

const fn unusable(peer: IpAddr) -> bool {
    peer.is_unspecified() || peer.is_multicast()
}

/// A line of the control protocol: what can be read can be written and read again.
///
/// # Panics
/// If that gives something else.
pub fn control(bytes: &[u8]) {
    fn again<T>(bytes: &[u8])
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + core::fmt::Debug,
    {
        let Ok(message) = decode::<T>(bytes) else {
            return;
        };
        let line = encode(&message).unwrap_or_else(|error| panic!("{message:?}: {error}"));
        let (end, start) = line.split_last().unwrap_or((&0, &[]));
        assert!(*end == b'\n' && !start.contains(&b'\n'), "one line");
        match decode::<T>(&line) {
            Ok(same) => assert_eq!(same, message),
            Err(error) => panic!("{message:?}: {error}"),
        }
    }
    again::<Request>(bytes);
    again::<Answer>(bytes);
    again::<EventRecord>(bytes);
}
