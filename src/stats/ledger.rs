//! The ledger of a sink: the events offered, what became of them, and the check that the counts add
//! up.

use std::fmt;
use std::ops::AddAssign;

/// Events that a sink did not accept, by reason.
///
/// Each event went back to its publisher, or was reported as refused.
///
/// # Examples
/// ```
/// use buslane::{Channel, Overflow, Sink};
/// let (channel, _receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build()?;
/// let written = (0..3).filter(|n| channel.write(*n).is_ok()).count();
/// let refused = channel.state().ledger.refused;
/// assert_eq!((written, refused.full, refused.total()), (1, 2, 2));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Refused {
    /// The sink had no room, and its policy is to refuse.
    pub full: u64,
    /// The sink was closed, or the publisher lost the race against the close.
    pub closed: u64,
    /// The sink had no room within the time that its policy allows.
    pub timeout: u64,
    /// Deliveries were nested too deeply.
    pub reentrant: u64,
    /// A sink without a mailbox failed while it handled the event.
    pub failed: u64,
}

impl Refused {
    /// Returns the number of refused events.
    ///
    /// # Examples
    /// ```
    /// let mut refused = buslane::stats::Refused::default();
    /// (refused.full, refused.timeout) = (2, 1);
    /// assert_eq!(refused.total(), 3);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.full + self.closed + self.timeout + self.reentrant + self.failed
    }

    /// Returns the name of each reason, and its count.
    pub(crate) fn by_reason(&self) -> [(&'static str, u64); 5] {
        [
            ("full", self.full),
            ("closed", self.closed),
            ("timeout", self.timeout),
            ("reentrant", self.reentrant),
            ("failed", self.failed),
        ]
    }
}

/// Events that a sink accepted but did not deliver, by reason.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, receiver) = Channel::lossy(1)?;
/// channel.write(1)?;
/// channel.write(2)?; // no room
/// drop(receiver); // and the first is still unread
/// let dropped = channel.state().ledger.dropped;
/// assert_eq!((dropped.full, dropped.receiver_dropped, dropped.total()), (1, 1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Dropped {
    /// The sink had no room, and its policy is to drop the newest event.
    pub full: u64,
    /// Evicted by a newer event (drop-oldest).
    pub evicted: u64,
    /// Left unread when the receiver was dropped.
    pub receiver_dropped: u64,
    /// Given up because a close was cut short at its deadline.
    pub aborted: u64,
    /// The handler returned an error, the inner sink refused the event, or a retry gave it to its
    /// dead letters.
    pub failed: u64,
    /// The handler, or another user callback that had the event, panicked.
    pub panicked: u64,
}

impl Dropped {
    /// Returns the number of dropped events.
    ///
    /// # Examples
    /// ```
    /// let mut dropped = buslane::stats::Dropped::default();
    /// (dropped.evicted, dropped.failed) = (2, 1);
    /// assert_eq!(dropped.total(), 3);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.full + self.evicted + self.receiver_dropped + self.aborted + self.failed + self.panicked
    }

    /// Returns the name of each reason, and its count.
    pub(crate) fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("full", self.full),
            ("evicted", self.evicted),
            ("receiver_dropped", self.receiver_dropped),
            ("aborted", self.aborted),
            ("failed", self.failed),
            ("panicked", self.panicked),
        ]
    }
}

