//! Publishing without a [`Publisher`], and the bus as a sink of another bus.

use super::Bus;
use super::core::Core;
use super::entry::SinkEntry;
use super::list::List;
use super::publisher::Publisher;
use super::publisher::sending::Sending;
use super::tally::{Offer, PublishTally};
use super::together::together;
use crate::error::{Closed, ConfigError, OutOfMemory, WriteError};
use crate::mailbox::shared_push::SharedPush;
use crate::sink::lane::{InnerLane, Internal, Lane, LaneWrite, RoomWait};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{
    CloseReport, Disposition, EntryCounters, EntryOutcome, FlushReport, Ledgers, Published, SinkId, SinkKind,
    SinkState, SinkStatus, Weight,
};
use crate::sync::current::Reading;
use crate::sync::{cold_path, lock};
use crate::time::Deadline;
use crate::wait::context::{
    InnerBus, Purpose, TaskPublish, UserCode, Visit, Wait, WaitLimit, cloned, discard,
};
use std::sync::Arc;

impl<E: Clone + Send + 'static> Bus<E> {
    /// Publishes an event from any thread, through the sinks' shared lanes.
    ///
    /// [`Published`] counts the sinks that accepted the event, dropped it at once, or refused it. A
    /// dropped or refused event is lost: [`try_publish`](Self::try_publish) returns an event that
    /// every sink refused.
    ///
    /// The call costs several times as much as through a [`Publisher`], and contends with other
    /// threads that publish in this way.
    ///
    /// The call allocates:
    ///
    /// - when a thread uses it first: the record of the lists that the thread reads, one for all
    ///   buses;
    /// - when it has to wait ([`Overflow::Block`](crate::Overflow::Block), a gating subscriber);
    /// - where a [`Publisher`] allocates.
    ///
    /// # Errors
    /// [`Closed`] with the event if the bus is closed and no sink accepted it.
    ///
    /// # Panics
    /// Panics if the event's `Clone` or `Drop` panics; every sink but the last gets a clone. Sinks
    /// that were added before the sink for which the clone was made have already received the
    /// event. Panics of sinks are caught.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// use buslane::error::Closed;
    /// let bus = Bus::new();
    /// bus.add(noop())?;
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// assert_eq!(bus.publish("event")?.accepted, 2);
    /// assert_eq!(receiver.recv()?, "event");
    /// assert!(bus.close().is_done());
    /// assert_eq!(bus.publish("late"), Err(Closed("late")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish(&self, event: E) -> Result<Published, Closed<E>> {
        self.core().publish(event)
    }

    /// Publishes an event from any thread without waiting for room, and returns the event if no
    /// sink accepted it.
    ///
    /// [`Overflow::Block`](crate::Overflow::Block) and
    /// [`Overflow::BlockFor`](crate::Overflow::BlockFor) act as
    /// [`Overflow::Refuse`](crate::Overflow::Refuse).
    ///
    /// The call uses the shared lanes and costs as much as [`publish`](Self::publish).
    ///
    /// # Errors
    /// [`WriteError`] with the event, and with the reason of the first sink, if every sink refused
    /// it. [`WriteError::Closed`] if the bus is closed. If at least one sink accepted the event, or
    /// dropped it at once, the result is [`Published`], which counts the refusals.
    ///
    /// # Panics
    /// The same as for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, Overflow, WriteError};
    /// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build()?;
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// assert!(bus.try_publish(1)?.is_complete());
    /// let Err(WriteError::Full(back)) = bus.try_publish(2) else { unreachable!() };
    /// assert_eq!(receiver.recv()?, 1); // makes room
    /// assert!(bus.try_publish(back)?.is_complete());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_publish(&self, event: E) -> Result<Published, WriteError<E>> {
        self.core().try_publish(event)
    }
}

