//! As many routers as an interface can have but for a few, which something happens to that nobody may notice.

use crate::bench::Bench;
use crate::clock::{Stamp, ms, wait_for};
use crate::profile::Profile;
use crate::settings::{Router, file};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const ROUTERS: u8 = 250;

/// The time between two advertisements of a router.
pub const INTERVAL: Duration = ms(100);

/// 250 routers of one daemon on one interface, all Active.
pub struct Crowd {
    /// Where they are.
    pub bench: Bench,
    /// What the kernel holds for them.
    standing: String,
}

impl Crowd {
    /// When all of them are Active, and for so long that each has settled.
    ///
    /// # Panics
    /// If they are not within 20 s.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it takes seconds, and may fail")]
    pub fn new() -> Self {
        let mut bench = Bench::new(Profile::V3Ipv4);
        let routers: Vec<Router> = (1..=ROUTERS)
            .map(|vrid| {
                Router::new(&format!("r{vrid}"), Profile::V3Ipv4)
                    .set("vrid", vrid)
                    .text("advertise-interval", "100ms")
                    .list("addresses", &[format!("10.7.{vrid}.254/24")])
            })
            .collect();
        bench.start_file(&file(&routers));
        let mut crowd = Self {
            bench,
            standing: String::new(),
        };
        assert!(wait_for(ms(20_000), || crowd.active()).is_some());
        std::thread::sleep(ms(3000));
        crowd.standing = crowd.kernel();
        crowd
    }

    /// The status, while all are Active and the kernel is in step.
    fn active(&self) -> Option<Value> {
        let status = self.bench.daemon().try_status()?;
        let fit = |it: &Value| it["state"] == "active" && it["kernel-in-step"] == true;
        let all = status["routers"].as_array()?.iter().all(fit);
        all.then_some(status)
    }

    fn kernel(&self) -> String {
        self.bench
            .dut
            .sh("ip -d -o link; ip -o addr; tc filter show dev eth0 egress")
    }

    /// The status, and the longest time since `from` between two advertisements of any of them.
    ///
    /// # Panics
    /// If one is not Active, or was not for a while, or released; or the kernel holds something else than at first.
    #[must_use]
    pub fn as_before(&self, from: Stamp) -> (Value, Duration) {
        let status = self.active().expect("all are Active");
        for router in status["routers"].as_array().expect("a list") {
            assert_eq!(router["statistics"]["master-transitions"], 1, "{router}");
        }
        let mut last: BTreeMap<u8, Stamp> = BTreeMap::new();
        let mut longest = Duration::ZERO;
        for advert in self.bench.lan.adverts(from) {
            assert!(advert.heard.priority() > 0);
            if let Some(before) = last.insert(advert.heard.vrid(), advert.at) {
                longest = longest.max(advert.at.since(before));
            }
        }
        assert_eq!(last.len(), usize::from(ROUTERS));
        assert_eq!(self.kernel(), self.standing, "the kernel was changed");
        (status, longest)
    }
}
