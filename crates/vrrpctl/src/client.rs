//! A conversation with the daemon: one request, then its answers, within a time that is bounded.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};
use vrrp_control::{Answer, READ_ONLY_SOCKET_NAME, Request, decode, encode};

use crate::failure::{Failure, Silence};

/// How long a whole answer may take. A daemon that is well answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer that is read, in bytes: ten thousand routers fit. More is no status report.
const MAX_ANSWER: u64 = 64 << 20;

/// Knows where the daemon listens.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    patience: Duration,
}

/// Answers on their way.
#[derive(Debug)]
pub(crate) struct Answers {
    reader: BufReader<Patient>,
    socket: PathBuf,
    patience: Duration,
}

/// An answer, and the same as it came, with fields that this program does not know.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) value: Value,
}

impl Client {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            patience: PATIENCE,
        }
    }

    /// Where that is.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The same, for what takes longer.
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        Self {
            socket: self.socket.clone(),
            patience,
        }
    }

    /// Asks.
    pub(crate) fn ask(&self, request: &Request) -> Result<Answers, Failure> {
        let connected = self.connect(request);
        let reader = connected.map_err(|error| silent(&self.socket, self.patience, error))?;
        Ok(Answers {
            reader: BufReader::new(reader),
            socket: self.socket.clone(),
            patience: self.patience,
        })
    }

    /// Asks what has one answer.
    pub(crate) fn ask_one(&self, request: &Request) -> Result<Reply, Failure> {
        let mut answers = self.ask(request)?;
        answers
            .next()?
            .ok_or_else(|| answers.failure(Silence::HungUp))
    }

    /// The daemon answered something else than it was asked.
    pub(crate) fn astray(&self) -> Failure {
        let silence = Silence::Gibberish("another answer than was asked for".into());
        Failure::Silent(self.socket.clone(), silence)
    }

    fn connect(&self, request: &Request) -> io::Result<Patient> {
        let deadline = Instant::now() + self.patience;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Also bounds the connecting: a daemon that hangs stops accepting, and its queue fills.
        socket.set_write_timeout(Some(self.patience))?;
        let asks = !request.changes();
        let read_only = self.socket.with_file_name(READ_ONLY_SOCKET_NAME);
        match socket.connect(&SockAddr::unix(&self.socket)?) {
            // Who may only ask does not have to know that there are two.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && asks => socket
                .connect(&SockAddr::unix(read_only)?)
                .map_err(|_| error)?,
            outcome => outcome?,
        }
        let mut stream = UnixStream::from(OwnedFd::from(socket));
        stream.write_all(&encode(request)?)?;
        Ok(Patient {
            stream,
            deadline: Some(deadline),
        })
    }
}

impl Answers {
    /// From now on silence is no failure: nothing happening is what one hopes for.
    pub(crate) fn wait_for_ever(&mut self) {
        self.reader.get_mut().deadline = None;
    }

    /// What comes next may take this long, and then a moment.
    pub(crate) fn be_patient(&mut self, time: Duration) {
        self.reader.get_mut().deadline = Instant::now().checked_add(time + self.patience);
    }

    /// The next answer; `None` when the daemon has hung up. A refusal is a failure.
    pub(crate) fn next(&mut self) -> Result<Option<Reply>, Failure> {
        let mut line = Vec::new();
        let read = (&mut self.reader)
            .take(MAX_ANSWER)
            .read_until(b'\n', &mut line);
        if let Err(error) = read {
            return Err(silent(&self.socket, self.patience, error));
        }
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            return Err(self.failure(Silence::HungUp));
        }
        let gibberish =
            |what: &dyn std::fmt::Display| self.failure(Silence::Gibberish(what.to_string()));
        let value: Value = serde_json::from_slice(&line).map_err(|error| gibberish(&error))?;
        match decode::<Answer>(&line) {
            Ok(Answer::Refused(refusal)) => Err(Failure::Refused(refusal.reason)),
            Ok(Answer::NoSuchRouter { router, known }) => Err(Failure::NoSuchRouter(router, known)),
            Ok(answer) => Ok(Some(Reply { answer, value })),
            Err(error) => Err(match value.get("version").and_then(Value::as_u64) {
                Some(version) if version != u64::from(vrrp_control::VERSION) => {
                    gibberish(&format_args!(
                        "it speaks version {version} of it, and this vrrpctl version {}",
                        vrrp_control::VERSION
                    ))
                }
                _ => gibberish(&error),
            }),
        }
    }

    /// The daemon has failed to answer.
    pub(crate) fn failure(&self, silence: Silence) -> Failure {
        Failure::Silent(self.socket.clone(), silence)
    }
}

fn silent(socket: &Path, patience: Duration, error: io::Error) -> Failure {
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    let silence = if is(&[io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut]) {
        Silence::Hung(patience.as_secs())
    } else if is(&[io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset]) {
        Silence::HungUp
    } else {
        Silence::Io(error)
    };
    Failure::Silent(socket.to_owned(), silence)
}

/// A stream whose reads end at a deadline, however slowly bytes trickle in.
#[derive(Debug)]
struct Patient {
    stream: UnixStream,
    deadline: Option<Instant>,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(left)?;
        self.stream.read(buffer)
    }
}
