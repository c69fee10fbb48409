//! Who may connect to which control socket.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use nix::unistd::{Group, getegid};
use vrrp_config::Control;

use crate::runtime_dir::RuntimeDir;

/// What a socket is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Asking and changing.
    Full,
    /// Asking.
    ReadOnly,
}

/// Gives the sockets to the groups that the configuration names. A group that does not exist leaves its socket to the
/// daemon's own group, with a warning: an account that was mistyped must not keep a router from running.
pub(crate) fn grant(runtime_dir: &RuntimeDir, control: &Control) {
    give(&runtime_dir.socket(), control.group.as_deref());
    give(
        &runtime_dir.read_only_socket(),
        control.read_only_group.as_deref(),
    );
}

fn give(socket: &Path, group: Option<&str>) {
    let found = group.map(|name| (name, Group::from_name(name)));
    let gid = match found {
        None => getegid(),
        Some((_, Ok(Some(group)))) => group.gid,
        Some((name, Ok(None))) => {
            tracing::warn!(
                "there is no group {name:?}: only the daemon's own group may use {}",
                socket.display()
            );
            getegid()
        }
        Some((name, Err(error))) => {
            tracing::warn!(
                %error,
                "cannot look up the group {name:?}: only the daemon's own group may use {}",
                socket.display()
            );
            getegid()
        }
    };
    if let Err(error) = chown(socket, None, Some(gid.as_raw())) {
        tracing::warn!(%error, "cannot give {} to its group", socket.display());
    }
}

/// Lets the owner and the group in, and nobody else.
pub(crate) fn restrict(socket: &Path) -> io::Result<()> {
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))
}
