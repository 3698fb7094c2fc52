//! The ways to publish and what each counts: with and without waiting, lazily, in batches, and from
//! clones on other threads.

use buslane::error::Closed;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{
    Bus, Channel, Overflow, Published, Publisher, Queue, Receiver, SinkExt, WaitStrategy, WriteError, noop,
    sink_fn,
};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use test_support::bus::{Route, assert_books, flush_bus, ledger, lost, recorder, sink, took};
use test_support::{GUARD, wait_for};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a bus with one channel of capacity 2, named "channel".
fn small(overflow: Overflow) -> (Bus<u32>, Receiver<u32>) {
    let (channel, receiver) = Channel::builder().capacity(2).overflow(overflow).build().unwrap();
    let bus = Bus::new();
    bus.add_named("channel", channel).unwrap();
    (bus, receiver)
}

#[test]
fn oversized_batch_is_counted_by_the_overflow_policy() {
    let cases = [
        (Overflow::DropNewest, lost(4, 6, 0), vec![0, 1]),
        (Overflow::DropOldest, took(10, 0), vec![8, 9]),
        (Overflow::Refuse, took(4, 6), vec![0, 1]),
        (Overflow::BlockFor(Duration::from_millis(1)), took(4, 6), vec![0, 1]),
        // The first event without room closes the channel. The events in it are still read.
        (Overflow::Close, took(4, 6), vec![0, 1]),
    ];
    for (overflow, published, left) in cases {
        let (bus, mut receiver) = small(overflow);
        let (filtered, mut behind_filter) =
            Channel::builder().capacity(2).overflow(overflow).build().unwrap();
        bus.add_named("filtered", filtered.filter(|_: &u32| true)).unwrap();
        let mut publisher = bus.publisher();
        assert_eq!(publisher.publish_batch([0, 1, 2, 8, 9]), Ok(published), "{overflow:?}");
        assert_books(&bus);
        assert_eq!(receiver.drain().collect::<Vec<_>>(), left, "{overflow:?}");
        assert_eq!(behind_filter.drain().collect::<Vec<_>>(), left, "{overflow:?}, downstream of a filter");
        assert_books(&bus);
    }
}

#[test]
fn batch_waits_for_room_in_a_blocking_channel() {
    let (bus, mut receiver) = small(Overflow::Block);
    let reader = thread::spawn(move || receiver.iter().collect::<Vec<_>>());
    let events: Vec<u32> = (0..1000).collect();
    assert_eq!(bus.publisher().publish_batch(&events), Ok(took(1000, 0)));
    assert!(bus.close().is_done());
    assert_eq!(reader.join().unwrap(), events);
}

#[test]
fn blocked_batch_reaches_every_other_sink_first() {
    let bus = Bus::new();
    let (full, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    bus.add(full.clone().filter(|_: &u32| true)).unwrap();
    bus.add(full).unwrap();
    let (filtered, mut behind_filter) = Channel::lossy(8).unwrap();
    let (mapped, mut behind_map) = Channel::lossy(8).unwrap();
    let mut plain = bus.subscribe_lossy(8).unwrap();
    let (called, direct) = recorder();
    bus.add(direct).unwrap();
    bus.add(filtered.filter(|_: &u32| true)).unwrap();
    bus.add(mapped.map(|event: &u32| *event)).unwrap();
    let mut publisher = bus.publisher();
    let publishing = thread::spawn(move || publisher.publish_batch([1, 2, 3]));
    for other in [&mut plain, &mut behind_filter, &mut behind_map] {
        let seen: Vec<u32> = (0..3).filter_map(|_| other.recv_timeout(GUARD).ok()).collect();
        assert_eq!(seen, [1, 2, 3]);
    }
    wait_for(|| called.entries() == [1, 2, 3]);
    assert!(!publishing.is_finished());
    let seen: Vec<u32> = (0..6).filter_map(|_| receiver.recv_timeout(GUARD).ok()).collect();
    assert_eq!(seen.len(), 6);
    assert_eq!(publishing.join().unwrap(), Ok(took(18, 0)));
}

#[test]
fn a_batch_counts_each_event_and_sink() {
    let bus: Bus<u32> = Bus::new();
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish_batch([1, 2]), Ok(took(0, 0)));
    let (called, direct) = recorder();
    bus.add(direct).unwrap();
    bus.add(noop()).unwrap();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    assert_eq!(publisher.publish_batch([]), Ok(took(0, 0)));
    assert_eq!(publisher.publish_batch([1, 2, 3]), Ok(took(9, 0)));
    assert_eq!(bus.with_local(|local| local.publish_batch([4])), Ok(took(3, 0)));
    let shared = bus.with_local(|_| bus.with_local(|shared| shared.publish_batch([5])));
    assert_eq!(shared, Ok(took(3, 0)));
    assert_eq!(called.entries(), [1, 2, 3, 4, 5]);
    assert_eq!(receiver.drain().count(), 5);
    assert!(bus.close().is_done());
    assert_eq!(publisher.publish_batch([6]), Err(Closed(())));
    assert_eq!(publisher.publish_batch([]), Err(Closed(())));
}

