//! What a worker reads from: the one reader of an inbox, or one of several members.

use super::Inbox;
use super::member::Member;
use super::reader::{Consume, Reader};
use crate::sync::Arc;
use std::time::Duration;

/// What a worker reads from.
pub(crate) trait Intake<E: Send + 'static>: Send + 'static {
    fn inbox(&self) -> &Arc<Inbox<E>>;

    /// Hands some of what is there to `consume`; how much.
    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize;

    /// Waits a moment before the next look if the lanes have run dry and more is to be expected.
    fn linger_when_dry(&mut self);

    /// Whether a look would find something.
    fn has_work(&mut self) -> bool;

    /// Whether nothing is left to be taken, and nothing will come.
    fn is_ended(&mut self) -> bool;

    /// Waits as the strategy says, at most for `limit`; returns also for no reason. `other` is other work to look for.
    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Inbox<E>) -> bool);
}

impl<E: Send + 'static> Intake<E> for Reader<E> {
    #[inline]
    fn inbox(&self) -> &Arc<Inbox<E>> {
        self.inbox()
    }

    #[inline]
    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        self.scan(consume)
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
    fn is_ended(&mut self) -> bool {
        self.ended().is_some()
    }

    #[inline]
    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Inbox<E>) -> bool) {
        self.wait(limit, other);
    }
}

impl<E: Send + 'static> Intake<E> for Member<E> {
    fn inbox(&self) -> &Arc<Inbox<E>> {
        self.inbox()
    }

    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        self.scan(consume)
    }

    /// Members get in each other's way anyhow, and look away by handling events.
    fn linger_when_dry(&mut self) {}

    fn has_work(&mut self) -> bool {
        self.inbox().has_filled()
    }

    fn is_ended(&mut self) -> bool {
        self.ended().is_some()
    }

    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Inbox<E>) -> bool) {
        self.wait(limit, other);
    }
}
