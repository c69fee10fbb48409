//! The gate: programs on links, and their leases.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;

use vrrp_proto::Gather;
use vrrp_proto::types::{Family, Vrid};

use crate::GateError;
use crate::leases::Leases;
use crate::parts::Parts;
use crate::program::Program;
use crate::serving::{Leading, Serving};
use crate::tc::{Direction, Filter, Tc, first_priority};

/// Beginning of the name of every filter that is a gate's.
const PREFIX: &str = "vrrp-gate/";
/// End of the name, if the owner of the filter made the queueing discipline, too.
const MADE_CLSACT: &str = "/clsact";
/// The queueing discipline that has filters for both directions.
const CLSACT: &str = "clsact";

/// The gates of one owner in one network namespace.
///
/// Dropping it leaves everything in place, and what is guarded closes when its lease expires: that a process is gone is
/// no reason to let its frames pass. Whoever leaves in good order says [`detach`](Self::detach).
#[derive(Debug)]
pub struct Gate {
    owner: Owner,
    tc: Tc,
    links: BTreeMap<u32, Program>,
    /// Loaded to see whether it can be, and not attached anywhere yet.
    spare: Option<Program>,
}

/// What stands on a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Every frame meets the gate first, as far as filters are concerned.
    First,
    /// It is there, and a filter of somebody else comes before it, which may let frames pass that it would stop.
    Behind,
    /// It is not there, or not in both directions: everything passes.
    Missing,
}

impl Gate {
    /// A gate for `owner` in the network namespace of the calling thread; nothing is attached yet. The program is loaded
    /// once, so what is missing shows here.
    ///
    /// # Errors
    /// `NotBuilt`, `Permission`, `Unsupported`, `Load` or `Mapping`, if there can be no gate here; `Owner`, if the name is
    /// not 1 to 200 printable ASCII characters without a slash.
    pub fn load(owner: &str) -> Result<Self, GateError> {
        let owner = Owner::new(owner)?;
        let spare = Program::load()?;
        Ok(Self {
            owner,
            tc: open()?,
            links: BTreeMap::new(),
            spare: Some(spare),
        })
    }

    /// The gates that another process of the same owner left, by the number of their interface: they stand as they are, leases,
    /// counters and all, and are this process's from now on. Interfaces without are [attached](Self::attach) as ever.
    ///
    /// # Errors
    /// `Adoption`, if any of them cannot be used, `Mapping`, or `Owner`.
    pub fn adopt(
        owner: &str,
        parts: impl IntoIterator<Item = (u32, Parts)>,
    ) -> Result<Self, GateError> {
        let owner = Owner::new(owner)?;
        let links = parts
            .into_iter()
            .map(|(ifindex, parts)| Ok((ifindex, Program::adopt(parts)?)));
        Ok(Self {
            owner,
            links: links.try_gather()?,
            tc: open()?,
            spare: None,
        })
    }

    /// What a successor needs to [adopt](Self::adopt) the gate of this interface. Given once: whoever takes it keeps it, and a
    /// gate that was adopted has none.
    pub fn take_parts(&mut self, ifindex: u32) -> Option<Parts> {
        self.links.get_mut(&ifindex)?.take_parts()
    }

    /// Puts a gate on this interface, with these virtual MAC addresses guarded and closed, and takes that of a predecessor
    /// of the same owner away once it stands. Also to be called when [`observe`](Self::observe) finds it missing: the
    /// leases are the same ones, as they are.
    ///
    /// # Errors
    /// `NotEthernet`, `Obstructed`, or what the kernel refused. What was there before is then still there, and the gate may
    /// stand in one direction: to be tried again or [detached](Self::detach).
    pub fn attach(
        &mut self,
        ifindex: u32,
        guarded: impl IntoIterator<Item = (Family, Vrid)>,
    ) -> Result<Leases, GateError> {
        if !self
            .tc
            .is_ethernet(ifindex)
            .map_err(kernel("look at it", ifindex))?
        {
            return Err(GateError::NotEthernet { ifindex });
        }
        // The spare first, so that nothing stands anywhere if there is no program.
        if self.spare.is_none() && !self.links.contains_key(&ifindex) {
            self.spare = Some(Program::load()?);
        }
        let mut made = ensure_clsact(&self.tc, ifindex)?;
        let program = program(&mut self.links, &mut self.spare, ifindex)?;
        // Before the first frame meets it, and before a predecessor goes.
        for (family, vrid) in guarded {
            program.leases.guard(family, vrid);
        }
        for direction in Direction::BOTH {
            let before = filters(&self.tc, ifindex, direction)?;
            // Whoever of the owners leaves last takes it away.
            made |= before.iter().any(made_clsact);
            let ours = |filter: &Filter| filter.program == Some(program.id(direction));
            if !before.iter().any(ours) {
                self.tc
                    .add_filter(
                        ifindex,
                        direction,
                        first_priority(&before),
                        program.fd(direction),
                        &self.owner.name(made),
                    )
                    .map_err(kernel("add the gate", ifindex))?;
            }
            for filter in before {
                if self.owner.has(&filter) && !ours(&filter) {
                    gone(self.tc.delete_filter(ifindex, direction, &filter))
                        .map_err(kernel("remove a gate", ifindex))?;
                }
            }
        }
        Ok(program.leases.clone())
    }

