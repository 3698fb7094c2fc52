//! The mailbox's lanes, as the sink layer below calls them.

use super::lane::PrivateLane;
use super::view::LaneView;
use crate::error::WriteError;
use crate::sink::lane::{Mailboxes, PlainLane, PlainLanes, Seal};
use crate::stats::Disposition;
use crate::time::Deadline;
use std::sync::Arc;

impl<E> PlainLanes<E> for Mailboxes {
    type Lane = PrivateLane<E>;
}

impl<E: Send + 'static> PlainLane<E> for PrivateLane<E> {
    #[inline]
    fn push(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        Self::push(self, event, deadline)
    }

    fn may_wait(&self) -> bool {
        Self::may_wait(self)
    }

    fn has_user_code(&self) -> bool {
        self.is_shared() || self.has_hook()
    }

    fn seal(&self) -> Option<Arc<dyn Seal>> {
        self.is_sealable().then(|| self.view().clone() as Arc<dyn Seal>)
    }
}

impl<E: Send + 'static> Seal for LaneView<E> {
    fn mark(&self) {
        Self::mark(self);
    }

    fn fix(&self) {
        Self::fix(self);
    }

    fn wake_all(&self) {
        Self::wake_all(self);
    }
}
