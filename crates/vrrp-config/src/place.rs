//! Where in the text a table with a name and its keys stand.

use std::ops::Range;

use crate::finding::line_column;
use crate::section::Section;

/// Where a router, or a tracker, stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    head: Range<usize>,
    keys: Vec<(&'static str, Range<usize>)>,
}

impl Place {
    pub(crate) fn of(section: &Section<'_>, known: &[&'static str]) -> Self {
        let given = |key: &&'static str| Some((*key, section.value(key)?.span()));
        Self {
            head: section.head.clone(),
            keys: known.iter().filter_map(given).collect(),
        }
    }

    /// The bytes of the name in its header.
    #[must_use]
    pub fn head(&self) -> Range<usize> {
        self.head.clone()
    }

    /// The bytes of the value of this key; of the header, if its default holds.
    #[must_use]
    pub fn value(&self, key: &str) -> Range<usize> {
        let given = self.keys.iter().find(|(name, _)| *name == key);
        given.map_or_else(|| self.head(), |(_, span)| span.clone())
    }

    /// The line of `text`, counted from 1, on which this key is given its value; `None` if its default holds.
    #[must_use]
    pub fn line(&self, key: &str, text: &str) -> Option<usize> {
        let given = self.keys.iter().find(|(name, _)| *name == key);
        given.map(|(_, span)| line_column(text, span.start).0)
    }
}
