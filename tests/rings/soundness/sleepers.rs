//! Berths that are mixed up, forgotten or outlive their list, and wakers that reenter.

use super::wakers::{Hooks, waker};
use super::{rounds, unwinds};
use buslane::wait::{Berth, FencePair, Sleepers};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::Duration;

const PAIRS: [fn() -> FencePair; 2] = [|| FencePair::Symmetric, FencePair::process];
const MOMENT: Option<Duration> = Some(Duration::from_micros(100));

/// Returns a waker that counts its wake-ups.
fn counting() -> (Arc<AtomicUsize>, Arc<Hooks>, Waker) {
    let count = Arc::new(AtomicUsize::new(0));
    let woken = count.clone();
    let add = move || {
        woken.fetch_add(1, Ordering::Relaxed);
    };
    let (hooks, waker) = waker(Hooks { on_wake: Some(Box::new(add)), ..Hooks::default() });
    (count, hooks, waker)
}

#[test]
fn berth_of_other_sleepers_is_refused() {
    for pair in PAIRS {
        let (one, other) = (Sleepers::new(pair()), Sleepers::new(pair()));
        let (count, hooks, waker) = counting();
        let mut berth = one.berth();
        for registered in [false, true] {
            if registered {
                one.register(&mut berth, &waker);
            }
            assert!(unwinds(|| other.register(&mut berth, &waker)));
            assert!(unwinds(|| other.park_unless(&mut berth, MOMENT, || true)));
            assert!(unwinds(|| other.cancel(&mut berth)));
            other.wake();
            assert_eq!(count.load(Ordering::Relaxed), 0);
        }
        drop(other);
        one.wake();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        drop((berth, one, waker));
        assert_eq!(Arc::strong_count(&hooks), 1);
    }
}

#[test]
fn berth_can_outlive_its_sleepers() {
    for pair in PAIRS {
        let sleepers = Sleepers::new(pair());
        let (_, hooks, waker) = counting();
        let mut berths = [(); 4].map(|()| sleepers.berth());
        berths.iter_mut().for_each(|berth| sleepers.register(berth, &waker));
        let empty = sleepers.berth();
        drop((sleepers, waker));
        assert_eq!(Arc::strong_count(&hooks), 5);
        drop((empty, berths));
        assert_eq!(Arc::strong_count(&hooks), 1);
    }
}

#[test]
fn dropped_berth_is_reused() {
    for pair in PAIRS {
        let sleepers = Sleepers::new(pair());
        let (count, hooks, waker) = counting();
        for round in 0..10 {
            let mut berths = [sleepers.berth(), sleepers.berth()];
            berths.iter_mut().for_each(|berth| sleepers.register(berth, &waker));
            assert_eq!(Arc::strong_count(&hooks), 4);
            if round % 2 == 0 {
                sleepers.wake();
            }
        }
        assert_eq!((count.load(Ordering::Relaxed), Arc::strong_count(&hooks)), (10, 2));
    }
}

#[test]
fn forgotten_berth_is_woken_like_others() {
    for pair in PAIRS {
        let sleepers = Sleepers::new(pair());
        let (count, _, waker) = counting();
        for _ in 0..3 {
            let mut berth = sleepers.berth();
            sleepers.register(&mut berth, &waker);
            std::mem::forget(berth);
        }
        let mut last = sleepers.berth();
        sleepers.register(&mut last, &waker);
        drop(last);
        sleepers.wake();
        assert_eq!(count.load(Ordering::Relaxed), 3);
        // A forgotten berth leaks. A leak checker must not blame the crate for it: the cycle is the
        // test's.
    }
}

#[test]
fn panicking_check_leaves_no_thread_parked() {
    for pair in PAIRS {
        let sleepers = Sleepers::new(pair());
        let (count, hooks, waker) = counting();
        let (mut berth, mut other) = (sleepers.berth(), sleepers.berth());
        sleepers.register(&mut other, &waker);
        assert!(unwinds(|| sleepers.park_unless(&mut berth, None, || panic!("as requested by the test"))));
        // A reader that is called during its check wakes the others.
        assert!(unwinds(|| sleepers.park_unless(&mut berth, None, || {
            sleepers.wake();
            panic!("as requested by the test")
        })));
        assert_eq!(count.load(Ordering::Relaxed), 1);
        sleepers.park_unless(&mut berth, MOMENT, || false);
        drop((berth, other, waker));
        assert_eq!(Arc::strong_count(&hooks), 1);
        sleepers.wake();
    }
}

