//! The instruments of a bus, as the SDK collects them and as a receiver decodes them.

use crate::PATIENCE;
use crate::receiver::{Receiver, client};
use buslane::director::{Director, DirectorSnapshot};
use buslane::retry::Backoff;
use buslane::source::MonitorSnapshot;
use buslane::stats::metrics::{Kind, Label, Measurement, Unit, Value};
use buslane::stats::{SinkState, Snapshot};
use buslane::{Bus, Channel, Journal, Overflow, Sink, SinkExt, WriteError, sink_fn};
use buslane_otel::opentelemetry::KeyValue;
use buslane_otel::opentelemetry::metrics::{Meter, MeterProvider};
use buslane_otel::{observe, observe_with};
use opentelemetry_otlp::{MetricExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue as ProtoKeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, metric, number_data_point};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, InMemoryMetricExporterBuilder, PeriodicReader, SdkMeterProvider, Temporality,
};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use test_support::{ends, wait_for};

/// A provider that collects only when it is asked to.
fn provider(exporter: impl PushMetricExporter) -> SdkMeterProvider {
    let reader = PeriodicReader::builder(exporter).with_interval(Duration::from_secs(3600)).build();
    SdkMeterProvider::builder().with_reader(reader).build()
}

/// A meter, and what it collected.
struct Collector {
    exporter: InMemoryMetricExporter,
    provider: SdkMeterProvider,
    meter: Meter,
}

/// The name of an instrument and its attributes.
type Key = (String, Vec<(String, String)>);

impl Collector {
    fn new() -> Self {
        Self::with(InMemoryMetricExporter::default())
    }

    fn with(exporter: InMemoryMetricExporter) -> Self {
        let provider = provider(exporter.clone());
        let meter = provider.meter("buslane");
        Self { exporter, provider, meter }
    }

    /// Collects once, and returns every number.
    fn collect(&self) -> BTreeMap<Key, f64> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let mut numbers = BTreeMap::new();
        for collected in self.exporter.get_finished_metrics().unwrap() {
            read(&collected, &mut numbers);
        }
        numbers
    }
}

fn read(collected: &ResourceMetrics, numbers: &mut BTreeMap<Key, f64>) {
    for metric in collected.scope_metrics().flat_map(|scope| scope.metrics()) {
        let mut add = |attributes: &mut dyn Iterator<Item = &KeyValue>, value: f64| {
            let pair = |pair: &KeyValue| (pair.key.to_string(), pair.value.to_string());
            let mut attributes: Vec<_> = attributes.map(pair).collect();
            attributes.sort();
            let key = (metric.name().to_owned(), attributes);
            assert!(numbers.insert(key, value).is_none(), "a series twice: {}", metric.name());
        };
        macro_rules! points {
            ($data:expr) => {
                match $data {
                    MetricData::Gauge(gauge) => {
                        gauge.data_points().for_each(|it| add(&mut it.attributes(), it.value() as f64))
                    }
                    MetricData::Sum(sum) => {
                        sum.data_points().for_each(|it| add(&mut it.attributes(), it.value() as f64))
                    }
                    _ => panic!("{} is a histogram", metric.name()),
                }
            };
        }
        match metric.data() {
            AggregatedMetrics::F64(data) => points!(data),
            AggregatedMetrics::U64(data) => points!(data),
            AggregatedMetrics::I64(data) => points!(data),
        }
    }
}

fn key(measurement: &Measurement<'_>) -> Key {
    let pair = |label: &Label<'_>| (label.key.otel_name().to_owned(), label.otel_value().to_owned());
    let mut attributes: Vec<_> = measurement.labels.iter().map(pair).collect();
    attributes.sort();
    (measurement.family.otel_name.to_owned(), attributes)
}

/// Returns what a snapshot says, without times, which grow.
fn expected(snapshot: &Snapshot, bus: &str) -> BTreeMap<Key, f64> {
    let all = snapshot.measurements(bus).filter(|it| it.family.unit != Unit::Seconds);
    all.map(|it| (key(&it), it.value.as_f64())).collect()
}

fn without_seconds(mut numbers: BTreeMap<Key, f64>) -> BTreeMap<Key, f64> {
    let times =
        ["backlog", "oldest_event", "in_handler", "batch_time"].map(|it| format!("buslane.sink.{it}"));
    numbers.retain(|(name, _), _| !times.contains(name));
    numbers
}

