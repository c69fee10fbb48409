//! Keeps the table of [`filter`] in place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tracing::warn;
use vrrp_proto::desired::Desired;
use vrrp_proto::types::RouterId;

use super::OwnerId;
use super::filter;
use super::observed::Observed;
use super::standing::Patience;
use super::system::System;

/// The table as it stands.
pub(super) struct FilterGuard {
    owner: OwnerId,
    standing: Table,
    /// Chains and sets in the table when it was installed.
    uses: u32,
    failure: Option<String>,
    patience: Patience,
    repaired: bool,
}

#[derive(PartialEq, Eq, Debug)]
enum Table {
    /// An earlier life may have left one, or a process before this one.
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
            standing: Table::Unknown,
            uses: 0,
            failure: None,
            patience: Patience::default(),
            repaired: false,
        }
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.patience.until
    }

    /// What it is called in a sentence.
    pub(super) fn name(&self) -> String {
        format!("the nftables table {}", self.owner.table())
    }

    /// Reads notifications; whether the table needs a look.
    pub(super) fn listen(&mut self, system: &mut impl System) -> bool {
        let concerned = system.drain_filters(self.owner);
        if concerned && matches!(self.standing, Table::Installed(_)) {
            self.standing = Table::Damaged;
            return true;
        }
        false
    }

    /// Looks whether the table is still there.
    pub(super) fn check(&mut self, system: &mut impl System) {
        if matches!(self.standing, Table::Installed(_))
            && let Some(Ok(uses)) = system.filter_use(self.owner)
            && uses != Some(self.uses)
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
        now: Instant,
        system: &mut impl System,
        routers: &BTreeMap<RouterId, Arc<Desired>>,
        observed: &Observed,
    ) {
        if self.patience.until.is_some_and(|until| until > now) {
            return;
        }
        let result = match filter::script(self.owner, routers, observed) {
            Some(script) => self.install(system, script),
            None => self.remove(system),
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

    fn install(&mut self, system: &mut impl System, script: String) -> Result<(), String> {
        if self.standing == Table::Installed(script.clone()) {
            return Ok(());
        }
        if self.standing == Table::Unknown
            && let Some((known, uses)) = system.inherited_filter()
            && known == script
            && matches!(system.filter_use(self.owner), Some(Ok(there)) if there == Some(uses))
        {
            self.uses = uses;
            self.standing = Table::Installed(script);
            return Ok(());
        }
        system.run_filter(&script)?;
        // What was heard until now is about the installation.
        system.drain_filters(self.owner);
        if let Some(uses) = system.filter_use(self.owner) {
            self.uses = uses.ok().flatten().unwrap_or(0);
        }
        system.leave_filter(&script, self.uses);
        self.repaired = self.standing == Table::Damaged;
        self.standing = Table::Installed(script);
        Ok(())
    }

    /// Takes the table away if it is there.
    pub(super) fn remove(&mut self, system: &mut impl System) -> Result<(), String> {
        if self.standing == Table::Absent {
            return Ok(());
        }
        let there = system
            .filter_use(self.owner)
            .is_some_and(|uses| !matches!(uses, Ok(None)));
        if there {
            system.run_filter(&filter::removal(self.owner))?;
        }
        self.standing = Table::Absent;
        self.repaired = false;
        Ok(())
    }
}
