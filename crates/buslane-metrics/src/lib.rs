//! The ledgers of a [buslane] event bus, exported through the [`metrics`] facade.
//!
//! [`observe`] makes a [`Reporter`], which takes a snapshot of the bus from time to time, and sets
//! counters and gauges of the recorder that the program has installed. It reads counters that exist
//! anyway: an export costs a publisher nothing.
//!
//! ```
//! use buslane::{Bus, Queue};
//! use std::time::Duration;
//!
//! let bus = Bus::new();
//! bus.add_named("log", Queue::builder().capacity(64).spawn(|n: u32| println!("{n}"))?)?;
//! // The recorder, such as that of metrics-exporter-prometheus, may be installed later, too.
//! let running = buslane_metrics::observe("telemetry", &bus).every(Duration::from_secs(5)).spawn()?;
//! bus.publish(7)?;
//! drop(running); // publishes once more, and ends the thread
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Names
//! The families, their labels, and the alerts to set are in [`buslane::docs::metrics`]. Counters
//! end in `_total`; an exporter that appends it does not repeat it. Only counters and gauges are
//! used: a histogram would grow in many recorders until it is scraped.
//!
//! # The recorder
//! Without a recorder nothing is exported, and [`Reporter::publish_now`] and [`Running::series`] return
//! 0. They do so, too, if the recorder was installed through another major version of `metrics`: the two versions are
//! then two crates, which know nothing of each other. This crate re-exports its version as
//! [`metrics`].
//!
//! # When sinks and buses go
//! The facade has no way to end a series. So the gauges of a sink that was removed, or of a bus that
//! is gone, are set to 0 once, and its counters keep their value. A sink that is added again under
//! the same name continues them, so that a counter never falls.
//!
//! # Public complaints
//! What users of metrics have reported, and the tests that show what this crate does about it. Numbers
//! are those of the tracker of metrics, where no other is named.
//!
//! | complaint | issue | test |
//! |---|---|---|
//! | histograms grow without a bound until they are scraped | 465, 467, aisix 850 | `only_counters_and_gauges_are_used` |
//! | a recorder of another version gets nothing, in silence | 440, 488, feldera 2044 | `recorder_of_another_version_is_told_by_no_series` |
//! | a macro of the facade costs 50 to 60 ns for each event | 271, shotover 466 | `publish_calls_no_recorder` |
//!
//! [buslane]: https://docs.rs/buslane

mod reporter;
mod running;
mod series;

pub use metrics;
pub use reporter::Reporter;
pub use running::Running;

use buslane::Bus;
use buslane::stats::metrics::Measurement;

/// Returns a reporter for a bus. `name` is the value of the label `bus`.
///
/// The reporter does not keep the bus open.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// let reporter = buslane_metrics::observe("telemetry", &bus).label("service", "shop");
/// assert_eq!(reporter.publish_now(), 0, "no recorder is installed");
/// ```
pub fn observe<E: Send + 'static>(name: &str, bus: &Bus<E>) -> Reporter {
    let (name, bus) = (name.to_owned(), bus.downgrade());
    observe_with(move |each| {
        let snapshot = bus.snapshot();
        if let Some(snapshot) = &snapshot {
            snapshot.measurements(&name).for_each(each);
        }
        snapshot.is_some()
    })
}

/// Returns a reporter for measurements of another kind, such as those of a monitor or a director.
///
/// `measure` calls its argument with each measurement. When it returns `false`, what it measures is
/// gone, and a thread that publishes it ends.
///
/// # Examples
/// ```
/// use buslane::director::Director;
/// let director = Director::<u32>::new()?;
/// let reporter = buslane_metrics::observe_with(move |each| {
///     let snapshot = director.snapshot();
///     snapshot.measurements("replicas").for_each(each);
///     !snapshot.is_closed
/// });
/// reporter.publish_now();
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub fn observe_with(
    measure: impl Fn(&mut dyn FnMut(Measurement<'_>)) -> bool + Send + Sync + 'static,
) -> Reporter {
    Reporter::new(Box::new(measure))
}
