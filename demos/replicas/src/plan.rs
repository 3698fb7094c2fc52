//! What happens to which node, and when: the same for the same seed.

use demo_support::Dice;

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its process is killed, and started again without any data.
    Crash,
    /// Its process is stopped until a packet for it has timed out.
    Pause,
    /// Its process is stopped until the director has dropped events that it missed.
    Stall,
}

/// A trouble of one node. The next one begins when the node is in step again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chapter {
    pub(crate) trouble: Trouble,
    /// The index of the node.
    pub(crate) node: usize,
}

/// An endless sequence of chapters. Each three of them have one trouble of each kind.
#[derive(Debug)]
pub(crate) struct Plan {
    dice: Dice,
    nodes: usize,
    /// The rest of the current three.
    troubles: Vec<Trouble>,
    last: Option<usize>,
}

impl Plan {
    /// The kinds of troubles.
    pub(crate) const KINDS: usize = 3;

    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        Self { dice: Dice::new(seed), nodes, troubles: Vec::new(), last: None }
    }

    /// Returns a node that was not the last one.
    fn next_node(&mut self) -> usize {
        let node = match self.last {
            Some(last) => (last + 1 + self.dice.below(self.nodes - 1)) % self.nodes,
            None => self.dice.below(self.nodes),
        };
        self.last = Some(node);
        node
    }
}

impl Iterator for Plan {
    type Item = Chapter;

    fn next(&mut self) -> Option<Chapter> {
        if self.troubles.is_empty() {
            self.troubles = vec![Trouble::Crash, Trouble::Pause, Trouble::Stall];
        }
        let trouble = self.troubles.swap_remove(self.dice.below(self.troubles.len()));
        Some(Chapter { trouble, node: self.next_node() })
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
    fn each_round_has_each_trouble_and_nodes_alternate() {
        for nodes in [2, 3, 16] {
            let chapters: Vec<_> = Plan::new(7, nodes).take(60).collect();
            for round in chapters.chunks(Plan::KINDS) {
                for trouble in [Trouble::Crash, Trouble::Pause, Trouble::Stall] {
                    assert!(round.iter().any(|chapter| chapter.trouble == trouble), "{round:?}");
                }
            }
            assert!(chapters.windows(2).all(|pair| pair[0].node != pair[1].node));
            assert!(chapters.iter().all(|chapter| chapter.node < nodes));
        }
    }
}
