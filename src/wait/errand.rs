//! Calls of the control plane into several sinks: all sinks are told first, then one thread waits
//! for all of them.
//!
//! There are two mechanisms. [`DeferredWaits`] marks a thread on which a close or a flush of
//! several sinks is in progress. A queue, a channel or a bus that is closed or flushed there does
//! not wait, but records in the report what remains to be waited for. The caller that began the
//! operation waits for all of it against one deadline, on its own thread ([`close_together`],
//! [`flush_together`]). So a stuck sink takes no time from those after it, a worker thread never
//! waits for another worker, and in a cycle of buses and queues no two threads wait for each other.
//!
//! [`in_turn`] calls user code that may take any time, one call after the other on a separate
//! thread. If a call is overdue, the calls after it continue on another thread. A call that has not
//! returned at the deadline is abandoned.

use super::WaitList;
use super::context::{AtWork, DeferredWaits, Visits, is_worker, must_not_wait, waits_are_deferred};
use crate::deadline::Deadline;
use crate::stats::{CloseReport, FlushReport, Identity};
use crate::sync::membarrier::process_pair;
use crate::sync::{MODEL, Mutex, lock, thread};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The longest time for which the calls after a call wait for it.
const CALL_LIMIT: Duration = Duration::from_millis(20);
/// How long after the deadline to wait for calls in progress, unless one of them returns meanwhile.
const GRACE: Duration = Duration::from_millis(100);
/// How long after the deadline to wait for the results of calls that another thread waits for.
pub(crate) const LONG_GRACE: Duration = GRACE.saturating_mul(2);
/// The minimum of these limits: a shorter one would start a thread for each call.
const LEAST_CALL_LIMIT: Duration = Duration::from_millis(1);

/// Returns how long one of `count` sinks may delay the next one, so that calls keep their order
/// where that costs nothing.
///
/// All of them together take at most half of the time that is left.
pub(crate) fn call_limit(deadline: Deadline, count: usize) -> Duration {
    let parts = u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(2).max(1);
    deadline.remaining().map_or(CALL_LIMIT, |left| (left / parts).min(CALL_LIMIT))
}

/// A call into a sink.
pub(crate) type SinkCall<R> = Box<dyn FnOnce() -> R + Send>;

struct Errands<R> {
    state: Mutex<State<R>>,
    changed: WaitList,
    visits: Visits,
}

struct State<R> {
    todo: VecDeque<(usize, SinkCall<R>)>,
    results: Vec<Option<R>>,
    /// The number of calls that have not returned.
    open: usize,
    /// Advances when a call begins or returns.
    steps: u64,
    /// The thread that makes the next call; a thread that was replaced makes none.
    leader: u32,
    /// Whether that thread is in a call. A thread that has not run yet is not replaced: another one
    /// would start no sooner.
    is_calling: bool,
}

impl<R> Errands<R> {
    /// Makes the remaining calls, one after the other, until another thread is the leader.
    fn run(&self, leader: u32) {
        let _deferred = DeferredWaits::begin();
        loop {
            let (index, call) = {
                let mut state = lock(&self.state);
                if state.leader != leader {
                    return;
                }
                let Some(next) = state.todo.pop_front() else { return };
                state.steps += 1;
                state.is_calling = true;
                next
            };
            let result = call();
            {
                let mut state = lock(&self.state);
                // The slot is gone if the call was abandoned.
                if let Some(place) = state.results.get_mut(index) {
                    *place = Some(result);
                }
                state.open -= 1;
                state.steps += 1;
                if state.leader == leader {
                    state.is_calling = false;
                }
            }
            self.changed.notify();
        }
    }

    /// Waits until all calls have returned (`true`), a step happens (`false`), or the limit passes
    /// (`None`).
    fn wait(&self, limit: Deadline, before: u64) -> Option<bool> {
        self.changed.wait_until(limit, || {
            let state = lock(&self.state);
            if state.open == 0 { Some(true) } else { (state.steps != before).then_some(false) }
        })
    }
}

