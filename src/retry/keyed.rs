//! A sink that retries each key separately.

use super::attempts::{Attempts, Step, Trials};
use super::dead_letter::DeadLetter;
use super::letters::GRACE;
use super::parked::{BacklogId, Parked, Waiting};
use super::policy::RetryPolicy;
use crate::deadline::moment_after;
use crate::error::{ConfigError, Invalid, WriteError};
use crate::sink::control::{self, earlier};
use crate::sink::lane::Internal;
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{
    Again, AgainWait, CloseReport, Disposition, DropReason, Finish, FlushReport, Ledgers, Load, SinkKind,
    SinkState, SinkStatus, Weight,
};
use crate::sync::{Mutex, lock};
use crate::time::{Clock, Deadline};
use crate::wait::context::{
    Quiet, UserCode, WaitLimit, caught, discard, is_worker, must_not_wait, user_code,
};
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The default of [`KeyedRetry::capacity`].
const CAPACITY: usize = 1024;
/// How long a flush waits for an event that another worker is attempting.
const IN_OTHER_HANDS: Duration = Duration::from_millis(1);
/// The most attempts in one tick, so that the events after it are not delayed for long.
const ATTEMPTS_PER_TICK: usize = 64;

/// A sink that retries failed events while events of other keys continue.
///
/// Created by [`SinkExt::retry_by_key`](crate::SinkExt::retry_by_key). An event that fails is set
/// aside until the policy lets it be tried again. Later events of its key are set aside after it,
/// and those of other keys continue. `write` never waits for a backoff. A keyed retry has no thread
/// and no timer: it needs an upstream [`Queue`](crate::Queue), whose ticks report that time has
/// passed.
///
/// # Guarantees
/// - **Order**: first in, first out for each key, provided that one thread writes. None between
///   keys.
/// - **Delivery**: `Ok` means accepted by the inner sink, by the dead letters, or set aside. At
///   most [`capacity`](Self::capacity) events are set aside; one more is [`WriteError::Full`], or a
///   dead letter. An event that was set aside and is given up goes to the dead letters; without
///   them it counts as `dropped.failed`.
/// - **Close and flush** make attempts until the deadline, waits included.
///   - Inside a delivery they make none and do not wait
///     ([`Finish::Pending`](crate::stats::Finish::Pending)).
///   - On the worker of a queue a flush does not wait: the flush of the queue waits for the
///     backoff, and calls the worker again.
///   - The events that a close leaves go to the dead letters, or count as `dropped.aborted`; both
///     are `undelivered` in the report. The dead letters [stay open for
///     them](crate::retry::Retry::dead_letters).
///   - A direct close returns when the inner sink and the dead letters [have
///     returned](crate::Sink::close_by), also after the deadline.
/// - **Keys**: `Hash`, `Eq` and `Drop` of a key run while no lock is held. A panic there costs only
///   the event for which it was called.
/// - **Ledger**: as for [`Retry`](crate::retry::Retry); events that are set aside are `pending`.
///
/// # Examples
/// ```
/// use buslane::{Queue, Sink, sink_fn, SinkExt};
/// use buslane::retry::Backoff;
/// use std::{sync::{Arc, Mutex}, time::Duration};
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let (into, busy) = (seen.clone(), Mutex::new(true));
/// let sink = sink_fn(move |event: &(u32, &str)| {
///     if std::mem::take(&mut *busy.lock().unwrap()) { return Err("busy") }
///     into.lock().unwrap().push(event.1);
///     Ok(())
/// });
/// let policy = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
/// let queue = Queue::builder().spawn_sink(sink.retry_by_key(|(user, _)| *user, policy))?;
/// for event in [(1, "first of one"), (1, "second of one"), (2, "first of the other")] {
///     queue.write(event)?;
/// }
/// assert!(queue.close().is_done());
/// let seen = seen.lock().unwrap();
/// let of_one: Vec<_> = seen.iter().filter(|text| text.ends_with("of one")).collect();
/// assert_eq!((of_one[0], of_one[1], seen.len()), (&"first of one", &"second of one", 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a retry does nothing until it is written to or added to a bus"]
pub struct KeyedRetry<E, S, K, F, P> {
    inner: S,
    key: F,
    hasher: RandomState,
    attempts: Attempts<E, P>,
    parked: Mutex<Parked<K, E>>,
}

