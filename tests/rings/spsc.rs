//! The rings as they are: exact capacity, order, exact drops, seals, and errors in place of panics.

#[expect(clippy::allow_attributes, reason = "an expectation fails in the file that uses every helper")]
#[allow(dead_code, reason = "each file uses some of the helpers")]
mod support;

use buslane::InvalidConfig;
use buslane::ring::MAX_CAPACITY;
use buslane::ring::mpmc::{Pop, PushError, Ring};
use buslane::ring::spsc::{Consumer, Producer, ring};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread;
use support::{Drops, Tracked};

const CAPACITIES: [usize; 7] = [1, 2, 3, 4, 5, 64, 1000];

fn spsc<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    ring(capacity).expect("a capacity that can be")
}

fn mpmc<T: Send>(capacity: usize) -> Ring<T> {
    Ring::new(capacity).expect("a capacity that can be")
}

/// Pushes as a publisher does, and says whether the value was accepted and whether the ring is still open: a value is
/// accepted only when the ring had room and did not give it back when it was sealed.
fn push_and_settle(producer: &mut Producer<u64>, value: u64) -> (bool, bool) {
    let mut accepted = producer.push(value).is_ok();
    fence(Ordering::SeqCst);
    let open = producer.settle(|back| {
        assert_eq!((accepted, back), (true, value));
        accepted = false;
    });
    (accepted, open)
}

#[test]
fn an_spsc_ring_holds_exactly_as_many_as_asked_lap_after_lap() {
    for capacity in CAPACITIES {
        let (mut producer, mut consumer) = spsc(capacity);
        let mut next = 0..;
        for lap in 0..5 {
            let first = next.start;
            for _ in 0..capacity {
                assert_eq!(producer.push(next.next().unwrap()), Ok(()), "capacity {capacity}, lap {lap}");
            }
            assert_eq!((producer.len(), producer.room_for(1)), (capacity, 0));
            assert_eq!(producer.push(u64::MAX), Err(u64::MAX), "capacity {capacity}, lap {lap}");
            assert_eq!(consumer.pop(), Some(first));
            assert_eq!(producer.push(next.next().unwrap()), Ok(()));
            assert_eq!(producer.push(u64::MAX), Err(u64::MAX));
            let rest: Vec<_> = std::iter::from_fn(|| consumer.pop()).collect();
            assert_eq!(rest, (first + 1..next.start).collect::<Vec<_>>());
            assert!(producer.is_empty() && !consumer.has_next());
        }
    }
}

#[test]
fn an_mpmc_ring_holds_exactly_as_many_as_asked_lap_after_lap() {
    for capacity in CAPACITIES {
        let ring = mpmc(capacity);
        let mut next = 0..;
        for lap in 0..5 {
            let first = next.start;
            for _ in 0..capacity {
                assert_eq!(ring.push(next.next().unwrap()), Ok(()), "capacity {capacity}, lap {lap}");
            }
            assert_eq!(ring.len(), capacity);
            assert_eq!(ring.push(u64::MAX), Err(PushError::Full(u64::MAX)), "capacity {capacity}, lap {lap}");
            assert_eq!(ring.pop_at(), Pop::Value((first, first)));
            assert_eq!(ring.push(next.next().unwrap()), Ok(()));
            assert_eq!(ring.push(u64::MAX), Err(PushError::Full(u64::MAX)));
            for expected in first + 1..next.start {
                assert!(ring.has_filled());
                assert_eq!(ring.pop(), Pop::Value(expected));
            }
            assert_eq!(ring.pop(), Pop::Empty);
            assert!(ring.is_empty() && !ring.has_filled());
        }
        assert_eq!((ring.position(), ring.claimed()), (next.start, next.start));
    }
}

#[test]
fn capacities_that_cannot_be_are_typed_errors() {
    assert_eq!(ring::<u8>(0).err(), Some(InvalidConfig::ZeroCapacity));
    assert_eq!(Ring::<u8>::new(0).err(), Some(InvalidConfig::ZeroCapacity));
    for asked in [MAX_CAPACITY + 1, usize::MAX] {
        let error = Some(InvalidConfig::CapacityTooLarge { asked, most: MAX_CAPACITY });
        assert_eq!(ring::<u8>(asked).err(), error);
        assert_eq!(Ring::<u8>::new(asked).err(), error);
    }
}

