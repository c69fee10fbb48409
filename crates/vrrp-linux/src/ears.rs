//! What the engine hears with: the sockets of each interface.
//!
//! Joining a group and closing a socket wait for the kernel's routing lock, which others may hold for seconds. Neither
//! is done on the engine's thread: sockets are opened by the opener (`opener`) and arrive by mail, and they are closed
//! on another. The engine learns of an interface only when its sockets are there, or could not be opened, so that no
//! router ever takes part without hearing.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use vrrp_proto::{Family, LinkId};

use crate::claim::ClaimSocket;
use crate::heritage::Sockets;
use crate::opener::Opened;
use crate::socket::ProtocolSocket;

/// The sockets of one interface and family.
#[derive(Debug)]
pub(crate) struct Ear {
    /// Hears advertisements.
    pub(crate) protocol: ProtocolSocket,
    /// Hears who claims our addresses. Without it only the announcement after such a claim is missing.
    pub(crate) claims: Option<ClaimSocket>,
}

impl Ear {
    pub(crate) fn open(interface: &str, index: u32, family: Family) -> io::Result<Self> {
        let protocol = ProtocolSocket::open(interface, index, family)?;
        let claims = ClaimSocket::open(interface, index, family);
        if let Err(error) = &claims {
            tracing::warn!(interface, %family, %error, "claims of virtual addresses will not be noticed");
        }
        Ok(Self {
            protocol,
            claims: claims.ok(),
        })
    }

    /// What another process opened on interface number `index`.
    pub(crate) fn inherited(
        advertisements: OwnedFd,
        claims: Option<OwnedFd>,
        index: u32,
        family: Family,
    ) -> Self {
        Self {
            protocol: ProtocolSocket::inherited(advertisements, index),
            claims: claims.map(|claims| ClaimSocket::inherited(claims, family)),
        }
    }
}

/// Which socket has something to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Protocol(LinkId, Family),
    Claims(LinkId, Family),
}

/// All sockets that hear.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    /// The interfaces whose sockets have been opened, or could not be, by the kernel's number at that time.
    opened: BTreeMap<LinkId, u32>,
    ears: BTreeMap<(LinkId, Family), (Ear, u64)>,
    sources: BTreeMap<u64, Source>,
    deaf: BTreeMap<(LinkId, Family), String>,
    next_token: u64,
    /// Where sockets are left to a successor, if there will be one.
    heirlooms: Option<Sockets>,
}

/// Tokens of an ear: the first is for advertisements, the second for claims.
const TOKENS: u64 = 2;

impl Ears {
    /// Sockets wake the engine with tokens from `first_token` on.
    pub(crate) fn new(first_token: u64, heirlooms: Option<Sockets>) -> Self {
        Self {
            next_token: first_token,
            heirlooms,
            ..Self::default()
        }
    }

    /// Goes on with the sockets that another process had on this interface, number `index`. What is missing is deaf, to be
    /// opened again.
    pub(crate) fn inherit(&mut self, link: LinkId, index: u32, epoll: &Epoll) {
        self.opened.insert(link, index);
        for family in [Family::Ipv4, Family::Ipv6] {
            let heirlooms = self.heirlooms.as_mut();
            let found = heirlooms.and_then(|sockets| sockets.find(index, family));
            let missing = || io::Error::from(io::ErrorKind::NotFound);
            let result = found.ok_or_else(missing);
            if let Err(error) = result.and_then(|ear| self.hear((link, family), ear, epoll)) {
                self.deaf.insert((link, family), error.to_string());
            }
        }
    }

    /// What was left for interfaces that nobody asks for any more is closed, here and everywhere.
    pub(crate) fn disclaim(&mut self) {
        if let Some(heirlooms) = &mut self.heirlooms {
            bury(heirlooms.clear());
        }
    }

    /// Whether sockets were opened, or could not be, on this incarnation of the interface.
    pub(crate) fn is_open(&self, link: LinkId, index: u32) -> bool {
        self.opened.get(&link) == Some(&index)
    }

