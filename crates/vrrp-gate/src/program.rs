//! The program, loaded.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use aya::programs::{ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfError, EbpfLoader};

use crate::GateError;
use crate::leases::Leases;
use crate::memory;
use crate::parts::{Parts, program_id};
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
        let maps = Maps {
            leases: take("LEASES")?,
            counters: take("COUNTERS")?,
            addresses: take("ADDRESSES")?,
            routers: take("SERVED")?,
        };
        // Without them a successor loads its own.
        let parts = maps.parts(&ingress, &egress);
        let (leases, counters, tables) = maps.typed()?;
        Ok(Leases::new(&leases, counters).map(|leases| Self {
            ingress,
            egress,
            leases,
            tables,
            parts,
        }))
    }

    /// Goes on with what another process loaded.
    pub(crate) fn adopt(parts: Parts) -> Result<Self, GateError> {
        let [ingress, egress, leases, counters, addresses, routers] = parts.into_inner();
        let unusable = |error: MapError| GateError::Adoption(error.into());
        let array = |fd| Ok(Map::Array(MapData::from_fd(fd)?));
        let maps = Maps {
            leases: array(leases).map_err(unusable)?,
            counters: Map::PerCpuArray(MapData::from_fd(counters).map_err(unusable)?),
            addresses: Map::HashMap(MapData::from_fd(addresses).map_err(unusable)?),
            routers: array(routers).map_err(unusable)?,
        };
        let (leases, counters, mut tables) = maps.typed().map_err(unusable)?;
        tables.read()?;
        Ok(Self {
            ingress: Loaded::adopt(ingress)?,
            egress: Loaded::adopt(egress)?,
            leases: Leases::new(&leases, counters)?,
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

/// The maps of one object, as yet without the types of what is in them.
struct Maps {
    leases: Map,
    counters: Map,
    addresses: Map,
    routers: Map,
}

/// Leases, counters and what is served.
type Typed = (MapData, PerCpuArray<MapData, [u64; 4]>, Tables);

impl Maps {
    fn parts(&self, ingress: &Loaded, egress: &Loaded) -> Option<Parts> {
        let map = |map: &Map| {
            let (Map::Array(data) | Map::PerCpuArray(data) | Map::HashMap(data)) = map else {
                return None;
            };
            data.fd().as_fd().try_clone_to_owned().ok()
        };
        Some(Parts::new([
            ingress.fd.try_clone().ok()?,
            egress.fd.try_clone().ok()?,
            map(&self.leases)?,
            map(&self.counters)?,
            map(&self.addresses)?,
            map(&self.routers)?,
        ]))
    }

    fn typed(self) -> Result<Typed, MapError> {
        let Map::Array(leases) = self.leases else {
            return Err(MapError::InvalidMapType { map_type: 0 });
        };
        let addresses: HashMap<MapData, [u8; 16], u32> = self.addresses.try_into()?;
        let routers: Array<MapData, u32> = self.routers.try_into()?;
        let tables = Tables::new(addresses, routers);
        Ok((leases, self.counters.try_into()?, tables))
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
            fd: program
                .fd()?
                .as_fd()
                .try_clone_to_owned()
                .map_err(ProgramError::IOError)?,
        })
    }

    fn adopt(fd: OwnedFd) -> Result<Self, GateError> {
        let id = program_id(&fd).map_err(|error| GateError::Adoption(error.into()))?;
        Ok(Self { fd, id })
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
