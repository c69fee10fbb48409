//! Captures as tcpdump and Wireshark write them, read block by block: also from a pipe that never ends.

use std::io::Read;

use jiff::Timestamp;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

/// A block is read as a whole, up to this many bytes.
const LONGEST: usize = 16 << 20;
const TORN: &str = "it ends in the middle of a packet";
/// Room for most of them.
const ROOM: usize = 64 << 10;

/// A frame or packet as it was captured.
#[derive(Debug)]
pub(crate) struct Captured<'a> {
    /// `None` where the capture does not say.
    pub(crate) time: Option<Timestamp>,
    /// How its bytes begin.
    pub(crate) link: Linktype,
    pub(crate) bytes: &'a [u8],
}

/// An interface of a capture.
#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    /// Units of a second.
    resolution: u64,
    /// Seconds.
    offset: i64,
}

/// Calls `each` with what is in `source`.
///
/// # Errors
/// A sentence, if it is no capture or ends in the middle of a block; what came before has been told.
pub(crate) fn read<E>(
    source: impl Read + Send,
    mut each: impl FnMut(Captured<'_>) -> Result<(), E>,
) -> Result<Result<(), E>, String> {
    let mut reader = create_reader(ROOM, source).map_err(|error| {
        let empty = matches!(error, PcapError::Eof | PcapError::Incomplete(_));
        let why = if empty {
            "it is empty"
        } else {
            "it is neither pcap nor pcapng"
        };
        why.to_owned()
    })?;
    let mut room = ROOM;
    let mut interfaces: Vec<Interface> = Vec::new();
    loop {
        let (offset, block) = match reader.next() {
            Ok(read) => read,
            Err(PcapError::Eof) => return Ok(Ok(())),
            Err(PcapError::Incomplete(_)) => {
                if reader.reader_exhausted() {
                    return Err(TORN.to_owned());
                }
                reader
                    .refill()
                    .map_err(|_| "it cannot be read".to_owned())?;
                continue;
            }
            Err(PcapError::UnexpectedEof) => return Err(TORN.to_owned()),
            Err(PcapError::BufferTooSmall) if room < LONGEST => {
                room *= 2;
                if !reader.grow(room) {
                    return Err("a packet in it is too long".to_owned());
                }
                continue;
            }
            Err(_) => return Err("a part of it is damaged".to_owned()),
        };
        let captured = match &block {
            PcapBlockOwned::LegacyHeader(header) => {
                let nanos = header.is_nanosecond_precision();
                interfaces = vec![Interface {
                    link: header.network,
                    resolution: if nanos { 1_000_000_000 } else { 1_000_000 },
                    offset: 0,
                }];
                None
            }
            PcapBlockOwned::Legacy(packet) => interfaces.first().map(|interface| Captured {
                time: timestamp(
                    packet.ts_sec.into(),
                    packet.ts_usec.into(),
                    interface.resolution,
                ),
                link: interface.link,
                bytes: packet.data,
            }),
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                interfaces.clear();
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                interfaces.push(Interface {
                    link: interface.linktype,
                    resolution: interface.ts_resolution().unwrap_or(1_000_000),
                    offset: interface.ts_offset(),
                });
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let interface = usize::try_from(packet.if_id)
                    .ok()
                    .and_then(|index| interfaces.get(index));
                interface.map(|interface| {
                    let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                    let seconds = i64::try_from(ticks / interface.resolution).unwrap_or(i64::MAX);
                    Captured {
                        time: timestamp(
                            seconds.saturating_add(interface.offset),
                            ticks % interface.resolution,
                            interface.resolution,
                        ),
                        link: interface.link,
                        bytes: whole(packet.data, packet.caplen),
                    }
                })
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                interfaces.first().map(|interface| Captured {
                    time: None,
                    link: interface.link,
                    bytes: whole(packet.data, packet.origlen),
                })
            }
            PcapBlockOwned::NG(_) => None,
        };
        if let Some(captured) = captured
            && let Err(error) = each(captured)
        {
            return Ok(Err(error));
        }
        reader.consume(offset);
    }
}

/// Without what fills the block up.
fn whole(data: &[u8], length: u32) -> &[u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    &data[..length.min(data.len())]
}

fn timestamp(seconds: i64, units: u64, resolution: u64) -> Option<Timestamp> {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(resolution);
    Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok()
}
