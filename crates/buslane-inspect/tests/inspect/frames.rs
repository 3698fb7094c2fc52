//! What frames show: buses that come and go, workers, restarts, and the warnings.

use super::{Directory, bus, get, publish};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Journal, Overflow, Queue};
use buslane_inspect::client::{Client, Target};
use buslane_inspect::warnings::Watch;
use buslane_inspect::{At, BusFrame, Frame, Inspector, SinkFrame, WarningKind};
use std::collections::HashSet;
use std::time::Duration;
use test_support::wait_for;

#[test]
fn buses_that_are_gone_are_not_shown() {
    let inspector = Inspector::new();
    let (one, other) = (bus(), bus());
    inspector.register("orders", &one);
    inspector.tap("orders", &other, |event| *event);
    let names = |inspector: &Inspector| {
        let buses = inspector.frame().buses.into_iter();
        buses.map(|bus| (bus.name, bus.tap)).collect::<Vec<_>>()
    };
    assert_eq!(names(&inspector), [("orders".to_owned(), false), ("orders (2)".to_owned(), true)]);
    let serving = inspector.serve(At::Loopback(0)).unwrap();
    drop(one);
    assert_eq!(names(&inspector), [("orders (2)".to_owned(), true)]);
    assert!(get(serving.at(), "/tap?bus=orders").starts_with("HTTP/1.1 404 "));
    let again = bus();
    inspector.register("orders", &again);
    assert_eq!(names(&inspector), [("orders (2)".to_owned(), true), ("orders".to_owned(), false)]);
    assert!(other.close().is_done());
    assert!(inspector.frame().buses[0].closed, "a closed bus with a handle is shown");
    drop((other, again));
    assert!(get(serving.at(), "/snapshot").contains("\"buses\":[]"));
}

#[test]
fn frames_equal_the_snapshot() {
    let (bus, gate) = (Bus::<u64>::new(), Gate::closed());
    let at = gate.clone();
    let queue = Queue::builder().capacity(8).overflow(Overflow::DropNewest).spawn(move |_| at.pass());
    bus.add_named("held", queue.unwrap()).unwrap();
    let (channel, _receiver) = Channel::lossy(4).unwrap();
    bus.add_named("channel", channel).unwrap();
    let journal = Journal::new(64).unwrap();
    let _subscriber = journal.subscription().name("late").subscribe().unwrap();
    bus.add_named("journal", journal).unwrap();
    let mut publisher = bus.publisher();
    publish(&mut publisher, 20);
    gate.wait_reached(1);
    let serving = Inspector::builder().register("orders", &bus).serve(At::Loopback(0)).unwrap();
    let frame = Client::connect(serving.at().into()).unwrap().snapshot().unwrap();
    let snapshot = bus.snapshot();
    assert_eq!((frame.buses.len(), frame.buses[0].publishers), (1, 1));
    for (sink, expected) in frame.buses[0].sinks.iter().zip(&snapshot.sinks) {
        let state = &expected.state;
        assert_eq!((&sink.name, &sink.kind), (&expected.name, &state.kind.to_string()));
        assert_eq!(format!("#{}", sink.id), expected.id.to_string());
        assert_eq!((sink.ledger, sink.depth, sink.capacity), (state.ledger, state.depth, state.capacity));
        assert_eq!((sink.high_water, sink.lanes), (state.high_water, state.lanes as u64));
    }
    let [held, channel, journal] = &frame.buses[0].sinks[..] else { panic!("three sinks") };
    assert!(held.in_handler_ms.is_some() && held.oldest_ms.is_some(), "{held:?}");
    assert_eq!((channel.ledger.dropped.full, channel.in_handler_ms), (16, None));
    assert_eq!((journal.subscribers[0].name.as_deref(), journal.subscribers[0].behind), (Some("late"), 20));
    gate.open();
    let client = Client::connect(serving.at().into()).unwrap();
    wait_for(|| client.snapshot().unwrap().buses[0].sinks[0].batches > 0);
}

#[test]
fn restart_on_the_same_path_is_another_process_run() {
    let (bus, directory) = (bus(), Directory::new());
    let target = Target::from(directory.at());
    let mut starts = HashSet::new();
    for _ in 0..3 {
        let serving = Inspector::builder().register("orders", &bus).serve(directory.at()).unwrap();
        let client = Client::connect(target.clone()).unwrap();
        let mut frames = client.follow(Duration::from_millis(100)).unwrap();
        let frame = frames.next().unwrap().unwrap();
        starts.insert(frame.started_ms);
        wait_for(|| {
            std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() > frame.started_ms.into()
        });
        serving.stop();
        wait_for(|| !matches!(frames.next(), Some(Ok(_))));
        assert!(frames.next().is_none() && !directory.socket().exists());
    }
    assert_eq!(starts.len(), 3);
}

