//! The subscribers of a journal.

mod find;
mod polling;
mod reading;
#[cfg(not(all(loom, feature = "loom")))]
mod slices;
#[cfg(feature = "async")]
mod stream;

pub(crate) use find::OpenGate;
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

/// A reader of a journal with its own position: blocking, polling, timed, iterating, in place or
/// async.
///
/// Its methods correspond to those of a channel's [`Receiver`](crate::Receiver), with an
/// [`Entry`](crate::journal::Entry) instead of the event. The stream ends with
/// [`RecvError::Closed`](crate::error::RecvError::Closed) when the journal is closed and read to
/// its end, or when the subscriber has reached the end of its subscription. The number of missed
/// events is an entry of the stream, [`Entry::Lagged`](crate::journal::Entry::Lagged), which
/// precedes the next event. No method returns
/// [`RecvError::Overflowed`](crate::error::RecvError::Overflowed).
///
/// # Guarantees
/// - **Order**: the one total order of the journal, the same for every subscriber.
/// - **Delivery**: the subscriber gets each event from its start position once, or counted exactly
///   in an [`Entry::Lagged`](crate::journal::Entry::Lagged).
/// - **Progress**: a subscriber never delays publishers or other subscribers, unless it is
///   [gating](crate::journal::Subscription::gating). Reading is lock-free, and wait-free within a
///   block of 64 events.
/// - **Allocation**: reading allocates nothing.
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
/// drop(subscriber); // … and after a reconnect:
/// let mut again = journal.subscribe(Start::At(sequence.next()))?;
/// assert_eq!(again.recv()?.event(), Some(9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscriber<E: Send + Sync + 'static> {
    reader: Reader<E>,
    seat: Arc<Seat>,
    /// Every event is wanted, to the end of the journal.
    takes_all: bool,
    /// The subscriber takes all events, and no publisher waits for it.
    is_plain: bool,
    /// The stream has ended.
    ended: bool,
    gating: bool,
    /// The subscriber's own copy of the seat's counter, so that the shared one is only stored and
    /// never loaded.
    delivered: u64,
    bounds: Bounds<E>,
    wanted: Option<Wanted<E>>,
    /// The position of an event that has been checked but not taken yet, and the result of the
    /// check.
    judged: Option<(u64, Result<Judgement, String>)>,
    ends_on_lag: bool,
    shared: Arc<JournalCore<E>>,
    berth: Berth,
    idler: Idler,
    linger: Linger,
    /// The positions at the last wait and at the last linger.
    waited_at: u64,
    lingered_at: u64,
    /// The position at which the turn of the reading task began.
    turn_began: u64,
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
            turn_began: 0,
            reported_at: None,
        }
    }

    pub(super) fn reader(&mut self) -> &mut Reader<E> {
        &mut self.reader
    }

    pub(super) fn begin(&mut self, position: u64, bounds: Bounds<E>) {
        self.reader.seek(position);
        self.seat.begin_at(position);
        self.seat.bound_at(position.saturating_add(bounds.left_from(position)));
        // Other threads see the subscriber only from here on, when its position is set.
        self.shared.seats.add(self.seat.clone());
        self.takes_all &= bounds.are_none();
        self.is_plain &= self.takes_all;
        self.bounds = bounds;
        self.waited_at = position;
        self.lingered_at = position;
        self.turn_began = position;
        if self.gating {
            self.gate_moved();
        }
    }

    /// Returns the position of the next event, at which to resume after a reconnect.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// journal.publish_batch(vec!["one", "two"])?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Oldest)?;
    /// subscriber.recv()?;
    /// let resume = subscriber.next_sequence();
    /// drop(subscriber); // … and after a reconnect:
    /// let mut again = journal.subscribe(buslane::journal::Start::At(resume))?;
    /// assert_eq!(again.recv()?.event(), Some("two"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        Sequence::new(self.reader.position())
    }

    /// Returns the number of published events that the subscriber has not read yet.
    ///
    /// The number includes events that have already been overwritten. Events after the
    /// [last position](crate::journal::Until::Sequence) of the subscription do not count. It is zero
    /// once the stream has ended.
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
        if self.ended { 0 } else { self.reader.behind().min(self.bounds.left_from(self.reader.position())) }
    }

    /// Returns the state of the subscriber.
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
