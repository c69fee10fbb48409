//! A hook that posts the event to a relay: HTTP/1.1 in the clear, one request a connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::run::Ended;

/// Of the answer, no more is read, in bytes.
const ANSWER: usize = 4096;

/// Posts `body`; good if the answer's status is 200 to 299.
pub(crate) async fn post(url: &str, body: &str) -> Ended {
    match exchange(url, body).await {
        Ok(status) if (200..300).contains(&status) => Ended::good(),
        Ok(status) => Ended::bad(format!("the answer has status {status}")),
        Err(error) => Ended::bad(format!("cannot post to {url}: {error}")),
    }
}

async fn exchange(url: &str, body: &str) -> std::io::Result<u16> {
    let other = std::io::Error::other;
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| other("not http://"))?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| {
        !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && (!name.contains(':') || name.ends_with(']'))
    });
    let target = if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut stream = TcpStream::connect(&target).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: vrrpd\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    while answer.len() < ANSWER && !answer.contains(&b'\n') {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..length]);
    }
    let line = String::from_utf8_lossy(&answer);
    let mut words = line.split(' ');
    match (words.next(), words.next().map(str::parse)) {
        (Some("HTTP/1.0" | "HTTP/1.1"), Some(Ok(status))) => Ok(status),
        _ => Err(other("the answer is no HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test(flavor = "current_thread")]
    async fn the_status_decides() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/vrrp", listener.local_addr().unwrap());
        let relay = tokio::spawn(async move {
            for answer in [
                "HTTP/1.1 204 No Content\r\n\r\n",
                "HTTP/1.0 500 No\r\n\r\n",
                "SSH-2.0\r\n",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let mut length = 0;
                while !request[..length].ends_with(b"{}\n") {
                    length += stream.read(&mut request[length..]).await.unwrap();
                }
                assert!(request.starts_with(b"POST /vrrp HTTP/1.1\r\nHost: 127.0.0.1"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        assert!(post(&url, "{}\n").await.good);
        assert_eq!(
            post(&url, "{}\n").await.outcome,
            "the answer has status 500"
        );
        assert!(
            post(&url, "{}\n")
                .await
                .outcome
                .ends_with("the answer is no HTTP")
        );
        relay.await.unwrap();
        assert!(!post(&url, "{}\n").await.good);
    }
}
