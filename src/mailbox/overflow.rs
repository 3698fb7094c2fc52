//! Overflow policies: what happens to an event that finds a lane full.

use crate::error::ParseSettingError;
use crate::wait::text::{Text, parse, split};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The overflow policy of a [`Queue`](crate::Queue) or [`Channel`](crate::Channel): what happens to
/// an event that finds its lane full.
///
/// | policy | the publisher | the event | counted as |
/// |---|---|---|---|
/// | [`DropNewest`](Self::DropNewest) (default) | continues, `Ok` | dropped | `dropped.full` |
/// | [`DropOldest`](Self::DropOldest) | continues, `Ok` | accepted; the oldest event is evicted | `dropped.evicted` |
/// | [`Refuse`](Self::Refuse) | continues | returned, `Full` | `refused.full` |
/// | [`Block`](Self::Block) | waits for room | accepted, or `Closed` | – |
/// | [`BlockFor`](Self::BlockFor) | waits at most that duration | returned, `Timeout` | `refused.timeout` |
/// | [`Close`](Self::Close) | continues | returned, `Closed`; the queue or channel closes | `refused.closed` |
///
/// An event is returned to its writer. A bus counts it in
/// [`Published::refused`](crate::Published::refused) and drops it, unless every sink refused a
/// [`try_publish`](crate::Publisher::try_publish), which returns it.
///
/// A dropped event is lost although the result is `Ok`. A publisher finds it in
/// [`Published::dropped`](crate::Published::dropped), and a writer in the result of
/// [`Sink::offer`](crate::Sink::offer), which is
/// [`Disposition::Dropped`](crate::stats::Disposition::Dropped). An evicted event was accepted
/// earlier: only the ledger and the `on_drop` hooks report it.
///
/// Inside a delivery (a handler, a direct sink) no call waits: there, `Block` and `BlockFor` act as
/// `Refuse`, since the waiting thread may be the one that makes the room.
///
/// In an async task, `Block` and `BlockFor` park the runtime's thread. This is a deadlock when the
/// reader is a task of the same runtime. [`Publisher::reserve`](crate::Publisher::reserve) and
/// [`Publisher::publish_async`](crate::Publisher::publish_async) wait as a task instead:
/// [`docs::async_code`](crate::docs::async_code).
///
/// # As text
/// `Display` writes, and `FromStr` reads, `drop_newest`, `drop_oldest`, `refuse`, `block`,
/// `block_for:DURATION` and `close`. A duration is a whole number and a unit: `ns`, `us`, `ms` or
/// `s`. `FromStr` also accepts `-` for `_`. With the feature `serde`, the serialized form is the
/// same text.
///
/// # Examples
/// Two events, and room for one:
/// ```
/// use buslane::{Channel, Overflow, Sink, WriteError};
/// use buslane::error::BuildError;
/// use std::time::Duration;
/// /// What the reader gets, and the result of the second write.
/// fn two(overflow: Overflow) -> Result<(Vec<u32>, Result<(), WriteError<u32>>), BuildError> {
///     let (channel, mut receiver) = Channel::builder().capacity(1).overflow(overflow).build()?;
///     assert!(channel.write(1).is_ok());
///     let told = channel.write(2);
///     Ok((receiver.drain().collect(), told))
/// }
/// assert!(matches!(two(Overflow::DropNewest)?, (read, Ok(())) if read == [1]));
/// assert!(matches!(two(Overflow::DropOldest)?, (read, Ok(())) if read == [2]));
/// assert!(matches!(two(Overflow::Refuse)?, (read, Err(WriteError::Full(2))) if read == [1]));
/// let limit = Duration::from_millis(1);
/// assert!(matches!(two(Overflow::BlockFor(limit))?, (read, Err(WriteError::Timeout(2))) if read == [1]));
/// assert!(matches!(two(Overflow::Close)?, (read, Err(WriteError::Closed(2))) if read == [1]));
///
/// // `Block` waits for a reader:
/// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build()?;
/// let reader = std::thread::spawn(move || receiver.iter().count());
/// (0..100).for_each(|n| assert!(channel.write(n).is_ok()));
/// channel.close();
/// assert_eq!(reader.join().unwrap(), 100);
/// # Ok::<(), BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Drops the new event, and counts it.
    #[default]
    DropNewest,
    /// Evicts the oldest event. Costs a compare-and-swap per event, also while there is room. If
    /// the consumer is just taking the oldest event, the new one is dropped instead: the publisher
    /// never waits.
    DropOldest,
    /// Refuses the new event.
    Refuse,
    /// Blocks the publisher until there is room or the queue or channel is closed. [Not in a
    /// task](crate::docs::async_code).
    Block,
    /// Blocks the publisher until there is room, the queue or channel is closed, or the duration
    /// has passed. [Not in a task](crate::docs::async_code).
    BlockFor(Duration),
    /// Closes the queue or channel. The events in it are still delivered; then the reader of a
    /// channel gets [`RecvError::Overflowed`](crate::error::RecvError::Overflowed).
    Close,
}

impl Overflow {
    /// Returns whether a write may wait for room.
    pub(crate) fn may_wait(self) -> bool {
        matches!(self, Self::Block | Self::BlockFor(_))
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropNewest => f.write_str("drop_newest"),
            Self::DropOldest => f.write_str("drop_oldest"),
            Self::Refuse => f.write_str("refuse"),
            Self::Block => f.write_str("block"),
            Self::BlockFor(limit) => write!(f, "block_for:{}", Text(*limit)),
            Self::Close => f.write_str("close"),
        }
    }
}

impl FromStr for Overflow {
    type Err = ParseSettingError;

    /// Parses the text that `Display` writes.
    ///
    /// # Errors
    /// Returns a [`ParseSettingError`] with the list of valid texts.
    ///
    /// # Examples
    /// ```
    /// use buslane::Overflow;
    /// use std::time::Duration;
    /// assert_eq!("drop_oldest".parse(), Ok(Overflow::DropOldest));
    /// let block: Overflow = "block_for:250ms".parse()?;
    /// assert_eq!(block, Overflow::BlockFor(Duration::from_millis(250)));
    /// assert_eq!(block.to_string(), "block_for:250ms");
    /// # Ok::<(), buslane::error::ParseSettingError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rest) = split(text);
        let overflow = match (name.as_str(), rest) {
            ("drop_newest", None) => Some(Self::DropNewest),
            ("drop_oldest", None) => Some(Self::DropOldest),
            ("refuse", None) => Some(Self::Refuse),
            ("block", None) => Some(Self::Block),
            ("block_for", Some(limit)) => parse(limit).map(Self::BlockFor),
            ("close", None) => Some(Self::Close),
            _ => None,
        };
        overflow.ok_or_else(|| ParseSettingError::new(text, "overflow policy", VALID))
    }
}

const VALID: &str = "drop_newest, drop_oldest, refuse, block, block_for:DURATION or close";

#[cfg(feature = "serde")]
crate::error::serde_as_text!(Overflow);
