//! The program, loaded.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::GateError;
use crate::bpf::{self, Definition};
use crate::leases::Leases;
use crate::parts::{Parts, program_id};
use crate::serving::Tables;
use crate::table::{Table, Tally, check};
use crate::tc::Direction;

/// What the build made of the program: its code for both directions, and the maps that it uses.
struct Object {
    ingress: Code,
    egress: Code,
    leases: Definition,
    counters: Definition,
    addresses: Definition,
    served: Definition,
    license: &'static [u8],
}

/// Code that does not know yet which maps it is to use.
struct Code {
    instructions: &'static [u8],
    /// Which instructions take the address of which map.
    references: &'static [(usize, Which)],
}

#[derive(Clone, Copy)]
enum Which {
    Leases,
    Counters,
    Addresses,
    Served,
}

#[cfg(gate_program)]
const OBJECT: Option<Object> = Some(include!(concat!(env!("OUT_DIR"), "/gate.rs")));
#[cfg(not(gate_program))]
const OBJECT: Option<Object> = None;

/// The programs of one link, with leases, counters and addresses of their own.
#[derive(Debug)]
pub(crate) struct Program {
    ingress: Loaded,
    egress: Loaded,
    pub(crate) leases: Leases,
    pub(crate) tables: Tables,
    /// For a successor, until they were asked for.
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Loaded {
    fd: OwnedFd,
    id: u32,
}

impl Program {
    /// Loads it; nothing is attached yet.
    pub(crate) fn load() -> Result<Self, GateError> {
        let object = OBJECT.ok_or(GateError::NotBuilt)?;
        let make = |map| bpf::create(map).map_err(|error| explain(error, String::new()));
        let maps = Maps {
            leases: make(&object.leases)?,
            counters: make(&object.counters)?,
            addresses: make(&object.addresses)?,
            served: make(&object.served)?,
        };
        let ingress = Loaded::new("ingress", &object.ingress, &maps, object.license)?;
        let egress = Loaded::new("egress", &object.egress, &maps, object.license)?;
        // Without them a successor loads its own.
        let parts = maps.parts(&ingress, &egress);
        let (leases, tables) = maps.typed(&object, GateError::Load)?;
        Ok(Self {
            ingress,
            egress,
            leases,
            tables,
            parts,
        })
    }

    /// Goes on with what another process loaded.
    pub(crate) fn adopt(parts: Parts) -> Result<Self, GateError> {
        let object = OBJECT.ok_or(GateError::NotBuilt)?;
        let [ingress, egress, leases, counters, addresses, served] = parts.into_inner();
        let maps = Maps {
            leases,
            counters,
            addresses,
            served,
        };
        let (leases, mut tables) = maps.typed(&object, GateError::Adoption)?;
        tables.read()?;
        Ok(Self {
            ingress: Loaded::adopt(ingress)?,
            egress: Loaded::adopt(egress)?,
            leases,
            tables,
            // Whoever had them for us has them still.
            parts: None,
        })
    }

    /// What a successor needs; once.
    pub(crate) const fn take_parts(&mut self) -> Option<Parts> {
        self.parts.take()
    }

    /// Number of the program of this direction, by which the kernel tells what a filter runs.
    pub(crate) fn id(&self, direction: Direction) -> u32 {
        self.of(direction).id
    }

    /// The program of this direction.
    pub(crate) fn fd(&self, direction: Direction) -> BorrowedFd<'_> {
        self.of(direction).fd.as_fd()
    }

    fn of(&self, direction: Direction) -> &Loaded {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// The maps of one program, as yet without the types of what is in them.
struct Maps {
    leases: OwnedFd,
    counters: OwnedFd,
    addresses: OwnedFd,
    served: OwnedFd,
}

impl Maps {
    fn parts(&self, ingress: &Loaded, egress: &Loaded) -> Option<Parts> {
        Some(Parts::new([
            ingress.fd.try_clone().ok()?,
            egress.fd.try_clone().ok()?,
            self.leases.try_clone().ok()?,
            self.counters.try_clone().ok()?,
            self.addresses.try_clone().ok()?,
            self.served.try_clone().ok()?,
        ]))
    }

    /// `unfit` says what it means that one of them is not what it should be.
    fn typed(
        self,
        object: &Object,
        unfit: fn(io::Error) -> GateError,
    ) -> Result<(Leases, Tables), GateError> {
        check(&self.leases, &object.leases).map_err(unfit)?;
        let counters = Tally::new(self.counters, &object.counters).map_err(unfit)?;
        let addresses = Table::new(self.addresses, &object.addresses).map_err(unfit)?;
        let served = Table::new(self.served, &object.served).map_err(unfit)?;
        let tables = Tables::new(addresses, served, object.served.entries);
        Ok((Leases::new(self.leases.as_fd(), counters)?, tables))
    }

    fn fd(&self, which: Which) -> &OwnedFd {
        match which {
            Which::Leases => &self.leases,
            Which::Counters => &self.counters,
            Which::Addresses => &self.addresses,
            Which::Served => &self.served,
        }
    }
}

impl Code {
    /// The code that uses these maps. What takes an address is two instructions long (BPF_LD_IMM64); the kernel puts it there
    /// where the source says that the number is a descriptor's.
    fn with(&self, maps: &Maps) -> Vec<u8> {
        /// BPF_PSEUDO_MAP_FD.
        const DESCRIPTOR: u8 = 1;
        let mut code = self.instructions.to_vec();
        for (at, which) in self.references {
            let number = maps.fd(*which).as_raw_fd().to_ne_bytes();
            // Two registers of half a byte: the source is the one that the machine has second.
            code[at + 1] |= if cfg!(target_endian = "big") {
                DESCRIPTOR
            } else {
                DESCRIPTOR << 4
            };
            code[at + 4..at + 8].copy_from_slice(&number);
        }
        code
    }
}

impl Loaded {
    fn new(name: &str, code: &Code, maps: &Maps, license: &[u8]) -> Result<Self, GateError> {
        let loaded = bpf::load(name, &code.with(maps), license);
        let fd = loaded.map_err(|(error, why)| explain(error, why))?;
        let id = program_id(&fd).map_err(GateError::Load)?;
        Ok(Self { fd, id })
    }

    fn adopt(fd: OwnedFd) -> Result<Self, GateError> {
        let id = program_id(&fd).map_err(GateError::Adoption)?;
        Ok(Self { fd, id })
    }
}

/// What the refusal of the kernel means. `why` is what its verifier says, if it was that.
fn explain(error: io::Error, why: String) -> GateError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) if !missing().is_empty() => {
            GateError::Permission { missing: missing() }
        }
        Some(libc::EPERM) => GateError::Permission {
            missing: "the kernel, a container or the limit of locked memory forbids it".into(),
        },
        Some(libc::ENOSYS | libc::EINVAL) => GateError::Unsupported(said(error, why)),
        _ => GateError::Load(said(error, why)),
    }
}

fn said(error: io::Error, why: String) -> io::Error {
    if why.is_empty() {
        return error;
    }
    io::Error::new(error.kind(), format!("{error}: {why}"))
}

/// The capabilities that this thread would need, and has not.
fn missing() -> String {
    const NET_ADMIN: u32 = 12;
    const SYS_ADMIN: u32 = 21;
    const BPF: u32 = 39;
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    let has = |capability: u32| effective & (1 << capability) != 0;
    let mut missing = Vec::new();
    if !has(BPF) && !has(SYS_ADMIN) {
        missing.push("no CAP_BPF");
    }
    if !has(NET_ADMIN) {
        missing.push("no CAP_NET_ADMIN");
    }
    missing.join(", ")
}
