//! A combinator that collects events and forwards them together.

mod core;
mod holding;
mod limits;

use self::core::BatchCore;
use crate::error::{ConfigError, WriteError};
use crate::sink::control::{self, close_caught, earlier, ledgers_of};
use crate::sink::lane::Internal;
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{
    Again, CloseReport, Disposition, DropReason, Finish, FlushReport, Ledgers, Scales, SinkState, Weight,
};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::time::{Deadline, Pause};
use crate::wait::context::{
    Crew, LastOffer, UserCode, WaitLimit, WaitedFor, caught, discard, discard_each, flush_goal, is_worker,
    must_not_wait, quietly,
};
use holding::{BatchOutcome, Emit, Holding};
use limits::BatchLimits;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A sink that collects events and forwards them together, as a `Vec`.
///
/// Made by [`SinkExt::batch`](crate::SinkExt::batch).
///
/// A batch is forwarded when:
/// - it holds the maximum number of events, or of [`bytes`](Self::bytes);
/// - it has reached its [`age`](Self::age);
/// - the batch of the queue upstream ends, with [`at_end_of_batch`](Self::at_end_of_batch);
/// - it is flushed or closed.
///
/// Use it downstream of a [`Queue`](crate::Queue), whose ticks are its clock. Without a queue a
/// batch has no age, and the publisher whose event completes a batch waits for the inner sink. A
/// batch has no lanes.
///
/// # Guarantees
/// - **Acceptance**: `Ok` means that the event is in a batch that is not forwarded yet. Until then
///   it is `pending` in the [`state`](Self::state). Its later outcome is in the ledger only: no
///   error is returned for it.
/// - **An inner sink without room** (`Full`, `Timeout`, `Reentrant`): the batch is kept and offered
///   again, at each tick (one is requested after at most 100 ms), flush and close, and at each
///   write once the next batch is complete. If the inner sink still has no room, such a write is
///   refused as `Full`: there are never more than two batches here.
/// - **An inner sink that fails**: the events that its error returns count as `dropped(failed)`,
///   and the rest as delivered. To retry, or to keep failed events, put a retry *inside*, where it
///   gets whole batches: `sink.retry(..).batch(..)`. If that retry gives up on a part of a batch,
///   only the events in that part count as `dropped(failed)` ([`Disposition::Partly`]).
/// - **An inner sink that decides later**, such as a queue of batches: its events stay `pending`
///   here until the queue has handled their batch. Then they count with their final outcome. See
///   [`Ledger`](crate::stats::Ledger#chains-of-sinks).
/// - **An inner sink that is closed**: the batch closes too, and the events that it holds count as
///   `dropped(failed)`.
/// - **Order**: as written. One batch is forwarded at a time. Meanwhile other threads fill the next
///   batch, and are refused as `Full` when that is complete too. So a queue with several workers
///   needs a batch for each of them:
///   [`spawn_each_sink`](crate::queue::QueueBuilder::spawn_each_sink), which also sends batches in
///   parallel.
/// - **Flush**: waits for the events accepted before it, on whichever thread they are forwarded,
///   and for no later event. A flush or a close that the inner sink calls does not wait
///   ([`Finish::Pending`]). On a queue's worker, the flush does not wait for room in another queue:
///   the flush of the worker's queue flushes that other queue, and asks the worker again, as long
///   as that makes progress. Events without room stay here as `pending`, and the report contains
///   [`Finish::TimedOut`].
/// - **Close**: offers all events to the inner sink until the deadline. A retry inside that has no
///   time left sends its last batches to its dead letters. Events that the inner sink does not
///   accept count as `dropped(aborted)`. The inner sink's own `close` and `flush` run on the
///   calling thread, which [waits for them](crate::Sink::close_by).
/// - **Panics**: a panic of the inner sink loses its batch; a panic of the size function loses its
///   event. Both count as `dropped(panicked)`.
/// - **Allocation**: one `Vec` for each batch, with room for as many events as the previous batch
///   held.
/// - **Drop**: a queue or a bus closes the sinks that it holds. A batch that is dropped by itself
///   without a close loses its events.
///
/// # Examples
/// Downstream of a queue, batches of at most 100 events that are never older than a second:
/// ```
/// use buslane::{Bus, SinkExt, sink_fn};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let posts = sink_fn(|batch: &Vec<u64>| println!("{} events", batch.len()));
/// let batch = Arc::new(posts.batch(100).age(Duration::from_secs(1)));
/// let bus = Bus::new();
/// bus.add(batch.clone().queue(1024)?)?;
/// for n in 0..250_u64 {
///     bus.publish(n)?;
/// }
/// assert!(bus.close().is_done());
/// let ledger = batch.state().ledger;
/// assert_eq!((ledger.delivered, ledger.pending), (250, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a batch does nothing until it is written to or added to a bus"]
pub struct Batch<E, S> {
    inner: S,
    limits: BatchLimits<E>,
    core: Arc<BatchCore<E>>,
}

