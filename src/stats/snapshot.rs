//! The state of a bus and its sinks, read at about the same time.

use super::state::SinkState;
use std::fmt;
use std::panic::Location;

/// The id of one attachment of a sink to a bus.
///
/// An id is never reused, not even after the sink was removed.
///
/// # Examples
/// ```
/// use buslane::{Bus, noop};
/// let bus = Bus::<u32>::new();
/// let (one, other) = (bus.add(noop())?, bus.add(noop())?);
/// assert_ne!(one, other);
/// bus.remove(one)?;
/// assert_eq!(bus.snapshot().sinks[0].id, other);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct SinkId(pub(crate) u64);

impl fmt::Display for SinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The state of a bus and its sinks, read at about the same time.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// bus.add_named("nothing", buslane::noop())?;
/// let snapshot = bus.snapshot();
/// assert_eq!(snapshot.sink("nothing").map(|sink| sink.state.ledger.offered), Some(0));
/// println!("{snapshot}");
/// # Ok::<(), buslane::error::AddError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a snapshot only reads the counters of every sink"]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Snapshot {
    /// The sinks, in the order in which they were added.
    pub sinks: Vec<SinkSnapshot>,
    /// The number of publishers, without those that were dropped and whose lanes the bus keeps.
    pub publishers: usize,
    /// Whether the bus is closed.
    pub closed: bool,
}

/// The state of one sink on a bus.
///
/// # Examples
/// ```
/// use buslane::{Bus, Queue};
/// use buslane::stats::SinkKind;
/// let bus = Bus::new();
/// bus.add_named("audit", Queue::builder().capacity(64).spawn(|n: u32| println!("{n}"))?)?;
/// let snapshot = bus.snapshot();
/// let sink = snapshot.sink("audit").expect("it was added");
/// assert_eq!((sink.state.kind, sink.state.capacity), (SinkKind::Queue, 64));
/// println!("{sink}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SinkSnapshot {
    /// The id of the sink's attachment to the bus.
    pub id: SinkId,
    /// The name that the sink was given, or the source location where it was added.
    pub name: String,
    /// The source location where the sink was added.
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_text"))]
    pub location: &'static Location<'static>,
    /// The state that the sink reports; for a sink that reports none, the counts of the bus.
    pub state: SinkState,
}

impl Snapshot {
    /// Returns the first sink with this name.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel};
    /// let (channel, _receiver) = Channel::lossy(8)?;
    /// let bus = Bus::new();
    /// bus.add_named("audit", channel)?;
    /// bus.publish("event")?;
    /// let snapshot = bus.snapshot();
    /// assert_eq!(snapshot.sink("audit").map(|sink| sink.state.ledger.accepted), Some(1));
    /// assert!(snapshot.sink("metrics").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sink(&self, name: &str) -> Option<&SinkSnapshot> {
        self.sinks.iter().find(|sink| sink.name == name)
    }
}

#[cfg(feature = "serde")]
fn as_text<S: serde::Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.closed { "closed" } else { "open" };
        let (publishers, sinks) = (self.publishers, self.sinks.len());
        let [more_publishers, more_sinks] =
            [publishers, sinks].map(|count| if count == 1 { "" } else { "s" });
        write!(f, "bus {state}, {publishers} publisher{more_publishers}, {sinks} sink{more_sinks}")?;
        for sink in &self.sinks {
            write!(f, "\n{sink}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SinkSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &self.state;
        write!(f, "{} ({}, {}", self.name, state.kind, state.status)?;
        if state.capacity > 0 {
            write!(f, ", depth {} of {}, high water {}", state.depth, state.capacity, state.high_water)?;
        }
        if let Some(since) = state.backlog_for {
            write!(f, ", backlog for {since:.1?}")?;
        }
        if let Some(age) = state.oldest_for.filter(|age| !age.is_zero()) {
            write!(f, ", oldest event {age:.1?}")?;
        }
        if let Some(inside) = state.in_handler_for {
            write!(f, ", in the handler for {inside:.1?}")?;
        }
        if state.batches > 0 {
            let (batches, largest, time) = (state.batches, state.largest_batch, state.batch_time);
            write!(f, ", {batches} batches of at most {largest} in {time:.1?}")?;
        }
        write!(f, "): {}", state.ledger)?;
        if let Some(error) = &state.last_error {
            write!(f, "; last error: {error}")?;
        }
        for retry in &state.retries {
            write!(f, "\n  retry: {retry}")?;
        }
        for subscriber in &state.subscribers {
            write!(f, "\n  {subscriber}")?;
        }
        Ok(())
    }
}
