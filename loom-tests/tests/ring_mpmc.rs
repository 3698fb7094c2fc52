//! The ring for many producers and many consumers, its close and its eviction.

use buslane::ring::mpmc::{Pop, PushError, Ring};
use loom_tests::{Arc, AtomicUsize, Lives, Ordering, Steps, Tracked, model, thread};

fn new(capacity: usize) -> Arc<Ring<Tracked>> {
    Arc::new(Ring::new(capacity).expect("a small ring"))
}

/// Returns the values in the ring, when no other thread uses it.
fn rest(ring: &Ring<Tracked>) -> Vec<usize> {
    let mut got = Vec::new();
    loop {
        match ring.pop() {
            Pop::Value(value) => got.push(value.id()),
            Pop::Empty => return got,
            Pop::Pending => panic!("a slot that no thread has claimed"),
        }
    }
}

/// Pushes each of `ids` on a separate thread; `true` marks the accepted ones.
fn pushers<const N: usize>(
    ring: &Arc<Ring<Tracked>>,
    lives: &Lives,
    steps: &Steps,
    ids: [usize; N],
) -> [thread::JoinHandle<Option<usize>>; N] {
    ids.map(|id| {
        let (ring, value, steps) = (ring.clone(), lives.value(id), steps.clone());
        thread::spawn(move || {
            steps.step();
            match ring.push(value) {
                Ok(()) => Some(id),
                Err(PushError::Full(back) | PushError::Closed(back)) => {
                    assert_eq!(back.id(), id, "the value that comes back");
                    None
                }
            }
        })
    })
}

fn accepted<const N: usize>(pushers: [thread::JoinHandle<Option<usize>>; N]) -> Vec<usize> {
    pushers.into_iter().filter_map(|pusher| pusher.join().unwrap()).collect()
}

fn sorted(mut ids: Vec<usize>) -> Vec<usize> {
    ids.sort_unstable();
    ids
}

/// Runs two pushers against one consumer that polls twice.
fn two_pushers(capacity: usize) {
    let (ring, lives, steps) = (new(capacity), Lives::new(2), Steps::new());
    let pushers = pushers(&ring, &lives, &steps, [0, 1]);
    let mut got = Vec::new();
    for _ in 0..2 {
        steps.step();
        if let Pop::Value(value) = ring.pop() {
            got.push(value.id());
        }
    }
    let accepted = accepted(pushers);
    got.extend(rest(&ring));
    assert_eq!(sorted(got), accepted, "accepted means popped");
    assert!(!accepted.is_empty(), "at least one push finds room");
    assert_eq!((ring.position(), ring.claimed()), (accepted.len() as u64, accepted.len() as u64));
    drop(ring);
    lives.assert_all_dropped();
}

#[test]
fn pop_returns_each_value_of_two_pushers_once() {
    // An accepted value is popped once, and is complete. Fails when ORD(mpmc.stamp) is Relaxed in
    // the store of `push` or the load of `pop_at`.
    model(|| two_pushers(2));
}

#[test]
fn two_pushers_never_exceed_capacity_one() {
    // The capacity is exact although there are two slots. Fails when `is_full_at` is left out.
    model(|| two_pushers(1));
}

#[test]
fn pusher_never_refills_a_full_slot() {
    // A slot is not filled again before it is emptied, and the order holds. Fails when
    // ORD(mpmc.stamp) is Relaxed in the store of `pop_at` or the load of `push`.
    model(|| {
        let (ring, lives, steps) = (new(2), Lives::new(3), Steps::new());
        let (pusher, values, turns) = (ring.clone(), lives.clone(), steps.clone());
        let pusher = thread::spawn(move || {
            let push = |id: &usize| {
                turns.step();
                pusher.push(values.value(*id)).is_ok()
            };
            (0..3).filter(push).collect::<Vec<_>>()
        });
        let mut got = Vec::new();
        for _ in 0..2 {
            steps.step();
            if let Pop::Value(value) = ring.pop() {
                got.push(value.id());
            }
        }
        let accepted = pusher.join().unwrap();
        got.extend(rest(&ring));
        assert_eq!(got, accepted);
        drop(ring);
        lives.assert_all_dropped();
    });
}

