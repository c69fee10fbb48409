//! Memory of this process.
#![expect(
    unsafe_code,
    reason = "the allocator's own functions have no safe interface"
)]

/// Returns to the system what was allocated once and is free now, where the allocator would keep it.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; the allocator locks itself.
    unsafe {
        libc::malloc_trim(0);
    }
}
