//! One reader of a journal.

mod polling;
#[cfg(not(all(loom, feature = "loom")))]
mod slices;

use super::bounds::{Bounds, Judgement};
use super::entry::{Entry, Sequence};
use super::iter::{Iter, TryIter};
use super::seat::Seat;
use super::shared::Shared;
use super::subscription::Wanted;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::ring::blocks::{Look, Reader};
use crate::stats::SubscriberState;
use crate::sync::{MODEL, spin_hint, thread};
use crate::time::Deadline;
use crate::wait::context::{UserCode, caught, user_code};
use crate::wait::linger::Linger;
use crate::wait::strategy::{Idler, Step};
use crate::wait::{Berth, WaitStrategy};
use std::fmt;
use std::mem::needs_drop;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One reader of a journal, with a place of its own: blocking, polling, timed, iterating, in place or async.
///
/// It answers as the [`Receiver`](crate::Receiver) of a channel does, with an [`Entry`] in place of the event. The stream ends with
/// [`RecvError::Closed`] when the journal is closed and read to its end, or this subscriber has reached where it was to end. What it
/// has missed is a value of the stream: [`Entry::Lagged`] comes first, and no method returns [`RecvError::Overflowed`].
///
/// # Guarantees
/// - **Order**: the one total order of the journal, the same for every subscriber.
/// - **Delivery**: each event from where it began, once, or counted exactly in an [`Entry::Lagged`].
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
    shared: Arc<Shared<E>>,
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
        shared: &Arc<Shared<E>>,
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

    /// Shows the next event to `look`, if there is one now, and goes past it: for events that are costly to clone.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when nothing is there, [`TryRecvError::Closed`] when nothing follows.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::{Entry, Start};
    /// let journal = Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(Start::Now)?;
    /// journal.publish(vec![1, 2, 3])?;
    /// let entry = subscriber.try_recv_with(|numbers: &Vec<i32>| numbers.iter().sum::<i32>())?;
    /// assert_eq!(entry.event(), Some(6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_recv_with<R>(&mut self, look: impl FnOnce(&E) -> R) -> Result<Entry<R>, TryRecvError> {
        // The way that most events go: nothing is asked about them.
        if self.reader.has_values() && self.is_plain {
            return Ok(self.take(look));
        }
        Ok(match self.find()?.ok_or(TryRecvError::Empty)? {
            Found::Event => {
                // A publisher that user code starts here must not wait for this very subscriber.
                let _here = self.gating.then(|| self.shared.crew.read());
                let entry = self.take(look);
                self.end_after_the_last();
                entry
            }
            Found::Lagged(events) => Entry::Lagged(events),
            Found::Panicked(sequence) => Entry::Panicked(sequence),
        })
    }

    /// Takes the event that is known to be there.
    #[inline(always)]
    fn take<R>(&mut self, look: impl FnOnce(&E) -> R) -> Entry<R> {
        let position = self.reader.position();
        let sequence = Sequence::new(position);
        match self.reader.take(|_, event| caught(|| look(event))) {
            Ok(seen) => {
                self.delivered += 1;
                self.seat.delivered(self.delivered, position + 1);
                Entry::Event(sequence, seen)
            }
            Err(_) => {
                self.went_past_a_panic();
                Entry::Panicked(sequence)
            }
        }
    }

    #[cold]
    fn went_past_a_panic(&self) {
        self.seat.panicked();
        self.seat.set_position(self.reader.position());
    }

    /// Goes on to the next event that is wanted; `None` when nothing is there now, or nothing was when it began.
    #[inline(never)]
    fn find(&mut self) -> Result<Option<Found>, RecvError> {
        let mut ran_dry = 0;
        loop {
            if self.ended || self.bounds.end_before(self.reader.position()) {
                return self.end();
            }
            match self.look() {
                Look::Values if self.takes_all => return Ok(Some(Found::Event)),
                // What comes while nothing of it is wanted could keep us here for ever.
                Look::Values if ran_dry > 1 => return Ok(None),
                Look::Values => match self.judge() {
                    Ok(Judgement::Within) => return Ok(Some(Found::Event)),
                    Ok(Judgement::Outside) => {
                        self.reader.take(|_, _| ());
                        self.seat.filtered(1);
                        self.seat.set_position(self.reader.position());
                        ran_dry += u32::from(self.reader.is_dry());
                    }
                    Ok(Judgement::End) => return self.end(),
                    Err(_) => {
                        let sequence = Sequence::new(self.reader.position());
                        self.reader.take(|_, _| ());
                        self.went_past_a_panic();
                        self.end_after_the_last();
                        return Ok(Some(Found::Panicked(sequence)));
                    }
                },
                Look::Lagged(events) => {
                    self.seat.lagged(events);
                    self.seat.set_position(self.reader.position());
                    if self.ends_on_lag {
                        self.end_subscription();
                    } else if self.gating {
                        self.gate_moved();
                    }
                    return Ok(Some(Found::Lagged(events)));
                }
                Look::Empty => {
                    let over = self.bounds.remaining().is_some_and(|left| left.is_zero());
                    // What was published before the time was over may have come since the look.
                    if over && !self.reader.has_news() {
                        return self.end();
                    }
                    if !over {
                        return Ok(None);
                    }
                }
                Look::Closed => return self.end(),
            }
        }
    }

    #[inline]
    fn look(&mut self) -> Look {
        if self.gating && self.reader.known() == 0 {
            // A block is done, or all there is: a publisher may wait for that.
            self.gate_moved();
        }
        self.reader.look()
    }

    /// Reports its position to publishers that wait. Each position is reported once (L4 of the gates).
    fn gate_moved(&mut self) {
        let position = self.seat.position();
        if self.reported_at != Some(position) {
            self.reported_at = Some(position);
            self.shared.gate_moved();
        }
    }

    /// Whether the next event is wanted; an error when the user's code panics. Asks about each event once.
    fn judge(&mut self) -> Result<Judgement, String> {
        let Self { reader, bounds, wanted, judged, .. } = self;
        let position = reader.position();
        match judged.take() {
            Some((at, judgement)) if at == position => judgement,
            _ => {
                let stamp = reader.stamp().unwrap_or(0);
                let judgement = reader.peek(|_, event| ask(bounds, wanted, (position, event), stamp));
                judgement.unwrap_or(Ok(Judgement::Outside))
            }
        }
    }

    /// Nothing follows.
    #[cold]
    fn end<R>(&mut self) -> Result<R, RecvError> {
        if !self.ended {
            self.end_subscription();
        }
        Err(RecvError::Closed)
    }

    /// Nothing will follow what is about to be told: nobody is to wait for this subscriber, which need not look once more.
    #[cold]
    fn end_subscription(&mut self) {
        self.ended = true;
        // Also what is known to be there goes through `find`, and no further.
        self.takes_all = false;
        self.is_plain = false;
        self.seat.end();
        if self.gating {
            self.gating = false;
            self.shared.gates.remove(&self.seat);
            self.shared.gate_moved();
        }
    }

    /// Ends the subscription if the position says that nothing follows.
    fn end_after_the_last(&mut self) {
        if self.bounds.end_before(self.reader.position()) {
            self.end_subscription();
        }
    }

    /// Takes the next event if there is one now.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when nothing is there, [`TryRecvError::Closed`] when nothing follows.
    ///
    /// # Examples
    /// ```
    /// use buslane::error::TryRecvError;
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// assert_eq!(subscriber.try_recv(), Err(TryRecvError::Empty));
    /// journal.publish(7)?;
    /// assert_eq!(subscriber.try_recv()?.event(), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_recv(&mut self) -> Result<Entry<E>, TryRecvError>
    where
        E: Clone,
    {
        if needs_drop::<E>() && self.gating {
            // User code, in which nothing waits: publishers wait for this subscriber, and so it would wait for itself. The clone of an
            // event without a destructor is a copy, near enough.
            return self.try_recv_with(|event| {
                let _user_code = UserCode::enter();
                event.clone()
            });
        }
        self.try_recv_with(E::clone)
    }

    /// Takes the next event, waiting for one as [`Subscription::wait_strategy`](crate::journal::Subscription::wait_strategy) said.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvError::Closed`] when nothing follows.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::{Entry, Start};
    /// let journal = Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(Start::Now)?;
    /// let reader = std::thread::spawn(move || subscriber.recv());
    /// let sequence = journal.publish(7)?;
    /// assert_eq!(reader.join().unwrap()?, Entry::Event(sequence, 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn recv(&mut self) -> Result<Entry<E>, RecvError>
    where
        E: Clone,
    {
        self.linger_when_dry();
        loop {
            match self.try_recv() {
                Ok(entry) => return Ok(entry),
                Err(TryRecvError::Empty) => self.wait(None),
                Err(TryRecvError::Closed | TryRecvError::Overflowed) => return Err(RecvError::Closed),
            }
        }
    }

    /// Takes the next event, waiting so long at most. A limit of zero is [`try_recv`](Self::try_recv).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when nothing came, [`RecvTimeoutError::Closed`] when nothing follows.
    ///
    /// # Examples
    /// ```
    /// use buslane::error::RecvTimeoutError;
    /// use std::time::Duration;
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// assert_eq!(subscriber.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// journal.publish(7)?;
    /// assert!(subscriber.recv_timeout(Duration::from_secs(1)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Entry<E>, RecvTimeoutError>
    where
        E: Clone,
    {
        self.recv_until(Deadline::after(limit))
    }

    /// Takes the next event, waiting until this moment at most. A moment in the past is [`try_recv`](Self::try_recv).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when nothing came, [`RecvTimeoutError::Closed`] when nothing follows.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// journal.publish(7)?;
    /// let over = std::time::Instant::now();
    /// assert!(subscriber.recv_deadline(over).is_ok());
    /// assert_eq!(subscriber.recv_deadline(over), Err(buslane::error::RecvTimeoutError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_deadline(&mut self, moment: Instant) -> Result<Entry<E>, RecvTimeoutError>
    where
        E: Clone,
    {
        self.recv_until(Deadline::at(moment))
    }

    fn recv_until(&mut self, deadline: Deadline) -> Result<Entry<E>, RecvTimeoutError>
    where
        E: Clone,
    {
        self.linger_when_dry();
        loop {
            // Asked first, so that whoever was woken at the last moment still looks.
            let left = deadline.remaining();
            match self.try_recv() {
                Ok(entry) => return Ok(entry),
                Err(TryRecvError::Closed | TryRecvError::Overflowed) => return Err(RecvTimeoutError::Closed),
                Err(TryRecvError::Empty) if left.is_some_and(|left| left.is_zero()) => {
                    return Err(RecvTimeoutError::Timeout);
                }
                Err(TryRecvError::Empty) => self.wait(left),
            }
        }
    }

    /// Takes events as they come, until nothing follows.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// journal.publish_batch(vec![40, 2])?;
    /// journal.close();
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Oldest)?;
    /// assert_eq!(subscriber.iter().filter_map(|entry| entry.event()).sum::<u32>(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&mut self) -> Iter<'_, E>
    where
        E: Clone,
    {
        Iter(self)
    }

    /// Takes what is there now, without waiting.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// journal.publish_batch(vec![40, 2])?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Oldest)?;
    /// assert_eq!(subscriber.try_iter().filter_map(|entry| entry.event()).sum::<u32>(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_iter(&mut self) -> TryIter<'_, E>
    where
        E: Clone,
    {
        TryIter(self)
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

    /// Under a fast flow: looks away for a moment after everything was taken, so that subscriber and publisher do not fight for
    /// the same lines of memory.
    #[inline]
    fn linger_when_dry(&mut self) {
        if self.reader.is_dry() && !MODEL {
            let position = self.reader.position();
            let taken = position.saturating_sub(self.lingered_at) as usize;
            self.lingered_at = position;
            self.linger.ran_dry(taken, self.shared.source.capacity());
        }
    }

    /// Waits as the strategy says, at most for `limit`; returns also for no reason.
    #[cold]
    fn wait(&mut self, limit: Option<Duration>) {
        let limit = match (limit, self.bounds.remaining()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.linger.found_nothing();
        // A task that waited here before gives way to this thread, whatever the strategy.
        self.cancel();
        let position = self.reader.position();
        let taken = position.saturating_sub(self.waited_at);
        if taken > 0 {
            self.idler.found(taken as usize);
            self.waited_at = position;
        }
        let Self { idler, shared, seat, reader, berth, .. } = self;
        match idler.step(shared.source.capacity(), Instant::now) {
            Step::Spin => spin_hint(),
            Step::Yield => thread::yield_now(),
            Step::Nap(nap) => {
                let nap = limit.map_or(nap, |limit| limit.min(nap));
                seat.cell.nap_unless(nap, || reader.has_news());
            }
            Step::Park => {
                shared.sleepers.park_unless(berth, limit, || reader.has_news());
            }
        }
    }
}

/// Asks the bounds and the filter about an event; an error when the user's code panics.
fn ask<E>(
    bounds: &Bounds<E>,
    wanted: &mut Option<Wanted<E>>,
    (position, event): (u64, &E),
    stamp: u64,
) -> Result<Judgement, String> {
    // Inside foreign code nobody waits: a gating subscriber would wait for itself.
    user_code(|| match bounds.judge(position, event, stamp) {
        Judgement::Within if wanted.as_mut().is_some_and(|wanted| !wanted(event)) => Judgement::Outside,
        other => other,
    })
}

/// What a subscriber finds next.
enum Found {
    /// An event that is wanted; it is still to be taken.
    Event,
    Lagged(u64),
    Panicked(Sequence),
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
