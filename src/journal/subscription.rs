//! The settings of a subscriber.

use super::bounds::Bounds;
use super::entry::{Start, Until};
use super::seat::Seat;
use super::shared::Shared;
use super::subscriber::Subscriber;
use super::time::{TimeSource, position_since};
use crate::error::SubscribeError;
use crate::ring::blocks::OnLag;
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::wait::WaitStrategy;
use std::fmt;
use std::sync::Arc;

/// Says which events a subscriber wants.
pub(super) type Wanted<E> = Box<dyn FnMut(&E) -> bool + Send>;

/// The settings of a [`Subscriber`]. Made by [`Journal::subscription`](crate::Journal::subscription).
///
/// | setting | default |
/// |---|---|
/// | [`start`](Self::start) | [`Start::Now`] |
/// | [`until`](Self::until) | none: until the journal is closed |
/// | [`filter`](Self::filter) | none |
/// | [`on_lag`](Self::on_lag) | [`OnLag::Oldest`] |
/// | [`end_on_lag`](Self::end_on_lag), [`gating`](Self::gating), [`named`](Self::named) | no |
/// | [`wait`](Self::wait) | [`WaitStrategy::nap`] |
///
/// # Examples
/// ```
/// use buslane::{Journal, Sequence, Start, Until};
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
#[must_use = "settings do nothing until `subscribe` is called"]
pub struct Subscription<E> {
    shared: Arc<Shared<E>>,
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
    pub(super) fn new(shared: &Arc<Shared<E>>) -> Self {
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

    /// Where the subscriber begins.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Where it ends, if the journal does not end before.
    pub fn until(mut self, until: Until) -> Self {
        self.until = Some(until);
        self
    }

    /// Which events it wants. Asked on its own thread when it reads, never on a publisher's; the others count as filtered. If
    /// `wanted` panics, the event counts as panicked and the subscriber goes on.
    pub fn filter(mut self, wanted: impl FnMut(&E) -> bool + Send + 'static) -> Self {
        self.wanted = Some(Box::new(wanted));
        self
    }

    /// Where it goes on when events were overwritten before it came to them.
    pub fn on_lag(mut self, on_lag: OnLag) -> Self {
        self.on_lag = on_lag;
        self
    }

    /// It ends when events were overwritten before it came to them: it is told how many, and then reads
    /// [`Closed`](crate::Closed).
    pub fn end_on_lag(mut self) -> Self {
        self.ends_on_lag = true;
        self
    }

    /// Publishers wait for it rather than overwrite what it has not read: at the beginning of each block of 64 events, and no longer
    /// than the journal's [gate limit](crate::JournalBuilder::gate_limit), after which they are refused. What was handed out in a
    /// batch counts as read: it stays as it is anyway.
    ///
    /// A subscriber that is published to by its own thread waits for itself: use
    /// [`Journal::try_publish`](crate::Journal::try_publish) there.
    pub fn gating(mut self) -> Self {
        self.gating = true;
        self
    }

    /// What it is called in snapshots.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How it waits for events.
    ///
    /// A subscriber that parks makes the next publisher wake it, and on Linux briefly interrupts all threads of the process before
    /// it does (`membarrier`); so the default naps first, and parks only after ten milliseconds of silence.
    pub fn wait(mut self, wait: WaitStrategy) -> Self {
        self.wait = wait;
        self
    }

    /// Makes the subscriber.
    ///
    /// # Errors
    /// [`SubscribeError`] when it cannot begin or end there, when a setting cannot be, or when there is no memory for a block of
    /// 64 events.
    pub fn subscribe(self) -> Result<Subscriber<E>, SubscribeError> {
        let wait = self.wait.check()?;
        self.check_order()?;
        let shared = &self.shared;
        let source = &shared.source;
        let mut reader = source.reader(source.tail())?;
        reader.set_on_lag(self.on_lag);
        let seat = Arc::new(Seat::new(self.name, self.gating, process_pair()));
        seat.begin_at(source.tail());
        if self.gating {
            // First the gate, then the place where it begins: see `gate`.
            seat.begin_at(source.oldest());
            shared.gates.add(&seat);
            // ORD(gate.count): heavy fence; pairs with the light one in `Gates::bar`.
            heavy_fence_or_wait(process_pair());
        }
        // From here on dropping the subscriber gives everything back.
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

    /// Whether it begins before it ends, as far as that can be told from what was asked for.
    fn check_order(&self) -> Result<(), SubscribeError> {
        let inverted = match (self.start, self.until) {
            (Start::Since(since), Some(Until::Time(until))) => until < since,
            (Start::At(first), Some(Until::Sequence(last))) => last < first,
            _ => false,
        };
        if inverted { Err(SubscribeError::Inverted) } else { Ok(()) }
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
