//! Whether a program ends with status 0. Next to nothing that it writes is shown: it runs every second.

use std::time::Duration;

use tokio::sync::watch;

use super::Found;
use crate::run::{Order, execute};

/// What it takes to end one that does not end by itself.
pub(crate) const MORE: Duration = Duration::from_secs(5);

/// Longest first line that is taken for the reason.
const REASON: usize = 80;

/// Runs it once.
pub(crate) async fn run(
    name: &str,
    command: &[String],
    user: Option<&str>,
    timeout: Duration,
) -> Found {
    let environment = [("VRRP_TRACKER".to_owned(), name.to_owned())];
    let order = Order {
        command,
        user,
        capabilities: &[],
        environment: &environment.into_iter().collect(),
        input: "",
        timeout,
    };
    let (_sender, mut never) = watch::channel(false);
    let mut first = String::new();
    let ended = execute(&order, &mut never, |line| {
        if first.is_empty() {
            first = line.chars().take(REASON).collect();
        }
    });
    let ended = ended.await;
    let said = match first.trim() {
        "" => ended.outcome,
        first => format!("{}: {first}", ended.outcome),
    };
    if ended.good { Ok(said) } else { Err(said) }
}
