//! What a publisher is told.

use super::delivery::Offer;
use crate::stats::DropReason;
use crate::sync::cold_path;
use std::fmt;
use std::ops::AddAssign;

/// What became of a publish, counted in deliveries: one for each event and sink.
///
/// What was refused or dropped is gone: no sink of these deliveries has the event, and a publisher that must not lose any looks
/// at [`is_complete`](Self::is_complete), or takes sinks that wait for room ([`Overflow::Block`](crate::Overflow::Block)). Why, is
/// counted in the [`Ledger`](crate::stats::Ledger) of the sink.
///
/// Only what is known when the publish returns is in here. What a sink drops later, because a newer event evicts the oldest
/// ([`Overflow::DropOldest`](crate::Overflow::DropOldest)), its handler fails or a close is cut short, is in its ledger.
///
/// | sink | accepted | dropped | refused |
/// |---|---|---|---|
/// | queue, channel | the event is in a ring | no room, under [`DropNewest`](crate::Overflow::DropNewest), the default | no room, under the other policies; closed |
/// | called directly | `write` returned `Ok` | it panicked | `write` returned an error |
/// | filter, sample, rate limit | it kept the event away, or the inner sink accepted it | its function panicked | as the inner sink |
/// | retry | the inner sink accepted the event | it went to the dead letters | given up, without dead letters |
/// | tee, bus | one of its sinks accepted the event | none did, and one dropped it | all refused it |
/// | journal | the event is in the journal | | a gating subscriber is in the way; closed |
///
/// # Examples
/// ```
/// use buslane::{Bus, Channel, Overflow, noop};
/// let bus = Bus::new();
/// let (newest, _receiver) = Channel::lossy(1)?; // full, it drops the newest event
/// let (refuses, _receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build()?;
/// bus.add(newest)?;
/// bus.add(refuses)?;
/// bus.add(noop())?;
/// let mut publisher = bus.publisher();
/// assert!(publisher.publish(1)?.is_complete());
/// let published = publisher.publish(2)?;
/// assert_eq!((published.accepted, published.dropped, published.refused), (1, 1, 1));
/// assert_eq!(published.to_string(), "accepted 1, dropped 1, refused 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "what was dropped or refused is lost: see `is_complete`"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Deliveries that a sink accepted and did not drop at once. What it then does with the event, its ledger tells.
    pub accepted: usize,
    // Both counts of losses take one word, so that the result of a publish is copied as one.
    /// Deliveries that a sink accepted and dropped at once: the event is lost. At most [`u32::MAX`].
    pub dropped: u32,
    /// Deliveries that a sink refused; the reasons are in its ledger. At most [`u32::MAX`].
    pub refused: u32,
}

impl Published {
    #[inline(always)]
    pub(super) fn accepted(accepted: usize) -> Self {
        Self { accepted, dropped: 0, refused: 0 }
    }

    /// Whether every sink accepted every event and dropped none at once. Also when there was no sink.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let _receiver = bus.subscribe_lossy(1)?;
    /// assert!(bus.publish("kept")?.is_complete());
    /// assert!(!bus.publish("dropped: no room")?.is_complete());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.dropped == 0 && self.refused == 0
    }

    /// Whether no sink has any of the events.
    pub(super) fn is_untaken(&self) -> bool {
        self.accepted == 0 && self.dropped == 0
    }

    /// Counts one delivery; whether the sink is gone.
    #[inline]
    pub(super) fn count(&mut self, offer: Offer) -> bool {
        match offer {
            Offer::Accepted => self.accepted += 1,
            Offer::Dropped(_) => self.dropped = self.dropped.saturating_add(1),
            _ => self.refused = self.refused.saturating_add(1),
        }
        offer == Offer::Closed
    }

    /// So many of those that were accepted were lost at gates, whose functions panicked.
    pub(super) fn gates_lost(&mut self, lost: usize) {
        self.accepted -= lost;
        self.dropped = self.dropped.saturating_add(narrow(lost));
    }

    /// So many deliveries turned out not to be accepted: the sinks are closed.
    pub(super) fn take_back(&mut self, refused: usize) {
        self.accepted -= refused;
        self.refused = self.refused.saturating_add(narrow(refused));
    }
}

fn narrow(deliveries: usize) -> u32 {
    u32::try_from(deliveries).unwrap_or(u32::MAX)
}

/// Several publishes together.
impl AddAssign for Published {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.refused = self.refused.saturating_add(other.refused);
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accepted {}, dropped {}, refused {}", self.accepted, self.dropped, self.refused)
    }
}

/// What became of one event at all sinks, as the publish path counts it: two words, which stay in registers.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    accepted: usize,
    lost: Lost,
}

/// Deliveries that were not accepted, or dropped at once: how many were refused, how many dropped, and the number of the first of
/// them in [`OFFERS`], drops before refusals. A bus has fewer sinks than the parts of the word can count.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lost(u64);

const DROPPED: u32 = 28;
const FIRST: u32 = 56;
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
        self.0 += if is_drop { deliveries << DROPPED } else { deliveries };
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

    /// So many of those that were accepted were lost at gates, whose functions panicked.
    #[inline]
    pub(super) fn gates_lost(&mut self, lost: usize) {
        if lost > 0 {
            self.accepted -= lost;
            self.lost.add(Offer::Dropped(DropReason::Panicked), lost as u64);
        }
    }

    /// So many deliveries turned out not to be accepted: the sinks are closed.
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

    /// What became of the event at all sinks together: [`Offer::Accepted`] if one of them took it, or there was none.
    pub(super) fn of_all(self) -> Offer {
        if self.accepted > 0 { Offer::Accepted } else { self.lost.first() }
    }

    #[inline(always)]
    pub(super) fn published(self) -> Published {
        if self.lost.0 == 0 {
            return Published::accepted(self.accepted);
        }
        cold_path();
        Published { accepted: self.accepted, dropped: self.lost.dropped(), refused: self.lost.refused() }
    }
}
