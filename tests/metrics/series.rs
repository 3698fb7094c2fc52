//! Which series there are: for sinks that share a name, that come and go, and for subscribers.

use crate::page;
use buslane::journal::{Entry, Start};
use buslane::retry::Backoff;
use buslane::stats::metrics::{Exposition, Format, Value};
use buslane::stats::{CloseReport, SinkState};
use buslane::testing::{Collect, Gate, Script};
use buslane::time::Deadline;
use buslane::{Bus, Channel, Journal, Overflow, Queue, Sink, SinkExt, WriteError, noop, sink_fn};
use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use test_support::openmetrics::Page;
use test_support::{Log, wait_for};

const OFFERED: &str = "buslane_sink_offered_events_total";

#[test]
fn every_number_of_a_ledger_has_its_series() {
    let bus = Bus::new();
    let (channel, mut receiver) = Channel::builder().capacity(2).overflow(Overflow::Refuse).build().unwrap();
    bus.add_named("refuses", channel.filter(|n: &u32| *n != 0)).unwrap();
    let (channel, _unread) = Channel::lossy(1).unwrap();
    bus.add_named("drops", channel).unwrap();
    for number in 0..5 {
        let _ = bus.publish(number).unwrap();
    }
    receiver.recv().unwrap();
    let page = page(&bus);
    let value = |name: &str, sink: &str| page.value(name, &[("bus", "telemetry"), ("sink", sink)]);
    let by = |name: &str, sink: &str, reason: &str| {
        page.value(name, &[("bus", "telemetry"), ("sink", sink), ("reason", reason)])
    };
    for (name, refuses, drops) in [
        (OFFERED, 5.0, 5.0),
        ("buslane_sink_accepted_events_total", 3.0, 5.0),
        ("buslane_sink_delivered_events_total", 1.0, 0.0),
        ("buslane_sink_filtered_events_total", 1.0, 0.0),
        ("buslane_sink_pending_events", 1.0, 1.0),
        ("buslane_sink_depth_events", 1.0, 1.0),
        ("buslane_sink_lane_capacity_events", 2.0, 1.0),
        ("buslane_sink_open", 1.0, 1.0),
        ("buslane_sink_drained", 0.0, 0.0),
    ] {
        assert_eq!((value(name, "refuses"), value(name, "drops")), (Some(refuses), Some(drops)), "{name}");
    }
    assert_eq!(by("buslane_sink_refused_events_total", "refuses", "full"), Some(2.0));
    assert_eq!(by("buslane_sink_refused_events_total", "refuses", "timeout"), Some(0.0));
    assert_eq!(by("buslane_sink_dropped_events_total", "drops", "full"), Some(4.0));
    assert_eq!(by("buslane_sink_dropped_events_total", "drops", "evicted"), Some(0.0));
    assert_eq!(page.value("buslane_bus_sinks", &[("bus", "telemetry")]), Some(2.0));
}

#[test]
fn closed_bus_and_sinks_show_their_state() {
    let bus = Bus::new();
    bus.add_named("queue", Queue::builder().spawn(|_: u32| ()).unwrap()).unwrap();
    let publisher = bus.publisher();
    let labels = [("bus", "telemetry"), ("sink", "queue")];
    let open = page(&bus);
    assert_eq!(open.value("buslane_bus_open", &labels[..1]), Some(1.0));
    assert_eq!(open.value("buslane_bus_publishers", &labels[..1]), Some(1.0));
    assert_eq!(open.value("buslane_sink_lanes", &labels), Some(1.0));
    drop(publisher);
    assert!(bus.close().is_done());
    let closed = page(&bus);
    assert_eq!(closed.value("buslane_bus_open", &labels[..1]), Some(0.0));
    assert_eq!(closed.value("buslane_sink_open", &labels), Some(0.0));
    assert_eq!(closed.value("buslane_sink_drained", &labels), Some(1.0));
}

