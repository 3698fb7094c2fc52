//! The state of one sink, of a journal's subscriber and of a retry, as snapshots show it.

use super::ledger::Ledger;
use std::fmt;
use std::time::Duration;

/// Whether a sink takes events.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use buslane::stats::SinkStatus;
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// assert_eq!(channel.state().status, SinkStatus::Open);
/// channel.write(1)?;
/// channel.close();
/// assert_eq!(channel.state().status, SinkStatus::Closing);
/// assert_eq!(receiver.recv()?, 1);
/// assert_eq!(channel.state().status, SinkStatus::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum SinkStatus {
    /// It does.
    #[default]
    Open,
    /// It accepts no further events, and drains what it has.
    Closing,
    /// It takes none, and has none.
    Closed,
}

impl fmt::Display for SinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
        })
    }
}

/// What a sink is, which also says who counts its events.
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
    /// Its caller does its work and counts its events: the sink keeps no ledger of its own.
    #[default]
    Direct,
    /// A [`Batch`](crate::sink::Batch).
    Batch,
    /// A [`Bus`](crate::Bus) that is a sink of another one.
    Bus,
    /// A [`Channel`](crate::Channel).
    Channel,
    /// A [`Journal`](crate::Journal).
    Journal,
    /// A [`KeyedRetry`](crate::retry::KeyedRetry) in front of a direct sink.
    KeyedRetry,
    /// A [`Queue`](crate::Queue).
    Queue,
    /// A [`Retry`](crate::retry::Retry) in front of a direct sink.
    Retry,
    /// A [`Tee`](crate::sink::Tee).
    Tee,
    /// A sink of your own that keeps a ledger, by its name.
    Custom(&'static str),
}

/// As the text that `Display` writes.
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
}

impl fmt::Display for SinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
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
        })
    }
}

/// What a sink says about itself in a snapshot.
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
    /// What the innermost sink is that keeps a ledger; [`SinkKind::Direct`] if none does.
    pub kind: SinkKind,
    /// Whether it takes events.
    pub status: SinkStatus,
    /// Events that wait in it, over all lanes.
    pub depth: u64,
    /// The most events that its consumer ever found waiting in one lane.
    pub high_water: u64,
    /// Events that one lane holds at most; 0 where there is no such limit.
    pub capacity: u64,
    /// Its private lanes, one for each publisher.
    pub lanes: usize,
    /// Its books.
    pub ledger: Ledger,
    /// The text of the last error or panic of its handler.
    pub last_error: Option<String>,
    /// For how long at least its backlog has not been worked off, counted from the first snapshot that saw it.
    pub backlog_for: Option<Duration>,
    /// The subscribers of a [`Journal`](crate::Journal), each with its own place.
    pub subscribers: Vec<SubscriberState>,
    /// The retries in the chain of sinks that begins here, the outermost first.
    pub retries: Vec<RetryState>,
}

/// What one subscriber of a [`Journal`](crate::Journal) says about itself.
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
    /// The name that it was given.
    pub name: Option<String>,
    /// The place of the next event that it reads.
    pub next: u64,
    /// How many events lie ahead of it, those that were already overwritten included.
    pub behind: u64,
    /// Whether publishers wait for it.
    pub gating: bool,
    /// Whether it reads no more: it came to where it was to end.
    pub ended: bool,
    /// Its books: offered is what was published since the place where it began. What it missed counts as evicted, and an
    /// event whose clone panicked as panicked.
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

/// What a retry counts beside its [`Ledger`]: attempts, and letters to its dead-letter sink.
///
/// It is part of the [`SinkState`] of every sink in front of the retry.
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
    /// Attempts after an event's first one.
    pub retried: u64,
    /// Events that the policy gave up, or a close that was cut short.
    pub given_up: u64,
    /// Letters that the dead-letter sink accepted and did not drop at once.
    pub letters_sent: u64,
    /// Letters that the dead-letter sink refused, dropped at once, or lost by a panic. With a refusal the event went back to the
    /// caller.
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