    /// Takes what an opener delivered. Returns what changed about hearing: the reason, or `None` when it works.
    pub(crate) fn install(
        &mut self,
        opened: Opened,
        epoll: &Epoll,
    ) -> Vec<(Family, Option<String>)> {
        let Opened {
            link,
            index,
            results,
        } = opened;
        if !self.is_open(link, index) {
            self.close(link, epoll);
            self.opened.insert(link, index);
        }
        let mut changes = Vec::new();
        for (family, result) in results {
            let key = (link, family);
            let result = result.and_then(|ear| self.listen(key, ear, epoll));
            let before = self.deaf.contains_key(&key);
            match result {
                Ok(()) => {
                    self.deaf.remove(&key);
                    if before {
                        changes.push((family, None));
                    }
                }
                Err(error) => {
                    self.deaf.insert(key, error.to_string());
                    if !before {
                        changes.push((family, Some(error.to_string())));
                    }
                }
            }
        }
        changes
    }

    fn listen(&mut self, key: (LinkId, Family), ear: Ear, epoll: &Epoll) -> io::Result<()> {
        if let (Some(heirlooms), Some(&index)) = (&self.heirlooms, self.opened.get(&key.0)) {
            heirlooms.leave(index, key.1, &ear);
        }
        self.hear(key, ear, epoll)
    }

    fn hear(&mut self, key: (LinkId, Family), ear: Ear, epoll: &Epoll) -> io::Result<()> {
        let token = self.next_token;
        epoll.add(
            ear.protocol.as_fd(),
            EpollEvent::new(EpollFlags::EPOLLIN, token),
        )?;
        if let Some(claims) = &ear.claims {
            epoll.add(
                claims.as_fd(),
                EpollEvent::new(EpollFlags::EPOLLIN, token + 1),
            )?;
        }
        self.next_token += TOKENS;
        self.sources.insert(token, Source::Protocol(key.0, key.1));
        self.sources.insert(token + 1, Source::Claims(key.0, key.1));
        if let Some(old) = self.ears.insert(key, (ear, token)) {
            self.forget(old, epoll);
        }
        Ok(())
    }

    /// The interface is gone. What it was deaf to is forgotten, and reported as mended by the next opening.
    pub(crate) fn close(&mut self, link: LinkId, epoll: &Epoll) {
        let index = self.opened.remove(&link);
        for family in [Family::Ipv4, Family::Ipv6] {
            if let Some(ear) = self.ears.remove(&(link, family)) {
                if let (Some(heirlooms), Some(index)) = (&self.heirlooms, index) {
                    heirlooms.withdraw(index, family);
                }
                self.forget(ear, epoll);
            }
        }
    }

    fn forget(&mut self, (ear, token): (Ear, u64), epoll: &Epoll) {
        let _ = epoll.delete(ear.protocol.as_fd());
        if let Some(claims) = &ear.claims {
            let _ = epoll.delete(claims.as_fd());
        }
        self.sources.remove(&token);
        self.sources.remove(&(token + 1));
        bury(ear);
    }

    /// The socket behind a token.
    pub(crate) fn source(&self, token: u64) -> Option<Source> {
        self.sources.get(&token).copied()
    }

    /// The sockets of an interface and family.
    pub(crate) fn get(&self, link: LinkId, family: Family) -> Option<&Ear> {
        self.ears.get(&(link, family)).map(|(ear, _)| ear)
    }

    /// Tells the sockets of `link` which addresses' claims to hear.
    pub(crate) fn watch(&mut self, link: LinkId, family: Family, addresses: &[IpAddr]) {
        let claims = self
            .ears
            .get_mut(&(link, family))
            .and_then(|(ear, _)| ear.claims.as_mut());
        if let Some(Err(error)) = claims.map(|claims| claims.watch(addresses)) {
            tracing::warn!(%error, "cannot watch for claims of virtual addresses");
        }
    }

    /// What cannot be heard: where, which family, and on which incarnation of the interface.
    pub(crate) fn deaf(&self) -> impl Iterator<Item = (LinkId, Family, u32)> {
        self.deaf
            .keys()
            .filter_map(|(link, family)| Some((*link, *family, *self.opened.get(link)?)))
    }
}

/// Drops `thing` on a thread of its own: closing waits for the kernel.
pub(crate) fn bury<T: Send + 'static>(thing: T) {
    // Without a thread it is dropped right here, which is late but right.
    let _ = std::thread::Builder::new()
        .name("closer".into())
        .spawn(move || drop(thing));
}
