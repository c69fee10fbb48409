//! Transactions of nftables: tables of family netdev, with what the fence needs in them.
//!
//! Written by hand and not handed to `nft`: its language cannot say all of this, differs between versions, and to start a
//! program takes longer than everything that it would do.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_packet_core::{NLA_F_NESTED, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use vrrp_proto::types::MacAddress;

use super::{DATAGRAM, REQUEST_BUFFER, Refusal, TableFamily, decode, messages, open, receive};

// Numbers from the kernel's uapi headers: `linux/netfilter.h`, `linux/netfilter/nfnetlink.h`,
const NF_DROP: i32 = 0;
const NF_ACCEPT: i32 = 1;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
// `linux/netfilter/nf_tables.h`
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_HOOK_DEV: u16 = 3;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFT_GOTO: i32 = -4;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_1: u32 = 1;
const NFT_PAYLOAD_LL_HEADER: u32 = 0;
const NFT_CMP_EQ: u32 = 0;
const NFT_CMP_NEQ: u32 = 1;
const NFT_LOOKUP_F_INV: u32 = 1;
const NFT_DYNSET_OP_UPDATE: u32 = 1;
const NFT_SET_TIMEOUT: u32 = 0x10;
const NFT_SET_EVAL: u32 = 0x20;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DESC: u16 = 9;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_DESC_SIZE: u16 = 1;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_TIMEOUT: u16 = 4;

/// Elements that a set has room for: more than there can be, as one that has ended keeps its place until it is collected.
const ROOM: u32 = 4096;

/// To `nft`, the keys are numbers: whatever it takes for a MAC address, it reads with a condition that no frame meets which
/// goes out.
const TYPE_INTEGER: u32 = 4;

/// Where a chain sees frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::kernel) enum Hook {
    /// As they come in, before all other chains.
    Ingress,
    /// Before they go out, after the queue of a packet socket and before the queue of the interface.
    Egress,
}

