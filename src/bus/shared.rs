//! Publishing without a publisher of one's own, and the bus as a sink of another bus.

use super::Bus;
use super::core::Core;
use super::delivery::deliver_to;
use super::entry::Entry;
use super::info::{Info, SinkRef};
use super::list::List;
use super::publisher::Publisher;
use super::tally::{Offer, Tally};
use crate::error::{Closed, ConfigError, OutOfMemory, WriteError};
use crate::sink::lane::{InnerLane, Internal, Lane, LaneWrite};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{
    CloseReport, Disposition, DropReason, EntryCounters, EntryOutcome, FlushReport, Ledgers, Published,
    SinkKind, SinkState, SinkStatus, Weight,
};
use crate::sync::{cold_path, lock};
use crate::time::Deadline;
use crate::wait::context::{
    InnerBus, Purpose, UserCode, Visit, WaitLimit, WaitedFor, caught, cloned, discard, waits_are_deferred,
};
use std::sync::Arc;

impl<E: Clone + Send + 'static> Bus<E> {
    /// Publishes from any thread, through the sinks' shared lanes.
    ///
    /// [`Published`] says what each sink made of the event: accepted, dropped at once, or refused. What was dropped or refused is
    /// lost.
    ///
    /// This costs several times as much as through a [`Publisher`], and contends with other threads that do the same.
    ///
    /// It allocates when a thread uses it first (the record of the lists that the thread reads, one for all buses), when it has
    /// to wait ([`Overflow::Block`](crate::Overflow::Block), a gating subscriber), and where a [`Publisher`] does.
    ///
    /// # Errors
    /// [`Closed`] with the event when the bus is closed and no sink took it.
    ///
    /// # Panics
    /// When a clone of the event does, which every sink but the last gets, or its `Drop`. The sinks that were added before the
    /// one for which it was cloned have theirs. Panics of sinks are caught.
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
}

impl<E: Clone + Send + 'static> Core<E> {
    pub(super) fn publish(&self, event: E) -> Result<Published, Closed<E>> {
        let mut place = Some(event);
        let tally = self.publish_through_list(&mut place);
        if tally.is_untaken() {
            cold_path();
            return tally.or_closed(place, || self.is_closed());
        }
        // Not moved once more: it was just written.
        discard(place);
        Ok(tally.published())
    }

    /// Publishes the event in `place`, and leaves it there if nobody takes it. On a closed bus nobody does.
    #[inline(always)]
    fn publish_through_list(&self, place: &mut Option<E>) -> Tally {
        let mut tally = Tally::accepted(0);
        if self.is_closed() {
            tally.count(Offer::Closed);
            return tally;
        }
        // While the list is held, no sink on it is taken away: a removal waits for this publish. So code called from here,
        // the event's own code included, must not wait for a removal.
        let _held = WaitedFor::begin();
        let list = self.list.load();
        if !list.older().is_empty() {
            tally = self.deliver_to_older(&list, place);
        }
        self.deliver_to_each(list.newest(), list.newest().len(), place, &mut tally);
        tally
    }

    /// Gives the event to the entries that are not among the newest: apart from those, whose counters stay in registers.
    #[cold]
    #[inline(never)]
    fn deliver_to_older(&self, list: &List<E>, place: &mut Option<E>) -> Tally {
        let mut tally = Tally::accepted(0);
        let mut left = list.len();
        for chunk in list.older() {
            self.deliver_to_each(chunk, left, place, &mut tally);
            left -= chunk.len();
        }
        tally
    }

    /// Gives the event to these entries, of `left` that are still to get it.
    #[inline(always)]
    fn deliver_to_each(
        &self,
        entries: &[Entry<E>],
        mut left: usize,
        event: &mut Option<E>,
        tally: &mut Tally,
    ) {
        for entry in entries {
            left -= 1;
            if entry.info.is_dead() {
                continue;
            }
            // All but the last get a clone.
            let mut copy = None;
            let place = if left == 0 {
                &mut *event
            } else {
                copy = cloned(&*event);
                &mut copy
            };
            tally.count(self.deliver(entry, place));
            if copy.is_some() {
                discard(copy);
            }
        }
    }

    /// As by [`publish_through_list`](Self::publish_through_list), waiting for room until this deadline.
    pub(super) fn publish_shared(&self, place: &mut Option<E>, deadline: Deadline) -> Tally {
        // A sink's `write` has no deadline in its signature: the thread carries it.
        let _user_code = (deadline == Deadline::NOW).then(UserCode::enter);
        let _limit = if deadline == Deadline::NOW { None } else { WaitLimit::until(deadline) };
        self.publish_through_list(place)
    }
}

