//! Rules of the house, as tests that fail.
//!
//! A rule that nobody checks is a wish. Those of `ARCHITECTURE.md` that a program can check are checked here, without
//! a network and without root:
//!
//! | test | rule |
//! |---|---|
//! | `dependencies` | licences, sources, duplicates, and which crate may depend on which |
//! | `purity` | `vrrp-proto` links where there is no operating system |
//! | `source` | which words may stand in which files |
//! | `documents` | links lead somewhere, and manual pages have every option |
#![forbid(unsafe_code)]

mod metadata;
mod source;

pub use metadata::{Metadata, Package};
pub use source::{Source, code, files, root};
