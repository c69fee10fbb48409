//! CARP among those who do not wish each other well, or do not agree: reloads one after the other, wrong digests and the
//! reason for them, recordings that are played back, and the seals against them.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod attacks;
mod clocks;
mod lan;
mod reloads;
mod suspicions;
