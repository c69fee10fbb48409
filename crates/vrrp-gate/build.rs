//! Compiles the program of the gate, if there is a compiler for it, and writes down what the daemon needs of the object: code
//! and maps, so that it does not have to read objects itself.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::elf::R_BPF_64_64;
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget};

const SOURCE: &str = "src/gate.bpf.c";
/// What it includes.
const HEADERS: &str = "src/bpf";

/// Its maps, and what the daemon calls them.
const MAPS: [(&str, &str); 4] = [
    ("LEASES", "Leases"),
    ("COUNTERS", "Counters"),
    ("ADDRESSES", "Addresses"),
    ("SERVED", "Served"),
];

/// Bytes of the description of a map, `struct map`: kind, key, value, entries and flags.
const DESCRIPTION: usize = 20;

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
    let object = out.join("gate.bpf.o");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let output = Command::new(&clang)
        .args(["-target", target, "-mcpu=v3", "-O2", "-nostdinc"])
        .args(["-fno-stack-protector", "-Wall", "-Wextra", "-Werror"])
        .args(["-c", SOURCE, "-o"])
        .arg(&object)
        .current_dir(&here)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            fs::write(out.join("gate.rs"), extract(&object)?)?;
            println!("cargo::rustc-cfg=gate_program");
        }
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

type Elf<'a> = ElfFile64<'a, Endianness>;

/// The object as a value of `program::Object`.
fn extract(path: &Path) -> Result<String, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let elf = ElfFile64::<Endianness>::parse(&*bytes)?;
    let mut text = String::from("Object {\n");
    for direction in ["ingress", "egress"] {
        let (code, references) = code(&elf, direction)?;
        writeln!(text, "{direction}: Code {{")?;
        writeln!(text, "instructions: &{code:?},")?;
        writeln!(text, "references: &[{references}],\n}},")?;
    }
    for (map, _) in MAPS {
        let [kind, key, value, entries, flags] = description(&elf, map)?;
        write!(
            text,
            "{}: Definition {{ name: {map:?}, ",
            map.to_lowercase()
        )?;
        write!(text, "kind: {kind}, key: {key}, value: {value}, ")?;
        writeln!(text, "entries: {entries}, flags: {flags} }},")?;
    }
    let license = elf.section_by_name("license").ok_or("no license")?;
    let license = license.data()?;
    let license = license.strip_suffix(&[0]).unwrap_or(license);
    writeln!(text, "license: &{license:?},\n}}")?;
    Ok(text)
}

/// The instructions of one function, and where in them which map is meant.
fn code<'a>(elf: &Elf<'a>, function: &str) -> Result<(&'a [u8], String), Box<dyn Error>> {
    let symbol = elf.symbol_by_name(function);
    let symbol = symbol.ok_or_else(|| format!("no function {function}"))?;
    let section = elf.section_by_index(symbol.section_index().ok_or("it is nowhere")?)?;
    let (begin, end) = (symbol.address(), symbol.address() + symbol.size());
    let code = section.data_range(begin, symbol.size())?;
    let code = code.ok_or_else(|| format!("{function} ends beyond its section"))?;
    let mut references = String::new();
    for (at, relocation) in section.relocations() {
        if !(begin..end).contains(&at) {
            continue;
        }
        let RelocationTarget::Symbol(target) = relocation.target() else {
            return Err(format!("{function}: a reference to no symbol").into());
        };
        let name = elf.symbol_by_index(target)?.name()?;
        let map = MAPS.iter().find(|(map, _)| *map == name);
        let (_, map) = map.ok_or_else(|| format!("{function}: {name} is no map"))?;
        if !matches!(
            relocation.flags(),
            RelocationFlags::Elf {
                r_type: R_BPF_64_64
            }
        ) {
            return Err(format!("{function}: an unknown kind of reference to {name}").into());
        }
        write!(references, "({}, Which::{map}), ", at - begin)?;
    }
    Ok((code, references))
}

/// What the source says of a map.
fn description(elf: &Elf<'_>, map: &str) -> Result<[u32; 5], Box<dyn Error>> {
    let symbol = elf.symbol_by_name(map);
    let symbol = symbol.ok_or_else(|| format!("no map {map}"))?;
    let section = elf.section_by_index(symbol.section_index().ok_or("it is nowhere")?)?;
    let bytes = section.data_range(symbol.address(), symbol.size())?;
    let bytes: [u8; DESCRIPTION] = bytes.unwrap_or_default().try_into()?;
    let mut fields = [0; 5];
    for (field, bytes) in fields.iter_mut().zip(bytes.chunks_exact(4)) {
        let bytes = bytes.try_into()?;
        *field = match elf.endian() {
            Endianness::Little => u32::from_le_bytes(bytes),
            Endianness::Big => u32::from_be_bytes(bytes),
        };
    }
    Ok(fields)
}
