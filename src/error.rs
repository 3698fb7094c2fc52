//! Every error that the crate returns.
//!
//! Errors that concern an event carry it, so that the caller gets it back; none of them asks for `E: Debug`. They are
//! told apart by their variants.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The error of a user's own sink or handler.
///
/// # Examples
/// ```
/// let parse = |text: &str| -> Result<u32, buslane::BoxError> { Ok(text.parse()?) };
/// assert_eq!((parse("7").ok(), parse("seven").is_err()), (Some(7), true));
/// ```
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Why a sink did not accept an event; the event comes back.
///
/// # Examples
/// The event comes back, so it can be written again:
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
    /// There is no room, and the sink does not wait ([`Overflow::Refuse`](crate::Overflow::Refuse)). Worth a retry.
    Full(E),
    /// The sink is closed for good.
    Closed(E),
    /// The sink waited for room as long as it may. Worth a retry.
    Timeout(E),
    /// Deliveries are nested too deeply: most likely a cycle of buses.
    Reentrant(E),
    /// The sink tried and failed.
    Failed {
        /// The event.
        event: E,
        /// What went wrong.
        source: BoxError,
    },
}

impl<E> WriteError<E> {
    /// The event.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, _) = Channel::lossy(8)?;
    /// assert_eq!(channel.write("nobody reads").unwrap_err().into_event(), "nobody reads");
    /// # Ok::<(), buslane::error::InvalidConfig>(())
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

    /// The same error with another event, made from this one.
    ///
    /// # Examples
    /// A sink in front of one for another type gives its own event back:
    /// ```
    /// use buslane::{Channel, Sink, WriteError};
    /// let (texts, _) = Channel::lossy(8)?;
    /// let write = |n: u32| texts.write(n.to_string()).map_err(|error| error.map_event(|_| n));
    /// assert!(matches!(write(7), Err(WriteError::Closed(7))));
    /// # Ok::<(), buslane::error::InvalidConfig>(())
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

    /// Whether the sink is closed for good.
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
            Self::Timeout(_) => f.write_str("the sink found no room in time"),
            Self::Reentrant(_) => f.write_str("deliveries are nested too deeply"),
            Self::Failed { source, .. } => write!(f, "the sink failed: {source}"),
        }
    }
}

impl<E> Error for WriteError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

/// The bus is closed, and no sink took the event, which comes back. Or, for a subscriber, the journal is closed and read to its
/// end.
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
        f.write_str("closed")
    }
}

impl<E> Error for Closed<E> {}

/// Why there is no subscriber.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::error::SubscribeError;
/// use buslane::journal::{Sequence, Start};
/// let journal = Journal::<u32>::new(16)?;
/// let error = journal.subscribe(Start::At(Sequence::new(7))).err();
/// assert_eq!(error, Some(SubscribeError::Future { asked: 7, next: 0 }));
/// # Ok::<(), buslane::error::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It would begin at a place that no event has, and the next one will not have.
    Future {
        /// The place that was asked for.
        asked: u64,
        /// The place of the next event.
        next: u64,
    },
    /// It would end before it begins.
    Inverted,
    /// It begins or ends at a time, and the journal knows none: see
    /// [`JournalBuilder::sample_time`](crate::journal::JournalBuilder::sample_time) and `time_by`.
    NoTime,
    /// A setting cannot be, or there is no memory.
    Invalid(InvalidConfig),
}

impl From<InvalidConfig> for SubscribeError {
    fn from(error: InvalidConfig) -> Self {
        Self::Invalid(error)
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Future { asked, next } => {
                write!(f, "sequence {asked} is in the future: the next event is {next}")
            }
            Self::Inverted => f.write_str("the subscription would end before it begins"),
            Self::NoTime => f.write_str("the journal does not know when events came"),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl Error for SubscribeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            Self::Future { .. } | Self::Inverted | Self::NoTime => None,
        }
    }
}

