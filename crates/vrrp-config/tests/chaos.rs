//! No text makes the parser or the renderer panic, and no text is refused without a reason.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use vrrp_config::{Severity, parse, render};

/// What must hold for any text.
fn check(text: &str) {
    let findings = match parse(text) {
        Ok(config) => {
            assert!(!config.plan.routers.is_empty());
            assert!(
                config
                    .findings
                    .iter()
                    .all(|finding| finding.severity == Severity::Warning)
            );
            config.findings
        }
        Err(findings) => {
            assert!(
                findings
                    .iter()
                    .any(|finding| finding.severity == Severity::Error),
                "refused without an error"
            );
            findings
        }
    };
    for finding in &findings {
        let (line, column) = finding.line_column(text);
        assert!(line >= 1 && column >= 1);
        assert!(
            finding.span.start <= finding.span.end && finding.span.start <= text.len(),
            "{finding:?}"
        );
    }
    for color in [false, true] {
        let shown = render(&findings, "vrrpd.toml", text, color);
        assert!(shown.ends_with('\n'));
    }
}

/// All files that a change may start from.
fn seeds() -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["../../conf", "../../conf/examples", "tests/broken"]
        .iter()
        .flat_map(|directory| fs::read_dir(here.join(directory)).expect("a directory"))
        .map(|entry| entry.expect("a file").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(|path| fs::read_to_string(path).expect("a text"))
        .collect()
}

/// One careless edit.
#[derive(Clone, Debug)]
enum Edit {
    Delete(usize, usize),
    Insert(usize, String),
    Swap(usize, usize),
    Repeat(usize),
    Cut(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let token = prop_oneof![
        "[\\[\\]{}\"'=,.#\\\\/:% \n\r\t-]{1,3}",
        "[a-z0-9]{1,4}",
        any::<char>().prop_map(String::from),
        Just("\"\"\"".to_owned()),
        Just("[virtual-router.x]\n".to_owned()),
        Just("authentication = { key = \"".to_owned()),
        Just("99999999999999999999".to_owned()),
    ];
    prop_oneof![
        (any::<usize>(), 1..12_usize).prop_map(|(at, count)| Edit::Delete(at, count)),
        (any::<usize>(), token).prop_map(|(at, text)| Edit::Insert(at, text)),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Edit::Swap(a, b)),
        any::<usize>().prop_map(Edit::Repeat),
        any::<usize>().prop_map(Edit::Cut),
    ]
}

fn apply(text: &str, edit: &Edit) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if chars.is_empty() {
        return text.to_owned();
    }
    match edit {
        Edit::Delete(at, count) => {
            let at = at % chars.len();
            chars.drain(at..(at + count).min(chars.len()));
        }
        Edit::Insert(at, new) => {
            let at = at % (chars.len() + 1);
            chars.splice(at..at, new.chars());
        }
        Edit::Swap(a, b) => {
            let count = lines.len();
            lines.swap(a % count, b % count);
            return lines.concat();
        }
        Edit::Repeat(at) => {
            lines.push(lines[at % lines.len()]);
            return lines.concat();
        }
        Edit::Cut(at) => chars.truncate(at % chars.len()),
    }
    chars.into_iter().collect()
}

proptest! {
    // PROPTEST_CASES=100000 for a night.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn text_of_the_right_alphabet(text in "([a-z]{1,3}|[\\[\\]{}\"'=,.#\\\\ \n\r\t]|key|\"\"\"|virtual-router|0x|1979-05-27|ä){0,60}") {
        check(&text);
    }

    #[test]
    fn careless_edits(seed in any::<prop::sample::Index>(), edits in prop::collection::vec(edit(), 1..6)) {
        let seeds = seeds();
        let mut text = seed.get(&seeds).clone();
        for edit in &edits {
            text = apply(&text, edit);
        }
        check(&text);
    }

    #[test]
    fn a_key_stays_hidden_whatever_happens_to_its_line(edits in prop::collection::vec(edit(), 0..3), quote in prop::sample::select(vec!["\"", "'", ""])) {
        let lines = format!("protocol = \"vrrpv2\"\nauthentication = {{ type = \"simple-text\", key = {quote}QZXJQZXJQZ{quote} }}\n");
        let mut text = format!("[virtual-router.a]\ninterface = \"eth0\"\nvrid = 300\n{lines}");
        for edit in &edits {
            text = apply(&text, edit);
        }
        check(&text);
        let findings = parse(&text).err().unwrap_or_default();
        let shown = render(&findings, "vrrpd.toml", &text, false);
        // An edit may cut the word `key` or the line before it; with the words in place nothing shows.
        let intact = |line: &str| line.contains("authentication = {") && line.contains(" key = ");
        if text.lines().filter(|line| line.contains("QZXJ")).all(intact) {
            prop_assert!(!shown.contains("QZXJ"), "{text}\n{shown}");
        }
    }
}

#[test]
fn every_prefix_of_every_file() {
    for text in seeds() {
        for (at, _) in text.char_indices().filter(|(at, _)| at % 5 == 0) {
            check(&text[..at]);
        }
    }
}

#[test]
fn large_and_deep_texts() {
    check(&"[".repeat(100_000));
    check(&format!("x = {}", "[".repeat(10_000)));
    check(&format!("x = {}", "{a=".repeat(10_000)));
    check(&"key\n".repeat(2_000));
    check(&"a.".repeat(20_000));
    check(&format!("[virtual-router.a]\n{}", "x = 1\n".repeat(3_000)));
    check(&format!("[virtual-router.{}]\n", "n".repeat(100_000)));
    check(&format!(
        "[virtual-router.a]\ninterface = \"{}\"\n",
        "e".repeat(100_000)
    ));
}
