//! Whose kernel objects are whose: the marks a daemon leaves and knows again.

use std::fmt;
use std::path::Path;

use super::observed::ParentConf;

/// `IFA_PROTO` of every address this program adds: VRRP's IP protocol number.
pub(super) const ADDRESS_PROTOCOL: u8 = 112;

/// Protocol number (`rtnetlink.h`, `RTPROT_*`) of the routes and rules of the daemon in [`MAIN_DIRECTORY`]: VRRP's IP protocol
/// number, which nobody else uses there. Daemons in other directories use one of those that follow.
pub(super) const ROUTE_PROTOCOL: u8 = 112;

/// So many numbers follow it that nobody else uses: 185 is the last before those of routing daemons.
const OTHER_ROUTE_PROTOCOLS: u64 = 185 - ROUTE_PROTOCOL as u64;

/// The runtime directory of a daemon for which nobody has chosen another one.
const MAIN_DIRECTORY: &str = "/run/vrrpd";

/// End of the label of an address on an interface whose `accept_local` was 0 before it came: the kernel itself remembers
/// that.
const LENT: &str = ":v";

/// `IFA_LABEL` of such an address on `interface`; programs take a label for the interface's name, up to the colon. `None`
/// where the name leaves no room for it.
pub(super) fn label(interface: &str) -> Option<String> {
    const LONGEST: usize = 15;
    let label = format!("{interface}{LENT}");
    (label.len() <= LONGEST).then_some(label)
}

/// Whether an address of a daemon like this one, with this label, is such a one.
pub(super) fn is_lent(label: &[u8]) -> bool {
    label
        .strip_suffix(&[0])
        .is_some_and(|it| it.ends_with(LENT.as_bytes()))
}

/// The bits that groups and metrics of all owners share, and their value.
pub(super) const OWNER_MASK: u32 = 0xff00_0000;
pub(super) const OWNER_BITS: u32 = 0x5600_0000;

/// Identifies one daemon by its runtime directory, also across restarts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OwnerId(u64);

impl OwnerId {
    /// The identity of the daemon whose runtime directory is `directory`.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        let canonical = directory
            .canonicalize()
            .unwrap_or_else(|_| directory.to_owned());
        // FNV-1a: the number is stored in the kernel, so it must be the same for every build of this program.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in canonical.as_os_str().as_encoded_bytes() {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(hash)
    }

    /// The link group (`IFLA_GROUP`) of this daemon's macvlans: a stop deletes them all with one message.
    pub(super) const fn group(self) -> u32 {
        OWNER_BITS | self.low24()
    }

    /// The link group that macvlans enter on the way out when others of this daemon stay.
    pub(super) const fn leaving_group(self) -> u32 {
        0x5700_0000 | self.low24()
    }

    /// Metric of the prefix routes that come with this daemon's addresses.
    ///
    /// High, so that the route of a real address wins; and a mark: `IFA_PROTO` has room for one number only, so
    /// addresses on a shared interface are told apart by metric.
    pub(super) const fn metric(self) -> u32 {
        self.group()
    }

    /// What the routes and rules of this daemon carry: they have room for one byte only. So two daemons beside each other in
    /// other directories than the usual one have the same one time in seventy.
    pub(super) fn route_protocol(self) -> u8 {
        if self == Self::of(Path::new(MAIN_DIRECTORY)) {
            return ROUTE_PROTOCOL;
        }
        let offset = u8::try_from(self.0 % OTHER_ROUTE_PROTOCOLS).unwrap_or(0);
        ROUTE_PROTOCOL + 1 + offset
    }

    /// Name of this daemon's nftables table.
    pub(super) fn table(self) -> String {
        format!("vrrpd_{self}")
    }

    /// Name of the nftables table that guards this daemon's virtual MAC addresses.
    pub(super) fn fence_table(self) -> String {
        format!("vrrpd_fence_{self}")
    }

    const fn low24(self) -> u32 {
        let [.., a, b, c] = self.0.to_be_bytes();
        u32::from_be_bytes([0, a, b, c])
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What the alias of a macvlan says: its owner, its router, and how its parent was before.
///
/// The kernel itself keeps the parent's original settings this way: they survive the daemon's death, and every daemon on
/// the parent finds them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) owner: OwnerId,
    pub(super) router: String,
    /// Index of the parent.
    pub(super) parent: u32,
    /// How the parent was, if it was changed for this macvlan.
    pub(super) originals: Option<ParentConf>,
}

