//! The history of events as a file in memory, which outlives the process: a JSON line for each.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use vrrp_control::EventRecord;
use vrrp_linux::store::{Store, read_text, text_file};

/// Where it is in the store.
pub(crate) const NAME: &str = "events";

/// The file, for as long as it can be written.
#[derive(Debug)]
pub(crate) struct Chronicle {
    store: Store,
    file: Option<File>,
    lines: usize,
}

impl Chronicle {
    /// One that is to go on from `history`.
    pub(crate) fn begin(store: Store, history: &VecDeque<Arc<EventRecord>>) -> Self {
        let mut chronicle = Self {
            store,
            file: None,
            lines: 0,
        };
        chronicle.renew(history);
        chronicle
    }

    /// Enters the last record of `history`. When most of the file is older than that, it is written anew.
    pub(crate) fn enter(&mut self, history: &VecDeque<Arc<EventRecord>>, room: usize) {
        let (Some(file), Some(last)) = (&mut self.file, history.back()) else {
            return;
        };
        self.lines += 1;
        if self.lines > 2 * room {
            self.renew(history);
        } else if line(last).and_then(|line| file.write_all(&line)).is_err() {
            // A successor finds what was written until now.
            self.file = None;
        }
    }

    fn renew(&mut self, history: &VecDeque<Arc<EventRecord>>) {
        self.file = self.write(history).ok();
        self.lines = history.len();
    }

    fn write(&self, history: &VecDeque<Arc<EventRecord>>) -> io::Result<File> {
        let mut file = File::from(text_file("")?);
        let lines: io::Result<Vec<Vec<u8>>> = history.iter().map(|record| line(record)).collect();
        file.write_all(&lines?.concat())?;
        self.store.put(NAME, file.as_fd())?;
        Ok(file)
    }
}

fn line(record: &EventRecord) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

/// What was entered; a line that is not whole was not.
pub(crate) fn read(file: OwnedFd) -> VecDeque<Arc<EventRecord>> {
    let text = read_text(file).unwrap_or_default();
    text.lines()
        .map_while(|line| serde_json::from_str(line).ok().map(Arc::new))
        .collect()
}

#[cfg(test)]
mod tests {
    use vrrp_linux::store::Keep;

    use super::*;

    fn record(sequence: u64) -> EventRecord {
        EventRecord {
            time: "2026-01-01T00:00:00.000000Z".into(),
            sequence,
            router: Some("wan4".into()),
            kind: "role".into(),
            text: "a\nb".into(),
            from: None,
            to: None,
            reason: None,
        }
    }

    fn kept(keep: &mut Keep) -> VecDeque<Arc<EventRecord>> {
        keep.serve();
        read(keep.kept()[NAME].try_clone().unwrap())
    }

    #[test]
    fn a_successor_reads_the_last_of_it() {
        const ROOM: usize = 3;
        let (mut keep, end) = Keep::new().unwrap();
        let mut history = VecDeque::from([Arc::new(record(1))]);
        let mut chronicle = Chronicle::begin(Store::new(end), &history);
        assert_eq!(kept(&mut keep), history);
        for sequence in 2..30 {
            history.push_back(Arc::new(record(sequence)));
            if history.len() > ROOM {
                history.pop_front();
            }
            chronicle.enter(&history, ROOM);
            let found = kept(&mut keep);
            assert!(found.len() <= 2 * ROOM, "{} lines", found.len());
            let recent = found.iter().skip(found.len() - history.len());
            assert!(recent.eq(&history), "{sequence}");
        }
    }

    #[test]
    fn the_last_line_may_be_cut() {
        let mut text = line(&record(1)).unwrap();
        text.extend_from_slice(b"{\"time\":");
        let file = text_file(std::str::from_utf8(&text).unwrap()).unwrap();
        assert_eq!(read(file), [Arc::new(record(1))]);
    }
}
