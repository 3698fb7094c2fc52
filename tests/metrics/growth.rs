//! Counters never decrease while publishers run.

use buslane::journal::{Entry, Sequence, Start, Until};
use buslane::stats::metrics::{Kind, Value};
use buslane::{Bus, Channel, Journal, Overflow, Queue, Sink, SinkExt, sink_fn};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use test_support::{GUARD, ends};

const PUBLISHERS: usize = 2;
const EVENTS: u64 = 20_000;

/// The counters of a bus, by family and labels.
type Counters = HashMap<String, u64>;

fn counters(bus: &Bus<u64>) -> Counters {
    let snapshot = bus.snapshot();
    let counters = snapshot.measurements("telemetry").filter(|it| it.family.kind == Kind::Counter);
    counters
        .map(|it| {
            let labels: Vec<_> = it.labels.iter().map(|label| label.value.as_ref()).collect();
            let Value::Integer(count) = it.value else { panic!("{} is not an integer", it.family.name) };
            (format!("{} {}", it.family.name, labels.join(" ")), count)
        })
        .collect()
}

/// Publishes from several threads, also through dropped and new publishers, then closes the bus, and
/// compares each snapshot with the one before. What is kept `open` is dropped before the close.
#[track_caller]
fn assert_counters_grow(bus: &Bus<u64>, open: impl Sized) {
    let running = AtomicUsize::new(PUBLISHERS);
    let mut before = counters(bus);
    let mut compare = || {
        let now = counters(bus);
        for (series, count) in &now {
            let earlier = before.get(series).copied().unwrap_or(0);
            assert!(*count >= earlier, "{series}: {earlier}, then {count}");
        }
        before = now;
    };
    thread::scope(|scope| {
        for _ in 0..PUBLISHERS {
            scope.spawn(|| {
                for round in 0..10 {
                    let mut publisher = bus.publisher();
                    for number in 0..EVENTS / 20 {
                        let _ = publisher.publish(round * EVENTS + number).unwrap();
                        let _ = bus.publish(number).unwrap();
                    }
                }
                running.fetch_sub(1, Ordering::Release);
            });
        }
        while running.load(Ordering::Acquire) > 0 {
            compare();
        }
    });
    drop(open);
    compare();
    assert!(bus.close_timeout(GUARD).is_done());
    compare();
}

#[test]
fn counters_of_every_kind_of_sink_grow() {
    let bus = Bus::new();
    let fail = |number: u64| if number.is_multiple_of(7) { Err("seven") } else { Ok(()) };
    bus.add_named("queue", Queue::builder().capacity(64).spawn(fail).unwrap()).unwrap();
    let blocking = Queue::builder().capacity(8).overflow(Overflow::Block);
    bus.add_named("filtered", blocking.spawn(|_: u64| ()).unwrap().filter(|n: &u64| !n.is_multiple_of(3)))
        .unwrap();
    let workers = Queue::builder().capacity(64).workers(2).spawn_each(|_| |_: u64| ()).unwrap();
    bus.add_named("workers", workers).unwrap();
    let (evicting, unread) = Channel::builder().capacity(16).overflow(Overflow::DropOldest).build().unwrap();
    bus.add_named("evicting", evicting).unwrap();
    let (refusing, mut receiver) =
        Channel::builder().capacity(64).overflow(Overflow::Refuse).build().unwrap();
    bus.add_named("refusing", refusing).unwrap();
    let reader = thread::spawn(move || while receiver.recv().is_ok() {});
    bus.add_named("direct", sink_fn(move |number: &u64| fail(*number))).unwrap();
    bus.add_named("mapped", sink_fn(|_: &String| ()).map(|number: &u64| number.to_string())).unwrap();
    let journal = Journal::new(128).unwrap();
    let mut subscriber = journal.subscription().name("audit").start(Start::Oldest).subscribe().unwrap();
    let subscribed = thread::spawn(move || while subscriber.recv().is_ok() {});
    bus.add_named("journal", journal).unwrap();
    assert_counters_grow(&bus, unread);
    ends(move || [reader, subscribed].map(|thread| thread.join().unwrap()));
}

