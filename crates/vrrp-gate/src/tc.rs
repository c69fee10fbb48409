//! Queueing disciplines and filters of the kernel's traffic control, as far as a gate needs them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::netlink::{Message, Netlink, Question, attributes, field, push};

const RTM_GETLINK: u16 = 18;
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAGS_GEN: u16 = 9;
const TCA_BPF_ID: u16 = 11;
/// The program's answer is what happens to the frame.
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
/// Not in a network card: it has no clock of ours.
const TCA_CLS_FLAGS_SKIP_HW: u32 = 1;

/// The place of clsact, and its handle.
const TC_H_CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;

const ETH_P_ALL: u16 = 3;
const ARPHRD_ETHER: u16 = 1;

/// Which way frames go, seen from this host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// What comes out is stopped first: it is answers and claims.
    pub(crate) const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    const fn parent(self) -> u32 {
        match self {
            Self::Ingress => 0xffff_fff2,
            Self::Egress => 0xffff_fff3,
        }
    }
}

/// A filter on one side of clsact.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) handle: u32,
    /// Lower comes first; never 0.
    pub(crate) priority: u16,
    /// EtherType, in the byte order of this machine.
    pub(crate) protocol: u16,
    pub(crate) kind: String,
    /// Of a program's filter.
    pub(crate) name: Option<String>,
    /// Number of its program.
    pub(crate) program: Option<u32>,
}

/// The traffic control of one network namespace.
#[derive(Debug)]
pub(crate) struct Tc(Netlink);

impl Tc {
    /// Of the namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        Netlink::open().map(Self)
    }

    /// Whether the interface has Ethernet addresses.
    pub(crate) fn is_ethernet(&self, ifindex: u32) -> io::Result<bool> {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        let answers = self
            .0
            .ask(Question::One, &Message::new(RTM_GETLINK, &header))?;
        let kind = answers.first().and_then(|link| field(link, 2));
        Ok(kind.map(u16::from_ne_bytes) == Some(ARPHRD_ETHER))
    }

    /// Interfaces that have a queueing discipline where clsact would stand, and its kind.
    pub(crate) fn disciplines(&self) -> io::Result<Vec<(u32, String)>> {
        // All of them are asked for: older kernels answer a question for one by telling everybody but who asked.
        let message = Message::new(RTM_GETQDISC, &header(0, 0, 0, 0));
        let answers = self.0.ask(Question::All, &message)?;
        Ok(answers
            .iter()
            .filter(|answer| field(answer, 12).map(u32::from_ne_bytes) == Some(TC_H_CLSACT))
            .filter_map(|answer| Some((u32::from_ne_bytes(field(answer, 4)?), kind(answer)?)))
            .collect())
    }

    /// Adds clsact.
    pub(crate) fn add_clsact(&self, ifindex: u32) -> io::Result<()> {
        self.discipline_is(RTM_NEWQDISC, Question::Create, ifindex)
    }

    /// Removes clsact with all that is on it.
    pub(crate) fn delete_clsact(&self, ifindex: u32) -> io::Result<()> {
        self.discipline_is(RTM_DELQDISC, Question::One, ifindex)
    }

    fn discipline_is(&self, what: u16, question: Question, ifindex: u32) -> io::Result<()> {
        let message = Message::new(what, &header(ifindex, CLSACT_HANDLE, TC_H_CLSACT, 0))
            .with(TCA_KIND, b"clsact\0");
        self.0.ask(question, &message).map(drop)
    }

    /// The filters of one side, in the order in which frames meet them.
    pub(crate) fn filters(&self, ifindex: u32, direction: Direction) -> io::Result<Vec<Filter>> {
        let message = Message::new(RTM_GETTFILTER, &header(ifindex, 0, direction.parent(), 0));
        let answers = self.0.ask(Question::All, &message)?;
        Ok(answers.iter().filter_map(|answer| filter(answer)).collect())
    }

    /// Adds `program` under this name, before the others of the same priority.
    pub(crate) fn add_filter(
        &self,
        ifindex: u32,
        direction: Direction,
        priority: u16,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> io::Result<()> {
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        let mut options = Vec::new();
        push(&mut options, TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes());
        push(&mut options, TCA_BPF_NAME, &text);
        push(
            &mut options,
            TCA_BPF_FLAGS,
            &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes(),
        );
        push(
            &mut options,
            TCA_BPF_FLAGS_GEN,
            &TCA_CLS_FLAGS_SKIP_HW.to_ne_bytes(),
        );
        let info = info(priority, ETH_P_ALL);
        // The kernel chooses a handle that is free.
        let message = Message::new(
            RTM_NEWTFILTER,
            &header(ifindex, 0, direction.parent(), info),
        )
        .with(TCA_KIND, b"bpf\0")
        .with(TCA_OPTIONS, &options);
        self.0.ask(Question::Create, &message).map(drop)
    }

    /// Removes this filter and no other.
    pub(crate) fn delete_filter(
        &self,
        ifindex: u32,
        direction: Direction,
        filter: &Filter,
    ) -> io::Result<()> {
        let info = info(filter.priority, filter.protocol);
        let mut kind = filter.kind.as_bytes().to_vec();
        kind.push(0);
        let message = Message::new(
            RTM_DELTFILTER,
            &header(ifindex, filter.handle, direction.parent(), info),
        )
        .with(TCA_KIND, &kind);
        self.0.ask(Question::One, &message).map(drop)
    }
}

