//! The numbers of a bus in a recorder: their names, their growth, and what remains of sinks and buses
//! that are gone.

mod process;
mod version;

use buslane::stats::metrics::Format;
use buslane::testing::Gate;
use buslane::{Bus, Queue, noop};
use buslane_metrics::{Reporter, observe, observe_with};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use test_support::openmetrics::Page;
use test_support::{GUARD, Log, ends};

const OFFERED: &str = "buslane_sink_offered_events_total";
const OPEN: &str = "buslane_sink_open";

/// The recorder of metrics-exporter-prometheus, and what it exports.
struct Exporter(PrometheusRecorder);

impl Exporter {
    fn new() -> Self {
        Self(PrometheusBuilder::new().build_recorder())
    }

    /// Publishes to this recorder, and returns the page that a scrape gets.
    #[track_caller]
    fn publish(&self, reporter: &Reporter) -> Page {
        self.publish_some(reporter).1
    }

    /// Also returns the number of series.
    #[track_caller]
    fn publish_some(&self, reporter: &Reporter) -> (usize, Page) {
        let series = metrics::with_local_recorder(&self.0, || reporter.publish_now());
        (series, parse(&self.0.handle().render()))
    }
}

/// Reads a page of metrics-exporter-prometheus, which has empty lines between families.
#[track_caller]
fn parse(text: &str) -> Page {
    let lines = text.lines().filter(|line| !line.is_empty());
    Page::parse(&lines.flat_map(|line| [line, "\n"]).collect::<String>(), Format::Prometheus)
}

fn sink(page: &Page, family: &str) -> Option<f64> {
    page.value(family, &[("bus", "telemetry"), ("sink", "sink")])
}

#[test]
fn series_equal_the_measurements_of_a_bus() {
    let bus = Bus::new();
    bus.add_named("sink", Queue::builder().spawn(|_: u32| ()).unwrap()).unwrap();
    bus.add_named("a \"sink\"", noop()).unwrap();
    for number in 0..3 {
        let _ = bus.publish(number).unwrap();
    }
    assert!(bus.flush_timeout(GUARD).is_done());
    let (series, page) = Exporter::new().publish_some(&observe("telemetry", &bus));
    let snapshot = bus.snapshot();
    for measurement in snapshot.measurements("telemetry") {
        let labels: Vec<_> =
            measurement.labels.iter().map(|label| (label.key.name(), label.value.as_ref())).collect();
        let value = page.value(measurement.family.name, &labels);
        assert_eq!(value, Some(measurement.value.as_f64()), "{} {labels:?}", measurement.family.name);
    }
    assert_eq!((series, page.series.len()), (page.series.len(), snapshot.measurements("telemetry").len()));
}

#[test]
fn names_are_the_same_with_recommended_naming() {
    let bus = Bus::<u32>::new();
    bus.add_named("sink", noop()).unwrap();
    let pages = [false, true].map(|recommended| {
        let recorder = PrometheusBuilder::new().with_recommended_naming(recommended).build_recorder();
        Exporter(recorder).publish(&observe("telemetry", &bus))
    });
    assert_eq!(pages[0].series, pages[1].series, "`_total` and the unit are in each name once");
    assert!(pages[0].families.iter().all(|family| !family.name.contains("_total_total")));
}

#[test]
fn help_and_types_are_described() {
    let bus = Bus::<u32>::new();
    bus.add_named("sink", noop()).unwrap();
    let page = Exporter::new().publish(&observe("telemetry", &bus));
    let described: Vec<_> = page.families.iter().map(|it| (it.name.as_str(), it.help.as_str())).collect();
    let snapshot = bus.snapshot();
    let mut families: Vec<_> =
        snapshot.measurements("telemetry").map(|it| (it.family.name, it.family.help)).collect();
    families.dedup();
    assert_eq!(described.len(), families.len());
    assert!(families.iter().all(|family| described.contains(family)), "{described:?}");
}

