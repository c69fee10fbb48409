//! Whom a program is run as. Looking that up reads files, or asks another host, so it is remembered for a moment: two hundred
//! scripts are run each second.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, User, geteuid, getgrouplist};
use vrrp_linux::child::Identity;

/// So long it is not looked up again.
const FRESH: Duration = Duration::from_secs(5);

/// Users that are remembered. A configuration names fewer.
const KNOWN: usize = 64;

/// A user as far as a program has to do with one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Whom it has to become; nobody else than this process if absent.
    pub(crate) identity: Option<Identity>,
    /// `HOME`, `USER` and `LOGNAME`.
    pub(crate) environment: Vec<(&'static str, std::ffi::OsString)>,
}

impl Account {
    /// The user of this name, or the one of this process. May wait for whoever knows the users.
    pub(crate) fn of(name: Option<&str>) -> Result<Self, String> {
        static KNOWN_USERS: Mutex<BTreeMap<String, (Instant, Account)>> =
            Mutex::new(BTreeMap::new());
        // Whoever waits for a user does not let others wait.
        let known = || KNOWN_USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let key = name.unwrap_or_default();
        if let Some((at, account)) = known().get(key)
            && at.elapsed() < FRESH
        {
            return Ok(account.clone());
        }
        let account = Self::look_up(name)?;
        let mut known = known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(key.to_owned(), (Instant::now(), account.clone()));
        Ok(account)
    }

    fn look_up(name: Option<&str>) -> Result<Self, String> {
        let user = match name {
            Some(name) => {
                let failed = |error| format!("cannot look up user {name}: {error}");
                let found = User::from_name(name).map_err(failed)?;
                found.ok_or_else(|| format!("there is no user {name}"))?
            }
            // That it has no name is no reason not to run anything.
            None => match User::from_uid(geteuid()) {
                Ok(Some(user)) => user,
                Ok(None) | Err(_) => return Ok(Self::default()),
            },
        };
        let identity = if user.uid == geteuid() {
            None
        } else {
            let failed =
                |error| format!("cannot look up the groups of user {}: {error}", user.name);
            let known = CString::new(user.name.as_str()).map_err(|error| error.to_string())?;
            let groups = getgrouplist(&known, user.gid).map_err(failed)?;
            Some(Identity {
                user: user.uid.as_raw(),
                group: user.gid.as_raw(),
                groups: groups.into_iter().map(Gid::as_raw).collect(),
            })
        };
        let name = std::ffi::OsString::from(user.name);
        Ok(Self {
            identity,
            environment: vec![
                ("HOME", user.dir.into_os_string()),
                ("USER", name.clone()),
                ("LOGNAME", name),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known() {
        let root = Account::of(Some("root")).unwrap();
        assert_eq!(root.identity.is_none(), geteuid().is_root());
        assert!(root.environment.contains(&("USER", "root".into())));
        let nobody = Account::of(Some("nobody")).unwrap();
        assert_ne!(nobody.identity.map(|it| it.user), Some(0));
        let why = Account::of(Some("no-such-user")).unwrap_err();
        assert_eq!(why, "there is no user no-such-user");
    }
}
