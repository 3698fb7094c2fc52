//! Taps: permission, exact counts of what was lost, sampling, filters, limits and removal.

use super::{Directory, assert_unaffected, body, bus, connect, get, publish, serve, status};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Receiver, SinkExt};
use buslane_inspect::{At, Inspector};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use test_support::wait_for;

/// The lines of a tap.
struct Lines(BufReader<Box<dyn super::Socket>>);

impl Lines {
    /// Opens a tap, and returns when it is on the bus.
    fn open(at: &At, query: &str) -> Self {
        let mut stream = connect(at);
        // HTTP/1.0: the lines come without chunks.
        write!(stream, "GET /tap?{query} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the tap is refused");
        }
        let mut lines = Self(lines);
        let first = lines.next().unwrap();
        assert!(first["tap"]["sink"].as_str().unwrap().starts_with("tap:"), "{first}");
        lines
    }
}

impl Iterator for Lines {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then(|| serde_json::from_str(&line).unwrap())
    }
}

#[test]
fn tap_shows_every_event_or_counts_it_as_lost() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let mut lines = Lines::open(serving.at(), "bus=orders");
        let name = bus.snapshot().sinks[1].name.clone();
        assert!(name.starts_with("tap:"), "{name}");
        let mut publisher = bus.publisher();
        publish(&mut publisher, 10_000);
        let (mut seen, mut lost) = (0, 0);
        while seen + lost < 10_000 {
            let line = lines.next().expect("the tap continues");
            if let Some(event) = line["event"].as_str() {
                assert!(event.starts_with("order "), "{event}");
                seen += 1;
            } else {
                lost += line["lost"].as_u64().unwrap();
                assert_eq!(line["lost_total"].as_u64(), Some(lost));
            }
        }
        assert!(seen > 0);
        let ledger = bus.snapshot().sinks[1].state.ledger;
        assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.full), (10_000, seen, lost));
        drop(lines);
        wait_for(|| bus.snapshot().sinks.len() == 1);
        assert_unaffected(&bus);
    }
}

