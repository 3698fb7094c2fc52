//! One of several consumers of a mailbox. [`members`](super::members) describes how a flush knows
//! which events a consumer is handling.

#[cfg(test)]
mod models;

use super::activity::ActivityWords;
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

/// The most events taken before the worker checks for other work.
const VISIT: usize = 16;

impl<E: Send + 'static> Mailbox<E> {
    /// Returns the number of events of the shared lane that members have claimed.
    pub(super) fn claimed(&self) -> u64 {
        self.shared.claimed().unwrap_or_else(|| self.members.claimed())
    }

    /// Returns why the shared lane ended, once every event in it was claimed.
    pub(crate) fn shared_end(&self) -> Option<End> {
        let end = self.end();
        (end != End::Open && self.shared.is_drained()).then_some(end)
    }

    /// Wakes other members, after a member has taken an event, or was woken and takes none: one
    /// parked member if there are more events, and all members at the end.
    fn pass_on(&self) {
        let Some(crowd) = &self.signals.crowd else { return };
        // ORD(crowd.parked): light fence; pairs with the heavy one of a member that parks. After
        // the claim and before the checks: the count shows each member that checked before this
        // claim and then parked, and the ring shows an event written after a position that was
        // still empty then.
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
    /// The registration of this member's task in the crowd.
    ticket: Option<Ticket>,
}

impl<E: Send + 'static> Member<E> {
    /// Makes a mailbox with several consumers, and its first member. All events go through the
    /// shared lane.
    pub(crate) fn open(config: MailboxConfig<E>) -> Result<(Arc<Mailbox<E>>, Self), BuildError> {
        let (mailbox, _) = Mailbox::new(config, true)?;
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

    /// Makes one more member of the same mailbox.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.mailbox.clone())
    }

    /// Claims the next event, and leaves the mark set if there is one.
    fn claim(&mut self, find: Find) -> Option<E> {
        let mailbox = &*self.mailbox;
        loop {
            if !mailbox.shared.may_have(find) {
                return None;
            }
            // Announced before the claim: otherwise a flush could find the event neither in the
            // lane nor in a mark.
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
            // A flush may have seen the mark, and wait for it.
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

    fn activity(&self) -> &ActivityWords {
        self.state.counters.activity()
    }

    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        /// Counts an event after it was handled. If the handling unwinds, the event counts as
        /// delivered.
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
            // The slot is free before the event is handled.
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
        // A task that was woken reads now. A task that was not woken leaves the crowd, so that no
        // event wakes it in place of a parked member.
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

    /// Does nothing: members contend for the ring in any case, and leave it alone while they handle
    /// events.
    fn linger_when_dry(&mut self) {}

    fn found_nothing(&mut self) {
        self.state.counters.saw_empty();
    }

    fn has_work(&mut self) -> bool {
        self.mailbox.shared.has_filled()
    }

    fn len(&self) -> u64 {
        self.mailbox.shared_len()
    }

    fn drained(&mut self) -> Option<End> {
        self.mailbox.shared_end()
    }

    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool) {
        self.found_nothing();
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

    /// The next read cancels the registration.
    fn register(&mut self, task: &Waker) -> bool {
        self.state.counters.saw_empty();
        if let Some(crowd) = &self.mailbox.signals.crowd {
            self.ticket = Some(crowd.register(task));
        }
        !recheck(|| self.mailbox.shared.has_filled() || self.mailbox.shared_end().is_some())
    }

    /// Unregisters the task. If it was woken, it will not poll, and another member has to.
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
