//! Asks the linker for smaller programs, where it understands that.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What makes a program smaller, and does not belong into the profile or into flags for all: linkers differ, and flags of
/// whoever builds it replace such flags.
const WISHES: [&str; 3] = [
    // Where pointers are that the loader must move, in a bit each instead of 24 bytes; glibc 2.36 and later.
    "-Wl,-z,pack-relative-relocs",
    // Functions of the same instructions once; rust-lld and gold.
    "-Wl,--icf=all",
    // Then also constants of the same bytes: above all tables of what to clean up; rust-lld.
    "-Wl,--ignore-data-address-equality",
];

fn main() -> Result<(), Box<dyn Error>> {
    // It is the build script of vrrpctl, too, and paths are the package's.
    println!("cargo::rerun-if-changed=../vrrpd/build.rs");
    let target = env::var("TARGET")?;
    // What is not made for this machine cannot be tried on it.
    if env::var("PROFILE")? != "release" || target != env::var("HOST")? {
        return Ok(());
    }
    let folder = env::var("OUT_DIR")?;
    for wish in WISHES {
        if works(wish, &target, Path::new(&folder))? {
            println!("cargo::rustc-link-arg-bins={wish}");
        }
    }
    Ok(())
}

/// Whether a program that is linked so runs.
fn works(wish: &str, target: &str, folder: &Path) -> Result<bool, Box<dyn Error>> {
    let (source, program) = (folder.join("probe.rs"), folder.join("probe"));
    fs::write(&source, "fn main() {}\n")?;
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut compiler = Command::new(env::var("RUSTC")?);
    compiler.args(["--crate-type", "bin", "--target", target, "-C"]);
    compiler.arg(format!("link-arg={wish}"));
    compiler.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg("-C").arg(format!("linker={linker}"));
    }
    compiler.arg("-o").arg(&program).arg(&source);
    Ok(succeeds(&mut compiler) && succeeds(&mut Command::new(&program)))
}

fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}
