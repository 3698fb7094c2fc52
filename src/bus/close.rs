//! Closing a bus.
//!
//! A close first requests the close of every sink, in the order in which the sinks were added, and
//! then waits for all of them against one deadline. A sink's report holds the requests that the caller
//! still has to wait for ([`crate::wait::errand`]).
//!
//! A bus that is closed on behalf of another bus is *told*: its close is requested and not waited
//! for, whichever thread requests it. The caller that began the outermost close waits for each told
//! close once. So no close of a bus waits for another bus, and no thread waits in a cycle of buses.

use super::control::{Closing, Garbage};
use super::core::{CLOSED, Core};
use super::entry::SinkEntry;
use super::list::List;
use crate::sink::Sink;
use crate::sink::control::close_caught;
use crate::stats::{Awaited, CloseReport, Ending, Finish, Identity};
use crate::sync::pace::Pace;
use crate::sync::{MODEL, Ordering, lock};
use crate::time::Deadline;
use crate::wait::WaitList;
use crate::wait::context::{
    DeferredWaits, HandleDrop, UserCode, Wait, WaitLimit, dispose, dispose_each, is_worker, must_not_wait,
    quietly, waits_are_deferred,
};
use crate::wait::errand::{LONG_GRACE, SinkCall, apart, call_limit, here, in_turn};
use crate::wait::list::task::{Condition, TaskWait};
use std::sync::Arc;
use std::time::Duration;

