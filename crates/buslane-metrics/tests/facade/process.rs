//! The thread of a reporter, which uses the recorder of the process: each test has a process.

use crate::{OFFERED, OPEN, parse, sink};
use buslane::{Bus, noop};
use buslane_metrics::observe;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::sync::mpsc;
use std::time::Duration;
use test_support::openmetrics::Page;
use test_support::process::in_child;
use test_support::{ends, wait_for};

/// Runs a test in a process of its own.
#[track_caller]
pub(crate) fn alone(module: &str, name: &str, test: impl FnOnce()) {
    match in_child(module, name) {
        None => test(),
        Some(output) => assert!(
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed"),
            "{output:?}"
        ),
    }
}

/// Installs the recorder of metrics-exporter-prometheus, and returns what reads its page.
fn install() -> impl Fn() -> Page {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    assert!(metrics::set_global_recorder(recorder).is_ok());
    move || parse(&handle.render())
}

#[test]
fn thread_publishes_at_each_interval() {
    alone(module_path!(), "thread_publishes_at_each_interval", || {
        let bus = Bus::new();
        bus.add_named("sink", noop()).unwrap();
        let running = observe("telemetry", &bus).every(Duration::ZERO).spawn().unwrap();
        assert_eq!(running.series(), 0, "no recorder is installed");
        // The recorder comes later than the reporter.
        let page = install();
        wait_for(|| sink(&page(), OPEN) == Some(1.0));
        wait_for(|| running.series() == bus.snapshot().measurements("telemetry").count());
        let _ = bus.publish(1).unwrap();
        wait_for(|| sink(&page(), OFFERED) == Some(1.0));
        assert!(!running.is_finished());
    });
}

#[test]
fn thread_ends_with_the_bus() {
    alone(module_path!(), "thread_ends_with_the_bus", || {
        let (page, bus) = (install(), Bus::<u32>::new());
        bus.add_named("sink", noop()).unwrap();
        let running = observe("telemetry", &bus).every(Duration::ZERO).spawn().unwrap();
        wait_for(|| sink(&page(), OPEN) == Some(1.0));
        drop(bus);
        wait_for(|| running.is_finished());
        assert_eq!(sink(&page(), OPEN), Some(0.0));
    });
}

#[test]
fn drop_publishes_once_more_and_does_not_wait() {
    alone(module_path!(), "drop_publishes_once_more_and_does_not_wait", || {
        let (page, bus) = (install(), Bus::new());
        bus.add_named("sink", noop()).unwrap();
        let running = observe("telemetry", &bus).every(Duration::MAX).spawn().unwrap();
        wait_for(|| sink(&page(), OFFERED) == Some(0.0));
        let _ = bus.publish(1).unwrap();
        ends(move || drop(running));
        assert_eq!(sink(&page(), OFFERED), Some(1.0));
    });
}

#[test]
fn thread_does_not_keep_the_bus_open() {
    let bus = Bus::<u32>::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let running = observe("telemetry", &bus).every(Duration::MAX).spawn().unwrap();
    let (sender, closed) = mpsc::channel();
    drop(bus);
    ends(move || sender.send(receiver.recv()).unwrap());
    assert!(closed.recv().unwrap().is_err());
    drop(running);
}
