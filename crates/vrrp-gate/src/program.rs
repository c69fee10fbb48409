//! The program, loaded.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use aya::programs::{ProgramError, ProgramFd, SchedClassifier};
use aya::{Ebpf, EbpfError, EbpfLoader};

use crate::GateError;
use crate::leases::Leases;
use crate::memory;
use crate::serving::Tables;
use crate::tc::Direction;

#[cfg(gate_program)]
const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/gate.bpf.o"
)));
#[cfg(not(gate_program))]
const OBJECT: Option<&[u8]> = None;

/// The programs of one link, with leases, counters and addresses of their own.
#[derive(Debug)]
pub(crate) struct Program {
    ingress: Loaded,
    egress: Loaded,
    pub(crate) leases: Leases,
    pub(crate) tables: Tables,
}

#[derive(Debug)]
struct Loaded {
    fd: ProgramFd,
    id: u32,
}

impl Program {
    /// Loads it; nothing is attached yet.
    pub(crate) fn load() -> Result<Self, GateError> {
        let object = OBJECT.ok_or(GateError::NotBuilt)?;
        Self::from_object(object).map_err(explain)?
    }

    fn from_object(object: &[u8]) -> Result<Result<Self, GateError>, EbpfError> {
        let mut loader = loader().lock().unwrap_or_else(PoisonError::into_inner);
        let mut loaded = loader.load(object)?;
        drop(loader);
        let ingress = Loaded::new(&mut loaded, "ingress")?;
        let egress = Loaded::new(&mut loaded, "egress")?;
        let mut take = |name: &str| {
            let absent = || MapError::InvalidName { name: name.into() };
            loaded.take_map(name).ok_or_else(absent)
        };
        let Map::Array(leases) = take("LEASES")? else {
            return Err(MapError::InvalidMapType { map_type: 0 }.into());
        };
        let counters: PerCpuArray<MapData, [u64; 4]> = take("COUNTERS")?.try_into()?;
        let addresses: HashMap<MapData, [u8; 16], u32> = take("ADDRESSES")?.try_into()?;
        let routers: Array<MapData, u32> = take("SERVED")?.try_into()?;
        Ok(Leases::new(&leases, counters).map(|leases| Self {
            ingress,
            egress,
            leases,
            tables: Tables::new(addresses, routers),
        }))
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

/// What makes programs of objects. Making one of these reads all types of the kernel, which takes longer and more memory
/// than everything else and is not needed here: it is done once, and forgotten.
fn loader() -> &'static Mutex<EbpfLoader<'static>> {
    static LOADER: OnceLock<Mutex<EbpfLoader<'static>>> = OnceLock::new();
    LOADER.get_or_init(|| {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        memory::give_back();
        Mutex::new(loader)
    })
}

impl Loaded {
    fn new(object: &mut Ebpf, name: &str) -> Result<Self, EbpfError> {
        let absent = || ProgramError::InvalidName { name: name.into() };
        let program: &mut SchedClassifier =
            object.program_mut(name).ok_or_else(absent)?.try_into()?;
        program.load()?;
        Ok(Self {
            id: program.info()?.id(),
            fd: program.fd()?.try_clone().map_err(ProgramError::IOError)?,
        })
    }
}

/// What the refusal of the kernel means.
fn explain(error: EbpfError) -> GateError {
    match os_error(&error).and_then(io::Error::raw_os_error) {
        Some(libc::EPERM | libc::EACCES) if !missing().is_empty() => {
            GateError::Permission { missing: missing() }
        }
        Some(libc::EPERM) => GateError::Permission {
            missing: "the kernel, a container or the limit of locked memory forbids it".into(),
        },
        Some(libc::ENOSYS | libc::EINVAL) => GateError::Unsupported(Box::new(error)),
        _ => GateError::Load(Box::new(error)),
    }
}

/// The answer of the kernel in the chain of what it caused.
fn os_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
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
