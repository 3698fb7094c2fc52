//! The data of a node in memory, its own position in the order of its changes, and its counts.

use crate::change::{Change, Origin, Vector, Write, includes};
use crate::state::{Applied, State};
use crate::wire::{Counts, Event, Parcel, Peer, Status};

/// The data of a node in memory.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// Absent until the node is a member.
    origin: Option<Origin>,
    /// The number of its own last change.
    number: u64,
    clock: u64,
    pub(super) state: State,
    pub(super) peers: Vec<Peer>,
    pub(super) counts: Counts,
}

impl Data {
    /// Becomes a member with this origin, unless the node is one with a later origin.
    pub(super) fn adopt(&mut self, origin: Origin) {
        if self.origin < Some(origin) {
            (self.origin, self.number) = (Some(origin), 0);
        }
    }

    /// Makes the next change, which counts once [`settle`](Self::settle) is called with it.
    pub(super) fn draft(&self, write: Write) -> Option<Change> {
        let clock = self.clock.max(self.state.clock()) + 1;
        self.origin.map(|origin| Change { origin, number: self.number + 1, clock, write })
    }

    /// Applies a change of this node that the hub has accepted.
    pub(super) fn settle(&mut self, change: &Change) {
        if Some(change.origin) == self.origin {
            self.number = change.number;
        }
        self.clock = self.clock.max(change.clock);
        // A pull may have brought it already, and has counted it then.
        if self.state.apply(change) == Applied::Now {
            self.counts.own += 1;
        }
    }

    /// Applies a packet that did not arrive before.
    pub(super) fn receive(&mut self, parcel: Parcel) {
        for event in parcel.events {
            match event {
                Event::Change(change) => {
                    let count = match self.state.apply(&change) {
                        Applied::Now => &mut self.counts.applied,
                        Applied::Before => &mut self.counts.covered,
                        Applied::TooEarly => &mut self.counts.too_early,
                    };
                    *count += 1;
                }
                Event::Peers(peers) => self.peers = peers,
                Event::Mark(_) => self.counts.marks += 1,
            }
        }
        if !parcel.is_root {
            self.counts.packets += 1;
        }
    }

    /// Includes the data of a peer, and counts the changes that are new.
    pub(super) fn merge(&mut self, state: State) {
        let total = |vector: Vector| vector.values().sum::<u64>();
        let before = total(self.state.vector());
        self.state.merge(state);
        self.counts.pulled += total(self.state.vector()) - before;
    }

    pub(super) fn includes(&self, required: &Vector) -> bool {
        includes(&self.state.vector(), required)
    }

    pub(super) fn status(&self) -> Status {
        Status { vector: self.state.vector(), digest: self.state.digest(), counts: self.counts }
    }
}
