//! What a subscriber reads, and where it begins and ends.

use std::fmt;
use std::time::SystemTime;

/// The position of an event in a journal.
///
/// The first accepted event has position 0, and each further one the next position.
///
/// # Examples
/// ```
/// let journal = buslane::Journal::new(16)?;
/// let first = journal.publish("event")?;
/// assert_eq!((first.get(), first.next().get()), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Sequence(u64);

impl Sequence {
    /// Creates a position from its number, such as a stored one.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::{Sequence, Start};
    /// let journal = Journal::new(16)?;
    /// journal.publish("one")?;
    /// journal.publish("two")?;
    /// let stored = 1_u64; // for example in a file
    /// let mut subscriber = journal.subscribe(Start::At(Sequence::new(stored)))?;
    /// assert_eq!(subscriber.recv()?.event(), Some("two"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number of this position.
    ///
    /// # Examples
    /// ```
    /// let sequence = buslane::journal::Sequence::new(7);
    /// assert_eq!(buslane::journal::Sequence::new(sequence.get()), sequence); // stored and restored
    /// ```
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the position after this one, where a subscriber resumes.
    ///
    /// After `u64::MAX` there is no position: `next` returns the same one.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::new(16)?;
    /// let read = journal.publish("read before")?;
    /// journal.publish("not yet")?;
    /// let mut subscriber = journal.subscribe(Start::At(read.next()))?;
    /// assert_eq!(subscriber.recv()?.event(), Some("not yet"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl From<u64> for Sequence {
    fn from(number: u64) -> Self {
        Self::new(number)
    }
}

impl From<Sequence> for u64 {
    fn from(sequence: Sequence) -> Self {
        sequence.get()
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An item of a journal's stream: an event, or why there is none.
///
/// `E` is the event, the result of a closure called with it, or a slice of events.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Start};
/// let journal = Journal::new(64)?;
/// let mut subscriber = journal.subscribe(Start::Now)?;
/// (0..1000).for_each(|n| { let _ = journal.publish(n); });
/// let (mut events, mut missed) = (0, 0);
/// for entry in subscriber.try_iter() {
///     match entry {
///         Entry::Event(sequence, n) => {
///             assert_eq!(sequence.get(), n);
///             events += 1;
///         }
///         Entry::Lagged(count) => missed += count,
///         other => unreachable!("{other:?}"),
///     }
/// }
/// assert!(missed > 0 && events + missed == 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry<E> {
    /// An event and its position, or a slice of events and the position of the first one.
    Event(Sequence, E),
    /// The number of events that were overwritten before this subscriber read them.
    ///
    /// The number includes events that the subscriber's filter would have rejected. The missed
    /// positions are the ones right before
    /// [`Subscriber::next_sequence`](crate::Subscriber::next_sequence), where the subscriber
    /// continues. The subscriber gets this entry before any event that is still kept: see
    /// [`OnLag`](crate::journal::OnLag).
    Lagged(u64),
    /// The position of an event whose `clone`, filter, time function or read callback panicked.
    Panicked(Sequence),
}

impl<E> Entry<E> {
    /// Returns the event, or `None` if this entry is not an event.
    ///
    /// # Examples
    /// ```
    /// use buslane::journal::{Entry, Sequence};
    /// assert_eq!(Entry::Event(Sequence::new(3), "event").event(), Some("event"));
    /// assert_eq!(Entry::<&str>::Lagged(7).event(), None);
    /// ```
    pub fn event(self) -> Option<E> {
        match self {
            Self::Event(_, event) => Some(event),
            Self::Lagged(_) | Self::Panicked(_) => None,
        }
    }
}

/// The first position of a subscription.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Sequence, Start};
/// let journal = Journal::new(16)?;
/// (0..5).for_each(|n| { let _ = journal.publish(n); });
/// let from = |start| -> Result<Vec<u32>, buslane::error::SubscribeError> {
///     Ok(journal.subscribe(start)?.try_iter().filter_map(Entry::event).collect())
/// };
/// assert!(from(Start::Now)?.is_empty());
/// assert_eq!(from(Start::Oldest)?, [0, 1, 2, 3, 4]);
/// assert_eq!(from(Start::Last(2))?, [3, 4]);
/// assert_eq!(from(Start::At(Sequence::new(3)))?, [3, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// At the next event to be published.
    #[default]
    Now,
    /// At the oldest event that is kept.
    Oldest,
    /// At the given number of events before the next one, or at the oldest that is kept.
    Last(usize),
    /// At this position. If its event is no longer kept, the subscriber first gets the number of
    /// events that it missed.
    At(Sequence),
    /// At the first event of this time or later, or at the oldest that is kept.
    ///
    /// - With the events' own times
    ///   ([`JournalBuilder::time_by`](crate::journal::JournalBuilder::time_by)) the bound is exact.
    ///   Of the events that are there when the subscriber begins, it skips the earlier ones, in
    ///   whatever order they were published. A subscriber that resumes by position ([`Start::At`])
    ///   does not skip them.
    /// - With sampled times
    ///   ([`JournalBuilder::sample_time`](crate::journal::JournalBuilder::sample_time)) the
    ///   subscriber may begin up to 64 events too early, never too late.
    Since(SystemTime),
}

/// The end of a subscription.
///
/// After its last event the subscriber gets
/// [`RecvError::Closed`](crate::error::RecvError::Closed), as at the end of the journal.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Sequence, Start, Until};
/// use std::time::{Duration, SystemTime};
/// let at = |hour: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(3600 * hour);
/// let journal = Journal::builder().time_by(move |hour| at(*hour)).build()?;
/// (8..18).for_each(|hour| { let _ = journal.publish(hour); });
/// let to = |until| -> Result<Vec<u64>, buslane::error::SubscribeError> {
///     let mut subscriber = journal.subscription().start(Start::Oldest).until(until).subscribe()?;
///     Ok(subscriber.iter().filter_map(Entry::event).collect())
/// };
/// assert_eq!(to(Until::Time(at(9)))?, [8, 9]);
/// assert_eq!(to(Until::Sequence(Sequence::new(2)))?, [8, 9, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// After the event at this position.
    Sequence(Sequence),
    /// After the last event of this time, or as soon as this time has passed and every event
    /// published until then has been read.
    ///
    /// - With the events' own times the bound is exact. Of the events that are there when the
    ///   subscriber begins, it skips the later ones. The first later event that is published after
    ///   that ends the subscription.
    /// - With sampled times the subscriber may end up to 64 events too late, never too early.
    ///
    /// A waiting task is not woken when the time passes.
    Time(SystemTime),
}
