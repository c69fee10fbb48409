//! Whether a program may be run for us: nobody else may be able to change it.
//!
//! A hook runs with the rights of its user, also where it could not be started by whoever wrote it. So each component of its
//! path has to belong to root or to that user, and nobody else may write it. A directory that others may write is borne if it
//! is sticky, as `/tmp` is: what stands in it is nobody's but its owner's.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vrrp_proto::Gather;

use vrrp_proto::TrackerKind;

use crate::finding::Finding;
use crate::hook::HookDeed;
use crate::{Config, code};

/// Why a program is not run.
#[derive(Debug)]
pub enum Distrust {
    /// It cannot be looked at.
    Unseen(PathBuf, io::Error),
    /// It is no file.
    NoFile(PathBuf),
    /// It may not be executed.
    NotExecutable(PathBuf, u32),
    /// This component of its path belongs to somebody else.
    Owned {
        /// Which component.
        component: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others may write this component of its path.
    Writable {
        /// Which component.
        component: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unseen(path, error) => write!(f, "cannot look at {}: {error}", path.display()),
            Self::NoFile(path) => write!(f, "{} is no file", path.display()),
            Self::NotExecutable(path, mode) => {
                write!(
                    f,
                    "{} is not executable, its mode is {mode:04o}",
                    path.display()
                )
            }
            Self::Owned { component, owner } => write!(
                f,
                "{} belongs to user {owner}, who could change it",
                component.display()
            ),
            Self::Writable { component, mode } => write!(
                f,
                "{} can be written by others, its mode is {mode:04o}",
                component.display()
            ),
        }
    }
}

impl Distrust {
    /// What to do.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Unseen(..) | Self::NoFile(_) => {
                "write the path of a program that is there".to_owned()
            }
            Self::NotExecutable(path, _) => format!("chmod +x {}", path.display()),
            Self::Owned { component, .. } => format!("chown root {}", component.display()),
            Self::Writable { component, .. } => format!("chmod go-w {}", component.display()),
        }
    }

    /// Whether it says nothing about other hosts than this one.
    #[must_use]
    pub const fn is_absence(&self) -> bool {
        matches!(self, Self::Unseen(..))
    }
}

/// Whether `program` can be changed by nobody but root and `user`; its real path. Looks at the disk.
///
/// # Errors
/// The first reason why not.
pub fn trusted(program: &Path, user: u32) -> Result<PathBuf, Distrust> {
    let real = program
        .canonicalize()
        .map_err(|error| Distrust::Unseen(program.to_owned(), error))?;
    // Where links lead away from, too: who may write there can let them lead elsewhere.
    let components: BTreeSet<&Path> = program.ancestors().chain(real.ancestors()).gather();
    for component in components {
        let unseen = |error| Distrust::Unseen(component.to_owned(), error);
        let found = component.metadata().map_err(unseen)?;
        if ![0, user].contains(&found.uid()) {
            return Err(Distrust::Owned {
                component: component.to_owned(),
                owner: found.uid(),
            });
        }
        let mode = found.mode() & 0o7777;
        let sticky = found.is_dir() && mode & 0o1000 != 0;
        // Root's own group is root.
        let by_group = mode & 0o020 != 0 && found.gid() != 0;
        if (by_group || mode & 0o002 != 0) && !sticky {
            return Err(Distrust::Writable {
                component: component.to_owned(),
                mode,
            });
        }
    }
    let unseen = |error| Distrust::Unseen(real.clone(), error);
    let found = real.metadata().map_err(unseen)?;
    if !found.is_file() {
        return Err(Distrust::NoFile(real));
    }
    if found.mode() & 0o111 == 0 {
        return Err(Distrust::NotExecutable(real, found.mode() & 0o7777));
    }
    Ok(real)
}

/// What is wrong on this host with the programs of hooks and trackers, as findings. `user` finds the number of a user by name.
/// Looks at the disk.
#[must_use]
pub fn distrusted(config: &Config, user: impl Fn(&str) -> Option<u32>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for hook in &config.hooks {
        if let HookDeed::Exec {
            command,
            user: name,
            ..
        } = &hook.plan.action
        {
            let span = hook.command.clone();
            findings.extend(judge(command, name.as_deref(), &user, span, "hook"));
        }
    }
    for (tracker, place) in config.plan.trackers.iter().zip(&config.tracker_places) {
        if let TrackerKind::Script {
            command,
            user: name,
            ..
        } = &tracker.kind
        {
            let span = place.value("command");
            findings.extend(judge(command, name.as_deref(), &user, span, "script"));
        }
    }
    findings
}

fn judge(
    command: &[String],
    name: Option<&str>,
    user: impl Fn(&str) -> Option<u32>,
    span: Range<usize>,
    what: &str,
) -> Option<Finding> {
    let program = command.first()?;
    let finding = |message| Finding::warning(code::HOOK_PROGRAM, span, message);
    let user = match name {
        None => 0,
        Some(name) => match user(name) {
            Some(user) => user,
            None => {
                let message = format!("there is no user {name} on this host");
                return Some(
                    finding(message)
                        .label("runs as that user")
                        .help("`getent passwd` shows those that there are"),
                );
            }
        },
    };
    let why = trusted(Path::new(program), user).err()?;
    let message = if why.is_absence() {
        format!("on this host, the {what} would not be run: {why}")
    } else {
        format!("the {what} will not be run: {why}")
    };
    Some(finding(message).label("not run").help(why.advice()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_others_can_change_is_not_run() {
        let here = std::env::temp_dir().join(format!("vrrpd-trust-{}", std::process::id()));
        let _ = fs::remove_dir_all(&here);
        let open = here.join("open");
        fs::create_dir_all(&open).unwrap();
        let mode =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        mode(&here, 0o755);
        mode(&open, 0o755);
        let script = open.join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let me = fs::metadata(&script).unwrap().uid();
        mode(&script, 0o644);
        assert!(matches!(
            trusted(&script, me),
            Err(Distrust::NotExecutable(..))
        ));
        mode(&script, 0o755);
        assert_eq!(
            trusted(&script, me).unwrap(),
            script.canonicalize().unwrap()
        );
        mode(&script, 0o757);
        let why = trusted(&script, me).unwrap_err().to_string();
        assert!(
            why.contains("script can be written by others, its mode is 0757"),
            "{why}"
        );
        mode(&script, 0o755);
        mode(&open, 0o777);
        let why = trusted(&script, me).unwrap_err().to_string();
        assert!(
            why.contains("open can be written by others, its mode is 0777"),
            "{why}"
        );
        // Also where a link there leads to something that only we can change.
        let (link, target) = (open.join("link"), here.join("target"));
        fs::write(&target, "").unwrap();
        mode(&target, 0o755);
        symlink(&target, &link).unwrap();
        assert!(trusted(&target, me).is_ok());
        assert!(matches!(trusted(&link, me), Err(Distrust::Writable { .. })));
        mode(&open, 0o1777);
        assert!(trusted(&link, me).is_ok());
        assert!(trusted(&here.join("none"), me).unwrap_err().is_absence());
        assert!(matches!(trusted(&here, me), Err(Distrust::NoFile(_))));
        fs::remove_dir_all(&here).unwrap();
    }
}