#[test]
fn stream_warns_of_what_is_wrong() {
    let (bus, gate) = (Bus::<u64>::new(), Gate::closed());
    let at = gate.clone();
    let queue = Queue::builder().capacity(4).overflow(Overflow::DropNewest).spawn(move |_| at.pass());
    bus.add_named("held", queue.unwrap()).unwrap();
    let panicking = Queue::builder().spawn(|event: u64| assert_ne!(event % 2, 1, "odd\nsecond line"));
    bus.add_named("panicking", panicking.unwrap()).unwrap();
    let serving = Inspector::builder().register("orders", &bus).serve(At::Loopback(0)).unwrap();
    let mut publisher = bus.publisher();
    let mut kinds = HashSet::new();
    let client = Client::connect(serving.at().into()).unwrap();
    for frame in client.follow(Duration::from_millis(100)).unwrap() {
        publish(&mut publisher, 4);
        let warnings = frame.unwrap().warnings;
        assert!(
            warnings.iter().all(|warning| warning.bus == "orders" && !warning.text.contains('\n')),
            "{warnings:?}"
        );
        kinds.extend(warnings.iter().map(|warning| warning.kind));
        let all = [
            WarningKind::Stalled,
            WarningKind::Busy,
            WarningKind::Drops,
            WarningKind::Backlog,
            WarningKind::Filling,
            WarningKind::Panic,
        ];
        if all.iter().all(|kind| kinds.contains(kind)) {
            break;
        }
    }
    gate.open();
}

/// Returns a frame with one bus and one sink.
fn frame(publishers: u64, sink: SinkFrame) -> Frame {
    let bus = BusFrame { name: "orders".into(), publishers, sinks: vec![sink], ..BusFrame::default() };
    Frame { pid: 1, buses: vec![bus], ..Frame::default() }
}

fn kinds(watch: &mut Watch, frame: &Frame) -> Vec<WarningKind> {
    watch.observe(frame).into_iter().map(|warning| warning.kind).collect()
}

#[test]
fn publishers_that_rise_ten_times_are_a_warning() {
    let mut watch = Watch::new();
    for publishers in 0..10 {
        assert!(kinds(&mut watch, &frame(publishers, SinkFrame::default())).is_empty());
    }
    assert_eq!(kinds(&mut watch, &frame(10, SinkFrame::default())), [WarningKind::Publishers]);
    assert!(kinds(&mut watch, &frame(10, SinkFrame::default())).is_empty());
}

#[test]
fn imbalance_is_a_warning_at_rest_only() {
    let mut sink = SinkFrame::default();
    (sink.ledger.offered, sink.ledger.accepted, sink.ledger.delivered) = (2, 2, 1);
    let mut watch = Watch::new();
    assert!(kinds(&mut watch, &frame(1, sink.clone())).is_empty());
    assert_eq!(kinds(&mut watch, &frame(1, sink.clone())), [WarningKind::Imbalance]);
    sink.ledger.offered = 3;
    assert!(kinds(&mut watch, &frame(1, sink.clone())).is_empty());
    // A frame of another process is not compared with this one.
    let other = Frame { pid: 2, ..frame(1, sink) };
    assert!(kinds(&mut watch, &other).is_empty());
}

#[test]
fn warning_compares_the_same_sink_by_its_id() {
    let mut one = SinkFrame { id: 1, ..SinkFrame::default() };
    (one.ledger.offered, one.ledger.accepted, one.ledger.dropped.full) = (5, 5, 5);
    let mut watch = Watch::new();
    assert!(kinds(&mut watch, &frame(1, SinkFrame { id: 1, ..SinkFrame::default() })).is_empty());
    let later = SinkFrame { id: 2, ..one.clone() };
    assert!(kinds(&mut watch, &frame(1, later)).is_empty(), "another sink of the same name");
    let warnings = Watch::new().observe(&frame(1, one.clone()));
    assert!(warnings.is_empty(), "one frame shows no rise: {warnings:?}");
    one.status = buslane::stats::SinkStatus::Closed;
    assert_eq!(kinds(&mut Watch::new(), &frame(1, one)), [WarningKind::Closed]);
}