/// The counters of one sink.
///
/// At rest, when no thread is publishing and the consumer is between two events, two equations
/// hold. [`check`](Self::check) verifies them:
///
/// ```text
/// offered  = accepted + refused
/// accepted = delivered + filtered + dropped + pending
/// ```
///
/// Every term is counted where it happens. `pending` is read from the rings and never computed from
/// the other terms, so the check can fail. While events flow, the terms are read one after the
/// other, and may differ by the events that flow in between.
///
/// No term counts events dropped by a removal: events that a sink accepted before its removal are
/// still handled.
///
/// # Chains of sinks
/// Each event counts once. The ledger of the outermost sink reports what became of the event,
/// however many sinks it passes through:
/// - An inner sink that decides at once reports the [`Disposition`](super::Disposition) of the
///   event upstream, through [`Sink::offer`](crate::Sink::offer). Every upstream stage counts a
///   filter's `filtered`, a full channel's `dropped.full` and a retry's dead letters.
/// - An inner sink that decides later (a queue, a channel, a batch, a retry by key) returns
///   [`Disposition::Pending`](super::Disposition::Pending). An upstream stage then counts the event
///   as the ledger of that sink does: `pending`, until it is delivered or dropped there. If other
///   writers use the inner sink too, their events cannot be told apart, and the upstream stage
///   counts the events that the inner sink accepted as `delivered`.
/// - Attempts are not events. A retry counts an event once, and counts attempts in its
///   [`RetryState`](super::RetryState). An event that went to the dead letters is `dropped.failed`,
///   with the error of the last attempt as the last error. Whether its letter arrived is in the
///   [`RetryState`](super::RetryState).
/// - A panic that unwinds out of a sink is counted by the stage that caught it.
///
/// - A [`Batch`](crate::sink::Batch) counts the events in its batches, through the same chain. A
///   queue of batches counts batches in its own ledger, and the batch upstream still reports how
///   many *events* the queue delivered, dropped, or has not handled yet. A sink that accepts a part
///   of a batch, and gives the rest back, has delivered that part. A response to a whole batch,
///   such as the `500` of an HTTP endpoint, applies to each event in it.
///
/// Such a chain ends where one event becomes several:
///
/// - Upstream of a [`Bus`](crate::Bus) or a [`Tee`](crate::sink::Tee), an event is `delivered` if
///   at least one of the sinks accepted it and did not drop it at once. Each of these sinks reports
///   for itself: an event that a filter on an inner bus holds back is `filtered` there, and
///   `delivered` upstream.
/// - A bus of batches reports on whole batches.
/// - A [`map`](crate::SinkExt::map) from batches to another type, upstream of a queue, hides the
///   events. Then the batch upstream reports what became of them only while all batches have the
///   same outcome.
/// - A [`Journal`](crate::Journal) delivers what it accepts, and each of its subscribers has its
///   own ledger.
///
/// # Examples
/// ```
/// let (channel, mut receiver) = buslane::Channel::lossy(1)?;
/// let bus = buslane::Bus::new();
/// bus.add_named("feed", channel)?;
/// let mut publisher = bus.publisher();
/// publisher.publish(1)?;
/// publisher.publish(2)?; // no room: the newest is dropped
/// receiver.recv()?;
/// let ledger = bus.snapshot().sink("feed").expect("it was added").state.ledger;
/// assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.full), (2, 1, 1));
/// ledger.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Ledger {
    /// Events that were offered to the sink. An event that waits for room counts once it is
    /// accepted or given up.
    pub offered: u64,
    /// Events that the sink accepted.
    pub accepted: u64,
    /// Events that the sink refused, by reason.
    pub refused: Refused,
    /// Events that were handled without an error, or that a reader took.
    pub delivered: u64,
    /// Events that a filter upstream held back from the sink.
    pub filtered: u64,
    /// Events that were accepted and lost, by reason.
    pub dropped: Dropped,
    /// Events in the sink's rings, and events that it is handling.
    pub pending: u64,
}

/// The error for a ledger that does not balance.
///
/// # Examples
/// ```
/// use buslane::stats::Ledger;
/// let mut ledger = Ledger::default();
/// ledger.offered = 1;
/// let imbalance = ledger.check().unwrap_err();
/// assert_eq!(imbalance.to_string(), "the ledger does not balance: offered 1 = accepted 0; accepted 0 = delivered 0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Imbalance(pub Box<Ledger>);

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger does not balance: {}", self.0)
    }
}

impl std::error::Error for Imbalance {}

