//! Publishers that threads cache: a limited number has private lanes, and the order of a thread's
//! events does not depend on that.

use buslane::testing::Gate;
use buslane::{Bus, Channel, Overflow, Queue, Receiver};
use std::thread::{self, JoinHandle};
use test_support::heap::heap_of;
use test_support::{Log, ends, wait_for};

/// A thread's number and one of its events.
type Event = (usize, u64);

/// The number of events after which a thread's publisher gets private lanes although other threads
/// got theirs at once.
const EVENTS: u64 = 64;

/// Returns the documented limit of cached publishers that have private lanes.
fn most() -> usize {
    (2 * thread::available_parallelism().map_or(1, usize::from)).max(16)
}

/// Starts threads that publish `events` events each, and live until the gate opens.
fn publish_and_stay(bus: &Bus<Event>, threads: usize, events: u64, gate: &Gate) -> Vec<JoinHandle<i64>> {
    let all: Vec<_> = (0..threads)
        .map(|id| {
            let (bus, gate) = (bus.clone(), gate.clone());
            thread::spawn(move || {
                let (heap, ()) = heap_of(|| {
                    (0..events).for_each(|event| {
                        let _ = bus.with_local(|local| local.publish((id, event))).unwrap();
                    });
                });
                gate.pass();
                heap.bytes
            })
        })
        .collect();
    gate.wait_reached(threads);
    all
}

fn three_channels(bus: &Bus<Event>, capacity: usize) -> Vec<(Channel<Event>, Receiver<Event>)> {
    let make = || {
        let (channel, receiver) = Channel::builder().capacity(capacity).build().unwrap();
        bus.add(channel.clone()).unwrap();
        (channel, receiver)
    };
    (0..3).map(|_| make()).collect()
}

#[test]
fn threads_that_publish_once_take_bounded_memory() {
    for events in [1, 4 * EVENTS] {
        let (bus, gate) = (Bus::new(), Gate::closed());
        let mut channels = three_channels(&bus, 1024);
        let threads = publish_and_stay(&bus, 200, events, &gate);
        let snapshot = bus.snapshot();
        assert!(snapshot.publishers >= most() / 2, "some have lanes at once: {snapshot}");
        assert!(snapshot.publishers <= most(), "{snapshot}");
        gate.open();
        let bytes: i64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        let lane = (1024 * size_of::<Event>() + 4096) as i64;
        println!("200 threads, {events} events each: {bytes} bytes");
        assert!(bytes <= most() as i64 * 3 * lane + 200 * 2048, "{bytes} bytes");
        wait_for(|| bus.snapshot().publishers == 0);
        // Drops the lanes that the bus keeps for its next publishers.
        bus.add(buslane::noop()).unwrap();
        for (channel, receiver) in &mut channels {
            let read = receiver.drain().count() as u64;
            let dropped = channel.state().ledger.dropped.full;
            assert_eq!(read + dropped, 200 * events);
            assert!(events > 1 || dropped == 0);
            assert!(receiver.try_recv().is_err());
            assert_eq!(channel.state().lanes, 0, "returned");
        }
    }
}

#[test]
fn ended_threads_release_their_lanes() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(16).unwrap();
    for id in 0..3 * most() {
        let publishing = bus.clone();
        let publishers = thread::spawn(move || {
            let _ = publishing.with_local(|local| local.publish((id, 0))).unwrap();
            publishing.snapshot().publishers
        });
        assert_eq!(publishers.join().unwrap(), 1, "thread {id} has lanes at once");
        wait_for(|| bus.snapshot().publishers == 0);
        assert_eq!(receiver.recv(), Ok((id, 0)));
    }
}

