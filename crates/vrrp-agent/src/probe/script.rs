//! Whether a program ends with status 0. Next to nothing that it writes is shown: it runs every second.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::{Bad, Turns, Voice, span};
use crate::run::{Ended, Order, execute};

/// Longest first line that is taken for the reason.
const REASON: usize = 80;

/// A program, and what it is told.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    command: &'a [String],
    user: Option<&'a str>,
    timeout: Duration,
    environment: BTreeMap<String, String>,
}

pub(crate) fn order<'a>(
    name: &str,
    command: &'a [String],
    user: Option<&'a str>,
    timeout: Duration,
) -> Script<'a> {
    let mut environment = BTreeMap::new();
    environment.insert("VRRP_TRACKER".to_owned(), name.to_owned());
    Script {
        command,
        user,
        timeout,
        environment,
    }
}

/// Runs it at each interval. One that takes too long is down as soon as that is so, and for as long as it does not end.
pub(crate) async fn watch(name: &str, script: &Script<'_>, interval: Duration, voice: &Voice) {
    let order = Order {
        command: script.command,
        user: script.user,
        capabilities: &[],
        environment: &script.environment,
        input: "",
        timeout: script.timeout,
    };
    let (_sender, mut never) = watch::channel(false);
    let mut turns = Turns::new(name, interval, voice);
    loop {
        turns.next().await;
        let first = RefCell::new(String::new());
        let said = |outcome: &str| match first.borrow().trim() {
            "" => outcome.to_owned(),
            first => format!("{outcome}: {first}"),
        };
        let mut work = pin!(execute(&order, &mut never, |line| {
            let mut first = first.borrow_mut();
            if first.is_empty() {
                *first = line.chars().take(REASON).collect();
            }
        }));
        let mut limit = pin!(sleep(script.timeout));
        let mut late = false;
        loop {
            tokio::select! {
                biased;
                ended = &mut work => {
                    if !late {
                        let said = said(&ended.outcome);
                        voice.found(match ended {
                            Ended { good: true, .. } => Ok(said),
                            Ended { unable: true, .. } => Err(Bad::unable(said)),
                            Ended { .. } => Err(said.into()),
                        });
                    }
                    break;
                }
                () = &mut limit, if !late => {
                    late = true;
                    let outcome = format!("no end within {}, killed", span(script.timeout));
                    voice.found(Err(said(&outcome).into()));
                }
                // Not even killing it has helped: the kernel, or the one who knows the users, does not answer.
                () = turns.next(), if late => {
                    voice.found(Err("the one before it does not end".to_owned().into()));
                }
            }
        }
    }
}