/// A setting that cannot be.
///
/// # Examples
/// ```
/// let error = buslane::Channel::<u32>::lossy(0).unwrap_err();
/// assert_eq!(error, buslane::error::InvalidConfig::ZeroCapacity);
/// assert_eq!(error.to_string(), "a capacity of zero holds nothing; ask for at least one event");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// A capacity of zero holds nothing.
    ZeroCapacity,
    /// A capacity beyond what a ring may have.
    CapacityTooLarge {
        /// What was asked for, in events.
        asked: usize,
        /// The most that there can be, in events.
        most: usize,
    },
    /// As many readers of one ring as there can be.
    TooManyReaders {
        /// How many that is.
        most: usize,
    },
    /// The memory for a ring is not to be had.
    OutOfMemory {
        /// How many events it was to hold.
        slots: usize,
    },
    /// A batch of no events would never end.
    ZeroBatch,
    /// A batch of no bytes holds no event.
    ZeroBytes,
    /// A batch that is too old at once never fills.
    ZeroAge,
    /// A waiting interval of zero is `BusySpin`, which is asked for by that name.
    ZeroInterval,
    /// A polling interval whose longest value lies below its shortest.
    InvertedInterval {
        /// The interval while events flow.
        busy: Duration,
        /// The interval while none do.
        idle: Duration,
    },
    /// A rate that is not a finite number of events above zero.
    InvalidRate,
    /// A name with a zero byte in it, which no thread can bear.
    NulInName,
    /// A burst of no events lets nothing pass, at any rate.
    ZeroBurst,
    /// One event in none is none at all.
    ZeroSample,
    /// An event that is never tried cannot be delivered: at least one attempt.
    ZeroAttempts,
    /// A back-off of zero spares nobody.
    ZeroBackoff,
    /// A back-off whose maximum lies below its base.
    InvertedBackoff {
        /// The first back-off.
        base: Duration,
        /// The longest one.
        max: Duration,
    },
    /// A breaker that opens before anything failed would never let anybody through.
    ZeroThreshold,
    /// The factor of a back-off is below 1 or not a finite number.
    InvalidFactor,
    /// The jitter of a back-off is not a number from 0 to 1.
    InvalidJitter,
    /// A queue without workers handles nothing.
    ZeroWorkers,
    /// More workers than a queue may have.
    TooManyWorkers {
        /// How many were asked for.
        asked: usize,
        /// The most that there can be.
        most: usize,
    },
    /// One handler for several workers: each needs its own, or all of them one sink.
    OneHandler {
        /// How many workers were asked for.
        workers: usize,
    },
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroCapacity => f.write_str("a capacity of zero holds nothing; ask for at least one event"),
            Self::CapacityTooLarge { asked, most } => {
                write!(f, "a capacity of {asked} events is more than a ring may have ({most})")
            }
            Self::TooManyReaders { most } => write!(f, "there are {most} readers already, which is the most"),
            Self::OutOfMemory { slots } => write!(f, "no memory for a ring of {slots} events"),
            Self::ZeroBatch => f.write_str("a batch needs room for at least one event"),
            Self::ZeroBytes => f.write_str("a batch of no bytes holds no event; ask for at least one byte"),
            Self::ZeroAge => f.write_str("a batch with an age of zero never fills"),
            Self::ZeroInterval => f.write_str("a waiting interval of zero; use WaitStrategy::BusySpin"),
            Self::InvertedInterval { busy, idle } => {
                write!(f, "the idle interval ({idle:?}) is shorter than the busy one ({busy:?})")
            }
            Self::InvalidRate => f.write_str("a rate must be a finite number of events above zero"),
            Self::NulInName => f.write_str("a name must not contain a zero byte"),
            Self::ZeroBurst => f.write_str("a burst of no events lets nothing pass; allow at least one"),
            Self::ZeroSample => f.write_str("a sample keeps one event in n, and n must be at least one"),
            Self::ZeroAttempts => f.write_str("at least one attempt is needed"),
            Self::ZeroBackoff => f.write_str("a back-off must be longer than zero"),
            Self::InvertedBackoff { base, max } => {
                write!(f, "the longest back-off ({max:?}) is shorter than the first ({base:?})")
            }
            Self::ZeroThreshold => f.write_str("a breaker needs a threshold of at least one failure"),
            Self::InvalidFactor => f.write_str("the factor of a back-off must be a finite number from 1 on"),
            Self::InvalidJitter => f.write_str("the jitter of a back-off must be a number from 0 to 1"),
            Self::ZeroWorkers => f.write_str("a queue without workers handles nothing; ask for at least one"),
            Self::TooManyWorkers { asked, most } => {
                write!(f, "{asked} workers are more than a queue may have ({most})")
            }
            Self::OneHandler { workers } => {
                write!(
                    f,
                    "one handler for {workers} workers; use spawn_each, spawn_each_handler, spawn_each_sink or spawn_sink"
                )
            }
        }
    }
}

