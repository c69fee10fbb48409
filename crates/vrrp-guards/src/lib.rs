//! Rules of the house, as tests that fail.
//!
//! A rule that nobody checks is a wish. Those of `ARCHITECTURE.md` that a program can check are checked here, without
//! a network and without root:
//!
//! | test | rule |
//! |---|---|
//! | `dependencies` | licences, sources, duplicates, and which crate may depend on which |
//! | `source` | which words may stand in which files |
//! | `documents` | links lead somewhere, and manual pages have every option |
//!
//! That `vrrp-proto` needs no operating system is proven by `purity` in `vrrp-sim`.
#![forbid(unsafe_code)]

mod metadata;
mod source;

pub use metadata::{Metadata, Package};
pub use source::{Source, code, files, root};
