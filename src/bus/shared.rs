//! Publishing without a publisher of one's own, and the bus as a sink of another bus.

use super::delivery::{Offer, deliver_to};
use super::entry::{Entry, Info, Shared};
use super::list::List;
use super::publisher::{Published, Publisher};
use super::{Bus, Core};
use crate::error::{Closed, InvalidConfig, WriteError};
use crate::inbox::Patience;
use crate::ledger::{EntryCounters, Outcome, SinkStatus};
use crate::panics::caught;
use crate::report::CloseReport;
use crate::sink::lane::{Lane, LaneWrite};
use crate::sink::signal::Signal;
use crate::sink::{Sink, SinkKey};
use crate::sync::lock;
use crate::wait::Deadline;
use crate::wait::nesting::{Nesting, Purpose, Visit};
use std::sync::Arc;

impl<E: Clone + Send + 'static> Core<E> {
    pub(super) fn publish(&self, event: E) -> Result<Published, Closed<E>> {
        if self.is_closed() {
            return Err(Closed(event));
        }
        // While the list is held, no sink on it is taken away: whoever removes one waits for us.
        let list = self.list.load();
        let mut event = Some(event);
        let mut published = Published::default();
        if !list.older().is_empty() {
            published = self.deliver_to_older(&list, &mut event);
        }
        self.deliver_to_each(list.newest(), list.newest().len(), &mut event, &mut published);
        match event {
            Some(event) if published.accepted == 0 && self.is_closed() => Err(Closed(event)),
            _ => Ok(published),
        }
    }

    /// Gives the event to the entries that are not among the newest: apart from those, whose counters stay in registers.
    #[cold]
    #[inline(never)]
    fn deliver_to_older(&self, list: &List<E>, event: &mut Option<E>) -> Published {
        let mut published = Published::default();
        let mut left = list.len();
        for chunk in list.older() {
            self.deliver_to_each(chunk, left, event, &mut published);
            left -= chunk.len();
        }
        published
    }

    /// Gives the event to these entries, of `left` that are still to get it.
    #[inline(always)]
    fn deliver_to_each(
        &self,
        entries: &[Entry<E>],
        mut left: usize,
        event: &mut Option<E>,
        published: &mut Published,
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
                copy.clone_from(event);
                &mut copy
            };
            published.count(self.deliver(entry, place));
        }
    }

    pub(super) fn publish_shared(&self, event: E, patience: Patience) -> Result<Published, Closed<E>> {
        // Inside a delivery nothing waits; that is how patience reaches a sink's `write`.
        let _impatient = match patience {
            Patience::Wait => None,
            Patience::Now => Some(Nesting::impatient()),
        };
        self.publish(event)
    }
}

impl<E: Send + 'static> Core<E> {
    /// Gives the event in `place` to one sink; whether that took it. If not, the event is back in its place.
    ///
    /// Events and errors stay where they are while all goes well: to copy a result of their size, which was just written
    /// word by word, costs as much as an atomic operation.
    #[inline]
    fn deliver(&self, entry: &Entry<E>, place: &mut Option<E>) -> bool {
        let Entry { info, listed, .. } = entry;
        let _call = (!info.has_lanes).then(|| info.begin_call());
        if !listed.guarded().is_attached() {
            // Removed, or the bus closed, while this publish was on its way; a lane counts for itself.
            if !info.has_lanes {
                info.counters.everybody().offered(1);
                info.counters.everybody().count(Outcome::RefusedClosed, 1);
            }
            return false;
        }
        listed.with(
            |sink| if info.has_lanes { self.write(sink, info, place) } else { self.call(sink, info, place) },
        )
    }

    /// A sink with lanes counts for itself. A filter or a map in front of it is foreign.
    #[inline]
    fn write(&self, sink: &Shared<E>, info: &Info, place: &mut Option<E>) -> bool {
        let written = caught(|| {
            let Some(event) = place.take() else { return false };
            match sink.write(event) {
                Ok(()) => true,
                Err(error) => {
                    if error.is_closed() {
                        info.mark_dead();
                    }
                    *place = Some(error.into_event());
                    false
                }
            }
        });
        written.unwrap_or_else(|text| {
            info.counters.everybody().offered(1);
            info.counters.everybody().count(Outcome::DroppedPanicked, 1);
            self.hooks.panicked(info, &text);
            true
        })
    }

    #[inline(never)]
    fn call(&self, sink: &Shared<E>, info: &Info, place: &mut Option<E>) -> bool {
        deliver_to(&**sink, place, info, info.counters.everybody(), &self.hooks) == Offer::Accepted
    }
}

/// Counts what enters a bus that is a sink of another one.
fn counted<E>(
    entry: &EntryCounters,
    event: E,
    publish: impl FnOnce(E) -> Result<Published, Closed<E>>,
) -> Result<(), WriteError<E>> {
    entry.offered(1);
    let Some(_nested) = Nesting::nested() else {
        entry.count(Outcome::RefusedReentrant, 1);
        return Err(WriteError::Reentrant(event));
    };
    match publish(event) {
        Ok(_) => {
            entry.count(Outcome::Delivered, 1);
            Ok(())
        }
        Err(Closed(event)) => {
            entry.count(Outcome::RefusedClosed, 1);
            Err(WriteError::Closed(event))
        }
    }
}

/// A bus is a sink: what is written to it is published on it. Put on itself by way of other buses, it refuses what has gone
/// round sixteen times ([`WriteError::Reentrant`]).
impl<E: Clone + Send + 'static> Sink<E> for Bus<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        counted(self.core().counters.everybody(), event, |event| self.publish(event))
    }

    fn close(&self, deadline: Deadline) -> CloseReport {
        self.core().close(deadline)
    }

    fn lane(&self) -> Result<Option<Lane<E>>, InvalidConfig> {
        // In a cycle of buses the one further up gives out no second lane.
        if Visit::begin(self.core().address(), Purpose::MakeLanes).is_none() {
            return Ok(None);
        }
        let publisher = Publisher::register(self.core(), None);
        let entry = self.core().counters.for_publisher();
        Ok(Some(Lane::staged(BusLane { publisher, entry })))
    }

    fn has_lanes(&self) -> bool {
        true
    }

    fn signal(&self, signal: &mut Signal<'_>) {
        match signal {
            Signal::Flush(deadline, report) => {
                report.absorb(self.core().flush(*deadline));
            }
            Signal::Describe(state) => {
                state.kind = "bus";
                state.lanes = lock(&self.core().control).publisher_count();
                if self.is_closed() {
                    state.status = SinkStatus::Closed;
                }
                self.core().counters.add_to(&mut state.ledger);
            }
            Signal::IsClosed(closed) => **closed |= self.is_closed(),
            other => {
                if let Some(_visit) = Visit::begin(self.core().address(), Purpose::Signal) {
                    self.core().sinks().iter().for_each(|(_, sink)| sink.signal(other));
                }
            }
        }
    }

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
    fn push(&mut self, event: E, patience: Patience) -> Result<(), WriteError<E>> {
        let publisher = &mut self.publisher;
        counted(&self.entry, event, |event| match patience {
            Patience::Wait => publisher.publish(event),
            Patience::Now => publisher.try_publish(event),
        })
    }
}
