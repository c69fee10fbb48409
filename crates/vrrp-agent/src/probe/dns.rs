//! Whether a DNS server answers a question, and with what (RFC 1035). One datagram there, one back.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;
use vrrp_proto::tracker::RecordType;

use super::Found;

/// What other name servers may answer with, in bytes.
const ANSWER: usize = 4096;

/// Names are no longer than that many jumps.
const JUMPS: usize = 32;

/// Asks once; the answers that are no answer to it are not heard.
pub(crate) async fn look(
    server: SocketAddr,
    name: &str,
    record: RecordType,
    expect: Option<&str>,
) -> Found {
    let failed = |why: String| format!("{server}: {why}");
    let records = ask(server, name, record)
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(failed)?;
    let plain = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    match expect {
        None if records.is_empty() => Err(failed(format!("{name} has no such record")).into()),
        None => Ok(failed(format!("{name} is {}", records.join(", ")))),
        Some(expected) if records.iter().any(|it| plain(it) == plain(expected)) => {
            Ok(failed(format!("{name} is {expected}")))
        }
        Some(expected) => Err(failed(format!(
            "{name} is {} and not {expected}",
            if records.is_empty() {
                "nothing".to_owned()
            } else {
                records.join(", ")
            }
        ))
        .into()),
    }
}

async fn ask(
    server: SocketAddr,
    name: &str,
    record: RecordType,
) -> io::Result<Result<Vec<String>, String>> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let id = seed.to_be_bytes();
    let question = question([id[0], id[1]], name, number(record))
        .ok_or_else(|| io::Error::other("that is no name of DNS"))?;
    socket.send(&question).await?;
    let mut answer = vec![0; ANSWER];
    loop {
        let length = socket.recv(&mut answer).await?;
        if let Some(records) = read(&answer[..length], &question, record) {
            return Ok(records);
        }
    }
}

const fn number(record: RecordType) -> u16 {
    match record {
        RecordType::A => 1,
        RecordType::Ns => 2,
        RecordType::Cname => 5,
        RecordType::Soa => 6,
        RecordType::Ptr => 12,
        RecordType::Mx => 15,
        RecordType::Txt => 16,
        RecordType::Aaaa => 28,
        RecordType::Srv => 33,
    }
}

fn question(id: [u8; 2], name: &str, kind: u16) -> Option<Vec<u8>> {
    // Recursion is desired; one question.
    let mut message = [id.as_slice(), &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name
        .trim_end_matches('.')
        .split('.')
        .filter(|_| name != ".")
    {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|it| (1..=63).contains(it))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0]);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    (message.len() <= 12 + 255 + 4).then_some(message)
}

/// The records of this type in an answer to `question`; `None` if it is none, a sentence if there are none to be had.
fn read(
    message: &[u8],
    question: &[u8],
    record: RecordType,
) -> Option<Result<Vec<String>, String>> {
    let header = message.get(..12)?;
    if header[..2] != question[..2] || header[2] & 0x80 == 0 {
        return None;
    }
    let asked = message.get(12..question.len())?;
    if !asked.eq_ignore_ascii_case(&question[12..]) {
        return None;
    }
    let word = match header[3] & 0x0f {
        0 => None,
        1 => Some("FORMERR"),
        2 => Some("SERVFAIL"),
        3 => Some("NXDOMAIN"),
        4 => Some("NOTIMP"),
        5 => Some("REFUSED"),
        _ => Some("an error"),
    };
    if let Some(word) = word {
        return Some(Err(format!("answers {word}")));
    }
    let count = u16::from_be_bytes([header[6], header[7]]);
    let mut records = Vec::new();
    let mut at = question.len();
    for _ in 0..count {
        // What is cut off is not there.
        let Some((kind, data, next)) = entry(message, at) else {
            break;
        };
        if kind == number(record)
            && let Some(text) = text(message, data, record)
        {
            records.push(text);
        }
        at = next;
    }
    Some(Ok(records))
}

/// Type, place of the data, and the place of what comes next.
fn entry(message: &[u8], at: usize) -> Option<(u16, std::ops::Range<usize>, usize)> {
    let (_, at) = name(message, at)?;
    let fixed = message.get(at..at + 10)?;
    let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let data = at + 10..at + 10 + length;
    message.get(data.clone())?;
    let next = data.end;
    Some((kind, data, next))
}