#[test]
fn tap_samples_filters_and_ends() {
    let (bus, directory) = (bus(), Directory::new());
    for serving in serve(&bus, &directory) {
        let mut publisher = bus.publisher();
        let events = |lines: Lines| -> Vec<String> {
            lines.map(|line| line["event"].as_str().map_or_else(|| line.to_string(), str::to_owned)).collect()
        };
        let sampled = Lines::open(serving.at(), "bus=orders&every=10&most=3");
        publish(&mut publisher, 50);
        assert_eq!(events(sampled), ["order 0", "order 10", "order 20", r#"{"end":"most"}"#]);
        wait_for(|| bus.snapshot().sinks.len() == 1);

        let filtered = Lines::open(serving.at(), "bus=orders&contains=r+4&most=4");
        publish(&mut publisher, 50);
        assert_eq!(events(filtered), ["order 4", "order 40", "order 41", "order 42", r#"{"end":"most"}"#]);
        wait_for(|| bus.snapshot().sinks.len() == 1);
    }
}

#[test]
fn tap_needs_permission_and_a_bus() {
    let (open, private) = (bus(), bus());
    let inspector = Inspector::builder().tap("open", &open, |event| *event).register("private", &private);
    let serving = inspector.serve(At::Loopback(0)).unwrap();
    let refused = get(serving.at(), "/tap?bus=private");
    assert_eq!(status(&refused), 403);
    assert_eq!(body(&refused), "the service does not permit to tap the bus \"private\"\n");
    assert_eq!(private.sink_count(), 1, "nothing was put on the bus");
    assert_eq!(status(&get(serving.at(), "/tap?bus=other")), 404);
    assert!(open.close().is_done());
    assert_eq!(status(&get(serving.at(), "/tap?bus=open")), 410);
    drop(open);
    assert!([404, 410].contains(&status(&get(serving.at(), "/tap?bus=open"))));
    assert_unaffected(&private);
}

#[test]
fn more_than_four_taps_are_refused() {
    let (bus, directory) = (bus(), Directory::new());
    let [port, socket] = serve(&bus, &directory);
    let mut taps: Vec<_> =
        [&port, &socket, &port, &socket].map(|it| Lines::open(it.at(), "bus=orders")).into();
    assert_eq!(status(&get(port.at(), "/tap?bus=orders")), 429);
    assert_eq!(bus.snapshot().sinks.len(), 5);
    taps.pop();
    wait_for(|| bus.snapshot().sinks.len() == 4);
    taps.push(Lines::open(port.at(), "bus=orders"));
    assert!(bus.publish(7).unwrap().is_complete());
    for tap in &mut taps {
        assert_eq!(tap.next().unwrap()["event"], "order 7");
    }
    assert_unaffected(&bus);
    drop((port, socket));
    wait_for(|| bus.snapshot().sinks.len() == 1);
}

#[test]
fn tap_ends_with_its_bus() {
    let (closed, gone) = (bus(), bus());
    let inspector = Inspector::builder().tap("closed", &closed, |event| *event).tap_json("gone", &gone);
    let serving = inspector.serve(At::Loopback(0)).unwrap();
    let [of_closed, of_gone] = ["bus=closed", "bus=gone"].map(|query| Lines::open(serving.at(), query));
    assert!(closed.publish(1).unwrap().is_complete());
    assert!(gone.publish(2).unwrap().is_complete());
    assert!(closed.close().is_done());
    drop(gone);
    assert_eq!(
        of_closed.map(|it| it.to_string()).collect::<Vec<_>>(),
        [r#"{"event":1}"#, r#"{"end":"closed"}"#]
    );
    assert_eq!(of_gone.map(|it| it.to_string()).collect::<Vec<_>>(), [r#"{"event":2}"#, r#"{"end":"gone"}"#]);
}

#[test]
fn rendering_that_fails_ends_no_service() {
    let bus = Bus::<u64>::new();
    let render = |event: &u64| match event {
        0 => panic!("no text for 0"),
        1 => "x".repeat(100_000),
        other => format!("<script>{other}</script>\n"),
    };
    let serving = Inspector::builder().tap("orders", &bus, render).serve(At::Loopback(0)).unwrap();
    let lines = Lines::open(serving.at(), "bus=orders&most=1");
    publish(&mut bus.publisher(), 3);
    let lines: Vec<_> = lines.map(|line| line.to_string()).collect();
    assert_eq!(lines[0], r#"{"error":"the rendering of the event panicked"}"#);
    assert_eq!(lines[1], r#"{"too_large":100002}"#);
    assert_eq!(lines[2], r#"{"event":"<script>2</script>\n"}"#);
    assert_eq!(lines.len(), 4);
    assert_eq!(status(&get(serving.at(), "/snapshot")), 200);
}

/// A destructor of user code that waits at a gate.
struct Slow(Gate);

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.pass();
    }
}

/// Adds a channel to a bus whose sink owns a value.
fn add_owning<T: Send + Sync + 'static>(bus: &Bus<u64>, value: T) -> Receiver<u64> {
    let (channel, receiver) = Channel::lossy(1).unwrap();
    bus.add(channel.filter(move |_| {
        let _ = &value;
        true
    }))
    .unwrap();
    receiver
}

#[test]
fn tap_that_ends_its_bus_stalls_no_connection() {
    let (bus, gate) = (Bus::<u64>::new(), Gate::closed());
    let serving = Inspector::builder().tap("orders", &bus, |event| *event).serve(At::Loopback(0)).unwrap();
    let _kept = add_owning(&bus, Slow(gate.clone()));
    // The last handle of the user. The tap's call into the bus drops it, with the closed sink.
    drop(add_owning(&bus, bus.clone()));
    drop(bus);
    let mut lines = Lines::open(serving.at(), "bus=orders");
    gate.wait_reached(1);
    assert_eq!(status(&get(serving.at(), "/snapshot")), 200);
    gate.open();
    let end = lines.next().unwrap()["end"].clone();
    assert!(end == "closed" || end == "gone", "{end}");
    drop(serving);
}
