//! vrrp-proto has no operating system in it: proved by the build.

use std::path::{Path, PathBuf};
use std::process::Command;

fn crates() -> PathBuf {
    let sim = Path::new(env!("CARGO_MANIFEST_DIR"));
    sim.parent().expect("a workspace").to_owned()
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![crates().join("vrrp-proto/src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn it_says_so() {
    let lib = std::fs::read_to_string(crates().join("vrrp-proto/src/lib.rs")).expect("lib.rs");
    for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
        assert!(lib.lines().any(|line| line == attribute), "{attribute}");
    }
}

/// No clock, no randomness, no hash map with a random seed, nothing from std. What is behind `#[cfg(test)]` may.
#[test]
fn nothing_impure_is_named() {
    let sources = sources();
    assert!(sources.len() > 10, "the sources were found");
    for (path, text) in sources {
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in shipped.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in [
                "std::",
                "extern crate std",
                "Instant::now",
                "SystemTime",
                "HashMap",
                "HashSet",
                "thread_rng",
                "unsafe",
                "println!",
            ] {
                let named = code.replace("no_std", "").contains(word);
                let forbids = code.contains("forbid(unsafe_code)");
                assert!(
                    !named || forbids,
                    "{}:{}: {word}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn it_depends_on_thiserror_serde_and_one_digest_alone() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "-p",
            "vrrp-proto",
            "-e",
            "normal",
            "--offline",
            "--locked",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p} {f}"])
        .current_dir(crates())
        .output()
        .expect("cargo");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        // The procedural macros and what they are built from run in the compiler only.
        let allowed = [
            "vrrp-proto",
            "thiserror",
            "thiserror-impl",
            "serde",
            "serde_core",
            "serde_derive",
            "proc-macro2",
            "quote",
            "syn",
            "unicode-ident",
            // CARP's HMAC-SHA1, and what that is made of.
            "hmac",
            "sha1",
            "digest",
            "block-buffer",
            "crypto-common",
            "hybrid-array",
            "typenum",
            "ctutils",
            "cmov",
            "cpufeatures",
            "cfg-if",
        ];
        assert!(allowed.contains(&name), "{line}");
        if ["thiserror", "serde", "serde_core"].contains(&name) {
            let features = line.rsplit(' ').next().unwrap_or_default();
            assert!(
                !features.split(',').any(|feature| feature == "std"),
                "{line}"
            );
        }
    }
    assert!(tree.contains("thiserror"), "{tree}");
}

/// A program without std, with a panic handler and an allocator of its own, links the crate. If std were anywhere in
/// it, there would be two panic handlers, and the compiler refuses that. The second build shows that it would.
#[test]
fn it_links_into_a_program_without_std() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-std-proof");
    std::fs::create_dir_all(directory.join("src")).expect("a directory");
    let manifest = format!(
        "[package]\nname = \"no-std-proof\"\nedition = \"2024\"\n[workspace]\n[dependencies]\nvrrp-proto = {{ path = {:?} }}\n\
         [features]\nstd = []\n[profile.dev]\npanic = \"abort\"\n",
        crates().join("vrrp-proto")
    );
    // The path dependency inherits from the workspace it stands in; the lock file keeps the versions that are here.
    std::fs::write(directory.join("Cargo.toml"), manifest).expect("Cargo.toml");
    std::fs::copy(
        crates().parent().expect("a root").join("Cargo.lock"),
        directory.join("Cargo.lock"),
    )
    .expect("Cargo.lock");
    std::fs::write(directory.join("src/main.rs"), PROGRAM).expect("main.rs");
    let build = |features: &[&str]| {
        Command::new(env!("CARGO"))
            .args(["rustc", "--offline", "--quiet"])
            .args(features)
            .args([
                "--",
                "-C",
                "link-arg=-nostartfiles",
                "-C",
                "link-arg=-static",
            ])
            .current_dir(&directory)
            .env("CARGO_TARGET_DIR", directory.join("target"))
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo")
    };
    let pure = build(&[]);
    assert!(
        pure.status.success(),
        "{}",
        String::from_utf8_lossy(&pure.stderr)
    );
    let impure = build(&["--features", "std"]);
    let complaint = String::from_utf8_lossy(&impure.stderr);
    assert!(
        !impure.status.success() && complaint.contains("panic_impl"),
        "{complaint}"
    );
}

const PROGRAM: &str = r#"
#![no_std]
#![no_main]

#[cfg(feature = "std")]
extern crate std;

use core::alloc::{GlobalAlloc, Layout};
use vrrp_proto::{Engine, Input, Instant, Plan};

struct NoMemory;

unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NO_MEMORY: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let mut engine = Engine::new(&Plan::default(), Instant::ZERO);
    engine.handle(Instant::ZERO, Input::Shutdown);
    engine.handle_timeout(Instant::ZERO);
    while engine.poll_output().is_some() {}
    loop {}
}

/// core needs these from its surroundings. Nobody runs this program; that it links is all.
macro_rules! promised {
    ($($name:ident)*) => { $(#[unsafe(no_mangle)] pub extern "C" fn $name() {})* };
}
promised! { memcpy memmove memset memcmp bcmp strlen rust_eh_personality _Unwind_Resume }
"#;
