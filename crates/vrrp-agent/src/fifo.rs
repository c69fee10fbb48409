//! A hook that writes a line to a FIFO, as keepalived does. A line is not lost because nobody reads at the moment: those that
//! follow wait, until the run has taken too long.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::run::Ended;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Writes `line` as soon as somebody reads. A FIFO that is not there is made.
pub(crate) async fn write(path: &Path, line: &[u8]) -> Ended {
    loop {
        match attempt(path, line) {
            Ok(()) => return Ended::good(),
            Err(error) if is_patient(&error) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                return Ended::bad(format!("cannot write to {}: {error}", path.display()));
            }
        }
    }
}

/// Nobody reads, or not fast enough.
fn is_patient(error: &io::Error) -> bool {
    let patient = [Errno::ENXIO, Errno::EAGAIN];
    patient
        .iter()
        .any(|it| error.raw_os_error() == Some(*it as i32))
}

fn attempt(path: &Path, line: &[u8]) -> io::Result<()> {
    if !path.try_exists()? {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is no FIFO"));
    }
    // A line is shorter than what a pipe takes in one piece or not at all.
    file.write_all(line)
}
