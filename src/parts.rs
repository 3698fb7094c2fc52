//! Parts that nobody else reaches, opened for models: where what stands around a part takes a model too long, or hides what the
//! model is to show. With the feature `unstable` only, and outside semantic versioning.
#![expect(missing_debug_implementations, reason = "models look at what a part does")]

use crate::mailbox::intake::Intake;
use crate::mailbox::members::{MemberState, Members};
use crate::mailbox::overflow::Overflow;
use crate::mailbox::{self, Find, MailboxConfig, member, progress};
use crate::queue::handler::{SinkWork, Work};
use crate::ring::mpmc::Ring;
use crate::stats::CloseReport;
use crate::time::Deadline;
use crate::wait::context::Crew;
use crate::wait::list::{Waiter, Want};
use crate::wait::{FencePair, WaitList, WaitStrategy, crowd};
use crate::{Sink, sync};
use std::sync::Arc;
use std::time::Duration;

/// Where several consumers sleep.
pub struct Crowd(crowd::Crowd);

impl Crowd {
    /// A place where nobody sleeps.
    #[must_use]
    pub fn new(pair: FencePair) -> Self {
        Self(crowd::Crowd::new(pair))
    }

    /// Sleeps until it is woken, by one event or with all others.
    pub fn park_unless(&self, ready: impl FnOnce() -> bool) {
        self.0.park_unless(None, ready);
    }

    /// Sleeps until all are woken; outside models for a second at most.
    pub fn nap_unless(&self, ready: impl FnOnce() -> bool) {
        self.0.nap_unless(Duration::from_secs(1), ready);
    }

    /// Wakes all.
    pub fn wake_all(&self) {
        self.0.wake_all();
    }
}

/// Where writers wait for room in a ring that they share.
pub struct Line(WaitList);

impl Line {
    /// A line without waiters.
    #[must_use]
    pub fn new(pair: FencePair) -> Self {
        Self(WaitList::new(pair))
    }

    /// Waits until `attempt` gets room; `more` says whether there is some for the next in the line.
    pub fn take(
        &self,
        deadline: Deadline,
        attempt: impl FnMut() -> Option<()>,
        more: impl Fn() -> bool,
    ) -> bool {
        self.0.wait_for(&Waiter::wanting(Want::SHARED_ROOM), deadline, attempt, more).is_some()
    }

    /// Room was made for one.
    pub fn freed(&self) {
        self.0.notify_made(Want::SHARED_ROOM);
    }
}

/// Where flushes wait for their goals.
pub struct Goals(WaitList);

impl Goals {
    /// A list on which no thread waits.
    #[must_use]
    pub fn new(pair: FencePair) -> Self {
        Self(WaitList::new(pair))
    }

    /// Waits until the goal is reached, which other threads check as well; whether it is.
    pub fn wait(&self, deadline: Deadline, is_reached: impl Fn() -> bool + Send + Sync + 'static) -> bool {
        self.0.wait_for_goal(&Waiter::for_goal(is_reached), deadline, || ())
    }

    /// There was progress.
    pub fn progressed(&self) {
        self.0.notify_progress();
    }
}

/// The marks of several consumers of one ring.
#[derive(Default)]
pub struct Marks(Members);

impl Marks {
    /// One more consumer.
    #[must_use]
    pub fn join(&self) -> Mark {
        Mark(self.0.join().0)
    }

    /// Whether everything below `target` was handled or evicted, as a flush asks.
    #[must_use]
    pub fn have_reached<E>(&self, ring: &Ring<E>, target: u64) -> bool {
        self.0.have_reached(target, || ring.claimed())
    }
}

/// The mark of one of them.
pub struct Mark(Arc<MemberState>);

impl Mark {
    /// From here on there may be something in its hands, from this position on.
    pub fn set(&self, position: u64) {
        self.0.set_mark(position);
    }

    /// There is nothing in its hands.
    pub fn clear(&self) {
        self.0.clear_mark();
    }
}

/// How far the one consumer of a ring is.
#[derive(Default)]
pub struct Progress(progress::Progress);

impl Progress {
    /// It is about to take an event.
    pub fn take_in_hand(&self) {
        self.0.take_in_hand();
    }

