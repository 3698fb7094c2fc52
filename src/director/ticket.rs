//! Tickets: the right to acknowledge a packet later, from any thread or task.

use super::key::{Epoch, PacketKey};
use crate::error::BoxError;
use crate::journal::Sequence;
use crate::wait::context::{discard, error_text};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What became of a packet, as a node or the holder of a ticket reports it.
pub(super) enum Verdict {
    Acked,
    AckedThrough(Sequence),
    Failed(Option<Duration>),
    Panicked(String),
    Rejected(String),
    /// The node returned `Pending`.
    Pending,
}

/// Where tickets are settled: the record of a member.
pub(super) trait Desk: Send + Sync {
    fn settle(&self, key: PacketKey, verdict: Verdict) -> Result<(), AckError>;
    /// A ticket of this attempt was made.
    fn ticket_made(&self, key: PacketKey);
    /// A ticket of this attempt was dropped without a verdict.
    fn ticket_dropped(&self, key: PacketKey);
}

/// The right to acknowledge one attempt of one packet, from any thread or task.
///
/// [`Packet::ticket`](super::Packet::ticket) makes one. When the last ticket of an attempt is
/// dropped without a verdict, the packet is delivered again: at once the first time, and then by the
/// director's backoff.
///
/// An acknowledgement of an earlier attempt counts, since the packet is the same. One of an earlier
/// epoch is refused.
///
/// # Examples
/// A node that hands its packets to another thread:
/// ```
/// use buslane::director::{Delivery, Director, Packet};
/// use std::sync::mpsc;
/// let (hand_over, handed) = mpsc::channel();
/// let director = Director::new()?;
/// let _bob = director.join("bob", move |packet: &Packet<u32>| {
///     let sum: u32 = packet.events().iter().map(|event| event.event).sum();
///     match hand_over.send((packet.ticket(), sum)) {
///         Ok(()) => Delivery::Pending,
///         Err(_) => Delivery::Retry(None),
///     }
/// })?;
/// director.announce(7)?;
/// let (ticket, sum) = handed.recv()?;
/// assert_eq!(sum, 7);
/// ticket.ack()?;
/// assert!(director.close().is_done());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the packet is delivered again when its last ticket is dropped"]
pub struct Ticket {
    desk: Arc<dyn Desk>,
    key: PacketKey,
    /// Whether the drop of this ticket is to be reported.
    counts: bool,
}

impl Ticket {
    /// Creates a ticket whose drop means nothing: the packet in the hands of a node has it.
    pub(super) fn silent(desk: Arc<dyn Desk>, key: PacketKey) -> Self {
        Self { desk, key, counts: false }
    }

    /// Creates a ticket that was counted when the packet was handed out.
    pub(super) fn counted(desk: Arc<dyn Desk>, key: PacketKey) -> Self {
        Self { desk, key, counts: true }
    }

    pub(super) fn key(&self) -> PacketKey {
        self.key
    }

    pub(super) fn another(&self) -> Self {
        self.desk.ticket_made(self.key);
        Self::counted(self.desk.clone(), self.key)
    }

    pub(super) fn acknowledge(&self) -> Result<(), AckError> {
        self.desk.settle(self.key, Verdict::Acked)
    }

    pub(super) fn fail(&self, wait: Option<Duration>) -> Result<(), AckError> {
        self.desk.settle(self.key, Verdict::Failed(wait))
    }

    pub(super) fn give_up(&self, reason: BoxError) -> Result<(), AckError> {
        let text = error_text(&*reason);
        discard(reason);
        self.desk.settle(self.key, Verdict::Rejected(text))
    }

    /// Returns the epoch of the session in which the packet was delivered.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.key.epoch
    }

    /// Returns the number of the packet.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.key.id
    }

    /// Returns the number of the attempt.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.key.attempt
    }

    /// Acknowledges the packet.
    ///
    /// # Errors
    /// [`AckError::StaleEpoch`] if the member has begun a newer session.
    pub fn ack(self) -> Result<(), AckError> {
        self.acknowledge()
    }

    /// Acknowledges every event that was delivered to the member up to and including `sequence`:
    /// those of this packet, and of the packets of its kind before it.
    ///
    /// If only a part of a packet is acknowledged and it fails later, the whole packet is delivered
    /// again.
    ///
    /// # Errors
    /// - [`AckError::StaleEpoch`] if the member has begun a newer session.
    /// - [`AckError::NotDelivered`] if the packet ends before `sequence`. Nothing is acknowledged.
    pub fn ack_through(&self, sequence: Sequence) -> Result<(), AckError> {
        self.desk.settle(self.key, Verdict::AckedThrough(sequence))
    }

    /// Asks for the packet to be delivered again, by the director's backoff.
    ///
    /// # Errors
    /// [`AckError::StaleEpoch`] if the member has begun a newer session.
    pub fn retry(self) -> Result<(), AckError> {
        self.fail(None)
    }

    /// Asks for the packet to be delivered again after this wait.
    ///
    /// # Errors
    /// [`AckError::StaleEpoch`] if the member has begun a newer session.
    pub fn retry_after(self, wait: Duration) -> Result<(), AckError> {
        self.fail(Some(wait))
    }

    /// Gives the packet up: it becomes a [dead letter](super::DeadPacket).
    ///
    /// # Errors
    /// [`AckError::StaleEpoch`] if the member has begun a newer session.
    pub fn reject(self, reason: impl Into<BoxError>) -> Result<(), AckError> {
        self.give_up(reason.into())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.counts {
            self.desk.ticket_dropped(self.key);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("epoch", &self.key.epoch)
            .field("id", &self.key.id)
            .field("attempt", &self.key.attempt)
            .finish_non_exhaustive()
    }
}

/// The error of an acknowledgement that was refused. The member's counters include it.
///
/// # Examples
/// ```
/// use buslane::director::{AckError, Director};
/// let director = Director::<u32>::new()?;
/// let (bob, mut outbox) = director.join_manual("bob")?;
/// let packet = outbox.try_packet()?;
/// bob.detach();
/// let error = packet.ack().unwrap_err();
/// assert!(matches!(error, AckError::StaleEpoch { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// The session in which the packet was delivered is over.
    StaleEpoch {
        /// The epoch of that session.
        epoch: Epoch,
    },
    /// The packet has no event at this position or after it.
    NotDelivered {
        /// The position that was to be acknowledged.
        asked: Sequence,
        /// The position of the last event of the packet, if it has one.
        last: Option<Sequence>,
    },
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StaleEpoch { epoch } => {
                write!(f, "epoch {epoch} is over: the packet comes again if the member has a later session")
            }
            Self::NotDelivered { asked, last: Some(last) } => {
                write!(f, "sequence {asked} was not delivered: acknowledge at most {last}")
            }
            Self::NotDelivered { asked, last: None } => {
                write!(f, "sequence {asked} was not delivered: the packet has no events")
            }
        }
    }
}

impl Error for AckError {}