impl Ledger {
    /// Verifies both equations of the ledger, which hold at rest only.
    ///
    /// # Errors
    /// [`Imbalance`] with the ledger, if one of the equations does not hold.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, receiver) = Channel::lossy(1)?;
    /// (1..=2).try_for_each(|n| channel.write(n))?;
    /// drop(receiver);
    /// channel.state().ledger.check()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self) -> Result<(), Imbalance> {
        let entry = self.accepted + self.refused.total();
        let exit = self.delivered + self.filtered + self.dropped.total() + self.pending;
        if self.offered == entry && self.accepted == exit { Ok(()) } else { Err(Imbalance(Box::new(*self))) }
    }
}

impl Ledger {
    /// Counts events that user code upstream of the sink's own counters lost by a panic.
    pub(crate) fn add_panicked(&mut self, events: u64) {
        self.offered += events;
        self.accepted += events;
        self.dropped.panicked += events;
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.offered += other.offered;
        self.accepted += other.accepted;
        self.refused.full += other.refused.full;
        self.refused.closed += other.refused.closed;
        self.refused.timeout += other.refused.timeout;
        self.refused.reentrant += other.refused.reentrant;
        self.refused.failed += other.refused.failed;
        self.delivered += other.delivered;
        self.filtered += other.filtered;
        self.dropped.full += other.dropped.full;
        self.dropped.evicted += other.dropped.evicted;
        self.dropped.receiver_dropped += other.dropped.receiver_dropped;
        self.dropped.aborted += other.dropped.aborted;
        self.dropped.failed += other.dropped.failed;
        self.dropped.panicked += other.dropped.panicked;
        self.pending += other.pending;
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offered {} = accepted {}", self.offered, self.accepted)?;
        for (reason, count) in self.refused.by_reason() {
            if count > 0 {
                write!(f, " + refused({reason}) {count}")?;
            }
        }
        write!(f, "; accepted {} = delivered {}", self.accepted, self.delivered)?;
        if self.filtered > 0 {
            write!(f, " + filtered {}", self.filtered)?;
        }
        for (reason, count) in self.dropped.by_reason() {
            if count > 0 {
                write!(f, " + dropped({reason}) {count}")?;
            }
        }
        if self.pending > 0 {
            write!(f, " + pending {}", self.pending)?;
        }
        Ok(())
    }
}

/// The reason why an accepted event was dropped.
///
/// An `on_drop` hook receives it, and a [`Disposition`](super::Disposition) reports it.
///
/// # Examples
/// ```
/// use buslane::{Channel, Overflow, Sink};
/// use buslane::stats::DropReason;
/// let (sender, dropped) = std::sync::mpsc::channel();
/// let builder = Channel::builder().capacity(1).overflow(Overflow::DropOldest);
/// let (channel, receiver) = builder.on_drop(move |n: u32, reason| drop(sender.send((n, reason)))).build()?;
/// channel.write(1)?;
/// channel.write(2)?;
/// drop(receiver);
/// assert!(dropped.try_iter().eq([(1, DropReason::Evicted), (2, DropReason::ReceiverDropped)]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum DropReason {
    /// The sink had no room, and its policy is to drop the newest event.
    Full,
    /// Evicted by a newer event (drop-oldest).
    Evicted,
    /// Left unread when the receiver was dropped.
    ReceiverDropped,
    /// Given up because a close was cut short at its deadline.
    Aborted,
    /// Refused by the sink downstream of a [`Queue`](crate::queue::QueueBuilder::spawn_sink), which
    /// gave the event back with the error, or given to the dead letters of a retry.
    ///
    /// Dead letters take the place of an `on_drop` hook. An event with which a closure or a handler
    /// fails is gone: it counts as `failed`, and no `on_drop` hook is called.
    Failed,
    /// Lost by a panic of user code that had the event. No `on_drop` hook is called.
    Panicked,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Evicted => "evicted",
            Self::ReceiverDropped => "receiver_dropped",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
        })
    }
}