    /// There was none.
    pub fn nothing_in_hand(&self) {
        self.0.nothing_in_hand();
    }

    /// It has handled the event at this position.
    pub fn done(&self, position: u64) {
        self.0.done(position);
    }

    /// Whether everything below `target` was handled or evicted, as a flush asks.
    #[must_use]
    pub fn has_reached<E>(&self, ring: &Ring<E>, target: u64) -> bool {
        self.0.has_reached(ring, target)
    }
}

/// A mailbox with several consumers that park.
pub struct Mailbox<E: Send + 'static>(sync::Arc<mailbox::Mailbox<E>>);

impl<E: Send + 'static> Mailbox<E> {
    /// A mailbox and its first consumer.
    ///
    /// # Panics
    /// When the capacity is none.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, Member<E>) {
        let config = MailboxConfig {
            capacity,
            unbounded: false,
            overflow: Overflow::DropNewest,
            wait: WaitStrategy::Park,
            on_drop: None,
            crew: Crew::new(),
            scales: std::sync::Arc::default(),
        };
        let (mailbox, member) = member::Member::open(config).expect("a small mailbox");
        (Self(mailbox), Member(member))
    }

    /// Puts an event in and wakes a consumer.
    pub fn write(&self, event: E) -> bool {
        self.0.write(event, Deadline::NOW).is_ok()
    }

    /// Puts an event in, as a writer that stands still before it has looked for somebody to wake.
    pub fn put(&self, event: E) -> bool {
        self.0.push_shared(event).is_ok()
    }

    /// How many events were accepted; maybe they are still being put in.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.0.shared.position().expect("made with a capacity")
    }

    /// Takes no more events.
    pub fn close(&self) {
        self.0.seal(mailbox::End::Closed);
    }
}

impl<E: Send + 'static> Clone for Mailbox<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// One of the consumers.
pub struct Member<E: Send + 'static>(member::Member<E>);

impl<E: Send + 'static> Member<E> {
    /// One more consumer.
    #[must_use]
    pub fn another(&self) -> Self {
        Self(self.0.another())
    }

    /// Takes the next event, if it is there.
    pub fn take(&mut self) -> Option<E> {
        // As each consumer reads that parks when it finds nothing.
        self.0.take(Find::Filled)
    }

    /// Sleeps, unless there is something to be taken, or all was and the mailbox is closed.
    pub fn wait(&mut self) {
        self.0.wait(None, |_| false);
    }

    /// Whether all was taken and the mailbox is closed.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.0.mailbox().shared_end().is_some()
    }
}

/// A worker's share in a sink that several workers write to.
pub struct Share<S>(SinkWork<S>);

impl<S> Share<S> {
    /// The shares of so many workers.
    #[must_use]
    pub fn of(sink: S, workers: usize) -> Vec<Self> {
        SinkWork::of(&Arc::new(sink), workers).into_iter().map(Self).collect()
    }

    /// Hands an event to the sink; whether it took it.
    pub fn handle<E: Send + 'static>(&mut self, event: E) -> bool
    where
        S: Sink<E> + 'static,
    {
        self.0.handle(event).is_ok()
    }

    /// The worker ends; the last one closes the sink.
    pub fn close<E: Send + 'static>(mut self) -> CloseReport
    where
        S: Sink<E> + 'static,
    {
        Work::<E>::close(&mut self.0, Deadline::NEVER)
    }
}

/// The queue behind unbounded lanes, which other models see a simpler one in place of.
pub struct Segments<T>(crate::ring::segments::Segments<T>);

impl<T: Send> Segments<T> {
    /// An empty queue.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "models make them all")]
    pub fn new() -> Self {
        Self(crate::ring::segments::Segments::new())
    }

    /// Puts a value in.
    pub fn push(&self, value: T) {
        self.0.push(value);
    }

    /// Takes the oldest value, and waits for it while it is just being put in.
    #[must_use]
    pub fn pop(&self) -> Option<T> {
        self.0.pop()
    }

    /// Takes the oldest value if it was put in.
    #[must_use]
    pub fn pop_filled(&self) -> Option<T> {
        self.0.pop_filled()
    }

    /// Whether the oldest value was put in.
    #[must_use]
    pub fn has_filled(&self) -> bool {
        self.0.has_filled()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