/// Makes calls into sinks one after the other, in order, and returns their results: `None` for a
/// call that was abandoned.
///
/// The calls run on a separate thread, marked by [`DeferredWaits`]. They must not panic. Where no
/// thread can be started, and in models, they run on the calling thread.
pub(crate) fn in_turn<R: Send + 'static>(calls: Vec<SinkCall<R>>, deadline: Deadline) -> Vec<Option<R>> {
    if MODEL || calls.is_empty() {
        return here(calls);
    }
    let count = calls.len();
    let errands = Arc::new(Errands {
        state: Mutex::new(State {
            todo: calls.into_iter().enumerate().collect(),
            results: (0..count).map(|_| None).collect(),
            open: count,
            steps: 0,
            leader: 0,
            is_calling: false,
        }),
        changed: WaitList::new(process_pair()),
        visits: Visits::of_this_thread(),
    });
    let mut leads = begin(&errands, 0);
    loop {
        let (before, left, leader, is_calling) = {
            let state = lock(&errands.state);
            (state.steps, state.todo.len(), state.leader, state.is_calling)
        };
        if !leads {
            // No thread is available: make the remaining calls here.
            errands.run(leader);
        }
        let outcome = if left > 0 {
            errands.wait(Deadline::after(call_limit(deadline, left + 1).max(LEAST_CALL_LIMIT)), before)
        } else {
            errands.wait(deadline, before).or_else(|| errands.wait(Deadline::after(GRACE), before))
        };
        match outcome {
            Some(true) => break,
            Some(false) => {}
            None if left > 0 => {
                if is_calling {
                    {
                        let mut state = lock(&errands.state);
                        state.leader = leader + 1;
                        state.is_calling = false;
                    }
                    leads = begin(&errands, leader + 1);
                }
            }
            None => break,
        }
    }
    std::mem::take(&mut lock(&errands.state).results)
}

/// Makes all calls on this thread.
pub(crate) fn here<R>(calls: Vec<SinkCall<R>>) -> Vec<Option<R>> {
    let _deferred = DeferredWaits::begin();
    calls.into_iter().map(|call| Some(call())).collect()
}

/// Starts a thread that makes the remaining calls, and returns whether it started.
fn begin<R: Send + 'static>(errands: &Arc<Errands<R>>, leader: u32) -> bool {
    let errands = errands.clone();
    let body = move || {
        let _visits = errands.visits.adopt();
        errands.run(leader);
    };
    thread::spawn_named(String::from("buslane-control"), body).is_ok()
}

/// Runs `body` on a separate thread without waiting for it, or on this thread if none can be
/// started.
pub(crate) fn apart(body: impl FnOnce() + Send + 'static) {
    let (visits, place) = (Visits::of_this_thread(), Arc::new(Mutex::new(Some(body))));
    let there = place.clone();
    let run = move || {
        let _visits = visits.adopt();
        let body = lock(&there).take();
        if let Some(body) = body {
            body();
        }
    };
    if thread::spawn_named(String::from("buslane-control"), run).is_err() {
        let body = lock(&place).take();
        if let Some(body) = body {
            body();
        }
    }
}

/// Makes two calls into sinks: the second one when the first has returned or is overdue.
///
/// Returns when both calls have returned, since both may borrow. The second call waits for the
/// first where no thread can be started, in models, and inside a delivery.
pub(crate) fn beside<A: Send, B>(
    deadline: Deadline,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B,
) -> (A, B) {
    if MODEL || must_not_wait() {
        return (first(), second());
    }
    let (visits, is_deferred, is_worker) = (Visits::of_this_thread(), waits_are_deferred(), is_worker());
    let (call, result, changed) = (Mutex::new(Some(first)), Mutex::new(None), WaitList::new(process_pair()));
    let make = || {
        let first = lock(&call).take();
        if let Some(first) = first {
            let value = first();
            *lock(&result) = Some(value);
            changed.notify();
        }
    };
    let value = std::thread::scope(|scope| {
        let body = || {
            let _visits = visits.adopt();
            let _deferred = is_deferred.then(DeferredWaits::begin);
            let _work = is_worker.then(AtWork::begin);
            make();
        };
        let thread = std::thread::Builder::new().name(String::from("buslane-control"));
        if thread.spawn_scoped(scope, body).is_err() {
            make();
        }
        let limit = Deadline::after(call_limit(deadline, 1));
        changed.wait_until(limit, || lock(&result).is_some().then_some(()));
        second()
    });
    let first = lock(&result).take();
    (first.expect("the scope ends only after the call has returned"), value)
}

/// Closes several sinks as one: tells all of them, then waits for all against one deadline.
///
/// The wait happens here, or in the caller that closes this sink among others.
pub(crate) fn close_together(deadline: Deadline, close: impl FnOnce() -> CloseReport) -> CloseReport {
    let waits = !waits_are_deferred();
    let mut report = {
        let _deferred = DeferredWaits::begin();
        close()
    };
    if waits {
        let this = Identity::new();
        report.settle(&this, deadline);
        report.whole(&this)
    } else {
        report
    }
}

/// Flushes several sinks as one, as [`close_together`] closes them.
pub(crate) fn flush_together(
    deadline: Deadline,
    report: &mut FlushReport,
    flush: impl FnOnce(&mut FlushReport),
) {
    let waits = !waits_are_deferred();
    let mut part = FlushReport::default();
    {
        let _deferred = DeferredWaits::begin();
        flush(&mut part);
    }
    if waits {
        part.settle(deadline);
    }
    report.absorb(part);
}
