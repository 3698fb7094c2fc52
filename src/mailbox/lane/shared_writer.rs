//! A publisher's access to the shared lane, with separate counters, for a mailbox that is unbounded
//! or has several consumers.

use super::Reuse;
use crate::error::WriteError;
use crate::mailbox::core::Mailbox;
use crate::mailbox::end::End;
use crate::mailbox::registry::let_go;
use crate::mailbox::shared_lane::Source;
use crate::mailbox::view::LaneView;
use crate::ring::mpmc::PushError;
use crate::stats::Disposition;
use crate::sync::Arc;
use crate::time::Deadline;
use crate::wait::list::task::TaskWait;

/// A publisher's access to the shared lane.
pub(crate) struct SharedLaneWriter<E> {
    view: std::sync::Arc<LaneView<E>>,
    mailbox: Arc<Mailbox<E>>,
}

impl<E: Send + 'static> SharedLaneWriter<E> {
    pub(super) fn new(view: std::sync::Arc<LaneView<E>>, mailbox: &Arc<Mailbox<E>>) -> Self {
        Self { view, mailbox: mailbox.clone() }
    }

    pub(super) fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        &self.view
    }

    pub(super) fn mailbox(&self) -> &Mailbox<E> {
        &self.mailbox
    }

    /// Returns whether the lane can serve another publisher. It has no ring of its own, so all
    /// events of all publishers are in order.
    pub(super) fn reuse(&self) -> Reuse {
        Reuse::of(!self.view.is_closed() && self.mailbox.end() == End::Open, || true)
    }

    /// Returns the wait of a task for room, if a push would wait here now.
    pub(super) fn full(&self) -> Option<TaskWait> {
        Mailbox::full_for(&self.mailbox, Some(&self.view), || self.view.waiter().clone())
    }

    /// Pushes an event and wakes a consumer if one is parked.
    pub(super) fn push(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let (mailbox, entry) = (&self.mailbox, &self.view.entry);
        entry.offered(1);
        let push = |event| {
            // For an unbounded lane, the mailbox itself refuses events that come too late.
            if mailbox.shared.is_bounded() && self.view.is_closed() {
                return Err(PushError::Closed(event));
            }
            mailbox.push_shared_as(event, entry)
        };
        match push(event) {
            Ok(()) => {
                mailbox.signals.wake();
                Ok(Disposition::Pending)
            }
            Err(error) => mailbox.overflowed(error, entry, deadline, Some(self.view.waiter()), push),
        }
    }
}

impl<E> Drop for SharedLaneWriter<E> {
    fn drop(&mut self) {
        let_go(&self.view, &self.mailbox.registry);
    }
}