#[test]
fn unbounded_sink_has_no_capacity() {
    let bus = Bus::new();
    bus.add_named("queue", Queue::builder().unbounded().spawn(|_: u32| ()).unwrap()).unwrap();
    let page = page(&bus);
    assert_eq!(page.label_values("buslane_sink_lane_capacity_events", "sink"), [""; 0]);
    assert_eq!(page.label_values("buslane_sink_pending_events", "sink"), ["queue"]);
}

#[test]
fn sinks_with_one_name_have_an_id_while_both_exist() {
    let bus = Bus::<u32>::new();
    let ids = [bus.add_named("same", noop()).unwrap(), bus.add_named("same", noop()).unwrap()];
    bus.add_named("other", noop()).unwrap();
    let _ = bus.publish(1).unwrap();
    let both = page(&bus);
    let number = |id: buslane::SinkId| id.to_string().trim_start_matches('#').to_owned();
    for id in ids.map(number) {
        let labels = [("bus", "telemetry"), ("sink", "same"), ("id", id.as_str())];
        assert_eq!(both.value(OFFERED, &labels), Some(1.0));
    }
    assert_eq!(both.value(OFFERED, &[("bus", "telemetry"), ("sink", "other")]), Some(1.0));
    bus.remove(ids[0]).unwrap();
    let _ = bus.publish(2).unwrap();
    let one = page(&bus);
    assert_eq!(one.value(OFFERED, &[("bus", "telemetry"), ("sink", "same")]), Some(2.0));
    assert_eq!(one.label_values(OFFERED, "id"), [""; 0]);
}

#[test]
fn removed_sink_ends_and_one_of_its_name_begins_anew() {
    let bus = Bus::<u32>::new();
    let attached = |bus: &Bus<u32>| {
        let snapshot = bus.snapshot();
        let offered = snapshot.measurements("telemetry").find(|it| it.family.name == OFFERED);
        offered.map(|it| (it.value, it.sink))
    };
    let first = bus.add_named("sink", noop()).unwrap();
    let _ = bus.publish(1).unwrap();
    assert_eq!(attached(&bus), Some((Value::Integer(1), Some(first))));
    bus.remove(first).unwrap();
    assert_eq!(attached(&bus), None);
    let second = bus.add_named("sink", noop()).unwrap();
    assert_eq!(attached(&bus), Some((Value::Integer(0), Some(second))));
}

#[test]
fn sink_without_a_name_has_its_source_location() {
    let bus = Bus::<u32>::new();
    bus.add(noop()).unwrap();
    let page = page(&bus);
    let [name] = page.label_values(OFFERED, "sink")[..] else { panic!("{page:?}") };
    assert!(name.contains("series.rs:"), "{name}");
}

#[test]
fn subscribers_show_lag_and_missed_events_by_name() {
    let journal = Journal::new(64).unwrap();
    let mut audit = journal.subscription().name("audit").start(Start::Oldest).subscribe().unwrap();
    let _twins = [(); 2].map(|()| journal.subscription().name("twin").subscribe().unwrap());
    let _unnamed = journal.subscription().subscribe().unwrap();
    let bus = Bus::new();
    bus.add_named("journal", journal).unwrap();
    for number in 0..500 {
        let _ = bus.publish(number).unwrap();
    }
    let Ok(Entry::Lagged(missed)) = audit.try_recv() else { panic!("500 events are more than it keeps") };
    audit.recv().unwrap();
    let page = page(&bus);
    let value =
        |name: &str| page.value(name, &[("bus", "telemetry"), ("sink", "journal"), ("subscriber", "audit")]);
    assert_eq!(value("buslane_subscriber_missed_events_total"), Some(missed as f64));
    assert_eq!(value("buslane_subscriber_delivered_events_total"), Some(1.0));
    assert_eq!(value("buslane_subscriber_lag_events"), Some(499.0 - missed as f64));
    assert_eq!(value("buslane_subscriber_ended"), Some(0.0));
    let labels = [("bus", "telemetry"), ("sink", "journal")];
    assert_eq!(page.value("buslane_sink_subscribers", &labels), Some(4.0));
    let name = "buslane_subscriber_lag_events";
    assert_eq!(page.label_values(name, "subscriber"), ["audit", "twin", "twin"]);
    assert_eq!(page.label_values(name, "subscriber_id"), ["1", "2"]);
}

