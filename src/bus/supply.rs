//! The fan-out of one event: clones for all sinks but the last, which gets the event itself.
//!
//! A publish through a publisher's table uses [`Supply`]. Three loops do not, because it would cost
//! them instructions:
//!
//! - The plain push ([`FastLanes::push`](super::lanes::FastLanes::push)) keeps the event in
//!   registers.
//! - A publish into lanes with filters clones the event only for the filters that let it pass.
//! - A publish through the list keeps its counters in registers.

use super::tally::Offer;
use crate::wait::context::{cloned, discard};

/// The event of a publish, and the number of sinks that are still to get it. All sinks but the last
/// get a clone.
pub(super) struct Supply<'a, E> {
    place: &'a mut Option<E>,
    left: usize,
}

impl<'a, E> Supply<'a, E> {
    /// Makes a supply of the event in `place` for `sinks` sinks.
    #[inline(always)]
    pub(super) fn new(place: &'a mut Option<E>, sinks: usize) -> Self {
        Self { place, left: sinks }
    }

    /// Returns the event, until the last sink has it.
    #[inline(always)]
    pub(super) fn event(&self) -> Option<&E> {
        self.place.as_ref()
    }

    /// Skips the next sink, which does not get the event.
    #[inline(always)]
    pub(super) fn skip(&mut self) {
        self.left -= 1;
    }

    /// Takes the event back from a sink.
    #[cold]
    pub(super) fn give_back(&mut self, event: E) {
        if self.place.is_some() {
            discard(event);
        } else {
            *self.place = Some(event);
        }
    }
}

impl<E: Clone> Supply<'_, E> {
    /// Offers the event, or a clone, to the next sink.
    #[inline(always)]
    pub(super) fn offer(&mut self, to: impl FnOnce(&mut Option<E>) -> Offer) -> Offer {
        debug_assert!(self.place.is_some(), "the event is present until the last sink has it");
        self.skip();
        if self.left == 0 {
            return to(self.place);
        }
        let mut copy = cloned(&*self.place);
        let offer = to(&mut copy);
        if copy.is_some() {
            discard(copy);
        }
        offer
    }
}

/// Offers a clone of one event of a batch, and drops the clone if the sink refuses it.
pub(super) fn offer_copy<E: Clone>(event: &E, to: impl FnOnce(&mut Option<E>) -> Offer) -> Offer {
    let mut copy = Some(cloned(event));
    let offer = to(&mut copy);
    discard(copy);
    offer
}
