//! Processing the events of a mailbox, and counting them one after another.

use super::core::Mailbox;
use super::counters::Handled;
use super::progress::Progress;

/// The consumer's processing of the events of a mailbox.
pub(crate) trait Consume<E> {
    /// Handles one event.
    fn handle(&mut self, mailbox: &Mailbox<E>, event: E) -> Handled;

    /// Returns the number of events that may be handled before [`batched`](Self::batched) is
    /// called; at least one.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Reports that `events` events were handled since the last call; never more than the
    /// [`room`](Self::room).
    fn batched(&mut self, mailbox: &Mailbox<E>, events: usize) {
        let _ = (mailbox, events);
    }
}

/// Passes events to a function.
pub(crate) struct With<F>(pub(crate) F);

impl<E, F: FnMut(&Mailbox<E>, E) -> Handled> Consume<E> for With<F> {
    #[inline(always)]
    fn handle(&mut self, mailbox: &Mailbox<E>, event: E) -> Handled {
        (self.0)(mailbox, event)
    }
}

/// The counters of events that are handled one after another.
///
/// It carries the counters that change with each event, so that they are stored and never loaded:
/// loading a counter from memory right after its store delays the next event.
pub(super) struct ConsumerTally<'a, E> {
    mailbox: &'a Mailbox<E>,
    progress: &'a Progress,
    delivered: u64,
}

impl<'a, E> ConsumerTally<'a, E> {
    pub(super) fn open(mailbox: &'a Mailbox<E>, progress: &'a Progress) -> Self {
        Self { mailbox, progress, delivered: mailbox.consumer.delivered() }
    }

    /// Handles one event and counts it. An event whose handling unwinds counts as delivered. `done`
    /// records its position.
    #[inline(always)]
    pub(super) fn count(&mut self, event: E, consume: &mut impl Consume<E>, done: impl Fn(&Progress)) {
        /// Counts the event if the handling unwinds. It holds copies of everything: if it borrowed
        /// the counters and the reader's position, they would have to live in memory, and each
        /// event would wait for the store of the previous one.
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
