//! The stable names of all rules. A number is never given to another rule.

macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $code;)*

        /// Every code with its meaning, in ascending order.
        pub const ALL: &[(&str, &str)] = &[$(($code, $meaning)),*];
    };
}

codes! {
    SYNTAX = "VR0001", "The text is not TOML.";
    TWICE = "VR0002", "A key or table is given twice.";
    NO_ROUTER = "VR0003", "The file configures no virtual router.";
    UNKNOWN_KEY = "VR0004", "A key is unknown.";
    UNKNOWN_TABLE = "VR0005", "A table is unknown.";
    TYPE = "VR0006", "A value has the wrong type.";
    MISSING_KEY = "VR0007", "A required key is missing.";
    FOREIGN_KEY = "VR0008", "A key is the word of another program.";
    SHAPE = "VR0009", "A virtual router is not a table with a name.";
    NAME = "VR0010", "The name of a virtual router is not usable.";
    INTERFACE = "VR0011", "No Linux interface can have this name.";
    VRID = "VR0012", "The virtual router identifier is out of range.";
    CHOICE = "VR0013", "A value is none of those a key can have.";
    UNSUPPORTED = "VR0014", "This version does not do that yet.";
    PRIORITY = "VR0015", "The priority is out of range.";
    DURATION = "VR0016", "A value is not a duration.";
    DURATION_RANGE = "VR0017", "A duration is out of range, or the protocol cannot express it.";
    ADDRESS_COUNT = "VR0018", "There are no addresses, or more than one advertisement can carry.";
    ADDRESS = "VR0019", "A value is not an IP address.";
    PREFIX = "VR0020", "The prefix length is missing or out of range.";
    ADDRESS_KIND = "VR0021", "An address of this kind cannot be a virtual address.";
    FAMILY = "VR0022", "IPv4 and IPv6 are mixed in one virtual router.";
    ADDRESS_TWICE = "VR0023", "An address is listed twice.";
    LINK_LOCAL_FIRST = "VR0024", "An IPv6 link-local address is listed, but not first.";
    VRRP2_IPV6 = "VR0025", "VRRPv2 has no IPv6.";
    PREEMPT_DELAY = "VR0026", "A preemption delay is given while preemption is off.";
    CHECKSUM = "VR0027", "A checksum key has no meaning here.";
    AUTHENTICATION = "VR0028", "Authentication exists in VRRPv2 only.";
    AUTHENTICATION_KEY = "VR0029", "The authentication key is not usable.";
    PEER = "VR0030", "A unicast peer is not usable.";
    VRID_TWICE = "VR0031", "Two virtual routers of one family and interface have the same VRID.";
    VERSIONS = "VR0032", "One VRID is used in VRRPv2 and VRRPv3 on one interface.";
    ADDRESS_SHARED = "VR0033", "Two virtual routers have the same address.";
    DATA_PLANE = "VR0034", "A data plane is chosen for a virtual MAC address that is not used.";
    GROUP = "VR0035", "No group of users can have this name.";
    UNKNOWN_TRACKER = "VR0040", "A tracker is referred to that does not exist.";
    WEIGHT = "VR0041", "The weight of a tracker is out of range.";
    COUNT = "VR0042", "A number is out of range.";
    TRACKED = "VR0043", "What a tracker is to watch is not usable.";
    TAKEOVER = "VR0044", "A takeover is to follow from something that cannot tell of one.";
    BFD_PEER = "VR0045", "Nobody can have a BFD session like that.";
    HOOK = "VR0050", "A hook is not usable.";
    PREEMPT_WHEN = "VR0055", "Preemption is to wait for something that does not exist, or is off.";
    GROUP_NAME = "VR0060", "The name of a group is not usable.";
    GROUP_MEMBER = "VR0061", "A member of a group is no virtual router of the file, or cannot be a member.";
    GROUP_TRACK = "VR0062", "A group and a member of it refer to the same tracker.";
    ROUTE = "VR0080", "A route that is to follow a router cannot be one.";
    RULE = "VR0081", "A rule that is to follow a router cannot be one.";
    CARP_KEY = "VR0090", "A key of CARP stands where VRRP is spoken, or the reverse.";
    CARP_NUMBER = "VR0091", "A number of CARP is out of range.";
    PASSPHRASE = "VR0092", "The passphrase of a CARP group is not usable.";
    DERIVED = "VR0101", "No IPv6 link-local address is listed; one is derived from the VRID.";
    OWNER = "VR0102", "Priority 255 makes this router the owner of the addresses.";
    OWNER_IGNORES = "VR0103", "A key has no effect on the owner.";
    UNICAST_MAC = "VR0104", "Unicast advertisements are not sent from the virtual MAC address.";
    NAME_IS_WORD = "VR0106", "A virtual router is called like something that `vrrpctl show` shows.";
    GROUP_SMALL = "VR0110", "A group has fewer than two members.";
    GROUP_PRIORITY = "VR0111", "Members of a group have different priorities.";
    GROUP_INTERVAL = "VR0112", "Members of a group have different advertisement intervals.";
    GROUP_PREEMPT = "VR0113", "Some members of a group preempt, and others do not.";
    PREEMPT_TIMEOUT = "VR0120", "There is a time to wait before preemption, and nothing to wait for.";
    PASSPHRASE_OPEN = "VR0130", "Everybody can read the passphrase of a CARP group.";
    CARP_SEAL = "VR0135", "A key about sealed advertisements has no effect, because nothing is sealed.";
    TAKEOVER_NEVER = "VR0140", "A BFD session cannot tell of the Active of this router.";
    BFD_NETWORK = "VR0141", "The peer of a BFD session is on no network of its interface that is known.";
    HOOK_PROGRAM = "VR0150", "The program of a hook or a script is not there, or others could change it.";
    HOOK_WAIT = "VR0151", "There is a time to wait for a hook that nothing waits for.";
    PAIR_VRID = "VR0201", "Two routers of a pair share an address, and not the VRID.";
    PAIR_VERSION = "VR0202", "Two routers of a pair speak different versions.";
    PAIR_INTERVAL = "VR0203", "Two routers of a pair have different advertisement intervals.";
    PAIR_ADDRESSES = "VR0204", "Two routers of a pair have different addresses.";
    PAIR_PREFIX = "VR0205", "Two routers of a pair have an address with different prefix lengths.";
    PAIR_PRIORITY = "VR0206", "Two routers of a pair have the same priority.";
    PAIR_AUTHENTICATION = "VR0207", "Two routers of a pair authenticate in different ways.";
    PAIR_CHECKSUM = "VR0208", "Two routers of a pair do not accept each other's checksums.";
    PAIR_MODE = "VR0209", "One router of a pair speaks unicast, the other one multicast.";
    PAIR_MAC = "VR0210", "One router of a pair uses the virtual MAC address, the other one does not.";
    PAIR_ACCEPT = "VR0211", "One router of a pair accepts packets to the addresses, the other one does not.";
    PAIR_ALONE = "VR0212", "A router has no counterpart in the other file.";
    PAIR_GROUP = "VR0220", "Two routers move together on one side of a pair only.";
    PAIR_SEAL = "VR0230", "One router of a pair seals its advertisements, the other one does not.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ascending() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
