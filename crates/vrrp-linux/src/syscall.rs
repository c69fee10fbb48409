//! The system calls that no safe library offers the way the sockets need them.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmsg with control data, and scheduling have no safe interface"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes of C structures and constants of the system call interface fit its types"
)]

use std::ffi::CString;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use socket2::{SockAddr, Socket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::socket::Ipv6Info;

/// Datagrams read and frames sent by one system call.
pub(crate) const BATCH: usize = 64;
/// Longest message we look at; VRRPv2 with 255 addresses has 1,056 bytes. The rest of a longer one is cut off, and its
/// length is then wrong.
const MESSAGE: usize = 2048;
/// Room for IPV6_PKTINFO and IPV6_HOPLIMIT.
const CONTROL: usize = 128;

/// Buffers for one call of recvmmsg, used again and again.
pub struct Batch {
    messages: Box<[[u8; MESSAGE]; BATCH]>,
    controls: Box<[Control; BATCH]>,
    names: Box<[libc::sockaddr_in6; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
    vectors: Box<[libc::iovec; BATCH]>,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// A received datagram.
pub(crate) struct Received<'a> {
    /// As the socket delivers it: IPv4 with its header, IPv6 without.
    pub(crate) bytes: &'a [u8],
    /// Source, destination and hop limit, on an IPv6 socket.
    pub(crate) ipv6: Option<Ipv6Info>,
}

impl Default for Batch {
    fn default() -> Self {
        // SAFETY: all of these are plain data for which zeros are valid.
        let (names, headers, vectors) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        Self {
            messages: written(),
            controls: Box::new([Control([0; CONTROL]); BATCH]),
            names: Box::new(names),
            headers: Box::new(headers),
            vectors: Box::new(vectors),
        }
    }
}

/// Room that was written to once. Zeros would be the kernel's, which gives the memory for them when a packet waits; and an
/// array on its way into a box leaves as much of the stack in use for good.
fn written() -> Box<[[u8; MESSAGE]; BATCH]> {
    let messages = vec![[u8::MAX; MESSAGE]; BATCH].into_boxed_slice();
    messages
        .try_into()
        .unwrap_or_else(|_| unreachable!("it was made as long as this"))
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}

// SAFETY: the pointers in `headers` and `vectors` point into this value's own boxes and are written anew before each use.
unsafe impl Send for Batch {}

impl Batch {
    /// Datagrams it takes.
    pub(crate) const SIZE: usize = BATCH;

    /// Fills the batch from `fd` without blocking; the number of datagrams, 0 when none is queued.
    pub(crate) fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        for slot in 0..BATCH {
            self.vectors[slot] = libc::iovec {
                iov_base: self.messages[slot].as_mut_ptr().cast(),
                iov_len: MESSAGE,
            };
            let header = &mut self.headers[slot].msg_hdr;
            header.msg_name = (&raw mut self.names[slot]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[slot];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[slot].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
            header.msg_flags = 0;
        }
        loop {
            // SAFETY: each header points to buffers of the stated lengths that live in `self` and are not moved.
            let count = unsafe {
                libc::recvmmsg(
                    fd,
                    self.headers.as_mut_ptr(),
                    BATCH as libc::c_uint,
                    libc::MSG_DONTWAIT,
                    ptr::null_mut(),
                )
            };
            if let Ok(count) = usize::try_from(count) {
                return Ok(count);
            }
            match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                error => return Err(error),
            }
        }
    }

    /// The datagram in this slot of those that the last call filled.
    pub(crate) fn get(&self, slot: usize) -> Received<'_> {
        let length = usize::try_from(self.headers[slot].msg_len)
            .unwrap_or(0)
            .min(MESSAGE);
        Received {
            bytes: &self.messages[slot][..length],
            ipv6: self.ipv6_info(slot),
        }
    }

    fn ipv6_info(&self, slot: usize) -> Option<Ipv6Info> {
        let name = &self.names[slot];
        if i32::from(name.sin6_family) != libc::AF_INET6 {
            return None;
        }
        let (mut destination, mut hop_limit) = (None, None);
        let header = &raw const self.headers[slot].msg_hdr;
        // SAFETY: the header was filled by the kernel; its control data lies in `self.controls[slot]`, aligned, and the
        // CMSG functions stay within msg_controllen. Data is read without assuming its alignment.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(header);
            while !message.is_null() {
                match ((*message).cmsg_level, (*message).cmsg_type) {
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                        let info = libc::CMSG_DATA(message)
                            .cast::<libc::in6_pktinfo>()
                            .read_unaligned();
                        destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                        let value = libc::CMSG_DATA(message)
                            .cast::<libc::c_int>()
                            .read_unaligned();
                        hop_limit = u8::try_from(value).ok();
                    }
                    _ => {}
                }
                message = libc::CMSG_NXTHDR(header, message);
            }
        }
        Some((
            Ipv6Addr::from(name.sin6_addr.s6_addr),
            destination?,
            hop_limit?,
        ))
    }
}

