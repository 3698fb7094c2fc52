//! The books of a sink: what was offered, what became of it, and the check that it adds up.

mod disposition;
mod weight;

use crate::error::WriteError;
use crate::sync::{AtomicU64, Mutex, Ordering, add_single_writer, lock};
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use disposition::{Bookkeeper, HeldBack, Levels, Passage};
pub use disposition::{Disposition, Ledgers, Parts, RetryState};
pub use weight::Weight;
pub(crate) use weight::{Downstream, Load, Scales};

/// Events that a sink did not accept, by reason. Each went back to its publisher or was reported as refused.
///
/// # Examples
/// ```
/// use buslane::{Channel, Overflow, Sink};
/// let (channel, _receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build()?;
/// let written = (0..3).filter(|n| channel.write(*n).is_ok()).count();
/// let refused = channel.state().ledger.refused;
/// assert_eq!((written, refused.full, refused.total()), (1, 2, 2));
/// # Ok::<(), buslane::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// No room, and the policy is to refuse.
    pub full: u64,
    /// The sink was closed, or the publisher lost the race against the close.
    pub closed: u64,
    /// No room within the time that the policy allows.
    pub timeout: u64,
    /// Deliveries were nested too deeply.
    pub reentrant: u64,
    /// A sink without an inbox failed with the event in its hands.
    pub failed: u64,
}

impl Refused {
    /// All of them.
    ///
    /// # Examples
    /// ```
    /// let mut refused = buslane::Refused::default();
    /// (refused.full, refused.timeout) = (2, 1);
    /// assert_eq!(refused.total(), 3);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.full + self.closed + self.timeout + self.reentrant + self.failed
    }
}

/// Events that a sink accepted but did not deliver, by reason.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, receiver) = Channel::bounded(1)?;
/// channel.write(1)?;
/// channel.write(2)?; // no room
/// drop(receiver); // and the first is still unread
/// let dropped = channel.state().ledger.dropped;
/// assert_eq!((dropped.full, dropped.disconnected, dropped.total()), (1, 1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// No room, and the policy is to drop the newest.
    pub full: u64,
    /// Pushed out by a newer event.
    pub evicted: u64,
    /// Left unread when the receiver was dropped.
    pub disconnected: u64,
    /// Given up because a close was cut short at its deadline.
    pub aborted: u64,
    /// The handler returned an error, the inner sink refused the event, or a retry gave it to its dead letters.
    pub failed: u64,
    /// The handler, or another user callback that had the event, panicked.
    pub panicked: u64,
}

impl Dropped {
    /// All of them.
    ///
    /// # Examples
    /// ```
    /// let mut dropped = buslane::Dropped::default();
    /// (dropped.evicted, dropped.failed) = (2, 1);
    /// assert_eq!(dropped.total(), 3);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.full + self.evicted + self.disconnected + self.aborted + self.failed + self.panicked
    }
}

