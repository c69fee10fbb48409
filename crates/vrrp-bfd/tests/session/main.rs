//! The session against RFC 5880, section by section.

mod bench;
mod line;
mod packets;
mod rates;
mod table;
