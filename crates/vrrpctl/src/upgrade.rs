//! Another program in place of the running daemon.

use std::path::Path;
use std::time::{Duration, Instant};

use vrrp_control::{Answer, Request, UpgradeReport, UpgradeStage};

use crate::client::Client;
use crate::failure::{Failure, Silence};
use crate::page::Page;
use crate::status;

/// The new program has some seconds to read what it would go on from.
const PREPARATION: Duration = Duration::from_secs(15);

/// It is then at work within moments, or has failed,
const TAKEOVER: Duration = Duration::from_secs(5);

/// and watched for some seconds.
const PROOF: Duration = Duration::from_secs(10);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Exit code for what did not come to an end in time.
const TIMED_OUT: u8 = 4;

/// `vrrpctl upgrade`: asks for it, and waits until the new program is at work; with `wait`, until it has proven itself.
pub(crate) fn run(
    client: &Client,
    page: &mut Page,
    program: Option<&Path>,
    wait: bool,
) -> Result<(), Failure> {
    let absolute = |path: &Path| {
        let path = std::path::absolute(path).map_err(|error| unnamed(path, &error))?;
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| unnamed(&path, &"its path is no text"))
    };
    let program = program.map(absolute).transpose()?;
    let mut answers = client
        .with_patience(PREPARATION)
        .ask(&Request::Upgrade { program })?;
    let report = match answers.next()?.map(|reply| reply.answer) {
        Some(Answer::Upgrade(report)) => report,
        Some(_) => return Err(answers.failure(Silence::Gibberish("another answer".into()))),
        None => return Err(answers.failure(Silence::HungUp)),
    };
    let report = if report.stage == UpgradeStage::Refused {
        report
    } else {
        outcome(client, report, wait)
    };
    if page.look.json {
        let value = serde_json::to_value(&report).unwrap_or_default();
        page.document(&value)?;
    } else {
        page.text(&render(&report))?;
    }
    match exit_code(&report, wait) {
        0 => Ok(()),
        code => Err(Failure::Wrong(code)),
    }
}

fn unnamed(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::File(format!("cannot use {}: {why}", path.display()))
}

/// What became of the upgrade with this number. While one process takes the place of another, nobody answers.
fn outcome(client: &Client, mut report: UpgradeReport, wait: bool) -> UpgradeReport {
    let patience = if wait { TAKEOVER + PROOF } else { TAKEOVER };
    let end = Instant::now() + patience;
    while !is_over(&report, wait) && Instant::now() < end {
        std::thread::sleep(PAUSE);
        let status = status::fetch(client).ok();
        let last = status.and_then(|(status, _)| status.daemon.upgrade);
        report = last
            .filter(|last| last.number >= report.number)
            .unwrap_or(report);
    }
    report
}

fn is_over(report: &UpgradeReport, wait: bool) -> bool {
    report.stage.is_last() || (!wait && report.stage == UpgradeStage::Running)
}

fn exit_code(report: &UpgradeReport, wait: bool) -> u8 {
    match report.stage {
        UpgradeStage::Refused | UpgradeStage::Failed => 1,
        UpgradeStage::Preparing
        | UpgradeStage::TakingOver
        | UpgradeStage::Running
        | UpgradeStage::Settled => {
            if is_over(report, wait) {
                0
            } else {
                TIMED_OUT
            }
        }
    }
}

fn render(report: &UpgradeReport) -> String {
    let UpgradeReport {
        program, from, to, ..
    } = report;
    let to = to.as_deref().unwrap_or("(unknown)");
    let reason = report.reason.as_deref();
    let why = reason.unwrap_or("for no known reason");
    match report.stage {
        UpgradeStage::Refused => {
            format!("refused: {program}: {why}\nvrrpd {from} goes on; it never stopped\n")
        }
        UpgradeStage::Failed => format!(
            "failed: {program}: {why}\nvrrpd {from} has gone on in its place; vrrpctl events -n 20 says more\n"
        ),
        UpgradeStage::Preparing | UpgradeStage::TakingOver => format!(
            "{program} is not at work yet; vrrpctl status --json says how it goes, under upgrade\n"
        ),
        UpgradeStage::Running => {
            format!("vrrpd {to} went on where {from} made way for it ({program})\n")
        }
        UpgradeStage::Settled => {
            let more = reason
                .map(|reason| format!("{reason}\n"))
                .unwrap_or_default();
            format!(
                "vrrpd {to} went on where {from} made way for it, and does well ({program})\n{more}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(stage: UpgradeStage, reason: Option<&str>) -> UpgradeReport {
        UpgradeReport {
            number: 1,
            time: "2026-11-20T14:00:00Z".into(),
            program: "/usr/sbin/vrrpd".into(),
            from: "0.1.0".into(),
            to: Some("0.1.1".into()),
            stage,
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn what_became_of_it() {
        let all = [
            report(UpgradeStage::Running, None),
            report(UpgradeStage::Settled, None),
            report(UpgradeStage::Refused, Some("exit status 1")),
            report(UpgradeStage::Failed, Some("killed by SIGSEGV")),
            report(UpgradeStage::TakingOver, None),
        ];
        let text: String = all.iter().map(render).collect();
        insta::assert_snapshot!(text);
        let codes = |wait| all.each_ref().map(|report| exit_code(report, wait));
        assert_eq!(codes(false), [0, 0, 1, 1, 4]);
        assert_eq!(codes(true), [4, 0, 1, 1, 4]);
    }
}
