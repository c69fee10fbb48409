//! The way back to a client: lines, each within the time that a client has to read it.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::timeout;
use vrrp_control::{Answer, Refusal, encode};

use crate::places::{Place, Stage};

/// A client that does not finish its request, or does not read its answer, in this time is cut off.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Where the answers to one request go.
#[derive(Debug)]
pub(crate) struct Answers {
    writer: OwnedWriteHalf,
    place: Place,
}

impl Answers {
    pub(crate) const fn new(writer: OwnedWriteHalf, place: Place) -> Self {
        Self { writer, place }
    }

    /// The request is known, and is being answered.
    pub(crate) fn begin(&self) {
        self.place.stage(Stage::Served);
    }

    /// From now on there is an answer whenever something happens.
    pub(crate) fn follow(&self) {
        self.place.stage(Stage::Following);
    }

    /// Sends one answer.
    ///
    /// # Errors
    /// When the client is gone, or does not read.
    pub(crate) async fn send(&mut self, answer: &Answer) -> io::Result<()> {
        let before = self.place.stage(Stage::Owed);
        let sent = timeout(PATIENCE, self.writer.write_all(&encode(answer)?)).await;
        self.place.stage(before);
        sent?
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
