//! The outcome of one publish.

use std::fmt;
use std::ops::AddAssign;

/// The outcome of a publish, counted in deliveries: one for each event and sink.
///
/// An event that was refused or dropped is gone, and `?` does not report it: check
/// [`is_complete`](Self::is_complete).
///
/// - To get back an event that every sink refused, publish it with
///   [`Bus::try_publish`](crate::Bus::try_publish),
///   [`Publisher::try_publish`](crate::Publisher::try_publish) or
///   [`Publisher::publish_by`](crate::Publisher::publish_by).
/// - To wait for room (backpressure), use sinks with [`Overflow::Block`](crate::Overflow::Block).
/// - The [`Ledger`](crate::stats::Ledger) of the sink counts the reasons.
///
/// The counts cover only what is known when the publish returns. The ledger of a sink counts the
/// events that the sink drops later: because a newer event evicts the oldest
/// ([`Overflow::DropOldest`](crate::Overflow::DropOldest)), because its handler fails, or because a
/// close is cut short.
///
/// | sink | accepted | dropped | refused |
/// |---|---|---|---|
/// | queue, channel | the event is in a ring | no room, under [`DropNewest`](crate::Overflow::DropNewest), the default | no room, under the other policies; closed |
/// | called directly | `write` returned `Ok` | it panicked | `write` returned an error |
/// | filter, sample, rate limit | it held the event back, or the inner sink accepted it | its function panicked | as the inner sink |
/// | retry | the inner sink accepted the event | the event went to the dead letters | the event was given up, without dead letters |
/// | tee, bus | one of its sinks accepted the event | none did, and one dropped it | all refused it |
/// | journal | the event is in the journal | | a gating subscriber blocks the position; closed |
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
#[must_use = "a dropped or refused event is lost: check `is_complete`"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Published {
    /// Deliveries that a sink accepted and did not drop at once. See the sink's ledger for what
    /// becomes of the event later.
    pub accepted: usize,
    // Both counts of losses fit in one word, so that the result of a publish is copied as one.
    /// Deliveries that a sink accepted and dropped at once, so that the event is lost. One publish
    /// counts at most 2^30 - 1.
    pub dropped: u32,
    /// Deliveries that a sink refused; its ledger counts the reasons. One publish counts at most
    /// 2^30 - 1.
    pub refused: u32,
}

impl Published {
    /// Returns `true` if every sink accepted every event and dropped none at once.
    ///
    /// It is also `true` if there was no sink.
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
}

/// Adds up the outcomes of several publishes.
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