/// Asks for a large receive queue, beyond the system's limit where that is allowed.
pub(crate) fn set_receive_buffer(socket: &Socket, bytes: usize) {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    if set_option(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        &value,
    )
    .is_err()
    {
        // Without CAP_NET_ADMIN the system's limit applies, which only shortens the queue.
        let _ = socket.set_recv_buffer_size(bytes);
    }
}

/// Control traffic goes before everything else in the queues of the interface.
pub(crate) fn set_priority(socket: &Socket) -> io::Result<()> {
    const TC_PRIO_CONTROL: libc::c_int = 7;
    set_option(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_PRIORITY,
        &TC_PRIO_CONTROL,
    )
}

/// Asks for destination and hop limit of each datagram.
pub(crate) fn receive_packet_info_v6(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    set_option(
        socket.as_raw_fd(),
        libc::IPPROTO_IPV6,
        libc::IPV6_RECVPKTINFO,
        &on,
    )?;
    set_option(
        socket.as_raw_fd(),
        libc::IPPROTO_IPV6,
        libc::IPV6_RECVHOPLIMIT,
        &on,
    )
}

/// Lets the kernel drop what `program` refuses.
pub(crate) fn attach_filter(
    socket: &impl AsRawFd,
    program: &[libc::sock_filter],
) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_ptr().cast_mut(),
    };
    set_option(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        &filter,
    )
}