impl<E: 'static, S> Batch<E, S> {
    pub(crate) fn new(inner: S, count: usize) -> Self
    where
        S: Sink<Vec<E>>,
    {
        quietly(|| inner.weigh(&Weight::of_batch::<E>(), Internal::TOKEN));
        let core = BatchCore {
            inner: ledgers_of(&inner),
            scales: Scales::default(),
            holding: Mutex::new(Holding::new()),
            changed: Pause::new(),
            crew: Crew::new(),
        };
        Self { inner, limits: BatchLimits::new(count), core: Arc::new(core) }
    }

    /// Limits a batch to `max` bytes as well; `size` returns the bytes of an event.
    ///
    /// An event that would exceed the limit begins the next batch; an event that exceeds it alone
    /// makes its own batch.
    ///
    /// `size` runs on the writing thread, before everything else.
    ///
    /// A `max` of 0 is invalid: see [where settings are
    /// checked](crate::error#where-settings-are-checked).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// let (channel, mut batches) = Channel::lossy(8)?;
    /// let sink = channel.batch(100).bytes(10, |line: &String| line.len());
    /// for line in ["1234", "5678", "9012"] {
    ///     sink.write(line.to_owned())?;
    /// }
    /// assert_eq!(batches.recv()?, ["1234", "5678"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes<F>(mut self, max: usize, size: F) -> Self
    where
        F: Fn(&E) -> usize + Send + Sync + 'static,
    {
        self.limits.set_bytes(max, Box::new(size));
        self
    }

    /// Forwards a batch when its first event has been in it for `limit`, complete or not.
    ///
    /// The ticks of the [`Queue`](crate::Queue) upstream measure the age, without a thread or a
    /// timer. The age counts from the first tick that finds an event in the batch. That tick comes
    /// as soon as the queue's worker has handled the waiting events. Without a queue upstream there
    /// are no ticks, and no age.
    ///
    /// A `limit` of zero is invalid: see [where settings are
    /// checked](crate::error#where-settings-are-checked).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// use std::time::{Duration, Instant};
    /// let (channel, mut batches) = Channel::lossy(8)?;
    /// let sink = channel.batch(100).age(Duration::from_secs(1));
    /// sink.write(7)?;
    ///
    /// // What the worker of a queue does:
    /// let now = Instant::now();
    /// let next = sink.tick(now);
    /// assert_eq!(next, Some(now + Duration::from_secs(1)));
    /// sink.tick(next.unwrap());
    /// assert_eq!(batches.recv()?, [7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn age(mut self, limit: Duration) -> Self {
        self.limits.age = Some(limit);
        self
    }

    /// Forwards a batch also when the queue upstream has handled every waiting event, complete or
    /// not.
    ///
    /// Batches are then small while the consumer keeps up, and grow when it lags. By default the
    /// end of a queue's batch has no effect here: a fast consumer would make batches of one event.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// let (channel, mut batches) = Channel::lossy(8)?;
    /// let sink = channel.batch(100).at_end_of_batch();
    /// sink.write(7)?;
    /// sink.end_of_batch(); // what the worker of a queue does
    /// assert_eq!(batches.recv()?, [7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn at_end_of_batch(mut self) -> Self {
        self.limits.at_end_of_batch = true;
        self
    }

    /// Returns the state of the batch; its ledger counts events, not batches.
    ///
    /// To call this for a batch that is downstream of a queue, keep an `Arc` of the batch.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// let (channel, mut batches) = Channel::lossy(8)?;
    /// let batch = channel.batch(2);
    /// for n in 1..=3 {
    ///     batch.write(n)?;
    /// }
    /// assert_eq!(batches.recv()?, [1, 2]);
    /// let ledger = batch.state().ledger;
    /// assert_eq!((ledger.delivered, ledger.pending), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> SinkState
    where
        S: Sink<Vec<E>>,
    {
        let mut state = SinkState::default();
        self.show(&mut state);
        state
    }

    fn show(&self, state: &mut SinkState)
    where
        S: Sink<Vec<E>>,
    {
        self.core.describe(state);
        state.capacity = self.limits.count as u64;
        ledgers_of(&self.inner).show(state);
    }

    fn holding(&self) -> MutexGuard<'_, Holding<E>> {
        lock(&self.core.holding)
    }

    /// Returns whether an event of this size does not have to wait: there is room, or the batch is
    /// closed.
    fn is_ready(&self, holding: &Holding<E>, size: usize) -> bool {
        holding.is_closed() || holding.has_room(size, &self.limits)
    }
}