/// Does what a hostile callback may do with sleepers that it shares with other threads.
fn meddle(sleepers: &Sleepers, berths: &Mutex<Vec<Berth>>) {
    sleepers.wake();
    let mut own = sleepers.berth();
    sleepers.register(&mut own, Waker::noop());
    sleepers.park_unless(&mut own, MOMENT, || {
        sleepers.wake();
        true
    });
    let given = berths.lock().map(|mut berths| berths.pop());
    drop(given);
    if let Ok(mut berths) = berths.lock() {
        berths.push(own);
    }
    sleepers.wake();
}

#[test]
fn wakers_can_reenter_the_sleepers() {
    for pair in PAIRS {
        for place in 0..3 {
            let sleepers = Arc::new(Sleepers::new(pair()));
            let berths = Arc::new(Mutex::new(Vec::new()));
            let hook = || -> Box<dyn Fn() + Send + Sync> {
                let (sleepers, berths) = (sleepers.clone(), berths.clone());
                let inside = AtomicBool::new(false);
                Box::new(move || {
                    // Without this flag, a waker that always reenters never ends.
                    if !inside.swap(true, Ordering::Relaxed) {
                        meddle(&sleepers, &berths);
                        inside.store(false, Ordering::Relaxed);
                    }
                })
            };
            let mut hooks = Hooks::default();
            match place {
                0 => hooks.on_clone = Some(hook()),
                1 => hooks.on_wake = Some(hook()),
                _ => hooks.on_drop = Some(hook()),
            }
            let (hooks, waker) = waker(hooks);
            let mut own = [(); 3].map(|()| sleepers.berth());
            for _ in 0..4 {
                for berth in &mut own {
                    sleepers.register(berth, &waker);
                    sleepers.register(berth, &waker);
                }
                sleepers.wake();
                own.iter_mut().for_each(|berth| sleepers.register(berth, &waker));
                own.iter_mut().for_each(|berth| sleepers.cancel(berth));
            }
            drop((own, waker));
            berths.lock().unwrap().clear();
            assert_eq!(Arc::strong_count(&hooks), 1);
        }
    }
}

#[test]
fn sleepers_survive_panicking_wakers() {
    for pair in PAIRS {
        for place in 0..3 {
            let sleepers = Sleepers::new(pair());
            let armed = Arc::new(AtomicBool::new(true));
            let arm = armed.clone();
            let hook: Box<dyn Fn() + Send + Sync> = Box::new(move || {
                assert!(!arm.swap(false, Ordering::Relaxed), "as requested by the test");
            });
            let mut hooks = Hooks::default();
            match place {
                0 => hooks.on_clone = Some(hook),
                1 => hooks.on_wake = Some(hook),
                _ => hooks.on_drop = Some(hook),
            }
            let (hooks, hostile) = waker(hooks);
            let (count, _, waker) = counting();
            let mut berths = [(); 3].map(|()| sleepers.berth());
            let [first, second, third] = &mut berths;
            sleepers.register(first, &waker);
            let _ = unwinds(|| sleepers.register(second, &hostile));
            let _ = unwinds(|| sleepers.register(second, &hostile));
            sleepers.register(third, &waker);
            sleepers.wake();
            assert_eq!(count.load(Ordering::Relaxed), 2, "the others are woken");
            assert!(!armed.load(Ordering::Relaxed), "the hook has panicked");
            drop((berths, hostile));
            assert_eq!(Arc::strong_count(&hooks), 1);
        }
    }
}

#[test]
fn threads_register_park_cancel_and_leave_soundly() {
    for pair in PAIRS {
        let sleepers = Sleepers::new(pair());
        let (_, hooks, waker) = counting();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let readers = [0, 1].map(|kind| {
                let (sleepers, waker) = (&sleepers, &waker);
                scope.spawn(move || {
                    let mut berth = sleepers.berth();
                    for round in 0..rounds(5000, 25) {
                        match (round + kind) % 4 {
                            0 => sleepers.register(&mut berth, waker),
                            1 => sleepers.park_unless(&mut berth, MOMENT, || round % 3 == 0),
                            2 => sleepers.cancel(&mut berth),
                            _ => berth = sleepers.berth(),
                        }
                    }
                })
            });
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    sleepers.wake();
                    thread::yield_now();
                }
            });
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            over.store(true, Ordering::Relaxed);
        });
        drop((sleepers, waker));
        assert_eq!(Arc::strong_count(&hooks), 1);
    }
}
