//! The way back to a client: lines, each within the time that a client has to read it.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::timeout;
use vrrp_control::{Answer, Refusal, encode};

/// A client that does not finish its request, or does not read its answer, in this time is cut off.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Where the answers to one request go.
#[derive(Debug)]
pub(crate) struct Answers(OwnedWriteHalf);

impl Answers {
    pub(crate) const fn new(writer: OwnedWriteHalf) -> Self {
        Self(writer)
    }

    /// Sends one answer.
    ///
    /// # Errors
    /// When the client is gone, or does not read.
    pub(crate) async fn send(&mut self, answer: &Answer) -> io::Result<()> {
        timeout(PATIENCE, self.0.write_all(&encode(answer)?)).await?
    }

    /// Says why not.
    ///
    /// # Errors
    /// Like [`Self::send`].
    pub(crate) async fn refuse(&mut self, reason: impl Into<String>) -> io::Result<()> {
        let reason = reason.into();
        self.send(&Answer::Refused(Refusal { reason })).await
    }
}