/// Publishes by the deadline, with private lanes and with the shared lanes, and returns both
/// results.
fn both_publish(bus: &Bus<u32>, event: u32, deadline: Deadline) -> [Result<Published, WriteError<u32>>; 2] {
    let shared = bus.with_local(|_| bus.with_local(|shared| shared.publish_by(event, deadline)));
    [bus.publisher().publish_by(event, deadline), shared]
}

#[test]
fn refused_event_comes_back_with_the_first_reason() {
    for deadline in [Deadline::NOW, Deadline::after(Duration::from_millis(5)), Deadline::NEVER] {
        let bus = Bus::new();
        bus.add(sink_fn(|_: &u32| Err("no space left"))).unwrap();
        for answer in both_publish(&bus, 7, deadline) {
            assert!(matches!(answer, Err(WriteError::Failed { event: 7, .. })));
        }
        let (channel, _receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build().unwrap();
        let full = Bus::new();
        full.add_named("channel", channel).unwrap();
        let mut publisher = full.publisher();
        assert_eq!(publisher.publish_by(1, deadline).unwrap(), took(1, 0));
        assert!(matches!(publisher.publish_by(2, deadline), Err(WriteError::Full(2))));
        full.with_local(|_| {
            full.with_local(|shared| {
                assert_eq!(shared.publish_by(3, deadline).unwrap(), took(1, 0));
                assert!(matches!(shared.publish_by(4, deadline), Err(WriteError::Full(4))));
            });
        });
        // One sink that accepts the event is enough: the refusal is only counted.
        full.add(noop()).unwrap();
        assert_eq!(publisher.publish_by(5, deadline).unwrap(), took(1, 1));
        assert_eq!(ledger(&full, "channel").refused.full, 3);
    }
}

#[test]
fn event_comes_back_from_a_closed_bus_only_as_closed() {
    let bus = Bus::new();
    for answer in both_publish(&bus, 1, Deadline::NOW) {
        assert_eq!(answer.unwrap(), took(0, 0), "a publish without sinks is complete");
    }
    let _ = bus.close();
    for answer in both_publish(&bus, 2, Deadline::NOW) {
        assert!(matches!(answer, Err(WriteError::Closed(2))));
    }
}

#[test]
fn publish_waits_for_room_until_its_deadline() {
    for overflow in [Overflow::Block, Overflow::BlockFor(HOUR)] {
        let (bus, mut receiver) = small(overflow);
        let mut publisher = bus.publisher();
        (1..=2).for_each(|n| assert_eq!(publisher.publish(n), Ok(took(1, 0))));
        let deadline = Deadline::after(Duration::from_millis(5));
        assert!(matches!(publisher.publish_by(3, deadline), Err(WriteError::Timeout(3))));
        assert!(deadline.has_passed());
        // With the shared lanes, the thread passes the deadline to the sink's `write`.
        bus.with_local(|_| {
            bus.with_local(|shared| {
                (4..=5).for_each(|n| assert_eq!(shared.publish(n), Ok(took(1, 0))));
                let deadline = Deadline::after(Duration::from_millis(5));
                assert!(matches!(shared.publish_by(6, deadline), Err(WriteError::Timeout(6))));
                assert!(deadline.has_passed());
            });
        });
        assert_eq!(receiver.drain().count(), 4);
        assert_eq!(ledger(&bus, "channel").refused.timeout, 2);
    }
}

#[test]
fn try_publish_never_waits_for_room_on_any_lane() {
    for overflow in [Overflow::Block, Overflow::BlockFor(HOUR)] {
        let (bus, mut receiver) = small(overflow);
        let (filtered, mut behind_filter) =
            Channel::builder().capacity(2).overflow(overflow).build().unwrap();
        bus.add_named("filtered", filtered.filter(|_: &u32| true)).unwrap();
        let mut publisher = bus.publisher();
        assert_eq!((1..=2).map(|n| publisher.try_publish(n).unwrap().accepted).sum::<usize>(), 4);
        assert!(matches!(publisher.try_publish(3), Err(WriteError::Full(3))));
        // Uses the shared lanes, because the cached publisher is borrowed already.
        bus.with_local(|_| {
            bus.with_local(|shared| {
                assert_eq!((1..=2).map(|n| shared.try_publish(n).unwrap().accepted).sum::<usize>(), 4);
                assert!(matches!(shared.try_publish(3), Err(WriteError::Full(3))));
            });
        });
        assert_eq!((receiver.drain().count(), behind_filter.drain().count()), (4, 4));
        assert_eq!(ledger(&bus, "channel").refused.full, 2);
        assert_eq!(ledger(&bus, "filtered").refused.full, 2);
    }
}

#[test]
fn bus_try_publish_never_waits_for_room() {
    for overflow in [Overflow::Block, Overflow::BlockFor(HOUR)] {
        let (bus, mut receiver) = small(overflow);
        assert_eq!((1..=2).map(|n| bus.try_publish(n).unwrap().accepted).sum::<usize>(), 2);
        assert!(matches!(bus.try_publish(3), Err(WriteError::Full(3))));
        // One sink that accepts the event is enough: the refusal is only counted.
        bus.add(noop()).unwrap();
        assert_eq!(bus.try_publish(4).unwrap(), took(1, 1));
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(ledger(&bus, "channel").refused.full, 2);
        assert_books(&bus);
    }
}

#[test]
fn bus_try_publish_gives_back_what_all_refused() {
    let bus = Bus::new();
    assert_eq!(bus.try_publish(1).unwrap(), took(0, 0), "a publish without sinks is complete");
    bus.add(sink_fn(|_: &u32| Err("no space left"))).unwrap();
    assert!(matches!(bus.try_publish(2), Err(WriteError::Failed { event: 2, .. })));
    let _ = bus.close();
    assert!(matches!(bus.try_publish(3), Err(WriteError::Closed(3))));
}

#[test]
fn block_for_times_out_and_others_get_the_event() {
    let (bus, mut receiver) = small(Overflow::BlockFor(Duration::from_millis(1)));
    let mut other = bus.subscribe_lossy(8).unwrap();
    for route in &mut Route::all(&bus) {
        for event in 0..3 {
            let accepted = route.publish(event).unwrap();
            assert_eq!(accepted, if event < 2 { took(2, 0) } else { took(1, 1) }, "{}", route.name());
        }
        assert_eq!(other.drain().count(), 3);
        // Only one of the routes uses the shared lane. The others have private lanes.
        assert_eq!(receiver.drain().count(), 2);
    }
    assert_eq!(ledger(&bus, "channel").refused.timeout, 3);
}

#[test]
fn blocked_publisher_serves_others_then_resumes() {
    for which in 0..3 {
        let (bus, mut receiver) = small(Overflow::Block);
        let mut other = bus.subscribe_lossy(8).unwrap();
        let publishing = bus.clone();
        let publisher = thread::spawn(move || {
            let mut route = Route::all(&publishing).into_iter().nth(which).unwrap();
            (0..3).map(|event| route.publish(event).unwrap()).collect::<Vec<_>>()
        });
        // The sink with room has the third event: the publisher waits for the sink without room.
        if which != 1 {
            let seen: Vec<u32> = (0..3).map(|_| other.recv_timeout(GUARD).unwrap()).collect();
            assert_eq!(seen, [0, 1, 2]);
        }
        assert_eq!(receiver.recv_timeout(GUARD), Ok(0));
        assert_eq!(publisher.join().unwrap(), [took(2, 0); 3]);
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn publish_with_makes_no_event_without_sinks() {
    let bus: Bus<u32> = Bus::new();
    let never = || -> u32 { panic!("no sink wants the event") };
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish_with(never), Ok(took(0, 0)));
    assert_eq!(bus.with_local(|local| local.publish_with(never)), Ok(took(0, 0)));
    let nested = bus.with_local(|_| bus.with_local(|shared| shared.publish_with(never)));
    assert_eq!(nested, Ok(took(0, 0)), "in a publish with the shared lanes");
    let id = bus.add(noop()).unwrap();
    assert_eq!(publisher.publish_with(|| 1), Ok(took(1, 0)));
    assert_eq!(bus.with_local(|_| bus.with_local(|shared| shared.publish_with(|| 1))), Ok(took(1, 0)));
    bus.remove(id).unwrap();
    assert_eq!(publisher.publish_with(never), Ok(took(0, 0)));
    assert!(bus.close().is_done());
    assert_eq!(publisher.publish_with(never), Err(Closed(())));
}

#[test]
fn publish_with_makes_no_event_after_receivers_drop() {
    let (bus, receiver) = small(Overflow::DropNewest);
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish_with(|| 1), Ok(took(1, 0)));
    drop(receiver);
    // The list of sinks has not changed: the publisher learns from its lane that the receiver was
    // dropped.
    assert_eq!(publisher.publish_with(|| 2), Ok(took(0, 1)));
    assert_eq!(publisher.publish_with(|| panic!("no sink wants the event")), Ok(took(0, 0)));
}

#[test]
fn unbounded_queue_accepts_from_every_publisher() {
    let gate = Gate::closed();
    let at = gate.clone();
    let queue = Queue::builder().unbounded().capacity(1).spawn(move |_: u32| at.pass()).unwrap();
    let bus = Bus::new();
    bus.add_named("unbounded", queue).unwrap();
    let mut routes = Route::all(&bus);
    for event in 0..100 {
        for route in &mut routes {
            assert_eq!(route.publish(event), Ok(took(1, 0)));
        }
    }
    assert_eq!(bus.publisher().publish_batch([1, 2, 3]), Ok(took(3, 0)));
    gate.wait_reached(1);
    assert_eq!((sink(&bus, "unbounded").state.capacity, ledger(&bus, "unbounded").pending), (0, 303));
    gate.open();
    flush_bus(&bus);
    assert_eq!(ledger(&bus, "unbounded").delivered, 303);
}

#[test]
fn drop_oldest_keeps_the_newest_of_each_publisher() {
    let (bus, mut receiver) = small(Overflow::DropOldest);
    let mut publishers = [bus.publisher(), bus.publisher()];
    for (source, publisher) in (0..).zip(&mut publishers) {
        for event in 0..10 {
            assert_eq!(publisher.publish(source * 10 + event), Ok(took(1, 0)));
        }
    }
    assert_eq!(ledger(&bus, "channel").dropped.evicted, 16);
    let mut left: Vec<u32> = receiver.drain().collect();
    left.sort_unstable();
    assert_eq!(left, [8, 9, 18, 19]);
    assert_eq!((receiver.lost(), ledger(&bus, "channel").delivered), (16, 4));
}

#[test]
fn publisher_clones_use_lanes_of_their_own() {
    let bus: Bus<u64> = Bus::new();
    let mut receiver = bus.subscribe_lossy(1024).unwrap();
    let first = bus.publisher();
    let threads: Vec<_> = (0..4)
        .map(|source: u64| {
            let mut publisher = first.clone();
            thread::spawn(move || {
                (0..100)
                    .for_each(|event| assert_eq!(publisher.publish(source * 100 + event), Ok(took(1, 0))));
                publisher
            })
        })
        .collect();
    // The threads return their publishers, so that the lanes still exist.
    let publishers: Vec<Publisher<u64>> = threads.into_iter().map(|it| it.join().unwrap()).collect();
    assert_eq!((bus.snapshot().publishers, receiver.state().lanes), (5, 5));
    let mut seen: Vec<u64> = receiver.drain().collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..400).collect::<Vec<_>>());
    drop((first, publishers));
    assert_eq!((bus.snapshot().publishers, receiver.state().lanes), (0, 5), "kept for the next publishers");
    bus.add(buslane::noop()).unwrap();
    assert!(receiver.try_recv().is_err());
    assert_eq!(receiver.state().lanes, 0, "a change of the list drops them");
}