#[test]
fn number_of_a_subscriber_is_never_used_again() {
    let (bus, journal) = (Bus::<u64>::new(), Journal::new(64).unwrap());
    bus.add_named("journal", journal.clone()).unwrap();
    let join = || journal.subscription().name("twin").subscribe().unwrap();
    let ids = || {
        let page = page(&bus);
        let ids = page.label_values("buslane_subscriber_lag_events", "subscriber_id");
        ids.into_iter().map(|id| id.parse().unwrap()).collect::<Vec<u64>>()
    };
    let (first, _second) = (join(), join());
    let before = ids();
    assert_eq!(before.len(), 2);
    drop(first);
    let _third = join();
    let after = ids();
    assert_eq!((after.len(), after[0]), (2, before[1]), "the second one keeps its number");
    assert!(!before.contains(&after[1]), "{before:?}, then {after:?}");
    // The counters of a later subscriber began anew, and a measurement shows it without the label.
    let number = |bus: &Bus<u64>| {
        let snapshot = bus.snapshot();
        let lag =
            snapshot.measurements("telemetry").find(|it| it.family.name == "buslane_subscriber_lag_events");
        lag.and_then(|it| it.subscriber)
    };
    assert_eq!(number(&bus), Some(after[0]));
}

#[test]
fn names_that_differ_in_a_nul_have_series_of_their_own() {
    let names = ["a\0", "a\u{fffd}"];
    let (bus, journal) = (Bus::<u32>::new(), Journal::new(64).unwrap());
    let _subscribers = names.map(|name| journal.subscription().name(name).subscribe().unwrap());
    for name in names {
        bus.add_named(name, noop()).unwrap();
    }
    bus.add_named("journal", journal).unwrap();
    let director = buslane::director::Director::<u32>::new().unwrap();
    let _members = names.map(|name| director.join_manual(name).unwrap());
    let (bus, director) = (bus.snapshot(), director.snapshot());
    let mut seen = HashSet::new();
    for it in bus.measurements("telemetry").chain(director.measurements("replicas")) {
        assert!(seen.insert((it.family.name, it.labels.clone())), "{}: {:?}", it.family.name, it.labels);
    }
    let page = Exposition::new().bus("telemetry", &bus).measurements(director.measurements("replicas"));
    let page = Page::parse(&page.to_string(), Format::OpenMetrics);
    assert_eq!(page.label_values("buslane_subscriber_lag_events", "subscriber_id"), ["0", "1"]);
    assert_eq!(page.label_values("buslane_member_lag_events", "member_epoch").len(), 2);
    assert_eq!(page.label_values("buslane_sink_open", "id").len(), 2);
}

#[test]
fn documentation_says_how_many_series_there_are() {
    let (bus, journal) = (Bus::<u32>::new(), Journal::new(64).unwrap());
    let count = |of: &str| {
        let snapshot = bus.snapshot();
        let series = snapshot.measurements("telemetry").map(|it| it.family.name);
        series.filter(|name| name.starts_with(of)).count()
    };
    let buses = count("buslane_bus_");
    let (unread, _receiver) = Channel::lossy(8).unwrap();
    bus.add(unread).unwrap();
    let sinks = count("buslane_sink_");
    bus.add(Queue::builder().unbounded().spawn(|_: u32| ()).unwrap()).unwrap();
    let unbounded = count("buslane_sink_") - sinks;
    let _subscriber = journal.subscription().name("audit").subscribe().unwrap();
    bus.add(journal).unwrap();
    let journals = count("buslane_sink_") - sinks - unbounded;
    bus.add(sink_fn(|_: &u32| ()).retry(Backoff::default())).unwrap();
    let (retries, subscribers) = (count("buslane_retry_"), count("buslane_subscriber_"));
    let page = include_str!("../../src/docs/metrics.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        format!("and {sinks} series for each sink."),
        format!(
            "{buses} series for each bus, {sinks} for each sink, {retries} for each retry, {subscribers} for each named subscriber of a journal."
        ),
        format!("A journal has {journals}, and an unbounded sink {unbounded}."),
    ] {
        assert!(page.contains(&sentence), "{sentence}");
    }
}

