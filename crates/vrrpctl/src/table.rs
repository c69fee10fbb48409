//! A table that fits its terminal: one record a line, never wrapped.

use crate::page::{Look, Tone};

/// How a column behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Whether its values are numbers, and stand right.
    pub(crate) right: bool,
    /// The width to which it may be cut when the table is too wide; `None` if never.
    pub(crate) least: Option<usize>,
}

/// A value, and what it says about the state of things.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            text,
            tone: Tone::Plain,
        }
    }
}

/// The table as text. `mark` leads each line, and takes one column and a space if it is drawn.
pub(crate) fn render(look: &Look, columns: &[Column], rows: &[(Cell, Vec<Cell>)]) -> String {
    let widths = widths(look, columns, rows);
    let margin = if look.width.is_some() { "  " } else { "" };
    let mut text = String::new();
    let titles: Vec<Cell> = columns
        .iter()
        .map(|column| Cell {
            text: column.title.into(),
            tone: Tone::Heading,
        })
        .collect();
    text.push_str(margin);
    text.push_str(&line(look, columns, &widths, &titles));
    for (mark, cells) in rows {
        if look.width.is_some() {
            text.push_str(&look.paint(mark.tone, &mark.text));
            text.push(' ');
        }
        text.push_str(&line(look, columns, &widths, cells));
    }
    text
}

fn widths(look: &Look, columns: &[Column], rows: &[(Cell, Vec<Cell>)]) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.title.len()).collect();
    for (_, cells) in rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    let Some(room) = look.width else {
        return widths;
    };
    let taken = 2 + widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    let mut excess = taken.saturating_sub(room);
    // The last column has the long text; it gives first.
    for (width, column) in widths.iter_mut().zip(columns).rev() {
        if let Some(least) = column.least {
            let give = excess.min(width.saturating_sub(least));
            *width -= give;
            excess -= give;
        }
    }
    widths
}

fn line(look: &Look, columns: &[Column], widths: &[usize], cells: &[Cell]) -> String {
    let mut text = String::new();
    for (index, ((column, width), cell)) in columns.iter().zip(widths).zip(cells).enumerate() {
        let value = look.cut(&cell.text, *width);
        let padding = " ".repeat(width - value.chars().count());
        let painted = look.paint(cell.tone, &value);
        if index > 0 {
            text.push_str("  ");
        }
        if column.right {
            text.push_str(&padding);
            text.push_str(&painted);
        } else {
            text.push_str(&painted);
            text.push_str(&padding);
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
