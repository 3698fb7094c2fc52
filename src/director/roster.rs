//! The list of members at one position of the stream.

use super::key::Epoch;
use crate::journal::Sequence;

/// The members of a director, in the order of their names.
///
/// # Examples
/// ```
/// use buslane::director::{Delivery, Director, Packet};
/// let director = Director::<u32>::new()?;
/// let bob = director.join("bob", |_: &Packet<u32>| Delivery::Done)?;
/// let roster = director.roster();
/// assert_eq!(roster.members[0].name, "bob");
/// assert_eq!(roster.find("bob").map(|member| member.epoch), Some(bob.epoch()));
/// assert_eq!(roster.name_of(bob.epoch()), Some("bob"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Roster {
    /// The members.
    pub members: Vec<RosterEntry>,
    /// The position of the first event that can follow.
    pub next: Sequence,
}

/// One member in a [`Roster`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RosterEntry {
    /// The name.
    pub name: String,
    /// The epoch of the present session, or of the last one.
    pub epoch: Epoch,
    /// Whether the member has a session: it is not detached.
    pub attached: bool,
}

impl Roster {
    /// Returns the member of this name.
    ///
    /// # Examples
    /// ```
    /// assert!(buslane::director::Roster::default().find("bob").is_none());
    /// ```
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&RosterEntry> {
        let index = self.members.binary_search_by(|member| member.name.as_str().cmp(name)).ok()?;
        self.members.get(index)
    }

    /// Returns the name of the member whose session has this epoch: that of the sender of an
    /// event, for example.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::{Delivery, Director, Packet};
    /// let director = Director::<u32>::new()?;
    /// let bob = director.join("bob", |_: &Packet<u32>| Delivery::Done)?;
    /// let roster = director.roster();
    /// let epoch = bob.epoch();
    /// let bob = director.rejoin("bob", |_: &Packet<u32>| Delivery::Done)?;
    /// assert_eq!((roster.name_of(epoch), roster.name_of(bob.epoch())), (Some("bob"), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn name_of(&self, epoch: Epoch) -> Option<&str> {
        self.members.iter().find(|member| member.epoch == epoch).map(|member| member.name.as_str())
    }
}
