//! A node of the director that is another process: its packets are posted to it.

use super::desk::Desk;
use super::line::Line;
use crate::change::Origin;
use crate::client::RequestError;
use crate::wire::{Event, Parcel, Peer, Welcome};
use buslane::director::{Delivery, Node, Packet, PacketKind, Roster};
use demo_support::{Mark, number_of};
use std::sync::{Arc, Weak};

/// The way to the process of a member.
pub(super) struct Remote {
    pub(super) peer: Peer,
    pub(super) line: Arc<Line>,
    /// Weak, because the hub has the director, and that has this node.
    pub(super) desk: Weak<Desk>,
}

impl Node<Event> for Remote {
    fn deliver(&mut self, packet: &Packet<Event>) -> Delivery {
        let Some(desk) = self.desk.upgrade() else { return Delivery::Done };
        let (lagged, count) = (packet.lagged(), packet.events().len() as u64);
        let is_root = packet.kind() == PacketKind::Root;
        self.line.attempt(packet.attempt(), count, lagged);
        if lagged > 0 && packet.attempt() == 1 {
            let events = number_of(lagged, "event");
            desk.story.tell_as(Mark::Notice, &self.peer.name, format_args!("missed {events}, and must pull"));
        }
        let parcel = Parcel {
            id: packet.id(),
            is_root,
            attempt: packet.attempt(),
            lagged,
            // What was lost is among all that was accepted until now.
            required: (lagged > 0).then(|| desk.accepted()),
            events: packet.events().iter().map(|event| event.event.clone()).collect(),
        };
        let posted = desk.client.post(&format!("{}/packet", self.peer.url), &parcel, desk.timeout);
        if posted.is_ok() && !is_root {
            self.line.delivered(count, lagged);
        }
        self.conclude(&desk, packet, posted)
    }

    fn joined(&mut self, _roster: &Roster, state: &Packet<Event>) -> Delivery {
        let Some(desk) = self.desk.upgrade() else { return Delivery::Done };
        // The position of the member in the stream is fixed by now: what was accepted until now
        // includes every change before that position.
        let (peers, required) = (desk.peers(), desk.accepted());
        let welcome = Welcome { origin: Origin(state.epoch().get()), peers, required };
        let posted = desk.client.post(&format!("{}/joined", self.peer.url), &welcome, desk.timeout);
        if posted.is_ok() {
            self.line.welcomed();
        }
        self.conclude(&desk, state, posted)
    }
}

impl Remote {
    /// Turns the answer to a packet into the outcome of the delivery.
    fn conclude(&self, desk: &Desk, packet: &Packet<Event>, posted: Result<(), RequestError>) -> Delivery {
        let (kind, id, attempt) = (packet.kind(), packet.id(), packet.attempt());
        match posted {
            Ok(()) => {
                if attempt > 1 {
                    let what = format_args!("took the {kind} packet {id} at attempt {attempt}");
                    desk.story.tell(&self.peer.name, what);
                }
                Delivery::Done
            }
            Err(error) => {
                self.line.failure();
                if attempt == 1 {
                    let what =
                        format_args!("did not take the {kind} packet {id}: {error}; it will be sent again");
                    desk.story.tell_as(Mark::Notice, &self.peer.name, what);
                }
                Delivery::Retry(None)
            }
        }
    }
}
