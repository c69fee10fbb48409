//! Whether a GET request is answered as it should be: HTTP/1.1, one request a connection, with or without TLS.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bad, Found, Once, tls};

/// Of the head of an answer, no more is read, in bytes,
const HEAD: usize = 16 * 1024;

/// and of its body no more than this.
const BODY: usize = 256 * 1024;

/// What is asked, and which answer is good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    pub(crate) host: Option<String>,
    pub(crate) status: Vec<(u16, u16)>,
    pub(crate) body: Option<String>,
    pub(crate) verify: bool,
}

/// What a name leads to.
pub(crate) type Names = io::Result<Vec<SocketAddr>>;

/// A URL in its parts.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Url<'a> {
    secure: bool,
    /// Without the brackets of an IPv6 address.
    name: &'a str,
    /// As it stands, with brackets and port.
    authority: &'a str,
    port: u16,
    path: &'a str,
}

/// Asks once.
pub(crate) async fn look(wanted: &Wanted, names: &mut Once<Names>) -> Found {
    let to = resolve(wanted, names).await?;
    match exchange(wanted, &to).await {
        Ok((status, body)) => judge(wanted, status, &body),
        Err(error) => Err(format!("{}: {error}", wanted.url).into()),
    }
}

fn judge(wanted: &Wanted, status: u16, body: &[u8]) -> Found {
    let url = &wanted.url;
    if !wanted
        .status
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&status))
    {
        return Err(format!("{url}: the status is {status}").into());
    }
    match &wanted.body {
        Some(text) if !contains(body, text.as_bytes()) => {
            Err(format!("{url}: the body does not say {text:?}").into())
        }
        Some(_) | None => Ok(format!("{url}: the status is {status}")),
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|piece| piece == text)
}

fn parts(url: &str) -> Option<Url<'_>> {
    let (secure, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split('#').next().unwrap_or_default();
    let (name, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (name, port) = inner.split_once(']')?;
            (name, port.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None if secure => 443,
        None => 80,
    };
    (!name.is_empty()).then_some(Url {
        secure,
        name,
        authority,
        port,
        path,
    })
}

/// Where to ask. A name that leads nowhere is a matter of this host.
async fn resolve(wanted: &Wanted, names: &mut Once<Names>) -> Result<Vec<SocketAddr>, Bad> {
    let Some(url) = parts(&wanted.url) else {
        return Err(Bad::unable(format!("{}: it is no URL of HTTP", wanted.url)));
    };
    if let Ok(address) = url.name.parse() {
        return Ok(vec![SocketAddr::new(address, url.port)]);
    }
    let (name, port) = (url.name.to_owned(), url.port);
    let look = move || Ok((name.as_str(), port).to_socket_addrs()?.collect());
    match names.run(look).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) | Err(error) => {
            let why = format!("{}: cannot resolve {}: {error}", wanted.url, url.name);
            Err(Bad::unable(why))
        }
    }
}

async fn exchange(wanted: &Wanted, to: &[SocketAddr]) -> io::Result<(u16, Vec<u8>)> {
    let url = parts(&wanted.url).ok_or_else(|| io::Error::other("it is no URL of HTTP"))?;
    let stream = TcpStream::connect(to).await?;
    let host = wanted.host.as_deref().unwrap_or(url.authority);
    let slash = if url.path.starts_with('/') { "" } else { "/" };
    let request = format!(
        "GET {slash}{} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: vrrpd\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.path
    );
    let body = wanted.body.is_some();
    if !url.secure {
        return converse(stream, &request, body).await;
    }
    let connector = tls::connector(wanted.verify)?;
    // The name in the certificate, without a port.
    let name = wanted.host.as_deref().map_or(url.name, |host| {
        host.rsplit_once(':').map_or(host, |(name, _)| name)
    });
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    converse(connector.connect(name, stream).await?, &request, body).await
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
    body: bool,
) -> io::Result<(u16, Vec<u8>)> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if read.len() > HEAD || more(&mut stream, &mut read).await? == 0 {
            return Err(io::Error::other("the answer is no HTTP"));
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let status = status(&head).ok_or_else(|| io::Error::other("the answer is no HTTP"))?;
    if !body {
        return Ok((status, Vec::new()));
    }
    let mut rest = read.split_off(end + 4);
    let length = header(&head, "content-length").and_then(|length| length.parse().ok());
    let length = length.unwrap_or(BODY).min(BODY);
    // Whoever closes without a word, as some do with TLS, has said what there was to say.
    while rest.len() < length && more(&mut stream, &mut rest).await.unwrap_or(0) > 0 {}
    let chunked = header(&head, "transfer-encoding")
        .is_some_and(|it| it.to_ascii_lowercase().contains("chunked"));
    Ok((status, if chunked { unchunked(&rest) } else { rest }))
}

async fn more(stream: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 4096];
    let length = stream.read(&mut piece).await?;
    into.extend_from_slice(&piece[..length]);
    Ok(length)
}

fn status(head: &str) -> Option<u16> {
    let mut words = head.lines().next()?.split(' ');
    let version = words.next()?;
    let known = version == "HTTP/1.1" || version == "HTTP/1.0";
    words.next()?.parse().ok().filter(|_| known)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .next()
}

/// What was sent in chunks, as far as it is whole (RFC 9112 §7.1).
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = line.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else {
            break;
        };
        rest = &rest[end + 2..];
        let take = size.min(rest.len());
        body.extend_from_slice(&rest[..take]);
        if size == 0 || rest.len() < size.saturating_add(2) {
            break;
        }
        rest = &rest[size + 2..];
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        let of = |url| {
            let it = parts(url)?;
            Some((it.secure, it.name, it.port, it.path))
        };
        assert_eq!(of("http://a"), Some((false, "a", 80, "")));
        assert_eq!(
            of("https://a.b:8443/c?d#e"),
            Some((true, "a.b", 8443, "/c?d"))
        );
        assert_eq!(of("https://[::1]/x"), Some((true, "::1", 443, "/x")));
        assert_eq!(of("http://[::1]:81?x"), Some((false, "::1", 81, "?x")));
        for wrong in [
            "ftp://a",
            "http://",
            "http://:80/",
            "http://a:b/",
            "http://[::1/",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn chunks_are_put_together() {
        let text = b"4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n";
        assert_eq!(unchunked(text), b"Wikipedia");
        for cut in 0..text.len() {
            assert!(b"Wikipedia".starts_with(&unchunked(&text[..cut])), "{cut}");
        }
        assert_eq!(unchunked(b"ffffffffffffffff\r\nx"), b"x");
    }

    #[test]
    fn status_and_body_decide() {
        let wanted = Wanted {
            url: "http://x".into(),
            host: None,
            status: vec![(200, 299), (404, 404)],
            body: Some("ok".into()),
            verify: true,
        };
        assert!(judge(&wanted, 204, b"all is ok").is_ok());
        assert!(judge(&wanted, 404, b"ok").is_ok());
        assert_eq!(
            judge(&wanted, 500, b"ok"),
            Err("http://x: the status is 500".to_owned().into())
        );
        assert!(
            judge(&wanted, 200, b"o k")
                .unwrap_err()
                .why
                .contains("does not say")
        );
    }
}
