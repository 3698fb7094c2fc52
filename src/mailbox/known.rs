//! The next event of a run of a reader: see [`single`](super::reader).

use super::core::Mailbox;
use super::counters::Handled;
use super::view::LaneView;
use crate::ring::mpmc::{Ring, SoleConsumer};
use crate::ring::spsc;
use crate::wait::list::Want;

/// The next event of a run.
///
/// It is taken first, and counted when this is dropped: after the caller has put it into its final
/// place. The order saves two copies of the event, since a compiler merges no copies across the
/// stores that count.
pub(crate) struct Known<'a, E: Send + 'static> {
    lane: RunLane<'a, E>,
    mailbox: &'a Mailbox<E>,
    run: &'a mut usize,
}

/// The lane of a run.
pub(super) enum RunLane<'a, E: Send + 'static> {
    Private(&'a mut spsc::Consumer<E>, &'a LaneView<E>),
    Shared(&'a Ring<E>, &'a SoleConsumer),
}

impl<'a, E: Send + 'static> Known<'a, E> {
    /// Stands for the next event of `lane`, one of the `run` events that are left of the run.
    #[inline(always)]
    pub(super) fn new(lane: RunLane<'a, E>, mailbox: &'a Mailbox<E>, run: &'a mut usize) -> Self {
        Self { lane, mailbox, run }
    }

    /// Takes the event. Called once: each `Known` counts one event when it is dropped.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> E {
        *self.run -= 1;
        match &mut self.lane {
            RunLane::Private(consumer, _) => consumer.take_known(),
            RunLane::Shared(ring, sole) => ring.take_sole(sole),
        }
    }

    /// Counts the weight of the event, a batch, for the stages that weigh it.
    pub(super) fn weigh(&self, event: &E) {
        self.mailbox.taken(event);
    }
}

impl<E: Send + 'static> Drop for Known<'_, E> {
    #[inline(always)]
    fn drop(&mut self) {
        let Self { lane, mailbox, .. } = self;
        match lane {
            RunLane::Private(consumer, view) => {
                consumer.release();
                // Counted first: a thread that sees the progress, such as a flush, sees the count.
                mailbox.consumer.note(Handled::Delivered);
                view.progress().advance_to(consumer.position());
                mailbox.signals.blocked.notify_room(view.waiter());
            }
            RunLane::Shared(ring, sole) => mailbox.count_shared(ring, sole),
        }
    }
}

impl<E: Send + 'static> Mailbox<E> {
    /// Frees the slot of the event that was taken from the shared lane, and counts the event.
    #[inline(never)]
    fn count_shared(&self, ring: &Ring<E>, sole: &SoleConsumer) {
        // Counted first: a thread that sees the progress, such as a flush, sees the count.
        self.consumer.note(Handled::Delivered);
        let position = ring.free_sole(sole);
        self.shared.progress.advance_to(position + 1);
        self.signals.blocked.notify_made(Want::SHARED_ROOM);
    }
}
