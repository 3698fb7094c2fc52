//! The lanes of dropped publishers, which the bus keeps for the next publishers.

use buslane::bus::Removed;
use buslane::error::{Closed, RecvError};
use buslane::journal::Start;
use buslane::{
    Bus, Channel, Journal, Overflow, Publisher, Queue, Receiver, SinkExt, WaitStrategy, noop, sink_fn,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use test_support::bus::{assert_books, ledger, sink, took};
use test_support::{Drops, Log, ends, sorted, wait_for};

const POLICIES: [Overflow; 3] = [Overflow::DropNewest, Overflow::DropOldest, Overflow::Block];

fn channel(capacity: usize, overflow: Overflow) -> (Channel<u64>, Receiver<u64>) {
    let builder = Channel::builder().capacity(capacity).overflow(overflow);
    builder.wait_strategy(WaitStrategy::Park).build().unwrap()
}

/// Publishes an event with a publisher of its own. Returns the number of sinks that accepted it.
fn once(bus: &Bus<u64>, event: u64) -> usize {
    bus.publisher().publish(event).unwrap().accepted
}

#[test]
fn publishers_in_turn_share_one_lane() {
    for overflow in POLICIES {
        let bus = Bus::new();
        let (channel, mut receiver) = channel(8, overflow);
        bus.add(channel).unwrap();
        for event in 0..100 {
            assert_eq!(once(&bus, event), 1);
            assert_eq!((bus.snapshot().publishers, receiver.state().lanes), (0, 1), "{overflow}");
            assert_eq!(receiver.recv(), Ok(event));
        }
        assert_eq!(receiver.state().ledger.delivered, 100);
        assert_books(&bus);
    }
}

#[test]
fn publishers_in_turn_keep_their_order() {
    let bus = Bus::new();
    let log = Log::new();
    let seen = log.clone();
    let queue = Queue::builder().capacity(1024).overflow(Overflow::Block);
    bus.add(queue.spawn(move |event| seen.push(event)).unwrap()).unwrap();
    (0..200).for_each(|event| assert_eq!(once(&bus, event), 1));
    assert!(bus.close().is_done());
    assert_eq!(log.entries(), (0..200).collect::<Vec<_>>());
}

#[test]
fn no_more_publishers_are_kept_than_were_alive() {
    let bus = Bus::new();
    let (channel, mut receiver) = channel(8, Overflow::DropNewest);
    bus.add(channel).unwrap();
    for alive in [1, 3, 2, 3] {
        let publishers: Vec<Publisher<u64>> = (0..alive).map(|_| bus.publisher()).collect();
        assert_eq!(bus.snapshot().publishers, alive);
        drop(publishers);
    }
    assert_eq!((bus.snapshot().publishers, receiver.state().lanes), (0, 3));
    assert_eq!(receiver.drain().count(), 0);
}

#[test]
fn kept_publishers_have_a_limit() {
    for (limit, bus) in [
        (0, Bus::builder().kept_publishers(0).build()),
        (2, Bus::builder().kept_publishers(2).build()),
        (16, Bus::<u64>::new()),
    ] {
        let (channel, mut receiver) = channel(8, Overflow::DropNewest);
        bus.add(channel).unwrap();
        drop((0..20).map(|_| bus.publisher()).collect::<Vec<_>>());
        assert!(receiver.try_recv().is_err());
        assert_eq!((bus.snapshot().publishers, receiver.state().lanes), (0, limit));
    }
}

#[test]
fn stalled_consumer_leaves_the_room_to_new_publishers() {
    // A new publisher never finds more than a quarter of its lane taken by events of former ones.
    for capacity in [1, 3, 4, 16, 100] {
        for overflow in [Overflow::DropNewest, Overflow::Refuse] {
            let bus = Bus::new();
            let (channel, mut receiver) = channel(capacity, overflow);
            bus.add(channel).unwrap();
            let mut accepted = 0;
            for events in (0..=capacity).chain([capacity, capacity / 4, capacity / 4]) {
                let mut publisher = bus.publisher();
                let kept = capacity / 4;
                for event in 0..events {
                    let published = publisher.publish(event as u64).unwrap();
                    assert!(published.is_complete() || event >= capacity - kept, "{capacity}, {overflow}");
                    accepted += published.accepted as u64;
                }
            }
            let ledger = receiver.state().ledger;
            assert_eq!((ledger.accepted - ledger.dropped.full, ledger.check()), (accepted, Ok(())));
            assert_eq!(receiver.drain().count() as u64, accepted);
            assert_books(&bus);
        }
    }
}

#[test]
fn evicting_lane_with_a_backlog_is_not_reused() {
    let bus = Bus::new();
    let (channel, mut receiver) = channel(8, Overflow::DropOldest);
    bus.add(channel).unwrap();
    for first in [0, 8, 16] {
        let mut publisher = bus.publisher();
        (first..first + 8).for_each(|event| assert_eq!(publisher.publish(event), Ok(took(1, 0))));
    }
    assert_eq!(receiver.state().ledger.dropped.evicted, 0);
    assert_eq!(sorted(receiver.drain().collect()), (0..24).collect::<Vec<_>>());
}

#[test]
fn kept_lane_follows_what_the_thread_wrote_before() {
    // A thread that moves from the shared lane to lanes of its own keeps its order, whether these
    // are new or kept.
    for local in [false, true] {
        let bus = Bus::new();
        let (channel, mut receiver) = channel(16, Overflow::DropNewest);
        bus.add(channel).unwrap();
        for round in 0..3 {
            // The receiver has read from the lane before, so it knows the lane.
            assert_eq!(once(&bus, 0), 1);
            assert_eq!(receiver.recv(), Ok(0));
            for event in 1..4 {
                assert_eq!(bus.publish(event), Ok(took(1, 0)));
            }
            let publishing = bus.clone();
            let rest = thread::spawn(move || {
                if local {
                    let _ = publishing.with_local(|publisher| publisher.publish(4)).unwrap();
                } else {
                    assert_eq!(once(&publishing, 4), 1);
                }
            });
            rest.join().unwrap();
            wait_for(|| bus.snapshot().publishers == 0);
            assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2, 3, 4], "round {round}");
        }
    }
}

