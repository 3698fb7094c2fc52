//! The outcome of one publish.

use std::fmt;
use std::ops::AddAssign;

/// What became of a publish, counted in deliveries: one for each event and sink.
///
/// What was refused or dropped is gone, and `?` does not report it: check
/// [`is_complete`](Self::is_complete). To get an event back that every sink refused, publish it
/// with [`Publisher::try_publish`](crate::Publisher::try_publish) or
/// [`Publisher::publish_by`](crate::Publisher::publish_by); to wait for room, take sinks with
/// [`Overflow::Block`](crate::Overflow::Block). The [`Ledger`](crate::stats::Ledger) of the sink
/// counts the reasons.
///
/// Only what is known when the publish returns is in here. What a sink drops later, because a newer
/// event evicts the oldest ([`Overflow::DropOldest`](crate::Overflow::DropOldest)), its handler
/// fails or a close is cut short, is in its ledger.
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
    /// Deliveries that a sink accepted and did not drop at once. What it then does with the event,
    /// its ledger tells.
    pub accepted: usize,
    // Both counts of losses take one word, so that the result of a publish is copied as one.
    /// Deliveries that a sink accepted and dropped at once: the event is lost. One publish counts
    /// at most 2^30 - 1.
    pub dropped: u32,
    /// Deliveries that a sink refused; the reasons are in its ledger. One publish counts at most
    /// 2^30 - 1.
    pub refused: u32,
}

impl Published {
    /// Whether every sink accepted every event and dropped none at once. Also when there was no
    /// sink.
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
