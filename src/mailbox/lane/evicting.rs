//! The lanes whose events anybody may have to take: evicting ones, and those that lead into the shared lane, of a mailbox that is
//! unbounded or has several consumers.

use super::{LaneView, let_go};
use crate::error::WriteError;
use crate::mailbox::{Mailbox, Overflow, Patience, SharedLane};
use crate::ring::mpmc::{PushError, Ring};
use crate::stats::Disposition;
use crate::sync::Arc;
use crate::wait::list::Waiter;

/// A lane into a ring that evicts the oldest, or into the shared lane.
pub(crate) struct OtherLane<E> {
    /// The lane's own ring; `None` where all events go into the shared lane.
    ring: Option<Arc<Ring<E>>>,
    view: std::sync::Arc<LaneView<E>>,
    mailbox: Arc<Mailbox<E>>,
    /// Brought along, so that waiting for room allocates nothing.
    waiter: Waiter,
}

impl<E: Send + 'static> OtherLane<E> {
    pub(super) fn new(
        ring: Option<Arc<Ring<E>>>,
        view: std::sync::Arc<LaneView<E>>,
        waiter: Waiter,
        mailbox: &Arc<Mailbox<E>>,
    ) -> Self {
        Self { ring, view, mailbox: mailbox.clone(), waiter }
    }

    pub(crate) fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        &self.view
    }

    pub(super) fn is_sealable(&self) -> bool {
        self.ring.is_some() || matches!(self.mailbox.shared, SharedLane::Bounded(_))
    }

    /// Whether events go into the shared lane: then its end can be told to the publisher, but not fixed.
    pub(super) fn is_shared(&self) -> bool {
        self.ring.is_none()
    }

    pub(super) fn has_hook(&self) -> bool {
        self.mailbox.has_hook()
    }

    /// Whether a push may have to wait: not where there is always room, or it is made.
    pub(super) fn may_wait(&self) -> bool {
        matches!(self.mailbox.overflow, Overflow::Block | Overflow::BlockFor(_))
            && matches!(self.mailbox.shared, SharedLane::Bounded(_))
    }

    /// Puts an event in and wakes a consumer if one sleeps.
    pub(crate) fn push(&mut self, event: E, patience: Patience) -> Result<Disposition, WriteError<E>> {
        let (mailbox, entry) = (&self.mailbox, &self.view.entry);
        entry.offered(1);
        let push = |event| match (self.ring.as_deref(), &mailbox.shared) {
            (None, SharedLane::Bounded(_)) if self.view.is_cancelled() => Err(PushError::Closed(event)),
            (Some(ring), _) | (None, SharedLane::Bounded(ring)) => mailbox.push_ring(ring, event, entry),
            (None, SharedLane::Unbounded(queue)) => mailbox.push_unbounded(queue, event, entry),
        };
        match push(event) {
            Ok(()) => {
                mailbox.signals.wake();
                Ok(Disposition::Pending)
            }
            Err(error) => mailbox.overflowed(error, entry, patience, Some(&self.waiter), push),
        }
    }
}

impl<E> Drop for OtherLane<E> {
    fn drop(&mut self) {
        if let Some(ring) = &self.ring {
            ring.close();
        }
        let_go(&self.view);
    }
}
