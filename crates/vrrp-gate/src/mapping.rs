//! The leases in memory: an array of the kernel's that this process may write without a system call.
#![expect(unsafe_code, reason = "a mapping has no safe interface")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;

/// Entries of the array: two families of 256 identifiers.
pub(crate) const ENTRIES: usize = 512;

/// What the kernel maps is whole pages; it rounds this up.
const LENGTH: usize = ENTRIES * size_of::<AtomicU64>();

/// The mapping, which keeps the array alive.
pub(crate) struct Mapping(NonNull<AtomicU64>);

// SAFETY: the memory belongs to no thread, and is reached through atomic operations only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the array `map`, which must have been made with BPF_F_MMAPABLE, `ENTRIES` values of 8 bytes.
    pub(crate) fn new(map: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: a new shared mapping at an address of the kernel's choice touches no memory that is in use. An array
        // smaller than this is refused by the kernel.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                LENGTH,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(address.cast())
            .map(Self)
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
    }

    /// All entries.
    pub(crate) fn entries(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is aligned to pages, has `LENGTH` bytes that are always initialised, and lives as long as
        // `self`. The kernel only reads it, and everybody here writes through the atomics.
        unsafe { slice::from_raw_parts(self.0.as_ptr(), ENTRIES) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and no reference outlives `self`.
        unsafe { libc::munmap(self.0.as_ptr().cast(), LENGTH) };
    }
}
