//! Maps and sets of what an iterator yields.

/// [`Iterator::collect`] for `BTreeMap` and `BTreeSet`, in little code.
///
/// To collect one, the standard library sorts first: with an algorithm for large amounts, which is built once for each type of
/// key and value, in 4 to 10 KB. Inserting one after the other is there already.
pub trait Gather: Iterator + Sized {
    /// All items, each inserted in its turn: of those with the same key, the last one stays.
    fn gather<C: Default + Extend<Self::Item>>(self) -> C {
        let mut all = C::default();
        all.extend(self);
        all
    }

    /// The same of items that may be errors.
    ///
    /// # Errors
    /// The first of them, after which no item is asked for.
    fn try_gather<C: Default + Extend<T>, T, E>(self) -> Result<C, E>
    where
        Self: Iterator<Item = Result<T, E>>,
    {
        let mut all = C::default();
        for item in self {
            all.extend([item?]);
        }
        Ok(all)
    }
}

impl<I: Iterator> Gather for I {}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn what_is_gathered_is_what_would_be_collected() {
        let pairs = [(3, 'a'), (1, 'b'), (3, 'c'), (2, 'd')];
        let gathered: BTreeMap<u8, char> = pairs.into_iter().gather();
        assert_eq!(gathered, pairs.into_iter().collect());
        let gathered: BTreeSet<char> = "takeover".chars().gather();
        assert_eq!(gathered, "takeover".chars().collect());
    }

    #[test]
    fn the_first_error_ends_it() {
        let good: Result<BTreeSet<u8>, ()> = [Ok(2), Ok(1)].into_iter().try_gather();
        assert_eq!(good, Ok(BTreeSet::from([1, 2])));
        let mut items = [Ok(1), Err("one"), Err("two"), Ok(2)].into_iter();
        let bad: Result<BTreeSet<u8>, _> = items.by_ref().try_gather();
        assert_eq!(bad, Err("one"));
        assert_eq!(items.next(), Some(Err("two")));
    }
}