impl<E, S, K: Eq + Hash, F, P> KeyedRetry<E, S, K, F, P> {
    pub(crate) fn new(inner: S, key: F, policy: P) -> Self
    where
        P: RetryPolicy<E>,
    {
        Self {
            inner,
            key,
            hasher: RandomState::new(),
            attempts: Attempts::new(policy),
            parked: Mutex::new(Parked::new(CAPACITY)),
        }
    }

    /// Sets the number of events that may be set aside, over all keys. Default: 1024.
    ///
    /// A capacity of 0 is invalid: see [where settings are
    /// checked](crate::error#where-settings-are-checked).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, sink_fn, SinkExt, WriteError};
    /// use buslane::retry::Backoff;
    /// use std::time::Duration;
    /// let minute = Duration::from_secs(60);
    /// let sink = sink_fn(|_: &(u32, &str)| Err("no route"));
    /// let sink = sink.retry_by_key(|(user, _)| *user, Backoff::new(minute, minute)).capacity(1);
    /// assert!(sink.write((1, "set aside")).is_ok());
    /// assert!(matches!(sink.write((2, "no room")), Err(WriteError::Full((2, "no room")))));
    /// ```
    pub fn capacity(self, events: usize) -> Self {
        lock(&self.parked).capacity = events;
        self
    }

    fn settings(&self) -> Result<(), ConfigError> {
        let zero = lock(&self.parked).capacity == 0;
        if zero { Err(Invalid::ZeroCapacity.into()) } else { self.attempts.settings }
    }

    /// Sends events that are given up to `sink`, as
    /// [`Retry::dead_letters`](crate::retry::Retry::dead_letters) does.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, sink_fn, SinkExt};
    /// use buslane::retry::Backoff;
    /// let (letters, mut dead) = Channel::lossy(8)?;
    /// let sink = sink_fn(|_: &(u32, &str)| Err("no route"))
    ///     .retry_by_key(|(user, _)| *user, Backoff::default().max_attempts(1))
    ///     .dead_letters(letters);
    /// sink.write((1, "hello"))?;
    /// assert_eq!(dead.recv()?.event, (1, "hello"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dead_letters(mut self, sink: impl Sink<DeadLetter<E>> + 'static) -> Self {
        self.attempts.set_dead_letters(sink);
        self
    }

    /// Sets the clock for time, and for the waits of close and flush.
    ///
    /// Default: [`SystemClock`](crate::time::SystemClock), which the ticks of a queue use as well.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use buslane::{Sink, sink_fn, SinkExt};
    /// use buslane::retry::Backoff;
    /// use buslane::testing::ManualClock;
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// let clock = ManualClock::hurrying(); // each wait advances it
    /// let minute = Duration::from_secs(60);
    /// let policy = Backoff::new(minute, minute).jitter(0.0).max_attempts(3);
    /// let sink = sink_fn(|_: &u32| Err("no route")).retry_by_key(|n| *n, policy).clock(clock.clone());
    /// assert!(sink.write(7).is_ok());
    /// assert!(sink.close_by(Deadline::NEVER).is_done()); // retries until the end, waits included
    /// assert_eq!(clock.passed(), 2 * minute);
    /// # }
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.attempts.clock = Arc::new(clock);
        self
    }
}

/// An event that this thread is attempting, with its backlog.
///
/// A close waits until the event is put back, or has reached its outcome, also when user code
/// unwinds.
struct InHand<'a, E, K, P> {
    attempts: &'a Attempts<E, P>,
    parked: &'a Mutex<Parked<K, E>>,
    backlog: BacklogId,
    now: Instant,
}

impl<E, K, P> InHand<'_, E, K, P> {
    /// Puts the event back for another attempt. Returns it, still in hand, if a close did not wait for
    /// it.
    fn put_back(self, waiting: Waiting<E>, due: Instant) -> Option<(Waiting<E>, Self)> {
        let mut parked = lock(self.parked);
        if parked.swept {
            parked.undelivered += 1;
            drop(parked);
            return Some((waiting, self));
        }
        parked.put_back(self.backlog, waiting, due);
        drop(parked);
        self.attempts.pause.poke();
        std::mem::forget(self);
        None
    }
}

impl<E, K, P> Drop for InHand<'_, E, K, P> {
    fn drop(&mut self) {
        let ended = lock(self.parked).done(self.backlog, self.now);
        // The lock is released by now: dropping the backlog drops its key, which is user code.
        discard(ended);
        self.attempts.pause.poke();
    }
}