impl<E: Clone + Send + 'static> Core<E> {
    #[inline]
    pub(super) fn publish(&self, event: E) -> Result<Published, Closed<E>> {
        if self.is_closed() {
            cold_path();
            return Err(Closed(event));
        }
        let Some(list) = self.front.list.read_named() else {
            cold_path();
            return self.publish_to_all(self.front.list.snapshot(), event);
        };
        // The event of a single queue or channel with room moves once, from the caller to its slot.
        // A move into a place of its own would wait for the stores that have just written it.
        if let Some(SinkEntry { shared: Some(shared), .. }) = list.only()
            && let Some(room) = shared.claim()
        {
            room.fill(event);
            return Ok(PublishTally::accepted(1).published());
        }
        self.publish_to_all(list.into(), event)
    }

    #[inline(never)]
    fn publish_to_all(&self, reading: Reading<List<E>>, event: E) -> Result<Published, Closed<E>> {
        let mut place = Some(event);
        // After the place: where a clone panics, the read ends before the event is dropped.
        let list = reading;
        let tally = if let Some(entries) = together::<E, 2>(&list) {
            self.deliver_together(&list, entries, &mut place)
        } else if let Some(entries) = together::<E, 3>(&list) {
            self.deliver_together(&list, entries, &mut place)
        } else if let Some(entries) = together::<E, 4>(&list) {
            self.deliver_together(&list, entries, &mut place)
        } else {
            self.publish_on(&list, &mut place)
        };
        // The event is dropped when no removal waits for this thread any more.
        drop(list);
        if tally.is_untaken() {
            cold_path();
            return tally.or_closed(place, || self.is_closed());
        }
        // Dropped in its place: a further move would wait for the stores that have just written it.
        discard(place);
        Ok(tally.published())
    }

    pub(super) fn try_publish(&self, event: E) -> Result<Published, WriteError<E>> {
        let mut place = Some(event);
        let tally = self.publish_shared(&mut place, Deadline::NOW);
        tally.or_refused(place, || self.is_closed())
    }

    /// Publishes the event in `place`, and leaves it there if no sink accepts it. On a closed bus,
    /// no sink does.
    #[inline(always)]
    fn publish_through_list(&self, place: &mut Option<E>) -> PublishTally {
        // Also for a publisher that has found the bus closed: an event that a sink accepted now
        // would overtake those in the publisher's lane.
        if self.is_closed() {
            let mut tally = PublishTally::accepted(0);
            tally.count(Offer::Closed);
            return tally;
        }
        self.publish_on(&self.front.list.read(), place)
    }

    /// Delivers the event to the sinks on a list.
    ///
    /// While the list is held, no sink on it is dropped: a removal waits for this publish. So code
    /// that is called from here, including the event's own code, must not wait for a removal.
    #[inline(always)]
    fn publish_on(&self, list: &Reading<List<E>>, place: &mut Option<E>) -> PublishTally {
        let mut tally = PublishTally::accepted(0);
        if !list.older().is_empty() {
            tally = self.deliver_to_older(list, place);
        }
        self.deliver_to_each(list, list.newest(), list.newest().len(), place, &mut tally);
        tally
    }

    /// Publishes a clone of the event in `place` to every sink but those whose shared lane may make
    /// a publisher wait, whose ids it adds to `owed`. Without such sinks, takes the event itself. Waits
    /// for nothing.
    pub(super) fn publish_shared_without_waits(
        &self,
        place: &mut Option<E>,
        owed: &mut Vec<SinkId>,
    ) -> PublishTally {
        let _user_code = UserCode::enter();
        if self.is_closed() {
            return self.publish_through_list(place);
        }
        let list = self.front.list.read();
        let waits = |entry: &SinkEntry<E>| {
            entry.shared.as_ref().is_some_and(SharedPush::may_wait) && !entry.info.is_closed()
        };
        owed.extend(list.iter().filter(|entry| waits(entry)).map(|entry| entry.info.id));
        if owed.is_empty() {
            return self.publish_on(&list, place);
        }
        let mut tally = PublishTally::accepted(0);
        for entry in list.iter().filter(|entry| !owed.contains(&entry.info.id) && !entry.info.is_closed()) {
            if let Some(event) = &*place {
                self.deliver_clone(&list, entry, cloned(event), &mut tally);
            }
        }
        tally
    }

    /// Publishes the event in `place` to one sink, without waiting. Leaves it there if the sink
    /// refuses it. Returns `None` if the sink was removed.
    pub(super) fn publish_shared_at(&self, id: SinkId, place: &mut Option<E>) -> Option<Offer> {
        let _user_code = UserCode::enter();
        if self.is_closed() {
            return Some(Offer::Closed);
        }
        let list = self.front.list.read();
        let entry = list.iter().find(|entry| entry.info.id == id)?;
        if entry.info.is_closed() {
            return Some(Offer::Closed);
        }
        // The list may have been replaced since it was read, as in `deliver`.
        let is_pushed = self.front.list.is_newest(&list)
            && entry.shared.as_ref().is_some_and(|shared| shared.push(place));
        Some(if is_pushed { Offer::Accepted } else { self.deliver_to_sink(entry, place) })
    }

    /// Delivers the event to the entries that are not among the newest. This is a separate
    /// function, so that the counters of the newest entries stay in registers.
    #[cold]
    #[inline(never)]
    fn deliver_to_older(&self, list: &Reading<List<E>>, place: &mut Option<E>) -> PublishTally {
        let mut tally = PublishTally::accepted(0);
        let mut left = list.len();
        for chunk in list.older() {
            self.deliver_to_each(list, chunk, left, place, &mut tally);
            left -= chunk.len();
        }
        tally
    }

    /// Delivers the event to these entries. `left` sinks, with these, are still to get it.
    #[inline(always)]
    fn deliver_to_each(
        &self,
        list: &Reading<List<E>>,
        entries: &[SinkEntry<E>],
        mut left: usize,
        event: &mut Option<E>,
        tally: &mut PublishTally,
    ) {
        for entry in entries {
            left -= 1;
            // All sinks but the last get a clone.
            if left == 0 {
                self.deliver(list, entry, event, tally);
            } else if !entry.is_closed()
                && let Some(event) = &*event
            {
                self.deliver_clone(list, entry, cloned(event), tally);
            }
        }
    }

    /// Publishes like [`publish_through_list`](Self::publish_through_list), and waits for room
    /// until this deadline.
    pub(super) fn publish_shared(&self, place: &mut Option<E>, deadline: Deadline) -> PublishTally {
        // A sink's `write` has no deadline in its signature, so the thread's call context carries
        // it.
        let _user_code = (deadline == Deadline::NOW).then(UserCode::enter);
        let _limit = if deadline == Deadline::NOW { None } else { WaitLimit::until(deadline) };
        self.publish_through_list(place)
    }
}

