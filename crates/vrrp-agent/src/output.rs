//! What hooks write, as far as it is shown: a program that runs wild must not fill a log, nor wait for us.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Longest line that is shown, in bytes.
const LINE: usize = 400;

/// The lines of a pipe.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: Option<BufReader<R>>,
    line: Vec<u8>,
    cut: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(pipe: R) -> Self {
        Self {
            reader: Some(BufReader::with_capacity(4096, pipe)),
            line: Vec::new(),
            cut: false,
        }
    }

    /// Whether more may come.
    pub(crate) const fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// The next one; `None` at the end. Nothing is lost when this is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let reader = self.reader.as_mut()?;
            let read = match reader.fill_buf().await {
                Ok(read) if !read.is_empty() => read,
                Ok(_) | Err(_) => {
                    self.reader = None;
                    return (!self.line.is_empty()).then(|| self.take());
                }
            };
            let end = read.iter().position(|byte| *byte == b'\n');
            let piece = &read[..end.unwrap_or(read.len())];
            let room = LINE - self.line.len();
            self.cut |= piece.len() > room;
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            let length = piece.len() + usize::from(end.is_some());
            reader.consume(length);
            if end.is_some() {
                return Some(self.take());
            }
        }
    }

    fn take(&mut self) -> String {
        let mut line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        line.retain(|character| character == '\t' || !character.is_control());
        if std::mem::take(&mut self.cut) {
            line.push_str("...");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn long_lines_are_cut() {
        let text = format!("one\n{}\nthree\x1b[2J", "x".repeat(10_000));
        let mut lines = Lines::new(text.as_bytes());
        assert_eq!(lines.next().await.as_deref(), Some("one"));
        assert_eq!(lines.next().await.map(|line| line.len()), Some(LINE + 3));
        assert_eq!(lines.next().await.as_deref(), Some("three[2J"));
        assert_eq!(lines.next().await, None);
        assert!(!lines.is_open());
    }
}