impl<E: Send + 'static> Core<E> {
    /// Closes the bus, and waits for all of its sinks, or leaves the wait to the caller that closes
    /// several sinks.
    pub(super) fn close(self: &Arc<Self>, deadline: Deadline, wait: Wait) -> CloseReport {
        if must_not_wait() {
            return self.close_inside(deadline, None);
        }
        self.end(deadline);
        if wait == Wait::Deferred {
            return CloseReport::told(self.clone());
        }
        // A sink that closes its own bus while that bus closes it would wait for itself.
        let wait_end = if waits_are_deferred() { Deadline::NOW } else { deadline };
        let Some(mut own) = self.await_own(wait_end, deadline) else {
            if waits_are_deferred() {
                return CloseReport::pending();
            }
            let mut report = self.cut_short(deadline);
            report.settle(&self.identity, deadline);
            return report.whole(&self.identity);
        };
        if waits_are_deferred() && is_worker() {
            // The queue to wait for may be the worker's own.
            return own.whole(&self.identity);
        }
        own.settle(&self.identity, deadline);
        let (whole, replaced) = {
            let mut control = lock(&self.control);
            match &mut control.closing {
                // The report that was settled first is the final report.
                Closing::Reported(report) if report.is_settled() => (report.whole(&self.identity), own),
                closing => {
                    let whole = own.whole(&self.identity);
                    let old = std::mem::replace(closing, Closing::Reported(own));
                    (whole, if let Closing::Reported(old) = old { old } else { CloseReport::done() })
                }
            }
        };
        drop(replaced);
        whole
    }

    /// Closes the bus to new events, and returns the sinks to close. Returns `None` if another
    /// thread closes or has closed them.
    fn begin_close(&self) -> Option<Vec<SinkEntry<E>>> {
        let mut garbage = Garbage::new();
        let entries = {
            let mut control = lock(&self.control);
            if !matches!(control.closing, Closing::Idle) {
                return None;
            }
            control.closing = Closing::Running;
            // ORD(bus.version): AcqRel; pairs with the Acquire in `Publisher::publish`. Under the
            // lock, so that no sink is added to a closed bus.
            self.front.version.fetch_or(CLOSED, Ordering::AcqRel);
            control.retired.add(self.front.list.replace(List::default()));
            // L1: no publisher is made on a closed bus.
            garbage.kept.append(&mut control.kept);
            let entries = control.entries.clone();
            let called = entries.iter().filter(|entry| !entry.info.has_lanes);
            control.unfinished = called.map(|entry| entry.info.id).collect();
            entries
        };
        self.release(garbage);
        // Wakes tasks that wait for the bus to be closed, however long its sinks take.
        self.closers.notify();
        let entries: Vec<SinkEntry<E>> = entries.iter().cloned().collect();
        let links = entries.iter().flat_map(|entry| entry.reached.end());
        let sealers = links.filter_map(|(_, link)| link.sealer()).collect();
        // Publishers of a closed bus apply no further changes, so the seal needs the heavy fence.
        self.shut_out(&entries.iter().collect::<Vec<_>>(), sealers, || false);
        // This may drop lanes that no publisher has taken, so it runs outside the lock.
        entries.iter().for_each(|entry| dispose(entry.reached.take()));
        Some(entries)
    }

    /// Records how a close ended, and wakes the waiting callers: with a report, or so that the next
    /// caller closes the bus again.
    fn end_close(&self, closing: Closing) {
        lock(&self.control).closing = closing;
        self.closers.notify();
    }

    /// Closes the bus for a task: requests the close of every sink, and waits for nothing.
    pub(super) fn close_as_task(self: &Arc<Self>) -> CloseReport {
        if must_not_wait() {
            return self.close_inside(Deadline::NEVER, None);
        }
        self.end_as_task();
        CloseReport::told(self.clone())
    }

    /// Requests the close of every sink, and waits for none: those that may take long are called on a
    /// separate thread.
    fn end_as_task(self: &Arc<Self>) {
        let _deferred = DeferredWaits::begin();
        self.end_in_order(Deadline::NEVER, Some(Duration::ZERO));
    }

    /// Requests the close of every sink, unless another thread does so or has done so.
    fn end(self: &Arc<Self>, deadline: Deadline) {
        self.end_in_order(deadline, None);
    }

    /// Requests the close of every sink as [`end`](Self::end) does. A sink that closes slowly delays
    /// the next one for at most `limit`, or for a part of the deadline.
    fn end_in_order(self: &Arc<Self>, deadline: Deadline, limit: Option<Duration>) {
        let Some(entries) = self.begin_close() else { return };
        let limit = limit.unwrap_or_else(|| call_limit(deadline, 2 * entries.len()));
        let calls = entries.iter().map(|entry| {
            let (core, entry) = (self.clone(), entry.clone());
            Box::new(move || core.close_sink(&entry, deadline, limit)) as SinkCall<CloseReport>
        });
        let calls: Vec<_> = calls.collect();
        let is_quick = |entry: &SinkEntry<E>| entry.info.has_lanes && !self.is_called(entry);
        if MODEL || !waits_are_deferred() || entries.iter().all(is_quick) {
            let parts = made(&entries, calls, deadline);
            self.make_report(&entries, parts, deadline);
        } else {
            // The caller closes other sinks as well, and waits for this report later, together with
            // theirs.
            let core = self.clone();
            apart(move || {
                let parts = made(&entries, calls, deadline);
                core.make_report(&entries, parts, deadline);
            });
        }
    }

    /// Makes the bus's own report from the reports of its sinks. A part is `None` if its sink did
    /// not return.
    fn make_report(&self, entries: &[SinkEntry<E>], parts: Vec<Option<CloseReport>>, deadline: Deadline) {
        let mut own = CloseReport::done();
        for (entry, part) in entries.iter().zip(parts) {
            let mut part = part.unwrap_or_else(|| CloseReport::timed_out(0));
            if !self.wait_for_calls(entry, deadline) {
                part.finish = part.finish.max(Finish::TimedOut);
            }
            own.note(&entry.info.name, part);
        }
        self.end_close(Closing::Reported(own));
    }

    /// Ends, at `deadline`, a close that another caller began with a later deadline or with none, and
    /// that waits for a call into a sink: requests that each backlog is discarded at this deadline.
    fn cut_short(&self, deadline: Deadline) -> CloseReport {
        let entries = lock(&self.control).entries.clone();
        let mut report = CloseReport::timed_out(0);
        {
            let _deferred = DeferredWaits::begin();
            for entry in entries.iter() {
                entry.listed.with(|sink| {
                    if entry.info.has_lanes {
                        // Such a sink is only told, also if it was told before.
                        report.note(&entry.info.name, close_caught(sink, deadline));
                    } else {
                        // The other caller is in its close, or will be.
                        quietly(|| sink.abort_now());
                        // Bound, so that the lock is free.
                        let is_unfinished = lock(&self.control).unfinished.contains(&entry.info.id);
                        if is_unfinished {
                            report.note(&entry.info.name, CloseReport::timed_out(0));
                        }
                    }
                });
            }
        }
        dispose(entries);
        report
    }

    /// Returns the report of a sink without lanes that a close from inside has closed. Such a sink is
    /// not closed again.
    fn ended(&self, entry: &SinkEntry<E>) -> Option<CloseReport> {
        lock(&self.control).ended.get(&entry.info.id).cloned()
    }

    /// Closes one sink, and waits for its end for at most `limit`.
    fn close_sink(&self, entry: &SinkEntry<E>, deadline: Deadline, limit: Duration) -> CloseReport {
        let part = self.ended(entry).unwrap_or_else(|| self.close_listed(entry, deadline, limit));
        lock(&self.control).unfinished.remove(&entry.info.id);
        part
    }

    fn close_listed(&self, entry: &SinkEntry<E>, deadline: Deadline, limit: Duration) -> CloseReport {
        // A direct sink is closed after the calls in progress. A sink with lanes is closed at once,
        // which ends the calls that wait for room in it.
        let calls_are_over = entry.info.has_lanes || self.wait_for_calls(entry, deadline);
        // The entry and its sink stay on the bus, for snapshots.
        entry.listed.with(|sink| {
            if !calls_are_over {
                // Ends waits inside the sink, such as a wait for a backoff or a response.
                quietly(|| sink.abort_now());
            }
            // A wait for room inside the sink ends at the deadline of this close.
            let in_call = WaitLimit::until(deadline);
            let part = close_caught(sink, deadline);
            drop(in_call);
            if !MODEL && !limit.is_zero() {
                part.await_told(&self.identity, Deadline::after(limit));
            }
            part
        })
    }

    /// Closes the bus where the caller must not wait for its sinks to drain: inside a delivery, and
    /// in the drop of the last handle. With a `limit`, the calls that close the sinks are waited
    /// for until then.
    fn close_inside(self: &Arc<Self>, deadline: Deadline, limit: Option<Deadline>) -> CloseReport {
        let Some(entries) = self.begin_close() else {
            // Bound first, so that the lock is free.
            let own = self.final_report();
            return own.map_or_else(CloseReport::pending, |own| own.whole(&self.identity));
        };
        let calls: Vec<SinkCall<CloseReport>> = entries
            .iter()
            .map(|entry| {
                let (core, entry) = (self.clone(), entry.clone());
                let call = move || {
                    let part = core.ended(&entry).unwrap_or_else(|| {
                        let _user_code = UserCode::enter();
                        entry.listed.with(|sink| close_caught(sink, deadline))
                    });
                    lock(&core.control).unfinished.remove(&entry.info.id);
                    part
                };
                Box::new(call) as SinkCall<CloseReport>
            })
            .collect();
        let parts = match limit {
            Some(limit) => made(&entries, calls, limit),
            None => here(calls),
        };
        let mut report = CloseReport::pending();
        for (entry, part) in entries.iter().zip(parts) {
            let part = part.unwrap_or_else(CloseReport::pending);
            if part.finish != Finish::Pending && !entry.info.has_lanes {
                lock(&self.control).ended.entry(entry.info.id).or_insert_with(|| part.clone());
            }
            report.merge(&entry.info.name, part);
        }
        // The sinks complete a close from inside by themselves. The next caller from outside waits
        // for it and gets the final report.
        let is_pending = report.finish == Finish::Pending;
        self.end_close(if is_pending { Closing::Idle } else { Closing::Reported(report.clone()) });
        report
    }

    /// Waits until `wait_end` for the bus's own report, which another thread may be making. If this
    /// thread makes it, its sinks are closed by `deadline`.
    fn await_own(self: &Arc<Self>, wait_end: Deadline, deadline: Deadline) -> Option<CloseReport> {
        loop {
            let reported = || match &lock(&self.control).closing {
                Closing::Reported(report) => Some(Some(report.clone())),
                Closing::Idle => Some(None),
                Closing::Running => None,
            };
            match self.closers.wait_until(wait_end, reported)? {
                Some(report) => return Some(report),
                // The other close was from inside, so this thread closes the bus.
                None => self.end(deadline),
            }
        }
    }

    /// Returns whether a publish is inside a sink.
    fn is_called(&self, entry: &SinkEntry<E>) -> bool {
        entry.listed.guarded().is_named(&self.domain) || entry.info.is_called()
    }

    /// Waits until no publish is inside a sink, or the deadline has passed. Returns whether none is
    /// inside.
    fn wait_for_calls(&self, entry: &SinkEntry<E>, deadline: Deadline) -> bool {
        let mut pause = Pace::new();
        while self.is_called(entry) {
            if deadline.has_passed() {
                return false;
            }
            pause.wait();
        }
        true
    }

    /// Closes the bus in the drop of its last handle, and releases its sinks. The sinks drain the
    /// events that they have accepted; no sink is aborted.
    pub(super) fn let_go(self: &Arc<Self>) {
        // All last handles that are dropped on this thread share one limit with the sinks that are
        // closed here.
        let dropping = HandleDrop::begin();
        let limit = (!must_not_wait()).then(|| dropping.deadline());
        // As inside a delivery, the close does not wait for sinks to drain, and it aborts none.
        let _ = self.close_inside(Deadline::NEVER, limit);
        let publishers = {
            let mut control = lock(&self.control);
            let entries = std::mem::take(&mut control.entries);
            control.leaving.extend(entries.iter().cloned());
            std::mem::take(&mut control.publishers)
        };
        dispose_each(publishers);
        self.sweep();
    }
}