#[test]
fn memory_that_is_not_to_be_had_is_an_error_and_no_abort() {
    type Huge = [u8; 1 << 20];
    let error = Some(InvalidConfig::OutOfMemory { slots: MAX_CAPACITY });
    assert_eq!(ring::<Huge>(MAX_CAPACITY).err(), error);
    assert_eq!(Ring::<Huge>::new(MAX_CAPACITY).err(), error);
}

#[test]
fn an_spsc_ring_drops_exactly_what_is_left_whichever_half_goes_first() {
    for producer_first in [true, false] {
        let drops = Drops::default();
        let (mut producer, mut consumer) = spsc(8);
        for id in 0..5 {
            assert!(producer.push(drops.track(id)).is_ok());
        }
        assert_eq!(consumer.pop().map(|value| value.id), Some(0));
        assert_eq!(drops.ids(), [0]);
        // Written but never shown to the consumer.
        producer.write(drops.track(5));
        if producer_first {
            drop(producer);
            assert_eq!(drops.ids(), [0, 5]);
            assert_eq!(consumer.pop().map(|value| value.id), Some(1));
            drop(consumer);
        } else {
            drop(consumer);
            assert_eq!(drops.ids(), [0]);
            drop(producer);
        }
        assert_eq!(drops.ids(), [0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn an_mpmc_ring_drops_exactly_what_is_left() {
    let drops = Drops::default();
    let ring = mpmc(3);
    for id in 0..3 {
        assert!(ring.push(drops.track(id)).is_ok());
    }
    assert!(matches!(ring.pop(), Pop::Value(Tracked { id: 0, .. })));
    assert!(ring.push(drops.track(3)).is_ok());
    assert!(matches!(ring.push(drops.track(4)), Err(PushError::Full(Tracked { id: 4, .. }))));
    assert_eq!(drops.ids(), [0, 4]);
    drop(ring);
    assert_eq!(drops.ids(), [0, 1, 2, 3, 4]);
}

#[test]
fn values_written_together_are_shown_by_one_commit() {
    let (mut producer, mut consumer) = spsc(4);
    for value in 0..3 {
        producer.write(value);
        assert!(!consumer.has_next());
    }
    producer.commit();
    assert!(consumer.has_next() && consumer.known() == 3);
    let mut seen = Vec::new();
    for (most, count) in [(0, 0), (2, 2), (usize::MAX, 1), (usize::MAX, 0)] {
        assert_eq!(consumer.drain(most, |value| seen.push(value)), count);
    }
    assert_eq!(seen, [0, 1, 2]);
}

#[test]
fn slices_go_in_as_far_as_there_is_room_lap_after_lap() {
    for capacity in CAPACITIES {
        let (mut producer, mut consumer) = spsc(capacity);
        let values: Vec<u64> = (0..capacity as u64 + 3).collect();
        // Each lap begins one slot further on, and its slice reaches over the end of the slots.
        for lap in 0..2 * capacity as u64 + 1 {
            assert_eq!(producer.push(lap), Ok(()));
            assert_eq!(producer.push_slice(&values), capacity - 1);
            assert_eq!((producer.push_slice(&values), producer.push(9)), (0, Err(9)));
            assert_eq!(consumer.pop(), Some(lap));
            let mut expected = values.iter();
            assert_eq!(
                consumer.drain(usize::MAX, |value| assert_eq!(Some(&value), expected.next())),
                capacity - 1
            );
        }
    }
    let (mut producer, mut consumer) = spsc(3);
    assert_eq!(producer.push_slice(&[[0_u64; 100]; 2]), 2);
    assert_eq!(consumer.drain(9, |value| assert_eq!(value, [0; 100])), 2);
    assert_eq!(spsc(2).0.push_slice(&[(); 3]), 2);
}

#[test]
fn a_clone_that_unwinds_leaves_what_came_before_it_in_the_ring() {
    #[derive(Debug, PartialEq)]
    struct Fragile(u64);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 2);
            Self(self.0)
        }
    }
    let (mut producer, mut consumer) = spsc(8);
    let values: Vec<_> = (0..4).map(Fragile).collect();
    assert!(catch_unwind(AssertUnwindSafe(|| producer.push_slice(&values))).is_err());
    assert_eq!(producer.push_slice(&values[3..]), 1);
    assert_eq!(std::iter::from_fn(|| consumer.pop()).collect::<Vec<_>>(), [0, 1, 3].map(Fragile));
}

#[test]
#[should_panic(expected = "a write needs room")]
fn a_write_without_room_panics() {
    let (mut producer, _consumer) = spsc(1);
    producer.write(1);
    producer.write(2);
}

#[test]
fn a_drain_that_unwinds_has_handled_the_value_in_hand_and_keeps_the_later_ones() {
    for in_place in [false, true] {
        let drops = Drops::default();
        let (mut producer, mut consumer) = spsc(4);
        for id in 0..4 {
            assert!(producer.push(drops.track(id)).is_ok());
        }
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            if in_place {
                consumer.drain_in_place(4, |value| assert_ne!(value.id, 1));
            } else {
                consumer.drain(4, |value| assert_ne!(value.id, 1));
            }
        }));
        assert!(unwound.is_err());
        assert_eq!(drops.ids(), [0, 1]);
        assert_eq!(producer.room_for(9), 2);
        let mut rest = Vec::new();
        assert_eq!(consumer.drain_in_place(4, |value| rest.push(value.id)), 2);
        assert_eq!(rest, [2, 3]);
        assert_eq!(drops.ids(), [0, 1, 2, 3]);
    }
}

