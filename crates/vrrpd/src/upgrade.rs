//! The worker's side of being replaced on purpose: it asks the keeper for it, makes way, and knows how it goes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use vrrp_control::{Answer, UpgradeReport, UpgradeStage};
use vrrp_linux::store::{Store, read_text};

use crate::answers::Answers;
use crate::caller::Caller;
use crate::services::Services;
use crate::word::{self, ToKeeper, ToWorker};

/// Where the last report is in the store.
pub(crate) const NAME: &str = "upgrade";

/// The keeper answers sooner than this, whatever the new program does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever asked for it is to hear that it begins.
const COURTESY: Duration = Duration::from_millis(5);

/// How the last upgrade goes, and the right to ask for the next one.
#[derive(Clone, Debug)]
pub(crate) struct Upgrades {
    report: watch::Sender<Option<UpgradeReport>>,
    asking: Arc<Mutex<()>>,
}

impl Upgrades {
    /// Goes on from what is in the store.
    pub(crate) fn new(left: Option<OwnedFd>) -> Self {
        let text = left.and_then(|file| read_text(file).ok());
        let report = text.and_then(|text| serde_json::from_str(&text).ok());
        Self {
            report: watch::Sender::new(report),
            asking: Arc::default(),
        }
    }

    /// The last one.
    pub(crate) fn report(&self) -> Option<UpgradeReport> {
        self.report.borrow().clone()
    }

    /// Asks the keeper, and waits until the new program is ready or was refused.
    async fn ask(&self, store: &Store, program: Option<String>) -> Result<UpgradeReport, String> {
        let Ok(_only) = self.asking.try_lock() else {
            return Err("another upgrade is under way".into());
        };
        let last = self.report().map_or(0, |last| last.number);
        let from = env!("CARGO_PKG_VERSION").to_owned();
        if !(ToKeeper::Upgrade { program, from }).say(store) {
            return Err("the process that keeps this one running does not listen".into());
        }
        let mut news = self.report.subscribe();
        let told = news.wait_for(|report| {
            let decided = |report: &UpgradeReport| {
                report.number > last && report.stage != UpgradeStage::Preparing
            };
            report.as_ref().is_some_and(decided)
        });
        match timeout(PATIENCE, told).await {
            Ok(Ok(report)) => report.clone().ok_or_else(String::new),
            Ok(Err(_)) | Err(_) => {
                Err("the process that keeps this one running does not answer".into())
            }
        }
    }
}

/// Answers a request for another program. Which one that is, only root may say.
pub(crate) async fn upgrade(
    services: &Services,
    caller: &Caller,
    answers: &mut Answers,
    program: Option<String>,
) -> io::Result<()> {
    if program.is_some() && caller.uid != 0 {
        return answers
            .refuse("only root may say which program is to run")
            .await;
    }
    let name = caller.name().await;
    let what = program.as_deref().unwrap_or("the installed program");
    services.note_change(
        caller,
        None,
        format!("{name} asked for an upgrade to {what}"),
    );
    match services.upgrades.ask(&services.store, program).await {
        Ok(report) => answers.send(&Answer::Upgrade(report)).await,
        Err(reason) => answers.refuse(reason).await,
    }
}

/// Heeds what the keeper says, for as long as it is there.
pub(crate) async fn heed(services: Services) -> io::Result<()> {
    // It is no stream, and waiting is all that is done with it as such.
    let line = std::os::unix::net::UnixStream::from(services.store.as_fd().try_clone_to_owned()?);
    line.set_nonblocking(true)?;
    let line = UnixStream::from_std(line)?;
    loop {
        line.readable().await?;
        let text = match line.try_io(Interest::READABLE, || services.store.hear(false)) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if let Some(word) = word::read(&text) {
            obey(&services, word).await;
        }
    }
}

async fn obey(services: &Services, word: ToWorker) {
    match word {
        ToWorker::Go => {}
        ToWorker::StepAside { whom, change_ms } => {
            tracing::info!("making way for {whom}");
            tokio::time::sleep(COURTESY).await;
            let store = services.store.clone();
            let farewell = Box::new(move || ToKeeper::Left.say(&store));
            let change = Duration::from_millis(change_ms);
            services.engine.step_aside(change, farewell);
        }
        ToWorker::Upgrade(report) => {
            if let Some((kind, text)) = news(&report) {
                tracing::warn!("{text}");
                services.office.note_daemon(kind, text);
            }
            services.upgrades.report.send_replace(Some(report));
        }
        ToWorker::Warn { kind, text } => {
            tracing::warn!("{text}");
            services.office.enter(None, kind, text);
        }
    }
}

/// What the worker that is there now has to say of it; how it took over, a worker says by itself.
fn news(report: &UpgradeReport) -> Option<(&'static str, String)> {
    let reason = report.reason.as_deref().unwrap_or_default();
    match report.stage {
        UpgradeStage::Refused => Some((
            "upgrade-failed",
            format!("nothing changed: {} is no good ({reason})", report.program),
        )),
        UpgradeStage::Settled => report.reason.clone().map(|reason| ("upgrade", reason)),
        UpgradeStage::Preparing
        | UpgradeStage::TakingOver
        | UpgradeStage::Running
        | UpgradeStage::Failed => None,
    }
}
