//! What workers and receivers read from: the one reader of a mailbox, or one of several members.

use super::handled::{Consume, Handled, With};
use super::member::Member;
use super::reader::Reader;
use super::{End, Find, Mailbox};
use crate::stats::DropReason;
use crate::sync::pace::Pace;
use crate::sync::{Arc, spin_hint};
use std::task::Waker;
use std::time::Duration;

/// What a worker or a receiver reads from.
pub(crate) trait Intake<E: Send + 'static>: Send + 'static {
    fn mailbox(&self) -> &Arc<Mailbox<E>>;

    /// Hands some of what is there to `consume`; how much.
    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize;

    /// Takes one event.
    fn take(&mut self, find: Find) -> Option<E>;

    /// Waits a moment before the next look if the lanes have run dry and more is to be expected.
    fn linger_when_dry(&mut self);

    /// Whether a look would find something.
    fn has_work(&mut self) -> bool;

    /// Why the stream ended, once nothing is left to be taken and nothing will come.
    fn ended(&mut self) -> Option<End>;

    /// Announces a task that waits; `false` when it is to look again at once.
    fn register(&mut self, task: &Waker) -> bool;

    /// Waits as the strategy says, at most for `limit`; returns also for no reason. `other` is other work to look for.
    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool);
}

/// Seals the mailbox and drops everything in it, for a consumer that is the last one. What was accepted is counted.
pub(super) fn give_up<E: Send + 'static>(from: &mut impl Intake<E>) {
    let mailbox = from.mailbox().clone();
    mailbox.seal(End::Closed);
    let mut pace = Pace::new();
    while from.ended().is_none() {
        let got = from.scan(&mut With(|mailbox: &Mailbox<E>, event| {
            mailbox.dropped(event, DropReason::Disconnected);
            Handled::Disconnected
        }));
        if got == 0 {
            // A writer has claimed a position and not filled it yet; it does as soon as it runs.
            pace.wait();
        }
    }
    mailbox.finish();
}

impl<E: Send + 'static> Intake<E> for Reader<E> {
    #[inline]
    fn mailbox(&self) -> &Arc<Mailbox<E>> {
        self.mailbox()
    }

    #[inline]
    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        self.scan(consume)
    }

    #[inline]
    fn take(&mut self, find: Find) -> Option<E> {
        self.take(find)
    }

    #[inline]
    fn linger_when_dry(&mut self) {
        self.linger_when_dry();
    }

    #[inline]
    fn has_work(&mut self) -> bool {
        self.has_work()
    }

    #[inline]
    fn ended(&mut self) -> Option<End> {
        self.ended()
    }

    fn register(&mut self, task: &Waker) -> bool {
        let waits = self.register(task);
        if !waits {
            self.unregister();
            spin_hint();
        }
        waits
    }

    #[inline]
    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool) {
        self.wait(limit, other);
    }
}

impl<E: Send + 'static> Intake<E> for Member<E> {
    fn mailbox(&self) -> &Arc<Mailbox<E>> {
        self.mailbox()
    }

    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        self.scan(consume)
    }

    fn take(&mut self, find: Find) -> Option<E> {
        self.take(find)
    }

    /// Members get in each other's way anyhow, and look away by handling events.
    fn linger_when_dry(&mut self) {}

    fn has_work(&mut self) -> bool {
        self.mailbox().shared.has_filled()
    }

    fn ended(&mut self) -> Option<End> {
        Self::ended(self)
    }

    /// The next look takes back what was announced.
    fn register(&mut self, task: &Waker) -> bool {
        self.register(task)
    }

    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool) {
        self.wait(limit, other);
    }
}
