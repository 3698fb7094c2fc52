//! Errors of constructing a channel, a journal or a queue, of subscribing, and of adding or
//! removing a sink.
//!
//! The text of each error includes its cause, so `source` continues after that cause.

use super::config::{ConfigError, Invalid};
use std::error::Error;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The memory for a ring cannot be allocated.
///
/// # Examples
/// ```
/// use buslane::error::OutOfMemory;
/// let error = OutOfMemory::new(1 << 28);
/// assert_eq!(error.to_string(), "the memory for 268435456 events cannot be allocated: ask for a smaller capacity");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    events: usize,
}

impl OutOfMemory {
    /// Makes the error for a ring of this many events.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::error::OutOfMemory::new(64).events(), 64);
    /// ```
    #[must_use]
    pub const fn new(events: usize) -> Self {
        Self { events }
    }

    /// Returns the number of events that the ring was to hold.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::error::OutOfMemory::new(64).events(), 64);
    /// ```
    #[must_use]
    pub const fn events(&self) -> usize {
        self.events
    }
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the memory for {} events cannot be allocated: ask for a smaller capacity", self.events)
    }
}

impl Error for OutOfMemory {}

/// The reason why a channel or a journal could not be constructed.
///
/// # Examples
/// ```
/// use buslane::Channel;
/// use buslane::error::BuildError;
/// let error = Channel::<u32>::lossy(0).unwrap_err();
/// assert!(matches!(error, BuildError::Config(_)));
/// assert_eq!(error.to_string(), "capacity 0 is invalid: it must be at least 1 event");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is invalid.
    Config(ConfigError),
    /// The memory for the ring cannot be allocated.
    OutOfMemory(OutOfMemory),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::OutOfMemory(error) => error.fmt(f),
        }
    }
}

impl BuildError {
    /// Returns the error of making another ring with settings that were checked when the first ring
    /// was made. Only the memory can be unavailable then.
    pub(crate) fn of_checked(self, events: usize) -> OutOfMemory {
        match self {
            Self::OutOfMemory(error) => error,
            Self::Config(_) => OutOfMemory::new(events),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::OutOfMemory(error) => error.source(),
        }
    }
}

/// The reason why a journal has refused a subscription.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::error::SubscribeError;
/// use buslane::journal::{Sequence, Start};
/// let journal = Journal::<u32>::new(16)?;
/// let error = journal.subscribe(Start::At(Sequence::new(7))).err();
/// assert_eq!(error, Some(SubscribeError::Future { asked: 7, next: 0 }));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The subscription would begin after the position of the next event.
    Future {
        /// The requested position.
        asked: u64,
        /// The position of the next event.
        next: u64,
    },
    /// The subscription would end at a position before the one at which it begins.
    Inverted {
        /// The position of the first event.
        first: u64,
        /// The position of the last event.
        last: u64,
    },
    /// The subscription would end at a time before the one at which it begins.
    InvertedTime {
        /// The time of the first event.
        since: SystemTime,
        /// The time of the last event.
        until: SystemTime,
    },
    /// The subscription begins or ends at a time, and the journal has no times of its events.
    /// See [`JournalBuilder::sample_time`](crate::journal::JournalBuilder::sample_time) and
    /// `time_by`.
    NoTime,
    /// A setting is invalid.
    Config(ConfigError),
    /// The memory for the reader cannot be allocated.
    OutOfMemory(OutOfMemory),
    /// The journal has the maximum number of readers.
    TooManyReaders {
        /// The maximum number of readers of one journal.
        most: usize,
    },
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Future { asked, next } => {
                write!(f, "sequence {asked} is in the future: start at {next} or earlier")
            }
            Self::Inverted { first, last } => {
                write!(f, "last sequence {last} is invalid: it must be at least the first sequence {first}")
            }
            Self::InvertedTime { since, until } => {
                let (since, until) = (UnixTime(*since), UnixTime(*until));
                write!(
                    f,
                    "end time {until} is invalid: it must be at least the start time {since} (Unix time)"
                )
            }
            Self::NoTime => {
                f.write_str("the journal has no times of its events: build it with sample_time or time_by")
            }
            Self::Config(error) => error.fmt(f),
            Self::OutOfMemory(error) => error.fmt(f),
            Self::TooManyReaders { most } => {
                write!(f, "the journal has {most} readers, the maximum: drop a subscriber first")
            }
        }
    }
}

impl Error for SubscribeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::OutOfMemory(error) => error.source(),
            Self::Future { .. }
            | Self::Inverted { .. }
            | Self::InvertedTime { .. }
            | Self::NoTime
            | Self::TooManyReaders { .. } => None,
        }
    }
}

