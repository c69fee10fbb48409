//! The control sockets: one request a connection, bounded in number, length and time.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use vrrp_control::{Answer, MAX_REQUEST, Request, decode};
use vrrp_linux::store::Store;

use crate::access::{self, Access};
use crate::answers::{Answers, PATIENCE};
use crate::caller::Caller;
use crate::changes;
use crate::explain;
use crate::hook_answers;
use crate::interfaces;
use crate::operate;
use crate::past;
use crate::places::{Place, Places};
use crate::running;
use crate::services::{STOPPED, Services};
use crate::trackers;
use crate::upgrade;
use crate::what_if;

/// Where the sockets are in the store: whoever asks while one process takes the place of another waits a moment.
pub(crate) const NAME: &str = "control";
/// The one that is only for asking.
pub(crate) const READ_ONLY_NAME: &str = "control-ro";

/// Opens a socket, for its owner and group, and leaves it to a successor in `store` as `name`. A file left by a daemon that
/// died is replaced; the caller holds the lock of the directory.
pub(crate) fn bind(path: &Path, store: &Store, name: &str) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    access::restrict(path)?;
    // Without it, a successor opens another one.
    let _ = store.put(name, listener.as_fd());
    Ok(listener)
}

/// The socket that another process opened.
pub(crate) fn inherit(socket: OwnedFd) -> io::Result<UnixListener> {
    UnixListener::from_std(socket.into())
}

/// Serves both sockets until the runtime ends.
pub(crate) async fn serve(full: UnixListener, read_only: UnixListener, services: Services) {
    let places = Places::default();
    loop {
        let (accepted, access) = tokio::select! {
            accepted = full.accept() => (accepted, Access::Full),
            accepted = read_only.accept() => (accepted, Access::ReadOnly),
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: give others time to close some.
                tracing::debug!(%error, "cannot accept a control connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(caller) = Caller::of(&stream) else {
            continue;
        };
        let Some(place) = places.take(caller.uid) else {
            continue;
        };
        let (number, services) = (place.number(), services.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = converse(stream, access, &caller, place, &services).await {
                tracing::debug!(%error, "a control connection ended early");
            }
        });
        places.begun(number, task.abort_handle());
        // Who has asked already is served before somebody else can need the place.
        tokio::task::yield_now().await;
    }
}

async fn converse(
    stream: UnixStream,
    access: Access,
    caller: &Caller,
    place: Place,
    services: &Services,
) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut answers = Answers::new(writer, place);
    let mut line = Vec::new();
    let mut limited = BufReader::new(reader).take(MAX_REQUEST as u64);
    timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
    answers.begin();
    if line.last() != Some(&b'\n') {
        let reason = format!("a request is one line of at most {MAX_REQUEST} bytes");
        return answers.refuse(reason).await;
    }
    match decode::<Request>(&line) {
        Ok(request) if access == Access::ReadOnly && request.changes() => {
            let reason = "this socket is only for asking; a change needs the other one, vrrpd.sock";
            answers.refuse(reason).await
        }
        Ok(request) => answer(request, caller, services, &mut answers).await,
        Err(error) => answers.refuse(error.to_string()).await,
    }
}

/// Each request has a handler of its own; those that change something are told who asks.
async fn answer(
    request: Request,
    caller: &Caller,
    services: &Services,
    answers: &mut Answers,
) -> io::Result<()> {
    match request {
        Request::Status => status(services, answers).await,
        Request::Events(wanted) => past::answer(services, answers, wanted).await,
        Request::Configuration(request) => {
            changes::answer(request, caller, services, answers).await
        }
        Request::Interfaces => interfaces::answer(services, answers).await,
        Request::Trackers => trackers::answer(services, answers).await,
        Request::Tracker(request) => trackers::request(services, caller, request, answers).await,
        Request::Explain { name } => explain::answer(services, answers, name).await,
        Request::WhatIf(supposition) => what_if::answer(services, answers, *supposition).await,
        Request::RunningConfig { defaults } => running::answer(services, answers, defaults).await,
        Request::Order { routers, order } => {
            operate::answer(services, caller, routers, order, answers).await
        }
        Request::Hook(request) => hook_answers::answer(request, caller, services, answers).await,
        Request::Upgrade { program } => upgrade::upgrade(services, caller, answers, program).await,
    }
}

async fn status(services: &Services, answers: &mut Answers) -> io::Result<()> {
    let report = services.blocking(|services| (services.status)()).await;
    match report.flatten() {
        Some(report) => answers.send(&Answer::Status(Box::new(report))).await,
        None => answers.refuse(STOPPED).await,
    }
}
