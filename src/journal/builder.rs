//! The settings of a journal.

use super::feed::Feed;
use super::gate::Gates;
use super::seat::Seats;
use super::shared::Shared;
use super::time::TimeSource;
use super::writer::JournalWriter;
use super::{Handle, Journal};
use crate::error::InvalidConfig;
use crate::ledger::EntryCounters;
use crate::ring::blocks::{SharedWriter, Writer, ring};
use crate::sync::membarrier::process_pair;
use crate::wait::Sleepers;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long a publisher waits for a gating subscriber, unless the journal says otherwise.
const GATE_LIMIT: Duration = Duration::from_secs(1);

/// The settings of a [`Journal`].
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | 1024 events |
/// | [`sample_time`](Self::sample_time), [`time_by`](Self::time_by) | the journal knows no times |
/// | [`gate_limit`](Self::gate_limit) | 1 second |
///
/// # Examples
/// ```
/// use buslane::{Journal, Start};
/// use std::time::SystemTime;
/// let journal = Journal::builder().capacity(256).time_by(|event: &SystemTime| *event).build()?;
/// let now = SystemTime::now();
/// journal.publish(now)?;
/// assert!(journal.subscribe(Start::Since(now))?.try_recv()?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// How many of the newest events are kept: at least so many, and up to 127 more, since they are kept and
    /// overwritten in blocks of 64.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// The journal looks at the system's clock once for each block of 64 events, so that subscribers can begin and end at a
    /// time.
    pub fn sample_time(mut self) -> Self {
        self.time = TimeSource::sampled();
        self
    }

    /// The events say when they came, so that subscribers can begin and end at a time. Subscribers ask, on their own threads, and
    /// only those that begin or end at a time; publishers never do.
    pub fn time_by(mut self, time: impl Fn(&E) -> SystemTime + Send + Sync + 'static) -> Self {
        self.time = TimeSource::ByEvent(Arc::new(time));
        self
    }

    /// How long a publisher waits for [gating](crate::Subscription::gating) subscribers before the event is refused with
    /// [`WriteError::Timeout`](crate::WriteError::Timeout).
    pub fn gate_limit(mut self, limit: Duration) -> Self {
        self.gate_limit = limit;
        self
    }

    /// Makes a journal that any number of threads publish into.
    ///
    /// # Errors
    /// [`InvalidConfig`] when a setting cannot be.
    pub fn build(self) -> Result<Journal<E>, InvalidConfig> {
        let (writer, shared) = self.make(EntryCounters::shared_by_position())?;
        Ok(Journal(Arc::new(Handle { writer: SharedWriter::from(writer), shared })))
    }

    /// Makes a journal that one thread publishes into, without a read-modify-write for each event, and the handle through
    /// which others read it.
    ///
    /// # Errors
    /// [`InvalidConfig`] when a setting cannot be.
    pub fn build_single(self) -> Result<(JournalWriter<E>, Feed<E>), InvalidConfig> {
        let (writer, shared) = self.make(EntryCounters::private_by_position())?;
        Ok((JournalWriter::new(writer, &shared), Feed(shared)))
    }

    fn make(self, entry: EntryCounters) -> Result<(Writer<E>, Arc<Shared<E>>), InvalidConfig> {
        let (writer, source) = ring(self.capacity)?;
        let pair = process_pair();
        let shared = Shared {
            source,
            sleepers: Sleepers::new(pair),
            seats: Seats::default(),
            gates: Gates::new(self.gate_limit, pair),
            time: self.time,
            entry,
        };
        Ok((writer, Arc::new(shared)))
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
