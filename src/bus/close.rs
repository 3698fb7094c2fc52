//! Closing and flushing a bus.

use super::control::Closing;
use super::entry::{Entry, Info, List, Shared};
use super::remove::Pause;
use super::{CLOSED, Core};
use crate::panics::caught;
use crate::report::{CloseReport, Finish, FlushReport};
use crate::sink::signal::Signal;
use crate::sync::{Ordering, lock};
use crate::wait::Deadline;
use crate::wait::nesting::inside_delivery;
use std::sync::Arc;

impl<E: Send + 'static> Core<E> {
    /// Every sink on the bus, for calls outside the lock.
    pub(super) fn sinks(&self) -> Vec<(Arc<Info>, Shared<E>)> {
        let control = lock(&self.control);
        control.entries.iter().map(|entry| (entry.info.clone(), entry.listed.with(Shared::clone))).collect()
    }

    pub(super) fn close(&self, deadline: Deadline) -> CloseReport {
        let inside = inside_delivery();
        let entries: Vec<Entry<E>> = {
            let mut control = lock(&self.control);
            match &control.closing {
                Closing::Reported(report) => return report.clone(),
                Closing::Running => {
                    drop(control);
                    return if inside { CloseReport::pending() } else { self.await_report(deadline) };
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
        self.shut_out(&entries.iter().collect::<Vec<_>>());
        if !inside {
            self.wait_for_calls(&entries, deadline);
        }
        let mut report = CloseReport::done();
        for entry in &entries {
            // The entries stay for snapshots, and so does the sink.
            let sink = entry.listed.with(Shared::clone);
            let part = caught(|| sink.close(deadline))
                .unwrap_or_else(|text| CloseReport::failed(format!("its close panicked: {text}")));
            report.merge(&entry.info.name, part);
        }
        if inside {
            report.finish = report.finish.max(Finish::Pending);
        }
        // A close from inside goes on by itself; the next caller from outside waits for it and gets the final report.
        lock(&self.control).closing =
            if report.finish == Finish::Pending { Closing::Idle } else { Closing::Reported(report.clone()) };
        self.closers.notify();
        report
    }

    /// Waits for the report of a close that another thread makes.
    fn await_report(&self, deadline: Deadline) -> CloseReport {
        let reported = || match &lock(&self.control).closing {
            Closing::Reported(report) => Some(report.clone()),
            Closing::Idle => Some(CloseReport::pending()),
            Closing::Running => None,
        };
        match self.closers.wait_until(deadline, reported) {
            // The other close was from inside: now it is this thread's turn.
            Some(report) if report.finish == Finish::Pending => self.close(deadline),
            Some(report) => report,
            None => CloseReport::timed_out(0),
        }
    }

    /// Waits until no publish is inside one of these sinks, or the deadline is over.
    fn wait_for_calls(&self, entries: &[Entry<E>], deadline: Deadline) {
        let mut pause = Pause::new();
        while entries.iter().any(|entry| entry.listed.guarded().is_named(&self.domain)) && !deadline.is_over()
        {
            pause.wait();
        }
    }

    pub(super) fn flush(&self, deadline: Deadline) -> FlushReport {
        let mut report = FlushReport::default();
        if inside_delivery() {
            report.note(Finish::Pending);
            return report;
        }
        for (info, sink) in self.sinks() {
            let mut part = FlushReport::default();
            if caught(|| sink.signal(&mut Signal::Flush(deadline, &mut part))).is_err() {
                part.note(Finish::TimedOut);
            }
            report.merge(&info.name, part);
        }
        report
    }
}
