//! The system call bpf(2), as far as the gate needs it.
#![expect(unsafe_code, reason = "the kernel has no other way in")]

use std::ffi::{c_long, c_uint};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands of `linux/bpf.h`.
const MAP_CREATE: c_uint = 0;
const MAP_LOOKUP: c_uint = 1;
const MAP_UPDATE: c_uint = 2;
const MAP_DELETE: c_uint = 3;
const MAP_NEXT_KEY: c_uint = 4;
const PROG_LOAD: c_uint = 5;

/// BPF_PROG_TYPE_SCHED_CLS: for filters of the classifier.
const CLASSIFIER: u32 = 3;

/// Room for what the kernel's verifier says about a program that it refuses.
const LOG: usize = 1 << 20;

/// A map as it is to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Definition {
    /// At most 15 letters, digits, dots and underscores.
    pub(crate) name: &'static str,
    /// A BPF_MAP_TYPE.
    pub(crate) kind: u32,
    /// Bytes of a key.
    pub(crate) key: u32,
    /// Bytes of a value.
    pub(crate) value: u32,
    pub(crate) entries: u32,
    pub(crate) flags: u32,
}

#[repr(C)]
struct MapAttributes {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
struct ElementAttributes {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgramAttributes {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// # Safety
/// `T` is the kernel's `union bpf_attr` of this command up to the field that is known here, without padding, and every address
/// in it is one of memory of the length that the command reads or writes there.
unsafe fn bpf<T>(command: c_uint, attributes: &T) -> io::Result<c_long> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of it, takes the rest for zero, and the caller vouches for the addresses.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}

fn descriptor(number: c_long) -> io::Result<OwnedFd> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it for this caller, who is the only one to know it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Names are for those who look with bpftool.
fn name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}

fn address<T>(memory: *const T) -> u64 {
    memory.expose_provenance() as u64
}

fn number(map: BorrowedFd<'_>) -> u32 {
    map.as_raw_fd().unsigned_abs()
}

/// Makes a map.
pub(crate) fn create(map: &Definition) -> io::Result<OwnedFd> {
    let attributes = MapAttributes {
        kind: map.kind,
        key: map.key,
        value: map.value,
        entries: map.entries,
        flags: map.flags,
        inner: 0,
        numa_node: 0,
        name: name(map.name),
    };
    // SAFETY: there are no addresses in it.
    descriptor(unsafe { bpf(MAP_CREATE, &attributes) }?)
}

/// Has the kernel verify and take a program for the classifier.
///
/// # Errors
/// What the kernel answered, and for a program that it does not believe, why.
pub(crate) fn load(
    title: &str,
    code: &[u8],
    license: &[u8],
) -> Result<OwnedFd, (io::Error, String)> {
    let license: Vec<u8> = [license, &[0]].concat();
    let mut attributes = ProgramAttributes {
        kind: CLASSIFIER,
        instructions: u32::try_from(code.len() / 8).unwrap_or(u32::MAX),
        code: address(code.as_ptr()),
        license: address(license.as_ptr()),
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: name(title),
    };
    // SAFETY: `code` has this many instructions, `license` ends in a zero, both are only read, and there is no log.
    let first = unsafe { bpf(PROG_LOAD, &attributes) };
    let error = match first.and_then(descriptor) {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) {
        return Err((error, String::new()));
    }
    // The verifier explains itself when it is asked to; what it says then is the end of a long text.
    let mut log = vec![0_u8; LOG];
    attributes.log_level = 1;
    attributes.log_size = u32::try_from(log.len()).unwrap_or(0);
    attributes.log = address(log.as_mut_ptr());
    // SAFETY: as above, and the kernel writes at most `log_size` bytes into `log`.
    let again = unsafe { bpf(PROG_LOAD, &attributes) };
    let error = match again.and_then(descriptor) {
        Ok(program) => return Ok(program),
        Err(again) if again.raw_os_error() == Some(libc::ENOSPC) => error,
        Err(again) => again,
    };
    let said = log.split(|byte| *byte == 0).next().unwrap_or_default();
    Err((error, last_lines(&String::from_utf8_lossy(said))))
}

/// Where the reason stands, before the verifier's statistics.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join("; ")
}

fn element(map: BorrowedFd<'_>, key: u64, value: u64) -> ElementAttributes {
    ElementAttributes {
        map: number(map),
        padding: 0,
        key,
        value,
        flags: 0,
    }
}

/// Reads the value of `key` into `value`; whether there is one.
///
/// # Safety
/// The map's keys have `key.len()` bytes, and what the kernel writes for a value is not more than `value` has room for.
pub(crate) unsafe fn lookup<T>(
    map: BorrowedFd<'_>,
    key: &[u8],
    value: &mut [T],
) -> io::Result<bool> {
    let attributes = element(map, address(key.as_ptr()), address(value.as_mut_ptr()));
    // SAFETY: the caller vouches for the lengths.
    found(unsafe { bpf(MAP_LOOKUP, &attributes) })
}

/// # Safety
/// The map's keys have `key.len()` bytes, and its values `value.len()`; it is not one by processor.
pub(crate) unsafe fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let attributes = element(map, address(key.as_ptr()), address(value.as_ptr()));
    // SAFETY: the caller vouches for the lengths.
    unsafe { bpf(MAP_UPDATE, &attributes) }.map(drop)
}

/// Whether it was there.
///
/// # Safety
/// The map's keys have `key.len()` bytes.
pub(crate) unsafe fn delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<bool> {
    let attributes = element(map, address(key.as_ptr()), 0);
    // SAFETY: the caller vouches for the length.
    found(unsafe { bpf(MAP_DELETE, &attributes) })
}

/// Writes the key that comes after `key` into `next`; the first one if there is no `key`. Whether there is one.
///
/// # Safety
/// The map's keys have `next.len()` bytes, and so has `key`.
pub(crate) unsafe fn next_key(
    map: BorrowedFd<'_>,
    key: Option<&[u8]>,
    next: &mut [u8],
) -> io::Result<bool> {
    let key = key.map_or(0, |key| address(key.as_ptr()));
    let attributes = element(map, key, address(next.as_mut_ptr()));
    // SAFETY: the caller vouches for the lengths.
    found(unsafe { bpf(MAP_NEXT_KEY, &attributes) })
}

fn found(answer: io::Result<c_long>) -> io::Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_laid_out_as_the_kernel_has_them() {
        assert_eq!(size_of::<MapAttributes>(), 44);
        assert_eq!(size_of::<ElementAttributes>(), 32);
        assert_eq!(size_of::<ProgramAttributes>(), 64);
        assert_eq!(name("a_name_that_is_too_long"), *b"a_name_that_is_\0");
    }

    #[test]
    fn of_a_long_log_the_end_is_told() {
        assert_eq!(last_lines("1\n2\n3\n4\n5\n6\n7\n"), "2; 3; 4; 5; 6; 7");
        assert_eq!(last_lines(""), "");
    }
}
