//! The lanes whose events anybody may have to take: evicting ones, and those of an unbounded inbox.

use super::{LaneView, let_go};
use crate::error::WriteError;
use crate::inbox::{Inbox, Patience, SharedLane};
use crate::ring::mpmc::{PushError, Ring};
use crate::sync::Arc;

/// A lane into a ring that evicts the oldest, or into an unbounded inbox.
pub(crate) struct OtherLane<E> {
    /// The lane's own ring; `None` where all events go to the inbox's one unbounded queue.
    ring: Option<Arc<Ring<E>>>,
    view: std::sync::Arc<LaneView<E>>,
    inbox: Arc<Inbox<E>>,
}

impl<E: Send + 'static> OtherLane<E> {
    pub(super) fn new(
        ring: Option<Arc<Ring<E>>>,
        view: std::sync::Arc<LaneView<E>>,
        inbox: &Arc<Inbox<E>>,
    ) -> Self {
        Self { ring, view, inbox: inbox.clone() }
    }

    pub(crate) fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        &self.view
    }

    pub(super) fn is_sealable(&self) -> bool {
        self.ring.is_some()
    }

    /// Puts an event in and wakes the consumer if it sleeps. Never waits: such a lane has room, or makes it.
    pub(crate) fn push(&mut self, event: E) -> Result<(), WriteError<E>> {
        let (inbox, entry) = (&self.inbox, &self.view.entry);
        entry.offered(1);
        let pushed = match (self.ring.as_deref(), &inbox.shared) {
            (Some(ring), _) | (None, SharedLane::Bounded(ring)) => inbox.push_ring(ring, event, entry),
            (None, SharedLane::Unbounded(queue)) => inbox.push_unbounded(queue, event, entry),
        };
        match pushed {
            Ok(()) => {
                inbox.signals.cell.fence();
                inbox.signals.cell.wake();
                Ok(())
            }
            Err(error) => {
                inbox.overflowed(error, entry, Patience::Now, None, |event| Err(PushError::Full(event)))
            }
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
