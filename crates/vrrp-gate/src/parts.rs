//! What a gate consists of, for a process that is to go on with it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The programs and maps of one interface. Whoever holds them can [take the gate over](crate::Gate::adopt), also from a
/// process that died: they were made by it and are not bound to it.
#[derive(Debug)]
pub struct Parts([OwnedFd; Self::NAMES.len()]);

impl Parts {
    /// What they are called, in the order of [`Self::iter`]. What is read or written in another way gets another name: nobody
    /// adopts what it does not understand.
    pub const NAMES: [&'static str; 6] = [
        "ingress",
        "egress",
        "leases",
        "counters",
        "addresses",
        "families served",
    ];

    pub(crate) const fn new(parts: [OwnedFd; Self::NAMES.len()]) -> Self {
        Self(parts)
    }

    /// Each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, BorrowedFd<'_>)> {
        Self::NAMES.into_iter().zip(self.0.iter().map(AsFd::as_fd))
    }

    /// Of what `find` has under each name; `None` if anything is missing.
    pub fn collect(find: impl FnMut(&'static str) -> Option<OwnedFd>) -> Option<Self> {
        let found: Vec<OwnedFd> = Self::NAMES.into_iter().map_while(find).collect();
        found.try_into().ok().map(Self)
    }

    pub(crate) fn into_inner(self) -> [OwnedFd; Self::NAMES.len()] {
        self.0
    }
}

/// Number of a program.
pub(crate) fn program_id(program: &OwnedFd) -> io::Result<u32> {
    let path = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
    let number = |text: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("prog_id:"))?;
        line.trim().parse().ok()
    };
    number(&fs::read_to_string(path)?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no program"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn null() -> OwnedFd {
        fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn all_or_nothing() {
        let parts = Parts::collect(|_| Some(null())).unwrap();
        assert!(parts.iter().map(|(name, _)| name).eq(Parts::NAMES));
        for missing in Parts::NAMES {
            assert!(Parts::collect(|name| (name != missing).then(null)).is_none());
        }
    }

    #[test]
    fn what_is_no_program_has_no_number() {
        assert!(program_id(&null()).is_err());
    }
}