/// Returns a bus whose sinks have non-zero numbers in as many families as possible, and what keeps
/// them open.
fn busy() -> (Bus<u64>, impl Sized) {
    let bus = Bus::new();
    let (full, receiver) = Channel::builder().capacity(2).overflow(Overflow::Refuse).build().unwrap();
    bus.add_named("full", full).unwrap();
    let (lossy, other) = Channel::lossy(2).unwrap();
    bus.add_named("lossy", lossy.filter(|event: &u64| *event != 3)).unwrap();
    let journal = Journal::new(4).unwrap();
    let reader = journal.subscription().name("reader").subscribe().unwrap();
    bus.add_named("journal", journal.clone()).unwrap();
    let policy = Backoff::new(Duration::from_nanos(1), Duration::from_nanos(1)).max_attempts(2);
    bus.add_named("retry", sink_fn(|_: &u64| Err("no route")).retry(policy)).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..10 {
        let _ = publisher.publish(event).unwrap();
    }
    (bus, (publisher, receiver, other, reader, journal))
}

#[test]
fn collection_equals_the_snapshot() {
    let (bus, _kept) = busy();
    let collector = Collector::new();
    observe(&collector.meter, "orders", &bus);
    let collected = collector.collect();
    let expected = expected(&bus.snapshot(), "orders");
    let lost = |name: &str, sink: &str, reason: &str| {
        let pairs = [("buslane.bus.name", "orders"), ("buslane.sink.name", sink), ("error.type", reason)];
        let attributes = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        expected[&(name.to_owned(), attributes)]
    };
    assert_eq!(lost("buslane.sink.refused", "full", "queue_full"), 8.0);
    assert_eq!(lost("buslane.sink.dropped", "lossy", "queue_full"), 7.0);
    assert_eq!(without_seconds(collected.clone()), expected);
    assert!(collected.keys().any(|(name, _)| name == "buslane.sink.backlog"));
    assert!(collected.keys().any(|(name, _)| name == "buslane.subscriber.missed"));
    assert!(collected.keys().any(|(name, _)| name == "buslane.retry.attempts"));
}

#[test]
fn next_collection_sees_new_numbers() {
    let bus = Bus::new();
    bus.add_named("sink", buslane::noop()).unwrap();
    let collector = Collector::new();
    observe(&collector.meter, "orders", &bus);
    for events in 1..=5_u32 {
        let _ = bus.publish(7).unwrap();
        let numbers = collector.collect();
        let delivered = numbers.iter().find(|((name, _), _)| name == "buslane.sink.delivered").unwrap();
        assert_eq!(*delivered.1, f64::from(events));
    }
}

#[test]
fn delta_temporality_reports_differences() {
    let bus = Bus::new();
    bus.add_named("sink", buslane::noop()).unwrap();
    let exporter = InMemoryMetricExporterBuilder::new().with_temporality(Temporality::Delta).build();
    let collector = Collector::with(exporter);
    observe(&collector.meter, "orders", &bus);
    for events in 1..=3_u32 {
        for event in 0..events {
            let _ = bus.publish(event).unwrap();
        }
        let numbers = collector.collect();
        let delivered = numbers.iter().find(|((name, _), _)| name == "buslane.sink.delivered").unwrap();
        assert_eq!(*delivered.1, f64::from(events));
    }
}

/// Counts how often a snapshot describes it.
struct Described(Arc<AtomicUsize>);

impl Sink<u64> for Described {
    fn write(&self, _event: u64) -> Result<(), WriteError<u64>> {
        Ok(())
    }