impl<E, S> Batch<E, S>
where
    E: Send + 'static,
    S: Sink<Vec<E>>,
{
    /// Forwards the batch that was refused before, and then further batches as `emit` defines.
    ///
    /// No lock is held while the inner sink has the batch. If another thread is already forwarding,
    /// this thread leaves the batches to it.
    fn hand_on<'a>(
        &'a self,
        mut holding: MutexGuard<'a, Holding<E>>,
        mut emit: Emit,
    ) -> MutexGuard<'a, Holding<E>> {
        // A worker does not wait for room in another queue while it forwards a batch: the flush of
        // its queue could wait for it. A close may wait.
        let _user_code = (is_worker() && emit != Emit::Finally).then(UserCode::enter);
        while let Some(batch) = holding.send_off(&self.limits, &mut emit) {
            drop(holding);
            let count = batch.len();
            let mut load = self.core.scales.load_batch(&batch);
            let outcome = {
                // Flushes and closes of this batch wait for the inner sink to return: code that the
                // inner sink calls must not.
                let _held = WaitedFor::begin();
                BatchOutcome::of(caught(|| self.inner.offer(batch)), count, &mut load)
            };
            match &outcome {
                BatchOutcome::Taken(disposition) => load.end(*disposition),
                BatchOutcome::Held { .. } => load.kept(),
                BatchOutcome::Failed { .. } => load.end(Disposition::Dropped(DropReason::Failed)),
                BatchOutcome::Panicked(_) => load.end(Disposition::Dropped(DropReason::Panicked)),
            }
            holding = self.holding();
            let goes_on = holding.settle(count, outcome);
            self.core.changed.poke();
            if !goes_on {
                break;
            }
        }
        holding
    }

    /// Ends an operation. A close that could not wait for the batch being forwarded left the rest
    /// to the thread that forwarded it: completes that close.
    fn leave(&self, holding: MutexGuard<'_, Holding<E>>) {
        if let Some(deadline) = holding.close_left_behind() {
            let _ = self.close_inner(holding, deadline);
        }
    }

    /// Forwards events until `goal` events have left the batch. While the inner sink has no room,
    /// flushes it to make room, as long as that makes progress and the deadline has not passed.
    fn give_out(&self, emit: Emit, goal: u64, deadline: Deadline, report: &mut FlushReport) {
        let _limit = WaitLimit::until(deadline);
        let mut before = None;
        loop {
            let holding = self.hand_on(self.holding(), emit);
            let (gone, held) = (holding.gone(), holding.held());
            drop(holding);
            if held == 0 || gone >= goal || before == Some(gone) || deadline.has_passed() {
                return;
            }
            before = Some(gone);
            if is_worker() && !must_not_wait() && emit != Emit::Finally {
                // The held events need room in the inner sink. A worker that waited for another
                // worker could wait for itself. So the flush that asked for this one waits, and
                // asks again.
                let goals = vec![(self.address(), goal)];
                return report.ask_again(Some(Again { progress: gone, goals, waits: Vec::new() }));
            }
            // The held events need room in the inner sink, so this flush waits for the inner flush
            // instead of only telling it.
            let mut part = FlushReport::default();
            self.flush_inner(deadline, &mut part);
            part.settle(deadline);
            report.absorb(part);
        }
    }

    /// Flushes the inner sink; reports its panic as an error.
    fn flush_inner(&self, deadline: Deadline, report: &mut FlushReport) {
        let _here = self.core.crew.enter();
        if let Err(text) = caught(|| self.inner.flush_by(deadline, report)) {
            report.errors.push(format!("the sink's flush panicked: {text}"));
        }
    }

    /// Returns whether this thread must not wait for the batch: it runs user code, or other threads
    /// wait for it.
    fn is_inside(&self) -> bool {
        must_not_wait() || self.core.crew.is_here()
    }

    /// Waits until the batch being forwarded has returned, or until `goal` events have left; does
    /// not wait where that is not allowed. Returns whether either happened.
    fn await_return(&self, goal: u64, deadline: Deadline) -> bool {
        let wait_end = if self.is_inside() { Deadline::NOW } else { deadline };
        self.core.changed.wait(wait_end, || {
            let holding = self.holding();
            !holding.is_busy() || holding.gone() >= goal
        })
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.core).addr()
    }

    fn flush_held(&self, deadline: Deadline, report: &mut FlushReport) {
        let pushed = self.holding().pushed();
        let goal = flush_goal(self.address()).map_or(pushed, |goal| goal.min(pushed));
        let asked = |report: &FlushReport| report.again().map_or(0, |again| again.goals.len());
        let before = asked(report);
        // Other threads may forward batches at the same time, and with them the events of this
        // flush.
        while self.await_return(goal, deadline) {
            self.give_out(Emit::Now, goal, deadline, report);
            let holding = self.holding();
            if holding.gone() >= goal || !holding.is_busy() {
                break;
            }
        }
        let holding = self.holding();
        // A worker that is asked again may find room then.
        let asked_nothing = asked(report) == before;
        if asked_nothing && holding.gone() < goal {
            report.note(if self.is_inside() { Finish::Pending } else { Finish::TimedOut });
        }
        self.leave(holding);
    }

    /// Forwards a batch that has reached its age and a batch that was refused; returns the time of
    /// the next call.
    fn hand_on_due(&self, now: Instant) -> Option<Instant> {
        let mut holding = self.holding();
        let is_old = holding.is_old(now, &self.limits);
        if is_old || holding.has_refused() {
            holding = self.hand_on(holding, if is_old { Emit::Now } else { Emit::Complete });
        }
        let next = holding.next_tick(now, &self.limits);
        self.leave(holding);
        next
    }

    /// Forwards the remaining events, discards those that the inner sink does not accept, and
    /// closes the inner sink.
    fn close_inner(&self, mut holding: MutexGuard<'_, Holding<E>>, deadline: Deadline) -> CloseReport {
        holding.begin_close();
        drop(holding);
        let _here = self.core.crew.enter();
        self.give_out(Emit::Finally, u64::MAX, deadline, &mut FlushReport::default());
        if self.holding().is_out_of_time() {
            // Events that the inner sink does not accept now are lost; a retry with dead letters
            // sends them there.
            let (_last, _limit) = (LastOffer::begin(), WaitLimit::begin(Duration::ZERO));
            drop(self.hand_on(self.holding(), Emit::Finally));
        }
        let given_up = self.holding().give_up();
        let aborted = Disposition::Dropped(DropReason::Aborted);
        given_up.iter().for_each(|event| self.core.scales.count(event, aborted));
        let undelivered = given_up.len() as u64;
        discard_each(given_up);
        let mut report = close_caught(&self.inner, deadline);
        report.undelivered += undelivered;
        if undelivered > 0 {
            report.finish = report.finish.max(Finish::TimedOut);
        }
        self.holding().end_close(report.clone());
        self.core.changed.poke();
        report
    }
}

