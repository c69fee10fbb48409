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

/// The table as text.
pub(crate) fn render(look: &Look, columns: &[Column], rows: &[(Cell, Vec<Cell>)]) -> String {
    let mut text = String::new();
    for line in lines(look, columns, rows) {
        let painted: String = line
            .iter()
            .map(|piece| look.paint(piece.tone, &piece.text))
            .collect();
        text.push_str(painted.trim_end());
        text.push('\n');
    }
    text
}

/// The table as lines of pieces, the titles first. A mark leads each line, and takes one column and a space if it is drawn.
pub(crate) fn lines(look: &Look, columns: &[Column], rows: &[(Cell, Vec<Cell>)]) -> Vec<Vec<Cell>> {
    let widths = widths(look, columns, rows);
    let titles: Vec<Cell> = columns
        .iter()
        .map(|column| Cell {
            text: column.title.into(),
            tone: Tone::Heading,
        })
        .collect();
    let space = || Cell::from(" ".to_owned());
    let titles = (space(), &titles);
    let all = std::iter::once(titles).chain(rows.iter().map(|(mark, cells)| (mark.clone(), cells)));
    all.map(|(mark, cells)| {
        let mut line = Vec::new();
        if look.width.is_some() {
            line.extend([mark, space()]);
        }
        line.extend(pieces(look, columns, &widths, cells));
        line
    })
    .collect()
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

/// The cells, with what stands between them.
fn pieces(look: &Look, columns: &[Column], widths: &[usize], cells: &[Cell]) -> Vec<Cell> {
    let mut line = Vec::new();
    for (index, ((column, width), cell)) in columns.iter().zip(widths).zip(cells).enumerate() {
        let text = look.cut(&cell.text, *width);
        let padding = " ".repeat(width - text.chars().count());
        let gap = if index > 0 { "  " } else { "" };
        let (before, after) = if column.right {
            (gap.to_owned() + &padding, String::new())
        } else {
            (gap.to_owned(), padding)
        };
        let tone = cell.tone;
        line.extend([before.into(), Cell { text, tone }, after.into()]);
    }
    line
}
