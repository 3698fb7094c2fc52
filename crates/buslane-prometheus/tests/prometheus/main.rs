//! A registry of prometheus-client exports what buslane's own page has, at each scrape anew.

use buslane::director::Director;
use buslane::stats::metrics::{Exposition, Format};
use buslane::{Bus, Channel, Journal, Queue, Sink, noop};
use buslane_prometheus::{BusCollector, register};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use test_support::GUARD;
use test_support::openmetrics::Page;

const OFFERED: &str = "buslane_sink_offered_events_total";

/// Returns what a scrape of the registry gets.
#[track_caller]
fn scrape(registry: &Registry) -> Page {
    let mut page = String::new();
    text::encode(&mut page, registry).unwrap();
    Page::parse(&page, Format::OpenMetrics)
}

/// Returns a bus with sinks of several kinds, at rest.
fn busy_bus() -> (Bus<u32>, impl Sized) {
    let bus = Bus::new();
    bus.add_named("queue", Queue::builder().spawn(|_: u32| ()).unwrap()).unwrap();
    let (channel, receiver) = Channel::lossy(2).unwrap();
    bus.add_named("a \"channel\" \\\n", channel).unwrap();
    bus.add_named("same", noop()).unwrap();
    bus.add_named("same", noop()).unwrap();
    let journal = Journal::new(64).unwrap();
    let subscriber = journal.subscription().name("audit").subscribe().unwrap();
    bus.add_named("journal", journal).unwrap();
    let mut publisher = bus.publisher();
    for number in 0..10 {
        let _ = publisher.publish(number).unwrap();
    }
    test_support::wait_for(|| bus.snapshot().sink("queue").is_some_and(|it| it.state.ledger.delivered == 10));
    (bus, (receiver, subscriber, publisher))
}

#[test]
fn series_equal_those_of_the_page_of_a_bus() {
    let (bus, _open) = busy_bus();
    let mut registry = Registry::default();
    let _ = register(&mut registry, "telemetry", &bus);
    let mut client = scrape(&registry);
    let snapshot = bus.snapshot();
    let text = Exposition::new().bus("telemetry", &snapshot).to_string();
    let mut core = Page::parse(&text, Format::OpenMetrics);
    assert_eq!(client.families, core.families);
    for page in [&mut client, &mut core] {
        // Time passes between the two snapshots.
        page.series.retain(|(name, _), _| !name.contains("_seconds"));
    }
    assert_eq!(client.series, core.series);
}

#[test]
fn series_are_valid_in_the_older_format() {
    let (bus, _open) = busy_bus();
    let mut registry = Registry::default();
    let _ = register(&mut registry, "telemetry", &bus);
    let mut page = String::new();
    prometheus_text::encode(&mut page, &registry).unwrap();
    let page = Page::parse(&page, Format::Prometheus);
    assert_eq!(page.value(OFFERED, &[("bus", "telemetry"), ("sink", "queue")]), Some(10.0));
}

#[test]
fn each_scrape_takes_a_snapshot() {
    let bus = Bus::new();
    bus.add_named("sink", noop()).unwrap();
    let mut registry = Registry::default();
    let _ = register(&mut registry, "telemetry", &bus);
    for count in 1..4 {
        let _ = bus.publish(count).unwrap();
        let offered = scrape(&registry).value(OFFERED, &[("bus", "telemetry"), ("sink", "sink")]);
        assert_eq!(offered, Some(f64::from(count)));
    }
}

#[test]
fn buses_share_their_families() {
    let (first, second) = (Bus::<u32>::new(), Bus::<String>::new());
    let mut registry = Registry::default();
    let collector = register(&mut registry, "first", &first);
    collector.add("second", &second);
    let director = Director::<u32>::new().unwrap();
    collector.add_with(move |each| {
        director.snapshot().measurements("replicas").for_each(each);
        true
    });
    let page = scrape(&registry);
    assert_eq!(page.label_values("buslane_bus_open", "bus"), ["first", "second"]);
    assert_eq!(page.value("buslane_director_members", &[("director", "replicas")]), Some(0.0));
}

#[test]
fn dropped_bus_ends_its_series() {
    let (kept, dropped) = (Bus::<u32>::new(), Bus::<u32>::new());
    let mut registry = Registry::default();
    register(&mut registry, "kept", &kept).add("dropped", &dropped);
    assert_eq!(scrape(&registry).label_values("buslane_bus_open", "bus"), ["dropped", "kept"]);
    drop(dropped);
    assert_eq!(scrape(&registry).label_values("buslane_bus_open", "bus"), ["kept"]);
    drop(kept);
    assert_eq!(scrape(&registry), Page::default());
}

#[test]
fn closed_bus_is_still_exported() {
    let bus = Bus::new();
    bus.add_named("queue", Queue::builder().spawn(|_: u32| ()).unwrap()).unwrap();
    let mut registry = Registry::default();
    let _ = register(&mut registry, "telemetry", &bus);
    let _ = bus.publish(1).unwrap();
    assert!(bus.close_timeout(GUARD).is_done());
    let page = scrape(&registry);
    assert_eq!(page.value("buslane_bus_open", &[("bus", "telemetry")]), Some(0.0));
    let delivered = "buslane_sink_delivered_events_total";
    assert_eq!(page.value(delivered, &[("bus", "telemetry"), ("sink", "queue")]), Some(1.0));
}

#[test]
fn source_that_is_gone_is_not_asked_again() {
    let (asked, log) = (test_support::Log::new(), test_support::Log::new());
    let collector = BusCollector::new();
    let calls = asked.clone();
    collector.add_with(move |_| {
        calls.push(());
        false
    });
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector.clone()));
    for _ in 0..3 {
        log.push(scrape(&registry).series.len());
    }
    assert_eq!((asked.entries().len(), log.entries()), (1, vec![0, 0, 0]));
    assert_eq!(format!("{collector:?}"), "BusCollector { sources: 0 }");
}

#[test]
fn prefix_and_labels_of_a_registry_apply() {
    let bus = Bus::<u32>::new();
    let mut registry = Registry::with_prefix("shop");
    let _ = register(registry.sub_registry_with_label(("zone".into(), "eu".into())), "telemetry", &bus);
    let page = scrape(&registry);
    assert_eq!(page.value("shop_buslane_bus_open", &[("bus", "telemetry"), ("zone", "eu")]), Some(1.0));
}

#[test]
fn scrape_while_a_sink_adds_a_bus_does_not_hang() {
    use buslane::WriteError;
    use buslane::stats::SinkState;
    /// A sink that adds a bus to the collector when it is asked for its state.
    struct Adds(BusCollector, Bus<u32>);
    impl Sink<u32> for Adds {
        fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
            Ok(())
        }
        fn describe(&self, _state: &mut SinkState) {
            self.0.add("added", &self.1);
        }
    }
    let (bus, added) = (Bus::new(), Bus::new());
    let mut registry = Registry::default();
    let collector = register(&mut registry, "telemetry", &bus);
    bus.add(Adds(collector, added.clone())).unwrap();
    let names = test_support::ends(move || {
        let _ = scrape(&registry);
        bus.snapshot().sinks.len()
    });
    assert_eq!(names, 1);
}
