//! What the counters of a router mean, and which belong together.

/// Counters that are read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    /// What the election did.
    Election,
    /// What was sent and accepted.
    Traffic,
    /// What was refused or is odd.
    Refused,
}

impl Group {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Election => "Election",
            Self::Traffic => "Advertisements",
            Self::Refused => "Refused or odd",
        }
    }
}

/// A counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    name: &'static str,
    pub(crate) group: Group,
    /// Shown at zero, too.
    pub(crate) vital: bool,
    pub(crate) meaning: &'static str,
}

const fn counter(group: Group, name: &'static str, meaning: &'static str) -> Counter {
    Counter {
        name,
        group,
        vital: false,
        meaning,
    }
}

const fn vital(name: &'static str, meaning: &'static str) -> Counter {
    Counter {
        name,
        group: Group::Traffic,
        vital: true,
        meaning,
    }
}

const COUNTERS: [Counter; 26] = [
    counter(
        Group::Election,
        "master-transitions",
        "times it became Active",
    ),
    counter(
        Group::Election,
        "conflicts",
        "heard from a router that loses to this Active",
    ),
    counter(
        Group::Election,
        "address-claims",
        "ARP or neighbour advertisements of others that claimed an address while Active",
    ),
    counter(
        Group::Election,
        "announcements-sent",
        "rounds of gratuitous ARP or neighbour advertisements",
    ),
    counter(
        Group::Election,
        "repairs",
        "put back after somebody else took it away",
    ),
    vital("advertisement-sent", "sent"),
    vital("advertisement-rcvd", "accepted"),
    counter(
        Group::Traffic,
        "priority-zero-pkts-sent",
        "of those, this router gave up",
    ),
    counter(
        Group::Traffic,
        "priority-zero-pkts-rcvd",
        "of those, the Active gave up",
    ),
    counter(
        Group::Traffic,
        "checksum-rfc9568-rcvd",
        "of those, with RFC 9568's checksum",
    ),
    counter(
        Group::Traffic,
        "checksum-rfc5798-rcvd",
        "of those, with RFC 5798's pseudo-header",
    ),
    counter(
        Group::Refused,
        "interval-errors",
        "another interval than ours; kept in VRRPv3",
    ),
    counter(
        Group::Refused,
        "address-list-errors",
        "other addresses than ours; kept in VRRPv3",
    ),
    counter(
        Group::Refused,
        "invalid-type-pkts-rcvd",
        "not an advertisement",
    ),
    counter(
        Group::Refused,
        "packet-length-errors",
        "length does not fit the number of addresses",
    ),
    counter(
        Group::Refused,
        "auth-type-invalid",
        "unknown type of authentication",
    ),
    counter(
        Group::Refused,
        "auth-type-mismatch",
        "another type of authentication than ours",
    ),
    counter(
        Group::Refused,
        "auth-failures",
        "wrong password; with CARP another passphrase or another list of addresses",
    ),
    counter(
        Group::Refused,
        "owner-conflicts",
        "another router says it owns the addresses, too",
    ),
    counter(
        Group::Refused,
        "own-pkts-looped",
        "our own advertisements came back",
    ),
    counter(
        Group::Refused,
        "source-errors",
        "from a router that is not among the unicast peers",
    ),
    counter(
        Group::Refused,
        "mode-errors",
        "multicast where unicast is spoken, or the other way round",
    ),
    counter(
        Group::Refused,
        "replayed-pkts-rcvd",
        "CARP: had been said before, a recording that is played back",
    ),
    counter(
        Group::Refused,
        "forged-pkts-rcvd",
        "CARP: a recording with another advskew, advbase or demotion",
    ),
    counter(
        Group::Refused,
        "unsealed-pkts-rcvd",
        "CARP: not sealed, where carp-seal requires it",
    ),
    counter(
        Group::Refused,
        "clock-errors",
        "CARP: sealed at another time, by another clock or long ago",
    ),
];

/// The counter of that name. One that a newer daemon has is shown without a meaning.
pub(crate) fn find(name: &str) -> Counter {
    COUNTERS
        .into_iter()
        .find(|counter| counter.name == name)
        .unwrap_or(counter(Group::Refused, "", ""))
}

/// What the counter of the daemon with that name means.
pub(crate) fn of_daemon(name: &str) -> &'static str {
    match name {
        "checksum-errors" => "packets whose checksum is wrong",
        "version-errors" => "of another version of VRRP than their router speaks, or of none",
        "vrid-errors" => "of a VRID that is none of ours on that interface",
        "ip-ttl-errors" => "whose TTL or hop limit is not 255: they crossed a router",
        "short-packets" => "that end before they should",
        "carp-pkts-rcvd" => "that are CARP, which has the same protocol number",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_control::{GlobalCounters, RouterCounters};

    #[test]
    fn every_counter_of_the_daemon_has_a_meaning() {
        for (name, _) in GlobalCounters::default().entries() {
            assert!(!of_daemon(&name).is_empty(), "{name}");
        }
    }

    #[test]
    fn every_counter_has_a_meaning_and_every_meaning_a_counter() {
        let mut sent: Vec<String> = RouterCounters::default()
            .entries()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let mut known: Vec<String> = COUNTERS
            .iter()
            .map(|counter| counter.name.to_owned())
            .collect();
        sent.sort();
        known.sort();
        assert_eq!(sent, known);
    }
}
