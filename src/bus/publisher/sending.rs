//! A publish of one event that waits for room as a task.
//!
//! It goes through two steps, and none of them waits for a thread:
//!
//! 1. The event goes to every sink that makes no publisher wait.
//! 2. It is offered to each other sink, which is *owed* the event, until the sink has it or refuses it
//!    for another reason than a lack of room.
//!
//! A sink that branches, such as a bus or a tee, may accept the event for some of its inner sinks only.
//! Its lane then keeps the event for the others, and the publish [resumes](crate::sink::lane::Lane) it
//! there.

use super::Publisher;
use crate::bus::tally::{Offer, PublishTally};
use crate::error::{Closed, WriteError};
use crate::sink::lane::RoomWait;
use crate::stats::{Disposition, Published, SinkId};
use crate::sync::Ordering;
use crate::time::Deadline;
use crate::wait::context::{TaskPublish, cloned, discard};
use std::task::{Poll, Waker, ready};

/// The most offers of an event to a sink that is full and does not report what it waits for.
const OFFERS: u32 = 64;

/// A publish in progress, which waits for room as a task.
pub(in crate::bus) struct Sending<E> {
    /// The event, until the last sink has it.
    event: Option<E>,
    /// The sinks that are to get the event when they have room.
    owed: Vec<Owed>,
    /// Whether they get it through their shared lanes. The publisher had no lanes when the publish
    /// began; an event that follows in a lane of its own must not overtake this one.
    is_shared: bool,
    tally: PublishTally,
    /// Whether the first of them is waited for.
    waits: bool,
    /// How often it has refused the event since it was last waited for.
    offers: u32,
}

/// A sink that is to get the event.
#[derive(Clone, Copy)]
struct Owed {
    id: SinkId,
    /// Whether the sink has accepted the event, and its lane keeps it for sinks downstream.
    is_begun: bool,
}

