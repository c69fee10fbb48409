//! CARP, the protocol of the BSD firewalls: bytes, digest, and what its election does otherwise.
//!
//! | module | noun |
//! |---|---|
//! | [`packet`] | the 36 bytes of an advertisement |
//! | [`digest`] | the passphrase, what the digest covers, and the digest |
//! | [`bid`] | what decides between two routers: base, skew and demotion |
//! | [`election`] | who wins |
//! | `voice` | what is said and heard with the passphrase |
//! | [`inspect`] | what somebody makes of it who only looks on |
//! | `key` | what a digest is made with, also the one that was good before a reload |
//! | [`seal`] | time and bid in the counter, among our own |
//! | `past` | what was heard before |
//! | [`suspicion`] | why the digest of another may be wrong |
//!
//! There is no RFC. What is said here was read in, or measured at, the implementations of OpenBSD, FreeBSD, NetBSD and
//! UCarp, which differ: where that matters, it is said which does what.

pub mod bid;
pub mod digest;
pub mod election;
pub mod inspect;
pub(crate) mod key;
pub mod packet;
pub(crate) mod past;
pub mod seal;
pub mod suspicion;
pub(crate) mod voice;

pub use bid::Bid;
pub use digest::{Covered, LinkLocal, Passphrase, PassphraseError};
pub use election::{CarpPlan, GRACE, Profile, Rules, priority};
pub use packet::Advertisement;
pub use seal::{Seal, Sealing, WINDOW};
pub use suspicion::Suspicion;
pub use voice::{Other, VoiceStatus};
