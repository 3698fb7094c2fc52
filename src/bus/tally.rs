//! What became of one publish, as the publish path counts it: an [`Offer`] for each sink, and a
//! [`Tally`] of all of them, of which the result of the publish is made.

use crate::error::{Closed, WriteError};
use crate::stats::{Disposition, DropReason, Published};
use crate::sync::cold_path;
use crate::wait::context::{discard, event_of};

/// What became of an event that was offered to one sink from a place in memory: if it was refused,
/// it is still there.
///
/// Events go by places because each copy of what was just written in smaller pieces waits for those
/// stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Accepted,
    /// Accepted, and lost already.
    Dropped(DropReason),
    Full,
    Timeout,
    Reentrant,
    Failed,
    /// Refused, and so will be every later one.
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

    /// Puts the event of a failed attempt back.
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

    /// Whether the sink accepts no further events.
    #[inline]
    pub(super) fn is_closed(self) -> bool {
        // The first comparison costs nothing where the offer was counted.
        self != Self::Accepted && self == Self::Closed
    }

    /// The refusal by all sinks of a bus, with the event. A sink that is closed does not close its
    /// bus.
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

/// What became of one event at all sinks, as the publish path counts it: two words, which stay in
/// registers.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    accepted: usize,
    lost: Lost,
}

/// Deliveries that were not accepted, or dropped at once: how many were refused, how many dropped,
/// and the number of the first of them in [`OFFERS`], drops before refusals.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lost(u64);

const DROPPED: u32 = 30;
const FIRST: u32 = 60;
/// The most drops or refusals that a tally counts: further ones change nothing.
const COUNT: u64 = (1 << DROPPED) - 1;

/// What a loss may be. The word of no loss is 0.
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

impl Tally {
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

    /// The number of accepted events that were lost at gates, whose functions panicked.
    #[inline]
    pub(super) fn gates_lost(&mut self, lost: usize) {
        if lost > 0 {
            self.accepted -= lost;
            self.lost.add(Offer::Dropped(DropReason::Panicked), lost as u64);
        }
    }

    /// The number of deliveries that turned out not to be accepted: the sinks are closed.
    #[inline]
    pub(super) fn take_back(&mut self, refused: usize) {
        if refused > 0 {
            self.accepted -= refused;
            self.lost.add(Offer::Closed, refused as u64);
        }
    }

    /// Whether no sink has the event, and one refused it.
    #[inline]
    pub(super) fn is_untaken(self) -> bool {
        self.accepted == 0 && self.lost.0 > 0 && self.lost.dropped() == 0
    }

    /// The answer of a bus as the sink of another one: it delivered the event if one of its sinks
    /// accepted it, or there was none.
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
            // No sink has it, and none gave it back.
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

    /// The result of a publish that gives the event back only on a closed bus.
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

    /// The result of a publish that gives the event back where every sink refused it.
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
