//! One reader of a journal.

mod find;
mod polling;
mod reading;
#[cfg(not(all(loom, feature = "loom")))]
mod slices;

pub use polling::RecvEntry;

use super::bounds::{Bounds, Judgement, Wanted};
use super::core::JournalCore;
use super::entry::Sequence;
use super::seat::Seat;
use crate::ring::blocks::Reader;
use crate::stats::SubscriberState;
use crate::wait::linger::Linger;
use crate::wait::strategy::Idler;
use crate::wait::{Berth, WaitStrategy};
use std::fmt;
use std::sync::Arc;

/// One reader of a journal, with a place of its own: blocking, polling, timed, iterating, in place or async.
///
/// It answers as the [`Receiver`](crate::Receiver) of a channel does, with an [`Entry`](crate::journal::Entry) in place of the event. The stream ends with
/// [`RecvError::Closed`](crate::error::RecvError::Closed) when the journal is closed and read to its end, or this subscriber has reached where it was to end. What it
/// has missed is a value of the stream: [`Entry::Lagged`](crate::journal::Entry::Lagged) comes first, and no method returns [`RecvError::Overflowed`](crate::error::RecvError::Overflowed).
///
/// # Guarantees
/// - **Order**: the one total order of the journal, the same for every subscriber.
/// - **Delivery**: each event from where it began, once, or counted exactly in an [`Entry::Lagged`](crate::journal::Entry::Lagged).
/// - **Progress**: it holds up neither publishers nor other subscribers, whatever it does, unless it is
///   [gating](crate::journal::Subscription::gating). Reading is lock-free, and wait-free within a block of 64 events.
/// - **Allocation**: none.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Start};
/// let journal = Journal::new(2)?;
/// (0..10).for_each(|n| { let _ = journal.publish(n); });
/// let mut subscriber = journal.subscribe(Start::Oldest)?;
/// let sequence = match subscriber.recv()? {
///     Entry::Event(sequence, event) => {
///         assert_eq!(event, 8);
///         sequence
///     }
///     other => unreachable!("{other:?}"),
/// };
/// drop(subscriber); // … and later:
/// let mut again = journal.subscribe(Start::At(sequence.next()))?;
/// assert_eq!(again.recv()?.event(), Some(9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscriber<E: Send + Sync + 'static> {
    reader: Reader<E>,
    seat: Arc<Seat>,
    /// Every event is wanted, to the end of the journal.
    takes_all: bool,
    /// It takes all of them, and no publisher waits for it.
    is_plain: bool,
    /// Nothing follows.
    ended: bool,
    gating: bool,
    /// Copies of the seat's, which are stored and never loaded.
    delivered: u64,
    bounds: Bounds<E>,
    wanted: Option<Wanted<E>>,
    /// What was found out about an event that is still to come.
    judged: Option<(u64, Result<Judgement, String>)>,
    ends_on_lag: bool,
    shared: Arc<JournalCore<E>>,
    berth: Berth,
    idler: Idler,
    linger: Linger,
    /// Where it was when it last waited, and when it last lingered.
    waited_at: u64,
    lingered_at: u64,
    /// The position that was last reported to publishers, if this is a gating subscriber.
    reported_at: Option<u64>,
}

impl<E: Send + Sync + 'static> Subscriber<E> {
    pub(super) fn new(
        shared: &Arc<JournalCore<E>>,
        reader: Reader<E>,
        seat: Arc<Seat>,
        wanted: Option<Wanted<E>>,
        wait: WaitStrategy,
        ends_on_lag: bool,
    ) -> Self {
        Self {
            reader,
            takes_all: wanted.is_none(),
            is_plain: wanted.is_none() && !seat.is_gating(),
            ended: false,
            gating: seat.is_gating(),
            seat,
            delivered: 0,
            bounds: Bounds::none(),
            wanted,
            judged: None,
            ends_on_lag,
            berth: shared.sleepers.berth(),
            shared: shared.clone(),
            idler: Idler::new(wait),
            linger: Linger::new(),
            waited_at: 0,
            lingered_at: 0,
            reported_at: None,
        }
    }

    pub(super) fn reader(&mut self) -> &mut Reader<E> {
        &mut self.reader
    }

    pub(super) fn begin(&mut self, position: u64, bounds: Bounds<E>) {
        self.reader.seek(position);
        self.seat.begin_at(position);
        // Seen by others from here on, when it has a place.
        self.shared.seats.add(self.seat.clone());
        self.takes_all &= bounds.are_none();
        self.is_plain &= self.takes_all;
        self.bounds = bounds;
        self.waited_at = position;
        self.lingered_at = position;
        if self.gating {
            self.gate_moved();
        }
    }

    /// The place of the next event: what to go on with after a reconnect.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// journal.publish_batch(vec!["one", "two"])?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Oldest)?;
    /// subscriber.recv()?;
    /// let resume = subscriber.next_sequence();
    /// drop(subscriber); // … and later:
    /// let mut again = journal.subscribe(buslane::journal::Start::At(resume))?;
    /// assert_eq!(again.recv()?.event(), Some("two"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        Sequence::new(self.reader.position())
    }

    /// How many events lie ahead, those already overwritten included; none when it has come to its end.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// journal.publish_batch(vec!["one", "two"])?;
    /// subscriber.recv()?;
    /// assert_eq!(subscriber.behind(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn behind(&self) -> u64 {
        if self.ended { 0 } else { self.reader.behind() }
    }

    /// What the subscriber says about itself.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscription().name("audit").subscribe()?;
    /// journal.publish_batch(vec!["one", "two"])?;
    /// subscriber.recv()?;
    /// let state = subscriber.state();
    /// assert_eq!((state.name.as_deref(), state.next, state.ledger.delivered), (Some("audit"), 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> SubscriberState {
        self.seat.state(self.shared.source.tail())
    }
}

impl<E: Send + Sync + 'static> Drop for Subscriber<E> {
    fn drop(&mut self) {
        self.shared.seats.remove(&self.seat);
        if self.gating {
            self.shared.gates.remove(&self.seat);
            self.shared.gate_moved();
        }
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for Subscriber<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("state", &self.state()).finish()
    }
}
