//! Whether a file is there, or which number is in it. The kernel tells of changes where it can, and the clock does otherwise.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use vrrp_proto::{Level, Sample};

use super::{Once, Turns, Voice, span};

/// Between two looks.
const QUIET: Duration = Duration::from_millis(10);

/// Whoever keeps the file has answered by then.
const LATE: Duration = Duration::from_secs(1);

/// A number has no more bytes than this, with what stands around it.
const LENGTH: u64 = 64;

/// Looks whenever something has changed, and at each interval.
pub(crate) async fn watch(
    name: &str,
    path: &str,
    weighted: bool,
    interval: Duration,
    voice: &Voice,
) {
    let path = Path::new(path);
    let mut turns = Turns::new(name, interval, voice);
    let mut changes = None;
    let mut reading = Once::default();
    loop {
        // Again, if the folder was not there.
        changes = changes.or_else(|| follow(path));
        let changed = async {
            match &changes {
                Some(changes) => changes.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = turns.next() => {}
            goes_on = changed => {
                voice.begin();
                if !goes_on {
                    changes = None;
                }
            }
        }
        let known = path.to_owned();
        // Another host may have to be asked for it.
        let looking = timeout(LATE, reading.run(move || look(&known, weighted))).await;
        voice.say(match looking {
            Ok(Ok(sample)) => sample,
            Ok(Err(error)) => down(format!("{}: {error}", path.display())),
            Err(_) => down(format!(
                "{}: no answer within {}",
                path.display(),
                span(LATE)
            )),
        });
        // However often it is written.
        sleep(QUIET).await;
    }
}

/// Tells of changes in the folder of a file, which may be replaced as a whole.
struct Changes {
    inotify: Inotify,
    /// The file's own name: it is not alone there.
    file: OsString,
    /// It is no stream, and waiting is all that is done with it as such.
    ready: UnixStream,
}

fn follow(path: &Path) -> Option<Changes> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
    let flags = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_DELETE_SELF;
    inotify.add_watch(path.parent()?, flags).ok()?;
    let fd = inotify.as_fd().try_clone_to_owned().ok()?;
    let ready = UnixStream::from_std(fd.into()).ok()?;
    let file = path.file_name()?.to_owned();
    Some(Changes {
        inotify,
        file,
        ready,
    })
}

impl Changes {
    /// Waits for one; `false` when the folder is there no more.
    async fn next(&self) -> bool {
        loop {
            if self.ready.readable().await.is_err() {
                return false;
            }
            let read = || self.inotify.read_events().map_err(io::Error::from);
            match self.ready.try_io(Interest::READABLE, read) {
                Ok(events) => {
                    let gone = AddWatchFlags::IN_IGNORED;
                    if events.iter().any(|event| event.mask.contains(gone)) {
                        return false;
                    }
                    // Without a name, it is about all of them: too many to tell.
                    let ours = |name: &OsString| *name == self.file;
                    if events.iter().any(|it| it.name.as_ref().is_none_or(ours)) {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }
}

const fn down(detail: String) -> Sample {
    Sample {
        level: Level::Down,
        offset: None,
        detail,
    }
}

fn look(path: &Path, weighted: bool) -> Sample {
    let shown = path.display();
    if !weighted {
        return match path.metadata() {
            Ok(_) => Sample {
                level: Level::Up,
                offset: None,
                detail: format!("{shown} is there"),
            },
            Err(error) => down(format!("{shown}: {error}")),
        };
    }
    let mut text = String::new();
    // A FIFO without a writer is not waited for.
    let read = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .and_then(|file| file.take(LENGTH).read_to_string(&mut text));
    if let Err(error) = read {
        return down(format!("{shown}: {error}"));
    }
    match text.trim().parse::<i16>() {
        Ok(offset) if (-253..=253).contains(&offset) => Sample {
            level: if offset < 0 { Level::Down } else { Level::Up },
            offset: Some(offset),
            detail: format!("{shown} says {offset}"),
        },
        Ok(_) | Err(_) => down(format!("{shown} does not say a number from -253 to 253")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        let path = std::env::temp_dir().join(format!("vrrp-file-{}", std::process::id()));
        for (text, offset) in [
            ("5\n", Some(5)),
            (" -254 ", None),
            ("-253", Some(-253)),
            ("x", None),
            ("", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(look(&path, true).offset, offset, "{text}");
        }
        assert_eq!(look(&path, false).level, Level::Up);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look(&path, false).level, Level::Down);
        assert_eq!(look(&path, true).level, Level::Down);
    }
}