#[test]
fn sink_added_meanwhile_gets_the_next_event() {
    let bus = Bus::new();
    let mut receivers = vec![bus.subscribe_lossy(8).unwrap()];
    for event in 1..20 {
        assert_eq!(once(&bus, event), receivers.len());
        receivers.push(bus.subscribe_lossy(8).unwrap());
        assert_eq!(once(&bus, 100 + event), receivers.len());
        for (at, receiver) in (1..).zip(&mut receivers) {
            let expected = if at > event { vec![100 + event] } else { vec![event, 100 + event] };
            assert_eq!(receiver.drain().collect::<Vec<_>>(), expected);
        }
    }
    assert_books(&bus);
}

#[test]
fn sink_removed_meanwhile_gets_no_event() {
    for overflow in POLICIES {
        let bus = Bus::new();
        let (steady, mut steady_receiver) = channel(8, overflow);
        let (leaving, mut receiver) = channel(8, overflow);
        bus.add(steady).unwrap();
        let id = bus.add(leaving.clone()).unwrap();
        assert_eq!(once(&bus, 1), 2);
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        assert_eq!(once(&bus, 2), 1);
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [1], "{overflow}");
        assert!(receiver.try_recv().is_err());
        assert_eq!(receiver.state().lanes, 0, "the removal dropped the kept lane");
        assert_eq!(steady_receiver.drain().collect::<Vec<_>>(), [1, 2]);
        // The sink itself is open.
        let again = bus.add(leaving).unwrap();
        assert_eq!((once(&bus, 3), receiver.recv()), (2, Ok(3)));
        assert_eq!(bus.remove(again), Ok(Removed::Quiet));
    }
}

