//! Every error that the crate returns.
//!
//! An error that concerns an event carries it, so the caller gets the event back. No error requires
//! `E: Debug`. Errors are distinguished by their variants, and [`ConfigError`] by its
//! [kind](ConfigError::kind).
//!
//! | item | returned by |
//! |---|---|
//! | [`WriteError`], [`Closed`] | a write to a sink, a publish on a bus |
//! | [`ConfigError`], [`ConfigErrorKind`] | every call that checks settings, inside its own error |
//! | [`BuildError`], [`OutOfMemory`] | the construction of a channel or a journal |
//! | [`SpawnError`] | the start of a queue or a monitor |
//! | [`AddError`], [`RemoveError`] | adding a sink to a bus, removing a sink from it |
//! | [`SubscribeError`] | subscribing to a journal |
//! | [`RecvError`], [`TryRecvError`], [`RecvTimeoutError`] | reading from a receiver or a subscriber |
//! | [`ParseSettingError`] | parsing an overflow policy or a wait strategy |
//! | [`BoxError`] | a user's own sink or handler |
//!
//! # Where settings are checked
//! Every builder and every combinator follows the same rules:
//!
//! 1. **A setter stores its value and never fails.** So a chain of settings needs no `?`.
//! 2. **The call that puts the chain to use checks all of it**: `build`, `spawn` and its siblings,
//!    [`queue`](crate::SinkExt::queue), `subscribe`, [`Bus::add`](crate::Bus::add). The call
//!    returns the [`ConfigError`] of the first invalid setting, of this stage or of a sink inside
//!    it, and starts nothing.
//! 3. **A sink with an invalid setting that no such call has checked refuses every event** as
//!    [`WriteError::Failed`], with the [`ConfigError`] as the source.
//!
//! A setter clamps a value only where the nearest valid value means the same, and its documentation
//! names the clamp: [`close_after_panics`](crate::queue::QueueBuilder::close_after_panics) treats 0
//! as 1.
//!
//! A run-time failure is not an invalid setting. Memory ([`OutOfMemory`]), threads
//! ([`SpawnError::Thread`]) and readers ([`SubscribeError::TooManyReaders`]) have their own errors.
//!
//! # Causes
//! The text of an error includes the text of its cause, so a log line with `{error}` is complete.
//! [`source`](std::error::Error::source) returns the cause of that cause, as it does for a
//! [`std::io::Error`] with a payload. So a program that prints the whole chain prints each cause
//! once. The cause itself is in the variant: `Config`, `OutOfMemory`, `Thread`, or the field
//! `source` of [`WriteError::Failed`].
//!
//! # Examples
//! ```
//! use buslane::error::{AddError, ConfigErrorKind, SpawnError};
//! use buslane::{Bus, SinkExt, WriteError, Sink, noop};
//! use std::time::Duration;
//!
//! // The queue checks the batch inside it.
//! let chain = noop::<Vec<u32>>().batch(100).age(Duration::ZERO).queue(1024);
//! assert!(matches!(chain, Err(SpawnError::Config(error)) if error.kind() == ConfigErrorKind::BatchAge));
//!
//! // The bus checks the sink that is added to it.
//! let bus = Bus::<u32>::new();
//! assert!(matches!(bus.add(noop().sample(0)), Err(AddError::Config(_))));
//!
//! // No call has checked this sink, so it refuses the event.
//! let unchecked = noop::<u32>().sample(0);
//! assert!(matches!(unchecked.write(7), Err(WriteError::Failed { event: 7, .. })));
//! ```

mod config;
mod parse;
mod setup;

pub(crate) use config::Invalid;
pub use config::{ConfigError, ConfigErrorKind};
pub use parse::ParseSettingError;
#[cfg(feature = "serde")]
pub(crate) use parse::serde_as_text;
pub use setup::{AddError, BuildError, OutOfMemory, RemoveError, SpawnError, SubscribeError};

