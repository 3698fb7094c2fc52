//! The settings of a subscriber.

use super::bounds::{Bounds, Wanted};
use super::core::JournalCore;
use super::entry::{Start, Until};
use super::seat::Seat;
use super::subscriber::Subscriber;
use super::time::{TimeSource, position_since};
use crate::error::SubscribeError;
use crate::ring::blocks::OnLag;
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::wait::WaitStrategy;
use std::fmt;
use std::sync::Arc;

/// The settings of a [`Subscriber`], created by
/// [`Journal::subscription`](crate::Journal::subscription).
///
/// | setting | default |
/// |---|---|
/// | [`start`](Self::start) | [`Start::Now`] |
/// | [`until`](Self::until) | none: until the journal is closed |
/// | [`filter`](Self::filter) | none |
/// | [`on_lag`](Self::on_lag) | [`OnLag::Oldest`] |
/// | [`end_on_lag`](Self::end_on_lag), [`gating`](Self::gating), [`name`](Self::name) | no |
/// | [`wait_strategy`](Self::wait_strategy) | [`WaitStrategy::nap`] |
///
/// # Guarantees
/// - **Delivery**: [`subscribe`](Self::subscribe), not the first read, determines where the
///   subscriber begins. Every event published after it returned is read, filtered, or counted as
///   missed. A [gating](Self::gating) subscriber misses none of these events.
/// - **Progress**: only a gating subscriber makes publishers wait, and never longer than the [gate
///   limit](crate::journal::JournalBuilder::gate_limit).
/// - **Threads**: filters and the journal's [`time_by`](crate::journal::JournalBuilder::time_by)
///   run on the thread that subscribes or reads, never on a publisher's.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Sequence, Start, Until};
/// let journal = Journal::new(64)?;
/// (0..10).for_each(|n| { let _ = journal.publish(n); });
/// let mut even = journal
///     .subscription()
///     .start(Start::Oldest)
///     .until(Until::Sequence(Sequence::new(6)))
///     .filter(|n| n % 2 == 0)
///     .subscribe()?;
/// let events = even.iter().filter_map(|entry| entry.event());
/// assert_eq!(events.collect::<Vec<_>>(), [0, 2, 4, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Not `Default`: a subscription belongs to a journal. Not `Clone`: the filter is a user's function.
#[must_use = "settings do nothing until `subscribe` is called"]
pub struct Subscription<E> {
    shared: Arc<JournalCore<E>>,
    start: Start,
    until: Option<Until>,
    wanted: Option<Wanted<E>>,
    on_lag: OnLag,
    ends_on_lag: bool,
    gating: bool,
    name: Option<String>,
    wait: WaitStrategy,
}

