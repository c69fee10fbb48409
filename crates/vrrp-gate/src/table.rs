//! Maps of the kernel whose keys and values have sizes that are known here.
#![expect(
    unsafe_code,
    reason = "the kernel believes what it is told about sizes"
)]

use std::fs;
use std::io;
use std::iter;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::bpf::{self, Definition};

/// BPF_MAP_TYPE_PERCPU_ARRAY: a lookup answers with a value of each processor.
const BY_PROCESSOR: u32 = 6;

/// A map with keys of `K` and values of `V` bytes, one value for a key.
pub(crate) struct Table<const K: usize, const V: usize>(OwnedFd);

impl<const K: usize, const V: usize> Table<K, V> {
    /// Of a map that was made after `definition`, by this process or by another one.
    ///
    /// # Errors
    /// It is another one.
    pub(crate) fn new(map: OwnedFd, definition: &Definition) -> io::Result<Self> {
        check(&map, definition)?;
        if definition.kind == BY_PROCESSOR || sizes(definition) != (K, V) {
            return Err(another(definition));
        }
        Ok(Self(map))
    }

    /// The value of this key, if there is one.
    pub(crate) fn get(&self, key: &[u8; K]) -> io::Result<Option<[u8; V]>> {
        let mut value = [0; V];
        // SAFETY: keys and values have these sizes, or there were no such table.
        let found = unsafe { bpf::lookup(self.0.as_fd(), key, &mut value) }?;
        Ok(found.then_some(value))
    }

    /// Puts a value there, whether there was one or not.
    pub(crate) fn set(&self, key: &[u8; K], value: &[u8; V]) -> io::Result<()> {
        // SAFETY: as above, and it has one value for a key.
        unsafe { bpf::update(self.0.as_fd(), key, value) }
    }

    /// Removes a key, which may be gone already.
    pub(crate) fn remove(&self, key: &[u8; K]) -> io::Result<()> {
        // SAFETY: as above.
        unsafe { bpf::delete(self.0.as_fd(), key) }.map(drop)
    }

    /// All keys; nobody else should change them meanwhile.
    pub(crate) fn keys(&self) -> impl Iterator<Item = io::Result<[u8; K]>> {
        let mut last: Option<[u8; K]> = None;
        iter::from_fn(move || {
            let mut next = [0; K];
            let before = last.as_ref().map(<[u8; K]>::as_slice);
            // SAFETY: as above.
            match unsafe { bpf::next_key(self.0.as_fd(), before, &mut next) } {
                Ok(true) => {
                    last = Some(next);
                    Some(Ok(next))
                }
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            }
        })
    }
}

/// An array with a value of `N` numbers for each processor.
pub(crate) struct Tally<const N: usize> {
    map: OwnedFd,
    processors: usize,
}

impl<const N: usize> Tally<N> {
    /// As [`Table::new`].
    pub(crate) fn new(map: OwnedFd, definition: &Definition) -> io::Result<Self> {
        check(&map, definition)?;
        if definition.kind != BY_PROCESSOR || sizes(definition) != (4, N * 8) {
            return Err(another(definition));
        }
        let processors = processors()?;
        Ok(Self { map, processors })
    }

    /// The sum over all processors.
    pub(crate) fn sum(&self, index: u32) -> io::Result<[u64; N]> {
        let mut values = vec![[0_u64; N]; self.processors];
        // SAFETY: keys have four bytes, and the kernel writes a value for each processor that there may ever be.
        if !unsafe { bpf::lookup(self.map.as_fd(), &index.to_ne_bytes(), &mut values) }? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut sum = [0; N];
        for value in values {
            for (sum, number) in sum.iter_mut().zip(value) {
                *sum += number;
            }
        }
        Ok(sum)
    }
}

fn sizes(definition: &Definition) -> (usize, usize) {
    let size = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    (size(definition.key), size(definition.value))
}

/// Whether the kernel says of this map what is believed of it.
pub(crate) fn check(map: &OwnedFd, definition: &Definition) -> io::Result<()> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd()))?;
    let expected = [
        ("map_type:", definition.kind),
        ("key_size:", definition.key),
        ("value_size:", definition.value),
        ("max_entries:", definition.entries),
    ];
    let is = |(name, number): (&str, u32)| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.is_some_and(|value| value.trim().parse() == Ok(number))
    };
    if expected.into_iter().all(is) {
        Ok(())
    } else {
        Err(another(definition))
    }
}

fn another(definition: &Definition) -> io::Error {
    let text = format!("it is not the map {}", definition.name);
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// How many processors there may ever be, for each of which the kernel has a value.
fn processors() -> io::Result<usize> {
    let text = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    count(text.trim()).ok_or_else(|| {
        let text = format!("/sys/devices/system/cpu/possible says {:?}", text.trim());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// Of a list of ranges like `0-3,8`.
fn count(ranges: &str) -> Option<usize> {
    ranges
        .split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            last.checked_sub(first)?.checked_add(1)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_as_the_kernel_writes_them() {
        for (text, processors) in [("0", Some(1)), ("0-1", Some(2)), ("0-3,8,10-11", Some(7))] {
            assert_eq!(count(text), processors, "{text}");
        }
        for text in ["", "3-1", "a", "0-"] {
            assert_eq!(count(text), None, "{text}");
        }
        assert!(processors().unwrap() >= 1);
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let definition = Definition {
            name: "SERVED",
            kind: 2,
            key: 4,
            value: 4,
            entries: 512,
            flags: 0,
        };
        let null: OwnedFd = fs::File::open("/dev/null").unwrap().into();
        let error = Table::<4, 4>::new(null, &definition).err().unwrap();
        assert_eq!(error.to_string(), "it is not the map SERVED");
    }
}
