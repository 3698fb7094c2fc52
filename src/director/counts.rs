//! The counters of one member, all of which are under the lock of its record.

use super::flight::{GivenUp, Outcome};
use super::key::PacketKind;

/// The counters of one member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) delivered: u64,
    pub(super) others: u64,
    pub(super) lost: u64,
    pub(super) given_up: u64,
    pub(super) clone_panics: u64,
    pub(super) root_offered: u64,
    pub(super) root_delivered: u64,
    pub(super) root_lost: u64,
    pub(super) root_given_up: u64,
    pub(super) root_panicked: u64,
    /// In packets or in the inbox when the member had left.
    pub(super) discarded: u64,
    pub(super) root_discarded: u64,
    pub(super) packets: u64,
    pub(super) attempts: u64,
    pub(super) state_failures: u64,
    pub(super) node_panics: u64,
    pub(super) ack_timeouts: u64,
    pub(super) late_acks: u64,
    pub(super) refused_acks: u64,
    pub(super) dropped_tickets: u64,
}

impl Counts {
    /// Counts what became of packets.
    pub(super) fn add<E>(&mut self, kind: PacketKind, outcome: &Outcome<E>) {
        match kind {
            PacketKind::Events => self.delivered += outcome.acked,
            PacketKind::Root => self.root_delivered += outcome.acked,
            PacketKind::State => self.state_failures += outcome.failures,
        }
        self.given_up(kind, &outcome.given_up);
    }

    /// Counts packets that were given up.
    pub(super) fn given_up<E>(&mut self, kind: PacketKind, packets: &[GivenUp<E>]) {
        let events: u64 = packets.iter().map(|given| (given.packet.events.len() - given.acked) as u64).sum();
        match kind {
            PacketKind::Events => self.given_up += events,
            PacketKind::Root => self.root_given_up += events,
            PacketKind::State => {}
        }
    }
}
