//! The socket to the daemon. Its processes come and go; the socket is the same until the daemon is gone.

use std::io;
use std::os::fd::AsFd;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use vrrp_control::agent::{FromAgent, ToAgent};
use vrrp_control::{decode, encode};

/// What is on its way to the daemon. While there is none, or it does not listen, what hooks write is lost and how they ended is
/// in the next greeting.
const OUT: usize = 1024;

/// What is on its way from the daemon. When it is full, the daemon waits.
const IN: usize = 64;

/// The end that is written to. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Link(mpsc::Sender<FromAgent>);

impl Link {
    /// Says something, if somebody listens; whether it is on its way.
    pub(crate) fn say(&self, message: FromAgent) -> bool {
        self.0.try_send(message).is_ok()
    }
}

/// Makes a link of standard input: what is heard ends when the daemon is gone.
pub(crate) fn open() -> io::Result<(Link, mpsc::Receiver<ToAgent>)> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    let (reader, writer) = UnixStream::from_std(socket)?.into_split();
    let (to_daemon, outgoing) = mpsc::channel(OUT);
    let (incoming, from_daemon) = mpsc::channel(IN);
    tokio::spawn(write(writer, outgoing));
    tokio::spawn(read(reader, incoming));
    Ok((Link(to_daemon), from_daemon))
}

async fn write(
    mut writer: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<FromAgent>,
) -> io::Result<()> {
    while let Some(message) = outgoing.recv().await {
        writer.write_all(&encode(&message)?).await?;
    }
    Ok(())
}

async fn read(reader: OwnedReadHalf, incoming: mpsc::Sender<ToAgent>) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        // What a process could not say to its end is nothing, and what another version says is not for us.
        if let Ok(message) = decode(&line)
            && incoming.send(message).await.is_err()
        {
            break;
        }
        line.clear();
    }
    Ok(())
}
