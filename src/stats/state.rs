//! The state of one sink, of a journal's subscriber and of a retry, as snapshots show it.

use super::ledger::Ledger;
use std::fmt;
use std::time::Duration;

/// The status of a sink: open, closed or drained.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use buslane::stats::SinkStatus;
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// assert_eq!(channel.state().status, SinkStatus::Open);
/// channel.write(1)?;
/// channel.close();
/// assert_eq!(channel.state().status, SinkStatus::Closed);
/// assert_eq!(receiver.recv()?, 1);
/// assert_eq!(channel.state().status, SinkStatus::Drained);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum SinkStatus {
    /// The sink accepts events.
    #[default]
    Open,
    /// The sink accepts no further events, and still has events that it accepted earlier.
    Closed,
    /// The sink is closed and empty: every event that it accepted was taken, handled or given up.
    ///
    /// A sink that queues no events itself, such as a bus, is drained as soon as it is closed. The
    /// same holds for a [`Journal`](crate::Journal), whose subscribers continue to read the events
    /// that it keeps.
    Drained,
}

impl fmt::Display for SinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Drained => "drained",
        })
    }
}

/// The kind of a sink, which also decides where its events are counted.
///
/// # Examples
/// ```
/// use buslane::{Bus, Channel, noop};
/// use buslane::stats::SinkKind;
/// let (channel, receiver) = Channel::lossy(8)?;
/// let bus = Bus::new();
/// bus.add(channel)?;
/// bus.add(noop())?;
/// bus.publish(7)?;
/// let snapshot = bus.snapshot();
/// let kinds: Vec<SinkKind> = snapshot.sinks.iter().map(|sink| sink.state.kind).collect();
/// assert_eq!(kinds, [SinkKind::Channel, SinkKind::Direct]);
/// assert_eq!(kinds[0].to_string(), "channel");
/// # drop(receiver);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SinkKind {
    /// A sink without its own ledger, which works inside its caller's call; the caller counts its
    /// events.
    #[default]
    Direct,
    /// A [`Batch`](crate::sink::Batch).
    Batch,
    /// A [`Bus`](crate::Bus) that is a sink of another bus.
    Bus,
    /// A [`Channel`](crate::Channel).
    Channel,
    /// A [`Journal`](crate::Journal).
    Journal,
    /// A [`KeyedRetry`](crate::retry::KeyedRetry) upstream of a direct sink.
    KeyedRetry,
    /// A [`Queue`](crate::Queue).
    Queue,
    /// A [`Retry`](crate::retry::Retry) upstream of a direct sink.
    Retry,
    /// A [`Tee`](crate::sink::Tee).
    Tee,
    /// Your own sink with a ledger, by its name.
    Custom(&'static str),
}

/// Serializes the kind as the text that `Display` writes.
#[cfg(feature = "serde")]
impl serde::Serialize for SinkKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl SinkKind {
    /// Returns `true` if the sink counts its own events.
    pub(crate) fn keeps_ledger(self) -> bool {
        self != Self::Direct
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Batch => "batch",
            Self::Bus => "bus",
            Self::Channel => "channel",
            Self::Journal => "journal",
            Self::KeyedRetry => "keyed-retry",
            Self::Queue => "queue",
            Self::Retry => "retry",
            Self::Tee => "tee",
            Self::Custom(name) => name,
        }
    }
}

impl fmt::Display for SinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The state of one sink in a snapshot.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use buslane::stats::SinkKind;
/// let (channel, receiver) = Channel::lossy(8)?;
/// channel.write("one")?;
/// channel.write("two")?;
/// let state = channel.state();
/// assert_eq!((state.kind, state.capacity, state.depth, state.ledger.pending), (SinkKind::Channel, 8, 2, 2));
/// # drop(receiver);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SinkState {
    /// The kind of the innermost sink that keeps a ledger; [`SinkKind::Direct`] if none does.
    pub kind: SinkKind,
    /// Whether the sink is open, closed or drained.
    pub status: SinkStatus,
    /// The events that wait in the sink, over all lanes.
    pub depth: u64,
    /// The most events that the sink's consumer ever found waiting in one lane.
    pub high_water: u64,
    /// The most events that one lane holds; 0 if it is unbounded.
    pub capacity: u64,
    /// The private lanes (SPSC rings) into the sink: one for each publisher, and those that a bus
    /// [keeps](crate::docs::memory#kept-lanes) for its next publishers.
    pub lanes: usize,
    /// The ledger of the sink.
    pub ledger: Ledger,
    /// The text of the last error or panic of the sink's handler.
    pub last_error: Option<String>,
    /// The time for which the backlog has not been drained, at least. It is counted from the first
    /// snapshot that saw the backlog.
    pub backlog_for: Option<Duration>,
    /// The age of the oldest pending event, at least; `None` if no event is pending.
    ///
    /// Events carry no time, so that a publish reads no clock. The age is counted from the first
    /// snapshot that saw the event, or from when a worker took it, whichever is known to be earlier.
    /// So take snapshots regularly: the first one that sees a backlog returns 0.
    pub oldest_for: Option<Duration>,
    /// The time for which a worker of a [`Queue`](crate::Queue) has been inside one call of user
    /// code, at least: the longest of all workers. `None` if no worker is inside.
    ///
    /// It is exact for the first event after a pause, and for the end of a batch or a flush, while
    /// batches take long. Otherwise it is counted from the first snapshot that saw the call.
    pub in_handler_for: Option<Duration>,
    /// The batches that the workers of a [`Queue`](crate::Queue) have handled.
    pub batches: u64,
    /// The most events of one batch.
    pub largest_batch: u64,
    /// The time that the workers spent in batches: in the handler, and in its
    /// [`end_of_batch`](crate::queue::Handler::end_of_batch).
    ///
    /// Short batches are sampled, and their time is an estimate.
    pub batch_time: Duration,
    /// The subscribers of a [`Journal`](crate::Journal), each with its own position.
    pub subscribers: Vec<SubscriberState>,
    /// The retries in the chain of sinks that begins here, the outermost first.
    pub retries: Vec<RetryState>,
}

