//! Where in the text a router and its keys stand.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::section::Section;

/// Where a router stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    head: Range<usize>,
    keys: BTreeMap<String, Range<usize>>,
}

impl Place {
    pub(crate) fn of(section: &Section<'_>) -> Self {
        let values = section.table.iter();
        Self {
            head: section.head.clone(),
            keys: values
                .map(|(key, value)| (key.get_ref().clone().into_owned(), value.span()))
                .collect(),
        }
    }

    /// The bytes of the router's name in its header.
    #[must_use]
    pub fn head(&self) -> Range<usize> {
        self.head.clone()
    }

    /// The bytes of the value of this key; of the header, if its default holds.
    #[must_use]
    pub fn value(&self, key: &str) -> Range<usize> {
        self.keys.get(key).unwrap_or(&self.head).clone()
    }
}