use std::error::Error;
use std::fmt;

/// The number of levels that buses and sinks may call each other on one thread. It is here, and not
/// beside its check, because the text of [`WriteError::Reentrant`] contains it.
pub(crate) const DEPTH_LIMIT: u32 = 16;

/// The error type of user-defined sinks and handlers.
///
/// # Examples
/// ```
/// let parse = |text: &str| -> Result<u32, buslane::BoxError> { Ok(text.parse()?) };
/// assert_eq!((parse("7").ok(), parse("seven").is_err()), (Some(7), true));
/// ```
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// The reason why a sink did not accept an event, with the event.
///
/// # Examples
/// The error returns the event, so the caller can write it again:
/// ```
/// use buslane::{Channel, Overflow, Sink, WriteError};
/// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build()?;
/// channel.write("one")?;
/// let Err(WriteError::Full(event)) = channel.write("two") else { unreachable!() };
/// assert_eq!(receiver.recv()?, "one");
/// channel.write(event)?;
/// assert_eq!(receiver.recv()?, "two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
pub enum WriteError<E> {
    /// The sink has no room, and its policy is not to wait
    /// ([`Overflow::Refuse`](crate::Overflow::Refuse)). A retry may succeed.
    Full(E),
    /// The sink is closed permanently.
    Closed(E),
    /// The sink did not accept the event within its time limit. A retry may succeed.
    Timeout(E),
    /// Deliveries are nested too deeply, most likely because buses form a cycle.
    Reentrant(E),
    /// The sink failed to handle the event.
    Failed {
        /// The event that the sink did not accept.
        event: E,
        /// The cause of the failure, which the text of this error [includes](crate::error#causes).
        source: BoxError,
    },
}

impl<E> WriteError<E> {
    /// Returns the event.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, _) = Channel::lossy(8)?;
    /// assert_eq!(channel.write("no reader").unwrap_err().into_event(), "no reader");
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn into_event(self) -> E {
        match self {
            Self::Full(event)
            | Self::Closed(event)
            | Self::Timeout(event)
            | Self::Reentrant(event)
            | Self::Failed { event, .. } => event,
        }
    }

    /// Returns the same error, with the event replaced by the result of `f`.
    ///
    /// # Examples
    /// A sink that converts events for an inner sink returns its own event:
    /// ```
    /// use buslane::{Channel, Sink, WriteError};
    /// let (texts, _) = Channel::lossy(8)?;
    /// let write = |n: u32| texts.write(n.to_string()).map_err(|error| error.map_event(|_| n));
    /// assert!(matches!(write(7), Err(WriteError::Closed(7))));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn map_event<T>(self, f: impl FnOnce(E) -> T) -> WriteError<T> {
        match self {
            Self::Full(event) => WriteError::Full(f(event)),
            Self::Closed(event) => WriteError::Closed(f(event)),
            Self::Timeout(event) => WriteError::Timeout(f(event)),
            Self::Reentrant(event) => WriteError::Reentrant(f(event)),
            Self::Failed { event, source } => WriteError::Failed { event: f(event), source },
        }
    }

    /// Returns `true` if the sink is closed permanently.
    ///
    /// # Examples
    /// ```
    /// assert!(buslane::WriteError::Closed("event").is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    fn text(&self) -> &'static str {
        match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
            Self::Timeout(_) => "Timeout",
            Self::Reentrant(_) => "Reentrant",
            Self::Failed { .. } => "Failed",
        }
    }
}

impl<E> fmt::Debug for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { source, .. } => {
                f.debug_struct("Failed").field("source", source).finish_non_exhaustive()
            }
            other => write!(f, "{}(..)", other.text()),
        }
    }
}

impl<E> fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the sink is full"),
            Self::Closed(_) => f.write_str("the sink is closed"),
            Self::Timeout(_) => f.write_str("the sink did not accept the event in time"),
            Self::Reentrant(_) => {
                write!(
                    f,
                    "deliveries are nested more than {DEPTH_LIMIT} levels deep: remove the cycle of buses"
                )
            }
            Self::Failed { source, .. } => write!(f, "the sink failed: {source}"),
        }
    }
}