impl SinkState {
    /// Adds what the workers of another sink are doing.
    pub(crate) fn merge_work(&mut self, other: &Self) {
        self.oldest_for = self.oldest_for.max(other.oldest_for);
        self.in_handler_for = self.in_handler_for.max(other.in_handler_for);
        self.batches += other.batches;
        self.largest_batch = self.largest_batch.max(other.largest_batch);
        self.batch_time += other.batch_time;
    }
}

/// The state of one subscriber of a [`Journal`](crate::Journal).
///
/// # Examples
/// ```
/// use buslane::Journal;
/// let journal = Journal::new(16)?;
/// let mut subscriber = journal.subscription().name("audit").subscribe()?;
/// journal.publish_batch(vec![1, 2, 3])?;
/// subscriber.recv()?;
/// let state = &journal.state().subscribers[0];
/// assert_eq!((state.name.as_deref(), state.next, state.behind), (Some("audit"), 1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct SubscriberState {
    /// The name that the subscriber was given.
    pub name: Option<String>,
    /// The number of the subscriber among all that its journal ever had. Another subscriber never has
    /// the same number.
    pub number: u64,
    /// The position of the next event that the subscriber reads.
    pub next: u64,
    /// The lag: the number of events that the subscriber has not read yet, including those that
    /// were already overwritten.
    pub behind: u64,
    /// Whether publishers wait for the subscriber.
    pub gating: bool,
    /// Whether the subscriber has reached its end, and reads no further events.
    pub ended: bool,
    /// The ledger of the subscriber. `offered` counts the events published since the position where
    /// it began, until its end. A missed event counts as evicted, and an event whose clone panicked as
    /// panicked. An event that a snapshot counted as offered, and that is after the end, is filtered.
    pub ledger: Ledger,
}

impl fmt::Display for SubscriberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or("subscriber"))?;
        write!(f, " (next {}, behind {}", self.next, self.behind)?;
        if self.gating {
            f.write_str(", gating")?;
        }
        if self.ended {
            f.write_str(", ended")?;
        }
        write!(f, "): {}", self.ledger)
    }
}

/// The counts of a retry beside its [`Ledger`]: attempts, and letters to its dead-letter sink.
///
/// They are part of the [`SinkState`] of every sink upstream of the retry.
///
/// # Examples
/// ```
/// use buslane::{Channel, Queue, Sink, sink_fn, SinkExt};
/// use buslane::retry::Backoff;
/// let (letters, dead) = Channel::lossy(8)?;
/// let sink = sink_fn(|_: &u32| Err("no route")).retry(Backoff::default().max_attempts(1)).dead_letters(letters);
/// let queue = sink.queue(8)?;
/// queue.write(7)?;
/// assert!(queue.close().is_done());
/// let state = queue.state();
/// assert_eq!((state.ledger.delivered, state.ledger.dropped.failed), (0, 1));
/// assert_eq!((state.retries[0].given_up, state.retries[0].letters_sent), (1, 1));
/// assert_eq!(state.last_error.as_deref(), Some("the sink failed: no route"));
/// # drop(dead);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct RetryState {
    /// Attempts after the first attempt of an event.
    pub retried: u64,
    /// Events that the policy gave up, or that a close gave up because it was cut short.
    pub given_up: u64,
    /// Letters that the dead-letter sink accepted and did not drop at once.
    pub letters_sent: u64,
    /// Letters that the dead-letter sink refused, dropped at once, or lost by a panic. After a
    /// refusal the event went back to the caller.
    pub letters_lost: u64,
    /// The text of the last error or panic that the retry saw.
    pub last_error: Option<String>,
}

impl fmt::Display for RetryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retried {}, given up {}", self.retried, self.given_up)?;
        write!(f, ", letters sent {}, letters lost {}", self.letters_sent, self.letters_lost)?;
        match &self.last_error {
            Some(error) => write!(f, "; last error: {error}"),
            None => Ok(()),
        }
    }
}
