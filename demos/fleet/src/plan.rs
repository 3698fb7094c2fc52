//! What happens to whom, and when: the same for the same seed.

use demo_support::Dice;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A service is killed, and starts again.
    Crash,
    /// A service is stopped for a while.
    Pause,
    /// A service ends as asked, and starts again.
    Restart,
    /// The server is killed, and starts again.
    ServerCrash,
    /// The server is killed, and a service while it holds what it cannot send; both start again.
    CrashInOutage,
    /// The server is stopped until acknowledgments are overdue.
    ServerPause,
    /// The aggregator is killed, and starts again.
    AggregatorCrash,
}

impl Trouble {
    /// The kinds.
    pub(crate) const ALL: [Self; 7] = [
        Self::Crash,
        Self::Pause,
        Self::Restart,
        Self::ServerCrash,
        Self::CrashInOutage,
        Self::ServerPause,
        Self::AggregatorCrash,
    ];
}

/// A trouble, and the service that it happens to if it is one of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chapter {
    pub(crate) trouble: Trouble,
    pub(crate) service: usize,
}

/// An endless sequence of chapters. Each seven of them have one trouble of each kind.
#[derive(Debug)]
pub(crate) struct Plan {
    dice: Dice,
    services: usize,
    /// The rest of the current seven.
    troubles: Vec<Trouble>,
}

impl Plan {
    pub(crate) fn new(seed: u64, services: usize) -> Self {
        Self { dice: Dice::new(seed), services, troubles: Vec::new() }
    }
}

impl Iterator for Plan {
    type Item = Chapter;

    fn next(&mut self) -> Option<Chapter> {
        if self.troubles.is_empty() {
            self.troubles = Trouble::ALL.into();
        }
        let trouble = self.troubles.swap_remove(self.dice.below(self.troubles.len()));
        Some(Chapter { trouble, service: self.dice.below(self.services) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, Trouble};

    #[test]
    fn plan_is_the_same_for_the_same_seed() {
        let plan = |seed| Plan::new(seed, 3).take(30).collect::<Vec<_>>();
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn each_round_has_each_trouble() {
        let chapters: Vec<_> = Plan::new(7, 3).take(70).collect();
        for round in chapters.chunks(Trouble::ALL.len()) {
            for trouble in Trouble::ALL {
                assert!(round.iter().any(|chapter| chapter.trouble == trouble), "{round:?}");
            }
        }
        assert!(chapters.iter().all(|chapter| chapter.service < 3));
    }
}
