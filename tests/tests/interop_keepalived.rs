//! Ours with Keepalived, each once the higher: election, hand-over on priority 0, takeover after SIGKILL and link loss,
//! preemption. keepalived speaks the pseudo-header form over IPv4; `auto` must come round to it.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use std::time::Duration;
use vrrp_lab::clock::ms;
use vrrp_lab::pair::{Pair, quick};
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::Make::{self, Keepalived, Ours};
use vrrp_lab::rival::Orders;
use vrrp_lab::topology::Lan;

/// What the other make may be late by when *it* takes over: its own habits are not judged here.
const EXCUSE: Duration = ms(10);

fn judge(higher: Make, lower: Make, profile: Profile) {
    let excuse = if lower == Keepalived { EXCUSE } else { ms(0) };
    let measured = Pair::start(higher, lower, profile).judge(excuse);
    println!("{profile:?}, {higher} over {lower}: {measured}");
}

/// One test per profile and order.
macro_rules! pairs {
    ($($name:ident: $higher:expr, $lower:expr, $profile:ident;)+) => {
        $(
            #[test]
            fn $name() {
                judge($higher, $lower, Profile::$profile);
            }
        )+
    };
}

pairs! {
    v2_ours_higher: Ours("auto"), Keepalived, V2;
    v2_ours_lower: Keepalived, Ours("auto"), V2;
    v3_ipv4_ours_higher: Ours("auto"), Keepalived, V3Ipv4;
    v3_ipv4_ours_lower: Keepalived, Ours("auto"), V3Ipv4;
    v3_ipv4_ours_higher_with_fixed_rfc5798: Ours("rfc5798"), Keepalived, V3Ipv4;
    v3_ipv4_ours_lower_with_fixed_rfc5798: Keepalived, Ours("rfc5798"), V3Ipv4;
    v3_ipv6_ours_higher: Ours("auto"), Keepalived, V3Ipv6;
    v3_ipv6_ours_lower: Keepalived, Ours("auto"), V3Ipv6;
}

/// RFC 2338 §5.3.10: simple text, still used everywhere.
#[test]
fn v2_with_simple_text_ours_higher() {
    with(Ours("auto"), Keepalived, Profile::V2, |orders| Orders {
        key: Some("secret"),
        ..orders
    });
}

#[test]
fn v2_with_simple_text_ours_lower() {
    with(Keepalived, Ours("auto"), Profile::V2, |orders| Orders {
        key: Some("secret"),
        ..orders
    });
}

/// draft-abinabraham-vrrp-unicast; keepalived takes the unicast destination into the pseudo-header.
#[test]
fn v3_ipv4_unicast_ours_higher() {
    with(Ours("auto"), Keepalived, Profile::V3Ipv4, |orders| Orders {
        unicast: true,
        ..orders
    });
}

#[test]
fn v3_ipv4_unicast_ours_lower() {
    with(Keepalived, Ours("auto"), Profile::V3Ipv4, |orders| Orders {
        unicast: true,
        ..orders
    });
}

fn with(higher: Make, lower: Make, profile: Profile, adjust: impl Fn(Orders) -> Orders) {
    let excuse = if lower == Keepalived { EXCUSE } else { ms(0) };
    let measured =
        Pair::start_with(Lan::new(2), higher, lower, profile, quick(profile), adjust).judge(excuse);
    println!("{profile:?}, {higher} over {lower}: {measured}");
}
