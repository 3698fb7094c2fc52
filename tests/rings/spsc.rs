//! The ring of one producer and one consumer: exact capacity, order, exact drops, seals, and errors
//! instead of panics.

use super::{CAPACITIES, spsc};
use buslane::ring::spsc::Producer;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread;
use test_support::Drops;

/// Pushes as a publisher does, and returns whether the ring accepted the value and whether it is
/// still open. A value is accepted only if the ring had room and the seal did not give the value
/// back.
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
fn spsc_ring_holds_exactly_its_capacity_each_lap() {
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
fn spsc_ring_drops_each_value_left_once() {
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
fn one_commit_shows_all_written_values() {
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
fn push_slice_fills_the_room_each_lap() {
    for capacity in CAPACITIES {
        let (mut producer, mut consumer) = spsc(capacity);
        let values: Vec<u64> = (0..capacity as u64 + 3).collect();
        // Each lap starts one slot later, and its slice wraps around the end of the slots.
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
fn unwinding_clone_keeps_earlier_values_in_the_ring() {
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
fn write_without_room_panics() {
    let (mut producer, _consumer) = spsc(1);
    producer.write(1);
    producer.write(2);
}

#[test]
fn unwinding_drain_consumes_only_the_value_in_hand() {
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
fn sealed_ring_refuses_values_and_ends_when_read() {
    let (mut producer, mut consumer) = spsc(4);
    let sealer = consumer.sealer();
    assert_eq!((producer.push(1), producer.push(2)), (Ok(()), Ok(())));
    assert!(!sealer.is_sealed() && producer.is_open());
    assert_eq!((sealer.seal(), sealer.clone().seal()), (2, 2));
    assert!(sealer.is_sealed() && !producer.is_open() && !consumer.is_drained());
    // The producer still assumes room; the ring gives the value back.
    assert_eq!(push_and_settle(&mut producer, 3), (false, false));
    assert_eq!(producer.push(4), Err(4));
    assert_eq!((sealer.accepted(), sealer.handled()), (2, 0));
    assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(1), Some(2), None));
    assert!(consumer.is_drained() && sealer.is_drained());
}

#[test]
fn dropped_producer_ends_its_ring() {
    let (mut producer, mut consumer) = spsc(4);
    assert_eq!(producer.push(1), Ok(()));
    drop(producer);
    let before = consumer.is_drained();
    assert_eq!((before, consumer.pop(), consumer.is_drained()), (false, Some(1), true));
}

#[test]
fn ended_producer_accepts_no_value() {
    let (mut producer, mut consumer) = spsc(4);
    assert_eq!(producer.push(1), Ok(()));
    producer.write(2);
    producer.end();
    assert_eq!((producer.push(3), producer.room_for(9), producer.push_slice(&[4])), (Err(3), 0, 0));
    assert_eq!((consumer.pop(), consumer.pop()), (Some(1), None));
    assert!(consumer.is_drained());
}

#[test]
fn racing_seal_loses_and_duplicates_no_value() {
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
                while !consumer.is_drained() {
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
fn values_cross_between_threads_in_order() {
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
        while !consumer.is_drained() {
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
fn uncommitted_value_has_one_owner_after_a_seal() {
    /// A value that counts its drops without owning anything, so that a second drop is detected and
    /// harmless.
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
