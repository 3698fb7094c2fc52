//! One test for each defect, of go-events and of code built on it, in closing, removing and adding.

use buslane::error::{AddError, RecvError};
use buslane::retry::Backoff;
use buslane::stats::{CloseReport, Finish};
use buslane::testing::{Collect, Gate, ManualClock};
use buslane::time::Deadline;
use buslane::{Bus, Channel, Overflow, Queue, Sink, SinkExt, WriteError, sink_fn};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use test_support::{Drops, GUARD, Log, assert_balanced, ends, wait_for, waits};

/// In go-events, a close never ends when the sink blocks or is retried without limit, and the right
/// order of closes contradicts the flush.
#[test]
fn e4_close_ends_at_its_limit_whatever_the_sink_does() {
    let gate = Gate::closed();
    let at = gate.clone();
    let queue = Queue::builder().spawn(move |_: u32| at.pass()).unwrap();
    (0..10).for_each(|n| queue.write(n).unwrap());
    gate.wait_reached(1);
    let report = ends({
        let queue = queue.clone();
        move || queue.close_timeout(Duration::from_millis(1))
    });
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 10));
    gate.open();
    // The remaining events are dropped and counted, and not handled later.
    wait_for(|| queue.state().ledger.pending == 0);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.aborted), (1, 9));
}

/// A sink that supports an abort returns at once.
#[test]
fn e4_expired_close_reaches_a_waiting_sink() {
    let (gate, seen) = (Gate::closed(), Collect::new());
    let bus = Bus::new();
    bus.add(Queue::builder().spawn_sink(gate.before(seen.clone())).unwrap()).unwrap();
    let _ = bus.publish(1).unwrap();
    gate.wait_reached(1);
    let report = bus.close_timeout(Duration::ZERO);
    assert_eq!(report.finish, Finish::TimedOut);
    wait_for(|| seen.is_closed());
    assert_eq!((seen.len(), gate.waiting()), (0, 0), "the abort ended the wait at the gate");
}

/// The three-way deadlock between a queue's close, an unread channel, and the removal.
#[test]
fn e4_queue_into_an_unread_channel_closes() {
    for order in 0..3 {
        let bus = Bus::new();
        let (channel, receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
        let queue = channel.clone().queue(64).unwrap();
        let id = bus.add(queue.clone()).unwrap();
        for n in 0..10 {
            let _ = bus.publish(n).unwrap();
        }
        ends(move || match order {
            0 => {
                bus.remove(id).unwrap();
                channel.close();
                assert_eq!(queue.close_timeout(GUARD).finish, Finish::Done);
            }
            1 => {
                assert_eq!(queue.close_timeout(GUARD).finish, Finish::Done);
                channel.close();
                let _ = bus.remove(id);
            }
            _ => assert_eq!(bus.close_timeout(GUARD).finish, Finish::Done),
        });
        drop(receiver);
    }
}

/// In go-events, a write after the close may be accepted at random, the stream has no end, and a
/// reader that sees both concurrently may leave events unread.
#[test]
fn e8_closed_channel_refuses_and_drains_the_rest() {
    for _ in 0..100 {
        let (channel, mut receiver) = Channel::lossy(8).unwrap();
        (0..4).for_each(|n| channel.write(n).unwrap());
        channel.close();
        assert!((0..4).all(|n| matches!(channel.write(n), Err(WriteError::Closed(back)) if back == n)));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
    }
}

/// A sink whose close waits at a gate.
struct SlowToClose {
    gate: Gate,
    seen: Collect<u64>,
}

impl Sink<u64> for SlowToClose {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        self.seen.write(event)
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.gate.pass();
        self.seen.close_by(deadline)
    }
}

/// In go-events, a second close returns while the first one is in progress, and writers wait for
/// the lock that it holds.
#[test]
fn e9_closes_wait_for_the_end_and_writers_do_not() {
    let (gate, seen) = (Gate::closed(), Collect::new());
    let queue = SlowToClose { gate: gate.clone(), seen: seen.clone() }.queue(64).unwrap();
    (0..10).for_each(|n| queue.write(n).unwrap());
    let close = || {
        let (queue, seen) = (queue.clone(), seen.clone());
        waits(move || (queue.close_timeout(GUARD), seen.is_closed(), seen.len()))
    };
    let first = close();
    gate.wait_reached(1);
    let second = close();
    let late = ends({
        let queue = queue.clone();
        move || queue.write(10)
    });
    assert!(matches!(late, Err(WriteError::Closed(10))));
    gate.open();
    let reports = [first, second].map(|closing| closing.join().unwrap());
    assert_eq!(reports[0], (CloseReport::done(), true, 10));
    assert_eq!(reports[1], reports[0]);
}

/// In go-events, a broadcaster starts a goroutine when it is created, which runs until the
/// broadcaster is closed.
#[test]
fn e15_a_bus_that_is_forgotten_leaves_nothing_behind() {
    let drops = Drops::default();
    let bus = Bus::<u32>::new();
    let weak = bus.downgrade();
    let (direct, queued) = (drops.track(1), drops.track(2));
    bus.add(sink_fn(move |_: &u32| {
        let _ = &direct;
    }))
    .unwrap();
    bus.add(
        Queue::builder()
            .spawn(move |_: u32| {
                let _ = &queued;
            })
            .unwrap(),
    )
    .unwrap();
    let receiver = bus.subscribe_lossy(8).unwrap();
    let _ = bus.publish(1).unwrap();
    drop(bus);
    wait_for(|| drops.ids() == [1, 2]);
    assert!(weak.upgrade().is_none());
    let mut receiver = receiver;
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Closed)));
}