impl<E, S, K, F, P> KeyedRetry<E, S, K, F, P>
where
    E: 'static,
    S: Sink<E>,
    K: Eq + Hash,
    P: RetryPolicy<E>,
{
    /// Returns the key of an event, and its hash. All of this is user code.
    fn key_of(&self, event: &E) -> Result<(u64, Quiet<K>), String>
    where
        F: Fn(&E) -> K,
    {
        user_code(|| {
            let key = Quiet::new((self.key)(event));
            (self.hasher.hash_one(&*key), key)
        })
    }

    /// Returns the backlog of a key, if there is one, and the newest backlog of its hash.
    ///
    /// No lock is held while keys are compared.
    fn find(&self, hash: u64, key: &K) -> Result<(Option<BacklogId>, Option<BacklogId>), String> {
        let candidates = lock(&self.parked).candidates(hash);
        if candidates.keys.is_empty() {
            return Ok((None, None));
        }
        let newest = candidates.newest();
        // Keys dropped here may be the last owners, so the drop is in user code as well.
        user_code(move || {
            candidates.keys.iter().find(|(_, known)| **known == *key).map(|(backlog, _)| *backlog)
        })
        .map(|backlog| (backlog, newest))
    }

    /// Sets an event aside. Returns the event in the error if it cannot be set aside.
    fn park(
        &self,
        (hash, key): (u64, Quiet<K>),
        mut waiting: Waiting<E>,
        due: Instant,
    ) -> Result<Disposition, WriteError<E>> {
        loop {
            let (backlog, newest) = match self.find(hash, &key) {
                Ok(found) => found,
                Err(text) => return Err(self.attempts.panicked(waiting.event, "the key", &text)),
            };
            let mut parked = lock(&self.parked);
            if parked.closed || self.attempts.is_interrupted() {
                drop(parked);
                return Err(WriteError::Closed(waiting.event));
            }
            if parked.is_full() {
                drop(parked);
                return Err(WriteError::Full(waiting.event));
            }
            if let Some(backlog) = backlog {
                match parked.join(backlog, waiting) {
                    Ok(()) => {
                        self.attempts.counters.set_aside();
                        return Ok(Disposition::Pending);
                    }
                    Err(back) => waiting = back,
                }
            }
            // Otherwise another thread has begun a backlog of this hash meanwhile, perhaps for this
            // key.
            if !parked.has_newer(hash, newest) {
                parked.begin(hash, Arc::new(key.into_inner()), waiting, due);
                self.attempts.counters.set_aside();
                return Ok(Disposition::Pending);
            }
        }
    }

    /// Ends an event that was not set aside: sends it to the dead letters, or returns it to the
    /// caller.
    fn end(&self, error: WriteError<E>, attempts: u32) -> Result<Disposition, WriteError<E>> {
        let is_late = error.is_closed() && lock(&self.parked).closed;
        let answer = if is_late { Err(error) } else { self.attempts.give_up(error, attempts) };
        self.attempts.counters.answered(answer)
    }

    /// Ends an event as [`end`](Self::end) does, after some attempts.
    fn end_after(&self, error: WriteError<E>, trials: &Trials) -> Result<Disposition, WriteError<E>> {
        self.end(error, trials.made).map(|disposition| disposition.after(&trials.delivered))
    }

    /// Makes attempts for the keys that are due, one event of each at a time, at most `most` in
    /// total. Returns when the next one is due.
    fn try_due(&self, most: usize) -> Option<Instant> {
        let _hand = self.attempts.hold();
        for _ in 0..most {
            if self.attempts.is_interrupted() {
                return None;
            }
            let now = self.attempts.now();
            // Bound first, so that the lock is free during the attempt.
            let due = lock(&self.parked).take_due(now);
            let Some((backlog, Waiting { event, trials })) = due else { break };
            let in_hand = InHand { attempts: &self.attempts, parked: &self.parked, backlog, now };
            let mut trials = trials.unwrap_or_else(|| self.attempts.begin());
            let load = self.attempts.counters.scales.load(&event, &trials.delivered);
            match caught(|| self.attempts.attempt(&self.inner, event, &mut trials)) {
                Ok(Step::Wait(event, wait)) => {
                    drop(load);
                    let due = moment_after(self.attempts.now(), wait);
                    if let Some((waiting, in_hand)) =
                        in_hand.put_back(Waiting { event, trials: Some(trials) }, due)
                    {
                        self.abort_waiting(waiting);
                        // Only now: until its outcome is counted, the retry is not drained.
                        drop(in_hand);
                    }
                }
                Ok(Step::Taken(disposition)) => self.attempts.counters.ended(load, disposition),
                Ok(Step::Ended(error) | Step::GivenUp(error)) => {
                    self.give_up_later(load, error, &trials, DropReason::Failed);
                }
                Err(text) => {
                    self.attempts.note(format!("the sink panicked: {text}"));
                    self.attempts.counters.ended(load, Disposition::Dropped(DropReason::Panicked));
                }
            }
        }
        lock(&self.parked).next_due()
    }

    fn abort_waiting(&self, waiting: Waiting<E>) {
        let trials = waiting.trials.unwrap_or_else(|| self.attempts.begin());
        let load = self.attempts.counters.scales.load(&waiting.event, &trials.delivered);
        self.give_up_later(load, WriteError::Closed(waiting.event), &trials, DropReason::Aborted);
    }

    /// Ends an event that had been set aside: sends it to the dead letters, or drops it for this
    /// reason.
    fn give_up_later(&self, load: Load<'_>, error: WriteError<E>, trials: &Trials, reason: DropReason) {
        let disposition = self.attempts.give_up(error, trials.made).unwrap_or_else(|error| {
            discard(error);
            Disposition::Dropped(reason)
        });
        self.attempts.counters.ended(load, disposition.after(&trials.delivered));
    }

    /// Gives up all events that no thread is attempting.
    fn sweep(&self) {
        // One limit for all letters.
        let _limit = WaitLimit::begin(GRACE);
        let backlogs = lock(&self.parked).sweep();
        for mut backlog in backlogs {
            backlog.take_events().into_iter().for_each(|waiting| self.abort_waiting(waiting));
            discard(backlog);
        }
    }

    /// Makes attempts, and waits, until no event is set aside, and returns whether that was before
    /// the deadline.
    ///
    /// Inside a delivery it does neither: this same thread may be attempting an event.
    fn drain(&self, deadline: Deadline) -> bool {
        if must_not_wait() {
            return lock(&self.parked).count() == 0;
        }
        // As the time left from now on, since the clock may not be the system's.
        let begun = self.attempts.now();
        let limit = deadline.remaining().map(|left| moment_after(begun, left));
        loop {
            if lock(&self.parked).count() == 0 {
                return true;
            }
            let now = self.attempts.now();
            if self.attempts.is_interrupted() || limit.is_some_and(|limit| limit <= now) {
                return false;
            }
            match self.try_due(ATTEMPTS_PER_TICK) {
                Some(due) if due > now => {
                    let until = limit.map_or(due, |limit| limit.min(due));
                    self.attempts.wait_until(now, until);
                }
                Some(_) => {}
                // No event is left, or another thread is attempting it.
                None => {
                    let handed_back = || {
                        let parked = lock(&self.parked);
                        parked.count() == 0 || parked.next_due().is_some()
                    };
                    self.attempts.pause.wait(deadline, handed_back);
                }
            }
        }
    }

    /// Flushes on a worker: makes the attempts that are due, and does not wait.
    ///
    /// A worker that waited for a backoff could block another one that waits for room, for which
    /// this one waits. So the flush that called this worker waits instead, and calls it again.
    fn drain_on_worker(&self, deadline: Deadline, report: &mut FlushReport) {
        let due = {
            // It does not wait for room either.
            let _user_code = UserCode::enter();
            self.try_due(ATTEMPTS_PER_TICK)
        };
        if lock(&self.parked).count() == 0 {
            return;
        }
        if self.attempts.is_interrupted() || deadline.has_passed() {
            return report.note(Finish::TimedOut);
        }
        let (clock, pause) = (self.attempts.clock.clone(), self.attempts.pause.clone());
        let waits: AgainWait = Arc::new(move |deadline: Deadline| {
            let by_clock = || {
                let Some(due) = due else { return false };
                let now = clock.now();
                let limit = deadline.remaining().map(|left| moment_after(now, left));
                let until = limit.map_or(due, |limit| limit.min(due));
                if until > now {
                    clock.wait_until(until, &pause);
                }
                true
            };
            // Another worker may be attempting the event, and the clock is user code.
            if user_code(by_clock) != Ok(true) {
                pause.wait(deadline.min(Deadline::after(IN_OTHER_HANDS)), || false);
            }
        });
        report.ask_again(Some(Again { waits: vec![waits], ..Again::default() }));
    }
}

