//! An application whose facade is another version than that of this crate.

use crate::process::alone;
use buslane::{Bus, noop};
use buslane_metrics::observe;
use metrics_0_23::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, set_global_recorder,
};
use std::time::Duration;

/// The application's recorder, which nothing reaches.
struct Unreached;

fn reached() -> ! {
    panic!("a recorder of another version was called");
}

impl Recorder for Unreached {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        reached()
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        reached()
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        reached()
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        reached()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        reached()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        reached()
    }
}

#[test]
fn recorder_of_another_version_is_told_by_no_series() {
    alone(module_path!(), "recorder_of_another_version_is_told_by_no_series", || {
        assert!(set_global_recorder(Unreached).is_ok());
        let bus = Bus::new();
        bus.add_named("sink", noop()).unwrap();
        let _ = bus.publish(1).unwrap();
        let reporter = observe("telemetry", &bus);
        assert_eq!(reporter.publish_now(), 0);
        let running = reporter.every(Duration::ZERO).spawn().unwrap();
        assert_eq!(running.series(), 0);
        drop(running);
    });
}
