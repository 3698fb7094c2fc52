//! A set of sequences, kept as ranges: what is acknowledged in order is one range.

use std::collections::BTreeMap;

/// A set of sequences with a limit for its ranges. At the limit, the lowest range is forgotten.
#[derive(Debug)]
pub(crate) struct Ranges {
    /// The last sequence of each range, by its first.
    ranges: BTreeMap<u64, u64>,
    most: usize,
}

impl Ranges {
    pub(crate) fn new(most: usize) -> Self {
        Self { ranges: BTreeMap::new(), most }
    }

    pub(crate) fn contains(&self, sequence: u64) -> bool {
        self.ranges.range(..=sequence).next_back().is_some_and(|(_, last)| *last >= sequence)
    }

    pub(crate) fn insert(&mut self, sequence: u64) {
        if self.contains(sequence) {
            return;
        }
        let before = self.ranges.range(..sequence).next_back().map(|(first, last)| (*first, *last));
        let first = before.filter(|(_, last)| last + 1 == sequence).map_or(sequence, |(first, _)| first);
        let after = sequence.checked_add(1).and_then(|next| self.ranges.remove(&next));
        self.ranges.insert(first, after.unwrap_or(sequence));
        if self.ranges.len() > self.most {
            self.ranges.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn neighbors_become_one_range() {
        let mut set = Ranges::new(8);
        for sequence in [5, 3, 9, 4, 4, 8, u64::MAX, 0] {
            set.insert(sequence);
        }
        let ranges: Vec<_> = set.ranges.iter().map(|(first, last)| (*first, *last)).collect();
        assert_eq!(ranges, [(0, 0), (3, 5), (8, 9), (u64::MAX, u64::MAX)]);
        let inside = [0, 3, 4, 5, 8, 9, u64::MAX];
        assert!(inside.iter().all(|sequence| set.contains(*sequence)));
        assert!(![1, 2, 6, 7, 10, u64::MAX - 1].iter().any(|sequence| set.contains(*sequence)));
    }

    #[test]
    fn lowest_range_is_forgotten_at_the_limit() {
        let mut set = Ranges::new(2);
        for sequence in [10, 20, 11, 30] {
            set.insert(sequence);
        }
        assert!(!set.contains(10) && !set.contains(11));
        assert!(set.contains(20) && set.contains(30));
    }
}
