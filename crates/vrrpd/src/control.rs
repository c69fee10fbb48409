//! The control socket: one request a connection, bounded in number, length and time.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use vrrp_control::{
    Answer, EventRecord, MAX_REQUEST, Refusal, Request, StatusReport, decode, encode,
};
use vrrp_linux::store::Store;

use crate::office::Office;

/// Connections at a time. One more is closed at once, so that a client sees an error and not silence.
const CONNECTIONS: usize = 64;

/// A client that does not finish its request, or does not read its answer, in this time is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers [`Request::Status`]. May wait for the engine, so it is called where that hurts nobody.
pub(crate) type StatusSource = Arc<dyn Fn() -> Option<StatusReport> + Send + Sync>;

/// Where the socket is in the store: whoever asks while one process takes the place of another waits a moment.
pub(crate) const NAME: &str = "control";

/// Opens the socket, readable and writable for its owner and group, and leaves it to a successor in `store`. A file left by
/// a daemon that died is replaced; the caller holds the lock of the directory.
pub(crate) fn bind(path: &Path, store: &Store) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    // Without it, a successor opens another one.
    let _ = store.put(NAME, listener.as_fd());
    Ok(listener)
}

/// The socket that another process opened.
pub(crate) fn inherit(socket: OwnedFd) -> io::Result<UnixListener> {
    UnixListener::from_std(socket.into())
}

/// Serves until the runtime ends.
pub(crate) async fn serve(listener: UnixListener, office: Office, status: StatusSource) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: give others time to close some.
                tracing::debug!(%error, "cannot accept a control connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (office, status) = (office.clone(), Arc::clone(&status));
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &office, &status).await {
                tracing::debug!(%error, "a control connection ended early");
            }
            drop(place);
        });
    }
}

async fn converse(stream: UnixStream, office: &Office, status: &StatusSource) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut limited = BufReader::new(reader).take(MAX_REQUEST as u64);
    timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
    if line.last() != Some(&b'\n') {
        let reason = format!("a request is one line of at most {MAX_REQUEST} bytes");
        return send(&mut writer, &Answer::Refused(Refusal { reason })).await;
    }
    match decode::<Request>(&line) {
        Ok(Request::Status) => {
            let status = Arc::clone(status);
            let answer = match tokio::task::spawn_blocking(move || status()).await {
                Ok(Some(report)) => Answer::Status(Box::new(report)),
                Ok(None) | Err(_) => Answer::Refused(Refusal {
                    reason: "the engine has stopped".into(),
                }),
            };
            send(&mut writer, &answer).await
        }
        Ok(Request::Events { follow }) => events(&mut writer, office, follow).await,
        Err(error) => {
            send(
                &mut writer,
                &Answer::Refused(Refusal {
                    reason: error.to_string(),
                }),
            )
            .await
        }
    }
}

async fn events(
    writer: &mut (impl AsyncWriteExt + Unpin),
    office: &Office,
    follow: bool,
) -> io::Result<()> {
    let (history, mut receiver) = office.subscribe();
    for record in history {
        send(writer, &Answer::Event(EventRecord::clone(&record))).await?;
    }
    if !follow {
        return send(writer, &Answer::End).await;
    }
    loop {
        let answer = match receiver.recv().await {
            Ok(record) => Answer::Event(EventRecord::clone(&record)),
            Err(RecvError::Lagged(count)) => Answer::EventsLost { count },
            Err(RecvError::Closed) => return send(writer, &Answer::End).await,
        };
        send(writer, &answer).await?;
    }
}

async fn send(writer: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> io::Result<()> {
    timeout(PATIENCE, writer.write_all(&encode(answer)?)).await?
}
