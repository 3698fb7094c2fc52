//! The consumer's end of a mailbox: its one reader, or one of several members.

use super::activity::ActivityWords;
use super::consume::{Consume, With};
use super::core::Mailbox;
use super::counters::Handled;
use super::end::End;
use super::known::Known;
use super::shared_lane::Find;
use crate::stats::DropReason;
use crate::sync::Arc;
use crate::sync::pace::Pace;
use std::task::Waker;
use std::time::Duration;

/// The consumer's end of a mailbox, from which a worker or a receiver reads.
pub(crate) trait Intake<E: Send + 'static>: Send + 'static {
    fn mailbox(&self) -> &Arc<Mailbox<E>>;

    /// Returns the words in which a worker tells what it is doing.
    fn activity(&self) -> &ActivityWords;

    /// Passes some of the waiting events to `consume`. Returns the number of events.
    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize;

    /// Takes one event, which counts as delivered.
    fn take(&mut self, find: Find) -> Option<E>;

    /// Takes one event, as [`take`](Self::take) does. At most `most` events, with this one, are known
    /// to the reads that follow.
    fn take_of(&mut self, find: Find, most: usize) -> Option<E> {
        let _ = most;
        self.take(find)
    }

    /// Returns the number of events that an earlier read has already found, and that no thread takes
    /// from this consumer.
    fn known_len(&self) -> usize {
        0
    }

    /// Returns an event that an earlier read has already found; `None` does not mean that no event
    /// is there.
    #[inline(always)]
    fn known(&mut self) -> Option<Known<'_, E>> {
        None
    }

    /// Moves up to `most` events that an earlier read has already found to the end of `into`.
    /// Returns their number.
    fn take_known_into(&mut self, into: &mut Vec<E>, most: usize) -> usize {
        let _ = (into, most);
        0
    }

    /// Spins briefly before the next poll if the lanes have run dry and more events are expected.
    fn linger_when_dry(&mut self);

    /// Records that a poll found nothing.
    fn found_nothing(&mut self);

    /// Returns whether a poll would find something.
    fn has_work(&mut self) -> bool;

    /// Returns the number of waiting events, including those that other consumers are taking.
    fn len(&self) -> u64;

    /// Returns why the stream ended, once every event was taken and none can follow.
    fn drained(&mut self) -> Option<End>;

    /// Registers a task that waits. Returns `false` when the task must poll again at once.
    fn register(&mut self, task: &Waker) -> bool;

    /// Unregisters the task.
    fn unregister(&mut self);

    /// Waits as the wait strategy defines, at most for `limit`; may return spuriously. `other`
    /// checks for other work.
    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool);

    /// Stops reading. The last consumer closes the mailbox, and counts the accepted events that no
    /// consumer read as dropped.
    fn abandon(&mut self);
}

/// Seals the mailbox, drops all events in it and counts them, for its last consumer.
pub(super) fn give_up<E: Send + 'static>(from: &mut impl Intake<E>) {
    let mailbox = from.mailbox().clone();
    mailbox.seal(End::Closed);
    let mut pace = Pace::new();
    while from.drained().is_none() {
        let got = from.scan(&mut With(|mailbox: &Mailbox<E>, event| {
            mailbox.dropped(event, DropReason::ReceiverDropped);
            Handled::ReceiverDropped
        }));
        if got == 0 {
            // A writer has claimed a position and not filled it yet; it fills it as soon as it
            // runs.
            pace.wait();
        }
    }
    mailbox.set_drained();
}
