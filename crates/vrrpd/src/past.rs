//! What happened, for those who ask: from memory, from the files what is older, and as it happens.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use vrrp_control::{Answer, EventRecord, EventsWanted};

use crate::annals::Annals;
use crate::answers::Answers;
use crate::services::Services;

/// Events on their way from the files to a client. When it is full, the reading waits: for that there is a thread.
const ON_THEIR_WAY: usize = 64;

/// Says what is wanted.
pub(crate) async fn answer(
    services: &Services,
    answers: &mut Answers,
    wanted: EventsWanted,
) -> io::Result<()> {
    let follow = wanted.follow;
    let Some(filter) = Filter::new(&wanted) else {
        let since = wanted.since.unwrap_or_default();
        return answers.refuse(format!("{since:?} is no time")).await;
    };
    // Opened before anything is read, so that there is no gap.
    let (mut recent, mut receiver) = services.office.subscribe();
    let oldest = recent.first().map(|record| record.sequence);
    recent.retain(|record| filter.wants(record));
    let number = wanted.number.unwrap_or(u64::MAX);
    let many = u64::try_from(recent.len()).unwrap_or(u64::MAX);
    if many < number {
        let mut older = older(
            services.annals.clone(),
            filter.clone(),
            oldest,
            number - many,
        );
        while let Some(record) = older.recv().await {
            answers.send(&Answer::Event(record)).await?;
        }
    }
    let skipped = usize::try_from(many.saturating_sub(number)).unwrap_or(usize::MAX);
    for record in recent.into_iter().skip(skipped) {
        answers
            .send(&Answer::Event(EventRecord::clone(&record)))
            .await?;
    }
    if !follow {
        return answers.send(&Answer::End).await;
    }
    answers.send(&Answer::Present).await?;
    answers.follow();
    loop {
        let answer = match receiver.recv().await {
            Ok(record) if !filter.wants(&record) => continue,
            Ok(record) => Answer::Event(EventRecord::clone(&record)),
            Err(RecvError::Lagged(count)) => Answer::EventsLost { count },
            Err(RecvError::Closed) => return answers.send(&Answer::End).await,
        };
        answers.send(&answer).await?;
    }
}

/// The last so many of those that are older than the `oldest` in memory.
fn older(
    annals: Annals,
    filter: Filter,
    oldest: Option<u64>,
    number: u64,
) -> mpsc::Receiver<EventRecord> {
    let (sender, receiver) = mpsc::channel(ON_THEIR_WAY);
    tokio::task::spawn_blocking(move || {
        let old = |event: &EventRecord| oldest.is_none_or(|oldest| event.sequence < oldest);
        let mut many = 0_u64;
        // Counted first, and read again: they need not all be in memory. What cannot be read is not there.
        let _ = annals.each(|event| {
            many += u64::from(filter.wants(&event));
            old(&event)
        });
        let mut skipped = many.saturating_sub(number);
        let _ = annals.each(|event| {
            if !old(&event) {
                return false;
            }
            if !filter.wants(&event) {
                return true;
            }
            if skipped > 0 {
                skipped -= 1;
                return true;
            }
            // Without a receiver the client is gone.
            sender.blocking_send(event).is_ok()
        });
    });
    receiver
}

#[derive(Clone, Debug)]
struct Filter {
    since: Option<Timestamp>,
    router: Option<Arc<str>>,
}

impl Filter {
    /// `None` when a time is none.
    fn new(wanted: &EventsWanted) -> Option<Self> {
        let since = wanted.since.as_ref().map(|since| since.parse());
        Some(Self {
            since: since.transpose().ok()?,
            router: wanted.router.as_deref().map(Into::into),
        })
    }

    fn wants(&self, event: &EventRecord) -> bool {
        let is_of_it = |name: &Arc<str>| event.router.as_deref() == Some(&**name);
        let is_new = |from| event.time.parse::<Timestamp>().is_ok_and(|at| at >= from);
        self.router.as_ref().is_none_or(is_of_it) && self.since.is_none_or(is_new)
    }
}
