//! What tasks wait for at a mailbox: room in the shared lane, and the end.

use super::core::Mailbox;
use super::end::End;
use super::view::LaneView;
use crate::sync::Arc;
use crate::wait::WaitList;
use crate::wait::list::task::{Condition, TaskWait};
use crate::wait::list::{Waiter, Want};

/// Room in the lane that several writers share, or the end of it.
///
/// The room is taken by the writer that comes first. So a task that finds some may still find the
/// lane full when it writes.
struct SharedRoom<E> {
    mailbox: Arc<Mailbox<E>>,
    /// The lane of the publisher that waits, if it has one: another thread may seal only that lane.
    view: Option<std::sync::Arc<LaneView<E>>>,
}

impl<E: Send + 'static> Condition for SharedRoom<E> {
    fn list(&self) -> &WaitList {
        &self.mailbox.signals.blocked
    }

    fn holds(&self) -> bool {
        self.mailbox.shared.has_room()
            || self.mailbox.end() != End::Open
            || self.view.as_ref().is_some_and(|view| view.is_closed())
    }

    fn common_room(&self) -> Option<usize> {
        self.view.is_none().then(|| std::ptr::from_ref::<Mailbox<E>>(&self.mailbox).addr())
    }

    fn hurry(&self) {
        self.mailbox.signals.wake_for_room();
    }
}

/// The end of a mailbox.
struct Sealed<E>(Arc<Mailbox<E>>);

impl<E: Send + 'static> Condition for Sealed<E> {
    fn list(&self) -> &WaitList {
        &self.0.signals.blocked
    }

    fn holds(&self) -> bool {
        self.0.end() != End::Open
    }
}

impl<E: Send + 'static> Mailbox<E> {
    /// Returns the wait of a task for room in the shared lane, if a write would wait there now.
    pub(crate) fn full(this: &Arc<Self>) -> Option<TaskWait> {
        Self::full_for(this, None, || Waiter::wanting(Want::SHARED_ROOM))
    }

    /// Returns the wait of a task that writes through the lane of `view`, as `waiter`.
    pub(super) fn full_for(
        this: &Arc<Self>,
        view: Option<&std::sync::Arc<LaneView<E>>>,
        waiter: impl FnOnce() -> Waiter,
    ) -> Option<TaskWait> {
        if !this.overflow.may_wait() || !this.shared.is_full() {
            return None;
        }
        let room = SharedRoom { mailbox: this.clone(), view: view.cloned() };
        if room.holds() { None } else { Some(TaskWait::new(std::sync::Arc::new(room), waiter())) }
    }

    /// Returns whether the policy is to wait for room in the shared lane.
    pub(crate) fn may_make_wait(&self) -> bool {
        self.overflow.may_wait()
    }

    /// Returns the wait of a task until the mailbox is closed.
    pub(crate) fn until_sealed(this: &Arc<Self>) -> TaskWait {
        TaskWait::for_end(std::sync::Arc::new(Sealed(this.clone())))
    }
}