    fn describe(&self, _state: &mut SinkState) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn instruments_share_a_snapshot() {
    let snapshots = Arc::new(AtomicUsize::new(0));
    let bus = Bus::new();
    bus.add_named("sink", Described(snapshots.clone())).unwrap();
    let _ = bus.snapshot();
    let of_one = snapshots.swap(0, Ordering::Relaxed);
    let collector = Collector::new();
    observe(&collector.meter, "orders", &bus);
    assert_eq!(snapshots.load(Ordering::Relaxed), 0, "nothing is read before a collection");
    for _ in 0..3 {
        collector.collect();
    }
    // A snapshot that becomes stale in the middle of a collection is replaced: on a busy machine
    // there may be more than three.
    let instruments = Snapshot::families().count();
    let taken = snapshots.load(Ordering::Relaxed) / of_one;
    assert!((3..instruments).contains(&taken), "{taken}");
}

#[test]
fn buses_of_one_meter_share_the_instruments() {
    let (orders, _kept) = busy();
    let (audit, _kept) = busy();
    let collector = Collector::new();
    observe(&collector.meter, "orders", &orders);
    observe(&collector.meter, "audit", &audit);
    let mut both = expected(&orders.snapshot(), "orders");
    both.extend(expected(&audit.snapshot(), "audit"));
    assert_eq!(without_seconds(collector.collect()), both);
}

#[test]
fn equal_names_are_one_series() {
    let [one, other] = [Bus::<u64>::new(), Bus::new()];
    let collector = Collector::new();
    observe(&collector.meter, "orders", &one);
    observe(&collector.meter, "orders", &other);
    assert_eq!(collector.collect(), expected(&other.snapshot(), "orders"));
}

#[test]
fn series_end_with_the_bus() {
    let bus = Bus::new();
    bus.add_named("sink", buslane::noop::<u64>()).unwrap();
    let collector = Collector::new();
    observe(&collector.meter, "orders", &bus);
    assert!(!collector.collect().is_empty());
    drop(bus);
    assert_eq!(collector.collect(), BTreeMap::new());
    let next = Bus::<u64>::new();
    observe(&collector.meter, "orders", &next);
    assert_eq!(collector.collect(), expected(&next.snapshot(), "orders"));
}

#[test]
fn removed_sink_leaves_only_its_counters() {
    let bus = Bus::new();
    let collector = Collector::new();
    observe(&collector.meter, "orders", &bus);
    for round in 1..=2 {
        let id = bus.add_named("sink", buslane::noop()).unwrap();
        let _ = bus.publish(7_u64).unwrap();
        let keys: Vec<_> = expected(&bus.snapshot(), "orders").into_keys().collect();
        let numbers = without_seconds(collector.collect());
        assert!(numbers.keys().eq(&keys), "{numbers:?}");
        assert_eq!(sum(&numbers, "buslane.sink.delivered"), f64::from(round));
        bus.remove(id).unwrap();
        let left = collector.collect();
        assert_eq!(sum(&left, "buslane.sink.delivered"), f64::from(round));
        let is_kept = |name: &str| {
            name.starts_with("buslane.bus.")
                || Snapshot::families().any(|it| it.otel_name == name && it.kind == Kind::Counter)
        };
        assert!(left.keys().all(|(name, _)| is_kept(name)), "{left:?}");
    }
}

/// Returns the sum of all series of an instrument.
fn sum(numbers: &BTreeMap<Key, f64>, instrument: &str) -> f64 {
    numbers.iter().filter(|((name, _), _)| name == instrument).map(|(_, value)| value).sum()
}

/// Runs a test with a collector of totals, and one of differences.
fn with_each_temporality(test: impl Fn(&Collector, bool)) {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let exporter = InMemoryMetricExporterBuilder::new().with_temporality(temporality).build();
        test(&Collector::with(exporter), temporality == Temporality::Delta);
    }
}

#[test]
fn sink_that_returns_continues_its_counters() {
    with_each_temporality(|collector, is_delta| {
        let bus = Bus::new();
        observe(&collector.meter, "orders", &bus);
        let mut total = 0;
        // The sink returns between two collections, with fewer events than before; then one
        // collection misses it.
        for (events, is_missed) in [(5, false), (2, false), (3, true), (1, true), (4, false)] {
            let id = bus.add_named("sink", buslane::noop()).unwrap();
            (0..events).for_each(|event| assert!(bus.publish(event).unwrap().is_complete()));
            total += events;
            let numbers = collector.collect();
            let delivered = if is_delta { events } else { total };
            assert_eq!(sum(&numbers, "buslane.sink.delivered"), delivered as f64);
            bus.remove(id).unwrap();
            if is_missed {
                let delivered = if is_delta { 0 } else { total };
                assert_eq!(sum(&collector.collect(), "buslane.sink.delivered"), delivered as f64);
            }
        }
    });
}