#[test]
fn retries_show_attempts_and_letters() {
    let (letters, _dead) = Channel::lossy(1).unwrap();
    let sink = sink_fn(|_: &u32| Err("no route"));
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1)).max_attempts(3);
    let queue = sink.retry(backoff).dead_letters(letters).queue(8).unwrap();
    let bus = Bus::new();
    bus.add_named("push", queue).unwrap();
    for number in 0..2 {
        let _ = bus.publish(number).unwrap();
    }
    // The dead letters are not read, so that a flush would wait for them.
    wait_for(|| bus.snapshot().sinks[0].state.ledger.dropped.failed == 2);
    let page = page(&bus);
    let labels = [("bus", "telemetry"), ("sink", "push"), ("retry", "0")];
    assert_eq!(page.value("buslane_retry_attempts_total", &labels), Some(4.0));
    assert_eq!(page.value("buslane_retry_given_up_events_total", &labels), Some(2.0));
    for outcome in ["sent", "lost"] {
        let labels = [labels.as_slice(), &[("outcome", outcome)]].concat();
        assert_eq!(page.value("buslane_retry_letters_total", &labels), Some(1.0), "{outcome}");
    }
}

#[test]
fn monitors_and_directors_share_a_page_with_a_bus() {
    use buslane::director::Director;
    use buslane::source::Monitor;
    let (script, seen) = (Script::new().connect().event(1).event(2), Collect::new());
    let monitor = Monitor::builder(script).spawn_events(seen.clone()).unwrap();
    seen.wait_for(2);
    assert!(monitor.stop().is_done());
    let director = Director::<u32>::new().unwrap();
    let _members = ["ann", "bob"].map(|name| director.join_manual(name).unwrap());
    director.announce(7).unwrap();
    let bus = Bus::<u32>::new().snapshot();
    let (monitor, director) = (monitor.snapshot(), director.snapshot());
    let text = Exposition::new()
        .bus("telemetry", &bus)
        .measurements(monitor.measurements("script"))
        .measurements(director.measurements("replicas"))
        .to_string();
    let page = Page::parse(&text, Format::OpenMetrics);
    let monitor = [("monitor", "script")];
    assert_eq!(page.value("buslane_monitor_forwarded_events_total", &monitor), Some(2.0));
    assert_eq!(page.value("buslane_monitor_stopped", &monitor), Some(1.0));
    let director = [("director", "replicas")];
    assert_eq!(page.value("buslane_director_published_events_total", &director), Some(1.0));
    let bob = [("director", "replicas"), ("member", "bob")];
    assert_eq!(page.value("buslane_member_lag_events", &bob), Some(1.0));
    assert_eq!(page.label_values("buslane_member_attached", "member"), ["ann", "bob"]);
    assert_eq!(page.value("buslane_bus_open", &[("bus", "telemetry")]), Some(1.0));
}

/// A sink that holds a snapshot at a gate, and records its close.
struct Held {
    gate: Gate,
    closed: Log<()>,
}

impl Sink<u32> for Held {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        Ok(())
    }

    fn describe(&self, _state: &mut SinkState) {
        self.gate.pass();
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.closed.push(());
        CloseReport::done()
    }
}

#[test]
fn snapshot_of_a_weak_handle_keeps_no_bus_open() {
    let (gate, closed) = (Gate::closed(), Log::new());
    let bus = Bus::new();
    bus.add(Arc::new(Held { gate: gate.clone(), closed: closed.clone() })).unwrap();
    let weak = bus.downgrade();
    let exporter = thread::spawn(move || weak.snapshot().map(|snapshot| snapshot.sinks.len()));
    gate.wait_reached(1);
    drop(bus);
    assert_eq!(closed.entries(), [()], "the last handle was dropped here, and not by the exporter");
    gate.open();
    assert_eq!(exporter.join().unwrap(), Some(1));
}
