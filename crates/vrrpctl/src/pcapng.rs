//! Writes a capture: pcapng, whose frames keep the names of their interfaces and the nanosecond.

use std::io::{self, Write};

use jiff::Timestamp;

/// The link type of Ethernet.
const ETHERNET: u16 = 1;
/// Of `if_name` and `if_tsresol`.
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;

/// A capture that is being written. Each frame is in the file when the call that wrote it returns.
pub(crate) struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Begins it; the order of `interfaces` is how frames name theirs.
    pub(crate) fn begin<'a>(
        out: W,
        interfaces: impl IntoIterator<Item = &'a str>,
        longest: u32,
    ) -> io::Result<Self> {
        let mut writer = Self(out);
        // Byte order mark, version 1.0, and a length that nobody knows yet.
        let mut section = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        section.extend([0xff; 8]);
        writer.block(0x0a0d_0d0a, &section)?;
        for interface in interfaces {
            let mut body = ETHERNET.to_le_bytes().to_vec();
            body.extend([0, 0]);
            body.extend(longest.to_le_bytes());
            option(&mut body, NAME, interface.as_bytes());
            option(&mut body, RESOLUTION, &[9]);
            option(&mut body, 0, &[]);
            writer.block(1, &body)?;
        }
        Ok(writer)
    }

    /// Adds a frame that passed on interface number `interface`, of `length` bytes in all.
    pub(crate) fn frame(
        &mut self,
        interface: usize,
        time: Timestamp,
        bytes: &[u8],
        length: usize,
    ) -> io::Result<()> {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let nanos = u64::try_from(time.as_nanosecond())
            .unwrap_or(0)
            .to_be_bytes();
        let [a, b, c, d, e, f, g, h] = nanos;
        let mut body = number(interface).to_vec();
        body.extend([d, c, b, a, h, g, f, e]);
        body.extend(number(bytes.len()));
        body.extend(number(length));
        padded(&mut body, bytes);
        self.block(6, &body)
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 12)
            .unwrap_or(u32::MAX)
            .to_le_bytes();
        let block = [&kind.to_le_bytes(), &length, body, &length].concat();
        self.0.write_all(&block)?;
        self.0.flush()
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    padded(body, value);
}

fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace;

    #[test]
    fn what_is_written_is_read() {
        let mut file = Vec::new();
        let time: Timestamp = "2026-11-20T13:02:11.204561789Z".parse().unwrap();
        let frames = [vec![7_u8; 61], vec![8; 60]];
        let mut writer = Writer::begin(&mut file, ["eth0", "bond0.100"], 9216).unwrap();
        for (index, frame) in frames.iter().enumerate() {
            writer.frame(index, time, frame, frame.len()).unwrap();
        }
        let mut read = Vec::new();
        let told: Result<Result<(), ()>, String> = trace::read(io::Cursor::new(file), |captured| {
            assert_eq!(captured.link, pcap_parser::Linktype::ETHERNET);
            assert_eq!(captured.time, Some(time));
            read.push(captured.bytes.to_vec());
            Ok(())
        });
        assert_eq!(told, Ok(Ok(())));
        assert_eq!(read, frames);
    }
}
