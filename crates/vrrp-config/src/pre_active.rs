//! `on = ["pre-active"]`: hooks that run before addresses go live, and how long routers wait for them.

use std::time::Duration;

use vrrp_proto::{PreActive, RouterPlan};

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::hook::HookPlan;
use crate::section::{Field, Section};

/// What hooks call it.
pub(crate) const EVENT: &str = "pre-active";

/// How long routers wait for a hook unless told otherwise: what a table of some ten thousand connections takes, and less than
/// anybody notices beside the time in which the failure is found.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(200);

/// The limits of that. Meanwhile nobody serves if the Active has died, so that more than two seconds are no takeover any more: what
/// takes longer goes on, and the addresses do not wait for it.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));

/// `pre-active-timeout`, of a hook that hears of `on`.
pub(crate) fn timeout(
    section: &Section<'_>,
    on: Option<&[String]>,
    findings: &mut Vec<Finding>,
) -> Option<Duration> {
    let given = match section.string("pre-active-timeout", "200ms", findings) {
        Field::Given(given) => given,
        Field::Absent => return Some(TIMEOUT),
        Field::Refused => return None,
    };
    let refused = |code, message: String, help: String| {
        Finding::error(code, given.span.clone(), message)
            .label("not usable")
            .help(help)
    };
    if on.is_some_and(|on| !on.iter().any(|word| word == EVENT)) {
        let message = "`pre-active-timeout` of a hook that does not hear of `pre-active`";
        findings.push(
            Finding::warning(code::HOOK_WAIT, given.span.clone(), message)
                .label("nothing waits for it")
                .help("list \"pre-active\" in `on`, or remove the key"),
        );
    }
    match crate::duration::parse(given.value) {
        Ok(timeout) if (TIMEOUTS.0..=TIMEOUTS.1).contains(&timeout) => Some(timeout),
        Ok(_) => {
            let message = "addresses cannot wait so long or so short".to_owned();
            let help = "\"10ms\" to \"2s\": while they wait, nobody serves; a run that takes longer goes on beside it, \
                        until its `timeout`";
            findings.push(refused(code::DURATION_RANGE, message, help.to_owned()));
            None
        }
        Err(help) => {
            let message = format!("\"{}\" is not a duration", excerpt(given.value));
            findings.push(refused(code::DURATION, message, help));
            None
        }
    }
}

/// Tells routers what they wait for. Members of a group go live together, so each waits for the hooks of all.
pub(crate) fn assign(routers: &mut [RouterPlan], hooks: &[&HookPlan]) {
    let concerns = |hook: &HookPlan, router: &RouterPlan| {
        let named = |name: &String| hook.routers.contains(name);
        hook.routers.is_empty() || named(&router.name) || router.group.as_ref().is_some_and(named)
    };
    let hears = |hook: &HookPlan| hook.on.iter().any(|word| word == EVENT);
    let early: Vec<&&HookPlan> = hooks.iter().filter(|hook| hears(hook)).collect();
    let wanted: Vec<Option<PreActive>> = routers
        .iter()
        .map(|router| {
            let together = |other: &&RouterPlan| {
                other.name == router.name || router.group.is_some() && other.group == router.group
            };
            let mine: Vec<&&&HookPlan> = early
                .iter()
                .filter(|hook| routers.iter().filter(together).any(|it| concerns(hook, it)))
                .collect();
            let timeout = mine.iter().map(|hook| hook.pre_active_timeout).max()?;
            let hooks = mine.iter().map(|hook| hook.name.clone()).collect();
            Some(PreActive { hooks, timeout })
        })
        .collect();
    for (router, wanted) in routers.iter_mut().zip(wanted) {
        router.pre_active = wanted;
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    const ROUTERS: &str = "[virtual-router.lan4]\ninterface = \"eth0\"\nvrid = 10\naddresses = [\"192.0.2.254/24\"]\n\
        [virtual-router.wan4]\ninterface = \"eth1\"\nvrid = 10\naddresses = [\"198.51.100.254/24\"]\n\
        [virtual-router.dmz4]\ninterface = \"eth2\"\nvrid = 10\naddresses = [\"203.0.113.254/24\"]\n\
        [group.edge]\nmembers = [\"lan4\", \"wan4\"]\n";

    fn waits(hooks: &str) -> Vec<String> {
        let config = parse(&format!("{ROUTERS}{hooks}")).unwrap();
        let routers = config.plan.routers.iter();
        let waits = routers.filter_map(|router| {
            let it = router.pre_active.as_ref()?;
            let (name, hooks) = (&router.name, it.hooks.join("+"));
            Some(format!("{name} {hooks} {}", it.timeout.as_millis()))
        });
        waits.collect()
    }

    #[test]
    fn each_waits_for_the_hooks_of_its_group() {
        let hook = |name: &str, more: &str| {
            format!("[hook.{name}]\ncommand = [\"/bin/true\"]\non = [\"pre-active\"]\n{more}\n")
        };
        assert_eq!(waits(""), [""; 0]);
        assert_eq!(
            waits(&hook("a", "")),
            ["lan4 a 200", "wan4 a 200", "dmz4 a 200"]
        );
        let text = hook("a", "routers = [\"wan4\"]\npre-active-timeout = \"50ms\"")
            + &hook("b", "routers = [\"edge\"]\npre-active-timeout = \"1s\"")
            + &hook("c", "routers = [\"dmz4\"]\npre-active-timeout = \"2s\"");
        assert_eq!(
            waits(&text),
            ["lan4 a+b 1000", "wan4 a+b 1000", "dmz4 c 2000"]
        );
        let other = "[hook.d]\ncommand = [\"/bin/true\"]\n";
        assert_eq!(waits(other), [""; 0]);
    }
}