/// A name, and the place behind it.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut text, mut behind) = (String::new(), None);
    for _ in 0..JUMPS * 4 {
        let length = usize::from(*message.get(at)?);
        if length == 0 {
            let text = if text.is_empty() {
                ".".to_owned()
            } else {
                text
            };
            return Some((text, behind.unwrap_or(at + 1)));
        }
        if length & 0xc0 == 0xc0 {
            let low = usize::from(*message.get(at + 1)?);
            behind = behind.or(Some(at + 2));
            at = (length & 0x3f) << 8 | low;
        } else {
            let label = message.get(at + 1..at + 1 + length)?;
            text.push_str(&String::from_utf8_lossy(label));
            text.push('.');
            at += 1 + length;
        }
    }
    None
}

/// A record as `dig` shows it.
fn text(message: &[u8], data: std::ops::Range<usize>, record: RecordType) -> Option<String> {
    let bytes = message.get(data.clone())?;
    let start = data.start;
    let short = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let named = |at: usize| Some(name(message, start + at)?.0);
    match record {
        RecordType::A => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
        RecordType::Aaaa => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        RecordType::Cname | RecordType::Ns | RecordType::Ptr => named(0),
        RecordType::Mx => Some(format!("{} {}", short(0)?, named(2)?)),
        RecordType::Srv => Some(format!(
            "{} {} {} {}",
            short(0)?,
            short(2)?,
            short(4)?,
            named(6)?
        )),
        RecordType::Txt => {
            let mut parts = Vec::new();
            let mut rest = bytes;
            while let Some((length, after)) = rest.split_first() {
                let part = after.get(..usize::from(*length))?;
                parts.push(format!("\"{}\"", String::from_utf8_lossy(part)));
                rest = &after[usize::from(*length)..];
            }
            Some(parts.join(" "))
        }
        RecordType::Soa => {
            let (primary, at) = name(message, start)?;
            let (mailbox, at) = name(message, at)?;
            let numbers = message.get(at..at + 20)?;
            let numbers: Vec<String> = numbers
                .chunks(4)
                .filter_map(|four| Some(u32::from_be_bytes(four.try_into().ok()?).to_string()))
                .collect();
            Some(format!("{primary} {mailbox} {}", numbers.join(" ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to a question for a.example, with these records.
    fn answer(question: &[u8], code: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] = 0x81;
        message[3] = code;
        message[7] = u8::try_from(records.len()).unwrap();
        for (kind, data) in records {
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 9, 0, u8::try_from(data.len()).unwrap()]);
            message.extend_from_slice(data);
        }
        message
    }

    #[test]
    fn records_are_read() {
        for (record, data, shown) in [
            (RecordType::A, &[192, 0, 2, 1][..], "192.0.2.1"),
            (RecordType::Ns, &[1, b'b', 0xc0, 12], "b.a.example."),
            (RecordType::Mx, &[0, 10, 0xc0, 12], "10 a.example."),
            (RecordType::Txt, &[2, b'h', b'i', 1, b'x'], "\"hi\" \"x\""),
            (RecordType::Srv, &[0, 1, 0, 2, 0, 80, 0], "1 2 80 ."),
        ] {
            let asked = question([1, 2], "a.example", number(record)).unwrap();
            let message = answer(&asked, 0, &[(5, &[0]), (number(record), data)]);
            assert_eq!(
                read(&message, &asked, record),
                Some(Ok(vec![shown.to_owned()]))
            );
            // Nothing that is cut is misread.
            for cut in 0..message.len() {
                let _ = read(&message[..cut], &asked, record);
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_not_heard() {
        let asked = question([1, 2], "a.example", 1).unwrap();
        let good = answer(&asked, 0, &[]);
        assert_eq!(read(&good, &asked, RecordType::A), Some(Ok(Vec::new())));
        for (at, to) in [(0, 9), (2, 1), (13, b'b')] {
            let mut other = good.clone();
            other[at] = to;
            assert_eq!(read(&other, &asked, RecordType::A), None, "{at}");
        }
        let refused = answer(&asked, 5, &[]);
        assert_eq!(
            read(&refused, &asked, RecordType::A),
            Some(Err("answers REFUSED".into()))
        );
        // A name that leads to itself has no end.
        let round = answer(&asked, 0, &[(2, &[0xc0, 40])]);
        let _ = read(&round, &asked, RecordType::Ns);
    }

    #[test]
    fn names_are_limited() {
        assert!(question([0, 0], &"a".repeat(64), 1).is_none());
        assert!(question([0, 0], &"a.".repeat(140), 1).is_none());
        assert!(question([0, 0], "a..b", 1).is_none());
        assert_eq!(question([0, 0], ".", 1).unwrap().len(), 17);
    }
}
