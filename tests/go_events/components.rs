//! The tests of go-events itself.

use crate::{assert_all, at_once, check_close};
use buslane::bus::Removed;
use buslane::error::{ConfigErrorKind, RecvError, RemoveError, TryRecvError};
use buslane::testing::{Collect, Gate};
use buslane::{Bus, Channel, Overflow, Queue, Sink, SinkExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use test_support::{GUARD, assert_balanced, ends, invalid, waits};

const SINKS: usize = 10;
const EVENTS: u64 = 1000;

/// TestBroadcaster.
#[test]
fn broadcaster_delivers_once_to_sinks_added_twice() {
    let bus = Bus::new();
    let sinks: Vec<Collect<u64>> = (0..SINKS).map(|_| Collect::new()).collect();
    let add = |sink: &Collect<u64>| {
        let id = bus.add(sink.clone()).unwrap();
        assert_eq!(bus.add(sink.clone()), Ok(id), "a second add returns the same entry");
        id
    };
    let ids: Vec<_> = sinks.iter().map(add).collect();
    assert_eq!(bus.sink_count(), SINKS);

    at_once(EVENTS, |n| assert_eq!(bus.publish(n).unwrap().accepted, SINKS));

    for id in &ids {
        assert_eq!(bus.remove(*id), Ok(Removed::Quiet));
        assert_eq!(bus.remove(*id), Err(RemoveError::Unknown));
    }
    assert_eq!(bus.publish(EVENTS).unwrap().accepted, 0, "an event was accepted without sinks");
    assert!(!sinks.iter().any(Collect::is_closed), "a removal closed a sink");

    for sink in &sinks {
        add(sink);
    }
    check_close(&bus, EVENTS);
    for sink in sinks {
        assert!(sink.is_closed());
        assert_all(sink.taken(), EVENTS);
    }
}

/// The same with a publisher per thread and with queues, which are sinks with lanes.
#[test]
fn broadcaster_with_queues_delivers_the_same() {
    let bus = Bus::new();
    let sinks: Vec<Collect<u64>> = (0..SINKS).map(|_| Collect::new()).collect();
    let queues: Vec<Queue<u64>> = sinks.iter().map(|sink| sink.clone().queue(1024).unwrap()).collect();
    let ids: Vec<_> = queues.iter().map(|queue| bus.add(queue.clone()).unwrap()).collect();
    queues.iter().zip(&ids).for_each(|(queue, id)| assert_eq!(bus.add(queue.clone()), Ok(*id)));
    thread::scope(|scope| {
        for first in 0..8 {
            let mut publisher = bus.publisher();
            scope.spawn(move || {
                for n in (first..EVENTS).step_by(8) {
                    assert_eq!(publisher.publish(n).unwrap().accepted, SINKS);
                }
            });
        }
    });
    ids.iter().for_each(|id| assert_eq!(bus.remove(*id), Ok(Removed::Quiet)));
    assert_eq!(bus.publisher().publish(EVENTS).unwrap().accepted, 0);
    for queue in &queues {
        bus.add(queue.clone()).unwrap();
    }
    check_close(&bus, EVENTS);
    for (sink, queue) in sinks.into_iter().zip(queues) {
        assert!(sink.is_closed());
        assert_all(sink.taken(), EVENTS);
        assert_eq!(assert_balanced(&queue.state()).delivered, EVENTS);
    }
}

/// TestChannel. In go-events the channel has no buffer. Here the smallest capacity is one.
#[test]
fn channel_accepts_writers_until_it_is_closed() {
    assert_eq!(invalid(Channel::<u64>::lossy(0)), ConfigErrorKind::Capacity);
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    let reader = thread::spawn(move || {
        let received: Vec<u64> = receiver.iter().collect();
        (received, receiver.recv())
    });
    let write_all = |accepted: bool| {
        thread::scope(|scope| {
            for n in 0..100 {
                let channel = &channel;
                scope.spawn(move || match channel.write(n) {
                    Ok(()) => assert!(accepted),
                    Err(error) => assert!(!accepted && error.is_closed() && error.into_event() == n),
                });
            }
        });
    };
    write_all(true);
    check_close(&channel, 100);
    write_all(false);
    let (received, end) = ends(move || reader.join().unwrap());
    assert_all(received, 100);
    assert_eq!(end, Err(RecvError::Closed), "as Done reports in go-events");
}

/// TestFilter.
#[test]
fn filter_passes_the_even_numbers() {
    let seen = Collect::new();
    let filter = seen.clone().filter(|n: &u64| n.is_multiple_of(2));
    (0..100).for_each(|n| filter.write(n).unwrap());
    check_close(&filter, 100);
    assert!(seen.is_closed());
    assert!(seen.taken().into_iter().eq((0..100).step_by(2)));
}

/// Use that go-events forbids: "no methods on filter are goroutine safe".
#[test]
fn e12_a_filter_is_used_and_closed_by_many_threads() {
    let seen = Collect::new();
    let filter = Arc::new(seen.clone().filter(|n: &u64| n.is_multiple_of(2)));
    let passed = AtomicU64::new(0);
    at_once(1000, |n| {
        if n == 500 {
            check_close(&filter, n);
        } else if filter.write(n).is_ok() && n.is_multiple_of(2) {
            passed.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(seen.len() as u64, passed.into_inner());
    check_close(&filter, 1);
}

/// TestQueue: the sink is slow because it waits at a gate.
#[test]
fn queue_close_waits_for_writes_to_a_slow_sink() {
    let (gate, seen) = (Gate::closed(), Collect::new());
    let handler = {
        let (gate, seen) = (gate.clone(), seen.clone());
        move |n: u64| {
            gate.pass();
            seen.write(n).unwrap();
        }
    };
    let queue = Queue::builder().capacity(1024).overflow(Overflow::Refuse).spawn(handler).unwrap();
    at_once(EVENTS, |n| queue.write(n).unwrap());
    assert!(seen.is_empty(), "a write waited for the sink");
    let closing = waits({
        let (queue, seen) = (queue.clone(), seen.clone());
        move || (queue.close_timeout(GUARD), seen.len() as u64)
    });
    gate.open();
    let (report, flushed) = closing.join().unwrap();
    assert!(report.is_done() && flushed == EVENTS, "{report}: {flushed}");
    check_close(&queue, EVENTS);
    assert_all(seen.taken(), EVENTS);
}

/// The same without a bound, as in go-events, and with a sink that the queue closes.
#[test]
fn unbounded_queue_closes_its_sink_after_last_event() {
    let (gate, seen) = (Gate::closed(), Collect::new());
    let queue = Queue::builder().unbounded().spawn_sink(gate.before(seen.clone())).unwrap();
    at_once(EVENTS, |n| queue.write(n).unwrap());
    gate.open();
    check_close(&queue, EVENTS);
    assert!(seen.is_closed());
    assert_all(seen.taken(), EVENTS);
}

/// A thread that writes and then reads gets what it wrote: no event is in flight between two calls
/// on one thread.
#[test]
fn a_channel_hands_over_what_was_written_before() {
    let (channel, mut receiver) = Channel::lossy(1).unwrap();
    for n in 0..100 {
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        channel.write(n).unwrap();
        assert_eq!(receiver.try_recv(), Ok(n));
    }
}