#[test]
fn a_sealed_spsc_ring_takes_nothing_more_and_ends_when_it_is_read() {
    let (mut producer, mut consumer) = spsc(4);
    let sealer = consumer.sealer();
    assert_eq!((producer.push(1), producer.push(2)), (Ok(()), Ok(())));
    assert!(!sealer.is_sealed() && producer.is_open());
    assert_eq!((sealer.seal(), sealer.clone().seal()), (2, 2));
    assert!(sealer.is_sealed() && !producer.is_open() && !consumer.is_ended());
    // The producer still believes in its room; the ring gives the value back.
    assert_eq!(push_and_settle(&mut producer, 3), (false, false));
    assert_eq!(producer.push(4), Err(4));
    assert_eq!((sealer.accepted(), sealer.handled()), (2, 0));
    assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(1), Some(2), None));
    assert!(consumer.is_ended() && sealer.is_ended());
}

#[test]
fn a_producer_that_goes_ends_its_ring() {
    let (mut producer, mut consumer) = spsc(4);
    assert_eq!(producer.push(1), Ok(()));
    drop(producer);
    let before = consumer.is_ended();
    assert_eq!((before, consumer.pop(), consumer.is_ended()), (false, Some(1), true));
}

#[test]
fn a_producer_that_ended_its_ring_takes_nothing_more() {
    let (mut producer, mut consumer) = spsc(4);
    assert_eq!(producer.push(1), Ok(()));
    producer.write(2);
    producer.end();
    assert_eq!((producer.push(3), producer.room_for(9), producer.push_slice(&[4])), (Err(3), 0, 0));
    assert_eq!((consumer.pop(), consumer.pop()), (Some(1), None));
    assert!(consumer.is_ended());
}

#[test]
fn a_seal_that_races_with_pushes_and_reads_loses_and_doubles_nothing() {
    for round in 0..500 {
        let (mut producer, mut consumer) = spsc(3);
        let sealer = consumer.sealer();
        let start = Barrier::new(3);
        let (accepted, read, end) = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                start.wait();
                let mut count = 0;
                loop {
                    let (accepted, open) = push_and_settle(&mut producer, count);
                    count += u64::from(accepted);
                    if !open {
                        return count;
                    }
                    if !accepted {
                        thread::yield_now();
                    }
                }
            });
            let reader = scope.spawn(|| {
                start.wait();
                let mut read = Vec::new();
                while !consumer.is_ended() {
                    if consumer.drain(2, |value| read.push(value)) == 0 {
                        thread::yield_now();
                    }
                }
                read
            });
            start.wait();
            for _ in 0..round % 7 {
                thread::yield_now();
            }
            let end = sealer.seal();
            (writer.join().unwrap(), reader.join().unwrap(), end)
        });
        assert_eq!(accepted, end);
        assert_eq!(read, (0..end).collect::<Vec<_>>());
    }
}