impl<E: Send + 'static> Core<E> {
    /// Delivers the event in `place` to one sink. An event that the sink refuses is put back into
    /// `place`.
    ///
    /// On the common path, events and errors are not moved: a copy of a result of their size, which
    /// was just written word by word, costs as much as an atomic operation.
    #[inline(always)]
    fn deliver(
        &self,
        list: &Reading<List<E>>,
        entry: &SinkEntry<E>,
        place: &mut Option<E>,
        tally: &mut PublishTally,
    ) {
        // A push into a lane with room runs no user code, so nothing is marked or caught. The sink
        // may have been removed inside a sink before it, or in the clone: the list was then
        // replaced.
        if let Some(shared) = &entry.shared
            && self.front.list.is_newest(list)
            && shared.push(place)
        {
            tally.count(Offer::Accepted);
        } else if !entry.info.is_closed() {
            tally.count(self.deliver_to_sink(entry, place));
        }
    }

    /// Delivers a clone of the event to one sink, and drops it if the sink refuses it. The clone
    /// moves once, into its slot.
    #[inline(always)]
    pub(super) fn deliver_clone(
        &self,
        list: &Reading<List<E>>,
        entry: &SinkEntry<E>,
        event: E,
        tally: &mut PublishTally,
    ) {
        if let Some(shared) = &entry.shared
            && self.front.list.is_newest(list)
            && let Some(room) = shared.claim()
        {
            room.fill(event);
            tally.count(Offer::Accepted);
        } else if !entry.info.is_closed() {
            tally.count(self.deliver_clone_to_sink(entry, event));
        } else {
            discard(event);
        }
    }
}

/// Publishes on a bus that is the sink of another bus or of any other caller, and counts the events
/// that enter it.
fn counted<E>(
    entry: &EntryCounters,
    event: E,
    publish: impl FnOnce(E) -> Result<Disposition, WriteError<E>>,
) -> Result<Disposition, WriteError<E>> {
    entry.offered(1);
    let answer = match InnerBus::enter() {
        Some(_inner) => publish(event),
        None => Err(WriteError::Reentrant(event)),
    };
    match &answer {
        Ok(disposition) => entry.disposed(*disposition),
        Err(error) => entry.count(EntryOutcome::refused(error), 1),
    }
    answer
}

