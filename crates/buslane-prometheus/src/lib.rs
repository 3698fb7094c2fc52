//! The ledgers of a [buslane] event bus, as a collector of prometheus-client.
//!
//! [`register`] adds a bus to a [`Registry`]. Each scrape then
//! takes a snapshot of the bus: between two scrapes nothing runs, and no counter is kept twice. So an
//! export costs a publisher nothing.
//!
//! ```
//! use buslane::{Bus, Queue};
//! use prometheus_client::encoding::text::encode;
//! use prometheus_client::registry::Registry;
//! use std::time::Duration;
//!
//! let bus = Bus::new();
//! bus.add_named("log", Queue::builder().capacity(64).spawn(|n: u32| println!("{n}"))?)?;
//! let mut registry = Registry::default();
//! buslane_prometheus::register(&mut registry, "telemetry", &bus);
//!
//! bus.publish(7)?;
//! assert!(bus.flush_timeout(Duration::from_secs(5)).is_done());
//! let mut page = String::new();
//! encode(&mut page, &registry)?; // what a scrape sends
//! assert!(page.contains("buslane_sink_delivered_events_total{bus=\"telemetry\",sink=\"log\"} 1\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Names
//! The families, their labels, and the alerts to set are in [`buslane::docs::metrics`]. This crate
//! adds none of its own: a page has the series that
//! [`Snapshot::write_openmetrics`](buslane::stats::Snapshot::write_openmetrics) writes.
//!
//! # Several buses
//! Both text formats want all series of a family together. So register once, and
//! [add](BusCollector::add) further buses to the [`BusCollector`] that `register` returns, instead of
//! registering a second collector. Buses, monitors and directors may be added at any time.
//!
//! # Lifetime
//! A collector does not keep a bus open. The series of a bus end when its last handle is dropped, and
//! its name may be used again. A closed bus is exported as long as a handle to it exists.
//!
//! [buslane]: https://docs.rs/buslane

mod collector;
mod encode;

pub use collector::BusCollector;
pub use prometheus_client;

use buslane::Bus;
use prometheus_client::registry::Registry;

/// Registers a bus: each encoding of the registry takes a snapshot of it.
///
/// `name` is the value of the label `bus`. The collector that is returned accepts further buses; it
/// may be dropped.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use prometheus_client::registry::Registry;
/// let (orders, audit) = (Bus::<u32>::new(), Bus::<String>::new());
/// let mut registry = Registry::default();
/// let collector = buslane_prometheus::register(&mut registry, "orders", &orders);
/// collector.add("audit", &audit);
/// ```
pub fn register<E: Send + 'static>(registry: &mut Registry, name: &str, bus: &Bus<E>) -> BusCollector {
    let collector = BusCollector::new();
    collector.add(name, bus);
    registry.register_collector(Box::new(collector.clone()));
    collector
}
