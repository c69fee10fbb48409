//! Bidirectional Forwarding Detection over a single hop: RFC 5880 in asynchronous mode, as RFC 5881 uses it.
//!
//! ```text
//!   datagrams --> ControlPacket::parse --> Session::receive ------+
//!   time ------------------------------> Session::handle_timeout -+--> Change      up, or down and why
//!   time, randomness ------------------> Session::poll_transmit -----> ControlPacket
//! ```
//!
//! No socket, no clock, no random number: time and randomness are arguments. Who owns the sockets sends what
//! [`Session::poll_transmit`] gives until it gives nothing, after each input.
//!
//! Not there: demand mode of our own, the echo function, authentication. A peer may ask for demand mode; it is then left in
//! peace, as §6.8.7 wants it.
#![no_std]
#![forbid(unsafe_code)]

mod diagnostic;
mod packet;
mod session;
mod state;

pub use diagnostic::Diagnostic;
pub use packet::{ControlPacket, Discard, HOP_LIMIT, LENGTH, PORT, SOURCE_PORTS};
pub use session::{Change, Config, Remote, SLOW, Session};
pub use state::State;