impl<E, S, K, F, P> Sink<E> for KeyedRetry<E, S, K, F, P>
where
    E: Send + 'static,
    S: Sink<E>,
    K: Eq + Hash + Send + Sync,
    F: Fn(&E) -> K + Send + Sync,
    P: RetryPolicy<E>,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        let _hand = self.attempts.hold();
        let key = match self.key_of(&event) {
            Ok(key) => key,
            Err(text) => return self.end(self.attempts.panicked(event, "the key function", &text), 0),
        };
        // Bound first, so that the lock is free when the dead letters get the event.
        let closed = lock(&self.parked).closed;
        if closed || self.attempts.is_interrupted() {
            return self.end(WriteError::Closed(event), 0);
        }
        if let Err(error) = self.settings() {
            let error = WriteError::Failed { event, source: Box::new(error) };
            return self.attempts.counters.answered(Err(error));
        }
        let has_backlog = match self.find(key.0, &key.1) {
            Ok((backlog, _)) => backlog.is_some(),
            Err(text) => return self.end(self.attempts.panicked(event, "the key", &text), 0),
        };
        if has_backlog {
            // Due now in case the key's last event ended meanwhile.
            let due = self.attempts.now();
            return self.park(key, Waiting { event, trials: None }, due).or_else(|error| self.end(error, 0));
        }
        let mut trials = self.attempts.begin();
        match self.attempts.attempt(&self.inner, event, &mut trials) {
            Step::Taken(disposition) => self.attempts.counters.answered(Ok(disposition)),
            Step::Wait(event, wait) => {
                let due = moment_after(self.attempts.now(), wait);
                self.park(key, Waiting { event, trials: Some(trials) }, due)
                    .or_else(|error| self.end_after(error, &trials))
            }
            // An abort has ended the attempt itself.
            Step::Ended(error) if error.is_closed() && self.attempts.keeps_interrupted() => {
                self.end_after(error, &trials)
            }
            Step::Ended(error) => self.attempts.counters.answered(Err(error)),
            Step::GivenUp(error) => self.end_after(error, &trials),
        }
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        self.attempts.visit(&self.inner, visit);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        lock(&self.parked).closed = true;
        if !self.drain(deadline) {
            if must_not_wait() {
                // Parked events still have time: a close from outside a delivery waits for them.
                return CloseReport::pending();
            }
            self.attempts.expire();
        }
        self.attempts.pause.interrupt();
        self.sweep();
        let mut report = self.attempts.close_both(&self.inner, deadline);
        let undelivered = {
            let parked = lock(&self.parked);
            // Other threads may still be attempting an event.
            parked.undelivered + parked.count() as u64
        };
        if undelivered > 0 {
            report.undelivered += undelivered;
            report.finish = report.finish.max(Finish::TimedOut);
        }
        report
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        if is_worker() && !must_not_wait() {
            self.drain_on_worker(deadline, report);
        } else if !self.drain(deadline) {
            report.note(if must_not_wait() { Finish::Pending } else { Finish::TimedOut });
        }
        self.attempts.flush_both(&self.inner, deadline, report);
    }

    fn abort_now(&self) {
        self.attempts.abort(&self.inner);
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        let due = self.try_due(ATTEMPTS_PER_TICK);
        earlier(due, control::tick(self, now))
    }

    fn reports_closed(&self) -> bool {
        self.attempts.ask(|| self.inner.reports_closed())
            || lock(&self.parked).closed
            || self.attempts.is_interrupted()
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.settings().and_then(|()| control::validate(self))
    }

    fn describe(&self, state: &mut SinkState) {
        self.attempts.describe(&self.inner, state, |state| {
            let parked = lock(&self.parked);
            state.kind = SinkKind::KeyedRetry;
            state.capacity = parked.capacity as u64;
            state.status = match (parked.closed, parked.count()) {
                (false, _) => SinkStatus::Open,
                (true, 0) => SinkStatus::Drained,
                (true, _) => SinkStatus::Closed,
            };
        });
        state.depth += lock(&self.parked).count() as u64;
    }

    fn add_ledgers(&self, list: &mut Ledgers, internal: Internal) {
        self.attempts.add_ledgers(&self.inner, list, internal);
    }

    fn weigh(&self, weight: &Weight, _: Internal) {
        self.attempts.counters.scales.add::<E>(weight);
        control::weigh(self, weight);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.attempts.pause))
    }
}

impl<E, S: fmt::Debug, K, F, P> fmt::Debug for KeyedRetry<E, S, K, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRetry").field("inner", &self.inner).finish_non_exhaustive()
    }
}