#[test]
fn values_cross_an_spsc_ring_between_threads_in_order() {
    let (mut producer, mut consumer) = spsc(7);
    thread::scope(|scope| {
        scope.spawn(move || {
            for value in 0..100_000_u64 {
                while producer.push(value).is_err() {
                    thread::yield_now();
                }
            }
        });
        let mut expected = 0;
        while !consumer.is_ended() {
            let got = consumer.drain(usize::MAX, |value| {
                assert_eq!(value, expected);
                expected += 1;
            });
            if got == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(expected, 100_000);
    });
}

#[test]
fn eviction_makes_room_by_the_oldest_and_ends_with_a_close() {
    let ring = mpmc(3);
    let mut evicted = Vec::new();
    for value in 0..8 {
        assert_eq!(ring.push_evicting(value, |old| evicted.push(old)), Ok(()));
    }
    assert_eq!(evicted, [0, 1, 2, 3, 4]);
    assert_eq!((ring.close(), ring.close()), (8, 8));
    assert!(ring.is_closed() && !ring.is_ended());
    assert_eq!(ring.push_evicting(8, |old| evicted.push(old)), Err(PushError::Closed(8)));
    assert_eq!(ring.push(8), Err(PushError::Closed(8)));
    assert_eq!([ring.pop(), ring.pop(), ring.pop()], [Pop::Value(5), Pop::Value(6), Pop::Value(7)]);
    assert!(ring.is_ended());
    assert_eq!((ring.pop(), evicted.len()), (Pop::Empty, 5));
}

#[test]
fn many_producers_and_consumers_see_each_accepted_value_once_up_to_the_close() {
    const EACH: u64 = 20_000;
    let ring = mpmc(5);
    let (accepted, counted) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for producer in 0..2 {
            let (ring, accepted) = (&ring, &accepted);
            scope.spawn(move || {
                for value in 0..EACH {
                    let mut value = producer * EACH + value;
                    loop {
                        match ring.push(value) {
                            Ok(()) => break,
                            Err(PushError::Full(back)) => value = back,
                            Err(PushError::Closed(_)) => return,
                        }
                        thread::yield_now();
                    }
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = [None; 2];
                while !ring.is_ended() {
                    let Pop::Value(value) = ring.pop() else { continue };
                    let of = &mut last[usize::from(value >= EACH)];
                    assert!(of.is_none_or(|last| last < value), "the order of one producer");
                    *of = Some(value);
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        support::wait_for(|| counted.load(Ordering::Relaxed) >= EACH);
        ring.close();
    });
    assert_eq!(accepted.into_inner(), ring.position());
    assert_eq!(counted.into_inner(), ring.position());
    assert!(ring.is_empty());
}

#[test]
fn a_value_written_but_not_committed_when_the_seal_begins_has_one_owner() {
    /// Counts its drops without owning anything, so that a second drop is seen and harmless.
    struct Counted<'a>(&'a AtomicU64);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops_when = |settles: bool, reads: bool| {
        let (drops, (mut producer, mut consumer)) = (AtomicU64::new(0), spsc(4));
        producer.write(Counted(&drops));
        producer.sealer().seal();
        if settles {
            producer.settle(drop);
        }
        if reads {
            drop(consumer.pop());
        }
        drop((producer, consumer));
        drops.into_inner()
    };
    let cases = [(false, false), (false, true), (true, false), (true, true)];
    assert_eq!(cases.map(|(settles, reads)| drops_when(settles, reads)), [1; 4]);
}

#[test]
fn values_without_size_and_values_larger_than_a_cache_line_lie_where_they_should() {
    #[repr(align(128))]
    #[derive(Debug, PartialEq, Eq)]
    struct Wide([u64; 32]);
    let (mut producer, mut consumer) = spsc(3);
    let shared = mpmc(3);
    for n in 0..10 {
        assert_eq!(producer.push(Wide([n; 32])), Ok(()));
        assert_eq!(
            consumer.drain_in_place(1, |wide| assert_eq!(std::ptr::from_ref(wide).addr() % 128, 0)),
            1
        );
        assert_eq!(shared.push(Wide([n; 32])), Ok(()));
        assert_eq!(shared.pop(), Pop::Value(Wide([n; 32])));
    }
    let (mut producer, mut consumer) = spsc(2);
    assert_eq!([producer.push(()), producer.push(()), producer.push(())], [Ok(()), Ok(()), Err(())]);
    assert_eq!([consumer.pop(), consumer.pop(), consumer.pop()], [Some(()), Some(()), None]);
    let shared = mpmc(2);
    assert_eq!(
        [shared.push(()), shared.push(()), shared.push(())],
        [Ok(()), Ok(()), Err(PushError::Full(()))]
    );
    assert_eq!([shared.pop(), shared.pop(), shared.pop()], [Pop::Value(()), Pop::Value(()), Pop::Empty]);
}
