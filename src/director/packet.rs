//! Packets: what a node gets in one call.

use super::key::{Epoch, PacketKey, PacketKind};
use super::roster::Roster;
use super::ticket::{AckError, Ticket};
use crate::error::BoxError;
use crate::journal::Sequence;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One event of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketEvent<E> {
    /// The position of the event: in the stream of all events, or in that of root events. It is the
    /// same for every member and at every attempt.
    pub sequence: Sequence,
    /// The epoch of the member that sent it, or `None` for a publisher outside.
    pub from: Option<Epoch>,
    /// The packet's own clone of the event.
    pub event: E,
}

impl<E> PacketEvent<E> {
    pub(super) fn new(sequence: u64, from: u64, event: E) -> Self {
        Self { sequence: Sequence::new(sequence), from: (from != 0).then_some(Epoch::new(from)), event }
    }
}

/// The part of a packet that stays the same at every attempt.
pub(super) struct PacketCore<E> {
    pub(super) member: Arc<str>,
    pub(super) kind: PacketKind,
    pub(super) id: u64,
    pub(super) lagged: u64,
    pub(super) events: Vec<PacketEvent<E>>,
    /// The position at which the events begin, if this is a packet of the state.
    pub(super) state_at: Option<u64>,
    /// The positions at which an acknowledgement is waited for, each with the number of its probe.
    pub(super) probes: Vec<(Sequence, u64)>,
}

/// A batch of events for one member, with all that is needed to recognize a repetition.
///
/// A packet that is delivered again has the same [`id`](Self::id) and the same events, and a higher
/// [`attempt`](Self::attempt).
///
/// # Examples
/// ```
/// use buslane::director::{Director, PacketKind};
/// use std::time::Duration;
/// let director = Director::builder().packet(2).build()?;
/// let (_bob, mut outbox) = director.join_manual("bob")?;
/// let state = outbox.try_packet()?;
/// assert_eq!((state.kind(), state.member()), (PacketKind::State, "bob"));
/// state.ack()?;
/// for n in 0..3 {
///     director.announce(n)?;
/// }
/// let first = outbox.try_packet()?;
/// assert!(first.events().iter().map(|event| event.event).eq([0, 1]));
/// first.retry_after(Duration::ZERO)?; // the same packet comes again
/// let again = outbox.try_packet()?;
/// assert_eq!((again.id(), again.attempt()), (first.id(), 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Not `Clone`: a packet of an outbox is delivered again when it is dropped.
pub struct Packet<E> {
    core: Arc<PacketCore<E>>,
    roster: Option<Roster>,
    attempt: u32,
    epoch: Epoch,
    ticket: TicketSource,
}

/// How a packet gets a ticket.
pub(super) enum TicketSource {
    /// A node gets the packet: a ticket is made when it asks for one.
    Node(Ticket),
    /// The user of an outbox gets the packet: it has a ticket of its own.
    Outbox(Ticket),
}

impl<E> Packet<E> {
    pub(super) fn new(
        core: Arc<PacketCore<E>>,
        roster: Option<Roster>,
        attempt: u32,
        epoch: Epoch,
        ticket: TicketSource,
    ) -> Self {
        Self { core, roster, attempt, epoch, ticket }
    }

    pub(super) fn key(&self) -> PacketKey {
        self.source().key()
    }

    pub(super) fn into_core(self) -> Arc<PacketCore<E>> {
        self.core
    }

    fn source(&self) -> &Ticket {
        match &self.ticket {
            TicketSource::Node(ticket) | TicketSource::Outbox(ticket) => ticket,
        }
    }

    /// Returns the name of the member.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.core.member
    }

    /// Returns the epoch of the member's session.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> PacketKind {
        self.core.kind
    }

    /// Returns the number of the packet, which no other packet of this member has.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.core.id
    }

    /// Returns the number of this attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the number of positions of the stream that were overwritten before this member read
    /// them, right before the first event of this packet.
    ///
    /// The count of positions is exact. It includes events that were not for this member.
    #[must_use]
    pub fn lagged(&self) -> u64 {
        self.core.lagged
    }

    /// Returns the events, in the order of the stream.
    #[must_use]
    pub fn events(&self) -> &[PacketEvent<E>] {
        &self.core.events
    }

    /// Returns the members, if this is a [`State`](PacketKind::State) packet: as they were when this
    /// attempt began. The position at which the events begin is the same at every attempt.
    #[must_use]
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    /// Returns a ticket, with which another thread or task acknowledges the packet after the node
    /// has returned [`Delivery::Pending`](super::Delivery::Pending).
    ///
    /// When the last ticket of an attempt is dropped, the packet is delivered again.
    #[must_use = "the packet is delivered again when its last ticket is dropped"]
    pub fn ticket(&self) -> Ticket {
        self.source().another()
    }

    /// Acknowledges the packet.
    ///
    /// # Errors
    /// [`AckError::StaleEpoch`] if the member has begun a newer session.
    pub fn ack(&self) -> Result<(), AckError> {
        self.source().acknowledge()
    }

    /// Acknowledges the events of the member up to and including `sequence`: see
    /// [`Ticket::ack_through`].
    ///
    /// # Errors
    /// [`AckError`] if the session is over, or the packet ends before `sequence`.
    pub fn ack_through(&self, sequence: Sequence) -> Result<(), AckError> {
        self.source().ack_through(sequence)
    }

    /// Asks for the packet to be delivered again, by the director's backoff.
    ///
    /// # Errors
    /// [`AckError::StaleEpoch`] if the member has begun a newer session.
    pub fn retry(&self) -> Result<(), AckError> {
        self.source().fail(None)
    }

    /// Asks for the packet to be delivered again after this wait.
    ///
    /// # Errors
    /// [`AckError::StaleEpoch`] if the member has begun a newer session.
    pub fn retry_after(&self, wait: Duration) -> Result<(), AckError> {
        self.source().fail(Some(wait))
    }

    /// Gives the packet up: it becomes a [dead letter](super::DeadPacket). The packet of the state is
    /// delivered again instead.
    ///
    /// # Errors
    /// [`AckError::StaleEpoch`] if the member has begun a newer session.
    pub fn reject(&self, reason: impl Into<BoxError>) -> Result<(), AckError> {
        self.source().give_up(reason.into())
    }
}

/// Omits the events, which need not be `Debug`.
impl<E> fmt::Debug for Packet<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("member", &self.member())
            .field("kind", &self.kind())
            .field("id", &self.id())
            .field("attempt", &self.attempt)
            .field("lagged", &self.lagged())
            .field("events", &self.events().len())
            .finish_non_exhaustive()
    }
}