impl Error for InvalidConfig {}

/// Why a [`Queue`](crate::Queue) could not be started.
///
/// # Examples
/// ```
/// use buslane::Queue;
/// use buslane::error::{InvalidConfig, SpawnError};
/// let error = Queue::builder().workers(2).spawn(|n: u32| println!("{n}")).unwrap_err();
/// assert!(matches!(error, SpawnError::Config(InvalidConfig::OneHandler { workers: 2 })));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// A setting that cannot be.
    Config(InvalidConfig),
    /// The system gave no thread.
    Thread(std::io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "the queue cannot be set up: {error}"),
            Self::Thread(error) => write!(f, "the queue's thread cannot be started: {error}"),
        }
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Thread(error) => Some(error),
        }
    }
}

impl From<InvalidConfig> for SpawnError {
    fn from(error: InvalidConfig) -> Self {
        Self::Config(error)
    }
}

/// Why a sink could not be added to a bus.
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
    /// The sink is the bus itself: every event would come round for ever.
    Itself,
    /// A lane for one of the publishers could not be made.
    Config(InvalidConfig),
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the bus is closed"),
            Self::Itself => f.write_str("a bus cannot be added to itself"),
            Self::Config(error) => write!(f, "a lane into the sink cannot be made: {error}"),
        }
    }
}

impl Error for AddError {}

impl From<InvalidConfig> for AddError {
    fn from(error: InvalidConfig) -> Self {
        Self::Config(error)
    }
}

/// Why a sink could not be removed from a bus.
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
    /// No sink with this id is on the bus: it never was, was removed before, or the bus is closed.
    Unknown,
}

impl fmt::Display for RemoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no sink with this id is on the bus")
    }
}

impl Error for RemoveError {}

/// What a reader sees at the end of its stream, when everything that was accepted has been read.
///
/// # Examples
/// ```
/// use buslane::{Channel, Overflow, Sink};
/// use buslane::error::RecvError;
/// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Close).build()?;
/// channel.write(1)?;
/// assert!(channel.write(2).is_err()); // there is no room: the channel is closed
/// assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Overflowed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The channel was closed.
    Closed,
    /// The channel overflowed, and its policy was [`Overflow::Close`](crate::Overflow::Close): the reader was too slow, and
    /// events after the last one were refused.
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

/// Why [`Receiver::try_recv`](crate::Receiver::try_recv) returned no event.
///
/// # Examples
/// ```
/// use buslane::Channel;
/// use buslane::error::TryRecvError;
/// let (channel, mut receiver) = Channel::<u32>::lossy(8)?;
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty)); // come again
/// channel.close();
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed)); // no need to
/// # Ok::<(), buslane::error::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing is there now.
    Empty,
    /// The stream ended by a close.
    Closed,
    /// The stream ended because the channel overflowed.
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

/// Why [`Receiver::recv_timeout`](crate::Receiver::recv_timeout) returned no event.
///
/// # Examples
/// ```
/// use buslane::Channel;
/// use buslane::error::RecvTimeoutError;
/// use std::time::Duration;
/// let (_channel, mut receiver) = Channel::<u32>::lossy(8)?;
/// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
/// # Ok::<(), buslane::error::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// Nothing came in time.
    Timeout,
    /// The stream ended by a close.
    Closed,
    /// The stream ended because the channel overflowed.
    Overflowed,
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no event came in time"),
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