#[test]
fn only_counters_and_gauges_are_used() {
    let (recorder, bus) = (DebuggingRecorder::new(), Bus::new());
    bus.add_named("sink", noop()).unwrap();
    let _ = bus.publish(1).unwrap();
    let reporter = observe("telemetry", &bus).label("service", "shop").label("bus", "mine");
    assert!(metrics::with_local_recorder(&recorder, || reporter.publish_now()) > 0);
    for (key, unit, help, value) in recorder.snapshotter().snapshot().into_vec() {
        let (kind, key) = key.into_parts();
        assert_eq!(key.name().ends_with("_total"), kind == MetricKind::Counter, "{key}");
        assert!(!matches!(value, DebugValue::Histogram(_)) && help.is_some(), "{key}");
        assert_eq!(unit == Some(metrics::Unit::Seconds), key.name().ends_with("_seconds"), "{key}");
        let labels: Vec<_> = key.labels().map(|label| (label.key(), label.value())).collect();
        assert!(labels.contains(&("service", "shop")) && labels.contains(&("bus", "telemetry")), "{key}");
        assert!(!labels.contains(&("bus", "mine")), "{key}");
    }
}

/// A recorder that counts its calls.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Counted {
    fn call(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        self.call();
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        self.call();
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        self.call();
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.call();
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        self.call();
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        self.call();
        Histogram::noop()
    }
}

#[test]
fn publish_calls_no_recorder() {
    let (recorder, bus) = (Counted::default(), Bus::new());
    bus.add_named("sink", noop()).unwrap();
    let reporter = observe("telemetry", &bus);
    metrics::with_local_recorder(&recorder, || {
        let mut publisher = bus.publisher();
        for number in 0..1000 {
            assert!(publisher.publish(number).unwrap().is_complete());
            assert!(bus.publish(number).unwrap().is_complete());
        }
        assert_eq!(recorder.0.load(Ordering::Relaxed), 0);
        let series = reporter.publish_now();
        assert!(series > 0 && recorder.0.load(Ordering::Relaxed) >= series);
    });
}

#[test]
fn recorder_that_comes_later_gets_every_series() {
    let bus = Bus::new();
    bus.add_named("sink", noop()).unwrap();
    let _ = bus.publish(1).unwrap();
    let reporter = observe("telemetry", &bus);
    assert_eq!([reporter.publish_now(), reporter.publish_now()], [0, 0], "no recorder is installed");
    let first = Exporter::new();
    assert_eq!(sink(&first.publish(&reporter), OFFERED), Some(1.0));
    let _ = bus.publish(2).unwrap();
    let second = Exporter::new();
    assert_eq!(sink(&second.publish(&reporter), OFFERED), Some(2.0));
    assert_eq!(sink(&first.publish(&reporter), OFFERED), Some(2.0));
}

#[test]
fn recorder_at_the_place_of_another_gets_every_series() {
    let bus = Bus::new();
    bus.add_named("sink", noop()).unwrap();
    let _ = bus.publish(1).unwrap();
    let reporter = observe("telemetry", &bus);
    let mut exporter = Box::new(Exporter::new());
    for _ in 0..3 {
        let page = exporter.publish(&reporter);
        assert_eq!((sink(&page, OFFERED), sink(&page, OPEN)), (Some(1.0), Some(1.0)));
        assert!(page.families.iter().all(|family| !family.help.is_empty()));
        *exporter = Exporter::new();
    }
}

#[test]
fn measure_may_publish_by_its_own_reporter() {
    let this = Arc::new(OnceLock::<Weak<Reporter>>::new());
    let (measured, calls) = (this.clone(), AtomicUsize::new(0));
    let bus = Bus::<u32>::new();
    let reporter = Arc::new(observe_with(move |each| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            measured.get().and_then(Weak::upgrade).unwrap().publish_now();
        }
        bus.snapshot().measurements("telemetry").for_each(each);
        true
    }));
    this.set(Arc::downgrade(&reporter)).unwrap();
    let page = ends(move || Exporter::new().publish(&reporter));
    assert_eq!(page.value("buslane_bus_open", &[("bus", "telemetry")]), Some(1.0));
}

#[test]
fn removed_sink_leaves_zeros_and_its_counters() {
    let (exporter, bus) = (Exporter::new(), Bus::new());
    let reporter = observe("telemetry", &bus);
    let id = bus.add_named("sink", noop()).unwrap();
    let _ = bus.publish(1).unwrap();
    let page = exporter.publish(&reporter);
    assert_eq!((sink(&page, OPEN), sink(&page, OFFERED)), (Some(1.0), Some(1.0)));
    bus.remove(id).unwrap();
    let page = exporter.publish(&reporter);
    assert_eq!((sink(&page, OPEN), sink(&page, OFFERED)), (Some(0.0), Some(1.0)));
}

