//! The data of a node, and how two nodes' data are merged.
//!
//! # Invariants
//! 1. A state is the effect of exactly the changes that its vector includes: for each origin, all
//!    changes up to a number, each once.
//! 2. The order of changes of different origins does not matter: sums are kept by origin, and the
//!    latest text is found by clock and origin.
//!
//! So a change that arrives again is recognized by its number, a lost one by the next number, and
//! two states merge without a count of anything twice.

use crate::change::{Change, Origin, Vector, Write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The data of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    origins: BTreeMap<Origin, Part>,
    texts: BTreeMap<String, Text>,
}

/// What one origin contributed to the sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    /// The number of its last change that is included.
    through: u64,
    sums: BTreeMap<String, i64>,
}

/// The latest text of a key, or that it was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Text {
    clock: u64,
    origin: Origin,
    text: Option<String>,
}

/// What became of a change that reached a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is included now.
    Now,
    /// It was included before.
    Before,
    /// An earlier change of its origin is missing.
    TooEarly,
}

/// What clients read, without the means to merge it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) sums: BTreeMap<String, i64>,
    pub(crate) texts: BTreeMap<String, String>,
}

impl State {
    /// Applies a change, unless it is included or too early.
    pub(crate) fn apply(&mut self, change: &Change) -> Applied {
        let Change { origin, number, clock, write } = change;
        let through = self.origins.get(origin).map_or(0, |part| part.through);
        if *number <= through {
            return Applied::Before;
        }
        if *number > through + 1 {
            return Applied::TooEarly;
        }
        let part = self.origins.entry(*origin).or_default();
        part.through = *number;
        let (key, text) = match write {
            Write::Add { key, amount } => {
                *part.sums.entry(key.clone()).or_default() += amount;
                return Applied::Now;
            }
            Write::Set { key, text } => (key, Some(text.clone())),
            Write::Remove { key } => (key, None),
        };
        self.offer(key, Text { clock: *clock, origin: *origin, text });
        Applied::Now
    }

    /// Includes every change that `other` includes.
    pub(crate) fn merge(&mut self, other: Self) {
        for (origin, part) in other.origins {
            let own = self.origins.entry(origin).or_default();
            if part.through > own.through {
                *own = part;
            }
        }
        for (key, text) in other.texts {
            self.offer(&key, text);
        }
    }

    /// Keeps a text if it is the latest one of its key.
    fn offer(&mut self, key: &str, text: Text) {
        match self.texts.get_mut(key) {
            Some(own) if (own.clock, own.origin) >= (text.clock, text.origin) => {}
            Some(own) => *own = text,
            None => drop(self.texts.insert(key.to_owned(), text)),
        }
    }

    /// Returns which changes are included.
    pub(crate) fn vector(&self) -> Vector {
        self.origins.iter().map(|(origin, part)| (*origin, part.through)).collect()
    }

    /// Returns the clock of the latest text.
    pub(crate) fn clock(&self) -> u64 {
        self.texts.values().map(|text| text.clock).max().unwrap_or(0)
    }

    /// Returns what clients read.
    pub(crate) fn view(&self) -> View {
        let mut view = View::default();
        for (key, amount) in self.origins.values().flat_map(|part| &part.sums) {
            *view.sums.entry(key.clone()).or_default() += amount;
        }
        let texts = self.texts.iter().filter_map(|(key, text)| Some((key.clone(), text.text.clone()?)));
        view.texts = texts.collect();
        view
    }

    /// Returns a number that is the same for equal states, and almost never for others.
    pub(crate) fn digest(&self) -> u64 {
        let json = serde_json::to_vec(self).expect("a state is valid JSON");
        // FNV-1a.
        json.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Applied, State};
    use crate::change::{Change, Origin, Write, includes};
    use demo_support::Dice;

    fn change(origin: u64, number: u64, clock: u64, write: Write) -> Change {
        Change { origin: Origin(origin), number, clock, write }
    }

    fn add(origin: u64, number: u64, amount: i64) -> Change {
        change(origin, number, 0, Write::Add { key: "sum".into(), amount })
    }

    fn set(origin: u64, number: u64, clock: u64, text: &str) -> Change {
        change(origin, number, clock, Write::Set { key: "text".into(), text: text.into() })
    }

    /// Random changes of three origins, each origin's in order.
    fn changes(seed: u64) -> Vec<Change> {
        let mut dice = Dice::new(seed);
        let mut numbers = [0; 3];
        let write = |dice: &mut Dice| {
            let key = format!("key-{}", dice.below(4));
            match dice.below(3) {
                0 => Write::Set { key, text: dice.below(100).to_string() },
                1 => Write::Remove { key },
                _ => Write::Add { key, amount: dice.below(19) as i64 - 9 },
            }
        };
        let next = |_| {
            let origin = dice.below(3);
            numbers[origin] += 1;
            // Counts up within an origin, and is often the same as that of another origin.
            let clock = numbers[origin] * (origin as u64 + 1);
            change(origin as u64, numbers[origin], clock, write(&mut dice))
        };
        (0..60).map(next).collect()
    }

    fn state(changes: &[Change]) -> State {
        let mut state = State::default();
        assert!(changes.iter().all(|change| state.apply(change) == Applied::Now));
        state
    }

    #[test]
    fn repeated_change_is_recognized() {
        let mut state = state(&[add(1, 1, 5)]);
        assert_eq!(state.apply(&add(1, 1, 5)), Applied::Before);
        assert_eq!(state.view().sums["sum"], 5);
    }

    #[test]
    fn change_after_a_missing_one_is_too_early() {
        let mut state = state(&[add(1, 1, 5)]);
        assert_eq!(state.apply(&add(1, 3, 7)), Applied::TooEarly);
        assert_eq!(state.apply(&add(2, 2, 7)), Applied::TooEarly);
        assert_eq!((state.view().sums["sum"], state.vector().len()), (5, 1));
    }

    #[test]
    fn latest_text_wins_in_any_order() {
        let (first, second) = (set(1, 1, 4, "first"), set(2, 1, 4, "second"));
        for order in [[&first, &second], [&second, &first]] {
            assert_eq!(state(&order.map(Clone::clone)).view().texts["text"], "second");
        }
    }

    #[test]
    fn merge_includes_the_changes_of_both() {
        for seed in 0..200 {
            let all = changes(seed);
            let mut dice = Dice::new(seed + 1000);
            // Each side has the changes of each origin up to a number of its own.
            let mut side = || {
                let ends = [0; 3].map(|_| dice.below(25) as u64);
                let part: Vec<_> =
                    all.iter().filter(|c| c.number <= ends[c.origin.0 as usize]).cloned().collect();
                state(&part)
            };
            let (one, other) = (side(), side());
            let mut merged = one.clone();
            merged.merge(other.clone());
            let vector = merged.vector();
            assert!(includes(&vector, &one.vector()) && includes(&vector, &other.vector()), "seed {seed}");
            let included = |c: &&Change| vector.get(&c.origin).is_some_and(|through| c.number <= *through);
            let expected = state(&all.iter().filter(included).cloned().collect::<Vec<_>>());
            assert_eq!(merged.view(), expected.view(), "seed {seed}");
            let mut reversed = other;
            reversed.merge(one);
            assert_eq!((merged.digest(), &merged), (reversed.digest(), &reversed), "seed {seed}");
        }
    }

    #[test]
    fn state_survives_json() {
        let state = state(&changes(7));
        let json = serde_json::to_vec(&state).expect("JSON");
        let read: State = serde_json::from_slice(&json).expect("a state");
        assert_eq!((read.digest(), &read), (state.digest(), &state));
    }
}