/// The counters of one sink.
///
/// At rest (nobody is publishing, and the consumer is between two events) two equations hold, and
/// [`check`](Self::check) verifies them:
///
/// ```text
/// offered  = accepted + refused
/// accepted = delivered + filtered + dropped + pending
/// ```
///
/// Every term is counted where it happens; `pending` is read from the rings, never computed from the others, so the
/// check can fail. While events flow the terms are read one after the other and may be off by what flowed meanwhile.
///
/// There is no count of events dropped by a removal: what a sink accepted before it was removed is still handled.
///
/// # Chains of sinks
/// Each event counts once, and the ledger of the outermost sink reports what became of it, however many sinks it passes through:
/// - An inner sink that decides at once reports the [`Disposition`] of the event outward, through [`Sink::offer`](crate::Sink::offer).
///   A filter's `filtered`, a full channel's `dropped.full` and a retry's dead letters are counted by every stage in front.
/// - An inner sink that decides later (a queue, a channel, a batch, a retry by key) answers [`Disposition::Pending`]. A stage in
///   front then counts the event as what the ledger of that sink says: `pending`, until it is delivered or dropped there. If
///   others write to the inner sink too, their events cannot be told apart, and what it accepted counts as `delivered` in front.
/// - Attempts are no events: a retry counts an event once, and attempts in its [`RetryState`]. An event that went to the dead
///   letters is `dropped.failed`, with the last attempt's error as the last error; whether its letter arrived is in the
///   [`RetryState`].
/// - A panic that unwinds out of a sink is counted by the stage that caught it.
///
/// - A [`Batch`](crate::Batch) counts the events in its batches, through the same chain. A queue of batches counts batches in its own
///   ledger, and the batch upstream still reports how many *events* the queue delivered, dropped, or has not handled yet. A sink that
///   takes a part of a batch, and gives the rest back, has delivered that part. An answer to a whole batch, such as the `500` of an
///   HTTP endpoint, holds for each event in it.
///
/// Such a chain ends where one event becomes several. Upstream of a [`Bus`](crate::Bus) or a
/// [`Tee`](crate::Tee) an event is `delivered` when at least one of the sinks accepted it and did not drop it at once, and each
/// of these reports for itself; what a filter on an inner bus keeps away is `filtered` there, and `delivered` upstream. A bus of batches
/// answers for whole batches. A [`map`](crate::SinkExt::map) from batches to another type, upstream of a queue, hides the events: then
/// the batch upstream reports what became of them only while all batches came to the same end. A [`Journal`](crate::Journal)
/// delivers what it accepts, and its
/// subscribers have ledgers of their own.
///
/// # Examples
/// ```
/// let (channel, mut receiver) = buslane::Channel::bounded(1)?;
/// let bus = buslane::Bus::new();
/// bus.add(channel)?;
/// let mut publisher = bus.publisher();
/// publisher.publish(1)?;
/// publisher.publish(2)?; // no room: the newest is dropped
/// receiver.recv()?;
/// let ledger = bus.snapshot().sinks[0].state.ledger;
/// assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.full), (2, 1, 1));
/// ledger.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Events that were offered to the sink. One that waits for room counts when it got in or gave up.
    pub offered: u64,
    /// Events that the sink accepted.
    pub accepted: u64,
    /// Events that the sink refused, by reason.
    pub refused: Refused,
    /// Events whose handling ended well, or that a reader took.
    pub delivered: u64,
    /// Events that a filter in front of the sink kept away from it.
    pub filtered: u64,
    /// Events that were accepted and lost, by reason.
    pub dropped: Dropped,
    /// Events in the sink's rings and in its hands.
    pub pending: u64,
}

/// The ledger does not add up.
///
/// # Examples
/// ```
/// use buslane::Ledger;
/// let mut ledger = Ledger::default();
/// ledger.offered = 1;
/// let imbalance = ledger.check().unwrap_err();
/// assert_eq!(imbalance.to_string(), "the ledger does not balance: offered 1 = accepted 0; accepted = delivered 0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imbalance(pub Box<Ledger>);

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger does not balance: {}", self.0)
    }
}

impl std::error::Error for Imbalance {}

impl Ledger {
    /// Verifies both equations. Meaningful at rest only.
    ///
    /// # Errors
    /// [`Imbalance`] with the ledger when one of them does not hold.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, receiver) = Channel::bounded(1)?;
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
    /// Events that foreign code in front of the sink's own books lost by a panic.
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
        self.dropped.disconnected += other.dropped.disconnected;
        self.dropped.aborted += other.dropped.aborted;
        self.dropped.failed += other.dropped.failed;
        self.dropped.panicked += other.dropped.panicked;
        self.pending += other.pending;
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offered {} = accepted {}", self.offered, self.accepted)?;
        let refused = self.refused;
        let dropped = self.dropped;
        for (name, count) in [
            ("refused(full)", refused.full),
            ("refused(closed)", refused.closed),
            ("refused(timeout)", refused.timeout),
            ("refused(reentrant)", refused.reentrant),
            ("refused(failed)", refused.failed),
        ] {
            if count > 0 {
                write!(f, " + {name} {count}")?;
            }
        }
        write!(f, "; accepted = delivered {}", self.delivered)?;
        for (name, count) in [
            ("filtered", self.filtered),
            ("dropped(full)", dropped.full),
            ("dropped(evicted)", dropped.evicted),
            ("dropped(disconnected)", dropped.disconnected),
            ("dropped(aborted)", dropped.aborted),
            ("dropped(failed)", dropped.failed),
            ("dropped(panicked)", dropped.panicked),
            ("pending", self.pending),
        ] {
            if count > 0 {
                write!(f, " + {name} {count}")?;
            }
        }
        Ok(())
    }
}