#[test]
fn busy_thread_gets_lanes_beside_idle_threads() {
    let (bus, gate) = (Bus::new(), Gate::closed());
    let mut receiver = bus.subscribe_lossy(4096).unwrap();
    let idle = publish_and_stay(&bus, 2 * most(), 1, &gate);
    let before = bus.snapshot().publishers;
    assert_eq!(before, most().div_ceil(2));
    let publishing = bus.clone();
    let has_lanes = thread::spawn(move || {
        (0..2 * EVENTS)
            .for_each(|event| assert!(publishing.with_local(|local| local.publish((0, event))).is_ok()));
        publishing.snapshot().publishers
    });
    assert!(has_lanes.join().unwrap() > before);
    gate.open();
    assert!(idle.into_iter().all(|thread| thread.join().is_ok()));
    assert_eq!(receiver.drain().count() as u64, 2 * most() as u64 + 2 * EVENTS);
}

/// Asserts that the events of each thread arrive in order, and at most once.
fn assert_in_order(events: impl IntoIterator<Item = Event>, threads: usize, each: u64) {
    let mut next = vec![0; threads];
    for (id, event) in events {
        assert_eq!(event, next[id], "thread {id}");
        next[id] += 1;
    }
    assert_eq!(next, vec![each; threads]);
}

#[test]
fn thread_keeps_its_order_when_it_gets_lanes() {
    ends(|| {
        for (overflow, capacity) in
            [(Overflow::DropNewest, 4096), (Overflow::DropOldest, 4096), (Overflow::Block, 8)]
        {
            let (bus, gate, log) = (Bus::new(), Gate::closed(), Log::new());
            let idle = idle_threads(&bus, &gate);
            let (channel, mut receiver) =
                Channel::builder().capacity(capacity).overflow(overflow).build().unwrap();
            bus.add(channel).unwrap();
            let handled = log.clone();
            let queue = Queue::builder().capacity(capacity).overflow(overflow);
            bus.add(queue.spawn(move |event: Event| handled.push(event)).unwrap()).unwrap();
            const EACH: u64 = 300;
            let publishing: Vec<_> = (0..3)
                .map(|id| {
                    let bus = bus.clone();
                    thread::spawn(move || {
                        (0..EACH).for_each(|event| {
                            let _ = bus.with_local(|local| local.publish((id, event))).unwrap();
                        });
                    })
                })
                .collect();
            let read: Vec<Event> = if overflow == Overflow::Block {
                // The publishers need a running reader.
                (0..3 * EACH).map(|_| receiver.recv().unwrap()).collect()
            } else {
                publishing.iter().for_each(|thread| wait_for(|| thread.is_finished()));
                (0..3 * EACH).map(|_| receiver.try_recv().unwrap()).collect()
            };
            publishing.into_iter().for_each(|thread| thread.join().unwrap());
            assert_in_order(read, 3, EACH);
            assert!(bus.close().is_done());
            assert_in_order(log.entries(), 3, EACH);
            gate.open();
            idle.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// Starts the threads that hold all lanes that are granted at once.
fn idle_threads(bus: &Bus<Event>, gate: &Gate) -> Vec<JoinHandle<()>> {
    let count = most().div_ceil(2);
    let all = (0..count)
        .map(|_| {
            let (bus, gate) = (bus.clone(), gate.clone());
            thread::spawn(move || {
                bus.with_local(|_| ());
                gate.pass();
            })
        })
        .collect();
    gate.wait_reached(count);
    all
}

#[test]
fn publisher_keeps_order_after_bus_publishes() {
    for drains in [false, true] {
        let bus = Bus::new();
        // The receiver reads at most a quarter of the capacity from one lane before it reads the
        // next lane.
        let mut receiver = bus.subscribe_lossy(16).unwrap();
        (0..8).for_each(|event| assert!(bus.publish((0, event)).is_ok()));
        let mut publisher = bus.publisher();
        (8..16).for_each(|event| assert!(publisher.publish((0, event)).is_ok()));
        let read = if drains {
            let mut read = Vec::new();
            while receiver.drain_with(|event| read.push(event)) > 0 {}
            read
        } else {
            std::iter::from_fn(|| receiver.try_recv().ok()).collect()
        };
        assert_in_order(read, 1, 16);
    }
}
