//! A terminal with somebody in front of it: what a program draws, and the keys that are pressed.

use crate::clock::wait_for;
use crate::scratch::unique;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A terminal of its own, held by tmux; it ends with the test.
pub struct Screen {
    server: String,
}

impl Screen {
    /// Opens one of this many columns and lines, in which a line of shell runs.
    ///
    /// # Panics
    /// If tmux cannot be started.
    #[must_use]
    pub fn open(columns: u16, lines: u16, shell: &str) -> Self {
        let screen = Self {
            server: unique("screen"),
        };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        // The shell waits until the terminal has its size: a line of it is tmux's own before that is taken away.
        let shell = format!("read -r go; {shell}");
        screen.tmux(&["new-session", "-d", "-x", &columns, "-y", &lines, &shell]);
        screen.tmux(&["set-option", "-g", "status", "off"]);
        screen.tmux(&["set-option", "-g", "remain-on-exit", "on"]);
        screen.tmux(&["resize-window", "-x", &columns, "-y", &lines]);
        screen.press(&["clear", "Enter"]);
        screen
    }

    /// What is to be seen, line by line, without blanks at their ends.
    #[must_use]
    pub fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as wanted; what it then shows.
    ///
    /// # Panics
    /// If it is not within `limit`.
    pub fn wait(&self, limit: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let seen = wait_for(limit, || Some(self.text()).filter(|text| wanted(text)));
        seen.unwrap_or_else(|| panic!("no {what} within {limit:?}:\n{}", self.text()))
    }

    /// Presses keys by their names, such as `q`, `Down` or `Enter`.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, lines: u16) {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &lines]);
    }

    /// The process of the shell.
    ///
    /// # Panics
    /// If tmux does not say.
    #[must_use]
    pub fn shell(&self) -> i32 {
        let pid = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        pid.trim().parse().expect("a process id")
    }

    /// Whether a program has put the usual screen aside, to draw on another one.
    #[must_use]
    pub fn is_alternate(&self) -> bool {
        self.tmux(&["display-message", "-p", "#{alternate_on}"])
            .trim()
            == "1"
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = self.command(words).output().expect("tmux is installed");
        assert!(output.status.success(), "tmux {words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .args(["-u", "-f", "/dev/null", "-L", &self.server])
            .args(words)
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .current_dir(Path::new("/"));
        command
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.command(&["kill-server"]).output();
    }
}