impl<E, S> Sink<E> for Batch<E, S>
where
    E: Send + 'static,
    S: Sink<Vec<E>>,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        let (settings, size) = (self.limits.validate(), self.limits.size_of(&event));
        let mut holding = self.holding();
        if holding.is_closed() {
            return Err(holding.refuse_closed(event));
        }
        if let Err(error) = settings {
            return Err(holding.refuse_invalid(event, error));
        }
        let Ok(size) = size else {
            holding.count_panicked();
            drop(holding);
            discard(event);
            return Ok(Disposition::Dropped(DropReason::Panicked));
        };
        // Other threads may have filled the next batch in the meantime, and this event may be too
        // large for it.
        while !self.is_ready(&holding, size) {
            holding = self.hand_on(holding, Emit::Now);
            if holding.is_busy() || holding.has_refused() {
                break;
            }
        }
        if holding.is_closed() || !holding.has_room(size, &self.limits) {
            let error = holding.refuse(event);
            self.leave(holding);
            return Err(error);
        }
        holding.push(event, size);
        if holding.is_complete(&self.limits) {
            holding = self.hand_on(holding, Emit::Complete);
            self.leave(holding);
        }
        Ok(Disposition::Pending)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.holding().close(deadline);
        loop {
            let came_back = self.await_return(u64::MAX, deadline);
            let holding = self.holding();
            if let Some(report) = holding.report() {
                return report.clone();
            }
            if !holding.is_busy() {
                return self.close_inner(holding, deadline);
            }
            // The thread that is forwarding continues with the close.
            if self.is_inside() {
                return CloseReport::pending();
            }
            if !came_back {
                drop(holding);
                // With what the inner sinks keep, which the abort gives up.
                let mut state = SinkState::default();
                self.core.describe(&mut state);
                let pending = state.ledger.pending;
                // Ends the waits inside the inner sink, so that the batch returns.
                quietly(|| self.inner.abort_now());
                return CloseReport::timed_out(pending);
            }
        }
    }

    // Forwards the held events before the inner sink flushes its own.

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        if self.core.crew.is_here() {
            // The inner sink flushes this batch while this batch flushes or closes it: a cycle.
            return report.note(Finish::Pending);
        }
        self.flush_held(deadline, report);
        self.flush_inner(deadline, report);
    }

    fn end_of_batch(&self) {
        if self.limits.at_end_of_batch {
            let holding = self.hand_on(self.holding(), Emit::Now);
            self.leave(holding);
        }
        self.inner.end_of_batch();
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        let next = self.hand_on_due(now);
        earlier(next, self.inner.tick(now))
    }

    fn reports_closed(&self) -> bool {
        self.holding().is_closed() || self.inner.reports_closed()
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate().and_then(|()| control::validate(self))
    }

    // The inner sink's ledger counts batches, and this one counts events.
    fn describe(&self, state: &mut SinkState) {
        self.show(state);
    }

    fn add_ledgers(&self, list: &mut Ledgers, _: Internal) {
        list.push(self.core.clone());
        list.extend_shown(ledgers_of(&self.inner));
    }

    fn weigh(&self, weight: &Weight, internal: Internal) {
        self.core.scales.add::<E>(weight);
        if let Some(weight) = weight.of_batches::<E>() {
            self.inner.weigh(&weight, internal);
        }
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.core))
    }
}

impl<E: 'static, S: fmt::Debug> fmt::Debug for Batch<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.holding().pending();
        f.debug_struct("Batch").field("inner", &self.inner).field("pending", &pending).finish_non_exhaustive()
    }
}