#[test]
fn each_value_reaches_one_of_two_consumers() {
    // A value goes to one consumer. Fails when the claim of the head is not a read-modify-write, or
    // when ORD(mpmc.stamp) is Relaxed in the load of `pop_at`.
    model(|| {
        let (ring, lives) = (new(2), Lives::new(2));
        ring.push(lives.value(0)).expect("room");
        let consumers = [0, 1].map(|_| {
            let ring = ring.clone();
            thread::spawn(move || match ring.pop() {
                Pop::Value(value) => Some(value.id()),
                Pop::Empty | Pop::Pending => None,
            })
        });
        ring.push(lives.value(1)).expect("room");
        let mut got: Vec<_> = consumers.into_iter().filter_map(|taker| taker.join().unwrap()).collect();
        got.extend(rest(&ring));
        assert_eq!(sorted(got), [0, 1]);
        drop(ring);
        lives.assert_all_dropped();
    });
}

#[test]
fn close_returns_the_exact_end_of_two_pushers() {
    // The final position is exact: an accepted value is popped, and `Closed` returns the value.
    // Fails when the closed bit is not in the word that producers use to claim (ORD(mpmc.tail)).
    model(|| {
        let (ring, lives, steps) = (new(2), Lives::new(2), Steps::new());
        let pushers = pushers(&ring, &lives, &steps, [0, 1]);
        steps.step();
        let end = ring.close();
        assert_eq!(ring.close(), end);
        let mut got = Vec::new();
        while !ring.is_drained() {
            match ring.pop() {
                Pop::Value(value) => got.push(value.id()),
                Pop::Empty | Pop::Pending => thread::yield_now(),
            }
        }
        assert!(matches!(ring.pop(), Pop::Empty), "a value after the end");
        let accepted = accepted(pushers);
        assert_eq!(sorted(got), accepted);
        assert_eq!(end, accepted.len() as u64);
        assert_eq!(ring.position(), end);
        drop(ring);
        lives.assert_all_dropped();
    });
}

#[test]
fn last_owner_drops_every_accepted_value() {
    // A value that is accepted and never popped is dropped with the ring, by its last owner. Fails
    // when ORD(mpmc.stamp) in `push` is Relaxed and the last owner is another thread (the `Arc`
    // orders it; kept for the count of drops).
    model(|| {
        let (ring, lives, steps) = (new(1), Lives::new(2), Steps::new());
        let pushers = pushers(&ring, &lives, &steps, [0, 1]);
        steps.step();
        let end = ring.close();
        drop(ring);
        assert_eq!(accepted(pushers).len() as u64, end);
        lives.assert_all_dropped();
    });
}

/// Pushes and evicts `pushes` values on one thread; the consumer polls `looks` times.
fn eviction(capacity: usize, pushes: usize, looks: usize) {
    let (ring, lives, steps) = (new(capacity), Lives::new(pushes), Steps::new());
    let (pusher, values, turns) = (ring.clone(), lives.clone(), steps.clone());
    let pusher = thread::spawn(move || {
        let (mut accepted, mut evicted) = (Vec::new(), Vec::new());
        for id in 0..pushes {
            turns.step();
            match pusher.push_evicting(values.value(id), |oldest| evicted.push(oldest.id())) {
                Ok(()) => accepted.push(id),
                Err(PushError::Full(back)) => assert_eq!(back.id(), id),
                Err(PushError::Closed(_)) => panic!("the ring was never closed"),
            }
        }
        (accepted, evicted)
    });
    let mut got = Vec::new();
    for _ in 0..looks {
        steps.step();
        if let Pop::Value(value) = ring.pop() {
            got.push(value.id());
        }
    }
    let (accepted, evicted) = pusher.join().unwrap();
    got.extend(rest(&ring));
    assert!(got.is_sorted() && evicted.is_sorted(), "first in, first out: {got:?}, {evicted:?}");
    let exit = sorted(got.iter().chain(&evicted).copied().collect());
    assert_eq!(exit, accepted, "accepted = popped + evicted");
    drop(ring);
    lives.assert_all_dropped();
}

#[test]
fn eviction_and_pop_take_each_value_once() {
    // accepted = popped + evicted, each value once, also when both sides claim the same one. Fails
    // when ORD(mpmc.stamp) is Relaxed in either store or either load.
    model(|| eviction(1, 3, 2));
}

#[test]
fn eviction_and_pop_stay_exact_at_capacity_two() {
    // As above, where the slot to fill is not the slot to evict.
    model(|| eviction(2, 3, 2));
}

