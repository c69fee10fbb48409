//! What those who answer requests need. Cheap to clone: all of it is shared.

use std::path::Path;
use std::sync::Arc;

use vrrp_control::StatusReport;
use vrrp_linux::Handle;
use vrrp_linux::store::Store;

use crate::agent::Agent;
use crate::annals::Annals;
use crate::caller::Caller;
use crate::configuration::Configuration;
use crate::life::SharedLife;
use crate::office::Office;
use crate::standing::StandingOrders;
use crate::state_dir::StateDir;
use crate::upgrade::Upgrades;

/// Makes a [`StatusReport`]; nothing when the engine has stopped. May wait for the engine, so it is called where that hurts
/// nobody.
pub(crate) type StatusSource = Arc<dyn Fn() -> Option<StatusReport> + Send + Sync>;

/// What is said when the engine cannot be asked any more.
pub(crate) const STOPPED: &str = "the engine has stopped";

/// The parts of the daemon that a request may use.
#[derive(Clone)]
#[allow(
    dead_code,
    reason = "the requests that need all of it are on their way"
)]
pub(crate) struct Services {
    /// Log, history and subscribers.
    pub(crate) office: Office,
    /// The engine.
    pub(crate) engine: Handle,
    /// The whole status.
    pub(crate) status: StatusSource,
    /// What runs, and how it is replaced.
    pub(crate) configuration: Configuration,
    /// Since when the daemon runs, and with what.
    pub(crate) life: SharedLife,
    /// What outlives this process.
    pub(crate) store: Store,
    /// What outlives the daemon.
    pub(crate) state_dir: StateDir,
    /// The history of events on disk.
    pub(crate) annals: Annals,
    /// Orders of operators that outlive the daemon.
    pub(crate) orders: StandingOrders,
    /// The process that runs hooks.
    pub(crate) agent: Agent,
    /// How the last upgrade goes.
    pub(crate) upgrades: Upgrades,
    /// The configuration file, as it was given.
    pub(crate) config: Arc<Path>,
    /// The runtime directory.
    pub(crate) runtime_dir: Arc<Path>,
    /// The process that is the daemon to everybody else.
    pub(crate) keeper: u32,
}

impl Services {
    /// Runs `work`, which may wait, where that hurts nobody; nothing when it panicked.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> T + Send + 'static,
    ) -> Option<T> {
        let services = self.clone();
        tokio::task::spawn_blocking(move || work(services))
            .await
            .ok()
    }

    /// Logs what somebody changed, and enters it in the history: a sentence whose first word is a name, such as `alice set
    /// wan4's priority to 50 for 10m`.
    pub(crate) fn note_change(&self, caller: &Caller, router: Option<&str>, sentence: String) {
        let name = router.unwrap_or("-");
        tracing::info!(router = name, kind = "changed", %caller, "{sentence}");
        self.office
            .enter(router.map(str::to_owned), "changed", sentence);
    }
}