/// A time, shown as the seconds since 1970 in UTC.
struct UnixTime(SystemTime);

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, since) = match self.0.duration_since(UNIX_EPOCH) {
            Ok(since) => ("", since),
            Err(before) => ("-", before.duration()),
        };
        write!(f, "{sign}{}", since.as_secs())?;
        match since.subsec_nanos() {
            0 => Ok(()),
            nanos => f.write_str(format!(".{nanos:09}").trim_end_matches('0')),
        }
    }
}

/// The reason why the worker of a [`Queue`](crate::Queue) or a
/// [`Monitor`](crate::source::Monitor) could not be started.
///
/// # Examples
/// ```
/// use buslane::Queue;
/// use buslane::error::{ConfigErrorKind, SpawnError};
/// let error = Queue::builder().workers(2).spawn(|n: u32| println!("{n}")).unwrap_err();
/// assert!(matches!(error, SpawnError::Config(error) if error.kind() == ConfigErrorKind::Handlers));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// A setting of the queue, the monitor, the source, or the sink is invalid.
    Config(ConfigError),
    /// The memory for the ring cannot be allocated.
    OutOfMemory(OutOfMemory),
    /// The worker thread could not be spawned.
    Thread(std::io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "the worker cannot be started: {error}"),
            Self::OutOfMemory(error) => write!(f, "the worker cannot be started: {error}"),
            Self::Thread(error) => write!(f, "the worker's thread cannot be started: {error}"),
        }
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::OutOfMemory(error) => error.source(),
            Self::Thread(error) => error.source(),
        }
    }
}

/// The reason why a sink could not be added to a bus.
///
/// # Examples
/// ```
/// use buslane::{Bus, noop};
/// use buslane::error::AddError;
/// let bus = Bus::<u32>::new();
/// assert_eq!(bus.add(bus.clone()), Err(AddError::Itself));
/// assert!(bus.close().is_done());
/// assert_eq!(bus.add(noop()), Err(AddError::Closed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddError {
    /// The bus is closed.
    Closed,
    /// The sink is the bus itself, so every event would circulate endlessly.
    Itself,
    /// A setting of the sink, or of a sink inside it, is invalid.
    Config(ConfigError),
    /// The memory for a lane of one of the publishers, or for the channel, cannot be allocated.
    OutOfMemory(OutOfMemory),
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the sink cannot be added: the bus is closed"),
            Self::Itself => f.write_str("a bus cannot be added to itself"),
            Self::Config(error) => write!(f, "the sink cannot be added: {error}"),
            Self::OutOfMemory(error) => write!(f, "the sink cannot be added: {error}"),
        }
    }
}

impl Error for AddError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::OutOfMemory(error) => error.source(),
            Self::Closed | Self::Itself => None,
        }
    }
}

/// The reason why a sink could not be removed from a bus.
///
/// # Examples
/// ```
/// use buslane::{Bus, noop};
/// use buslane::error::RemoveError;
/// let bus = Bus::<u32>::new();
/// let id = bus.add(noop())?;
/// assert!(bus.close().is_done());
/// assert_eq!(bus.remove(id), Err(RemoveError::Unknown));
/// # Ok::<(), buslane::error::AddError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveError {
    /// The bus has no sink with this id: it never had one, the sink was removed before, or the bus
    /// is closed.
    Unknown,
}

impl fmt::Display for RemoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bus has no sink with this id: it was removed, or the bus is closed")
    }
}

impl Error for RemoveError {}

/// Converts an invalid setting, or memory that could not be allocated, into the error that has it
/// as its source.
macro_rules! from_sources {
    ($($error:ident),*) => {$(
        impl From<ConfigError> for $error {
            fn from(error: ConfigError) -> Self {
                Self::Config(error)
            }
        }

        impl From<Invalid> for $error {
            fn from(invalid: Invalid) -> Self {
                Self::Config(invalid.into())
            }
        }

        impl From<OutOfMemory> for $error {
            fn from(error: OutOfMemory) -> Self {
                Self::OutOfMemory(error)
            }
        }
    )*};
}

from_sources!(BuildError, SubscribeError, SpawnError, AddError);

/// Converts the error of building a ring into the error of the call that needs the ring.
macro_rules! from_build {
    ($($error:ident),*) => {$(
        impl From<BuildError> for $error {
            fn from(error: BuildError) -> Self {
                match error {
                    BuildError::Config(error) => Self::Config(error),
                    BuildError::OutOfMemory(error) => Self::OutOfMemory(error),
                }
            }
        }
    )*};
}

from_build!(SpawnError, AddError);
