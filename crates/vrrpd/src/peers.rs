//! Who else was heard, in the words of the control socket.

use std::time::Duration;

use vrrp_control::PeerReport;
use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::{Instant, Parting, Peer};

/// All of a router, the one heard last at the end.
pub(crate) fn reports(peers: &[Peer], now: Instant) -> Vec<PeerReport> {
    let mut peers: Vec<&Peer> = peers.iter().collect();
    sort_by_rank(&mut peers, |peer| peer.last.as_nanos());
    peers.into_iter().map(|peer| report(peer, now)).collect()
}

fn report(peer: &Peer, now: Instant) -> PeerReport {
    PeerReport {
        address: peer.address.to_string(),
        priority: peer.priority.get(),
        carp: peer.bid.map(Into::into),
        state: peer.parting.map_or("active", Parting::name).to_owned(),
        advertise_interval_ms: u64::try_from(peer.period().as_millis()).unwrap_or(u64::MAX),
        first_heard_us: micros(now.saturating_since(peer.first)),
        last_heard_us: micros(now.saturating_since(peer.last)),
        in_a_row: peer.in_a_row,
        late: peer.late,
        longest_gap_us: micros(peer.longest_gap),
        other_interval: peer.other_interval,
        other_addresses: peer.other_addresses,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
