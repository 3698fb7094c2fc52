//! What becomes of one event of a mailbox, and the counters of the events that one reader handles.

use super::Mailbox;
use super::lane::Progress;
use crate::stats::{Disposition, DropReason};

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    Delivered,
    /// The handler passed it on to a sink that decides later.
    Passed,
    Filtered,
    Full,
    Evicted,
    Failed,
    Panicked,
    Aborted,
    Disconnected,
}

impl Handled {
    pub(crate) const KINDS: usize = 9;

    #[inline]
    pub(crate) fn of(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Delivered => Self::Delivered,
            Disposition::Pending => Self::Passed,
            Disposition::Partly(parts) => Self::of(parts.rest()),
            Disposition::Filtered => Self::Filtered,
            Disposition::Dropped(reason) => match reason {
                DropReason::Full => Self::Full,
                DropReason::Evicted => Self::Evicted,
                DropReason::Disconnected => Self::Disconnected,
                DropReason::Aborted => Self::Aborted,
                DropReason::Failed => Self::Failed,
                DropReason::Panicked => Self::Panicked,
            },
        }
    }
}

/// What is done with the events of a mailbox.
pub(crate) trait Consume<E> {
    /// Handles one event.
    fn handle(&mut self, mailbox: &Mailbox<E>, event: E) -> Handled;

    /// How many events may come before [`batched`](Self::batched) wants to be told; at least one.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Reports that `events` events were handled since the last call, at most as many as there was room for.
    fn batched(&mut self, mailbox: &Mailbox<E>, events: usize) {
        let _ = (mailbox, events);
    }
}

/// Events go to a function.
pub(crate) struct With<F>(pub(crate) F);

impl<E, F: FnMut(&Mailbox<E>, E) -> Handled> Consume<E> for With<F> {
    #[inline(always)]
    fn handle(&mut self, mailbox: &Mailbox<E>, event: E) -> Handled {
        (self.0)(mailbox, event)
    }
}

/// The counters of the events that are handled one after another.
///
/// It carries the counters that change with each event, so that they are stored and never loaded: a counter in memory
/// that is loaded again right after its store holds the next event up.
pub(super) struct Books<'a, E> {
    mailbox: &'a Mailbox<E>,
    progress: &'a Progress,
    delivered: u64,
}

impl<'a, E> Books<'a, E> {
    pub(super) fn open(mailbox: &'a Mailbox<E>, progress: &'a Progress) -> Self {
        Self { mailbox, progress, delivered: mailbox.consumer.delivered() }
    }

    /// Has one event handled and entered, also when that unwinds: then it counts as delivered. `done` says where it lay.
    #[inline(always)]
    pub(super) fn enter(&mut self, event: E, consume: &mut impl Consume<E>, done: impl Fn(&Progress)) {
        /// What is entered if the handling unwinds. It has copies of everything: borrowed, the counters and the reader's position would lie
        /// in memory for its sake, and each event would wait for the store of the one before it.
        struct Unwound<'a, E, D: Fn(&Progress)> {
            mailbox: &'a Mailbox<E>,
            progress: &'a Progress,
            delivered: u64,
            done: D,
        }
        impl<E, D: Fn(&Progress)> Drop for Unwound<'_, E, D> {
            fn drop(&mut self) {
                self.mailbox.consumer.set_delivered(self.delivered);
                (self.done)(self.progress);
            }
        }
        let Self { mailbox, progress, delivered } = *self;
        let unwound = Unwound { mailbox, progress, delivered: delivered + 1, done };
        let handled = consume.handle(mailbox, event);
        if handled == Handled::Delivered {
            self.delivered = delivered + 1;
            mailbox.consumer.set_delivered(delivered + 1);
        } else {
            mailbox.consumer.note(handled);
        }
        (unwound.done)(progress);
        std::mem::forget(unwound);
    }
}
