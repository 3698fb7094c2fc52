//! Flushing a bus: every sink is told first, and then waited for, as in a [close](super::close).

use super::core::Core;
use super::info::Info;
use crate::stats::{Awaited, Finish, FlushReport, Flushing, SinkId};
use crate::sync::membarrier::process_pair;
use crate::sync::{MODEL, Mutex, lock};
use crate::time::Deadline;
use crate::wait::WaitList;
use crate::wait::context::{
    Holding, Purpose, Visit, Wait, WaitLimit, caught, is_on_the_way, is_worker, must_not_wait,
    waits_are_deferred,
};
use crate::wait::errand::{LONG_GRACE, SinkCall, apart, here, in_turn};
use crate::wait::list::task::{Condition, TaskWait};
use std::sync::Arc;

impl<E: Send + 'static> Core<E> {
    /// Flushes the bus, and waits for all of its sinks, or leaves the wait to the caller that
    /// flushes several sinks.
    pub(super) fn flush(self: &Arc<Self>, deadline: Deadline, wait: Wait) -> FlushReport {
        let mut report = FlushReport::default();
        if must_not_wait() {
            report.note(Finish::Pending);
            return report;
        }
        // In a cycle of buses, the flush in progress further up already flushes this bus.
        if is_on_the_way(self.address(), Purpose::Flush) {
            return report;
        }
        let Some(_visit) = Visit::begin(self.address(), Purpose::Flush) else {
            // A fallback: the check above has excluded a visit in progress.
            report.note(Finish::Pending);
            return report;
        };
        let infos = self.infos();
        let calls = infos.iter().map(|info| {
            let (core, id) = (self.clone(), info.id);
            Box::new(move || core.flush_sink(id, deadline)) as SinkCall<FlushReport>
        });
        let calls: Vec<_> = calls.collect();
        if MODEL || infos.iter().all(|info| info.has_lanes) {
            named(&mut report, &infos, here(calls));
        } else if wait == Wait::Here {
            named(&mut report, &infos, in_turn(calls, deadline));
        } else {
            // The caller flushes other sinks as well, and waits for these calls together with
            // theirs.
            let begun = Arc::new(InnerFlush { part: Mutex::new(None), made: WaitList::new(process_pair()) });
            report.tell(begun.clone());
            apart(move || {
                let mut part = FlushReport::default();
                named(&mut part, &infos, in_turn(calls, deadline));
                *lock(&begun.part) = Some(part);
                begun.made.notify();
            });
        }
        match wait {
            Wait::Here if waits_are_deferred() && is_worker() => report.leave(),
            Wait::Here => report.settle(deadline),
            Wait::Deferred => {}
        }
        report
    }

    fn flush_sink(&self, id: SinkId, deadline: Deadline) -> FlushReport {
        let mut part = FlushReport::default();
        let Some(entry) = self.attachment(id) else { return part };
        // A flush that is requested inside the sink continues after the call has returned, and
        // counts as inside the sink until it ends.
        let _holding = Holding::begin(Arc::new(entry.clone()));
        let _limit = WaitLimit::until(deadline);
        let flush = || entry.listed.with(|sink| sink.flush_by(deadline, &mut part));
        if caught(flush).is_err() {
            part.note(Finish::TimedOut);
        }
        part
    }
}

/// Adds the sinks' reports of a flush to `report`. A part is `None` if its sink did not return.
fn named(report: &mut FlushReport, infos: &[Arc<Info>], parts: Vec<Option<FlushReport>>) {
    for (info, part) in infos.iter().zip(parts) {
        let part = part.unwrap_or_else(|| {
            let mut part = FlushReport::default();
            part.note(Finish::TimedOut);
            part
        });
        report.note_part(&info.name, part);
    }
}

/// A flush of a bus on behalf of another flush.
struct InnerFlush {
    part: Mutex<Option<FlushReport>>,
    made: WaitList,
}

impl Flushing for InnerFlush {
    fn settle(&self, deadline: Deadline, report: &mut FlushReport) {
        let made = || lock(&self.part).clone();
        let part = self
            .made
            .wait_until(deadline, made)
            .or_else(|| self.made.wait_until(Deadline::after(LONG_GRACE), made));
        match part {
            Some(mut part) => {
                part.settle(deadline);
                report.absorb(part);
            }
            None => report.note(Finish::TimedOut),
        }
    }

    fn until_flushed(self: Arc<Self>) -> Option<Box<dyn Awaited>> {
        Some(Box::new(TaskWait::for_end(self)))
    }

    fn advance(self: Arc<Self>, report: &mut FlushReport) -> Option<Arc<dyn Flushing>> {
        let part = lock(&self.part).take();
        if let Some(part) = part {
            report.absorb(part);
        }
        None
    }
}

impl Condition for InnerFlush {
    fn list(&self) -> &WaitList {
        &self.made
    }

    fn holds(&self) -> bool {
        lock(&self.part).is_some()
    }
}
