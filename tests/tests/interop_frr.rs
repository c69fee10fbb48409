//! Ours with Frr, each once the higher: election, hand-over on priority 0, takeover after SIGKILL and link loss,
//! preemption. FRR speaks the pseudo-header form over IPv4.
//!
//! FRR waits for its macvlan to come up before it advertises, which takes it up to seconds, and over IPv6 it leaves
//! out the first advertisement.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use std::time::Duration;
use vrrp_lab::clock::ms;
use vrrp_lab::pair::Pair;
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::Make::{self, Frr, Ours};

/// What the other make may be late by when *it* takes over: its own habits are not judged here.
const EXCUSE: Duration = ms(3000);

fn judge(higher: Make, lower: Make, profile: Profile) {
    let excuse = if lower == Frr { EXCUSE } else { ms(0) };
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
    v2_ours_higher: Ours("auto"), Frr, V2;
    v2_ours_lower: Frr, Ours("auto"), V2;
    v3_ipv4_ours_higher: Ours("auto"), Frr, V3Ipv4;
    v3_ipv4_ours_lower: Frr, Ours("auto"), V3Ipv4;
    v3_ipv4_ours_higher_with_fixed_rfc5798: Ours("rfc5798"), Frr, V3Ipv4;
    v3_ipv4_ours_lower_with_fixed_rfc5798: Frr, Ours("rfc5798"), V3Ipv4;
    v3_ipv6_ours_higher: Ours("auto"), Frr, V3Ipv6;
    v3_ipv6_ours_lower: Frr, Ours("auto"), V3Ipv6;
}
