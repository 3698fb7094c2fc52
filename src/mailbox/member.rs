//! One of several consumers of a mailbox. How a flush knows which events are in its hands: see [`members`](super::members).

#[cfg(test)]
mod models;

use super::consume::Consume;
use super::core::{Mailbox, MailboxConfig};
use super::counters::Handled;
use super::end::End;
use super::intake::{Intake, give_up};
use super::members::MemberState;
use super::shared_lane::{Find, Source};
use crate::error::BuildError;
use crate::sync::membarrier::light_fence;
use crate::sync::{Arc, recheck, spin_hint, thread};
use crate::wait::crowd::Ticket;
use crate::wait::list::Want;
use crate::wait::strategy::{Idler, Step};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The most events taken before the worker looks at what else it has to do.
const VISIT: usize = 16;

impl<E: Send + 'static> Mailbox<E> {
    /// How many events of the shared lane were claimed by members.
    pub(super) fn claimed(&self) -> u64 {
        self.shared.claimed().unwrap_or_else(|| self.members.claimed())
    }

    /// Why the shared lane ended, once everything in it was claimed.
    pub(crate) fn shared_end(&self) -> Option<End> {
        let end = self.end();
        (end != End::Open && self.shared.is_ended()).then_some(end)
    }

    /// What a member owes to those who sleep when it has taken an event, or was woken and takes none: one of them is woken
    /// when there is more, and all of them when that was the end.
    fn pass_on(&self) {
        let Some(crowd) = &self.signals.crowd else { return };
        // ORD(crowd.parked): light fence; pairs with the heavy one of a member that parks.
        // Behind the claim and before the looks: whoever looked before us and slept is seen in the count, and what was put
        // in behind a place that was still empty then is seen in the ring.
        light_fence(crowd.pair());
        if crowd.has_parked() && self.shared.has_filled() {
            crowd.wake_another();
        }
        if self.shared_end().is_some() {
            crowd.wake_all();
        }
    }
}

/// One of several consumers of a mailbox.
pub(crate) struct Member<E: Send + 'static> {
    mailbox: Arc<Mailbox<E>>,
    state: std::sync::Arc<MemberState>,
    idler: Idler,
    /// The place where this member's task sleeps.
    ticket: Option<Ticket>,
}

impl<E: Send + 'static> Member<E> {
    /// A mailbox with several consumers: all events go through the shared lane. More members are made of the first.
    pub(crate) fn open(config: MailboxConfig<E>) -> Result<(Arc<Mailbox<E>>, Self), BuildError> {
        let mailbox = Mailbox::new(config, true)?;
        let member = Self::new(mailbox.clone());
        Ok((mailbox, member))
    }

    fn new(mailbox: Arc<Mailbox<E>>) -> Self {
        let (state, members) = mailbox.members.join();
        if let Some(crowd) = &mailbox.signals.crowd {
            crowd.make_room(members);
        }
        let idler = Idler::new(mailbox.wait);
        Self { mailbox, state, idler, ticket: None }
    }

    /// One more member of the same mailbox.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.mailbox.clone())
    }

    /// Claims the next event. The mark is set when there is one.
    fn claim(&mut self, find: Find) -> Option<E> {
        let mailbox = &*self.mailbox;
        loop {
            if !mailbox.shared.may_have(find) {
                return None;
            }
            // Announced before the claim, so that the event is never in neither place.
            self.state.set_mark(mailbox.claimed());
            if let Some((position, event)) = mailbox.shared.pop(find) {
                match position {
                    Some(position) => self.state.set_mark(position),
                    None => mailbox.members.claim(),
                }
                mailbox.pass_on();
                return Some(event);
            }
            self.state.clear_mark();
            // A flush may have seen the mark.
            mailbox.signals.blocked.notify_progress();
            if find == Find::Filled {
                return None;
            }
        }
    }

    fn see_depth(&self) {
        self.state.counters.saw_depth(self.mailbox.shared.len() as u64);
    }
}

impl<E: Send + 'static> Intake<E> for Member<E> {
    fn mailbox(&self) -> &Arc<Mailbox<E>> {
        &self.mailbox
    }

    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        /// Counts an event when it was handled, also when that unwinds: then it counts as delivered.
        struct InHand<'a, E>(&'a Mailbox<E>, &'a MemberState, Handled);
        impl<E> Drop for InHand<'_, E> {
            fn drop(&mut self) {
                self.1.counters.note(self.2);
                self.1.clear_mark();
                self.0.signals.blocked.notify_progress();
            }
        }
        self.see_depth();
        let mut count = 0;
        while count < VISIT
            && let Some(event) = self.claim(Find::Filled)
        {
            let mailbox = &*self.mailbox;
            // The slot is free already, before the event is handled.
            mailbox.signals.blocked.notify_made(Want::SHARED_ROOM);
            let mut hand = InHand(mailbox, &self.state, Handled::Delivered);
            hand.2 = consume.handle(mailbox, event);
            drop(hand);
            consume.batched(mailbox, 1);
            count += 1;
        }
        if count > 0 {
            self.idler.found(count);
        }
        count
    }

    fn take(&mut self, find: Find) -> Option<E> {
        // A task that slept here and was woken looks now; one that was not must not stand in for somebody who sleeps.
        if let Some(ticket) = self.ticket.take()
            && let Some(crowd) = &self.mailbox.signals.crowd
        {
            crowd.leave(ticket);
        }
        self.see_depth();
        let event = self.claim(find)?;
        self.mailbox.taken(&event);
        self.state.counters.note(Handled::Delivered);
        self.state.clear_mark();
        self.mailbox.signals.blocked.notify_made(Want::SHARED_ROOM);
        self.idler.found(1);
        Some(event)
    }

    /// Members get in each other's way anyhow, and look away by handling events.
    fn linger_when_dry(&mut self) {}

    fn has_work(&mut self) -> bool {
        self.mailbox.shared.has_filled()
    }

    fn len(&self) -> u64 {
        self.mailbox.shared_len()
    }

    fn ended(&mut self) -> Option<End> {
        self.mailbox.shared_end()
    }

    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool) {
        self.state.counters.saw_empty();
        let mailbox = &*self.mailbox;
        let Some(crowd) = &mailbox.signals.crowd else { return };
        let ready = || mailbox.shared.has_filled() || mailbox.shared_end().is_some() || other(mailbox);
        match self.idler.step(mailbox.capacity(), Instant::now) {
            Step::Spin => spin_hint(),
            Step::Yield => thread::yield_now(),
            Step::Nap(nap) => crowd.nap_unless(limit.map_or(nap, |limit| limit.min(nap)), ready),
            Step::Park => {
                crowd.park_unless(limit, ready);
                self.idler.roused();
            }
        }
    }

    /// The next read takes back what was announced.
    fn register(&mut self, task: &Waker) -> bool {
        self.state.counters.saw_empty();
        if let Some(crowd) = &self.mailbox.signals.crowd {
            self.ticket = Some(crowd.register(task));
        }
        !recheck(|| self.mailbox.shared.has_filled() || self.mailbox.shared_end().is_some())
    }

    /// The task no longer waits. If it was woken, it will not look, and somebody else has to.
    fn unregister(&mut self) {
        if let Some(ticket) = self.ticket.take()
            && let Some(crowd) = &self.mailbox.signals.crowd
            && !crowd.leave(ticket)
        {
            self.mailbox.pass_on();
        }
    }

    fn abandon(&mut self) {
        self.unregister();
        if self.mailbox.members.leave_unless_last(&self.state) {
            return;
        }
        give_up(self);
    }
}
