//! The call of a sink on the list, for an event whose shared lane has no room, and for a sink without
//! one.

use super::core::Core;
use super::delivery::deliver_to;
use super::entry::SinkEntry;
use super::info::{Info, SinkRef};
use super::tally::Offer;
use crate::stats::{DropReason, EntryOutcome};
use crate::wait::context::{WaitedFor, caught, discard};

impl<E: Send + 'static> Core<E> {
    /// Delivers a clone by a call of the sink, and drops it if the sink refuses it.
    #[inline(never)]
    pub(super) fn deliver_clone_to_sink(&self, entry: &SinkEntry<E>, event: E) -> Offer {
        let mut place = Some(event);
        let offer = self.deliver_to_sink(entry, &mut place);
        if place.is_some() {
            discard(place);
        }
        offer
    }

    /// Delivers the event by a call of the sink.
    #[inline(never)]
    pub(super) fn deliver_to_sink(&self, entry: &SinkEntry<E>, place: &mut Option<E>) -> Offer {
        // A removal waits for this call, so nothing inside it waits for a removal.
        let _held = WaitedFor::begin();
        let SinkEntry { info, listed, .. } = entry;
        let _call = (!info.has_lanes).then(|| info.begin_call());
        if !listed.guarded().is_attached() {
            // The sink was removed, or the bus was closed, during this publish. A sink with lanes
            // keeps its own ledger.
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

    /// Writes to a sink with lanes, which keeps its own ledger. A filter or a map upstream of it is
    /// user code, which may panic.
    #[inline]
    fn write(&self, sink: &SinkRef<E>, info: &Info, place: &mut Option<E>) -> Offer {
        let written = caught(|| {
            let Some(event) = place.take() else { return Offer::Accepted };
            let offer = Offer::of(sink.offer(event), place);
            if offer == Offer::Closed {
                info.mark_closed();
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