/// Why an accepted event was dropped; what an `on_drop` hook is told, and what a [`Disposition`] says.
///
/// # Examples
/// ```
/// use buslane::{Channel, DropReason, Overflow, Sink};
/// let (sender, dropped) = std::sync::mpsc::channel();
/// let builder = Channel::builder().capacity(1).overflow(Overflow::DropOldest);
/// let (channel, receiver) = builder.on_drop(move |n: u32, reason| drop(sender.send((n, reason)))).build()?;
/// channel.write(1)?;
/// channel.write(2)?;
/// drop(receiver);
/// assert!(dropped.try_iter().eq([(1, DropReason::Evicted), (2, DropReason::Disconnected)]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// No room, and the policy is to drop the newest.
    Full,
    /// Pushed out by a newer event.
    Evicted,
    /// Left unread when the receiver was dropped.
    Disconnected,
    /// Given up because a close was cut short at its deadline.
    Aborted,
    /// Refused by the sink behind a [`Queue`](crate::QueueBuilder::spawn_sink), which gave the event back with the error. What a
    /// closure or a handler fails with is gone: it counts as `failed`, and no `on_drop` hook is told. Also given to the dead
    /// letters of a retry, which are told in place of a hook.
    Failed,
    /// Lost by a panic of user code that had it. No `on_drop` hook is told.
    Panicked,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Evicted => "evicted",
            Self::Disconnected => "disconnected",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
        })
    }
}

/// Whether a sink takes events.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, SinkStatus};
/// let (channel, mut receiver) = Channel::bounded(8)?;
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
pub enum SinkStatus {
    /// It does.
    #[default]
    Open,
    /// It takes none, and works off what it has.
    Closing,
    /// It takes none, and has none.
    Closed,
}

/// What a sink says about itself in a snapshot.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, receiver) = Channel::bounded(8)?;
/// channel.write("one")?;
/// channel.write("two")?;
/// let state = channel.state();
/// assert_eq!((state.kind, state.capacity, state.depth, state.ledger.pending), ("channel", 8, 2, 2));
/// # drop(receiver);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkState {
    /// What kind of sink it is, innermost: `"queue"`, `"channel"`, … Empty where the sink does not say.
    pub kind: &'static str,
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
/// let mut subscriber = journal.subscription().named("audit").subscribe()?;
/// journal.publish_batch(vec![1, 2, 3])?;
/// subscriber.recv()?;
/// let state = &journal.state().subscribers[0];
/// assert_eq!((state.name.as_deref(), state.next, state.behind), (Some("audit"), 1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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

/// One reason why an event was not accepted, or was dropped on entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    RefusedFull,
    RefusedClosed,
    RefusedTimeout,
    RefusedReentrant,
    RefusedFailed,
    /// Accepted and delivered at once: a direct sink.
    Delivered,
    DroppedFull,
    /// Accepted and given up: the sink behind failed.
    DroppedFailed,
    DroppedPanicked,
    /// As `DroppedPanicked`: the panic of the sink was caught here, and the sink has not counted the event.
    Unwound,
    Filtered,
    /// Accepted by an inner sink that decides later.
    Passed,
    /// Accepted into a queue without positions of its own.
    Queued,
    /// An event accepted earlier was pushed out.
    Evicted,
    /// An event accepted earlier was given up.
    Aborted,
    /// An event accepted earlier was left unread.
    Disconnected,
}

const OUTCOMES: usize = 16;

impl Outcome {
    /// How an event counts that a sink gave back.
    pub(crate) fn refused<E>(error: &WriteError<E>) -> Self {
        match error {
            WriteError::Full(_) => Self::RefusedFull,
            WriteError::Closed(_) => Self::RefusedClosed,
            WriteError::Timeout(_) => Self::RefusedTimeout,
            WriteError::Reentrant(_) => Self::RefusedReentrant,
            WriteError::Failed { .. } => Self::RefusedFailed,
        }
    }
}

