//! A handle to the counts of what a layer or a logger did not publish.

use crate::losses::Counters;
use std::fmt;
use std::sync::Arc;

/// The numbers of events that a layer or a logger did not publish, for a check from time to time.
///
/// A layer vanishes in the subscriber, and a logger in its facade. This handle is taken before, from
/// [`LayerBuilder::unpublished`](crate::LayerBuilder::unpublished) or from `Logger::unpublished`, and
/// reads their counts at any time. What the bus and its sinks have lost is in the snapshot of the bus.
///
/// [`RecordWriter::report_unpublished`](crate::RecordWriter::report_unpublished) reports suppressed
/// events in the log itself.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane_tracing::Record;
/// use tracing_subscriber::prelude::*;
///
/// let bus: Bus<Record> = Bus::new();
/// let layer = buslane_tracing::layer(&bus);
/// let unpublished = layer.unpublished();
/// tracing_subscriber::registry().with(layer.build()).init();
/// assert_eq!((unpublished.suppressed(), unpublished.late()), (0, 0));
/// bus.close();
/// tracing::info!("too late");
/// assert_eq!(unpublished.late(), 1);
/// ```
#[derive(Clone)]
pub struct Unpublished(Arc<Counters>);

impl Unpublished {
    pub(crate) fn new(counters: &Arc<Counters>) -> Self {
        Self(counters.clone())
    }

    /// Returns the counters themselves.
    pub(crate) fn into_counters(self) -> Arc<Counters> {
        self.0
    }

    /// Returns how many events and steps of spans were suppressed, because their thread was making
    /// another one or is a worker of this crate.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.0.reentrant()
    }

    /// Returns how many events and steps of spans were lost because the bus was closed.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.0.late()
    }
}

impl fmt::Debug for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpublished")
            .field("suppressed", &self.suppressed())
            .field("late", &self.late())
            .finish()
    }
}
