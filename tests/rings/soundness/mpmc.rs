//! The ring of many producers and many consumers.

use super::{Census, Counted, rounds, unwinds};
use buslane::ring::mpmc::{Pop, PushError, Ring};
use std::thread;

#[test]
fn panicking_eviction_loses_exactly_two_values() {
    for capacity in [1, 2, 3, 8] {
        let census = Census::default();
        let ring = Ring::new(capacity).unwrap();
        (0..capacity).for_each(|n| assert!(ring.push(census.value(n)).is_ok()));
        assert!(unwinds(|| ring.push_evicting(census.value(9), |_| panic!("as requested by the test"))));
        assert_eq!((ring.len(), census.living()), (capacity - 1, capacity - 1));
        assert!(ring.push(census.value(9)).is_ok());
        drop(ring);
        assert_eq!(census.living(), 0);
    }
}

#[test]
fn eviction_callback_can_reenter_the_ring() {
    let census = Census::default();
    let ring = Ring::new(2).unwrap();
    for n in 0..20 {
        let mut comes_back = true;
        let pushed = ring.push_evicting(census.value(n), |old: Counted| {
            assert!(old.look() <= n);
            // Only once: each reentrant push takes the room that was made, and evicts the next
            // value.
            if std::mem::take(&mut comes_back) {
                let _ = ring.push(census.value(n));
                let _ = ring.push_evicting(census.value(n), |old| assert!(old.look() <= n));
            }
        });
        assert!(pushed.is_ok());
    }
    ring.close();
    assert!(matches!(ring.push(census.value(0)), Err(PushError::Closed(_))));
    drop(ring);
    assert_eq!(census.living(), 0);
}

#[test]
fn threads_push_pop_evict_and_close_soundly() {
    for capacity in [1, 3, 8] {
        let census = Census::default();
        let ring = Ring::new(capacity).unwrap();
        thread::scope(|scope| {
            for kind in 0..2 {
                let (ring, census) = (&ring, &census);
                scope.spawn(move || {
                    for n in 0..rounds(2000, 20) {
                        let _ = if kind == 0 {
                            ring.push(census.value(n))
                        } else {
                            ring.push_evicting(census.value(n), |old| assert!(old.look() < 2000))
                        };
                    }
                    ring.close();
                });
                scope.spawn(|| {
                    while !ring.is_drained() {
                        if let Pop::Value(value) = ring.pop() {
                            value.look();
                        }
                        thread::yield_now();
                    }
                });
            }
        });
        assert_eq!(census.living(), 0);
    }
}
