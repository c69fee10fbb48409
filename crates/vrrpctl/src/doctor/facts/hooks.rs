//! Hooks of the configuration that runs, and whether this host would run them.

use std::path::Path;

use nix::unistd::User;
use vrrp_config::trusted;
use vrrp_control::HooksReport;
use vrrp_control::agent::{HookAction, HookSpec};

/// What is known of hooks.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// Why nobody runs them, if so.
    pub(crate) problem: Option<String>,
    /// Those that are not run.
    pub(crate) unfit: Vec<Unfit>,
}

/// A hook that is not run.
#[derive(Debug)]
pub(crate) struct Unfit {
    pub(crate) name: String,
    /// What it would hear of.
    pub(crate) on: Vec<String>,
    /// Why not.
    pub(crate) why: String,
    /// What to do.
    pub(crate) advice: String,
}

/// Looks at the disk, as the process that runs hooks does before each run.
pub(crate) fn look(report: &HooksReport) -> Hooks {
    let judge = |hook: &HookSpec| {
        let (why, advice) = judge(hook)?;
        Some(Unfit {
            name: hook.name.clone(),
            on: hook.on.clone(),
            why,
            advice,
        })
    };
    Hooks {
        problem: report.problem.clone().filter(|_| !report.hooks.is_empty()),
        unfit: report
            .hooks
            .iter()
            .filter_map(|it| judge(&it.hook))
            .collect(),
    }
}

fn judge(hook: &HookSpec) -> Option<(String, String)> {
    let HookAction::Exec { command, user, .. } = &hook.action else {
        return None;
    };
    let number = match user {
        None => 0,
        Some(name) => match User::from_name(name).ok().flatten() {
            Some(user) => user.uid.as_raw(),
            None => {
                let why = format!("there is no user {name}");
                let advice = format!("useradd --system {name}, or another `user` of the hook");
                return Some((why, advice));
            }
        },
    };
    let why = trusted(Path::new(command.first()?), number).err()?;
    Some((why.to_string(), why.advice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_and_a_user_who_is_not_are_told() {
        let hook = |command: &str, user: Option<&str>| HookSpec {
            name: "notify".into(),
            on: vec!["active".into()],
            routers: Vec::new(),
            coalesce: true,
            timeout_ms: 1000,
            action: HookAction::Exec {
                command: vec![command.into()],
                keepalived: false,
                user: user.map(str::to_owned),
                capabilities: Vec::new(),
            },
        };
        let (why, _) = judge(&hook("/nowhere/at-all", None)).unwrap();
        assert!(why.contains("/nowhere/at-all"), "{why}");
        let (why, advice) = judge(&hook("/bin/sh", Some("no-such-user"))).unwrap();
        assert_eq!(why, "there is no user no-such-user");
        assert!(advice.contains("useradd"), "{advice}");
        assert_eq!(judge(&hook("/bin/sh", None)), None);
    }
}
