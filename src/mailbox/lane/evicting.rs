//! A private lane that evicts its oldest event: a ring from which its publisher takes, too.

use super::{Reuse, leftovers};
use crate::error::WriteError;
use crate::mailbox::core::Mailbox;
use crate::mailbox::registry::let_go;
use crate::mailbox::view::LaneView;
use crate::ring::mpmc::Ring;
use crate::stats::Disposition;
use crate::sync::Arc;
use crate::time::Deadline;

/// A private lane that evicts its oldest event.
pub(crate) struct EvictingLane<E> {
    ring: Arc<Ring<E>>,
    view: std::sync::Arc<LaneView<E>>,
    mailbox: Arc<Mailbox<E>>,
}

impl<E: Send + 'static> EvictingLane<E> {
    pub(super) fn new(
        ring: Arc<Ring<E>>,
        view: std::sync::Arc<LaneView<E>>,
        mailbox: &Arc<Mailbox<E>>,
    ) -> Self {
        Self { ring, view, mailbox: mailbox.clone() }
    }

    pub(super) fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        &self.view
    }

    pub(super) fn mailbox(&self) -> &Mailbox<E> {
        &self.mailbox
    }

    /// Returns whether the lane can serve another publisher.
    pub(super) fn reuse(&self) -> Reuse {
        let most = leftovers(self.mailbox.capacity());
        Reuse::of(!self.ring.is_closed(), || self.ring.len() <= most && self.mailbox.shared.is_read())
    }

    /// Pushes an event and wakes the consumer if it is parked. Never waits: the policy makes room
    /// or drops the event.
    pub(super) fn push(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let (mailbox, entry) = (&self.mailbox, &self.view.entry);
        entry.offered(1);
        let push = |event| mailbox.push_ring(&self.ring, event, entry);
        match push(event) {
            Ok(()) => {
                mailbox.signals.wake();
                Ok(Disposition::Pending)
            }
            Err(error) => mailbox.overflowed(error, entry, deadline, None, push),
        }
    }
}

impl<E> Drop for EvictingLane<E> {
    fn drop(&mut self) {
        self.ring.close();
        let_go(&self.view, &self.mailbox.registry);
    }
}
