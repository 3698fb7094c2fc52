//! The errors of joining and of sending.

use crate::error::{ConfigError, SpawnError, SubscribeError};
use std::error::Error;
use std::fmt;

/// The error of joining or rejoining.
///
/// # Examples
/// ```
/// use buslane::director::{Delivery, Director, JoinError, Packet};
/// let director = Director::<u32>::new()?;
/// let _bob = director.join("bob", |_: &Packet<u32>| Delivery::Done)?;
/// let error = director.join("bob", |_: &Packet<u32>| Delivery::Done).unwrap_err();
/// assert!(matches!(error, JoinError::AlreadyMember { .. }));
/// assert_eq!(error.to_string(), "bob is a member already: rejoin to replace its node, or take another name");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// A member has this name.
    AlreadyMember {
        /// The name.
        name: String,
    },
    /// No member has this name, so there is none to rejoin as.
    UnknownMember {
        /// The name.
        name: String,
    },
    /// The name is empty.
    EmptyName,
    /// The director is closed.
    Closed,
    /// A setting of the member is invalid.
    Config(ConfigError),
    /// The cursor cannot be made: its memory cannot be allocated, or there are too many.
    Cursor(SubscribeError),
    /// The system cannot start a thread.
    Spawn(SpawnError),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyMember { name } => {
                write!(f, "{name} is a member already: rejoin to replace its node, or take another name")
            }
            Self::UnknownMember { name } => write!(f, "{name} is no member: join first"),
            Self::EmptyName => f.write_str("an empty name is invalid: it must have at least 1 character"),
            Self::Closed => f.write_str("the director is closed"),
            Self::Config(error) => error.fmt(f),
            Self::Cursor(error) => error.fmt(f),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text includes the cause, so the source continues after it.
        match self {
            Self::Config(error) => error.source(),
            Self::Cursor(error) => error.source(),
            Self::Spawn(error) => error.source(),
            Self::AlreadyMember { .. } | Self::UnknownMember { .. } | Self::EmptyName | Self::Closed => None,
        }
    }
}

impl From<ConfigError> for JoinError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<SubscribeError> for JoinError {
    fn from(error: SubscribeError) -> Self {
        Self::Cursor(error)
    }
}

/// The error of sending, with the event.
///
/// # Examples
/// ```
/// use buslane::director::{Director, SendError};
/// let director = Director::new()?;
/// let error = director.unicast("bob", 7).unwrap_err();
/// assert!(matches!(error, SendError::UnknownMember { .. }));
/// assert_eq!(error.to_string(), "bob is no member");
/// assert_eq!(error.into_event(), 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
pub enum SendError<E> {
    /// The director is closed.
    Closed(E),
    /// The sender has left, is detached, or was replaced.
    NotMember(E),
    /// The receiver is no member.
    UnknownMember {
        /// The name of the receiver.
        name: String,
        /// The event.
        event: E,
    },
    /// The receiver is the sender.
    SelfTarget(E),
    /// A lossless member has not read the events to be overwritten, and inside a delivery nothing
    /// waits for it.
    Full(E),
    /// A lossless member did not read the events to be overwritten in time.
    Timeout(E),
}

impl<E> SendError<E> {
    /// Returns the event.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::SendError;
    /// assert_eq!(SendError::Closed(7).into_event(), 7);
    /// ```
    #[must_use]
    pub fn into_event(self) -> E {
        match self {
            Self::Closed(event)
            | Self::NotMember(event)
            | Self::UnknownMember { event, .. }
            | Self::SelfTarget(event)
            | Self::Full(event)
            | Self::Timeout(event) => event,
        }
    }

    /// Returns `true` if the director is closed.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::SendError;
    /// assert!(SendError::Closed(7).is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

/// Omits the event, which need not be `Debug`.
impl<E> fmt::Debug for SendError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::NotMember(_) => f.write_str("NotMember(..)"),
            Self::UnknownMember { name, .. } => {
                f.debug_struct("UnknownMember").field("name", name).finish_non_exhaustive()
            }
            Self::SelfTarget(_) => f.write_str("SelfTarget(..)"),
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Timeout(_) => f.write_str("Timeout(..)"),
        }
    }
}

/// Omits the event, which need not be `Display`.
impl<E> fmt::Display for SendError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the director is closed"),
            Self::NotMember(_) => {
                f.write_str("the sender has left, is detached, or was replaced: rejoin first")
            }
            Self::UnknownMember { name, .. } => write!(f, "{name} is no member"),
            Self::SelfTarget(_) => f.write_str("the receiver is the sender"),
            Self::Full(_) => f.write_str("a lossless member has not read the oldest events"),
            Self::Timeout(_) => f.write_str("a lossless member has not read the oldest events in time"),
        }
    }
}

impl<E> Error for SendError<E> {}
