//! Why a command did not do what it was asked, and the exit code that says so.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use vrrp_config::LoadError;

use crate::plain;

/// Exit code for a command line that makes no sense.
pub(crate) const USAGE: u8 = 64;

/// Why a command ended without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The daemon would not.
    Refused(String),
    /// The daemon knows no such router, but these.
    NoSuchRouter(String, Vec<String>),
    /// The daemon does not answer.
    Silent(PathBuf, Silence),
    /// A file cannot be used.
    File(String),
    /// The system would not.
    System(String),
    /// Something is wrong, and what has been said already; the exit code.
    Wrong(u8),
    /// Standard output cannot be written.
    Output(io::Error),
}

/// How a daemon failed to answer.
#[derive(Debug)]
pub(crate) enum Silence {
    /// The socket could not be connected or used.
    Io(io::Error),
    /// It was connected, and nothing whole came in this many seconds.
    Hung(u64),
    /// It hung up in the middle.
    HungUp,
    /// It spoke, but not the control protocol.
    Gibberish(String),
    /// It stopped while its events were followed.
    Stopped,
}

impl Failure {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::System(_) | Self::Output(_) => 1,
            Self::NoSuchRouter(..) | Self::File(..) => 2,
            Self::Silent(..) => 3,
            Self::Wrong(code) => *code,
        }
    }

    /// Says it on standard error, and gives the exit code. A reader that went away wants to hear no more.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Output(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return ExitCode::SUCCESS;
        }
        let sentence = self.to_string();
        if !sentence.is_empty() {
            let _ = writeln!(io::stderr(), "{}", plain::text(&sentence));
        }
        ExitCode::from(self.exit_code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "vrrpd refused: {reason}"),
            Self::NoSuchRouter(name, known) if known.is_empty() => {
                write!(f, "there is no virtual router {name:?}, nor any other")
            }
            Self::NoSuchRouter(name, known) => {
                write!(
                    f,
                    "there is no virtual router {name:?}; there is {}",
                    known.join(", ")
                )
            }
            Self::Silent(socket, silence) => {
                write!(
                    f,
                    "vrrpd is not answering on {} ({silence})",
                    socket.display()
                )
            }
            Self::File(why) | Self::System(why) => f.write_str(why),
            Self::Wrong(_) => Ok(()),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                f.write_str("there is no socket: it does not run, or it has another --runtime-dir")
            }
            Self::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                f.write_str("nobody listens there: it does not run any more")
            }
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => f.write_str(
                "permission denied: only root and the groups of its [control] may use it",
            ),
            Self::Io(error) => write!(f, "{error}"),
            Self::Hung(seconds) => {
                write!(f, "the socket is there, but no answer came in {seconds} s")
            }
            Self::HungUp => f.write_str("it hung up before its answer was complete"),
            Self::Gibberish(what) => write!(f, "it does not speak the control protocol: {what}"),
            Self::Stopped => f.write_str("it stopped"),
        }
    }
}

impl From<&LoadError> for Failure {
    fn from(error: &LoadError) -> Self {
        let cause = error.source().map(|cause| format!(": {cause}"));
        Self::File(format!("{error}{}", cause.unwrap_or_default()))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_daemon_says_where_and_why() {
        let failure = |kind: io::ErrorKind| {
            Failure::Silent("/run/vrrpd/vrrpd.sock".into(), Silence::Io(kind.into())).to_string()
        };
        insta::assert_snapshot!(failure(io::ErrorKind::NotFound), @"vrrpd is not answering on /run/vrrpd/vrrpd.sock (there is no socket: it does not run, or it has another --runtime-dir)");
        insta::assert_snapshot!(failure(io::ErrorKind::ConnectionRefused), @"vrrpd is not answering on /run/vrrpd/vrrpd.sock (nobody listens there: it does not run any more)");
        insta::assert_snapshot!(failure(io::ErrorKind::PermissionDenied), @"vrrpd is not answering on /run/vrrpd/vrrpd.sock (permission denied: only root and the groups of its [control] may use it)");
    }
}