#[test]
fn two_evicting_pushers_take_each_value_once() {
    // As above, with two pushers that evict each other's values.
    model(|| {
        let (ring, lives, steps) = (new(1), Lives::new(3), Steps::new());
        ring.push(lives.value(0)).expect("room");
        let pushers = [1, 2].map(|id| {
            let (ring, value, turns) = (ring.clone(), lives.value(id), steps.clone());
            thread::spawn(move || {
                turns.step();
                let mut evicted = Vec::new();
                let done = ring.push_evicting(value, |oldest| evicted.push(oldest.id()));
                (done.is_ok().then_some(id), evicted)
            })
        });
        let mut exit = Vec::new();
        steps.step();
        if let Pop::Value(value) = ring.pop() {
            exit.push(value.id());
        }
        let mut accepted = vec![0];
        for pusher in pushers {
            let (id, evicted) = pusher.join().unwrap();
            accepted.extend(id);
            exit.extend(evicted);
        }
        exit.extend(rest(&ring));
        assert_eq!(sorted(exit), accepted);
        drop(ring);
        lives.assert_all_dropped();
    });
}

#[test]
fn close_keeps_counters_exact_during_an_eviction() {
    // A close between the eviction and the push of the new value leaves the counters exact: the
    // evicted value is out, the new one comes back. Fails when the closed bit is not in the word
    // that producers use to claim (ORD(mpmc.tail)).
    model(|| {
        let (ring, lives, steps) = (new(1), Lives::new(2), Steps::new());
        ring.push(lives.value(0)).expect("room");
        let (pusher, value, turns) = (ring.clone(), lives.value(1), steps.clone());
        let pusher = thread::spawn(move || {
            turns.step();
            let mut evicted = Vec::new();
            let done = pusher.push_evicting(value, |oldest| evicted.push(oldest.id()));
            (done.is_ok(), evicted)
        });
        steps.step();
        let end = ring.close();
        let (accepted, evicted) = pusher.join().unwrap();
        assert_eq!(end, 1 + u64::from(accepted));
        let got = rest(&ring);
        assert!(ring.is_drained());
        assert_eq!((got.len() + evicted.len()) as u64, end);
        drop(ring);
        lives.assert_all_dropped();
    });
}

#[test]
fn filled_slot_yields_a_value_to_pop() {
    // A single consumer that sees the oldest slot filled pops a complete value. Fails when
    // ORD(mpmc.stamp) is Relaxed in the store of `push`.
    model(|| {
        let (ring, lives, steps) = (new(2), Lives::new(1), Steps::new());
        let pushers = pushers(&ring, &lives, &steps, [0]);
        steps.step();
        if ring.has_filled() {
            assert!(matches!(ring.pop(), Pop::Value(_)));
            assert!(!ring.has_filled());
        }
        assert_eq!(accepted(pushers), [0]);
        drop(ring);
        lives.assert_all_dropped();
    });
}

#[test]
fn claimed_position_publishes_earlier_stores() {
    // A thread that sees a value claimed sees the earlier stores of its consumer. Fails when
    // ORD(mpmc.head) is Relaxed in `pop_at` or `claimed`.
    model(|| {
        let (ring, lives, steps) = (new(2), Lives::new(1), Steps::new());
        ring.push(lives.value(0)).expect("room");
        let written = Arc::new(AtomicUsize::new(0));
        let (popper, effect, turns) = (ring.clone(), written.clone(), steps.clone());
        let popper = thread::spawn(move || {
            turns.step();
            effect.store(7, Ordering::Relaxed);
            assert!(matches!(popper.pop(), Pop::Value(_)));
        });
        steps.step();
        if ring.claimed() == 1 {
            assert_eq!(written.load(Ordering::Relaxed), 7);
            assert!(ring.is_empty());
        }
        popper.join().unwrap();
        drop(ring);
        lives.assert_all_dropped();
    });
}

#[test]
fn mpmc_close_publishes_earlier_stores() {
    // A thread that sees the ring closed or ended sees the stores before the close. Fails when
    // ORD(mpmc.tail) is Relaxed in `close`, `is_closed` or `is_drained`.
    model(|| {
        let ring = new(1);
        let written = Arc::new(AtomicUsize::new(0));
        let (closer, effect) = (ring.clone(), written.clone());
        let closer = thread::spawn(move || {
            effect.store(7, Ordering::Relaxed);
            closer.close();
        });
        let (watcher, effect) = (ring.clone(), written.clone());
        let watcher = thread::spawn(move || {
            if watcher.is_drained() {
                assert_eq!(effect.load(Ordering::Relaxed), 7);
            }
        });
        if ring.is_closed() {
            assert_eq!(written.load(Ordering::Relaxed), 7);
        }
        watcher.join().unwrap();
        closer.join().unwrap();
    });
}
