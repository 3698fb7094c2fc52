//! What workers and receivers read from: the one reader of a mailbox, or one of several members.

use super::consume::{Consume, With};
use super::core::Mailbox;
use super::counters::Handled;
use super::end::End;
use super::shared_lane::Find;
use crate::stats::DropReason;
use crate::sync::Arc;
use crate::sync::pace::Pace;
use std::task::Waker;
use std::time::Duration;

/// What a worker or a receiver reads from.
pub(crate) trait Intake<E: Send + 'static>: Send + 'static {
    fn mailbox(&self) -> &Arc<Mailbox<E>>;

    /// Hands some of what is there to `consume`; how much.
    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize;

    /// Takes one event, which counts as delivered.
    fn take(&mut self, find: Find) -> Option<E>;

    /// Waits a moment before the next look if the lanes have run dry and more is to be expected.
    fn linger_when_dry(&mut self);

    /// Whether a look would find something.
    fn has_work(&mut self) -> bool;

    /// How many events wait, those included that other consumers are just taking.
    fn len(&self) -> u64;

    /// Why the stream ended, once nothing is left to be taken and nothing will come.
    fn drained(&mut self) -> Option<End>;

    /// Announces a task that waits; `false` when it is to look again at once.
    fn register(&mut self, task: &Waker) -> bool;

    /// The task no longer waits.
    fn unregister(&mut self);

    /// Waits as the strategy says, at most for `limit`; returns also for no reason. `other` is
    /// other work to look for.
    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool);

    /// Stops reading. The last consumer closes the mailbox, and what it accepted and nothing read
    /// is counted as dropped.
    fn abandon(&mut self);
}

/// Seals the mailbox and drops everything in it, for a consumer that is the last one. What was
/// accepted is counted.
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
            // A writer has claimed a position and not filled it yet; it does as soon as it runs.
            pace.wait();
        }
    }
    mailbox.set_drained();
}