impl Mark {
    pub(super) fn new(
        owner: OwnerId,
        router: &str,
        parent: u32,
        originals: Option<ParentConf>,
    ) -> Self {
        // The alias holds 255 bytes, and its words are separated by spaces.
        let router = router
            .chars()
            .map(|c| if c.is_whitespace() { '_' } else { c })
            .take(30)
            .collect();
        Self {
            owner,
            router,
            parent,
            originals,
        }
    }

    pub(super) fn parse(alias: &str) -> Option<Self> {
        let words = alias.strip_prefix("vrrpd ")?;
        let value = |key: &str| {
            words
                .split(' ')
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let owner = OwnerId(u64::from_str_radix(value("owner")?, 16).ok()?);
        let router = value("router")?.to_owned();
        let parent = value("parent")?.parse().ok()?;
        let number = |key| value(key)?.parse().ok();
        let originals = match (
            number("arp_ignore"),
            number("arp_announce"),
            number("accept_local"),
        ) {
            (Some(arp_ignore), Some(arp_announce), Some(accept_local)) => Some(ParentConf {
                arp_ignore,
                arp_announce,
                accept_local,
            }),
            _ => None,
        };
        Some(Self {
            owner,
            router,
            parent,
            originals,
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "vrrpd owner={} router={} parent={}",
            self.owner, self.router, self.parent
        )?;
        if let Some(was) = self.originals {
            write!(
                f,
                " arp_ignore={} arp_announce={} accept_local={}",
                was.arp_ignore, was.arp_announce, was.accept_local
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_stable() {
        // Stored in kernels by earlier builds: it must never change.
        assert_eq!(
            OwnerId::of(Path::new("/nonexistent/vrrpd")).to_string(),
            "d887527929b51710"
        );
    }

    #[test]
    fn the_usual_daemon_has_a_number_of_its_own() {
        assert_eq!(OwnerId::of(Path::new(MAIN_DIRECTORY)).route_protocol(), 112);
        for name in 0..1000 {
            let owner = OwnerId::of(&Path::new("/nonexistent").join(name.to_string()));
            assert!((113..=185).contains(&owner.route_protocol()), "{name}");
        }
    }

    #[test]
    fn a_mark_is_read_back() {
        let owner = OwnerId::of(Path::new("/nonexistent/a"));
        for parent in [
            None,
            Some(ParentConf {
                arp_ignore: 8,
                arp_announce: 0,
                accept_local: 1,
            }),
        ] {
            let mark = Mark::new(owner, "wan4", 7, parent);
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
    }

    #[test]
    fn a_label_is_read_back_and_begins_with_the_interface() {
        assert_eq!(label("eth0").unwrap(), "eth0:v");
        assert!(is_lent(b"eth0:v\0") && !is_lent(b"eth0\0") && !is_lent(b":v"));
        assert_eq!(label("enp0s31f6.4094").as_deref(), None);
        assert_eq!(label("bond0.4094.12").as_deref(), Some("bond0.4094.12:v"));
    }

    #[test]
    fn others_aliases_are_no_marks() {
        for alias in [
            "",
            "vrrpd",
            "uplink to vrrpd",
            "vrrpd owner=x router=a",
            "vrrpd owner=12",
            "vrrpd owner=12 router=a",
        ] {
            assert_eq!(Mark::parse(alias), None, "{alias}");
        }
    }

    #[test]
    fn a_long_router_name_fits_the_alias() {
        let mark = Mark::new(OwnerId(1), &"ä b".repeat(100), u32::MAX, None);
        assert!(mark.to_string().len() < 256);
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
    }
}