impl<E> Error for WriteError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The text includes the cause, so the chain continues after it.
            Self::Failed { source, .. } => source.source(),
            _ => None,
        }
    }
}

/// The error of a publish on a closed bus, with the event that no sink accepted.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::new();
/// assert!(bus.close().is_done());
/// assert_eq!(bus.publish("late"), Err(buslane::error::Closed("late")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<E>(pub E);

impl<E> fmt::Debug for Closed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<E> fmt::Display for Closed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bus is closed")
    }
}

impl<E> Error for Closed<E> {}

/// The reason why a stream has ended, after the reader has read every accepted event.
///
/// # Examples
/// ```
/// use buslane::{Channel, Overflow, Sink};
/// use buslane::error::RecvError;
/// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Close).build()?;
/// channel.write(1)?;
/// assert!(channel.write(2).is_err()); // no room, so the channel closes
/// assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Overflowed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
// As large as a word, and so is the tag of a `Result` with an event: a smaller tag leaves bytes between
// itself and the event, and a compiler that copies the result with these bytes reads across what it has
// just written in other pieces. Some processors wait ten nanoseconds for that.
#[repr(usize)]
pub enum RecvError {
    /// The channel or the journal was closed, or the subscription reached its
    /// [end](crate::journal::Until).
    Closed,
    /// The channel overflowed under [`Overflow::Close`](crate::Overflow::Close): the reader was too
    /// slow, and the channel refused the events after the last one that the reader received.
    Overflowed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the stream was closed and read to its end",
            Self::Overflowed => "the channel overflowed and was closed",
        })
    }
}

impl Error for RecvError {}

/// The reason why a read without waiting returned no event.
///
/// [`Receiver::try_recv`](crate::Receiver::try_recv) and
/// [`Subscriber::try_recv`](crate::Subscriber::try_recv) return it.
///
/// # Examples
/// ```
/// use buslane::Channel;
/// use buslane::error::TryRecvError;
/// let (channel, mut receiver) = Channel::<u32>::lossy(8)?;
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty)); // try again later
/// channel.close();
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed)); // no event will follow
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
// As `RecvError`.
#[repr(usize)]
pub enum TryRecvError {
    /// No event is available now.
    Empty,
    /// The channel or the journal was closed, or the subscription reached its end, and the reader
    /// has read every event.
    Closed,
    /// The channel overflowed and closed, and the reader has read it to its end.
    Overflowed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no event is available"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Overflowed => RecvError::Overflowed.fmt(f),
        }
    }
}

impl Error for TryRecvError {}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => Self::Closed,
            RecvError::Overflowed => Self::Overflowed,
        }
    }
}

/// The reason why a read with a time limit returned no event.
///
/// [`Receiver::recv_timeout`](crate::Receiver::recv_timeout) and
/// [`Subscriber::recv_timeout`](crate::Subscriber::recv_timeout) return it.
///
/// # Examples
/// ```
/// use buslane::Channel;
/// use buslane::error::RecvTimeoutError;
/// use std::time::Duration;
/// let (_channel, mut receiver) = Channel::<u32>::lossy(8)?;
/// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
// As `RecvError`.
#[repr(usize)]
pub enum RecvTimeoutError {
    /// No event arrived before the deadline.
    Timeout,
    /// The channel or the journal was closed, or the subscription reached its end, and the reader
    /// has read every event.
    Closed,
    /// The channel overflowed and closed, and the reader has read it to its end.
    Overflowed,
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no event arrived in time"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Overflowed => RecvError::Overflowed.fmt(f),
        }
    }
}

impl Error for RecvTimeoutError {}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Closed => Self::Closed,
            RecvError::Overflowed => Self::Overflowed,
        }
    }
}
