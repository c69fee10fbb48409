//! What cargo knows about the packages, asked without a network.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::root;

/// A package that is built for this machine.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence as an SPDX expression; empty when it does not say.
    pub license: String,
    /// Where it comes from; `None` for ours.
    pub source: Option<String>,
    /// The minimum Rust version it states.
    pub rust_version: Option<String>,
    /// Names of the packages that it needs to run: no build or development dependencies.
    pub dependencies: Vec<String>,
}

/// All packages of the workspace and below.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// By name; more than one where versions differ.
    pub packages: BTreeMap<String, Vec<Package>>,
}

impl Metadata {
    /// Asks cargo, with the lock file as it is.
    ///
    /// # Panics
    /// If cargo cannot say, for example because the lock file is not up to date.
    #[must_use]
    pub fn read() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args([
                "metadata",
                "--format-version",
                "1",
                "--offline",
                "--locked",
                "--filter-platform",
            ])
            .arg(host())
            .current_dir(root())
            .output()
            .expect("cargo runs this test");
        assert!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let json: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        // Packages for other platforms are listed, too, but only those in the resolved graph are built.
        let nodes = json["resolve"]["nodes"].as_array().expect("a graph");
        let built: Vec<&str> = nodes
            .iter()
            .filter_map(|node| node["id"].as_str())
            .collect();
        let mut packages: BTreeMap<String, Vec<Package>> = BTreeMap::new();
        for package in json["packages"].as_array().expect("a list") {
            if package["id"].as_str().is_some_and(|id| built.contains(&id)) {
                let package = Package::of(package);
                packages
                    .entry(package.name.clone())
                    .or_default()
                    .push(package);
            }
        }
        Self { packages }
    }

    /// Each package.
    pub fn all(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().flatten()
    }

    /// Each package of this workspace.
    pub fn ours(&self) -> impl Iterator<Item = &Package> {
        self.all().filter(|package| package.source.is_none())
    }
}

impl Package {
    fn of(json: &Value) -> Self {
        let text = |field: &str| json[field].as_str().map(str::to_owned);
        let dependencies = json["dependencies"].as_array().into_iter().flatten();
        Self {
            name: text("name").unwrap_or_default(),
            version: text("version").unwrap_or_default(),
            license: text("license").unwrap_or_default(),
            source: text("source"),
            rust_version: text("rust_version"),
            dependencies: dependencies
                .filter(|dependency| dependency["kind"].is_null())
                .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
                .collect(),
        }
    }
}

/// The machine that compiles, for which everything needed is at hand.
fn host() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .expect("rustc built this test");
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}
