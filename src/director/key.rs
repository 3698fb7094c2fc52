//! How a session, and one attempt of one packet, are named.

use std::fmt;

/// A number that names one session of a member, and never repeats in one director.
///
/// A member that joins, rejoins, or is attached again begins a new epoch.
///
/// # Examples
/// ```
/// use buslane::director::{Delivery, Director, Packet};
/// let director = Director::<u32>::new()?;
/// let bob = director.join("bob", |_: &Packet<u32>| Delivery::Done)?;
/// let old = bob.epoch();
/// let bob = director.rejoin("bob", |_: &Packet<u32>| Delivery::Done)?;
/// assert!(bob.epoch() > old);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Epoch(u64);

impl Epoch {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::{Delivery, Director, Packet};
    /// let director = Director::<u32>::new()?;
    /// let bob = director.join("bob", |_: &Packet<u32>| Delivery::Done)?;
    /// assert!(bob.epoch().get() > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which kind of packet a node gets.
///
/// # Examples
/// ```
/// use buslane::director::PacketKind;
/// assert_eq!(PacketKind::Root.to_string(), "root");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum PacketKind {
    /// The first packet of a member that has joined: it pulls the state. It has no events.
    State,
    /// Root events, which overtake ordinary ones.
    Root,
    /// Ordinary events, in the order of the stream.
    Events,
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "state",
            Self::Root => "root",
            Self::Events => "events",
        })
    }
}

/// Which attempt of which packet is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PacketKey {
    pub(super) epoch: Epoch,
    pub(super) kind: PacketKind,
    pub(super) id: u64,
    pub(super) attempt: u32,
}