/// A bus is a sink: an event that is written to it is published on it. In a cycle of buses, an
/// event is refused after sixteen nested deliveries ([`WriteError::Reentrant`]).
///
/// An upstream bus receives one of these outcomes:
///
/// - The event is delivered if at least one sink accepted it, or this bus has no sinks.
/// - The event is dropped if no sink accepted it and at least one dropped it.
/// - The event is returned with the first refusal if all sinks refused it.
///
/// What a sink of this bus does later with an accepted event is counted in the ledger of that sink,
/// in this bus's [`snapshot`](Bus::snapshot).
impl<E: Clone + Send + 'static> Sink<E> for Bus<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        let core = self.core();
        counted(core.counters.shared(), event, |event| {
            let mut place = Some(event);
            let tally = core.publish_shared(&mut place, Deadline::NEVER);
            tally.answer(place, || core.is_closed())
        })
    }

    // Every sink is visited, also when another one panics, and only once in a cycle of buses.
    fn inner(&self, visit: &mut Inner<'_>) {
        if let Some(_visit) = Visit::begin(self.core().address(), Purpose::Control) {
            for info in self.core().infos() {
                if let Some(entry) = self.core().attachment(info.id) {
                    let panicked = |text: String| self.core().hooks.panicked(&info, &text);
                    entry.listed.with(|sink| visit.caught::<E>(sink, &panicked));
                }
            }
        }
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.core().close(deadline, Wait::of_this_thread())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        // In a cycle of buses, a bus that is making a lane further up makes no second one.
        if Visit::begin(self.core().address(), Purpose::MakeLanes).is_none() {
            return Ok(None);
        }
        let publisher = Publisher::register(self.core(), None);
        let entry = self.core().counters.for_publisher();
        Ok(Some(Lane::staged(BusLane { publisher, entry, sending: None })))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        report.absorb(self.core().flush(deadline, Wait::of_this_thread()));
    }

    // The settings of each sink are checked when the sink is added to the bus.
    fn validate(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    fn reports_closed(&self) -> bool {
        self.core().is_closed()
    }

    fn describe(&self, state: &mut SinkState) {
        state.kind = SinkKind::Bus;
        state.lanes = lock(&self.core().control).publisher_count();
        if self.core().is_closed() {
            state.status = SinkStatus::Drained;
        }
        self.core().counters.add_to(&mut state.ledger);
    }

    // The chain branches here, and each sink reports its own ledger.
    fn add_ledgers(&self, _: &mut Ledgers, _: Internal) {}

    fn weigh(&self, _: &Weight, _: Internal) {}

    fn key(&self) -> Option<SinkKey> {
        Some(self.core().key())
    }
}

/// The lane of one publisher of the outer bus, which is a publisher of the inner bus.
struct BusLane<E: Send + 'static> {
    publisher: Publisher<E>,
    entry: Arc<EntryCounters>,
    /// The event of a task that some sinks have accepted, and others are owed.
    sending: Option<Sending<E>>,
}

impl<E: Clone + Send + 'static> LaneWrite<E> for BusLane<E> {
    // The stage ends here: the inner publisher has its own lanes into the sinks.
    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let Self { publisher, entry, sending } = self;
        counted(entry, event, |event| {
            if deadline == Deadline::NOW && TaskPublish::is_here() {
                cold_path();
                let mut begun = Sending::begin(publisher, event);
                begun.offer_now(publisher);
                let (answer, kept) = begun.answer(publisher);
                *sending = kept;
                return answer;
            }
            publisher.publish_until(event, &deadline, |core, tally, event| {
                tally.answer(event, || core.is_closed())
            })
        })
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }

    fn full(&self) -> Option<RoomWait> {
        match &self.sending {
            Some(sending) => sending.full(&self.publisher),
            None => self.publisher.full_sink(),
        }
    }

    fn resume(&mut self) -> bool {
        let Self { publisher, sending, .. } = self;
        let is_done = sending.as_mut().is_none_or(|sending| sending.offer_now(publisher));
        if is_done {
            discard(sending.take());
        }
        is_done
    }

    fn give_up(&mut self) {
        if let Some(sending) = self.sending.take() {
            sending.give_up(&mut self.publisher);
            discard(sending);
        }
    }
}