#[test]
fn removal_drops_the_user_code_of_kept_lanes() {
    let drops = Drops::default();
    let tracked = drops.track(1);
    let bus = Bus::new();
    let (channel, mut receiver) = channel(8, Overflow::DropNewest);
    let filtered = channel.clone().filter(move |event: &u64| {
        let _owned = &tracked;
        event.is_multiple_of(2)
    });
    let id = bus.add(filtered).unwrap();
    for event in 0..6 {
        assert_eq!(once(&bus, event), 1);
        assert_eq!(receiver.drain().next(), event.is_multiple_of(2).then_some(event));
        assert_eq!(receiver.state().lanes, 1, "a filter is kept with its lane");
    }
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    assert_eq!(drops.ids(), [1]);
    drop(channel);
}

#[test]
fn lane_of_a_dropped_receiver_is_not_handed_out() {
    for overflow in POLICIES {
        let bus = Bus::new();
        let (gone, receiver) = channel(8, overflow);
        bus.add(gone).unwrap();
        let mut stays = bus.subscribe_lossy(8).unwrap();
        assert_eq!(once(&bus, 1), 2);
        drop(receiver);
        for event in 2..5 {
            assert_eq!(bus.publisher().publish(event), Ok(took(1, 0)), "{overflow}");
        }
        assert_eq!(bus.sink_count(), 1);
        assert_eq!(stays.drain().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(stays.state().lanes, 1);
    }
}

#[test]
fn lane_that_overflowed_and_closed_is_not_handed_out() {
    let bus = Bus::new();
    let (channel, mut receiver) = channel(1, Overflow::Close);
    bus.add(channel).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish(1), Ok(took(1, 0)));
    assert_eq!(publisher.publish(2), Ok(took(0, 1)));
    drop(publisher);
    assert_eq!(bus.publisher().publish(3), Ok(took(0, 0)));
    assert_eq!(bus.sink_count(), 0);
    assert_eq!(receiver.recv(), Ok(1));
}

#[test]
fn closed_bus_keeps_no_lanes() {
    for overflow in POLICIES {
        let bus = Bus::new();
        let (channel, mut receiver) = channel(8, overflow);
        bus.add(channel.clone()).unwrap();
        let open = bus.publisher();
        assert_eq!(once(&bus, 1), 1);
        assert!(bus.close().is_done());
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
        drop(open);
        assert_eq!(channel.state().lanes, 0, "{overflow}");
        assert_eq!(bus.publisher().publish(2), Err(Closed(2)));
        assert_books(&bus);
    }
}

#[test]
fn dropped_bus_closes_with_kept_lanes() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let mut last = bus.publisher();
    assert_eq!(once(&bus, 1), 1);
    let weak = bus.downgrade();
    drop(bus);
    assert_eq!(last.publish(2), Ok(took(1, 0)));
    drop(last);
    assert!(weak.upgrade().is_none());
    assert_eq!(sorted(receiver.iter().collect()), [1, 2]);
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
    assert_eq!(receiver.state().lanes, 0);
}

#[test]
fn publisher_moves_to_another_thread_and_is_dropped() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(1024).unwrap();
    for event in 0..50 {
        let mut publisher = bus.publisher();
        assert_eq!(publisher.publish(2 * event), Ok(took(1, 0)));
        thread::spawn(move || {
            assert_eq!(publisher.publish(2 * event + 1), Ok(took(1, 0)));
        })
        .join()
        .unwrap();
    }
    assert_eq!(receiver.drain().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(receiver.state().lanes, 1);
}

#[test]
fn publisher_is_dropped_inside_a_delivery() {
    let bus = Bus::new();
    let place = Arc::new(Mutex::new(None::<Publisher<u64>>));
    let inside = place.clone();
    bus.add(sink_fn(move |_: &u64| drop(inside.lock().unwrap().take()))).unwrap();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    for event in 0..10 {
        *place.lock().unwrap() = Some(bus.publisher());
        assert_eq!(once(&bus, event), 2);
        assert!(place.lock().unwrap().is_none());
        assert_eq!((bus.snapshot().publishers, receiver.recv()), (0, Ok(event)));
    }
    assert_eq!(receiver.state().lanes, 2);
    assert_books(&bus);
}