#[test]
fn subscriber_that_returns_continues_its_counters() {
    with_each_temporality(|collector, is_delta| {
        let (bus, journal) = (Bus::new(), Journal::new(64).unwrap());
        bus.add_named("journal", journal.clone()).unwrap();
        observe(&collector.meter, "orders", &bus);
        let mut total = 0;
        for events in [5, 3, 2] {
            let mut subscriber = journal.subscription().name("audit").subscribe().unwrap();
            for event in 0..events {
                assert!(bus.publish(event).unwrap().is_complete());
                subscriber.recv().unwrap();
            }
            total += events;
            let delivered = if is_delta { events } else { total };
            let numbers = collector.collect();
            assert_eq!(sum(&numbers, "buslane.subscriber.delivered"), delivered as f64);
        }
    });
}

#[test]
fn panic_of_a_measure_keeps_its_counters() {
    with_each_temporality(|collector, is_delta| {
        let bus = Bus::new();
        bus.add_named("sink", buslane::noop()).unwrap();
        let (measured, panics) = (bus.clone(), Arc::new(AtomicBool::new(false)));
        let panicking = panics.clone();
        observe_with(&collector.meter, Snapshot::families(), move |each| {
            assert!(!panicking.load(Ordering::Relaxed), "a measure that panics once");
            measured.snapshot().measurements("orders").for_each(each);
            true
        });
        for total in 1..=3 {
            let _ = bus.publish(7).unwrap();
            panics.store(total == 2, Ordering::Relaxed);
            let expected = if is_delta { [1, 0, 2][total - 1] } else { [1, 1, 3][total - 1] };
            let numbers = collector.collect();
            assert_eq!(sum(&numbers, "buslane.sink.delivered"), f64::from(expected), "{total}");
        }
    });
}

#[test]
fn counters_of_what_is_gone_are_bounded() {
    let bus = Bus::new();
    let collector = Collector::new();
    observe(&collector.meter, "orders", &bus);
    for number in 0..200 {
        let id = bus.add_named(&format!("sink {number}"), buslane::noop()).unwrap();
        let _ = bus.publish(7_u64).unwrap();
        assert!(sum(&collector.collect(), "buslane.sink.delivered") >= 1.0);
        bus.remove(id).unwrap();
    }
    let numbers = collector.collect();
    let kept: Vec<_> = numbers.keys().filter(|(name, _)| name == "buslane.sink.delivered").collect();
    assert_eq!(kept.len(), 64);
    let newest = ("buslane.sink.name".to_owned(), "sink 199".to_owned());
    assert!(kept.iter().any(|(_, attributes)| attributes.contains(&newest)), "{kept:?}");
}

#[test]
fn readers_measure_at_the_same_time() {
    let reader =
        |interval| PeriodicReader::builder(InMemoryMetricExporter::default()).with_interval(interval);
    let (on_demand, by_itself) = (Duration::from_secs(3600), Duration::from_millis(1));
    let provider = SdkMeterProvider::builder()
        .with_reader(reader(on_demand).build())
        .with_reader(reader(by_itself).build())
        .build();
    let (entered, met) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let registered = Arc::new(AtomicBool::new(false));
    let (bus, both, is_registered) = (Bus::<u64>::new(), met.clone(), registered.clone());
    observe_with(&provider.meter("buslane"), Snapshot::families(), move |each| {
        // A reader that waits between two registrations holds up the second one, and so this test.
        if !is_registered.load(Ordering::Acquire) {
            return true;
        }
        // The reader that comes first waits here for the other one.
        if entered.fetch_add(1, Ordering::Relaxed) == 0 {
            wait_for(|| entered.load(Ordering::Relaxed) >= 2);
            both.store(true, Ordering::Relaxed);
        }
        bus.snapshot().measurements("orders").for_each(each);
        true
    });
    registered.store(true, Ordering::Release);
    let provider = ends(move || {
        provider.force_flush().unwrap();
        provider
    });
    assert!(met.load(Ordering::Relaxed), "a reader waits for the measure of another one");
    drop(provider);
}

#[test]
fn sinks_of_one_name_have_ids() {
    let bus = Bus::new();
    for _ in 0..2 {
        bus.add_named("sink", buslane::noop::<u64>()).unwrap();
    }
    let collector = Collector::new();
    observe(&collector.meter, "orders", &bus);
    let numbers = collector.collect();
    let accepted = numbers.keys().filter(|(name, _)| name == "buslane.sink.accepted");
    let ids =
        accepted.flat_map(|(_, attributes)| attributes.iter().filter(|(key, _)| key == "buslane.sink.id"));
    assert_eq!(ids.count(), 2);
}

