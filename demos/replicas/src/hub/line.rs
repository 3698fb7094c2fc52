//! What the hub counts for each life of a node.

use serde::Serialize;
use std::ops::AddAssign;
use std::sync::{Mutex, PoisonError};

/// The counts of one life of a node.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Traffic>);

/// Packets to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    /// How often the node joined, and had the data of its peers.
    pub(crate) joins: u64,
    /// Packets of changes and marks that the node acknowledged.
    pub(crate) packets: u64,
    /// Changes and marks in them.
    pub(crate) events: u64,
    /// Attempts that failed: no answer in time, no connection, or an answer with an error.
    pub(crate) failures: u64,
    /// Further attempts of packets.
    pub(crate) sent_again: u64,
    /// Events in these attempts.
    pub(crate) events_again: u64,
    /// Events that were lost because the node lagged. An upper bound: its own are among them.
    pub(crate) lost: u64,
    /// Acknowledged packets before which events were lost: the node has pulled what it missed.
    pub(crate) mended: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.joins += other.joins;
        self.packets += other.packets;
        self.events += other.events;
        self.failures += other.failures;
        self.sent_again += other.sent_again;
        self.events_again += other.events_again;
        self.lost += other.lost;
        self.mended += other.mended;
    }
}

impl Line {
    fn count(&self, change: impl FnOnce(&mut Traffic)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts an attempt to deliver a packet, before it begins.
    pub(super) fn attempt(&self, attempt: u32, events: u64, lost: u64) {
        self.count(|traffic| {
            if attempt == 1 {
                traffic.lost += lost;
            } else {
                traffic.sent_again += 1;
                traffic.events_again += events;
            }
        });
    }

    pub(super) fn failure(&self) {
        self.count(|traffic| traffic.failures += 1);
    }

    /// Counts that the node has pulled the data of its peers.
    pub(super) fn welcomed(&self) {
        self.count(|traffic| traffic.joins += 1);
    }

    /// Counts a packet of changes and marks that the node acknowledged.
    pub(super) fn delivered(&self, events: u64, lost: u64) {
        self.count(|traffic| {
            traffic.packets += 1;
            traffic.events += events;
            traffic.mended += u64::from(lost > 0);
        });
    }

    pub(super) fn traffic(&self) -> Traffic {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
