//! What tasks wait for at a journal: room at the gates, and the close.

use super::core::JournalCore;
use super::gate::GateWaiter;
use crate::wait::WaitList;
use crate::wait::list::task::{Condition, TaskWait};
use crate::wait::list::{Waiter, Want};
use std::sync::Arc;

/// Room at the gates, or the end of it. Another publisher may take it first.
struct GateRoom<E> {
    shared: Arc<JournalCore<E>>,
    /// That of the publisher's lane, if it has one: another thread may cancel only its waits.
    waiter: Option<Arc<GateWaiter>>,
}

impl<E: Send + Sync + 'static> Condition for GateRoom<E> {
    fn list(&self) -> &WaitList {
        self.shared.gates.blocked()
    }

    fn holds(&self) -> bool {
        self.shared.has_room()
            || self.shared.source.is_closed()
            || self.waiter.as_ref().is_some_and(|waiter| waiter.is_cancelled())
    }

    fn common_room(&self) -> Option<usize> {
        self.waiter.is_none().then(|| Arc::as_ptr(&self.shared).addr())
    }

    fn hurry(&self) {
        self.shared.gates.hurry();
    }
}

/// The close of a journal.
struct Closed<E>(Arc<JournalCore<E>>);

impl<E: Send + Sync + 'static> Condition for Closed<E> {
    fn list(&self) -> &WaitList {
        self.0.gates.blocked()
    }

    fn holds(&self) -> bool {
        self.0.source.is_closed()
    }
}

impl<E: Send + Sync + 'static> JournalCore<E> {
    /// Returns the wait of a task for room, if a publish would wait at a gate now.
    pub(super) fn full(this: &Arc<Self>, waiter: Option<&Arc<GateWaiter>>) -> Option<TaskWait> {
        if this.has_room() {
            return None;
        }
        let as_waiter = waiter.map_or_else(|| Waiter::wanting(Want::SHARED_ROOM), |waiter| waiter.waiter());
        let room = GateRoom { shared: this.clone(), waiter: waiter.cloned() };
        if room.holds() { None } else { Some(TaskWait::new(Arc::new(room), as_waiter)) }
    }

    /// Returns the wait of a task until the journal is closed.
    pub(super) fn until_closed(this: &Arc<Self>) -> TaskWait {
        TaskWait::for_end(Arc::new(Closed(this.clone())))
    }
}
