//! Work that may wait for a disk or a name, of which there is one at a time: whoever gave up waiting comes back to the same work,
//! so that nothing piles up behind a resolver that hangs.

use std::io;

use tokio::task::{JoinHandle, spawn_blocking};

/// One place for such work.
#[derive(Debug)]
pub(crate) struct Once<T>(Option<JoinHandle<T>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Once<T> {
    /// Waits for the work that goes on, or for this. May be dropped while it waits.
    pub(crate) async fn run(&mut self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let working = self.0.get_or_insert_with(|| spawn_blocking(work));
        let result = working.await;
        self.0 = None;
        result.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(flavor = "current_thread")]
    async fn nothing_piles_up() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let mut once = Once::default();
        let work = move || held.recv().map_or(0, |()| 1);
        let moment = Duration::from_millis(20);
        assert!(timeout(moment, once.run(work)).await.is_err());
        // The second one is not begun while the first one hangs.
        assert!(timeout(moment, once.run(|| 2)).await.is_err());
        release.send(()).unwrap();
        assert_eq!(once.run(|| 3).await.unwrap(), 1);
        assert_eq!(once.run(|| 4).await.unwrap(), 4);
    }
}
