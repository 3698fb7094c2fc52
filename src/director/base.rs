//! What a member implements, and the outcome of one delivery.

use super::packet::Packet;
use super::roster::Roster;
use crate::error::BoxError;
use std::time::Duration;

/// The receiving side of a member: user code that gets packets, one call at a time.
///
/// A closure that takes a [`Packet`] and returns a [`Delivery`] is a node.
///
/// # Examples
/// A node that pulls the state when it joins, and then applies the events that are not in it:
/// ```
/// use buslane::director::{Delivery, Node, Packet, Roster};
/// use buslane::journal::Sequence;
///
/// #[derive(Default)]
/// struct Replica { applied_through: Option<Sequence>, sum: u64 }
///
/// impl Node<u64> for Replica {
///     fn deliver(&mut self, packet: &Packet<u64>) -> Delivery {
///         for event in packet.events() {
///             if self.applied_through.is_none_or(|through| event.sequence > through) {
///                 self.sum += event.event;
///                 self.applied_through = Some(event.sequence);
///             }
///         }
///         Delivery::Done
///     }
///
///     fn joined(&mut self, roster: &Roster, _state: &Packet<u64>) -> Delivery {
///         println!("pull the state from one of {} members", roster.members.len());
///         Delivery::Done
///     }
/// }
/// ```
pub trait Node<E>: Send {
    /// Handles one packet.
    ///
    /// The events belong to the packet, which is dropped or delivered again after this call. A
    /// panic counts as a failed attempt.
    fn deliver(&mut self, packet: &Packet<E>) -> Delivery;

    /// Pulls the state of the other members, before the first event.
    ///
    /// Called when the member has joined, and again when it comes back after events were lost. No
    /// event and no root event is delivered until this packet is acknowledged. The events that
    /// follow begin at [`Roster::next`]: a state that was read during this call contains every
    /// event before that position.
    ///
    /// Until it is acknowledged this packet is delivered again, also after
    /// [`Reject`](Delivery::Reject) and beyond the limits of the director's backoff: it is never given
    /// up.
    fn joined(&mut self, roster: &Roster, state: &Packet<E>) -> Delivery {
        let _ = (roster, state);
        Delivery::Done
    }
}

impl<E, F: FnMut(&Packet<E>) -> Delivery + Send> Node<E> for F {
    fn deliver(&mut self, packet: &Packet<E>) -> Delivery {
        self(packet)
    }
}

/// What a node did with a packet.
///
/// # Examples
/// ```
/// use buslane::director::Delivery;
/// use std::time::Duration;
/// fn send(line: &str) -> Delivery {
///     match line.len() {
///         0 => Delivery::Reject("an empty line can never be sent".into()),
///         1..80 => Delivery::Done,
///         _ => Delivery::Retry(Some(Duration::from_secs(1))),
///     }
/// }
/// assert!(matches!(send("event"), Delivery::Done));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// The packet is handled: it is acknowledged.
    Done,
    /// The node keeps a [ticket](Packet::ticket) of the packet and acknowledges it later.
    ///
    /// Without a ticket, nothing can acknowledge the packet, so it is delivered again.
    Pending,
    /// The packet is to be delivered again: after this wait, or by the director's
    /// [backoff](super::DirectorBuilder::retry).
    Retry(Option<Duration>),
    /// The packet can never be handled: it becomes a [dead letter](super::DeadPacket), unless it is
    /// that of the state, which is delivered again.
    Reject(BoxError),
}
