//! Keeps the table of [`filter`] in place.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use tracing::warn;
use vrrp_proto::desired::Desired;
use vrrp_proto::types::RouterId;

use super::OwnerId;
use super::filter;
use super::netlink::Filters;
use super::observed::Observed;
use super::standing::Patience;

/// The table as it stands.
pub(super) struct FilterGuard {
    owner: OwnerId,
    /// Opened when a table is first looked for; `None` also where the kernel has no nftables.
    filters: Option<Filters>,
    standing: Table,
    /// Chains and sets in the table when it was installed.
    uses: u32,
    failure: Option<String>,
    patience: Patience,
    repaired: bool,
}

#[derive(PartialEq, Eq, Debug)]
enum Table {
    /// An earlier life may have left one.
    Unknown,
    Absent,
    /// Made by this script.
    Installed(String),
    /// It was this, and somebody changed it.
    Damaged,
}

impl FilterGuard {
    pub(super) fn new(owner: OwnerId) -> Self {
        Self {
            owner,
            filters: Filters::open().ok(),
            standing: Table::Unknown,
            uses: 0,
            failure: None,
            patience: Patience::default(),
            repaired: false,
        }
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.filters.as_ref().map(Filters::fd)
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.patience.until
    }

    /// What it is called in a sentence.
    pub(super) fn name(&self) -> String {
        format!("the nftables table {}", self.owner.table())
    }

    /// Reads notifications; whether the table needs a look.
    pub(super) fn listen(&mut self) -> bool {
        let table = self.owner.table();
        let Some(filters) = self.filters.as_mut() else {
            return false;
        };
        let concerned = filters.drain(&table).unwrap_or(true);
        if concerned && matches!(self.standing, Table::Installed(_)) {
            self.standing = Table::Damaged;
            return true;
        }
        false
    }

    /// Looks whether the table is still there.
    pub(super) fn check(&mut self) {
        let table = self.owner.table();
        if let (Table::Installed(_), Some(filters)) = (&self.standing, self.filters.as_mut())
            && filters
                .table_use(&table)
                .is_ok_and(|uses| uses != Some(self.uses))
        {
            self.standing = Table::Damaged;
        }
    }

    /// Why `desired` has not the filter that it needs.
    pub(super) fn failure(&self, desired: &Desired) -> Option<&str> {
        self.failure
            .as_deref()
            .filter(|_| filter::is_vital(desired))
    }

    /// Whether the table was repaired, which is told to one router that needs it.
    pub(super) fn take_repair(&mut self, desired: &Desired) -> bool {
        filter::concerns(desired) && std::mem::take(&mut self.repaired)
    }

    /// Whether the table is as `routers` need it.
    pub(super) fn is_settled(
        &self,
        routers: &BTreeMap<RouterId, Arc<Desired>>,
        observed: &Observed,
    ) -> bool {
        match filter::script(self.owner, routers, observed) {
            Some(script) => self.standing == Table::Installed(script),
            None => self.standing == Table::Absent,
        }
    }

    /// Installs, changes or removes the table as `routers` need.
    pub(super) fn settle(
        &mut self,
        routers: &BTreeMap<RouterId, Arc<Desired>>,
        observed: &Observed,
    ) {
        let now = Instant::now();
        if self.patience.until.is_some_and(|until| until > now) {
            return;
        }
        let result = match filter::script(self.owner, routers, observed) {
            Some(script) => self.install(script),
            None => self.remove(),
        };
        match result {
            Ok(()) => {
                self.failure = None;
                self.patience = Patience::default();
            }
            Err(failure) => {
                if self.failure.as_ref() != Some(&failure) {
                    // Beside those to whom it is reported as a failure, it matters to an owner.
                    warn!("{failure}; an owner's interface may answer with its own MAC address");
                }
                self.failure = Some(failure);
                self.patience.fail(now);
            }
        }
    }

    fn install(&mut self, script: String) -> Result<(), String> {
        if self.standing == Table::Installed(script.clone()) {
            return Ok(());
        }
        filter::run(&script)?;
        let table = self.owner.table();
        if let Some(filters) = self.filters.as_mut() {
            // What was heard until now is about the installation.
            let _ = filters.drain(&table);
            self.uses = filters.table_use(&table).ok().flatten().unwrap_or(0);
        }
        self.repaired = self.standing == Table::Damaged;
        self.standing = Table::Installed(script);
        Ok(())
    }

    /// Takes the table away if it is there.
    pub(super) fn remove(&mut self) -> Result<(), String> {
        if self.standing == Table::Absent {
            return Ok(());
        }
        let table = self.owner.table();
        let there = self
            .filters
            .as_mut()
            .is_some_and(|filters| !matches!(filters.table_use(&table), Ok(None)));
        if there {
            filter::run(&filter::removal(self.owner))?;
        }
        self.standing = Table::Absent;
        self.repaired = false;
        Ok(())
    }
}