/// In swarmkit, a goroutine copies events for a reader that has stopped reading, and never ends. A
/// stream is closed only on request.
#[test]
fn e39_dropped_reader_releases_waiters_and_ends() {
    let bus = Bus::new();
    let (channel, receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    bus.add(channel).unwrap();
    let mut other = bus.subscribe_lossy(8).unwrap();
    let _ = bus.publish(0).unwrap();
    let blocked = waits({
        let mut publisher = bus.publisher();
        move || (0..3).map(|n| publisher.publish(n).unwrap().accepted).sum::<usize>()
    });
    drop(receiver);
    assert!(blocked.join().unwrap() >= 3, "the other reader gets every event");
    assert_eq!((bus.publish(3).unwrap().accepted, bus.sink_count()), (1, 1));
    assert!(bus.close().is_done());
    // The events came through two lanes, and each keeps its own order.
    let mut read: Vec<_> = other.iter().collect();
    read.sort_unstable();
    assert_eq!(read, [0, 0, 1, 2, 3]);
    assert_eq!(other.recv(), Err(RecvError::Closed));
}

/// In swarmkit, a close between the start of a watch and its registration deadlocks, and a watch of
/// a closed queue never ends.
#[test]
fn e40_a_subscription_beside_a_close_fails_or_ends() {
    for _ in 0..50 {
        let bus = Bus::<u32>::new();
        let subscribers: Vec<_> = (0..4)
            .map(|_| {
                let bus = bus.clone();
                thread::spawn(move || match bus.subscribe_lossy(1) {
                    Ok(mut receiver) => assert_eq!(receiver.recv(), Err(RecvError::Closed)),
                    Err(error) => assert_eq!(error, AddError::Closed),
                })
            })
            .collect();
        assert!(bus.close().is_done());
        ends(move || subscribers.into_iter().for_each(|subscriber| subscriber.join().unwrap()));
        assert!(matches!(bus.subscribe_lossy(1), Err(AddError::Closed)));
    }
}

/// In containerd, an unreadable event does not end the loop as it should, the stream has no end,
/// and each subscriber has an unbounded queue.
#[test]
fn e44_unreadable_and_missed_events_are_counted() {
    let bus = Bus::new();
    let (channel, mut receiver) = Channel::<u32>::lossy(4).unwrap();
    bus.add(channel.map(|text: &String| text.parse().expect("a number"))).unwrap();
    for text in ["1", "two", "3"] {
        let _ = bus.publish(String::from(text)).unwrap();
    }
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 3]);
    for n in 0..10 {
        let _ = bus.publish(n.to_string()).unwrap();
    }
    assert_eq!((receiver.len(), receiver.lost()), (4, 6));
    let ledger = assert_balanced(&bus.snapshot().sinks[0].state);
    assert_eq!((ledger.dropped.panicked, ledger.dropped.full), (1, 6));
    assert!(bus.close().is_done());
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
}

/// In containerd, a separate goroutine appends events that the shim could not deliver to the end of
/// the queue again. It drops them after the fifth attempt.
#[test]
fn e44_what_is_tried_again_keeps_its_place() {
    let (clock, attempts) = (ManualClock::hurrying(), Log::new());
    let (tried, seen) = (attempts.clone(), Collect::new());
    let behind = seen.clone();
    let sink = sink_fn(move |n: &u64| {
        tried.push(*n);
        let before = tried.entries().iter().filter(|tried| *tried == n).count();
        // Event 3 is delivered at the fifth attempt, and event 7 never.
        if *n == 7 || *n == 3 && before < 5 { Err("away") } else { behind.write(*n).map_err(|_| "closed") }
    });
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let policy = Backoff::new(Duration::from_secs(1), Duration::from_secs(5)).max_attempts(6);
    let queue = sink.retry(policy).clock(clock).dead_letters(letters).queue(64).unwrap();
    (0..10).for_each(|n| queue.write(n).unwrap());
    assert!(queue.close_timeout(GUARD).is_done());
    assert_eq!(seen.taken(), [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    let letter = dead.recv().unwrap();
    assert_eq!((letter.event, letter.attempts, attempts.entries().len()), (7, 6, 8 + 5 + 6));
}

/// A closed bus does not keep sinks open whose close another sink waits for. The test is here
/// because go-events' users had to close in this order by hand.
#[test]
fn e4_bus_closes_its_sinks_in_order_of_addition() {
    let bus = Bus::<u32>::new();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    struct Named(u32, Arc<std::sync::Mutex<Vec<u32>>>);
    impl Sink<u32> for Named {
        fn write(&self, _: u32) -> Result<(), WriteError<u32>> {
            Ok(())
        }
        fn close_by(&self, _: Deadline) -> CloseReport {
            self.1.lock().unwrap().push(self.0);
            CloseReport::done()
        }
    }
    for n in 0..5 {
        bus.add(Named(n, order.clone())).unwrap();
    }
    assert!(bus.close().is_done() && bus.close().is_done());
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}