#[test]
fn counters_of_chains_grow() {
    use buslane::retry::Backoff;
    let backoff = Backoff::new(Duration::from_micros(1), Duration::from_micros(1)).max_attempts(2);
    let fail = |number: &u64| if number.is_multiple_of(7) { Err("seven") } else { Ok(()) };
    let bus = Bus::new();
    let inner = || Queue::builder().capacity(64).spawn(move |number: u64| fail(&number)).unwrap();
    bus.add_named("queue of a queue", Queue::builder().capacity(64).spawn_sink(inner()).unwrap()).unwrap();
    bus.add_named("retry", sink_fn(fail).retry(backoff.clone()).queue(64).unwrap()).unwrap();
    bus.add_named("retry of a queue", inner().retry(backoff.clone())).unwrap();
    let batches = sink_fn(|batch: &Vec<u64>| if batch.len() > 7 { Err("long") } else { Ok(()) });
    bus.add_named("batch", batches.batch(8).queue(64).unwrap()).unwrap();
    let lossy = Queue::builder().capacity(1).spawn(|_: Vec<u64>| ()).unwrap();
    bus.add_named("batch of a lossy queue", lossy.batch(4).queue(64).unwrap()).unwrap();
    let keyed = sink_fn(fail).retry_by_key(|number: &u64| number % 4, backoff.clone());
    bus.add_named("retry by key", keyed.queue(64).unwrap()).unwrap();
    let keyed = inner().retry_by_key(|number: &u64| number % 4, backoff.clone());
    bus.add_named("retry by key of a queue", keyed.queue(64).unwrap()).unwrap();
    bus.add_named("tee", inner().tee(inner())).unwrap();
    bus.add_named("caught", inner().catch_panic()).unwrap();
    assert_counters_grow(&bus, ());
}

/// Returns the counters of a subscriber, its lag, and whether it has ended.
fn subscriber(bus: &Bus<u64>) -> [u64; 7] {
    let snapshot = bus.snapshot();
    let of = |name: &str| {
        let name = format!("buslane_subscriber_{name}");
        let found = snapshot.measurements("telemetry").find(|it| it.family.name == name);
        found.map(|it| it.value.as_f64() as u64).unwrap()
    };
    ["offered_events_total", "delivered_events_total", "filtered_events_total", "missed_events_total"]
        .into_iter()
        .chain(["panicked_events_total", "lag_events", "ended"])
        .map(of)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

fn publish(bus: &Bus<u64>, events: std::ops::Range<u64>) {
    events.for_each(|event| assert!(bus.publish(event).unwrap().is_complete()));
}

#[test]
fn counters_of_an_ended_subscriber_keep_their_value() {
    let time = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let journal = Journal::builder().capacity(128).time_by(move |event| time(*event)).build().unwrap();
    let bus = Bus::new();
    bus.add_named("journal", journal.clone()).unwrap();
    let named = || journal.subscription().name("audit");
    // By position: events after the last one never count.
    let mut reader = named().until(Until::Sequence(Sequence::new(4))).subscribe().unwrap();
    publish(&bus, 0..50);
    assert_eq!(subscriber(&bus), [5, 0, 0, 0, 0, 5, 0]);
    assert_eq!((reader.behind(), reader.iter().count(), reader.behind()), (5, 5, 0));
    assert_eq!(subscriber(&bus), [5, 5, 0, 0, 0, 0, 1]);
    drop(reader);
    // By time, unknown before the events are read: those that counted before the end are filtered.
    let mut reader = named().until(Until::Time(time(54))).subscribe().unwrap();
    publish(&bus, 50..60);
    assert_eq!(subscriber(&bus), [10, 0, 0, 0, 0, 10, 0]);
    assert_eq!(reader.iter().count(), 5);
    assert_eq!(subscriber(&bus), [10, 5, 5, 0, 0, 0, 1]);
    publish(&bus, 60..70);
    assert_eq!(subscriber(&bus), [10, 5, 5, 0, 0, 0, 1], "events after the end do not count");
    drop(reader);
    // By a lag.
    let mut reader = named().end_on_lag().subscribe().unwrap();
    publish(&bus, 70..1070);
    assert_eq!(subscriber(&bus)[0], 1000);
    let Some(Entry::Lagged(missed)) = reader.iter().next() else {
        panic!("it reads to the end of the journal")
    };
    assert_eq!(subscriber(&bus), [1000, 0, 1000 - missed, missed, 0, 0, 1]);
    drop(reader);
    // Without a snapshot in between, as the documentation says.
    let mut reader = named().until(Until::Time(time(1074))).subscribe().unwrap();
    publish(&bus, 1070..1080);
    assert_eq!(reader.iter().count(), 5);
    assert_eq!(subscriber(&bus), [5, 5, 0, 0, 0, 0, 1]);
}

#[test]
fn counters_of_a_keyed_retry_grow_while_events_end() {
    use buslane::retry::Backoff;
    let backoff = Backoff::new(Duration::from_nanos(1), Duration::from_nanos(1)).max_attempts(2);
    // Each event fails once.
    let attempts = AtomicUsize::new(0);
    let inner = move |_: &u64| {
        if attempts.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { Err("once") } else { Ok(()) }
    };
    let retry = Arc::new(sink_fn(inner).retry_by_key(|_: &u64| 0, backoff));
    let bus = Bus::new();
    bus.add_named("retry", retry.clone()).unwrap();
    let ending = thread::spawn(move || {
        for event in 0..EVENTS {
            retry.write(event).unwrap();
            while retry.tick(Instant::now()).is_some() {}
        }
    });
    let mut before = counters(&bus);
    while !ending.is_finished() {
        let now = counters(&bus);
        now.iter().for_each(|(series, count)| {
            assert!(*count >= before[series], "{series}: {count}, then {before:?}")
        });
        before = now;
    }
    ending.join().unwrap();
}
