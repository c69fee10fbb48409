//! What was delivered, on the disk: a line of JSON for each run, so that whoever comes next knows, also if everything was
//! killed. Another boot of the machine begins anew: what hooks did before is gone as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use vrrp_control::agent::Standing;

use crate::desk::Subject;

/// Lines after which the file is written anew.
const LINES: usize = 4000;

/// An agent before this one is waited for this long: it ends its runs.
const PREDECESSOR: Duration = Duration::from_secs(15);

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// What was delivered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Past {
    /// The life of the daemon to which numbers belong.
    pub(crate) since: String,
    /// Up to this event there is nothing left to do.
    pub(crate) settled: u64,
    /// The state that a hook heard of last, by its name and whose state that is; and the number of the event.
    pub(crate) delivered: BTreeMap<(String, Subject), (Standing, u64)>,
    /// Later events that hooks have heard of.
    pub(crate) done: BTreeSet<(u64, String)>,
}

/// What is written down.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// The boot of the machine that the lines below it are of.
    Boot(String),
    /// See [`Past::settled`].
    Settled { since: String, id: u64 },
    /// A hook has heard of a state.
    Delivered {
        hook: String,
        subject: Subject,
        state: Standing,
        id: u64,
    },
    /// A hook has heard of an event.
    Done { hook: String, id: u64 },
    /// There is no such hook any more.
    Forgotten { hook: String, subject: Subject },
}

impl Past {
    fn add(&mut self, line: Line) {
        match line {
            Line::Boot(_) => {}
            Line::Settled { since, id } => {
                if self.since != since {
                    self.done.clear();
                }
                self.since = since;
                self.settled = id;
                self.done.retain(|(done, _)| *done > id);
            }
            Line::Delivered {
                hook,
                subject,
                state,
                id,
            } => {
                self.delivered.insert((hook, subject), (state, id));
            }
            Line::Done { hook, id } => {
                self.done.insert((id, hook));
            }
            Line::Forgotten { hook, subject } => {
                self.delivered.remove(&(hook, subject));
            }
        }
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        let settled = Line::Settled {
            since: self.since.clone(),
            id: self.settled,
        };
        let delivered = self.delivered.iter().map(|((hook, subject), (state, id))| {
            let (hook, subject) = (hook.clone(), subject.clone());
            Line::Delivered {
                hook,
                subject,
                state: *state,
                id: *id,
            }
        });
        let done = self.done.iter().map(|(id, hook)| Line::Done {
            hook: hook.clone(),
            id: *id,
        });
        [settled].into_iter().chain(delivered).chain(done)
    }
}

/// The file, which only one agent writes at a time.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// Held while this one writes. The file that is locked is never replaced.
    _lock: Option<Flock<File>>,
    file: Option<File>,
    lines: usize,
    boot: String,
    last: Option<Line>,
}

impl Journal {
    /// Waits for an agent before this one to end, and reads what it wrote. What cannot be read was not delivered; why nothing can
    /// be kept is a sentence.
    pub(crate) fn open(path: &Path) -> (Self, Past, Option<String>) {
        let (lock, mut problem) = match lock(path) {
            Ok(lock) => (Some(lock), None),
            Err(error) => (None, Some(error)),
        };
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.trim().to_owned();
        let past = read(path, &boot).unwrap_or_default();
        let mut journal = Self {
            path: path.to_owned(),
            file: None,
            lines: 0,
            boot,
            last: None,
            _lock: lock,
        };
        if problem.is_none()
            && let Err(error) = journal.renew(&past)
        {
            problem = Some(format!("cannot write {}: {error}", path.display()));
        }
        (journal, past, problem)
    }

    /// Adds lines; `past` is the sum of everything. What cannot be written is not kept.
    pub(crate) fn add(&mut self, mut lines: Vec<Line>, past: impl FnOnce() -> Past) {
        // That nothing is left to do is said again and again.
        lines.dedup();
        if lines.first() == self.last.as_ref() && !lines.is_empty() {
            lines.remove(0);
        }
        let Some(file) = &mut self.file else {
            return;
        };
        let Some(last) = lines.last() else {
            return;
        };
        self.last = Some(last.clone());
        let text: String = lines.iter().filter_map(text).collect();
        self.lines += lines.len();
        if file.write_all(text.as_bytes()).is_err() {
            self.file = None;
        } else if self.lines > LINES {
            let _ = self.renew(&past());
        }
    }

    fn renew(&mut self, past: &Past) -> io::Result<()> {
        self.file = None;
        let boot = Line::Boot(self.boot.clone());
        let lines: Vec<Line> = [boot].into_iter().chain(past.lines()).collect();
        let text: String = lines.iter().filter_map(text).collect();
        let new = self.path.with_extension("new");
        let mut file = private(&new, true)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&new, &self.path)?;
        // It is not smaller for a plan of many.
        self.lines = 0;
        self.file = Some(file);
        Ok(())
    }
}

fn text(line: &Line) -> Option<String> {
    Some(serde_json::to_string(line).ok()? + "\n")
}

fn private(path: &Path, empty: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(empty).mode(0o600);
    options.open(path)
}

fn lock(path: &Path) -> Result<Flock<File>, String> {
    let path = path.with_extension("lock");
    let failed = |error: io::Error| format!("cannot lock {}: {error}", path.display());
    let mut file = private(&path, false).map_err(failed)?;
    let end = Instant::now() + PREDECESSOR;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, Errno::EWOULDBLOCK)) if Instant::now() < end => file = back,
            Err((_, error)) => return Err(failed(error.into())),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn read(path: &Path, boot: &str) -> io::Result<Past> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let mut past = Past::default();
    for line in text.lines() {
        // The last one may be cut.
        let Ok(line) = serde_json::from_str::<Line>(line) else {
            continue;
        };
        if let Line::Boot(of) = &line
            && of != boot
        {
            return Ok(Past::default());
        }
        past.add(line);
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_control::agent::SubjectKind;

    fn delivered(hook: &str, state: Standing, id: u64) -> Line {
        Line::Delivered {
            hook: hook.into(),
            subject: (SubjectKind::Router, "lan4".into()),
            state,
            id,
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = std::env::temp_dir().join(format!("vrrp-journal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("hooks");
        let (mut journal, past, problem) = Journal::open(&path);
        assert_eq!((past, problem), (Past::default(), None));
        let mut sum = Past::default();
        for id in 1..=3000 {
            let lines = vec![
                delivered("a", Standing::Active, id),
                Line::Done {
                    hook: "b".into(),
                    id: id + 1,
                },
                Line::Settled {
                    since: "now".into(),
                    id,
                },
            ];
            lines.iter().cloned().for_each(|line| sum.add(line));
            journal.add(lines, || sum.clone());
        }
        journal
            .file
            .as_mut()
            .unwrap()
            .write_all(b"{\"deliv")
            .unwrap();
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < LINES + 10, "{lines}");
        drop(journal);
        let (_, past, _) = Journal::open(&path);
        assert_eq!(past, sum);
        assert_eq!(past.settled, 3000);
        assert_eq!(past.done, BTreeSet::from([(3001, "b".into())]));
        // Another boot has another identifier.
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        std::fs::write(&path, format!("{{\"boot\":\"x\"}}\n{rest}")).unwrap();
        assert_eq!(Journal::open(&path).1, Past::default());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
