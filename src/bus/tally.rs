//! The counted outcome of one publish: an [`Offer`] for each sink, and a [`PublishTally`] of all
//! offers, from which the result of the publish is made.

use crate::error::{Closed, WriteError};
use crate::stats::{Disposition, DropReason, Published};
use crate::sync::cold_path;
use crate::wait::context::{discard, event_of};

/// The outcome of offering an event in `place` to one sink. A refused event is still in `place`.
///
/// Events stay in `place` because each copy of memory that was just written in smaller pieces waits
/// for those stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Accepted,
    /// Accepted, and dropped at once.
    Dropped(DropReason),
    Full,
    Timeout,
    Reentrant,
    Failed,
    /// Refused, as every later event will be.
    Closed,
}

impl Offer {
    #[inline]
    pub(super) fn taken(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Dropped(reason) => Self::Dropped(reason),
            Disposition::Partly(parts) => Self::taken(parts.rest()),
            Disposition::Delivered | Disposition::Pending | Disposition::Filtered => Self::Accepted,
        }
    }

    /// Converts the outcome of an attempt, and puts a refused event back into `place`.
    #[inline]
    pub(super) fn of<E>(outcome: Result<Disposition, WriteError<E>>, place: &mut Option<E>) -> Self {
        match outcome {
            Ok(disposition) => Self::taken(disposition),
            Err(error) => Self::refused(error, place),
        }
    }

    #[cold]
    fn refused<E>(error: WriteError<E>, place: &mut Option<E>) -> Self {
        let offer = match &error {
            WriteError::Full(_) => Self::Full,
            WriteError::Closed(_) => Self::Closed,
            WriteError::Timeout(_) => Self::Timeout,
            WriteError::Reentrant(_) => Self::Reentrant,
            WriteError::Failed { .. } => Self::Failed,
        };
        *place = Some(event_of(error));
        offer
    }

    /// Returns whether the sink accepts no further events.
    #[inline]
    pub(super) fn is_closed(self) -> bool {
        // The first comparison costs nothing where the offer was counted before.
        self != Self::Accepted && self == Self::Closed
    }

    /// Returns the error of a bus whose sinks all refused the event. A closed sink does not close
    /// its bus.
    #[cold]
    fn refusal<E>(self, event: E, is_closed: bool) -> WriteError<E> {
        match self {
            Self::Full => WriteError::Full(event),
            Self::Timeout => WriteError::Timeout(event),
            Self::Reentrant => WriteError::Reentrant(event),
            Self::Closed if is_closed => WriteError::Closed(event),
            _ => WriteError::Failed { event, source: UNTAKEN.into() },
        }
    }
}

const UNTAKEN: &str = "no sink of the bus accepted the event";

/// The counted outcome of one event at all sinks, in two words that stay in registers.
#[derive(Clone, Copy)]
pub(super) struct PublishTally {
    accepted: usize,
    lost: Lost,
}

/// Deliveries that were refused or dropped at once, in one word: the number of refusals, the number
/// of drops, and the index in [`OFFERS`] of the first of them. Drops take precedence over refusals
/// as the first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lost(u64);

const DROPPED: u32 = 30;
const FIRST: u32 = 60;
/// The maximum number of drops or refusals that a tally counts. Further ones change nothing.
const COUNT: u64 = (1 << DROPPED) - 1;

/// The possible outcomes of a lost delivery. A word without a loss is 0.
const OFFERS: [Offer; 12] = [
    Offer::Accepted,
    Offer::Full,
    Offer::Closed,
    Offer::Timeout,
    Offer::Reentrant,
    Offer::Failed,
    Offer::Dropped(DropReason::Full),
    Offer::Dropped(DropReason::Evicted),
    Offer::Dropped(DropReason::ReceiverDropped),
    Offer::Dropped(DropReason::Aborted),
    Offer::Dropped(DropReason::Failed),
    Offer::Dropped(DropReason::Panicked),
];

