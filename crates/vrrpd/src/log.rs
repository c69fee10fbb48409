//! The log: standard error, one line for each change, never one for each packet.
//!
//! `VRRPD_LOG` chooses what is logged, e.g. `VRRPD_LOG=debug`; without it everything from INFO up.

use std::env;
use std::error::Error;
use std::io::{IsTerminal, stderr};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::LogFormat;

/// Starts logging.
pub(crate) fn start(format: LogFormat) {
    let wish = env::var("VRRPD_LOG").ok();
    let understood = wish.as_deref().map(str::parse::<Targets>).transpose();
    let filter = match &understood {
        Ok(Some(filter)) => filter.clone(),
        Ok(None) | Err(_) => Targets::new().with_default(LevelFilter::INFO),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_target(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
    if let (Some(wish), Err(error)) = (wish, understood) {
        tracing::warn!(
            "VRRPD_LOG={wish} is not understood, and everything from INFO up is logged: {error}"
        );
    }
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
