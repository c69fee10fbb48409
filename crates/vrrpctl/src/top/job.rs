//! A command of this program, run beside the screen.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::SyncSender;
use std::thread;

use super::feed::Update;

/// Ourselves, also when the file has been replaced by a newer one since.
const SELF: &str = "/proc/self/exe";

/// Runs `vrrpctl WORDS` against the daemon on `socket`, and tells what it said.
pub(super) fn start(
    socket: &Path,
    words: Vec<String>,
    options: &[&str],
    sender: SyncSender<Update>,
) {
    let mut command = Command::new(SELF);
    command
        .arg("--socket")
        .arg(socket)
        .args(["--color", "never"])
        .args(options)
        .args(&words)
        .stdin(Stdio::null());
    thread::spawn(move || {
        let title = format!("vrrpctl {}", words.join(" "));
        let (text, done) = match command.output() {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                let text = String::from_utf8_lossy(&said).into_owned();
                (text, output.status.success())
            }
            Err(error) => (format!("cannot run {SELF}: {error}"), false),
        };
        // Without a listener the screen is gone.
        let _ = sender.send(Update::Done(title, text, done));
    });
}
