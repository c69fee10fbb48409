//! Whether a TCP connection is accepted.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpSocket;

use super::Found;

/// Connects, and hangs up.
pub(crate) async fn look(to: SocketAddr, interface: Option<&str>, source: Option<IpAddr>) -> Found {
    match connect(to, interface, source).await {
        Ok(_) => Ok(format!("{to} accepts connections")),
        Err(error) => Err(format!("{to}: {error}").into()),
    }
}

async fn connect(
    mut to: SocketAddr,
    interface: Option<&str>,
    source: Option<IpAddr>,
) -> std::io::Result<tokio::net::TcpStream> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
        to = super::icmp::scoped(to, interface);
    }
    if let Some(source) = source {
        let source = SocketAddr::new(source, 0);
        let source = interface.map_or(source, |interface| super::icmp::scoped(source, interface));
        socket.bind(source)?;
    }
    socket.connect(to).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn accepted_and_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        assert!(
            look(at, None, Some("127.0.0.2".parse().unwrap()))
                .await
                .is_ok()
        );
        assert!(
            look(at, None, Some("192.0.2.1".parse().unwrap()))
                .await
                .is_err()
        );
        drop(listener);
        let why = look(at, None, None).await.unwrap_err();
        assert!(why.why.contains("refused"), "{why:?}");
    }
}
