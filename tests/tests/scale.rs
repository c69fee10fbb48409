//! Two hundred and fifty routers on one interface: VRRP's whole range of identifiers, but for five.

use std::collections::BTreeMap;
use vrrp_lab::bench::Bench;
use vrrp_lab::clock::{Stamp, ms, tolerance, wait_for};
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::stall;

const ROUTERS: u8 = 250;

/// Priority 0 for all at once, everything removed and every sysctl as before within 500 ms
/// (keepalived leaves 62 macvlans and its sysctls).
#[test]
fn sigterm_with_250_routers() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    let (sysctls, interfaces) = (bench.dut.interface_sysctls(), bench.dut.interfaces());
    let routers: Vec<Router> = (1..=ROUTERS)
        .map(|vrid| {
            Router::new(&format!("r{vrid}"), Profile::V3Ipv4)
                .set("vrid", vrid)
                .list("addresses", &[format!("10.7.{vrid}.254/24")])
                .held()
        })
        .collect();
    let begun = Stamp::now();
    bench.start_file(&file(&routers));
    let all_active = wait_for(ms(20_000), || {
        let status = bench.daemon().try_status()?;
        status["routers"]
            .as_array()?
            .iter()
            .all(|router| router["state"] == "active")
            .then_some(())
    });
    assert!(
        all_active.is_some(),
        "not all Active within 20 s: {}",
        bench.daemon().log()
    );
    println!(
        "{ROUTERS} routers Active {:.0} ms after the start",
        Stamp::now().millis_since(begun)
    );
    // A settled state: announcements sent, addresses in place.
    std::thread::sleep(ms(3000));
    assert_eq!(
        bench.dut.sh("ip -o addr | grep -c ' 10\\.7\\.'").trim(),
        ROUTERS.to_string(),
        "addresses"
    );

    let asked = bench.daemon().terminate();
    let status = bench.daemon_mut().wait(ms(20_000));
    let ended = Stamp::now();
    let left: Vec<String> = bench
        .dut
        .interfaces()
        .into_iter()
        .filter(|name| !interfaces.contains(name))
        .collect();
    let after = bench.dut.interface_sysctls();

    let mut resigned: BTreeMap<u8, Stamp> = BTreeMap::new();
    for advert in bench
        .lan
        .adverts(asked)
        .into_iter()
        .filter(|advert| advert.heard.priority() == 0)
    {
        resigned.entry(advert.heard.vrid()).or_insert(advert.at);
    }
    let (first, last) = (resigned.values().min(), resigned.values().max());
    println!(
        "SIGTERM: {} resignations, the first after {:.1} ms, the last after {:.1} ms; exit after {:.0} ms",
        resigned.len(),
        first.map_or(f64::NAN, |at| at.millis_since(asked)),
        last.map_or(f64::NAN, |at| at.millis_since(asked)),
        ended.millis_since(asked)
    );
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        resigned.len(),
        usize::from(ROUTERS),
        "routers that resigned"
    );
    let span = last.unwrap().since(*first.unwrap());
    assert!(
        span <= tolerance().late + stall::longest(asked, ended),
        "\"at once\" took {span:?}"
    );
    assert_eq!(left, Vec::<String>::new(), "interfaces left behind");
    let changed: Vec<&String> = sysctls
        .iter()
        .filter(|line| !after.contains(line))
        .collect();
    assert!(changed.is_empty(), "sysctls not as before: {changed:?}");
    assert_eq!(
        bench
            .dut
            .sh("ip -o addr | grep -c ' 10\\.7\\.' || true")
            .trim(),
        "0",
        "addresses left behind"
    );
    let took = ended.since(asked);
    // There is no successor, so it waits for one for as long as one would need: 1.1 × 255/256 of the interval.
    assert!(
        took <= ms(1096) + ms(500) + stall::longest(asked, ended),
        "the stop took {took:?}"
    );
}
