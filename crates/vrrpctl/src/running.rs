//! The configuration that runs.

use vrrp_control::{Answer, Request, RunningConfig};

use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::page::{Look, Page, Tone};
use crate::plain;

/// `vrrpctl show config`.
pub(crate) fn run(client: &Client, page: &mut Page, all: bool) -> Result<(), Failure> {
    let Reply {
        answer: Answer::RunningConfig(running),
        value,
    } = client.ask_one(&Request::RunningConfig { defaults: all })?
    else {
        return Err(client.astray());
    };
    page.answer(value, |look| render(&running, look))
}

/// The page: a file that can be run, but for its secrets.
fn render(running: &RunningConfig, look: &Look) -> String {
    let mut text = String::new();
    if !look.brief {
        text = format!(
            "# Runs since {}, from {}\n\n",
            plain::text(&look.calendar.absolute(&running.loaded)),
            plain::text(&running.file)
        );
    }
    for line in running.text.lines() {
        let tone = if line.starts_with('[') {
            Tone::Heading
        } else {
            Tone::Plain
        };
        text.push_str(&look.paint(tone, &plain::text(line)));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::look;

    #[test]
    fn it_is_a_file_with_a_comment_on_where_it_came_from() {
        let running = RunningConfig {
            version: 1,
            file: "/etc/vrrpd/vrrpd.toml".into(),
            loaded: "2026-11-18T10:00:00Z".into(),
            text: "[virtual-router.lan4]\ninterface = \"eth0\u{1b}[2J\"\n".into(),
        };
        insta::assert_snapshot!(render(&running, &look(Some(80))));
        let brief = Look {
            brief: true,
            ..look(None)
        };
        assert!(render(&running, &brief).starts_with("[virtual-router.lan4]\n"));
    }
}
