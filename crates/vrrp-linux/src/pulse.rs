//! When each router sent its last advertisement, in memory that is still there when this process is not.
#![expect(unsafe_code, reason = "a mapping has no safe interface")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use vrrp_proto::{Instant, RouterId};

/// Routers that have a place; identifiers are given in turn, so that this is also how many reloads may add. A router
/// without one is taken for silent.
const PLACES: usize = 1 << 16;

/// Pages that were never written take no memory.
const LENGTH: usize = PLACES * size_of::<AtomicU64>();

/// The table.
#[derive(Debug)]
pub(crate) struct Pulse {
    memory: NonNull<AtomicU64>,
    file: OwnedFd,
}

// SAFETY: the memory belongs to no thread, and is reached through atomic operations only.
unsafe impl Send for Pulse {}

impl Pulse {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        let file = memfd_create("vrrpd-pulse", MFdFlags::MFD_CLOEXEC)?;
        ftruncate(&file, LENGTH as libc::off_t)?;
        Self::of(file)
    }

    /// What another process wrote into `file`, to be written on.
    pub(crate) fn of(file: OwnedFd) -> io::Result<Self> {
        // Beyond the end of a file, reading memory would kill us.
        let length = nix::sys::stat::fstat(&file)?.st_size;
        if usize::try_from(length).ok() != Some(LENGTH) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // SAFETY: a new shared mapping at an address of the kernel's choice touches no memory that is in use.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                LENGTH,
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
        Ok(Self { memory, file })
    }

    fn place(&self, RouterId(id): RouterId) -> Option<&AtomicU64> {
        // SAFETY: the mapping is aligned to pages, has `LENGTH` initialised bytes for as long as `self` lives, and
        // everybody reaches it through atomics.
        let places = unsafe { slice::from_raw_parts(self.memory.as_ptr(), PLACES) };
        places.get(usize::try_from(id).ok()?)
    }

    /// This router has just advertised.
    pub(crate) fn beat(&self, router: RouterId, sent: Instant) {
        if let Some(place) = self.place(router) {
            place.store(sent.as_nanos(), Ordering::Relaxed);
        }
    }

    /// When this router last advertised.
    pub(crate) fn last(&self, router: RouterId) -> Option<Instant> {
        match self.place(router)?.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }
}

impl AsFd for Pulse {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        // SAFETY: mapped by `of` with this length, and no reference outlives `self`.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), LENGTH) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_reads_what_was_written_until_the_end() {
        let pulse = Pulse::new().unwrap();
        pulse.beat(RouterId(7), Instant::from_nanos(5));
        let successor = Pulse::of(pulse.file.try_clone().unwrap()).unwrap();
        pulse.beat(RouterId(7), Instant::from_nanos(6));
        drop(pulse);
        assert_eq!(successor.last(RouterId(7)), Some(Instant::from_nanos(6)));
        assert_eq!(successor.last(RouterId(8)), None);
        let beyond = RouterId(u32::MAX);
        successor.beat(beyond, Instant::from_nanos(6));
        assert_eq!(successor.last(beyond), None);
    }

    #[test]
    fn another_file_is_refused() {
        let file = memfd_create("short", MFdFlags::MFD_CLOEXEC).unwrap();
        assert!(Pulse::of(file).is_err());
    }
}
