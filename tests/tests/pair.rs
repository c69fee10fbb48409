//! Ours with ours: election, hand-over on priority 0, takeover after SIGKILL and link loss, preemption.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use vrrp_lab::clock::ms;
use vrrp_lab::pair::Pair;
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::Make::{self, Ours};

fn judge(higher: Make, lower: Make, profile: Profile) {
    let measured = Pair::start(higher, lower, profile).judge(ms(0));
    println!("{profile:?}, {higher} over {lower}: {measured}");
}

#[test]
fn v2() {
    judge(Ours("auto"), Ours("auto"), Profile::V2);
}

#[test]
fn v3_ipv4() {
    judge(Ours("auto"), Ours("auto"), Profile::V3Ipv4);
}

#[test]
fn v3_ipv6() {
    judge(Ours("auto"), Ours("auto"), Profile::V3Ipv6);
}

/// RFC 9568 §5.2.8: the two forms on one wire.
#[test]
fn v3_ipv4_each_with_another_checksum_form() {
    judge(Ours("rfc9568"), Ours("rfc5798"), Profile::V3Ipv4);
}