    /// Answers for these routers on this interface, and for no others, from the moment when the gate
    /// [stands](Self::attach) there; they have no macvlan. Said before that, there is no moment in which it does not know
    /// them.
    ///
    /// # Errors
    /// `Serving`, if not all of it fits; what did is there. Or there is no program for the interface, as in
    /// [`load`](Self::load).
    pub fn serve(&mut self, ifindex: u32, routers: &Serving) -> Result<(), GateError> {
        if routers.is_empty() && !self.links.contains_key(&ifindex) {
            return Ok(());
        }
        let program = program(&mut self.links, &mut self.spare, ifindex)?;
        program.tables.hold(routers)
    }

    /// Who asks for one of these addresses is led to the macvlan of its router alone, from now on, and for no others. Without
    /// it the kernel lets every macvlan look at the question.
    ///
    /// # Errors
    /// As for [`Self::serve`].
    pub fn lead(&mut self, ifindex: u32, addresses: &Leading) -> Result<(), GateError> {
        if addresses.is_empty() && !self.links.contains_key(&ifindex) {
            return Ok(());
        }
        let program = program(&mut self.links, &mut self.spare, ifindex)?;
        program.tables.lead(addresses)
    }

    /// What stands on this interface now. [`Watch`](crate::Watch) tells when to look.
    ///
    /// # Errors
    /// If the kernel does not answer, for example because the interface is gone.
    pub fn observe(&self, ifindex: u32) -> Result<Standing, GateError> {
        let Some(program) = self.links.get(&ifindex) else {
            return Ok(Standing::Missing);
        };
        let mut standing = Standing::First;
        for direction in Direction::BOTH {
            let filters = filters(&self.tc, ifindex, direction)?;
            let ours = Some(program.id(direction));
            let Some(place) = filters.iter().position(|filter| filter.program == ours) else {
                return Ok(Standing::Missing);
            };
            if !filters.iter().take(place).all(is_a_gate) {
                standing = Standing::Behind;
            }
        }
        Ok(standing)
    }

    /// Whether another owner has a gate on this interface, in whichever direction.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn has_others(&self, ifindex: u32) -> Result<bool, GateError> {
        for direction in Direction::BOTH {
            let filters = filters(&self.tc, ifindex, direction)?;
            let theirs = |filter: &Filter| is_a_gate(filter) && !self.owner.has(filter);
            if filters.iter().any(theirs) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The leases of this interface, if it was attached.
    #[must_use]
    pub fn leases(&self, ifindex: u32) -> Option<Leases> {
        self.links.get(&ifindex).map(|link| link.leases.clone())
    }

    /// Interfaces that were attached, whether or not the gate still stands there.
    pub fn links(&self) -> impl Iterator<Item = u32> {
        self.links.keys().copied()
    }

    /// Takes the gate of this interface away; every frame passes from now on, so what answers for the virtual addresses is
    /// to be taken away before. The queueing discipline goes if this owner made it and nobody else uses it.
    ///
    /// # Errors
    /// All that could not be removed. That something is gone already is none.
    pub fn detach(&mut self, ifindex: u32) -> Result<(), Vec<GateError>> {
        self.links.remove(&ifindex);
        let mut errors = Vec::new();
        clear(&self.tc, &self.owner, ifindex, &mut errors);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// Removes what this owner has on interfaces that were not attached by this value: left over by a predecessor. To be
    /// called after all interfaces have been attached. How many interfaces had something.
    ///
    /// # Errors
    /// All that could not be removed.
    pub fn remove_leftovers(&self) -> Result<usize, Vec<GateError>> {
        sweep(&self.tc, &self.owner, |ifindex| {
            !self.links.contains_key(&ifindex)
        })
    }
}

/// Removes every gate of `owner` in the network namespace of the calling thread, without one of its own: also where
/// this was built without the program. How many interfaces had one.
///
/// # Errors
/// All that could not be removed.
pub fn remove(owner: &str) -> Result<usize, Vec<GateError>> {
    let owner = Owner::new(owner).map_err(|error| vec![error])?;
    let tc = open().map_err(|error| vec![error])?;
    sweep(&tc, &owner, |_| true)
}

/// The program of this interface; the spare one, if it has none yet.
fn program<'a>(
    links: &'a mut BTreeMap<u32, Program>,
    spare: &mut Option<Program>,
    ifindex: u32,
) -> Result<&'a mut Program, GateError> {
    Ok(match links.entry(ifindex) {
        Entry::Occupied(link) => link.into_mut(),
        Entry::Vacant(place) => place.insert(match spare.take() {
            Some(spare) => spare,
            None => Program::load()?,
        }),
    })
}

/// Who a filter belongs to, which is written in its name.
#[derive(Debug)]
struct Owner(String);

