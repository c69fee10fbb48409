//! Compiles the program of the gate, if there is a compiler for it.

use std::env;
use std::error::Error;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "src/gate.bpf.c";
/// What it includes.
const HEADERS: &str = "src/bpf";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rustc-check-cfg=cfg(gate_program)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed={HEADERS}");
    println!("cargo::rerun-if-env-changed=VRRPD_NO_BPF");
    println!("cargo::rerun-if-env-changed=CLANG");
    if env::var_os("VRRPD_NO_BPF").is_some_and(|value| !value.is_empty()) {
        return Ok(());
    }
    let here = env::var("CARGO_MANIFEST_DIR")?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "bpfeb",
        _ => "bpfel",
    };
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let output = Command::new(&clang)
        .args(["-target", target, "-mcpu=v3", "-O2", "-g", "-nostdinc"])
        .args(["-fno-stack-protector", "-Wall", "-Wextra", "-Werror"])
        // The same bytes wherever it is built.
        .arg(format!("-ffile-prefix-map={here}=."))
        .args(["-c", SOURCE, "-o"])
        .arg(out.join("gate.bpf.o"))
        .current_dir(&here)
        .output();
    match output {
        Ok(output) if output.status.success() => println!("cargo::rustc-cfg=gate_program"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "{clang} cannot compile {SOURCE} (VRRPD_NO_BPF=1 builds without it):\n{said}"
            )
            .into());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("cargo::warning=no {clang}: built without the gate in the data path");
            // A file that never exists, so that the next build looks for the compiler again.
            println!("cargo::rerun-if-changed={}", out.join("absent").display());
        }
        Err(error) => return Err(format!("{clang}: {error}").into()),
    }
    Ok(())
}
