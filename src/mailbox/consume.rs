//! What a consumer does with the events of a mailbox, and how they are counted one after another.

use super::core::Mailbox;
use super::counters::Handled;
use super::progress::Progress;

/// What is done with the events of a mailbox.
pub(crate) trait Consume<E> {
    /// Handles one event.
    fn handle(&mut self, mailbox: &Mailbox<E>, event: E) -> Handled;

    /// How many events may come before [`batched`](Self::batched) wants to be told; at least one.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Reports that `events` events were handled since the last call, at most as many as there was
    /// room for.
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
/// It carries the counters that change with each event, so that they are stored and never loaded: a
/// counter in memory that is loaded again right after its store holds the next event up.
pub(super) struct Tally<'a, E> {
    mailbox: &'a Mailbox<E>,
    progress: &'a Progress,
    delivered: u64,
}

impl<'a, E> Tally<'a, E> {
    pub(super) fn open(mailbox: &'a Mailbox<E>, progress: &'a Progress) -> Self {
        Self { mailbox, progress, delivered: mailbox.consumer.delivered() }
    }

    /// Has one event handled and counts it. An event whose handling unwinds counts as delivered.
    /// `done` reports its position.
    #[inline(always)]
    pub(super) fn count(&mut self, event: E, consume: &mut impl Consume<E>, done: impl Fn(&Progress)) {
        /// What is counted if the handling unwinds. It has copies of everything: borrowed, the
        /// counters and the reader's position would lie in memory for its sake, and each event
        /// would wait for the store of the one before it.
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
