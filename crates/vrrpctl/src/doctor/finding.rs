//! What the doctor may find: a stable name for each, how bad it is, and what it says.

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Severity {
    /// Something does not work.
    Error,
    /// Something will not work when it is needed, or is not as one would think.
    Warning,
}

impl Severity {
    /// Its word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! kinds {
    ($($id:literal $severity:ident $name:ident $title:literal)*) => {
        /// What was found.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(crate) enum Kind {
            $(#[doc = $title] $name,)*
        }

        impl Kind {
            /// All of them, in the order of their names.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its stable name.
            pub(crate) const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// How bad it is.
            pub(crate) const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it is, in general.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    // The daemon.
    "VD0101" Error Silent "the daemon does not answer"
    "VD0102" Error OtherNamespace "the daemon is in another network namespace"
    "VD0103" Warning ReloadRefused "the configuration file was refused at the last reload"
    "VD0104" Error FileWrong "the daemon would not start again with its configuration file"
    "VD0105" Warning FileNewer "the configuration file was changed and not loaded"
    "VD0106" Warning WorkerDied "the worker process died"
    "VD0107" Warning Late "the daemon ran late by more than an advertisement interval"
    "VD0108" Warning NoRealTime "the daemon has no real-time priority"
    "VD0109" Warning NoLease "nothing takes the virtual MAC address off the wire if the daemon dies"
    "VD0110" Warning StateLost "nothing is kept over a restart"
    "VD0111" Warning OpenDirectory "others may write to the runtime directory"
    "VD0112" Error KernelRefused "the kernel refuses what a virtual router needs"
    "VD0113" Error KernelBehind "the kernel does not hold what the state of a virtual router needs"
    "VD0114" Warning Lacking "something that follows an Active is not there"
    "VD0115" Error NoProbes "nobody probes what trackers watch"
    "VD0116" Warning ProbeUnable "a probe cannot be made"
    "VD0117" Error NoHooks "nobody runs hooks"
    "VD0118" Warning HookUnable "a hook cannot be run"
    // The host.
    "VD0201" Warning NoForwarding "the interface does not forward IPv4"
    "VD0202" Warning NoForwarding6 "the host does not forward IPv6"
    "VD0203" Error ArpIgnore "arp_ignore keeps the virtual router from answering ARP"
    "VD0204" Error ArpFilter "arp_filter keeps the virtual router from answering ARP"
    "VD0205" Warning NetworkManager "NetworkManager manages the interface of the virtual addresses"
    "VD0206" Warning Networkd "systemd-networkd manages the interface of the virtual addresses"
    "VD0207" Warning OtherDaemon "another VRRP or CARP daemon runs beside this one"
    "VD0208" Error FirewallIn "the firewall drops advertisements that arrive"
    "VD0209" Error FirewallOut "the firewall drops advertisements that leave"
    // Interfaces.
    "VD0301" Error InterfaceMissing "the interface is missing"
    "VD0302" Error InterfaceDown "the interface is down"
    "VD0303" Error NoCarrier "the interface has no carrier"
    "VD0304" Error NoAddress "the interface has no address to advertise from"
    "VD0305" Warning OtherPrefix "the prefix of a virtual address is not the interface's"
    "VD0306" Error PortOf "the interface is a port of a bridge or bond"
    "VD0307" Error NoMulticast "multicast is switched off on the interface"
    "VD0308" Error MtuTooSmall "advertisements do not fit the MTU"
    "VD0309" Error RealAddress "a virtual address is also a real one of this host"
    "VD0310" Error OtherFault "the virtual router does not take part"
    // Who else speaks.
    "VD0401" Error TwoActives "two Actives"
    "VD0402" Error ForeignSpeaker "somebody uses this VRID for other addresses"
    "VD0403" Error OtherVersion "the other router speaks another version"
    "VD0404" Warning OtherInterval "the other router has another advertisement interval"
    "VD0405" Warning OtherAddresses "the other router has other addresses"
    "VD0406" Error OtherAuthentication "the other router authenticates otherwise"
    "VD0407" Error WrongChecksum "advertisements have a checksum that is refused"
    "VD0408" Error WrongHops "advertisements do not have a TTL of 255"
    "VD0409" Error Malformed "advertisements are malformed"
    "VD0410" Error NotHeard "the other router does not hear this one"
    "VD0411" Error NotReceived "advertisements arrive and do not reach the daemon"
    "VD0412" Error NotSent "advertisements of the daemon do not leave"
    "VD0413" Warning SamePriority "both routers have the same priority"
    "VD0414" Error SameSource "another router advertises from the address of this one"
    "VD0415" Error OtherLan "advertisements of this virtual router arrive on another interface"
    "VD0416" Error PeerUnreachable "a unicast peer does not answer ARP"
    "VD0417" Warning Irregular "advertisements of the Active are lost or late"
    "VD0418" Warning RealMac "the other router does not use the virtual MAC address"
    "VD0419" Error OtherMode "one router speaks unicast, the other multicast or to others"
    "VD0420" Error SameNumber "VRRP and CARP use the same number on one LAN"
    // Who else answers.
    "VD0501" Error OtherHost "another host answers for a virtual address"
    "VD0502" Error Claimed "another host claims a virtual address"
    "VD0503" Error Removed "something removes what the daemon puts in place"
    "VD0504" Error NoAnswer "the Active does not answer for a virtual address"
    "VD0505" Error UnheardActive "another router answers as Active and is not heard"
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    /// What.
    pub(crate) kind: Kind,
    /// The virtual router it concerns, if it is one.
    pub(crate) router: Option<String>,
    /// What is wrong, as a sentence without its end.
    pub(crate) what: String,
    /// What was read, and where.
    pub(crate) evidence: String,
    /// What to do about it: a command, a key.
    pub(crate) remedy: String,
}

impl Finding {
    /// About the host or the daemon.
    pub(crate) fn new(
        kind: Kind,
        what: impl Into<String>,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            router: None,
            what: what.into(),
            evidence: evidence.into(),
            remedy: remedy.into(),
        }
    }

    /// About this virtual router.
    pub(crate) fn of(self, router: &str) -> Self {
        Self {
            router: Some(router.to_owned()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        let ids: Vec<&str> = Kind::ALL.iter().map(|kind| kind.id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }

    /// In the laboratory, or where that cannot be done, in made-up facts.
    #[test]
    fn every_finding_is_planted_somewhere() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let folder = std::fs::read_dir(format!("{root}/tests/tests/doctor")).unwrap();
        let mut text: String = folder
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        text.push_str(include_str!("checks/tests.rs"));
        let planted = |kind: &Kind| {
            text.contains(&format!("\"{}\"", kind.id()))
                || text.contains(&format!("Kind::{kind:?}"))
        };
        let missing: Vec<&Kind> = Kind::ALL.iter().filter(|kind| !planted(kind)).collect();
        assert!(missing.is_empty(), "never planted: {missing:?}");
    }

    /// The table of the manual page is written by hand; this keeps it whole.
    #[test]
    fn the_manual_page_has_every_finding() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/vrrpctl.8");
        let text = std::fs::read_to_string(page).unwrap().replace('\\', "");
        let missing: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| {
                format!(
                    ".B {} {}\n{}",
                    kind.id(),
                    kind.severity().name(),
                    kind.title()
                )
            })
            .filter(|entry| !text.contains(entry))
            .collect();
        assert!(
            missing.is_empty(),
            "not in docs/man/vrrpctl.8: {missing:#?}"
        );
        let ids = text.matches(".B VD0").count();
        assert_eq!(
            ids,
            Kind::ALL.len(),
            "the page has findings that do not exist"
        );
    }
}