#[test]
fn publisher_is_made_and_dropped_inside_a_delivery() {
    let bus: Bus<u64> = Bus::new();
    let weak = bus.downgrade();
    bus.add(sink_fn(move |event: &u64| {
        if *event < 10 {
            let published = weak.upgrade().unwrap().publisher().publish(event + 1).unwrap();
            assert_eq!(published.accepted, 2);
        }
    }))
    .unwrap();
    let mut receiver = bus.subscribe_lossy(16).unwrap();
    for _ in 0..3 {
        ends({
            let bus = bus.clone();
            move || assert_eq!(once(&bus, 0), 2)
        });
        assert_eq!(sorted(receiver.drain().collect()), (0..=10).collect::<Vec<_>>());
    }
    assert_books(&bus);
}

/// An event whose clone panics, if the flag is set.
struct Picky(u64, bool);

impl Clone for Picky {
    fn clone(&self) -> Self {
        assert!(!self.1, "the clone panics");
        Self(self.0, false)
    }
}

#[test]
fn publisher_dropped_while_unwinding_leaves_usable_lanes() {
    let bus = Bus::new();
    let mut receivers = [(); 3].map(|()| bus.subscribe_lossy(8).unwrap());
    for event in 0..10 {
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let mut publisher = bus.publisher();
            let _ = publisher.publish(Picky(event, false)).unwrap();
            publisher.publish(Picky(event, true))
        }));
        assert!(unwound.is_err());
        for receiver in &mut receivers {
            assert_eq!(receiver.drain().map(|event| event.0).collect::<Vec<_>>(), [event]);
            assert_eq!((receiver.state().lanes, receiver.state().ledger.check()), (1, Ok(())));
        }
    }
    assert_eq!(bus.snapshot().publishers, 0);
}

#[test]
fn thread_leaves_the_lanes_of_its_cached_publisher() {
    let bus: Bus<u64> = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    for event in 0..100 {
        let publishing = bus.clone();
        let publishers = thread::spawn(move || {
            let _ = publishing.with_local(|local| local.publish(event)).unwrap();
            publishing.snapshot().publishers
        });
        assert_eq!(publishers.join().unwrap(), 1);
        wait_for(|| bus.snapshot().publishers == 0);
        assert_eq!(receiver.recv(), Ok(event));
        assert_eq!(receiver.state().lanes, 1);
    }
}

#[test]
fn clone_of_a_publisher_takes_kept_lanes() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let first = bus.publisher();
    for event in 0..10 {
        assert_eq!(first.clone().publish(event), Ok(took(1, 0)));
        assert_eq!(receiver.recv(), Ok(event));
    }
    assert_eq!((bus.snapshot().publishers, receiver.state().lanes), (1, 2));
}

#[test]
fn sinks_of_every_kind_serve_publishers_in_turn() {
    let bus = Bus::new();
    let (called, log) = (Log::new(), Log::new());
    let seen = called.clone();
    bus.add_named("direct", sink_fn(move |event: &u64| seen.push(*event))).unwrap();
    let seen = log.clone();
    let unbounded = Queue::builder().unbounded().spawn(move |event| seen.push(event)).unwrap();
    bus.add_named("unbounded", unbounded).unwrap();
    let workers = Queue::builder().workers(2).spawn_each(|_| |_: u64| {}).unwrap();
    bus.add_named("workers", workers).unwrap();
    let journal = Journal::new(1024).unwrap();
    let mut subscriber = journal.subscribe(Start::Now).unwrap();
    bus.add_named("journal", journal).unwrap();
    let (evicting, mut receiver) = channel(1024, Overflow::DropOldest);
    bus.add_named("evicting", evicting).unwrap();
    for event in 0..300 {
        assert_eq!(once(&bus, event), 5);
        if event % 3 == 0 {
            // Another writer between the publishers: the bias of the journal changes hands.
            assert_eq!(bus.publish(1000 + event), Ok(took(5, 0)));
        }
    }
    let expected: Vec<u64> = (0..300)
        .flat_map(|event| [event, 1000 + event].into_iter().take(1 + usize::from(event % 3 == 0)))
        .collect();
    assert_eq!(called.entries(), expected);
    assert_eq!(sorted(receiver.drain().collect()), sorted(expected.clone()));
    let read: Vec<u64> =
        std::iter::from_fn(|| subscriber.try_recv().ok().map(|entry| entry.event().unwrap())).collect();
    assert_eq!(read, expected);
    assert!(bus.close().is_done());
    assert_eq!(log.entries(), expected);
    assert_eq!(ledger(&bus, "workers").delivered, 400);
    assert_eq!(sink(&bus, "direct").state.ledger.delivered, 400);
    assert_books(&bus);
}

