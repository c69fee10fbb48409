//! A process that is ready to take the worker's place: it does beforehand what takes time, and changes nothing before it is
//! told to.

use vrrp_config::load;
use vrrp_linux::Heritage;
use vrrp_linux::store::Store;

use crate::cli::Arguments;
use crate::log::chain;
use crate::passage;
use crate::word::{self, ToKeeper, ToWorker};

/// Waits for its turn; whether that came.
pub(crate) fn wait(arguments: &Arguments, store: &Store) -> bool {
    // The worker that runs is more important.
    vrrp_linux::fall_back();
    if let Err(reason) = rehearse(arguments, store) {
        ToKeeper::Unfit { reason }.say(store);
        return false;
    }
    let ready = ToKeeper::Ready {
        version: env!("CARGO_PKG_VERSION").into(),
        passage: passage::VERSION,
    };
    // From now on, nobody is.
    vrrp_linux::come_first();
    if !ready.say(store) {
        return false;
    }
    while let Ok(Some(text)) = store.hear(true) {
        if word::read(&text) == Some(ToWorker::Go) {
            return true;
        }
    }
    false
}

/// Does once what is to be done then, and says what would not work, as a clause.
fn rehearse(arguments: &Arguments, store: &Store) -> Result<(), String> {
    Heritage::rehearse(store).map_err(|error| {
        format!(
            "it cannot go on where this daemon is: {error}; drain this router, then restart the daemon"
        )
    })?;
    // The one that runs goes on from its state; but the next reload, or the next start, would fail.
    match load(arguments.config()) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "it cannot use the configuration: {}",
            chain(&error)
        )),
    }
}
