//! Dead letters: packets that were given up.

use super::key::{Epoch, PacketKind};
use super::packet::{PacketCore, PacketEvent};
use std::fmt;
use std::sync::Arc;

/// A packet that a member could not handle, with the events that it has not acknowledged.
///
/// [`DirectorBuilder::dead_letters`](super::DirectorBuilder::dead_letters) sets the sink that
/// receives it. A clone refers to the same events.
///
/// # Examples
/// ```
/// use buslane::director::{Delivery, Director, Packet};
/// use buslane::Channel;
/// let (letters, mut dead) = Channel::lossy(8)?;
/// let director = Director::builder().dead_letters(letters).build()?;
/// let _bob = director.join("bob", |_: &Packet<u32>| Delivery::Reject("not a number".into()))?;
/// director.announce(7)?;
/// let letter = dead.recv()?;
/// assert_eq!((letter.member(), letter.events()[0].event), ("bob", 7));
/// assert_eq!(letter.to_string(), "packet 1 of bob given up after 1 attempt: not a number");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DeadPacket<E> {
    packet: Arc<PacketCore<E>>,
    epoch: Epoch,
    attempts: u32,
    acked: usize,
    error: Option<Arc<str>>,
}

impl<E> DeadPacket<E> {
    pub(super) fn new(
        packet: Arc<PacketCore<E>>,
        epoch: Epoch,
        attempts: u32,
        acked: usize,
        error: Option<Arc<str>>,
    ) -> Self {
        Self { packet, epoch, attempts, acked, error }
    }

    /// Returns the name of the member.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.packet.member
    }

    /// Returns the epoch of the session that gave it up.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the kind of the packet.
    #[must_use]
    pub fn kind(&self) -> PacketKind {
        self.packet.kind
    }

    /// Returns the number of the packet.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.packet.id
    }

    /// Returns the number of attempts that were made.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the events that were not acknowledged.
    #[must_use]
    pub fn events(&self) -> &[PacketEvent<E>] {
        self.packet.events.get(self.acked..).unwrap_or_default()
    }

    /// Returns the text of the last error with this packet, if there was one: of a rejection, or of a
    /// panic.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

impl<E> Clone for DeadPacket<E> {
    fn clone(&self) -> Self {
        let Self { packet, epoch, attempts, acked, error } = self;
        Self {
            packet: packet.clone(),
            epoch: *epoch,
            attempts: *attempts,
            acked: *acked,
            error: error.clone(),
        }
    }
}

/// Omits the events, which need not be `Debug`.
impl<E> fmt::Debug for DeadPacket<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadPacket")
            .field("member", &self.member())
            .field("kind", &self.kind())
            .field("id", &self.id())
            .field("attempts", &self.attempts)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// Omits the events, which need not be `Display`.
impl<E> fmt::Display for DeadPacket<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.attempts == 1 { "" } else { "s" };
        write!(
            f,
            "packet {} of {} given up after {} attempt{more}",
            self.id(),
            self.member(),
            self.attempts
        )?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}
