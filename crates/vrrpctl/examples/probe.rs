//! Traffic of a client, for `scripts/demo`: a numbered datagram every millisecond, and a note of each that arrives.
//!
//! ```text
//! probe send ADDRESS PORT     until killed
//! probe receive PORT          a line for each: when it arrived, in nanoseconds since 1970, and its number
//! ```

use std::env::args;
use std::io::{self, Write};
use std::net::{Ipv6Addr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const STEP: Duration = Duration::from_millis(1);

fn main() -> io::Result<()> {
    let words: Vec<String> = args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let port = |text: &str| {
        text.parse::<u16>()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    };
    match words[..] {
        ["send", address, to] => send(address, port(to)?),
        ["receive", on] => receive(port(on)?),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "probe send ADDRESS PORT | probe receive PORT",
        )),
    }
}

fn send(address: &str, port: u16) -> io::Result<()> {
    let any = if address.contains(':') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any)?;
    let began = Instant::now();
    for number in 0_u32.. {
        // While nobody is the gateway the kernel may refuse; that datagram is lost like any other.
        let _ = socket.send_to(&number.to_be_bytes(), (address, port));
        // On a grid, so that a late one does not delay those after it.
        sleep((began + STEP * (number + 1)).saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn receive(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
    let mut out = io::stdout().lock();
    let mut message = [0; 4];
    loop {
        if socket.recv(&mut message)? == message.len() {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            writeln!(out, "{} {}", now.as_nanos(), u32::from_be_bytes(message))?;
        }
    }
}