/// Makes one call into each of these sinks. If all sinks have lanes, no call takes long, so the
/// calls run on this thread.
fn made<E: Send + 'static, R: Send + 'static>(
    entries: &[SinkEntry<E>],
    calls: Vec<SinkCall<R>>,
    deadline: Deadline,
) -> Vec<Option<R>> {
    if entries.iter().all(|entry| entry.info.has_lanes) { here(calls) } else { in_turn(calls, deadline) }
}

impl<E: Send + 'static> Ending for Core<E> {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn final_report(&self) -> Option<CloseReport> {
        match &lock(&self.control).closing {
            Closing::Reported(report) => Some(report.clone()),
            Closing::Idle | Closing::Running => None,
        }
    }

    fn await_end(&self, deadline: Deadline) {
        self.closers.wait_until(deadline, || self.final_report());
    }

    fn report(self: Arc<Self>, deadline: Deadline) -> CloseReport {
        // The thread that makes the report waits for calls into the sinks of this bus, and for no
        // other bus.
        let own = self.await_own(deadline, deadline);
        own.or_else(|| self.await_own(Deadline::after(LONG_GRACE), deadline))
            .unwrap_or_else(|| self.cut_short(deadline))
    }

    fn until_ended(self: Arc<Self>) -> Option<Box<dyn Awaited>> {
        Some(Box::new(TaskWait::for_end(Arc::new(Reported(self)))))
    }
}

/// What a task waits for that closes a bus: the bus's own report.
struct Reported<E: Send + 'static>(Arc<Core<E>>);

impl<E: Send + 'static> Condition for Reported<E> {
    fn list(&self) -> &WaitList {
        &self.0.closers
    }

    fn holds(&self) -> bool {
        let is_idle = matches!(lock(&self.0.control).closing, Closing::Idle);
        if is_idle {
            // The other close was from inside, so this task closes the bus.
            self.0.end_as_task();
        }
        self.0.final_report().is_some()
    }
}

/// What a task waits for that does not close a bus: that it is closed.
struct IsClosed<E: Send + 'static>(Arc<Core<E>>);

impl<E: Send + 'static> Condition for IsClosed<E> {
    fn list(&self) -> &WaitList {
        &self.0.closers
    }

    fn holds(&self) -> bool {
        self.0.is_closed()
    }
}

impl<E: Send + 'static> Core<E> {
    /// Returns the wait of a task until the bus is closed.
    pub(super) fn until_closed(self: &Arc<Self>) -> TaskWait {
        TaskWait::for_end(Arc::new(IsClosed(self.clone())))
    }
}
