//! Closing and flushing a bus.

use super::control::Closing;
use super::entry::{Entry, Info, List, Shared};
use super::remove::Pace;
use super::{CLOSED, Core};
use crate::panics::{Leftovers, caught, dispose_each, quietly};
use crate::report::{CloseReport, Finish, FlushReport};
use crate::sink::signal::Signal;
use crate::sync::{Ordering, lock};
use crate::wait::Deadline;
use crate::wait::allowance::Allowance;
use crate::wait::deadline::Dropping;
use crate::wait::nesting::{Nesting, Purpose, Visit, inside_delivery};
use std::sync::Arc;

/// Sinks that were on the bus a moment ago. The caller may be the last to let go of one, and a stranger to it.
type Sinks<E> = Leftovers<(Arc<Info>, Shared<E>)>;

impl<E: Send + 'static> Core<E> {
    /// Every sink on the bus, for calls outside the lock.
    pub(super) fn sinks(&self) -> Sinks<E> {
        let control = lock(&self.control);
        let entries = control.entries.iter();
        Leftovers(entries.map(|entry| (entry.info.clone(), entry.listed.with(Shared::clone))).collect())
    }

    pub(super) fn close(&self, deadline: Deadline) -> CloseReport {
        let inside = inside_delivery();
        // A bus that is closed on its own behalf, round a cycle of buses, is being closed.
        let Some(_visit) = Visit::begin(self.address(), Purpose::Close) else { return CloseReport::done() };
        let entries: Vec<Entry<E>> = {
            let mut control = lock(&self.control);
            match &control.closing {
                Closing::Reported(report) => return report.clone(),
                Closing::Running => {
                    drop(control);
                    if inside {
                        return CloseReport::pending();
                    }
                    match self.await_report(deadline) {
                        Some(report) => return report,
                        None => {
                            drop(_visit);
                            return self.close(deadline);
                        }
                    }
                }
                Closing::Idle => {}
            }
            control.closing = Closing::Running;
            // ORD(bus.version): AcqRel; pairs with the Acquire in `Publisher::publish`. Under the lock, so that no sink
            // comes onto a closed bus.
            self.version.fetch_or(CLOSED, Ordering::AcqRel);
            let old = self.list.swap(List::default());
            control.retire(old);
            control.entries.clone()
        };
        // Publishers of a closed bus take no table any more.
        self.shut_out(&entries.iter().collect::<Vec<_>>(), || false);
        let mut report = CloseReport::done();
        for entry in &entries {
            // A direct sink is closed after the calls in progress; what has lanes is closed to end those that wait there.
            let calls_are_over = inside || entry.info.has_lanes || self.wait_for_calls(entry, deadline);
            // The entries stay for snapshots, and so does the sink.
            let sink = entry.listed.with(Shared::clone);
            if !calls_are_over {
                // What waits in there, for a back-off or an answer, is to give up.
                quietly(|| sink.signal(&mut Signal::Abort));
            }
            // What waits for room in there gives up with this close.
            let _limit = Allowance::until(deadline);
            let part = caught(|| sink.close(deadline))
                .unwrap_or_else(|text| CloseReport::failed(format!("its close panicked: {text}")));
            report.merge(&entry.info.name, part);
        }
        if inside {
            report.finish = report.finish.max(Finish::Pending);
        } else {
            for entry in &entries {
                if !self.wait_for_calls(entry, deadline) {
                    report.merge(&entry.info.name, CloseReport::timed_out(0));
                }
            }
            report.unfinished.dedup();
        }
        // A close from inside goes on by itself; the next caller from outside waits for it and gets the final report.
        lock(&self.control).closing =
            if report.finish == Finish::Pending { Closing::Idle } else { Closing::Reported(report.clone()) };
        self.closers.notify();
        report
    }

    /// Waits for the report of a close that another thread makes.
    fn await_report(&self, deadline: Deadline) -> Option<CloseReport> {
        let reported = || match &lock(&self.control).closing {
            Closing::Reported(report) => Some(report.clone()),
            Closing::Idle => Some(CloseReport::pending()),
            Closing::Running => None,
        };
        match self.closers.wait_until(deadline, reported) {
            // The other close was from inside: now it is this thread's turn.
            Some(report) if report.finish == Finish::Pending => None,
            Some(report) => Some(report),
            None => Some(CloseReport::timed_out(0)),
        }
    }

    /// Waits until no publish is inside a sink, or the deadline is over; whether none is.
    fn wait_for_calls(&self, entry: &Entry<E>, deadline: Deadline) -> bool {
        let mut pause = Pace::new();
        while entry.listed.guarded().is_named(&self.domain) || entry.info.is_called() {
            if deadline.is_over() {
                return false;
            }
            pause.wait();
        }
        true
    }

    /// What the last handle does as it goes: the bus takes no more events and lets go of its sinks, which work off what they
    /// have. Nobody is told to give up.
    pub(super) fn let_go(&self) {
        {
            // As inside a delivery, where a close does not wait and gives nothing up.
            let _impatient = Nesting::impatient();
            let _ = self.close(Deadline::NEVER);
        }
        let leaving = {
            let mut control = lock(&self.control);
            let entries = std::mem::take(&mut control.entries);
            control.leaving.extend(entries);
            std::mem::take(&mut control.publishers)
        };
        // The handles of all queues share one limit as they go.
        let _dropping = Dropping::begin();
        dispose_each(leaving);
        self.sweep();
    }

    pub(super) fn flush(&self, deadline: Deadline) -> FlushReport {
        let mut report = FlushReport::default();
        if inside_delivery() {
            report.note(Finish::Pending);
            return report;
        }
        let Some(_visit) = Visit::begin(self.address(), Purpose::Flush) else { return report };
        for (info, sink) in self.sinks().0.iter() {
            let mut part = FlushReport::default();
            let _limit = Allowance::until(deadline);
            if caught(|| sink.signal(&mut Signal::Flush(deadline, &mut part))).is_err() {
                part.note(Finish::TimedOut);
            }
            report.merge(&info.name, part);
        }
        report
    }
}