impl Owner {
    fn new(name: &str) -> Result<Self, GateError> {
        let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if (1..=200).contains(&name.len()) && name.bytes().all(printable) {
            Ok(Self(name.to_owned()))
        } else {
            Err(GateError::Owner(name.to_owned()))
        }
    }

    fn name(&self, made_clsact: bool) -> String {
        let mark = if made_clsact { MADE_CLSACT } else { "" };
        format!("{PREFIX}{}{mark}", self.0)
    }

    fn has(&self, filter: &Filter) -> bool {
        [false, true]
            .iter()
            .any(|made| filter.name.as_deref() == Some(&self.name(*made)))
    }
}

/// Whether the queueing discipline belongs to gates, of whatever owner.
fn made_clsact(filter: &Filter) -> bool {
    let name = filter.name.as_deref();
    name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(MADE_CLSACT))
}

/// Those of other owners pass on what they do not stop.
fn is_a_gate(filter: &Filter) -> bool {
    let name = filter.name.as_deref();
    name.is_some_and(|name| name.starts_with(PREFIX))
}

/// Whether it had to be made.
fn ensure_clsact(tc: &Tc, ifindex: u32) -> Result<bool, GateError> {
    let Err(error) = tc.add_clsact(ifindex) else {
        return Ok(true);
    };
    let found = tc
        .disciplines()
        .map_err(kernel("list queueing disciplines", ifindex))?;
    // Its filters for what goes out would be run for what comes in.
    match found.into_iter().find(|(link, _)| *link == ifindex) {
        Some((_, kind)) if kind == CLSACT => Ok(false),
        Some((_, kind)) => Err(GateError::Obstructed { ifindex, kind }),
        None => Err(kernel("add clsact", ifindex)(error)),
    }
}

fn sweep(tc: &Tc, owner: &Owner, wanted: impl Fn(u32) -> bool) -> Result<usize, Vec<GateError>> {
    let links = tc
        .disciplines()
        .map_err(|error| vec![kernel("list queueing disciplines", 0)(error)])?;
    let mut errors = Vec::new();
    let mut found = 0;
    let links = links
        .into_iter()
        .filter(|(ifindex, kind)| kind == CLSACT && wanted(*ifindex));
    for (ifindex, _) in links {
        found += usize::from(clear(tc, owner, ifindex, &mut errors));
    }
    if errors.is_empty() {
        Ok(found)
    } else {
        Err(errors)
    }
}

/// Removes all filters of `owner` from this interface, and the queueing discipline if it is the owner's and empty then.
/// Whether there was something.
fn clear(tc: &Tc, owner: &Owner, ifindex: u32, errors: &mut Vec<GateError>) -> bool {
    let (mut made, mut found, mut strangers) = (false, false, false);
    for direction in Direction::BOTH {
        let filters = match gone(tc.filters(ifindex, direction)) {
            Ok(filters) => filters,
            Err(error) => {
                errors.push(kernel("list filters", ifindex)(error));
                strangers = true;
                continue;
            }
        };
        for filter in filters {
            if !owner.has(&filter) {
                strangers = true;
                continue;
            }
            found = true;
            made |= made_clsact(&filter);
            if let Err(error) = gone(tc.delete_filter(ifindex, direction, &filter)) {
                errors.push(kernel("remove a gate", ifindex)(error));
                strangers = true;
            }
        }
    }
    if made
        && !strangers
        && let Err(error) = gone(tc.delete_clsact(ifindex))
    {
        errors.push(kernel("remove clsact", ifindex)(error));
    }
    found
}

/// That an object is not there is what was wanted.
fn gone<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO)
            ) =>
        {
            Ok(T::default())
        }
        other => other,
    }
}

fn open() -> Result<Tc, GateError> {
    Tc::open().map_err(kernel("open netlink", 0))
}

fn filters(tc: &Tc, ifindex: u32, direction: Direction) -> Result<Vec<Filter>, GateError> {
    tc.filters(ifindex, direction)
        .map_err(kernel("list filters", ifindex))
}

fn kernel(what: &'static str, ifindex: u32) -> impl Fn(io::Error) -> GateError {
    move |source| GateError::Kernel {
        what,
        ifindex,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_knows_its_own_filters() {
        let owner = Owner::new("me").expect("a word");
        let named = |name: &str| Filter {
            name: Some(name.to_owned()),
            ..Filter::default()
        };
        for (name, ours, made) in [
            ("vrrp-gate/me", true, false),
            ("vrrp-gate/me/clsact", true, true),
            ("vrrp-gate/me2", false, false),
            ("vrrp-gate/", false, false),
            ("me", false, false),
        ] {
            let filter = named(name);
            assert_eq!(owner.has(&filter), ours, "{name}");
            assert_eq!(made_clsact(&filter), made, "{name}");
        }
        assert!(!owner.has(&Filter::default()));
    }

    #[cfg(not(gate_program))]
    #[test]
    fn without_the_program_it_says_so() {
        assert!(matches!(Gate::load("me"), Err(GateError::NotBuilt)));
    }
}
