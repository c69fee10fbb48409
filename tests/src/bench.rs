//! The fixture of the conformance statements: a device under test, and a tester at the other end of its cables.

use crate::capture::Sighting;
use crate::clock::{Stamp, ms, tolerance, wait_for};
use crate::daemon::Daemon;
use crate::netns::Namespace;
use crate::profile::Profile;
use crate::settings::{Router, file};
use crate::tester::{Host, Tester};
use crate::topology::{cable, router_lan, router_uplink};
use crate::wire::{Advert, Mac};
use std::time::Duration;

/// The name of the router under test in its configuration.
pub const NAME: &str = "dut";

/// One device under test with two cables to the tester.
pub struct Bench {
    daemon: Option<Daemon>,
    /// Which version and family is judged.
    pub profile: Profile,
    /// The tester's end of `eth0`, where the virtual router lives.
    pub lan: Tester,
    /// The tester's end of `eth1`, the way out.
    pub far: Tester,
    /// The device's namespace: `eth0` 192.0.2.11, fe80::11; `eth1` 198.51.100.11.
    pub dut: Namespace,
    /// The tester's namespace.
    pub lab: Namespace,
}

impl Bench {
    /// Cables only; no daemon yet.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let (dut, lab) = (Namespace::new("dut"), Namespace::new("lab"));
        lab.sysctl("ipv6/conf/all/disable_ipv6=1 ipv6/conf/default/disable_ipv6=1");
        for interface in ["eth0", "eth1"] {
            cable((&dut, interface), (&lab, interface));
            // The tester's kernel must not answer for anybody.
            lab.ip(&format!(
                "link set {interface} arp off\nlink set {interface} up"
            ));
        }
        router_lan(&dut, "eth0", 11);
        router_uplink(&dut, "eth1", 11);
        dut.wait_carrier("eth0");
        dut.wait_carrier("eth1");
        let (lan, far) = (Tester::new(&lab, "eth0"), Tester::new(&lab, "eth1"));
        Self {
            daemon: None,
            profile,
            lan,
            far,
            dut,
            lab,
        }
    }

    /// With the daemon running and out of Initialize; `adjust` changes the default router: priority 100, one second.
    #[must_use]
    pub fn backup(profile: Profile, adjust: impl FnOnce(Router) -> Router) -> Self {
        let mut bench = Self::new(profile);
        bench.start(adjust);
        bench
    }

    /// With the daemon Active; the way there is shortened by a priority-0 advertisement, as if a predecessor had resigned.
    #[must_use]
    pub fn active(profile: Profile, adjust: impl FnOnce(Router) -> Router) -> Self {
        let bench = Self::backup(profile, adjust);
        bench.promote();
        bench
    }

    /// Starts the daemon with one router and waits until it has left Initialize.
    ///
    /// # Panics
    /// If it does not within 3 s.
    pub fn start(&mut self, adjust: impl FnOnce(Router) -> Router) {
        self.start_file(&file(&[adjust(Router::new(NAME, self.profile))]));
        let left = wait_for(ms(3000), || {
            (self.daemon().state(NAME) != "initialize").then_some(())
        });
        assert!(
            left.is_some(),
            "still in Initialize: {:#}",
            self.daemon().router(NAME)
        );
    }

    /// Starts the daemon with a whole file and waits for nothing but its answer.
    pub fn start_file(&mut self, config: &str) {
        self.daemon = Some(Daemon::start(&self.dut, config));
    }

    /// Starts the daemon again in the same directory, after it has ended.
    ///
    /// # Panics
    /// If it was never started, or does not answer.
    pub fn restart(&mut self) {
        let Self { daemon, dut, .. } = self;
        daemon
            .as_mut()
            .expect("the daemon was started")
            .restart(dut);
    }

    /// Makes the Backup Active by a resignation, and waits for its first advertisement.
    pub fn promote(&self) -> Sighting {
        // A resignation has no further meaning for an unrelated checksum form, so it does not bias what comes next.
        let resigned = self.lan.send(&self.profile.advert(0));
        let advert = self.lan.expect_advert(resigned, ms(4500));
        self.daemon().wait_state(NAME, "active", ms(1000));
        self.wait_in_step();
        advert
    }

    /// Waits until the daemon reports that the kernel holds what it wants: addresses, forwarding, filters.
    ///
    /// The first advertisement does not wait for the kernel, and the kernel may be busy with other namespaces.
    ///
    /// # Panics
    /// If that takes 3 s.
    pub fn wait_in_step(&self) {
        let asked = Stamp::now();
        let in_step = wait_for(ms(3000), || {
            (self.daemon().router(NAME)["kernel-in-step"] == true).then_some(())
        });
        assert!(
            in_step.is_some(),
            "the kernel is not in step for 3 s, of which it was locked by others for {:?}; the daemon waits in {}; {:#}",
            crate::stall::kernel(asked, Stamp::now()),
            self.daemon().waits_in(),
            self.daemon().router(NAME)
        );
    }

    /// The daemon.
    ///
    /// # Panics
    /// If it has not been started.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon was started")
    }

    /// The daemon.
    ///
    /// # Panics
    /// If it has not been started.
    #[must_use]
    pub fn daemon_mut(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the daemon was started")
    }

    /// An advertisement of the tester's router 200 with this priority.
    #[must_use]
    pub fn advert(&self, priority: u8) -> Advert {
        self.profile.advert(priority)
    }

    /// The state of the router under test.
    #[must_use]
    pub fn state(&self) -> String {
        self.daemon().state(NAME)
    }

    /// A counter of the router under test.
    #[must_use]
    pub fn counter(&self, leaf: &str) -> u64 {
        self.daemon().counter(NAME, leaf)
    }

    /// A host on the LAN that the tester plays.
    #[must_use]
    pub fn host(&self) -> Host {
        let ip = if self.profile.is_ipv6() {
            "2001:db8::100"
        } else {
            "192.0.2.100"
        };
        self.lan
            .play(ip.parse().expect("an address"), Mac::played(100))
    }

    /// A host beyond the uplink that the tester plays.
    #[must_use]
    pub fn far_host(&self) -> Host {
        let ip = if self.profile.is_ipv6() {
            "2001:db8:f::1"
        } else {
            "198.51.100.1"
        };
        self.far
            .play(ip.parse().expect("an address"), Mac::played(1))
    }

    /// Fails unless the device goes on advertising as if nothing had happened since `from`.
    ///
    /// # Panics
    /// If no advertisement follows within an interval of one second, or the state is not Active.
    pub fn expect_still_active(&self, what: &str, from: Stamp) {
        let heard = self.lan.try_advert(from, ms(1000));
        assert!(heard.is_some(), "{what}: the Active fell silent");
        assert_eq!(self.state(), "active", "{what}");
    }

    /// Fails unless the device stops advertising at once and is Backup.
    ///
    /// # Panics
    /// If an advertisement follows within 1.5 intervals of one second, or the state is not Backup.
    pub fn expect_demoted(&self, what: &str, from: Stamp) {
        // One advertisement may have crossed ours on the cable.
        (from + ms(1500)).sleep_until();
        let heard = self.lan.adverts(from + ms(5));
        assert!(
            heard.is_empty(),
            "{what}: still advertises after {:.1} ms",
            heard[0].at.millis_since(from)
        );
        assert_eq!(self.state(), "backup", "{what}");
    }

    /// The span from `from` to the first advertisement after it, which must come within `formula` and the tolerance.
    #[must_use]
    pub fn span_to_advert(&self, from: Stamp, formula: Duration) -> Duration {
        self.lan
            .expect_advert(from, formula + tolerance().late)
            .at
            .since(from)
    }
}