impl<E: Send + Sync + 'static> Subscription<E> {
    pub(super) fn new(shared: &Arc<JournalCore<E>>) -> Self {
        Self {
            shared: shared.clone(),
            start: Start::default(),
            until: None,
            wanted: None,
            on_lag: OnLag::default(),
            ends_on_lag: false,
            gating: false,
            name: None,
            wait: WaitStrategy::nap(),
        }
    }

    /// Sets where the subscriber begins.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::new(16)?;
    /// journal.publish("before")?;
    /// let mut subscriber = journal.subscription().start(Start::Oldest).subscribe()?;
    /// assert_eq!(subscriber.recv()?.event(), Some("before"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets where the subscriber ends, if the journal does not end before.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::{Start, Until};
    /// let journal = Journal::new(16)?;
    /// let last = journal.publish("wanted")?;
    /// journal.publish("too late")?;
    /// let mut subscriber = journal.subscription().start(Start::Oldest).until(Until::Sequence(last)).subscribe()?;
    /// assert_eq!(subscriber.recv()?.event(), Some("wanted"));
    /// assert_eq!(subscriber.recv(), Err(buslane::error::RecvError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until(mut self, until: Until) -> Self {
        self.until = Some(until);
        self
    }

    /// Sets a filter: the subscriber gets only the events for which `wanted` returns `true`.
    ///
    /// The subscriber calls `wanted` on its own thread when it reads; publishers never call it.
    /// Other events count as filtered. If `wanted` panics, the event counts as panicked and the
    /// subscriber continues.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::error::TryRecvError;
    /// let journal = Journal::new(16)?;
    /// let mut errors = journal.subscription().filter(|line: &&str| line.starts_with("error")).subscribe()?;
    /// for line in ["started", "error: no route", "stopped"] {
    ///     journal.publish(line)?;
    /// }
    /// assert_eq!(errors.recv()?.event(), Some("error: no route"));
    /// assert_eq!(errors.try_recv(), Err(TryRecvError::Empty));
    /// assert_eq!(errors.state().ledger.filtered, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter(mut self, wanted: impl FnMut(&E) -> bool + Send + 'static) -> Self {
        self.wanted = Some(Box::new(wanted));
        self
    }

    /// Sets where the subscriber continues when events were overwritten before it read them.
    ///
    /// The subscriber first gets the number of missed events, even if it stalled in the middle of a
    /// block of events: see [`OnLag`].
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::{Entry, OnLag};
    /// let journal = Journal::new(64)?;
    /// let mut newest = journal.subscription().on_lag(OnLag::Newest).subscribe()?;
    /// for n in 0..1000 {
    ///     journal.publish(n)?;
    /// }
    /// assert_eq!(newest.try_recv()?, Entry::Lagged(1000));
    /// journal.publish(1000)?;
    /// assert_eq!(newest.recv()?.event(), Some(1000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_lag(mut self, on_lag: OnLag) -> Self {
        self.on_lag = on_lag;
        self
    }

    /// Ends the subscription when events were overwritten before the subscriber read them.
    ///
    /// The subscriber gets the number of missed events, and then
    /// [`RecvError::Closed`](crate::error::RecvError::Closed).
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Entry;
    /// let journal = Journal::new(64)?;
    /// let mut strict = journal.subscription().end_on_lag().subscribe()?;
    /// for n in 0..1000 {
    ///     journal.publish(n)?;
    /// }
    /// assert!(matches!(strict.recv()?, Entry::Lagged(_)));
    /// assert_eq!(strict.recv(), Err(buslane::error::RecvError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn end_on_lag(mut self) -> Self {
        self.ends_on_lag = true;
        self
    }

    /// Makes the subscriber gating: publishers wait for it rather than overwrite events that it has
    /// not read.
    ///
    /// Publishers wait at the beginning of a block of 64 events, and for no longer than the
    /// journal's [gate limit](crate::journal::JournalBuilder::gate_limit). After that their events
    /// are refused. Events that were lent in a slice count as read: they are not overwritten while
    /// the slice lives.
    ///
    /// A thread that publishes to its own gating subscriber would wait for itself: use
    /// [`Journal::try_publish`](crate::Journal::try_publish) there.
    ///
    /// A publisher that waits in an async task [blocks its runtime's
    /// thread](crate::docs::async_code), and with it the subscriber if that is a task of the same
    /// runtime.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Entry;
    /// let journal = Journal::new(64)?;
    /// let mut audit = journal.subscription().gating().subscribe()?;
    /// let mut seen = Vec::new();
    /// for n in 0..1000 {
    ///     while journal.try_publish(n).is_err() {
    ///         seen.extend(audit.try_iter().filter_map(Entry::event));
    ///     }
    /// }
    /// seen.extend(audit.try_iter().filter_map(Entry::event));
    /// assert!(seen.into_iter().eq(0..1000)); // the subscriber missed no event
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn gating(mut self) -> Self {
        self.gating = true;
        self
    }

    /// Sets the name of the subscriber in snapshots.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::<u32>::new(16)?;
    /// let _subscriber = journal.subscription().name("dashboard").subscribe()?;
    /// assert_eq!(journal.state().subscribers[0].name.as_deref(), Some("dashboard"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets how the subscriber waits for events.
    ///
    /// A parked subscriber costs the next publisher a wake-up. On Linux, parking also briefly
    /// interrupts all threads of the process (`membarrier`). The default therefore naps first, and
    /// parks only after ten milliseconds without an event.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Journal, WaitStrategy};
    /// let journal = Journal::new(16)?;
    /// let mut subscriber = journal.subscription().wait_strategy(WaitStrategy::SpinPark).subscribe()?;
    /// let reader = std::thread::spawn(move || subscriber.recv());
    /// journal.publish(7)?;
    /// assert_eq!(reader.join().unwrap()?.event(), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_strategy(mut self, wait: WaitStrategy) -> Self {
        self.wait = wait;
        self
    }

    /// Creates the subscriber.
    ///
    /// # Errors
    /// [`SubscribeError`] when:
    /// - the subscriber cannot begin or end at the given bounds;
    /// - a setting is invalid;
    /// - the memory for a block of 64 events cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::error::SubscribeError;
    /// use buslane::journal::{Sequence, Start};
    /// let journal = Journal::<u32>::new(16)?;
    /// let ahead = journal.subscription().start(Start::At(Sequence::new(7)));
    /// assert_eq!(ahead.subscribe().err(), Some(SubscribeError::Future { asked: 7, next: 0 }));
    /// let mut subscriber = journal.subscription().subscribe()?;
    /// journal.publish(1)?;
    /// assert_eq!(subscriber.recv()?.event(), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe(self) -> Result<Subscriber<E>, SubscribeError> {
        let wait = self.wait.check()?;
        self.check_order()?;
        let shared = &self.shared;
        let source = &shared.source;
        let mut reader = source.reader(source.tail())?;
        reader.set_on_lag(self.on_lag);
        let number = shared.seats.next_number();
        let seat = Arc::new(Seat::new(number, self.name, self.gating, process_pair()));
        seat.begin_at(source.tail());
        if self.gating {
            // First the gate, then the position where the subscriber begins: see `gate`.
            seat.begin_at(source.oldest());
            shared.gates.add(&seat);
            // ORD(gate.count): heavy fence; pairs with the light fence in `Gates::bar`.
            heavy_fence_or_wait(process_pair());
        }
        // From here on, dropping the subscriber releases everything.
        let mut subscriber = Subscriber::new(shared, reader, seat, self.wanted, wait, self.ends_on_lag);
        let tail = source.tail();
        let oldest = tail.saturating_sub(shared.capacity());
        let position = match self.start {
            Start::Now => tail,
            Start::Oldest => oldest,
            Start::Last(count) => tail.saturating_sub(count as u64).max(oldest),
            Start::At(sequence) if sequence.get() > tail => {
                return Err(SubscribeError::Future { asked: sequence.get(), next: tail });
            }
            Start::At(sequence) => sequence.get(),
            Start::Since(time) => match &shared.time {
                TimeSource::None => return Err(SubscribeError::NoTime),
                TimeSource::Sampled(_) => {
                    let block_len = source.block_len() as u64;
                    position_since(subscriber.reader(), time, (oldest, tail), block_len)
                }
                TimeSource::ByEvent(_) => oldest,
            },
        };
        let bounds = Bounds::new(&shared.time, self.start, self.until, tail)?;
        subscriber.begin(position, bounds);
        Ok(subscriber)
    }

    /// Returns an error if the settings alone show that the subscription ends before it begins.
    fn check_order(&self) -> Result<(), SubscribeError> {
        match (self.start, self.until) {
            (Start::Since(since), Some(Until::Time(until))) if until < since => {
                Err(SubscribeError::InvertedTime { since, until })
            }
            (Start::At(first), Some(Until::Sequence(last))) if last < first => {
                Err(SubscribeError::Inverted { first: first.get(), last: last.get() })
            }
            _ => Ok(()),
        }
    }
}

impl<E> fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("start", &self.start)
            .field("until", &self.until)
            .field("gating", &self.gating)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
