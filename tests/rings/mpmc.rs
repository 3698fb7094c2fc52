//! The ring of many producers and many consumers: exact capacity, exact drops, eviction and close.

use super::{CAPACITIES, mpmc};
use buslane::ring::mpmc::{Pop, PushError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use test_support::{Drops, Tracked};

#[test]
fn mpmc_ring_holds_exactly_its_capacity_each_lap() {
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
fn mpmc_ring_drops_each_value_left_once() {
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
fn eviction_removes_the_oldest_until_the_close() {
    let ring = mpmc(3);
    let mut evicted = Vec::new();
    for value in 0..8 {
        assert_eq!(ring.push_evicting(value, |old| evicted.push(old)), Ok(()));
    }
    assert_eq!(evicted, [0, 1, 2, 3, 4]);
    assert_eq!((ring.close(), ring.close()), (8, 8));
    assert!(ring.is_closed() && !ring.is_drained());
    assert_eq!(ring.push_evicting(8, |old| evicted.push(old)), Err(PushError::Closed(8)));
    assert_eq!(ring.push(8), Err(PushError::Closed(8)));
    assert_eq!([ring.pop(), ring.pop(), ring.pop()], [Pop::Value(5), Pop::Value(6), Pop::Value(7)]);
    assert!(ring.is_drained());
    assert_eq!((ring.pop(), evicted.len()), (Pop::Empty, 5));
}

#[test]
fn mpmc_ring_delivers_each_accepted_value_once() {
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
                while !ring.is_drained() {
                    let Pop::Value(value) = ring.pop() else { continue };
                    let of = &mut last[usize::from(value >= EACH)];
                    assert!(of.is_none_or(|last| last < value), "the order of one producer");
                    *of = Some(value);
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        test_support::wait_for(|| counted.load(Ordering::Relaxed) >= EACH);
        ring.close();
    });
    assert_eq!(accepted.into_inner(), ring.position());
    assert_eq!(counted.into_inner(), ring.position());
    assert!(ring.is_empty());
}
