//! Configuration for the daemon, written as an operator would.

use crate::profile::{Profile, VRID};
use std::fmt::{self, Display};
use std::io::Write;

/// The environment variable that names the data plane of every router that has a choice and was not given one: all suites
/// can be run on either.
pub const DATA_PLANE: &str = "VRRPD_DATA_PLANE";

/// Whether that is the program on the interface.
#[must_use]
pub fn without_macvlan() -> bool {
    std::env::var(DATA_PLANE).is_ok_and(|plane| plane == "ebpf")
}

/// Whether a test cannot be run because there is no macvlan; says so, with `reason`, where the test harness hides nothing.
#[must_use]
pub fn left_out(reason: &str) -> bool {
    let left_out = without_macvlan();
    if left_out {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        let said = writeln!(std::io::stderr(), "{test} is left out on ebpf: {reason}");
        said.expect("standard error is there");
    }
    left_out
}

/// One `[virtual-router.NAME]` table.
#[derive(Clone, Debug)]
pub struct Router {
    name: String,
    keys: Vec<(String, String)>,
}

impl Router {
    /// The laboratory's default: `eth0`, VRID 51, priority 100, one second, preemption, accept-mode off as the RFC has it.
    #[must_use]
    pub fn new(name: &str, profile: Profile) -> Self {
        Self {
            name: name.to_owned(),
            keys: Vec::new(),
        }
        .text("interface", "eth0")
        .set("vrid", VRID)
        .text("protocol", profile.protocol())
        .set("priority", 100)
        .text("advertise-interval", "1s")
        .list("addresses", &profile.virtual_prefixes())
        .set("accept-mode", false)
    }

    /// Sets a key to a number, a truth value or any other TOML.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Display) -> Self {
        self.keys.retain(|(present, _)| present != key);
        self.keys.push((key.to_owned(), value.to_string()));
        self
    }

    /// Sets a key to a string.
    #[must_use]
    pub fn text(self, key: &str, value: &str) -> Self {
        self.set(key, format_args!("\"{value}\""))
    }

    /// Sets a key to a list of strings.
    #[must_use]
    pub fn list<S: Display>(self, key: &str, values: &[S]) -> Self {
        let values: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
        self.set(key, format_args!("[{}]", values.join(", ")))
    }

    /// With its addresses in the kernel while it is Active: without a macvlan they are there only to be accepted.
    #[must_use]
    pub fn held(self) -> Self {
        self.set("accept-mode", without_macvlan())
    }

    fn has(&self, key: &str, value: &str) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|(name, set)| name == key && (value.is_empty() || set == value))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[virtual-router.{}]", self.name)?;
        for (key, value) in &self.keys {
            writeln!(f, "{key} = {value}")?;
        }
        let free = !self.has("data-plane", "") && !self.has("virtual-mac", "false");
        if let Some(plane) = std::env::var(DATA_PLANE).ok().filter(|_| free) {
            writeln!(f, "data-plane = \"{plane}\"")?;
        }
        writeln!(f)
    }
}

/// A whole file.
#[must_use]
pub fn file(routers: &[Router]) -> String {
    routers.iter().map(ToString::to_string).collect()
}
