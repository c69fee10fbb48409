//! Another program on trial: it reads what it would go on from, takes over, and is watched for a while.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use vrrp_control::{UpgradeReport, UpgradeStage};

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// It is a standby, and not ready.
    Rehearses,
    /// It is ready, and the running worker is to make way.
    Waits,
    /// It is the worker, and has not said yet that it is at work.
    Starts,
    /// It is at work.
    Proves,
}

impl Stage {
    /// How long it may take, or is to take.
    pub(crate) const fn limit(self) -> Duration {
        match self {
            Self::Rehearses => Duration::from_secs(5),
            Self::Waits => Duration::from_secs(2),
            // Nobody advertises meanwhile. What takes longer on a machine that stood still finds itself replaced anyway.
            Self::Starts => Duration::from_millis(500),
            Self::Proves => Duration::from_secs(3),
        }
    }

    const fn reported(self) -> UpgradeStage {
        match self {
            Self::Rehearses => UpgradeStage::Preparing,
            Self::Waits | Self::Starts => UpgradeStage::TakingOver,
            Self::Proves => UpgradeStage::Running,
        }
    }
}

/// The trial.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Its process.
    pub(crate) pid: Pid,
    pub(crate) report: UpgradeReport,
    pub(crate) stage: Stage,
    /// The end of this stage.
    pub(crate) until: Instant,
    /// What a keeper of this program understands: see [`crate::passage::VERSION`].
    pub(crate) passage: u32,
    /// Whether it was killed because it did nothing.
    pub(crate) hung: bool,
}

impl Trial {
    /// Whether a file can be a program at all. What cannot would otherwise be taken for a script.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(program: &Path) -> io::Result<()> {
        if !program.is_absolute() {
            return Err(io::Error::other("its path does not begin with a slash"));
        }
        let metadata = std::fs::metadata(program)?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(io::Error::other("it is no executable file"));
        }
        let mut start = Vec::new();
        std::fs::File::open(program)?
            .take(4)
            .read_to_end(&mut start)?;
        if start.starts_with(b"\x7fELF") || start.starts_with(b"#!") {
            return Ok(());
        }
        Err(io::Error::other("it is no program"))
    }

    pub(crate) fn begin(pid: Pid, report: UpgradeReport) -> Self {
        Self {
            pid,
            report,
            stage: Stage::Rehearses,
            until: Instant::now() + Stage::Rehearses.limit(),
            passage: 0,
            hung: false,
        }
    }

    /// The next stage begins.
    pub(crate) fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.until = Instant::now() + stage.limit();
        self.report.stage = stage.reported();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_every_file_is_a_program() {
        assert!(Trial::check(Path::new("/proc/self/exe")).is_ok());
        for (path, why) in [
            ("/etc/passwd", "no executable file"),
            ("/etc", "no executable file"),
            ("bin/true", "slash"),
            ("/nowhere", "os error 2"),
        ] {
            let error = Trial::check(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(why), "{path}: {error}");
        }
    }
}