impl Lost {
    #[cold]
    fn add(&mut self, offer: Offer, deliveries: u64) {
        let is_drop = matches!(offer, Offer::Dropped(_));
        if self.0 == 0 || (is_drop && self.dropped() == 0) {
            let number = OFFERS.iter().position(|known| *known == offer).unwrap_or(0) as u64;
            self.0 = (self.0 & !(u64::MAX << FIRST)) | (number << FIRST);
        }
        let (counted, shift) = if is_drop { (self.dropped(), DROPPED) } else { (self.refused(), 0) };
        self.0 += deliveries.min(COUNT - u64::from(counted)) << shift;
    }

    fn refused(self) -> u32 {
        (self.0 & COUNT) as u32
    }

    fn dropped(self) -> u32 {
        (self.0 >> DROPPED & COUNT) as u32
    }

    fn first(self) -> Offer {
        OFFERS[(self.0 >> FIRST) as usize % OFFERS.len()]
    }
}

impl PublishTally {
    #[inline(always)]
    pub(super) fn accepted(accepted: usize) -> Self {
        Self { accepted, lost: Lost(0) }
    }

    /// Counts one delivery.
    #[inline]
    pub(super) fn count(&mut self, offer: Offer) {
        if offer == Offer::Accepted {
            self.accepted += 1;
        } else {
            self.lost.add(offer, 1);
        }
    }

    /// Counts accepted events as dropped, because their filters panicked.
    #[inline]
    pub(super) fn filters_panicked(&mut self, lost: usize) {
        if lost > 0 {
            self.accepted -= lost;
            self.lost.add(Offer::Dropped(DropReason::Panicked), lost as u64);
        }
    }

    /// Counts accepted deliveries as refused, because their sinks turned out to be closed.
    #[inline]
    pub(super) fn take_back(&mut self, refused: usize) {
        if refused > 0 {
            self.accepted -= refused;
            self.lost.add(Offer::Closed, refused as u64);
        }
    }

    /// Returns whether no sink has the event, and at least one sink refused it.
    #[inline]
    pub(super) fn is_untaken(self) -> bool {
        self.accepted == 0 && self.lost.0 > 0 && self.lost.dropped() == 0
    }

    /// Returns whether no sink has the event or has dropped it.
    pub(super) fn is_nowhere(self) -> bool {
        self.accepted == 0 && self.lost.dropped() == 0
    }

    /// Returns the outcome of a bus as a sink. The bus delivered the event if one of its sinks
    /// accepted it, or it has no sinks.
    pub(super) fn answer<E>(
        self,
        event: Option<E>,
        is_closed: impl FnOnce() -> bool,
    ) -> Result<Disposition, WriteError<E>> {
        if self.accepted > 0 || self.lost.0 == 0 {
            return Ok(Disposition::Delivered);
        }
        match (self.lost.first(), event) {
            (Offer::Dropped(reason), _) => Ok(Disposition::Dropped(reason)),
            (refusal, Some(event)) => Err(refusal.refusal(event, is_closed())),
            // No sink has the event, and none returned it.
            (_, None) => Ok(Disposition::Dropped(DropReason::Failed)),
        }
    }

    #[inline(always)]
    pub(super) fn published(self) -> Published {
        if self.lost.0 == 0 {
            return Published { accepted: self.accepted, dropped: 0, refused: 0 };
        }
        cold_path();
        Published { accepted: self.accepted, dropped: self.lost.dropped(), refused: self.lost.refused() }
    }

    /// Makes the result of a publish that returns the event only on a closed bus.
    #[inline(always)]
    pub(super) fn or_closed<E>(
        self,
        event: Option<E>,
        is_closed: impl FnOnce() -> bool,
    ) -> Result<Published, Closed<E>> {
        match event {
            Some(event) if self.is_untaken() && is_closed() => Err(Closed(event)),
            untaken => {
                if untaken.is_some() {
                    discard(untaken);
                }
                Ok(self.published())
            }
        }
    }

    /// Makes the result of a publish that returns the event if every sink refused it.
    #[inline(always)]
    pub(super) fn or_refused<E>(
        self,
        event: Option<E>,
        is_closed: impl FnOnce() -> bool,
    ) -> Result<Published, WriteError<E>> {
        match event {
            Some(event) if self.is_untaken() => Err(self.lost.first().refusal(event, is_closed())),
            untaken => {
                if untaken.is_some() {
                    discard(untaken);
                }
                Ok(self.published())
            }
        }
    }
}