#[test]
fn sink_that_is_added_again_continues_its_counters() {
    let (exporter, bus) = (Exporter::new(), Bus::new());
    let reporter = observe("telemetry", &bus);
    let mut published = 0;
    for events in [5, 3, 7] {
        let id = bus.add_named("sink", noop()).unwrap();
        for number in 0..events {
            let _ = bus.publish(number).unwrap();
            published += 1;
            let page = exporter.publish(&reporter);
            assert_eq!((sink(&page, OPEN), sink(&page, OFFERED)), (Some(1.0), Some(f64::from(published))));
        }
        bus.remove(id).unwrap();
        if events != 3 {
            let _ = exporter.publish(&reporter);
        }
    }
}

#[test]
fn subscriber_that_comes_back_continues_its_counters() {
    let (exporter, journal, bus) = (Exporter::new(), buslane::Journal::new(64).unwrap(), Bus::new());
    bus.add_named("sink", journal.clone()).unwrap();
    let reporter = observe("telemetry", &bus);
    let delivered = |page: &Page| {
        let labels = [("bus", "telemetry"), ("sink", "sink"), ("subscriber", "audit")];
        page.value("buslane_subscriber_delivered_events_total", &labels)
    };
    for round in 1..4 {
        let mut subscriber = journal.subscription().name("audit").subscribe().unwrap();
        let _ = exporter.publish(&reporter);
        let _ = bus.publish(round).unwrap();
        subscriber.recv().unwrap();
        assert_eq!(delivered(&exporter.publish(&reporter)), Some(f64::from(round)));
    }
}

#[test]
fn sinks_with_one_name_have_an_id() {
    let (exporter, bus) = (Exporter::new(), Bus::<u32>::new());
    let reporter = observe("telemetry", &bus);
    let ids = [(); 2].map(|()| bus.add_named("sink", noop()).unwrap());
    let _ = bus.publish(1).unwrap();
    let page = exporter.publish(&reporter);
    let mut numbers = ids.map(|id| id.to_string().replace('#', ""));
    numbers.sort();
    assert_eq!(page.label_values(OFFERED, "id"), numbers.each_ref());
    assert_eq!(sink(&page, OFFERED), None);
}

#[test]
fn bus_that_is_gone_leaves_zeros() {
    let (exporter, bus) = (Exporter::new(), Bus::new());
    bus.add_named("sink", noop()).unwrap();
    let _ = bus.publish(1).unwrap();
    let reporter = observe("telemetry", &bus);
    let (series, _) = exporter.publish_some(&reporter);
    assert!(series > 0);
    drop(bus);
    let (series, page) = exporter.publish_some(&reporter);
    assert_eq!((series, sink(&page, OPEN), sink(&page, OFFERED)), (0, Some(0.0), Some(1.0)));
    assert_eq!(page.value("buslane_bus_open", &[("bus", "telemetry")]), Some(0.0));
}

#[test]
fn reporters_of_several_buses_share_a_recorder() {
    let (exporter, first, second) = (Exporter::new(), Bus::<u32>::new(), Bus::<String>::new());
    let _ = exporter.publish(&observe("first", &first));
    let page = exporter.publish(&observe("second", &second));
    assert_eq!(page.label_values("buslane_bus_open", "bus"), ["first", "second"]);
}

#[test]
fn counters_of_a_recorder_never_fall() {
    let (exporter, bus, gate) = (Exporter::new(), Bus::new(), Gate::closed());
    let reporter = observe("telemetry", &bus);
    let publishers: Vec<_> = (0..2)
        .map(|_| {
            let (bus, gate) = (bus.clone(), gate.clone());
            thread::spawn(move || {
                let mut publisher = bus.publisher();
                gate.pass();
                for number in 0..20_000 {
                    let _ = publisher.publish(number).unwrap();
                }
            })
        })
        .collect();
    gate.open();
    let log = Log::new();
    while !publishers.iter().all(thread::JoinHandle::is_finished) {
        let id = bus.add_named("sink", Queue::builder().capacity(16).spawn(|_: u64| ()).unwrap()).unwrap();
        for _ in 0..3 {
            log.push(exporter.publish(&reporter));
        }
        bus.remove(id).unwrap();
    }
    let pages = log.entries();
    for pages in pages.windows(2) {
        for (series, value) in pages[0].series.iter().filter(|((name, _), _)| name.ends_with("_total")) {
            let later = pages[1].series[series];
            assert!(later >= *value, "{series:?}: {value}, then {later}");
        }
    }
}
