//! A queue that is ordered by a key: the events of each key in order, for any number of workers.

use buslane::queue::QueueBuilder;
use buslane::stats::{Finish, SinkStatus};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use test_support::{
    Entry, Log, Outcome, WAYS, assert_balanced, flush, lane, limit, outcome, wait_for, waits,
};

/// A key, its publisher, and an increasing number.
type Event = (u64, usize, u64);

/// Returns a builder of a queue with four workers, ordered by the key.
fn by_key() -> QueueBuilder<Event> {
    Queue::builder().workers(4).ordered_by(|(key, _, _): &Event| *key)
}

#[test]
fn each_key_keeps_its_order_with_four_workers() {
    const EVENTS: u64 = 4_000;
    let seen = Arc::new(Mutex::new(Vec::<HashMap<(u64, usize), u64>>::new()));
    let queue = by_key()
        .capacity(64)
        .overflow(Overflow::Block)
        .spawn_each(|worker| {
            seen.lock().unwrap().push(HashMap::new());
            let seen = seen.clone();
            move |(key, publisher, n): Event| {
                let last = seen.lock().unwrap()[worker].insert((key, publisher), n);
                assert!(last.is_none_or(|last| last < n), "key {key} of {publisher}: {n} after {last:?}");
            }
        })
        .unwrap();
    let bus = Bus::new();
    bus.add(queue.clone()).unwrap();
    thread::scope(|scope| {
        for number in 0..4 {
            let (mut publisher, queue) = (bus.publisher(), queue.clone());
            scope.spawn(move || {
                for n in 0..EVENTS {
                    if number == 3 {
                        queue.write((n % 17, number, n)).unwrap();
                    } else {
                        let _ = publisher.publish((n % 17, number, n)).unwrap();
                    }
                }
            });
        }
    });
    let report = bus.close();
    assert!(report.is_done(), "{report}");
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.total()), (4 * EVENTS, 0));
    let seen = seen.lock().unwrap();
    for key in 0..17 {
        let workers = seen.iter().filter(|map| map.keys().any(|(known, _)| *known == key)).count();
        assert_eq!(workers, 1, "key {key} belongs to one worker");
    }
    assert!(seen.iter().filter(|map| !map.is_empty()).count() > 1, "one worker owns all 17 keys");
}

#[test]
fn stuck_key_stalls_only_its_worker() {
    let (gate, log) = (Gate::closed(), Log::new());
    let queue = by_key()
        .spawn_each(|_| {
            let (gate, log) = (gate.clone(), log.clone());
            move |(key, _, n): Event| {
                if n == 0 {
                    gate.pass();
                }
                log.push(key);
            }
        })
        .unwrap();
    queue.write((0, 0, 0)).unwrap();
    gate.wait_reached(1);
    (0..100).for_each(|key| queue.write((key, 0, 1)).unwrap());
    // Some of a hundred keys belong to the other workers, and none of these waits.
    wait_for(|| log.entries().len() > 10);
    assert!(!log.entries().contains(&0));
    gate.open();
    flush(&queue);
    assert_eq!(log.entries().len(), 101);
    assert!(queue.close().is_done());
    assert_balanced(&queue.state());
}

#[test]
fn expired_close_counts_events_of_a_stuck_worker() {
    let gate = Gate::closed();
    let queue = by_key()
        .spawn_each(|_| {
            let gate = gate.clone();
            move |(_, _, n): Event| {
                if n == 1 {
                    gate.pass();
                }
            }
        })
        .unwrap();
    queue.write((7, 0, 1)).unwrap();
    gate.wait_reached(1);
    // These events wait, because they have the same key.
    (2..5).for_each(|n| queue.write((7, 0, n)).unwrap());
    assert_eq!(queue.flush_timeout(Duration::from_millis(1)).finish, Finish::TimedOut);
    let report = queue.close_timeout(limit::scaled(Duration::from_millis(200)));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 4));
    assert!(matches!(&report.unfinished[..], [one] if one.starts_with("worker ")), "{report}");
    assert_eq!(assert_balanced(&queue.state()).pending, 4);
    assert_eq!(queue.state().status, SinkStatus::Closed);
    gate.open();
    wait_for(|| queue.state().status == SinkStatus::Drained);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.aborted), (1, 3));
}