/// A step of a rule: if it does not apply, the rule ends.
#[derive(Clone, Debug)]
pub(in crate::kernel) enum Term<'a> {
    /// So many bytes of the frame, at this place, are looked at from now on.
    Bytes(u32, u32),
    /// Only these bits of them, and these others set.
    Masked(&'a [u8], &'a [u8]),
    /// They are this.
    Are(&'a [u8]),
    /// They are not this.
    AreNot(&'a [u8]),
    /// They are in this set.
    In(&'a str),
    /// They are not in this set.
    NotIn(&'a str),
    /// They are put into this set, or stay in it, for so long from now.
    Renew(&'a str, Duration),
    /// The frame passes.
    Accept,
    /// The frame is dropped.
    Drop,
    /// The rules of this chain decide.
    Goto(&'a str),
}

/// Changes to one table of family netdev which become true together, or not at all.
#[derive(Debug)]
pub(in crate::kernel) struct Transaction {
    table: String,
    bytes: Vec<u8>,
    sequence: u32,
    sets: u32,
    /// Where the last message begins.
    last: usize,
}

impl Transaction {
    pub(in crate::kernel) fn new(table: &str) -> Self {
        let mut transaction = Self {
            table: table.to_owned(),
            bytes: Vec::new(),
            sequence: 0,
            sets: 0,
            last: 0,
        };
        transaction.bracket(NFNL_MSG_BATCH_BEGIN);
        transaction
    }

    /// Makes the table, if it is not there.
    pub(in crate::kernel) fn add_table(&mut self) {
        self.message(NFT_MSG_NEWTABLE, NLM_F_CREATE, NFTA_TABLE_NAME, |_| {});
    }

    /// Takes the table away, which is there, with everything in it.
    pub(in crate::kernel) fn delete_table(&mut self) {
        self.message(NFT_MSG_DELTABLE, 0, NFTA_TABLE_NAME, |_| {});
    }

    /// Makes a set of MAC addresses. Those in one that is `timed` may leave it by themselves.
    pub(in crate::kernel) fn add_set(&mut self, name: &str, timed: bool) {
        self.sets += 1;
        let id = self.sets;
        self.message(NFT_MSG_NEWSET, NLM_F_CREATE, NFTA_SET_TABLE, |it| {
            it.text(NFTA_SET_NAME, name);
            let flags = if timed {
                NFT_SET_TIMEOUT | NFT_SET_EVAL
            } else {
                0
            };
            it.number(NFTA_SET_FLAGS, flags);
            it.number(NFTA_SET_KEY_TYPE, TYPE_INTEGER);
            it.number(NFTA_SET_KEY_LEN, 6);
            it.number(NFTA_SET_ID, id);
            it.nest(NFTA_SET_DESC, |it| it.number(NFTA_SET_DESC_SIZE, ROOM));
            it.bytes(NFTA_SET_USERDATA, &typeof_source());
        });
    }

    /// Puts addresses into a set, each with the time after which it leaves, if it does.
    pub(in crate::kernel) fn add(
        &mut self,
        set: &str,
        elements: impl IntoIterator<Item = (MacAddress, Option<Duration>)>,
    ) {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, elements);
    }

    /// Takes an address out of a set, whether it is there or not.
    pub(in crate::kernel) fn remove(&mut self, set: &str, mac: MacAddress) {
        // What is not there cannot be removed, and it may leave at any time.
        self.add(set, [(mac, None)]);
        self.elements(NFT_MSG_DELSETELEM, 0, set, [(mac, None)]);
    }

    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        set: &str,
        elements: impl IntoIterator<Item = (MacAddress, Option<Duration>)>,
    ) {
        self.message(kind, flags, NFTA_SET_ELEM_LIST_TABLE, |it| {
            it.text(NFTA_SET_ELEM_LIST_SET, set);
            it.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |it| {
                for (key, timeout) in elements {
                    it.nest(NFTA_LIST_ELEM, |it| {
                        it.value(NFTA_SET_ELEM_KEY, &key.0);
                        if let Some(timeout) = timeout {
                            it.time(NFTA_SET_ELEM_TIMEOUT, timeout);
                        }
                    });
                }
            });
        });
    }

    /// Makes a chain that others go to.
    pub(in crate::kernel) fn add_chain(&mut self, name: &str) {
        self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFTA_CHAIN_TABLE, |it| {
            it.text(NFTA_CHAIN_NAME, name);
        });
    }

    /// Makes a chain that frames of `interface` meet; lower priorities come first.
    pub(in crate::kernel) fn add_hooked(
        &mut self,
        name: &str,
        hook: Hook,
        priority: i32,
        interface: &str,
    ) {
        self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFTA_CHAIN_TABLE, |it| {
            it.text(NFTA_CHAIN_NAME, name);
            it.nest(NFTA_CHAIN_HOOK, |it| {
                it.number(NFTA_HOOK_HOOKNUM, hook as u32);
                it.number(NFTA_HOOK_PRIORITY, priority.cast_unsigned());
                it.text(NFTA_HOOK_DEV, interface);
            });
            it.number(NFTA_CHAIN_POLICY, NF_ACCEPT.cast_unsigned());
            it.text(NFTA_CHAIN_TYPE, "filter");
        });
    }

    /// Puts a rule at the end of a chain.
    pub(in crate::kernel) fn add_rule(&mut self, chain: &str, terms: &[Term<'_>]) {
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        self.message(NFT_MSG_NEWRULE, flags, NFTA_RULE_TABLE, |it| {
            it.text(NFTA_RULE_CHAIN, chain);
            it.nest(NFTA_RULE_EXPRESSIONS, |it| {
                let mut width = 0;
                for term in terms {
                    if let Term::Bytes(_, count) = term {
                        width = *count;
                    }
                    it.nest(NFTA_LIST_ELEM, |it| it.term(term, width));
                }
            });
        });
    }

    fn message(
        &mut self,
        kind: u16,
        flags: u16,
        table: u16,
        write: impl FnOnce(&mut Attributes<'_>),
    ) {
        let kind = (NFNL_SUBSYS_NFTABLES << 8) | kind;
        let name = self.table.clone();
        self.write(kind, flags, [TableFamily::Netdev as u8, 0, 0, 0], |it| {
            it.text(table, &name);
            write(it);
        });
    }

    /// The beginning or the end.
    fn bracket(&mut self, kind: u16) {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        self.write(kind, 0, [0, 0, high, low], |_| {});
    }

    fn write(
        &mut self,
        kind: u16,
        flags: u16,
        header: [u8; 4],
        write: impl FnOnce(&mut Attributes<'_>),
    ) {
        self.sequence += 1;
        self.last = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        let flags = flags | NLM_F_REQUEST;
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&self.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&header);
        write(&mut Attributes(&mut self.bytes));
        let length = self.bytes.len() - self.last;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.bytes[self.last..self.last + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// The whole of it, and the number of the last message, which asks for an acknowledgement.
    fn finish(mut self) -> (Vec<u8>, u32) {
        const FLAGS: usize = 6;
        let (at, asking) = (self.last + FLAGS, self.sequence);
        let flags = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]) | NLM_F_ACK;
        self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        self.bracket(NFNL_MSG_BATCH_END);
        (self.bytes, asking)
    }
}

/// `typeof @ll,48,48`, which `nft` writes into sets for itself: without it, it could not read what it shows.
fn typeof_source() -> Vec<u8> {
    fn piece(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
        [&[kind, length], value].concat()
    }
    let number = |kind, number: u32| piece(kind, &number.to_ne_bytes());
    const BIG_ENDIAN: u32 = 2;
    const PAYLOAD: u32 = 7;
    const LINK_LAYER: u32 = 1;
    let place = [(0, 0), (1, 0), (2, LINK_LAYER), (3, 48), (4, 48)];
    let place = place.map(|(kind, value)| number(kind, value)).concat();
    let expression = [number(0, PAYLOAD), piece(1, &place)].concat();
    [number(0, BIG_ENDIAN), piece(3, &expression)].concat()
}

/// The end of a message, which attributes are appended to.
struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    fn number(&mut self, kind: u16, number: u32) {
        self.bytes(kind, &number.to_be_bytes());
    }

    /// In milliseconds. None at all would be for ever.
    fn time(&mut self, kind: u16, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        self.bytes(kind, &millis.to_be_bytes());
    }

    fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.0.len();
        self.bytes(kind | NLA_F_NESTED, &[]);
        write(&mut Attributes(self.0));
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn value(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |it| it.bytes(NFTA_DATA_VALUE, value));
    }

    fn verdict(&mut self, kind: u16, code: i32, chain: Option<&str>) {
        self.nest(kind, |it| {
            it.nest(NFTA_DATA_VERDICT, |it| {
                it.number(NFTA_VERDICT_CODE, code.cast_unsigned());
                if let Some(chain) = chain {
                    it.text(NFTA_VERDICT_CHAIN, chain);
                }
            });
        });
    }

    fn expression(&mut self, name: &str, write: impl FnOnce(&mut Attributes<'_>)) {
        self.text(NFTA_EXPR_NAME, name);
        self.nest(NFTA_EXPR_DATA, write);
    }

    /// As an expression; `width` bytes are being looked at. The attributes of each kind have numbers of their own.
    fn term(&mut self, term: &Term<'_>, width: u32) {
        match term {
            Term::Bytes(place, count) => self.expression("payload", |it| {
                it.number(1, NFT_REG_1);
                it.number(2, NFT_PAYLOAD_LL_HEADER);
                it.number(3, *place);
                it.number(4, *count);
            }),
            Term::Masked(mask, set) => self.expression("bitwise", |it| {
                it.number(1, NFT_REG_1);
                it.number(2, NFT_REG_1);
                it.number(3, width);
                it.value(4, mask);
                it.value(5, set);
            }),
            Term::Are(value) => self.compare(NFT_CMP_EQ, value),
            Term::AreNot(value) => self.compare(NFT_CMP_NEQ, value),
            Term::In(set) => self.look_up(set, 0),
            Term::NotIn(set) => self.look_up(set, NFT_LOOKUP_F_INV),
            Term::Renew(set, time) => self.expression("dynset", |it| {
                it.text(1, set);
                it.number(3, NFT_DYNSET_OP_UPDATE);
                it.number(4, NFT_REG_1);
                it.time(6, *time);
            }),
            Term::Accept => self.decide(NF_ACCEPT, None),
            Term::Drop => self.decide(NF_DROP, None),
            Term::Goto(chain) => self.decide(NFT_GOTO, Some(chain)),
        }
    }

    fn compare(&mut self, operation: u32, value: &[u8]) {
        self.expression("cmp", |it| {
            it.number(1, NFT_REG_1);
            it.number(2, operation);
            it.value(3, value);
        });
    }

    fn look_up(&mut self, set: &str, flags: u32) {
        self.expression("lookup", |it| {
            it.text(1, set);
            it.number(2, NFT_REG_1);
            it.number(5, flags);
        });
    }

    fn decide(&mut self, code: i32, chain: Option<&str>) {
        self.expression("immediate", |it| {
            it.number(1, NFT_REG_VERDICT);
            it.verdict(2, code, chain);
        });
    }
}

/// The socket that transactions go through.
pub(in crate::kernel) struct Transactions {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Transactions {
    /// # Errors
    /// Among others, the kernel may be without nftables.
    pub(in crate::kernel) fn open() -> io::Result<Self> {
        let socket = open(NETLINK_NETFILTER, REQUEST_BUFFER)?;
        if setsockopt(&socket.as_fd(), sockopt::SndBufForce, &REQUEST_BUFFER).is_err() {
            let _ = setsockopt(&socket.as_fd(), sockopt::SndBuf, &REQUEST_BUFFER);
        }
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// By which the kernel says who changed something.
    pub(in crate::kernel) fn number(&self) -> Option<u32> {
        let mut address = SocketAddr::new(0, 0);
        self.socket.get_address(&mut address).ok()?;
        Some(address.port_number())
    }

    /// Does all of it, or nothing. Others may be at it, and are waited for.
    pub(in crate::kernel) fn commit(&mut self, transaction: Transaction) -> Result<(), Refusal> {
        let (bytes, asking) = transaction.finish();
        self.exchange(&bytes, asking)
            .unwrap_or_else(|error| Err(Refusal::of(&error)))
    }

    fn exchange(&mut self, bytes: &[u8], asking: u32) -> io::Result<Result<(), Refusal>> {
        // What somebody asked before has nothing to do with this.
        while receive(&self.socket, &mut self.buffer)?.is_some() {}
        self.socket.send(bytes, 0)?;
        let mut answer = None;
        // The kernel has answered when it returns. An error may be about any message, or about all of them.
        while receive(&self.socket, &mut self.buffer)?.is_some() {
            for message in messages(&self.buffer) {
                match decode::acknowledgement(&message) {
                    Some(refusal) if refusal.errno != 0 => return Ok(Err(refusal)),
                    Some(_) if message.sequence_number() == asking => answer = Some(()),
                    Some(_) | None => {}
                }
            }
        }
        answer
            .map(Ok)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOBUFS))
    }
}