#[test]
fn short_lived_publishers_leave_no_lanes() {
    for wait in [WaitStrategy::Park, WaitStrategy::SpinPark, WaitStrategy::nap(), WaitStrategy::poll()] {
        for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
            let bus: Bus<u64> = Bus::builder().kept_publishers(0).build();
            let (sender, handled) = mpsc::channel();
            let queue = Queue::builder()
                .capacity(8)
                .overflow(overflow)
                .wait_strategy(wait)
                .spawn(move |event| sender.send(event).unwrap())
                .unwrap();
            bus.add_named("queue", queue).unwrap();
            let mut receiver = bus.subscribe_lossy(8).unwrap();
            for event in 0..100 {
                let mut publisher = bus.publisher();
                if event % 10 == 0 {
                    let _ = publisher.publish(event).unwrap();
                    assert_eq!(receiver.recv(), Ok(event));
                }
            }
            let seen: Vec<u64> = (0..10).map(|_| handled.recv_timeout(GUARD).unwrap()).collect();
            assert_eq!(seen, (0..100).step_by(10).collect::<Vec<_>>());
            wait_for(|| sink(&bus, "queue").state.lanes == 0);
            assert_eq!((bus.snapshot().publishers, receiver.state().lanes), (0, 0));
            assert_eq!(ledger(&bus, "queue").delivered, 10);
        }
    }
}