/// The first priority at which a program for all frames may stand. The kernel keeps one kind of filter and one protocol
/// at each.
pub(crate) fn first_priority(filters: &[Filter]) -> u16 {
    (1..=u16::MAX)
        .find(|priority| {
            filters
                .iter()
                .filter(|filter| filter.priority == *priority)
                .all(|filter| filter.kind == "bpf" && filter.protocol == ETH_P_ALL)
        })
        .unwrap_or(u16::MAX)
}

/// `struct tcmsg`
fn header(ifindex: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    bytes[8..12].copy_from_slice(&handle.to_ne_bytes());
    bytes[12..16].copy_from_slice(&parent.to_ne_bytes());
    bytes[16..20].copy_from_slice(&info.to_ne_bytes());
    bytes
}

fn info(priority: u16, protocol: u16) -> u32 {
    u32::from(priority) << 16 | u32::from(protocol.to_be())
}

fn kind(answer: &[u8]) -> Option<String> {
    attributes(answer.get(20..)?).find_map(|(kind, value)| (kind == TCA_KIND).then(|| text(value)))
}

/// `None` for the head of a priority, which is no filter itself.
fn filter(answer: &[u8]) -> Option<Filter> {
    let handle = u32::from_ne_bytes(field(answer, 8)?);
    let info = u32::from_ne_bytes(field(answer, 16)?);
    let options = attributes(answer.get(20..)?)
        .find_map(|(kind, value)| (kind == TCA_OPTIONS).then_some(value))?;
    let [high, low] = [(info >> 16) & 0xffff, info & 0xffff].map(|half| u16::try_from(half).ok());
    let mut filter = Filter {
        handle,
        priority: high?,
        protocol: u16::from_be(low?),
        kind: kind(answer)?,
        ..Filter::default()
    };
    if filter.kind == "bpf" {
        for (kind, value) in attributes(options) {
            match kind {
                TCA_BPF_NAME => filter.name = Some(text(value)),
                TCA_BPF_ID => filter.program = field(value, 0).map(u32::from_ne_bytes),
                _ => {}
            }
        }
    }
    Some(filter)
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(priority: u16, kind: &str, protocol: u16) -> Filter {
        Filter {
            priority,
            protocol,
            kind: kind.into(),
            ..Filter::default()
        }
    }

    #[test]
    fn the_first_priority_is_the_first_that_is_free_or_has_programs_for_all_frames() {
        assert_eq!(first_priority(&[]), 1);
        assert_eq!(first_priority(&[at(1, "bpf", ETH_P_ALL)]), 1);
        let mut others = vec![at(1, "u32", 0x0800)];
        assert_eq!(first_priority(&others), 2);
        others.push(at(2, "bpf", 0x0800));
        assert_eq!(first_priority(&others), 3);
        assert_eq!(first_priority(&[at(2, "u32", ETH_P_ALL)]), 1);
    }
}
