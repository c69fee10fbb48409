//! One table of the file, read key by key; every wrong type is a finding.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::code;
use crate::finding::{Finding, excerpt};

/// A value with the bytes it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// What became of a key.
#[derive(Clone, Debug)]
pub(crate) enum Field<T> {
    /// It is not in the file: its default holds.
    Absent,
    /// It is in the file and a finding says why it cannot be used: nothing that depends on it is judged.
    Refused,
    Given(Given<T>),
}

impl<T> Field<T> {
    pub(crate) fn given(&self) -> Option<&Given<T>> {
        match self {
            Self::Given(given) => Some(given),
            Self::Absent | Self::Refused => None,
        }
    }

    pub(crate) fn into_given(self) -> Option<Given<T>> {
        match self {
            Self::Given(given) => Some(given),
            Self::Absent | Self::Refused => None,
        }
    }

    /// The value that holds; `None` when it was refused.
    pub(crate) fn or(&self, default: T) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Given(given) => Some(given.value.clone()),
            Self::Absent => Some(default),
            Self::Refused => None,
        }
    }

    /// Goes on with a given value; `None` from `check`, which has said why, refuses it.
    pub(crate) fn and_then<U>(self, check: impl FnOnce(&Given<T>) -> Option<U>) -> Field<U> {
        match self {
            Self::Given(given) => match check(&given) {
                Some(value) => Field::Given(Given {
                    value,
                    span: given.span,
                }),
                None => Field::Refused,
            },
            Self::Absent => Field::Absent,
            Self::Refused => Field::Refused,
        }
    }
}

/// A table and the place to point at when something is missing from it.
pub(crate) struct Section<'t> {
    pub(crate) table: &'t DeTable<'t>,
    pub(crate) head: Range<usize>,
}

impl<'t> Section<'t> {
    pub(crate) fn value(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    /// Where `key` itself stands.
    pub(crate) fn place(&self, key: &str) -> Range<usize> {
        self.table
            .get_key_value(key)
            .map_or_else(|| self.head.clone(), |(key, _)| key.span())
    }

    pub(crate) fn string(
        &self,
        key: &str,
        example: &str,
        findings: &mut Vec<Finding>,
    ) -> Field<&'t str> {
        let Some(value) = self.value(key) else {
            return Field::Absent;
        };
        match value.get_ref().as_str() {
            Some(text) => Field::Given(Given {
                value: text,
                span: value.span(),
            }),
            None => {
                findings.push(
                    mismatch(key, value, "a string").help(format!("write `{key} = \"{example}\"`")),
                );
                Field::Refused
            }
        }
    }

    pub(crate) fn boolean(&self, key: &str, findings: &mut Vec<Finding>) -> Field<bool> {
        let Some(value) = self.value(key) else {
            return Field::Absent;
        };
        if let Some(value_read) = value.get_ref().as_bool() {
            return Field::Given(Given {
                value: value_read,
                span: value.span(),
            });
        }
        let meant = value.get_ref().as_str().and_then(bool_word);
        findings.push(mismatch(key, value, "`true` or `false`").help(match meant {
            Some(meant) => format!("write `{key} = {meant}`, without quotes"),
            None => format!("write `{key} = true` or `{key} = false`"),
        }));
        Field::Refused
    }

    /// A whole number. One that no integer type of ours can hold becomes the nearest that one can.
    pub(crate) fn integer(
        &self,
        key: &str,
        example: u8,
        findings: &mut Vec<Finding>,
    ) -> Field<i64> {
        let Some(value) = self.value(key) else {
            return Field::Absent;
        };
        if let Some(digits) = value.get_ref().as_integer() {
            let beyond = if digits.as_str().starts_with('-') {
                i64::MIN
            } else {
                i64::MAX
            };
            let number = i64::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(beyond);
            return Field::Given(Given {
                value: number,
                span: value.span(),
            });
        }
        let meant = value
            .get_ref()
            .as_str()
            .and_then(|text| text.trim().parse::<i64>().ok());
        findings.push(mismatch(key, value, "a whole number").help(match meant {
            Some(meant) => format!("write `{key} = {meant}`, without quotes"),
            None => format!("write for example `{key} = {example}`"),
        }));
        Field::Refused
    }

    /// A list of strings; elements of another type are reported and left out.
    pub(crate) fn strings(
        &self,
        key: &str,
        example: &str,
        findings: &mut Vec<Finding>,
    ) -> Field<Vec<Given<&'t str>>> {
        let Some(value) = self.value(key) else {
            return Field::Absent;
        };
        let Some(array) = value.get_ref().as_array() else {
            let meant = value
                .get_ref()
                .as_str()
                .map_or_else(|| example.to_owned(), excerpt);
            findings.push(
                mismatch(key, value, "a list of strings")
                    .help(format!("write `{key} = [\"{meant}\"]`")),
            );
            return Field::Refused;
        };
        Field::Given(Given {
            value: elements(key, array, example, findings),
            span: value.span(),
        })
    }
}

fn elements<'t>(
    key: &str,
    array: &'t DeArray<'t>,
    example: &str,
    findings: &mut Vec<Finding>,
) -> Vec<Given<&'t str>> {
    let mut list = Vec::with_capacity(array.len());
    for element in array {
        match element.get_ref().as_str() {
            Some(text) => list.push(Given {
                value: text,
                span: element.span(),
            }),
            None => findings.push(
                Finding::error(
                    code::TYPE,
                    element.span(),
                    format!("`{key}` lists {}", kind(element.get_ref())),
                )
                .label("expected a string")
                .help(format!("write `{key} = [\"{example}\"]`")),
            ),
        }
    }
    list
}

/// The finding for a value of the wrong type. It does not repeat the value, which may be a secret.
pub(crate) fn mismatch(key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Finding {
    Finding::error(
        code::TYPE,
        value.span(),
        format!("`{key}` is {}", kind(value.get_ref())),
    )
    .label(format!("expected {expected}"))
}

pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What somebody means who writes yes or off.
pub(crate) fn bool_word(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "enable" | "enabled" => Some(true),
        "false" | "no" | "off" | "disable" | "disabled" => Some(false),
        _ => None,
    }
}