impl<E: Send + 'static> Core<E> {
    /// Gives the event in `place` to one sink. If that refuses it, the event is back in its place.
    ///
    /// Events and errors stay where they are while all goes well: to copy a result of their size, which was just written
    /// word by word, costs as much as an atomic operation.
    #[inline]
    fn deliver(&self, entry: &Entry<E>, place: &mut Option<E>) -> Offer {
        let Entry { info, listed, .. } = entry;
        let _call = (!info.has_lanes).then(|| info.begin_call());
        if !listed.guarded().is_attached() {
            // Removed, or the bus closed, while this publish was on its way; a lane counts for itself.
            if !info.has_lanes {
                info.counters.shared().offered(1);
                info.counters.shared().count(EntryOutcome::RefusedClosed, 1);
            }
            return Offer::Closed;
        }
        listed.with(
            |sink| if info.has_lanes { self.write(sink, info, place) } else { self.call(sink, info, place) },
        )
    }

    /// A sink with lanes counts for itself. A filter or a map in front of it is foreign.
    #[inline]
    fn write(&self, sink: &SinkRef<E>, info: &Info, place: &mut Option<E>) -> Offer {
        let written = caught(|| {
            let Some(event) = place.take() else { return Offer::Accepted };
            let offer = Offer::of(sink.offer(event), place);
            if offer == Offer::Closed {
                info.mark_dead();
            }
            offer
        });
        written.unwrap_or_else(|text| {
            info.counters.shared().offered(1);
            info.counters.shared().count(EntryOutcome::Unwound, 1);
            self.hooks.panicked(info, &text);
            Offer::Dropped(DropReason::Panicked)
        })
    }

    #[inline(never)]
    fn call(&self, sink: &SinkRef<E>, info: &Info, place: &mut Option<E>) -> Offer {
        deliver_to(&**sink, place, info, info.counters.shared(), &self.hooks)
    }
}

/// Publishes on a bus that is a sink of another one, or of anything else, and counts what enters.
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

/// A bus is a sink: what is written to it is published on it. Put on itself by way of other buses, it refuses what has gone
/// round sixteen times ([`WriteError::Reentrant`]).
///
/// A bus in front is told what became of the event: it is delivered if at least one sink accepted it, or there is none; dropped if
/// none accepted and one dropped it; and if all refused it, it comes back with the first refusal. What a sink of this bus does
/// later with what it accepted is in the ledger of that sink, in this bus's [`snapshot`](Bus::snapshot).
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

    // Each of them is told, also when another one panics; round a cycle of buses once.
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
        self.core().close(deadline, !waits_are_deferred())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        // In a cycle of buses the one further up gives out no second lane.
        if Visit::begin(self.core().address(), Purpose::MakeLanes).is_none() {
            return Ok(None);
        }
        let publisher = Publisher::register(self.core(), None);
        let entry = self.core().counters.for_publisher();
        Ok(Some(Lane::staged(BusLane { publisher, entry })))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        report.absorb(self.core().flush(deadline, !waits_are_deferred()));
    }

    // The settings of a sink are checked when it is added to the bus.
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
            state.status = SinkStatus::Closed;
        }
        self.core().counters.add_to(&mut state.ledger);
    }

    // Here the chain branches, and each of the sinks reports for itself.
    fn add_ledgers(&self, _: &mut Ledgers, _: Internal) {}

    fn weigh(&self, _: &Weight, _: Internal) {}

    fn key(&self) -> Option<SinkKey> {
        Some(self.core().key())
    }
}

/// The lane of one publisher of the outer bus: a publisher of the inner one.
struct BusLane<E: Send + 'static> {
    publisher: Publisher<E>,
    entry: Arc<EntryCounters>,
}

impl<E: Clone + Send + 'static> LaneWrite<E> for BusLane<E> {
    // What the sinks of the bus do with it, each of its lanes knows for itself.
    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let Self { publisher, entry } = self;
        counted(entry, event, |event| {
            publisher.publish_until(event, &deadline, |core, tally, event| {
                tally.answer(event, || core.is_closed())
            })
        })
    }
}