#[test]
fn each_worker_applies_every_overflow_policy() {
    for way in WAYS {
        for overflow in [
            Overflow::DropNewest,
            Overflow::DropOldest,
            Overflow::Refuse,
            Overflow::Block,
            Overflow::BlockFor(Duration::from_millis(1)),
            Overflow::Close,
        ] {
            let gate = Gate::closed();
            let queue = by_key()
                .capacity(2)
                .overflow(overflow)
                .spawn_each(|_| {
                    let gate = gate.clone();
                    move |_: Event| gate.pass()
                })
                .unwrap();
            // The event uses a private lane, so that it takes no room in the others.
            lane(&queue).push((1, 0, 0), Deadline::NOW).unwrap();
            gate.wait_reached(1);
            let mut entry = Entry::into(&queue, way);
            (0..2).for_each(|n| entry.write((1, 0, n)).unwrap());
            let event = (1, 0, 2);
            let what = format!("{overflow:?} {way:?}");
            if overflow == Overflow::Block {
                let blocked = waits(move || outcome(entry.write(event)));
                gate.open();
                assert_eq!(blocked.join().unwrap(), Outcome::Accepted, "{what}");
            } else {
                let came_to = outcome(entry.write(event));
                match overflow {
                    Overflow::Refuse => assert_eq!(came_to, Outcome::Full(event), "{what}"),
                    Overflow::BlockFor(_) => assert_eq!(came_to, Outcome::Timeout(event), "{what}"),
                    Overflow::Close => assert_eq!(came_to, Outcome::Closed(event), "{what}"),
                    _ => assert_eq!(came_to, Outcome::Accepted, "{what}"),
                }
                if overflow == Overflow::Close {
                    // A key that is disconnected at one worker is disconnected at all of them, even
                    // while that worker is stuck.
                    assert!((0..100).all(|key| queue.write((key, 0, 0)).is_err()));
                }
                gate.open();
            }
            assert!(queue.close().is_done(), "{what}");
            let ledger = assert_balanced(&queue.state());
            assert_eq!(ledger.delivered, if overflow == Overflow::Block { 4 } else { 3 }, "{what}");
        }
    }
}

#[test]
fn key_and_handler_panics_cost_only_their_events() {
    let queue = Queue::builder()
        .workers(2)
        .ordered_by(|event: &u64| {
            assert_ne!(*event, 13, "no key");
            *event
        })
        .spawn_each(|_| |event: u64| assert_ne!(event, 7, "not this one"))
        .unwrap();
    for way in WAYS {
        let mut entry = Entry::into(&queue, way);
        (0..20).for_each(|event| entry.write(event).unwrap());
    }
    flush(&queue);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.panicked), (40, 36, 4));
    assert!(queue.close().is_done());
}

#[test]
fn unbounded_keyed_queue_handles_every_event() {
    for workers in [1, 3] {
        let log = Log::new();
        let queue = Queue::builder()
            .workers(workers)
            .unbounded()
            .ordered_by(|event: &u64| event % 5)
            .spawn_each(|_| {
                let log = log.clone();
                move |event: u64| log.push(event)
            })
            .unwrap();
        for way in WAYS {
            let mut entry = Entry::into(&queue, way);
            (0..100).for_each(|event| entry.write(event).unwrap());
        }
        flush(&queue);
        assert_eq!(log.entries().len(), 200);
        assert_eq!(assert_balanced(&queue.state()).delivered, 200);
        drop(queue);
    }
}

#[test]
fn removed_queue_receives_no_more_bus_events() {
    let bus = Bus::new();
    let queue = by_key().spawn_each(|_| |_: Event| {}).unwrap();
    let id = bus.add(queue.clone()).unwrap();
    let mut publisher = bus.publisher();
    (0..10).for_each(|key| assert!(publisher.publish((key, 0, 0)).is_ok()));
    bus.remove(id).unwrap();
    for key in 0..10 {
        let _ = publisher.publish((key, 0, 1));
    }
    assert_eq!(queue.state().status, SinkStatus::Open, "the removal detaches the queue without closing it");
    queue.write((1, 0, 2)).unwrap();
    assert!(queue.close().is_done());
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.accepted, ledger.delivered), (11, 11));
}