#[test]
fn publisher_that_missed_a_removal_is_dropped() {
    // The removal has taken back the lane into the journal, and the predicate of the channel.
    for published in [0, 1, 200] {
        let bus = Bus::new();
        let (steady, mut receiver) = channel(1024, Overflow::DropNewest);
        let mut publisher = bus.publisher();
        bus.add(steady.filter(|event: &u64| *event < 1000)).unwrap();
        let id = bus.add(Journal::new(64).unwrap()).unwrap();
        (0..published).for_each(|event| assert_eq!(publisher.publish(event), Ok(took(2, 0))));
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        drop(publisher);
        assert_eq!(once(&bus, 200), 1);
        assert_eq!(receiver.drain().count() as u64, published + 1);
    }
}

#[test]
fn publishers_in_turn_have_samples_of_their_own() {
    let (channel, mut receiver) = channel(64, Overflow::Refuse);
    let bus = Bus::new();
    bus.add(channel.sample(3)).unwrap();
    for _ in 0..4 {
        let mut publisher = bus.publisher();
        (0..5).for_each(|event| assert!(publisher.publish(event).is_ok()));
    }
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 3, 0, 3, 0, 3, 0, 3]);
}

#[test]
fn lane_with_a_stage_is_made_anew() {
    let bus: Bus<u64> = Bus::new();
    let (channel, mut receiver) = channel(8, Overflow::DropNewest);
    bus.add(channel.map(|event: &u64| event + 1)).unwrap();
    for event in 0..10 {
        assert_eq!(once(&bus, event), 1);
        assert_eq!(receiver.recv(), Ok(event + 1));
        assert!(receiver.try_recv().is_err());
        assert_eq!(receiver.state().lanes, 0);
    }
}

#[test]
fn short_lived_publishers_lose_nothing_beside_changes() {
    const THREADS: u64 = 4;
    const EACH: u64 = 400;
    let bus = Bus::new();
    let (log, seen) = (Log::new(), Log::new());
    for log in [&log, &seen] {
        let log = log.clone();
        let builder = Queue::builder().capacity(64).overflow(Overflow::Block);
        bus.add(builder.spawn(move |event: u64| log.push(event)).unwrap()).unwrap();
    }
    thread::scope(|scope| {
        for source in 0..THREADS {
            let bus = &bus;
            scope.spawn(move || {
                for event in 0..EACH {
                    let mut publisher = bus.publisher();
                    for part in 0..=event % 3 {
                        let published = publisher.publish((source * EACH + event) * 4 + part).unwrap();
                        // A channel whose receiver was dropped refuses the event.
                        assert!(published.accepted >= 2 && published.dropped == 0, "{published:?}");
                    }
                    if event % 7 == 0 {
                        thread::spawn(move || drop(publisher)).join().unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            for round in 0..100 {
                let id = bus.add(noop()).unwrap();
                let mut receiver = bus.subscribe_lossy(4096).unwrap();
                assert_eq!(bus.remove(id), Ok(Removed::Quiet));
                if round % 2 == 0 {
                    assert!(receiver.state().ledger.check().is_ok());
                    receiver.drain().for_each(drop);
                }
            }
        });
    });
    assert!(bus.close().is_done());
    assert_books(&bus);
    let expected: Vec<u64> = (0..THREADS * EACH)
        .flat_map(|event| (0..=event % EACH % 3).map(move |part| event * 4 + part))
        .collect();
    for log in [log, seen] {
        let entries = log.entries();
        assert_eq!(sorted(entries.clone()), expected);
        // First in, first out for each publisher.
        let mut last = vec![0; (THREADS * EACH) as usize];
        for event in entries {
            assert_eq!(last[(event / 4) as usize], event % 4);
            last[(event / 4) as usize] += 1;
        }
    }
}