/// The counters of one way in. Private ones have one writer and use plain stores; shared ones read-modify-writes.
/// Aligned so that two publishers' counters never share a line.
#[repr(align(128))]
pub(crate) struct EntryCounters {
    shared: bool,
    /// Offers that succeed are counted by the position of a ring, and only the others here.
    by_position: bool,
    offered: AtomicU64,
    outcomes: [AtomicU64; OUTCOMES],
}

impl EntryCounters {
    /// For one writer.
    pub(crate) fn private() -> Self {
        Self::new(false, false)
    }

    /// For one writer into a ring, whose position counts the offers that succeed.
    pub(crate) fn private_by_position() -> Self {
        Self::new(false, true)
    }

    /// For any number of writers.
    pub(crate) fn shared() -> Self {
        Self::new(true, false)
    }

    /// For any number of writers into a ring, whose position counts the offers that succeed: it is moved by a
    /// read-modify-write anyway, and a second one per event would be too much.
    pub(crate) fn shared_by_position() -> Self {
        Self::new(true, true)
    }

    fn new(shared: bool, by_position: bool) -> Self {
        Self {
            shared,
            by_position,
            offered: AtomicU64::new(0),
            outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    #[inline(always)]
    pub(crate) fn offered(&self, n: u64) {
        if !self.by_position {
            self.add(&self.offered, n);
        }
    }

    /// Events that were accepted into a queue without positions, or are about to be.
    pub(crate) fn queued(&self) -> u64 {
        self.outcomes[Outcome::Queued as usize].load(Ordering::Relaxed)
    }

    /// Counts what became of one offer that was accepted.
    #[inline]
    pub(crate) fn disposed(&self, disposition: Disposition) {
        self.count_disposed(disposition, 1);
    }

    #[inline]
    fn count_disposed(&self, disposition: Disposition, events: u64) {
        let outcome = match disposition {
            Disposition::Partly(parts) => return self.count_disposed(parts.rest(), events),
            Disposition::Delivered => Outcome::Delivered,
            Disposition::Pending => Outcome::Passed,
            Disposition::Filtered => Outcome::Filtered,
            Disposition::Dropped(DropReason::Full) => Outcome::DroppedFull,
            Disposition::Dropped(DropReason::Failed) => Outcome::DroppedFailed,
            Disposition::Dropped(DropReason::Panicked) => Outcome::DroppedPanicked,
            Disposition::Dropped(reason) => {
                self.count(Outcome::Queued, events);
                match reason {
                    DropReason::Evicted => Outcome::Evicted,
                    DropReason::Disconnected => Outcome::Disconnected,
                    _ => Outcome::Aborted,
                }
            }
        };
        self.count(outcome, events);
    }

    /// Events that were passed on to an inner sink that decides later. They count as delivered, until
    /// [`Ledger::follow`] says more.
    pub(crate) fn passed(&self) -> u64 {
        self.outcomes[Outcome::Passed as usize].load(Ordering::Relaxed)
    }

    /// Whether nothing was offered.
    pub(crate) fn is_unused(&self) -> bool {
        self.offered.load(Ordering::Relaxed) == 0
    }

    /// Events lost by panics of the sink.
    pub(crate) fn unwound(&self) -> u64 {
        self.outcomes[Outcome::Unwound as usize].load(Ordering::Relaxed)
    }

    /// Events that were accepted and given up.
    pub(crate) fn aborted(&self) -> u64 {
        self.outcomes[Outcome::Aborted as usize].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn count(&self, outcome: Outcome, n: u64) {
        self.add(&self.outcomes[outcome as usize], n);
    }

    #[inline(always)]
    fn add(&self, counter: &AtomicU64, n: u64) {
        if self.shared {
            // Relaxed: a count publishes nothing.
            counter.fetch_add(n, Ordering::Relaxed);
        } else {
            add_single_writer(counter, n);
        }
    }

    /// Adds these counters to a ledger. What was accepted into a ring is the ring's to say; the rest is known here.
    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        let get = |outcome: Outcome| self.outcomes[outcome as usize].load(Ordering::Relaxed);
        ledger.offered += self.offered.load(Ordering::Relaxed);
        if self.by_position {
            ledger.offered += get(Outcome::RefusedFull)
                + get(Outcome::RefusedClosed)
                + get(Outcome::RefusedTimeout)
                + get(Outcome::DroppedFull);
        }
        ledger.refused.full += get(Outcome::RefusedFull);
        ledger.refused.closed += get(Outcome::RefusedClosed);
        ledger.refused.timeout += get(Outcome::RefusedTimeout);
        ledger.refused.reentrant += get(Outcome::RefusedReentrant);
        ledger.refused.failed += get(Outcome::RefusedFailed);
        ledger.delivered += get(Outcome::Delivered) + get(Outcome::Passed);
        ledger.filtered += get(Outcome::Filtered);
        ledger.dropped.full += get(Outcome::DroppedFull);
        ledger.dropped.failed += get(Outcome::DroppedFailed);
        ledger.dropped.panicked += get(Outcome::DroppedPanicked) + get(Outcome::Unwound);
        ledger.dropped.evicted += get(Outcome::Evicted);
        ledger.dropped.aborted += get(Outcome::Aborted);
        ledger.dropped.disconnected += get(Outcome::Disconnected);
        ledger.accepted += get(Outcome::Delivered)
            + get(Outcome::Passed)
            + get(Outcome::Filtered)
            + get(Outcome::DroppedFull)
            + get(Outcome::DroppedFailed)
            + get(Outcome::DroppedPanicked)
            + get(Outcome::Unwound)
            + get(Outcome::Queued);
    }
}

/// The counters of everything that enters at one place: one set for everybody, and one for each publisher.
pub(crate) struct Counters {
    everybody: EntryCounters,
    publishers: Mutex<PublisherCounters>,
}

/// Says when to walk a list for entries that are over.
///
/// A walk for each entry that is added would make `n` entries cost `n * n` steps. A list that has doubled since the last walk is
/// walked again, and a short one every time: an entry costs a few steps, and a list holds at most twice the live entries.
#[derive(Default)]
pub(crate) struct FoldPace {
    left: usize,
}

impl FoldPace {
    /// The length up to which every addition walks the list.
    const SHORT: usize = 16;

    /// Whether a list of this length is to be walked now.
    pub(crate) fn is_due(&self, length: usize) -> bool {
        length <= Self::SHORT || length >= 2 * self.left
    }

    /// The list was walked, and has this length now.
    pub(crate) fn walked(&mut self, length: usize) {
        self.left = length;
    }
}

#[derive(Default)]
struct PublisherCounters {
    live: Vec<Arc<EntryCounters>>,
    pace: FoldPace,
    /// The sum of those whose publishers are gone.
    folded: Ledger,
    folded_unwound: u64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self { everybody: EntryCounters::shared(), publishers: Mutex::new(PublisherCounters::default()) }
    }

    /// The set for everybody who has none.
    pub(crate) fn everybody(&self) -> &EntryCounters {
        &self.everybody
    }

    /// A set for one publisher.
    pub(crate) fn for_publisher(&self) -> Arc<EntryCounters> {
        let counters = Arc::new(EntryCounters::private());
        let mut publishers = lock(&self.publishers);
        if publishers.pace.is_due(publishers.live.len()) {
            publishers.fold();
        }
        publishers.live.push(counters.clone());
        counters
    }

    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        self.everybody.add_to(ledger);
        let mut publishers = lock(&self.publishers);
        publishers.fold();
        *ledger += publishers.folded;
        publishers.live.iter().for_each(|counters| counters.add_to(ledger));
    }

    /// Events lost by panics of the sink.
    pub(crate) fn unwound(&self) -> u64 {
        let publishers = lock(&self.publishers);
        let live = publishers.live.iter().map(|counters| counters.unwound()).sum::<u64>();
        self.everybody.unwound() + publishers.folded_unwound + live
    }
}

impl PublisherCounters {
    fn fold(&mut self) {
        let Self { live, pace, folded, folded_unwound } = self;
        // `get_mut` succeeds only for the last owner, and sees what the publisher counted.
        live.retain_mut(|counters| match Arc::get_mut(counters) {
            Some(counters) => {
                counters.add_to(folded);
                *folded_unwound += counters.unwound();
                false
            }
            None => true,
        });
        pace.walked(live.len());
    }
}
