//! A message is a line of JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest request in bytes, newline included: a configuration of two thousand routers fits. A client that sends more is cut
/// off.
pub const MAX_REQUEST: usize = 512 * 1024;

/// A line that is not the message that was expected.
#[derive(Debug)]
pub struct FrameError(serde_json::Error);

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not a message of the control protocol: {}", self.0)
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The line for `message`, newline included.
///
/// # Errors
/// When a value cannot be JSON; the types of this crate always can.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The message on `line`.
///
/// # Errors
/// When it is something else.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(line).map_err(FrameError)
}
