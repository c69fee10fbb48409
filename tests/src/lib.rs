//! The namespace laboratory.
//!
//! Whole-system tests of `vrrpd`: the built daemon, real keepalived and real FRR run in network
//! namespaces, and every verdict is read from captured frames or from packets a client lost.
//!
//! The rooms, from the wire up:
//!
//! * [`clock`]: one monotonic clock for every namespace, and the tolerance that timings are judged by;
//! * [`netns`], [`topology`]: namespaces, the two-ended bench and the switched LAN;
//! * [`wire`]: a codec of its own. It shares no line with `vrrp-proto`: a judge who borrows the
//!   defendant's ruler measures nothing;
//! * [`capture`], [`tester`]: a timestamped frame log, and the end of a cable that plays routers and hosts;
//! * [`daemon`], [`keepalived`], [`frr`], [`bfdd`], [`ucarp`]: the routers under test;
//! * [`manager`]: what of a service manager they need to be started again;
//! * [`client`]: a host that counts what it loses; [`observer`]: all a LAN sees of its virtual router;
//! * [`mod@flood`]: a stranger who sends as fast as he is told;
//! * [`misfortune`], [`relay`]: a bad cable between two good ones;
//! * [`socket`], [`priority`]: packet sockets, and who runs before whom;
//! * [`mod@bench`]: the fixture that the conformance statements R1–R68 stand on.
//!
//! Everything needs root and Linux. Traffic stays inside namespaces named `vl<pid>-…`; they are removed on
//! drop, on panic, and those of a killed run by the next one.

pub mod bench;
pub mod bfdd;
pub mod capture;
pub mod client;
pub mod clock;
pub mod crowd;
pub mod daemon;
pub mod flood;
pub mod frr;
pub mod keepalived;
pub mod manager;
pub mod misfortune;
pub mod netns;
pub mod observer;
pub mod pair;
pub mod presence;
pub mod priority;
pub mod process;
pub mod profile;
pub mod relay;
pub mod rival;
pub mod schema;
pub mod scratch;
pub mod screen;
pub mod settings;
pub mod socket;
pub mod stall;
pub mod tester;
pub mod topology;
pub mod ucarp;
pub mod wire;
