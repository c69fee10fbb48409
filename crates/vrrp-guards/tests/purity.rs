//! `vrrp-proto` needs no operating system, and the linker is the witness.

use std::fs;
use std::path::Path;
use std::process::Command;

use vrrp_guards::root;

/// A library with its own way to panic and to allocate. The standard library has them, too: if anything below
/// `vrrp-proto` pulled it in, there would be two of each, and this would not build.
const WITNESS: &str = r#"
#![no_std]
extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};

struct Nothing;

unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
pub extern "C" fn witness() -> usize {
    let mut engine = vrrp_proto::Engine::new(&vrrp_proto::Plan::default(), vrrp_proto::Instant::ZERO);
    engine.handle_timeout(vrrp_proto::Instant::ZERO);
    engine.status().count()
}
"#;

fn manifest(proto: &Path) -> String {
    format!(
        "[package]\nname = \"witness\"\nedition = \"2024\"\n\n[lib]\npath = \"witness.rs\"\ncrate-type = [\"staticlib\"]\n\n\
         [dependencies]\nvrrp-proto = {{ path = {proto:?} }}\n\n[profile.dev]\npanic = \"abort\"\n\n[workspace]\n"
    )
}

#[test]
fn the_protocol_links_without_an_operating_system() {
    // Below the target directory, so that a second run finds what the first one built.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("purity");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("Cargo.toml"),
        manifest(&root().join("crates/vrrp-proto")),
    )
    .unwrap();
    fs::write(folder.join("witness.rs"), WITNESS).unwrap();
    // The versions of the product; what the witness does not need is dropped from its copy.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "--target-dir"])
        .arg(folder.join("target"))
        .env_remove("RUSTFLAGS")
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_protocol_says_so() {
    let text = fs::read_to_string(root().join("crates/vrrp-proto/src/lib.rs")).unwrap();
    assert!(text.contains("#![no_std]\n#![forbid(unsafe_code)]\n"));
    for file in vrrp_guards::files("crates/vrrp-proto/src") {
        let code = vrrp_guards::code(&file.text);
        assert!(
            !code.contains("std::") && !code.contains("extern crate std"),
            "{} uses std",
            file.path
        );
    }
}