#[test]
fn panic_of_a_measure_leaves_other_series() {
    let bus = Bus::<u64>::new();
    let collector = Collector::new();
    let panics = Arc::new(AtomicUsize::new(0));
    let count = panics.clone();
    observe_with(&collector.meter, MonitorSnapshot::families(), move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        panic!("a measure that panics");
    });
    observe(&collector.meter, "orders", &bus);
    for _ in 0..2 {
        assert_eq!(collector.collect(), expected(&bus.snapshot(), "orders"));
    }
    assert!(panics.load(Ordering::Relaxed) >= 2);
}

#[test]
fn members_of_a_director_have_series() {
    let director = Director::<u64>::new().unwrap();
    let _bob = director.join_manual("bob").unwrap();
    let collector = Collector::new();
    let measured = director.clone();
    observe_with(&collector.meter, DirectorSnapshot::families(), move |each| {
        let snapshot = measured.snapshot();
        snapshot.measurements("replicas").for_each(each);
        !snapshot.is_closed
    });
    let all: BTreeMap<_, _> =
        director.snapshot().measurements("replicas").map(|it| (key(&it), it.value.as_f64())).collect();
    assert_eq!(collector.collect(), all);
    let _ = director.close();
    assert_eq!(collector.collect(), BTreeMap::new());
}

/// One instrument as it arrived: its unit, whether it is a sum, whether it is monotonic, and its
/// points.
type Arrived = (String, bool, bool, Vec<NumberDataPoint>);

#[test]
fn receiver_decodes_every_instrument() {
    let receiver = Receiver::start([]);
    let endpoint = format!("http://{}/v1/metrics", receiver.address());
    let builder = MetricExporter::builder().with_http().with_endpoint(endpoint);
    let exporter = builder.with_http_client(client(PATIENCE)).build().unwrap();
    let provider = provider(exporter);
    let (bus, _kept) = busy();
    observe(&provider.meter("buslane"), "orders", &bus);
    provider.force_flush().unwrap();

    let request = receiver.requests().remove(0);
    assert_eq!(request.path, "/v1/metrics");
    let request = ExportMetricsServiceRequest::decode(&request.body[..]).unwrap();
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    let mut arrived: BTreeMap<String, Arrived> = BTreeMap::new();
    for metric in scopes.flat_map(|scope| scope.metrics) {
        let (sum, monotonic, points) = match metric.data.unwrap() {
            metric::Data::Sum(sum) => (true, sum.is_monotonic, sum.data_points),
            metric::Data::Gauge(gauge) => (false, false, gauge.data_points),
            other => panic!("{other:?}"),
        };
        assert!(!metric.description.is_empty());
        let before = arrived.insert(metric.name, (metric.unit, sum, monotonic, points));
        assert!(before.is_none(), "an instrument twice");
    }
    for family in Snapshot::families() {
        let (unit, sum, monotonic, points) = &arrived[family.otel_name];
        let expected = if family.unit == Unit::None { "" } else { family.unit.otel_name() };
        assert_eq!(unit, expected, "{}", family.otel_name);
        let kinds = (family.kind != Kind::Gauge, family.kind == Kind::Counter);
        assert_eq!((*sum, *monotonic), kinds, "{}", family.otel_name);
        assert!(!points.is_empty());
    }
    let snapshot = bus.snapshot();
    for measurement in snapshot.measurements("orders") {
        let Value::Integer(expected) = measurement.value else { continue };
        let (name, attributes) = key(&measurement);
        let points = arrived[&name].3.iter().filter(|point| pairs(point) == attributes);
        let values: Vec<_> = points.map(|point| point.value.unwrap()).collect();
        assert_eq!(values, [number_data_point::Value::AsInt(expected as i64)], "{name} {attributes:?}");
    }
}

fn pairs(point: &NumberDataPoint) -> Vec<(String, String)> {
    let pair = |attribute: &ProtoKeyValue| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let Some(any_value::Value::StringValue(text)) = value else { panic!("{value:?} is not a text") };
        (attribute.key.clone(), text)
    };
    let mut pairs: Vec<_> = point.attributes.iter().map(pair).collect();
    pairs.sort();
    pairs
}