impl<E: Clone + Send + 'static> Sending<E> {
    /// Publishes the event into every sink that does not make the publisher wait. The others are
    /// owed the event: [`poll`](Self::poll) follows.
    pub(in crate::bus) fn begin(publisher: &mut Publisher<E>, event: E) -> Self {
        let (mut event, mut owed) = (Some(event), Vec::new());
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = publisher.core.front.version.load(Ordering::Acquire);
        let tally = if publisher.is_current(version) {
            publisher.deliver(
                |table, lanes, scene| table.publish_without_waits(lanes, &mut event, &mut owed, scene),
                &Deadline::NOW,
            )
        } else {
            None
        };
        let is_shared = tally.is_none();
        let tally = tally.unwrap_or_else(|| {
            if publisher.now_or_never == Deadline::NOW {
                return publisher.publish_through_list(&mut event, &Deadline::NOW);
            }
            let tally = publisher.core.publish_shared_without_waits(&mut event, &mut owed);
            if owed.is_empty() && !tally.is_untaken() {
                publisher.went_shared(1);
            }
            tally
        });
        let owed = owed.into_iter().map(|id| Owed { id, is_begun: false }).collect();
        Self { event, owed, is_shared, tally, waits: false, offers: 0 }
    }

    /// Offers the event once to each sink that is owed it, without waiting. Returns whether none is
    /// left.
    pub(in crate::bus) fn offer_now(&mut self, publisher: &mut Publisher<E>) -> bool {
        let mut at = 0;
        while at < self.owed.len() {
            if self.offer(publisher, at) {
                self.owed.remove(at);
            } else {
                at += 1;
            }
        }
        self.owed.is_empty()
    }

    /// Continues the publish. Returns ready when every sink has accepted or refused the event.
    pub(in crate::bus) fn poll(
        &mut self,
        publisher: &mut Publisher<E>,
        wait: &mut Option<RoomWait>,
        task: &Waker,
    ) -> Poll<()> {
        while let Some(Owed { id, .. }) = self.owed.first().copied() {
            if self.waits
                && let Some(wait) = wait
            {
                ready!(wait.poll(task));
                self.offers = 0;
            }
            if self.offer(publisher, 0) {
                self.owed.remove(0);
                (self.waits, self.offers) = (false, 0);
                // What is left goes to the next publisher that waits.
                *wait = None;
                continue;
            }
            self.offers += 1;
            match publisher.full_at(id, self.is_shared) {
                // Another publisher took the room: this one keeps its position on the list.
                Some(next) if wait.as_ref().is_some_and(|wait| wait.is_same(&next)) => {}
                next => *wait = next,
            }
            self.waits = wait.is_some();
        }
        Poll::Ready(())
    }

    /// Offers the event to one sink, or continues what it has begun. Returns whether that sink is done
    /// with.
    fn offer(&mut self, publisher: &mut Publisher<E>, at: usize) -> bool {
        let Owed { id, is_begun } = self.owed[at];
        if is_begun {
            return self.resume(publisher, id);
        }
        let is_last = self.owed.iter().filter(|owed| !owed.is_begun).count() == 1;
        let Self { event, tally, .. } = self;
        let mut copy = if is_last { event.take() } else { cloned(&*event) };
        let offer = if self.is_shared {
            publisher.core.publish_shared_at(id, &mut copy)
        } else {
            let _publish = TaskPublish::begin();
            publisher
                .deliver(|table, lanes, scene| table.publish_at(lanes, id, &mut copy, scene), &Deadline::NOW)
                .flatten()
        };
        let is_full = offer == Some(Offer::Full) && self.offers < OFFERS;
        if let Some(offer) = offer.filter(|_| !is_full) {
            tally.count(offer);
        }
        if is_last {
            *event = copy;
        } else {
            discard(copy);
        }
        if is_full {
            return false;
        }
        let is_done = self.is_shared || offer != Some(Offer::Accepted) || self.resume(publisher, id);
        self.owed[at].is_begun = !is_done;
        is_done
    }

    /// Lets a lane continue with the event that it keeps. Returns whether it keeps none.
    fn resume(&mut self, publisher: &mut Publisher<E>, id: SinkId) -> bool {
        let is_done = {
            let _publish = TaskPublish::begin();
            publisher.deliver(|table, _, scene| table.resume_at(id, scene), &Deadline::NOW).unwrap_or(true)
        };
        if !is_done && self.offers >= OFFERS {
            give_up(publisher, id);
            return true;
        }
        is_done
    }

    /// Returns the result of the publish.
    pub(in crate::bus) fn end(self, publisher: &Publisher<E>) -> Result<Published, Closed<E>> {
        self.tally.or_closed(self.event, || publisher.core.is_closed())
    }

    /// Returns the outcome of a publish on a bus that is a sink of another one, after
    /// [`offer_now`](Self::offer_now): with the publish itself if sinks are still owed the event.
    ///
    /// If no sink has the event, it is returned, as it is by a bus whose sinks are full.
    pub(in crate::bus) fn answer(
        mut self,
        publisher: &Publisher<E>,
    ) -> (Result<Disposition, WriteError<E>>, Option<Self>) {
        if self.owed.is_empty() {
            return (self.tally.answer(self.event, || publisher.core.is_closed()), None);
        }
        match self.event.take_if(|_| self.tally.is_nowhere()) {
            Some(event) => (Err(WriteError::Full(event)), None),
            None => (Ok(Disposition::Delivered), Some(self)),
        }
    }
}

impl<E: Send + 'static> Sending<E> {
    /// Returns the wait of a task for room in the first sink that is owed the event.
    pub(in crate::bus) fn full(&self, publisher: &Publisher<E>) -> Option<RoomWait> {
        publisher.full_at(self.owed.first()?.id, self.is_shared)
    }

    /// Takes the event back from the lanes that keep it, when the publish does not continue.
    pub(in crate::bus) fn give_up(&self, publisher: &mut Publisher<E>) {
        self.owed.iter().filter(|owed| owed.is_begun).for_each(|owed| give_up(publisher, owed.id));
    }
}

fn give_up<E: Send + 'static>(publisher: &mut Publisher<E>, id: SinkId) {
    publisher.deliver(|table, _, scene| table.give_up_at(id, scene), &Deadline::NOW);
}
