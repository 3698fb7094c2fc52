//! The collector: which buses are exported, and the snapshot of each at a scrape.

use crate::encode::encode;
use buslane::Bus;
use buslane::stats::metrics::Measurement;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Calls a function with each measurement. Returns `false` when what it measures is gone.
type Measure = dyn Fn(&mut dyn FnMut(Measurement<'_>)) -> bool + Send + Sync;

/// A collector of prometheus-client that exports the buses which were added to it.
///
/// Clones share the list of buses, so that a clone in a registry exports the buses that are added
/// later. It keeps no bus open.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane_prometheus::BusCollector;
/// use prometheus_client::{encoding::text::encode, registry::Registry};
/// let collector = BusCollector::new();
/// let mut registry = Registry::default();
/// registry.sub_registry_with_label(("service".into(), "shop".into())).register_collector(Box::new(collector.clone()));
///
/// let bus = Bus::<u32>::new();
/// collector.add("orders", &bus);
/// let mut page = String::new();
/// encode(&mut page, &registry)?;
/// assert!(page.contains("buslane_bus_open{service=\"shop\",bus=\"orders\"} 1\n"));
/// # Ok::<(), std::fmt::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct BusCollector {
    sources: Arc<Mutex<Vec<Arc<Measure>>>>,
}

impl BusCollector {
    /// Creates a collector without buses.
    ///
    /// # Examples
    /// ```
    /// use buslane_prometheus::BusCollector;
    /// let mut registry = prometheus_client::registry::Registry::default();
    /// registry.register_collector(Box::new(BusCollector::new()));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a bus. `name` is the value of the label `bus`; two buses need different names.
    ///
    /// # Examples
    /// ```
    /// let collector = buslane_prometheus::BusCollector::new();
    /// let bus = buslane::Bus::<u32>::new();
    /// collector.add("orders", &bus);
    /// ```
    pub fn add<E: Send + 'static>(&self, name: &str, bus: &Bus<E>) {
        let (name, bus) = (name.to_owned(), bus.downgrade());
        self.add_with(move |each| {
            let snapshot = bus.snapshot();
            if let Some(snapshot) = &snapshot {
                snapshot.measurements(&name).for_each(each);
            }
            snapshot.is_some()
        });
    }

    /// Adds measurements of another kind, such as those of a monitor or a director.
    ///
    /// At each scrape `measure` calls its argument with each measurement. When it returns `false`, it
    /// is not called again.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// use buslane_prometheus::BusCollector;
    /// let collector = BusCollector::new();
    /// let director = Director::<u32>::new()?;
    /// collector.add_with(move |each| {
    ///     let snapshot = director.snapshot();
    ///     snapshot.measurements("replicas").for_each(each);
    ///     !snapshot.is_closed
    /// });
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn add_with(
        &self,
        measure: impl Fn(&mut dyn FnMut(Measurement<'_>)) -> bool + Send + Sync + 'static,
    ) {
        self.sources().push(Arc::new(measure));
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Arc<Measure>>> {
        // A panic cannot leave the list in the middle of a change.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the measurements of everything that was added and still exists.
    fn measurements(&self) -> Vec<Measurement<'static>> {
        // A copy, because a sink may run user code when it is asked for its state.
        let sources = self.sources().clone();
        let mut measurements = Vec::new();
        for source in &sources {
            if !source(&mut |measurement| measurements.push(measurement.into_owned())) {
                self.sources().retain(|it| !Arc::ptr_eq(it, source));
            }
        }
        measurements
    }
}

impl Collector for BusCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encode(&self.measurements(), encoder)
    }
}

impl fmt::Debug for BusCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusCollector").field("sources", &self.sources().len()).finish()
    }
}
