//! Only what is wrong, for those who look at many machines.

use serde_json::Value;
use vrrp_control::StatusReport;

use crate::client::Client;
use crate::failure::Failure;
use crate::json;
use crate::page::{Page, Tone};
use crate::plain;
use crate::status;

/// `vrrpctl status --problems`.
pub(crate) fn run(client: &Client, page: &mut Page, name: Option<&str>) -> Result<(), Failure> {
    let (mut report, _) = status::fetch(client)?;
    if let Some(name) = name {
        status::find(&report, name)?;
        report.routers.retain(|router| router.name == name);
    }
    let problems = status::complaints(&report);
    if page.look.json {
        page.document(&document(&report, &problems))?;
    } else if problems.is_empty() {
        page.text(&well(&report))?;
    } else {
        let mark = page.look.paint(Tone::Bad, "!");
        for problem in &problems {
            page.text(&format!("{mark} {}\n", plain::text(problem)))?;
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Wrong(1))
    }
}

fn well(report: &StatusReport) -> String {
    match &report.routers[..] {
        [] => "no virtual routers are configured\n".to_owned(),
        [router] => format!("{} is well\n", plain::text(&router.name)),
        routers => format!("all {} virtual routers are well\n", routers.len()),
    }
}

fn document(report: &StatusReport, problems: &[String]) -> Value {
    let problems = problems.iter().map(|problem| Value::from(problem.as_str()));
    json::object([
        ("version", report.version.into()),
        ("routers", report.routers.len().into()),
        ("problems", problems.collect()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn nothing_is_wrong() {
        let mut report = report();
        assert_eq!(well(&report), "all 4 virtual routers are well\n");
        report.routers.truncate(1);
        assert_eq!(well(&report), "lan4 is well\n");
        report.routers.clear();
        assert_eq!(well(&report), "no virtual routers are configured\n");
    }
}