/// Receives frames of this EtherType from the interface with this number.
pub(crate) fn bind_packet(socket: &Socket, index: u32, ether_type: u16) -> io::Result<()> {
    // SAFETY: zeros are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = ether_type.to_be();
    address.sll_ifindex = libc::c_int::try_from(index).unwrap_or(0);
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is valid for its length, and the kernel only reads it.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Receives ICMPv6 messages of this type only.
pub(crate) fn pass_only_icmpv6(socket: &Socket, kind: u8) -> io::Result<()> {
    const ICMPV6_FILTER: libc::c_int = 1;
    // A set bit blocks the type.
    let mut blocked = [u32::MAX; 8];
    blocked[usize::from(kind >> 5)] &= !(1 << (kind & 31));
    set_option(
        socket.as_raw_fd(),
        libc::IPPROTO_ICMPV6,
        ICMPV6_FILTER,
        &blocked,
    )
}

fn set_option<T: Copy>(
    fd: RawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: `value` points to `size_of::<T>()` readable bytes for the duration of the call.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sends `message` to `to` with this source address, out of the interface with this number.
pub(crate) fn send_from(
    socket: &Socket,
    source: IpAddr,
    index: u32,
    to: &SockAddr,
    message: &[u8],
) -> io::Result<()> {
    let mut control = Control([0; CONTROL]);
    let vector = libc::iovec {
        iov_base: message.as_ptr().cast_mut().cast(),
        iov_len: message.len(),
    };
    // SAFETY: zeros are a valid msghdr. The control data is written within `control`, whose size CMSG_SPACE of either
    // structure does not exceed; all pointers outlive the call, and sendmsg writes through none of them.
    let sent = unsafe {
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
        header.msg_iov = (&raw const vector).cast_mut();
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        match source {
            IpAddr::V4(source) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: libc::c_int::try_from(index).unwrap_or(0),
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from(source).to_be(),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                put_control(&mut header, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            IpAddr::V6(source) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: source.octets(),
                    },
                    ipi6_ifindex: index,
                };
                put_control(&mut header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
        libc::sendmsg(
            socket.as_raw_fd(),
            &raw const header,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// # Safety
/// `header.msg_control` must point to at least `CMSG_SPACE(size_of::<T>())` zeroed bytes, aligned for a cmsghdr.
unsafe fn put_control<T>(
    header: &mut libc::msghdr,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) {
    // SAFETY: by the caller's promise the first control message and its data lie within the buffer.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(size_of::<T>() as libc::c_uint) as usize;
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<T>() as libc::c_uint) as usize;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
}

/// Sends frames, each on the interface with its number, and returns how many the kernel took.
pub(crate) fn send_frames<'a>(
    socket: &Socket,
    frames: impl Iterator<Item = (u32, &'a [u8])>,
) -> io::Result<usize> {
    // SAFETY: all of these are plain data for which zeros are valid.
    let (mut addresses, mut vectors, mut headers): (
        [libc::sockaddr_ll; BATCH],
        [libc::iovec; BATCH],
        [libc::mmsghdr; BATCH],
    ) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
    let mut count: libc::c_uint = 0;
    let slots = addresses.iter_mut().zip(&mut vectors).zip(&mut headers);
    for ((index, frame), ((address, vector), header)) in frames.zip(slots) {
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_ifindex = libc::c_int::try_from(index).unwrap_or(0);
        vector.iov_base = frame.as_ptr().cast_mut().cast();
        vector.iov_len = frame.len();
        header.msg_hdr.msg_name = (&raw mut *address).cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` headers point to an address, a vector and a frame that outlive the call; the kernel only
    // reads those, and writes lengths into the headers.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Asks the interface with this number to let in frames to `mac` as well, or no longer, for as long as the packet socket
/// lives.
pub(crate) fn let_in(socket: &Socket, index: u32, mac: [u8; 6], on: bool) -> io::Result<()> {
    let mut address = [0; 8];
    address[..mac.len()].copy_from_slice(&mac);
    let membership = libc::packet_mreq {
        mr_ifindex: libc::c_int::try_from(index).unwrap_or(0),
        mr_type: libc::PACKET_MR_UNICAST as libc::c_ushort,
        mr_alen: mac.len() as libc::c_ushort,
        mr_address: address,
    };
    let option = if on {
        libc::PACKET_ADD_MEMBERSHIP
    } else {
        libc::PACKET_DROP_MEMBERSHIP
    };
    set_option(socket.as_raw_fd(), libc::SOL_PACKET, option, &membership)
}

/// The descriptor that a control message carried.
///
/// To be called once for each descriptor in a message that was just received.
pub(crate) fn received(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The descriptor that was left open under this number for the program that this process has become. It is not left open
/// for another one.
///
/// To be called once for each number that somebody named.
pub(crate) fn left_open(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a number that is no descriptor is refused with an error; the others only get a flag.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and was left to us by its number, so that nobody else in this process closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Numbers in a file in memory: shared with whoever else has the file, and still there when this process is not.
#[derive(Debug)]
pub(crate) struct SharedNumbers {
    memory: NonNull<AtomicU64>,
    count: usize,
    file: OwnedFd,
}

// SAFETY: the memory belongs to no thread, and is reached through atomic operations only.
unsafe impl Send for SharedNumbers {}

impl SharedNumbers {
    /// The first `count` numbers in `file`, which is never shortened.
    ///
    /// # Errors
    /// When the file is shorter than that, or there is no room for it in memory.
    pub(crate) fn of(file: OwnedFd, count: usize) -> io::Result<Self> {
        let length = count * size_of::<AtomicU64>();
        // To reach behind the end of a file would kill us.
        let size = nix::sys::stat::fstat(&file)?.st_size;
        if length == 0 || usize::try_from(size).map_or(true, |size| size < length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // SAFETY: a new shared mapping at an address of the kernel's choice touches no memory that is in use.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(address.cast())
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
        Ok(Self {
            memory,
            count,
            file,
        })
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is aligned to pages, has `count` numbers for as long as `self` lives, and everybody reaches it
        // through atomics.
        unsafe { slice::from_raw_parts(self.memory.as_ptr(), self.count) }
    }
}

impl AsFd for SharedNumbers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for SharedNumbers {
    fn drop(&mut self) {
        let length = self.count * size_of::<AtomicU64>();
        // SAFETY: mapped by `of` with this length, and no reference outlives `self`.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), length) };
    }
}

/// How a thread is scheduled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheduling {
    /// A share of the processor that the kernel has promised, before everything of real time.
    Deadline,
    /// Real time, first in first out.
    Fifo,
    /// Nice value −20.
    Nice,
    /// Like everybody.
    Normal,
}

impl Scheduling {
    /// The word used in status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Fifo => "fifo",
            Self::Nice => "nice",
            Self::Normal => "normal",
        }
    }
}

/// Real-time priority of the engine's thread: advertisements come before everything.
pub(crate) const ENGINE_PRIORITY: libc::c_int = 50;

/// Real-time priority of the kernel thread: an address that comes late is an outage as well.
pub(crate) const KERNEL_PRIORITY: libc::c_int = 40;

/// Gives the calling thread, the engine's, the best scheduling it is allowed to have. Children do not inherit it.
///
/// The kernel keeps the real-time classes from taking a processor for themselves, all of them together: beside somebody
/// else's real-time loop, a thread of the highest priority stands still for a part of each second. Not so one with a
/// deadline.
#[must_use]
pub(crate) fn schedule_engine() -> Scheduling {
    const MILLISECOND: u64 = 1_000_000;
    let share = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_DEADLINE as u32,
        sched_flags: libc::SCHED_FLAG_RESET_ON_FORK as u64,
        sched_nice: 0,
        sched_priority: 0,
        // What it hardly ever uses, at the shortest interval there is. Beyond that it waits for the next period.
        sched_runtime: 8 * MILLISECOND,
        sched_deadline: 10 * MILLISECOND,
        sched_period: 10 * MILLISECOND,
    };
    // SAFETY: `share` is valid for the call, which concerns the calling thread only.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const share, 0) } == 0 {
        return Scheduling::Deadline;
    }
    schedule_first(ENGINE_PRIORITY)
}

/// Gives the calling thread the best scheduling with this priority it is allowed to have. Children do not inherit it.
#[must_use]
pub(crate) fn schedule_first(priority: libc::c_int) -> Scheduling {
    schedule(priority, libc::SCHED_RESET_ON_FORK)
}

/// The same; children do inherit it.
pub(crate) fn schedule_family_first(priority: libc::c_int) -> Scheduling {
    schedule(priority, 0)
}

fn schedule(priority: libc::c_int, flags: libc::c_int) -> Scheduling {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `parameters` is valid for the call, which concerns the calling thread only.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | flags, &raw const parameters) } == 0
    {
        return Scheduling::Fifo;
    }
    // SAFETY: no pointers. On Linux a process identifier of 0 means the calling thread here.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) } == 0 {
        return Scheduling::Nice;
    }
    Scheduling::Normal
}

/// Does something with the scheduling of everybody, on a thread that has this priority.
pub(crate) fn as_everybody<T>(priority: libc::c_int, work: impl FnOnce() -> T) -> T {
    schedule_normally(0);
    let done = work();
    let _ = schedule_first(priority);
    done
}

/// Does something with the engine's priority, as far as it is allowed, and leaves the calling thread as it was.
///
/// For what has the lock of the process's memory, or of its allocator: whoever has it and waits for a processor behind others
/// keeps the engine waiting with it, whatever the engine's own priority is.
pub(crate) fn ahead_of_others<T>(work: impl FnOnce() -> T) -> T {
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` is valid for the call; the rest has no pointers. On Linux 0 means the calling thread here.
    let (policy, nice) = unsafe {
        libc::sched_getparam(0, &raw mut parameters);
        (
            libc::sched_getscheduler(0),
            libc::getpriority(libc::PRIO_PROCESS, 0),
        )
    };
    let _ = schedule_family_first(ENGINE_PRIORITY);
    let done = work();
    // SAFETY: `parameters` is valid for the call, which concerns the calling thread only, as the next one does.
    unsafe {
        libc::sched_setscheduler(0, policy, &raw const parameters);
        libc::setpriority(libc::PRIO_PROCESS, 0, nice);
    }
    done
}

/// Gives the calling thread, and those that it starts, the scheduling that everybody has, with this nice value if it may.
pub(crate) fn schedule_normally(nice: libc::c_int) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameters` is valid for the call, which concerns the calling thread only.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) };
    // SAFETY: no pointers. On Linux a process identifier of 0 means the calling thread here.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

/// Highest capability that the kernel may know.
const LAST_CAPABILITY: u32 = 63;

/// Version 3 of the interface, which has 64 bits in two halves.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Keeps those capabilities of the calling thread that are in `mask`. Those that it does not have are none.
pub(crate) fn keep_capabilities(mask: u64) {
    let _ = reduce_capabilities(mask, false);
}

/// Sees to it that the calling thread, and what it starts, never have other capabilities than those in `mask`; whether it may.
/// Makes system calls only.
pub(crate) fn bound_capabilities(mask: u64) -> bool {
    for capability in (0..=LAST_CAPABILITY).filter(|number| mask & (1 << number) == 0) {
        // To ask costs next to nothing, and of most there is nothing left. Numbers that the kernel does not know are refused.
        // SAFETY: no pointers.
        let there = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) };
        // SAFETY: no pointers.
        if there == 1 && unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            return false;
        }
    }
    true
}

fn reduce_capabilities(mask: u64, inheritable: bool) -> io::Result<()> {
    let mut header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let mut halves = [CapabilityHalf {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    }; 2];
    // SAFETY: both structures are as the kernel expects them, and live as long as the call.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    for (half, shift) in halves.iter_mut().zip([0, 32]) {
        half.permitted &= (mask >> shift) as u32;
        half.effective = half.permitted;
        half.inheritable = if inheritable { half.permitted } else { 0 };
    }
    // SAFETY: as above; the kernel reads only.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Everything that a new process needs to become a program, laid out before there is one: it has no memory of its own yet.
struct Becoming<'a> {
    program: *const libc::c_char,
    arguments: *const *const libc::c_char,
    environment: *const *const libc::c_char,
    /// Standard input, output and error.
    pipes: [RawFd; 3],
    identity: Option<&'a crate::child::Identity>,
    kept: u64,
    parent: libc::pid_t,
    /// Why it could not.
    error: AtomicI32,
}

/// Room for what the new process does before it is a program.
const BECOMING: usize = 64 * 1024;

/// Starts the program `words[0]` with these words and this environment, and `pipes` as its standard input, output and error, in a
/// process group of its own. See [`crate::child::start`] for what it may do.
///
/// The new process borrows this one's memory until it is a program, and the calling thread stands still for that time: to copy the
/// page tables and to fault all pages in again took longer than all the rest, two hundred times a second.
pub(crate) fn start(
    words: &[CString],
    environment: &[CString],
    pipes: [BorrowedFd<'_>; 3],
    identity: Option<&crate::child::Identity>,
    kept: u64,
) -> io::Result<(libc::pid_t, OwnedFd)> {
    let list = |all: &[CString]| -> Vec<*const libc::c_char> {
        let words = all.iter().map(|word| word.as_ptr());
        words.chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (list(words), list(environment));
    let Some(program) = words.first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut becoming = Becoming {
        program: program.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        pipes: pipes.map(|pipe| pipe.as_raw_fd()),
        identity,
        kept,
        parent: std::process::id().cast_signed(),
        error: AtomicI32::new(0),
    };
    let mut stack = Vec::<u128>::with_capacity(BECOMING / size_of::<u128>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let mut pidfd: RawFd = -1;
    // A handler of ours must not run in a process that has our memory, so that no signal gets there before the program.
    // SAFETY: the sets are initialised by the calls. The stack grows down from its end, is aligned, and lives until the process
    // has become a program or has ended, as does all that it is given: CLONE_VFORK keeps this thread waiting until then.
    let pid = unsafe {
        let (mut all, mut before) = mem::zeroed::<(libc::sigset_t, libc::sigset_t)>();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let pid = libc::clone(
            become_program,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            (&raw mut becoming).cast(),
            &raw mut pidfd,
        );
        let failed = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        if pid < 0 {
            return Err(failed);
        }
        pid
    };
    // SAFETY: the kernel has just made it for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    match becoming.error.load(Ordering::Relaxed) {
        0 => Ok((pid, pidfd)),
        error => {
            // It has ended.
            // SAFETY: no pointers but one that may be absent.
            unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

/// Lets the runtime of the calling thread tell when there is something to be read.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: whoever owns a descriptor keeps it open.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }
        .map_err(io::Error::from)
}

/// The whole life of a process before it is a program. It makes system calls only: its memory belongs to a process with other
/// threads, and what the C library remembers there is theirs.
extern "C" fn become_program(becoming: *mut libc::c_void) -> libc::c_int {
    // SAFETY: that is what `start` hands over, which waits.
    let becoming = unsafe { &*becoming.cast::<Becoming<'_>>() };
    let error = match change_into(becoming) {
        // SAFETY: strings and lists end with a zero, and live as long as this process has their memory.
        Ok(()) => unsafe {
            libc::execvpe(becoming.program, becoming.arguments, becoming.environment);
            io::Error::last_os_error()
        },
        Err(error) => error,
    };
    let number = error.raw_os_error().unwrap_or(libc::EINVAL);
    becoming.error.store(number, Ordering::Relaxed);
    127
}

/// What the new process does before it becomes the program.
fn change_into(becoming: &Becoming<'_>) -> io::Result<()> {
    let check = |result: libc::c_long| {
        if result == -1 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    // SAFETY: no pointers.
    check(unsafe { libc::setpgid(0, 0) }.into())?;
    for (number, pipe) in (0..).zip(becoming.pipes) {
        // SAFETY: no pointers. None of the three is one of the first three, which a process of Rust always has.
        check(unsafe { libc::dup2(pipe, number) }.into())?;
    }
    // SAFETY: the string ends with a zero.
    check(unsafe { libc::chdir(c"/".as_ptr()) }.into())?;
    // What must not be had cannot be had again, also by a program that is root or becomes it. Who has no right to see to that may
    // gain nothing at all.
    if !bound_capabilities(becoming.kept) {
        // SAFETY: no pointers.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    }
    if let Some(identity) = becoming.identity {
        // Capabilities are to be chosen below, and not lost with the user.
        // SAFETY: no pointers.
        check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }.into())?;
        // The C library's own would change all threads of the process whose memory this is.
        let (user, group) = (identity.user, identity.group);
        // SAFETY: the list is as long as is said.
        check(unsafe {
            libc::syscall(
                libc::SYS_setgroups,
                identity.groups.len(),
                identity.groups.as_ptr(),
            )
        })?;
        // SAFETY: no pointers.
        check(unsafe { libc::syscall(libc::SYS_setresgid, group, group, group) })?;
        // SAFETY: no pointers.
        check(unsafe { libc::syscall(libc::SYS_setresuid, user, user, user) })?;
    }
    reduce_capabilities(becoming.kept, true)?;
    for capability in (0..=LAST_CAPABILITY).filter(|number| becoming.kept & (1 << number) != 0) {
        // What was not there cannot be left to it, and it will say so itself.
        // SAFETY: no pointers.
        let _ = unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE,
                capability,
                0,
                0,
            )
        };
    }
    // After the change of the user, which would undo it.
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }.into())?;
    // SAFETY: no pointers.
    if unsafe { libc::getppid() } != becoming.parent {
        // It ended before that.
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // Handlers do not outlive this, but what is ignored or blocked would stay so.
    // SAFETY: both structures are initialised; those that the C library keeps for itself are refused.
    unsafe {
        let mut default: libc::sigaction = mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=libc::SIGRTMAX() {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        let mut none = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
    Ok(())
}

/// Returns to the system what was allocated for a while and is free now, where the allocator would keep it, and the program's
/// text: half of what was read of it was read once, by the start or by a reload, and what is needed comes back as it is needed,
/// out of the page cache. What is locked in memory cannot be returned, so that it is not locked for this moment.
pub(crate) fn give_back() {
    let exempt = is_exempt_from_lock_limit();
    ahead_of_others(|| {
        // SAFETY: no pointers.
        let unlocked = exempt && unsafe { libc::munlockall() } == 0;
        #[cfg(target_env = "gnu")]
        // SAFETY: no pointers; the allocator locks itself.
        unsafe {
            libc::malloc_trim(0);
        }
        if unlocked {
            let _ = forget_text();
            lock_all_memory();
        }
    });
}

/// Takes the pages of this program's text out of this process.
///
/// # Errors
/// They stay: the kernel says of no mapping that it is this program's text, or does not take it away.
fn forget_text() -> io::Result<()> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let text = maps.lines().filter_map(|line| text_of(line, &program));
    for range in text {
        // SAFETY: the range is a private mapping of a file that nobody has ever written to, since it is not writable; its pages
        // are read from the file again.
        let outcome = unsafe {
            libc::madvise(
                ptr::with_exposed_provenance_mut(range.start),
                range.len(),
                libc::MADV_DONTNEED,
            )
        };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The addresses that a line of `/proc/self/maps` speaks of, if it is of a text of `program`.
fn text_of(line: &str, program: &Path) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_text = words.next()? == "r-xp" && line.ends_with(program.to_str()?);
    let number = |text| usize::from_str_radix(text, 16).ok();
    is_text.then_some(number(start)?..number(end)?)
}

/// Keeps what this process uses in memory from being paged out: a machine that is short of memory must not make the
/// engine wait for a disk. What is not used yet takes none. Whether it is allowed to.
#[must_use]
pub(crate) fn lock_memory() -> bool {
    // Under a limit, memory that is locked later would be refused, and a process that is refused memory dies.
    is_exempt_from_lock_limit() && ahead_of_others(lock_all_memory)
}

fn lock_all_memory() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) == 0 }
}

/// Whether this process may lock as much memory as it likes.
fn is_exempt_from_lock_limit() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    capabilities.is_some_and(|mask| mask & (1 << CAP_IPC_LOCK) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> libc::c_int {
        // SAFETY: no pointers. 0 is the calling thread.
        unsafe { libc::sched_getscheduler(0) & !libc::SCHED_RESET_ON_FORK }
    }

    #[test]
    fn the_text_of_this_program_goes_and_comes_back() {
        let resident = || -> u64 {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let program = std::fs::read_link("/proc/self/exe").unwrap();
            let mut lines = maps.lines();
            lines
                .find(|line| text_of(line, &program).is_some())
                .unwrap();
            let size = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
            size.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let before = resident();
        forget_text().unwrap();
        let after = resident();
        // Other tests run, and take what they need.
        assert!(after < before, "{before} kB, then {after} kB");
    }

    #[test]
    fn only_what_nobody_can_write_to_is_text() {
        let program = Path::new("/usr/sbin/vrrpd");
        let text = |line| text_of(line, program);
        assert_eq!(
            text(
                "55d0c0000000-55d0c0002000 r-xp 00001000 08:01 42                 /usr/sbin/vrrpd"
            ),
            Some(0x55d0_c000_0000..0x55d0_c000_2000)
        );
        for other in [
            "55d0c0000000-55d0c0002000 r--p 00001000 08:01 42                 /usr/sbin/vrrpd",
            "55d0c0000000-55d0c0002000 rwxp 00001000 08:01 42                 /usr/sbin/vrrpd",
            "55d0c0000000-55d0c0002000 r-xp 00001000 08:01 42                 /usr/lib/libc.so.6",
            "7ffd000-7ffe000 r-xp 00000000 00:00 0                            [vdso]",
            "",
        ] {
            assert_eq!(text(other), None, "{other}");
        }
    }

    /// Two threads of a real-time class that wrote an IPv6 setting, for which the kernel tries again until it has its
    /// routing lock, kept both processors from whoever had that lock for ten minutes.
    #[test]
    fn what_is_done_as_everybody_has_no_real_time_priority() {
        let scheduling = schedule_first(KERNEL_PRIORITY);
        let before = policy();
        assert_eq!(before == libc::SCHED_FIFO, scheduling == Scheduling::Fifo);
        assert_eq!(as_everybody(KERNEL_PRIORITY, policy), libc::SCHED_OTHER);
        assert_eq!(policy(), before);
    }

    /// A trace of a starved machine had an engine with a deadline wait for milliseconds: `mlockall` of an ordinary thread had the
    /// memory's lock and no processor.
    #[test]
    fn what_is_done_ahead_of_others_has_the_priority_of_the_engine_and_then_none() {
        let standing = || {
            // SAFETY: no pointers. 0 is the calling thread.
            unsafe {
                (
                    libc::sched_getscheduler(0),
                    libc::getpriority(libc::PRIO_PROCESS, 0),
                )
            }
        };
        std::thread::spawn(move || {
            schedule_normally(-5);
            let before = standing();
            let (inside, nice) = ahead_of_others(standing);
            assert_eq!(standing(), before);
            // Whoever may not have a real-time priority has the best there is.
            let allowed = schedule_family_first(ENGINE_PRIORITY);
            assert_eq!(inside == libc::SCHED_FIFO, allowed == Scheduling::Fifo);
            assert!(inside == libc::SCHED_FIFO || nice <= before.1);
        })
        .join()
        .unwrap();
    }
}
