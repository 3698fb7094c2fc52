//! The settings of a journal.

use super::core::JournalCore;
use super::feed::Feed;
use super::gate::Gates;
use super::seat::Seats;
use super::time::TimeSource;
use super::writer::JournalWriter;
use super::{Journal, JournalHandle};
use crate::error::BuildError;
use crate::ring::blocks::{SharedWriter, Writer, ring};
use crate::stats::EntryCounters;
use crate::sync::membarrier::process_pair;
use crate::wait::Sleepers;
use crate::wait::context::Crew;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The default limit of a publisher's wait for a gating subscriber.
const GATE_LIMIT: Duration = Duration::from_secs(1);

/// The settings of a [`Journal`].
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | 1024 events |
/// | [`sample_time`](Self::sample_time), [`time_by`](Self::time_by) | the journal has no times |
/// | [`gate_limit`](Self::gate_limit) | 1 second |
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::Start;
/// use std::time::SystemTime;
/// let journal = Journal::builder().capacity(256).time_by(|event: &SystemTime| *event).build()?;
/// let now = SystemTime::now();
/// journal.publish(now)?;
/// assert!(journal.subscribe(Start::Since(now))?.try_recv().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Not `Clone`: `time_by` is a user's function, and the sampled time belongs to one journal.
#[must_use = "a builder does nothing until `build` is called"]
pub struct JournalBuilder<E> {
    capacity: usize,
    time: TimeSource<E>,
    gate_limit: Duration,
}

impl<E: Send + Sync + 'static> JournalBuilder<E> {
    pub(super) fn new() -> Self {
        Self { capacity: 1024, time: TimeSource::None, gate_limit: GATE_LIMIT }
    }

    /// Sets the number of newest events that are kept.
    ///
    /// The journal keeps at least `capacity` events, and up to 127 more, because events are kept
    /// and overwritten in blocks of 64.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::{Entry, Start};
    /// let journal = Journal::builder().capacity(64).build()?;
    /// for n in 0..1000 {
    ///     journal.publish(n)?;
    /// }
    /// let kept = journal.subscribe(Start::Oldest)?.try_iter().filter_map(Entry::event).count();
    /// assert!(kept >= 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Samples the system clock once per block of 64 events, so that subscribers can begin and end
    /// at a time.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// use std::time::SystemTime;
    /// let journal = Journal::builder().sample_time().build()?;
    /// let begin = SystemTime::now();
    /// journal.publish("event")?;
    /// assert_eq!(journal.subscribe(Start::Since(begin))?.recv()?.event(), Some("event"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sample_time(mut self) -> Self {
        self.time = TimeSource::sampled();
        self
    }

    /// Sets the function that returns an event's own time, so that subscribers can begin and end at
    /// a time.
    ///
    /// Only subscribers that begin or end at a time call `time`, on their own threads. Publishers
    /// never call it.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// use std::time::{Duration, SystemTime};
    /// let at = |hour: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(3600 * hour);
    /// let journal = Journal::builder().time_by(|(time, _): &(SystemTime, &str)| *time).build()?;
    /// journal.publish((at(8), "breakfast"))?;
    /// journal.publish((at(13), "lunch"))?;
    /// let mut afternoon = journal.subscribe(Start::Since(at(12)))?;
    /// assert_eq!(afternoon.recv()?.event(), Some((at(13), "lunch")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn time_by(mut self, time: impl Fn(&E) -> SystemTime + Send + Sync + 'static) -> Self {
        self.time = TimeSource::ByEvent(Arc::new(time));
        self
    }

    /// Sets how long a publisher waits for [gating](crate::journal::Subscription::gating)
    /// subscribers.
    ///
    /// After that the event is refused with [`WriteError::Timeout`](crate::WriteError::Timeout).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Journal, WriteError};
    /// use std::time::Duration;
    /// let journal = Journal::builder().capacity(64).gate_limit(Duration::from_millis(1)).build()?;
    /// let stuck = journal.subscription().gating().subscribe()?;
    /// let refused = (0..).find_map(|n| journal.publish(n).err());
    /// assert!(matches!(refused, Some(WriteError::Timeout(_))));
    /// drop(stuck); // publishers no longer wait for it
    /// journal.publish(0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gate_limit(mut self, limit: Duration) -> Self {
        self.gate_limit = limit;
        self
    }

    /// Creates a journal for any number of publishers.
    ///
    /// # Errors
    /// [`BuildError`] when a setting is invalid, or the memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::builder().capacity(256).build()?;
    /// std::thread::scope(|scope| {
    ///     for _ in 0..2 {
    ///         scope.spawn(|| journal.publish("event"));
    ///     }
    /// });
    /// assert_eq!(journal.subscribe(Start::Oldest)?.try_iter().count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<Journal<E>, BuildError> {
        let (writer, shared) = self.make(EntryCounters::shared_by_position())?;
        Ok(Journal(Arc::new(JournalHandle { writer: SharedWriter::from(writer), shared })))
    }

    /// Creates a journal with a single publisher, and a handle for subscribing to it.
    ///
    /// The single publisher needs no read-modify-write per event.
    ///
    /// # Errors
    /// [`BuildError`] when a setting is invalid, or the memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, feed) = Journal::builder().capacity(256).build_single()?;
    /// writer.publish("event")?;
    /// assert_eq!(feed.subscribe(Start::Oldest)?.try_iter().count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build_single(self) -> Result<(JournalWriter<E>, Feed<E>), BuildError> {
        let (writer, shared) = self.make(EntryCounters::private_by_position())?;
        Ok((JournalWriter::new(writer, &shared), Feed(shared)))
    }

    fn make(self, entry: EntryCounters) -> Result<(Writer<E>, Arc<JournalCore<E>>), BuildError> {
        let (writer, source) = ring(self.capacity)?;
        let pair = process_pair();
        let shared = JournalCore {
            source,
            sleepers: Arc::new(Sleepers::new(pair)),
            seats: Seats::default(),
            gates: Gates::new(self.gate_limit, pair),
            crew: Crew::new(),
            time: self.time,
            entry,
        };
        Ok((writer, Arc::new(shared)))
    }
}

impl<E: Send + Sync + 'static> Default for JournalBuilder<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for JournalBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalBuilder")
            .field("capacity", &self.capacity)
            .field("gate_limit", &self.gate_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::GATE_LIMIT;
    use crate::docs::default_of;

    #[test]
    fn page_of_defaults_has_the_gate_limit() {
        assert_eq!(default_of(&["gating subscriber"]), format!("{} s", GATE_LIMIT.as_secs()));
    }
}
