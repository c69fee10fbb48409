//! `docs/benchmarks.json`, and the table of `docs/benchmarks.md` that is made of it.

use crate::machine::Circumstances;
use crate::maker::Maker;
use crate::measure::Measure;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

const BEGIN: &str = "<!-- written by scripts/bench -->";
const END: &str = "<!-- end -->";
const HEAD: &str = "| what | goal | ours | ours, `ebpf` | keepalived | FRR | keepalived ÷ ours | the protocol itself | n, stalled | holds |
|---|---|---:|---:|---:|---:|---:|---|---:|---|";

/// Everything that was measured, by row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    rows: Vec<Done>,
}

/// A row that ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Done {
    name: String,
    circumstances: Circumstances,
    measures: Vec<Measure>,
    /// Why it could not be run to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

impl Report {
    /// What was measured before; nothing where there is no file.
    ///
    /// # Errors
    /// When the file is there and is not a report.
    pub fn read(folder: &Path) -> io::Result<Self> {
        match std::fs::read(folder.join("benchmarks.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Puts a row in place of what was measured before.
    pub(crate) fn put(
        &mut self,
        name: &str,
        circumstances: Circumstances,
        outcome: Result<Vec<Measure>, String>,
    ) {
        let (measures, failed) = match outcome {
            Ok(measures) => (measures, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let done = Done {
            name: name.to_owned(),
            circumstances,
            measures,
            failed,
        };
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => *row = done,
            None => self.rows.push(done),
        }
    }

    /// The measures of a row.
    #[must_use]
    pub fn measures(&self, name: &str) -> &[Measure] {
        let row = self.rows.iter().find(|row| row.name == name);
        row.map_or(&[], |row| &row.measures)
    }

    /// Writes both files; `order` is that of the rows.
    ///
    /// # Errors
    /// When one cannot be written, or the document has no marks.
    pub fn write(&mut self, folder: &Path, order: &[&str]) -> io::Result<()> {
        let place = |name: &str| order.iter().position(|known| *known == name);
        self.rows.retain(|row| place(&row.name).is_some());
        self.rows.sort_by_key(|row| place(&row.name));
        let mut json = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        json = compact(&json);
        json.push('\n');
        std::fs::write(folder.join("benchmarks.json"), json)?;
        let document = folder.join("benchmarks.md");
        let text = std::fs::read_to_string(&document)?;
        let marks = text
            .split_once(BEGIN)
            .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
        let (before, after) =
            marks.ok_or_else(|| io::Error::other("docs/benchmarks.md has no marks"))?;
        std::fs::write(
            document,
            format!("{before}{BEGIN}\n{}\n{END}{after}", self.markdown()),
        )
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let about = crate::rows()
                .into_iter()
                .find(|known| known.name == row.name);
            let about = about.map_or("", |known| known.about);
            text += &format!(
                "\n### `{}`\n\n{about}\n\n{}\n\n",
                row.name,
                origin(&row.circumstances)
            );
            if let Some(why) = &row.failed {
                text += &format!("**Could not be run**: {}\n\n", cell(why));
                continue;
            }
            text += HEAD;
            text.push('\n');
            for measure in &row.measures {
                text += &line(measure);
                text.push('\n');
            }
            let notes: Vec<String> = row
                .measures
                .iter()
                .flat_map(|measure| {
                    let of = |note: &String| format!("* {}: {}", measure.what, cell(note));
                    measure.notes.iter().map(of)
                })
                .collect();
            if !notes.is_empty() {
                text += &format!("\n{}\n", notes.join("\n"));
            }
        }
        text.trim().to_owned()
    }
}

/// Samples in one line each: nobody reads a column of a thousand braces.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut lines = json.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "{"
            && lines
                .peek()
                .is_some_and(|next| next.trim_start().starts_with("\"value\""))
        {
            let indent = &line[..line.len() - 1];
            let mut parts = Vec::new();
            let mut closing = "}";
            for next in lines.by_ref() {
                let next = next.trim();
                if next.starts_with('}') {
                    closing = next;
                    break;
                }
                parts.push(next);
            }
            out += &format!("{indent}{{ {} {closing}\n", parts.join(" "));
        } else {
            out += line;
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// When and where a row was measured.
fn origin(at: &Circumstances) -> String {
    format!(
        "{}{}, {}; load {} before, {} after, {:.1} % stolen; commit {}: {}.",
        at.date,
        if at.quick { ", short run" } else { "" },
        at.machine,
        at.load[0],
        at.load[1],
        at.steal,
        at.commit,
        at.versions,
    )
}

fn line(measure: &Measure) -> String {
    let figure = measure.figure();
    let shown = |makers: &[Maker]| -> String {
        let cells: Vec<String> = makers
            .iter()
            .filter_map(|maker| {
                let series = measure.series.get(maker)?;
                let judged = figure.of(series)?;
                let text = if figure == crate::Figure::Zeros {
                    let worst = series.quantile(1.0).unwrap_or(0.0);
                    format!("{} % (worst {})", number(judged), number(worst))
                } else if series.count() == 1 {
                    number(judged)
                } else {
                    let of = |share| number(series.quantile(share).unwrap_or(f64::NAN));
                    format!("{} / {} ({}–{})", of(0.5), of(0.99), of(0.0), of(1.0))
                };
                let extra = match maker {
                    Maker::KeepalivedRt => "real-time: ",
                    Maker::KeepalivedPlain => "no virtual MAC: ",
                    Maker::Pnet => "`pnet_packet`: ",
                    Maker::Ours | Maker::OursEbpf | Maker::Keepalived | Maker::Frr => "",
                };
                Some(format!("{extra}{text}"))
            })
            .collect();
        if cells.is_empty() {
            "–".to_owned()
        } else {
            cells.join("; ")
        }
    };
    let goal = measure.goal.map_or_else(
        || "–".to_owned(),
        |goal| {
            let sign = if goal.least { "≥" } else { "≤" };
            let unit = if goal.figure == crate::Figure::Zeros {
                "%"
            } else {
                &measure.unit
            };
            let mut text = format!(
                "{} {sign} {} {unit}",
                goal.figure.word(),
                number(goal.limit)
            );
            if let Some(limit) = goal.ebpf {
                text += &format!(" (`ebpf` {})", number(limit));
            }
            if let Some(times) = goal.times {
                text += &format!(", ≤ 1/{} of the peer", number(times));
            }
            text
        },
    );
    let of = |maker: Maker| {
        let series = measure.series.get(&maker)?;
        figure.of(series)
    };
    let ratio = match (of(Maker::Ours), of(Maker::Keepalived)) {
        (Some(ours), Some(peer)) if ours > 0.0 && figure != crate::Figure::Zeros => {
            number(peer / ours)
        }
        _ => "–".to_owned(),
    };
    let ours = measure
        .series
        .get(&Maker::Ours)
        .or_else(|| measure.series.values().next());
    let count = ours.map_or_else(
        || "0".to_owned(),
        |series| format!("{}, {}", series.count(), series.stalled()),
    );
    let verdict = match measure.holds() {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    };
    format!(
        "| {}, {} | {goal} | {} | {} | {} | {} | {ratio} | {} | {count} | {verdict} |",
        cell(&measure.what),
        measure.unit,
        shown(&[Maker::Ours]),
        shown(&[Maker::OursEbpf]),
        shown(&[
            Maker::Keepalived,
            Maker::KeepalivedRt,
            Maker::KeepalivedPlain,
            Maker::Pnet
        ]),
        shown(&[Maker::Frr]),
        measure.bound.as_deref().unwrap_or("–"),
    )
}

/// Three digits that say something.
fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value.fract() == 0.0 || size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "/").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Figure, Goal};

    #[test]
    fn what_was_not_run_stays() {
        let folder = std::env::temp_dir().join(format!("vb{}-report", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("benchmarks.md"),
            format!("a\n{BEGIN}\n{END}\nb\n"),
        )
        .unwrap();
        let mut measure = Measure::new("parse", "ns").goal(Goal::most(Figure::P50, 30.0));
        for value in [20.0, 25.5, 21.0] {
            measure.add(Maker::Ours, value, false);
        }
        measure.add(Maker::Keepalived, 50.0, true);
        let order = ["codec", "size"];
        let mut report = Report::read(&folder).unwrap();
        report.put("codec", Circumstances::default(), Ok(vec![measure]));
        report.write(&folder, &order).unwrap();

        let mut report = Report::read(&folder).unwrap();
        report.put("size", Circumstances::default(), Err("no disk".into()));
        report.write(&folder, &order).unwrap();
        let text = std::fs::read_to_string(folder.join("benchmarks.md")).unwrap();
        let line = "| parse, ns | median ≤ 30 ns | 21 / 25.5 (20–25.5) | – | 50 | – | 2.38 | – | 3, 0 | yes |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("**Could not be run**: no disk"), "{text}");
        assert!(text.starts_with("a\n") && text.ends_with("\nb\n"), "{text}");
        assert_eq!(Report::read(&folder).unwrap(), report);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn figures_have_three_digits() {
        let shown = [0.0312, 0.5, 3.0, 12.34, 1234.5].map(number);
        assert_eq!(shown, ["0.031", "0.50", "3", "12.3", "1234"]);
    }
}
