//! Maps, sets and order in little code: what the standard library does for large amounts is built once for each type.

use alloc::vec::Vec;

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

/// Sorts by a number; what has the same one stays in its order. As `sort_by_key`, which is built once for each type, in
/// 4 to 10 KB.
pub fn sort_by_rank<T>(items: &mut Vec<T>, rank: impl FnMut(&T) -> u64) {
    let order = order(items.iter().map(rank).collect());
    let mut found: Vec<Option<T>> = items.drain(..).map(Some).collect();
    let sorted = order
        .into_iter()
        .filter_map(|index| found.get_mut(index)?.take());
    items.extend(sorted);
}

/// The places of these numbers in their order.
fn order(ranks: Vec<u64>) -> Vec<usize> {
    let mut places: Vec<(u64, usize)> = ranks.into_iter().zip(0..).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, place)| place).collect()
}

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
    fn what_has_the_same_rank_stays_in_its_order() {
        let mut words: Vec<&str> = "the Active is the one that is heard".split(' ').collect();
        let mut expected = words.clone();
        expected.sort_by_key(|word| word.len());
        sort_by_rank(&mut words, |word| word.len() as u64);
        assert_eq!(words, expected);
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
