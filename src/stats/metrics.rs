//! The counters and states of a bus as measurements: named, labeled numbers from which every exporter
//! is made, and the text that Prometheus scrapes.
//!
//! Each family of measurements has one row in one table: its name for Prometheus, its name for
//! OpenTelemetry, its help, its type, its unit, and how it is read. [`docs::metrics`] explains them,
//! and which alerts to set.
//!
//! | item | what it is |
//! |---|---|
//! | [`Snapshot::measurements`](super::Snapshot::measurements), [`Snapshot::families`](super::Snapshot::families) | every number of a bus; the families that they belong to |
//! | [`Measurement`], [`Label`], [`LabelKey`], [`Value`] | one number, and what tells it from the others of its family |
//! | [`Family`], [`Kind`], [`Unit`] | the name, type and unit of a family |
//! | [`Exposition`], [`Format`] | the text of one page for a scraper, of one bus or of several |
//!
//! A snapshot reads the counters that exist anyway: measuring costs a publisher nothing.
//!
//! [`docs::metrics`]: crate::docs::metrics
//!
//! # Examples
//! ```
//! use buslane::{Bus, Channel};
//! use buslane::stats::metrics::Value;
//! let (channel, _receiver) = Channel::lossy(8)?;
//! let bus = Bus::new();
//! bus.add_named("feed", channel)?;
//! bus.publish(7)?;
//! let snapshot = bus.snapshot();
//! let accepted = snapshot
//!     .measurements("telemetry")
//!     .find(|it| it.family.name == "buslane_sink_accepted_events_total")
//!     .expect("every sink has one");
//! assert_eq!(accepted.value, Value::Integer(1));
//! let labels: Vec<_> = accepted.labels.iter().map(|label| (label.key.name(), label.value.as_ref())).collect();
//! assert_eq!(labels, [("bus", "telemetry"), ("sink", "feed")]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bus;
mod exposition;
mod family;
mod label;
mod measurement;
mod table;

pub use exposition::{Exposition, Format};
pub use family::{Family, Kind, Unit};
pub use label::{Label, LabelKey};
pub use measurement::{Measurement, Measurements, Value};

pub(crate) use label::labels_of;
pub(crate) use table::{Of, Read, Row, measure};
