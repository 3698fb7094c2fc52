//! A push into the shared lane that bypasses the sink, for `Bus::publish` into a queue or a channel.
//!
//! The common case of a write, and nothing else: the event finds room in a bounded lane. It runs no
//! user code but the waker of a consumer, makes no virtual call, and loads few cache lines. In every
//! other case the caller writes to the sink.

use super::core::Mailbox;
use super::shared_lane::Events;
use super::signals::Signals;
use crate::ring::mpmc::Claimed;
use crate::sync::Arc;
use crate::sync::membarrier::{FencePair, light_fence};
use crate::wait::list::task::TaskWait;

/// The access of a bus to the shared lane of a mailbox.
pub(crate) struct SharedPush<E> {
    mailbox: Arc<Mailbox<E>>,
    /// Those of the mailbox. A pointer to them in the list of a bus saves a cache line.
    signals: std::sync::Arc<Signals>,
    consumers: Consumers,
}

/// The consumers of a mailbox, and how a writer fences before it looks whether they are parked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consumers {
    /// One, with the light fence of the asymmetric pair.
    One,
    /// One, with a full fence.
    OneFenced,
    Several,
}

impl<E> Clone for SharedPush<E> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone(), signals: self.signals.clone(), consumers: self.consumers }
    }
}

impl<E: Send + 'static> SharedPush<E> {
    pub(crate) fn new(mailbox: &Arc<Mailbox<E>>) -> Self {
        let signals = mailbox.signals.clone();
        let consumers = match (&signals.crowd, signals.cell.pair()) {
            (Some(_), _) => Consumers::Several,
            (None, FencePair::Asymmetric) => Consumers::One,
            (None, FencePair::Symmetric) => Consumers::OneFenced,
        };
        Self { mailbox: mailbox.clone(), consumers, signals }
    }

    /// Wakes a consumer, after an event was put into the lane, if none is awake to see it.
    #[inline(always)]
    pub(crate) fn wake(&self) {
        let pair = match self.consumers {
            Consumers::One => FencePair::Asymmetric,
            Consumers::OneFenced => FencePair::Symmetric,
            Consumers::Several => return self.signals.wake(),
        };
        // ORD(cell.state): light fence; pairs with the heavy one of a consumer that parks.
        light_fence(pair);
        self.signals.cell.wake();
    }

    /// Claims room for one event. Returns `None` if the lane is full, closed or unbounded.
    #[inline(always)]
    pub(crate) fn claim(&self) -> Option<SharedRoom<'_, E>> {
        let Events::Bounded(ring) = &self.mailbox.shared.events else { return None };
        let claimed = ring.claim().ok()?;
        Some(SharedRoom { claimed, push: self })
    }

    /// Pushes the event in `place`, and wakes the consumer if it is parked. Returns `false`, and
    /// leaves the event there, if there is no room.
    #[inline(always)]
    pub(crate) fn push(&self, place: &mut Option<E>) -> bool {
        // Checked before the claim, after which nothing may fail.
        if place.is_none() {
            return true;
        }
        let Some(room) = self.claim() else { return false };
        if let Some(event) = place.take() {
            room.fill(event);
        }
        true
    }

    /// Returns whether the policy is to wait for room.
    pub(crate) fn may_wait(&self) -> bool {
        self.mailbox.may_make_wait()
    }

    /// Returns the wait of a task for room, if a write would wait here now.
    pub(crate) fn full(&self) -> Option<TaskWait> {
        Mailbox::full(&self.mailbox)
    }

    /// Returns whether the lane is closed, or may be: an unbounded one does not show it.
    #[inline(always)]
    pub(crate) fn may_be_closed(&self) -> bool {
        match &self.mailbox.shared.events {
            Events::Bounded(ring) => ring.is_closed(),
            Events::Unbounded(_) => true,
        }
    }
}

/// The room for one event in a shared lane, which must be filled at once.
#[must_use]
pub(crate) struct SharedRoom<'a, E: Send + 'static> {
    claimed: Claimed<'a, E>,
    push: &'a SharedPush<E>,
}

impl<E: Send + 'static> SharedRoom<'_, E> {
    /// Puts the event into the lane, and wakes a consumer if none is awake to see it.
    #[inline(always)]
    pub(crate) fn fill(self, event: E) {
        self.claimed.fill(event);
        self.push.wake();
    }

    /// Puts the event into the lane. [`SharedPush::wake`] must follow.
    #[inline(always)]
    pub(crate) fn put(self, event: E) {
        self.claimed.fill(event);
    }
}
