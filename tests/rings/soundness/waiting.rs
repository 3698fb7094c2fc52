//! The cell of one consumer and the list of many waiters, under callbacks that panic or reenter.

use super::wakers::{Hooks, waker};
use super::{rounds, unwinds};
use buslane::time::Deadline;
use buslane::time::{Clock, Pause, SystemClock};
use buslane::wait::{FencePair, WaitCell, WaitList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

const PAIRS: [fn() -> FencePair; 2] = [|| FencePair::Symmetric, FencePair::process];
const HOUR: Duration = Duration::from_secs(3600);

fn is_idle(cell: &WaitCell) -> bool {
    format!("{cell:?}").contains("idle")
}

#[test]
fn panicking_check_leaves_the_cell_idle() {
    for pair in PAIRS {
        let cell = WaitCell::new(pair());
        assert!(unwinds(|| cell.park_unless(None, || panic!("as requested by the test"))));
        assert!(is_idle(&cell) && !cell.is_parked());
        assert!(unwinds(|| cell.nap_unless(HOUR, || panic!("as requested by the test"))));
        assert!(is_idle(&cell));
        assert!(cell.register(Waker::noop()) && cell.is_parked());
    }
}

#[test]
fn check_can_reenter_its_cell() {
    for pair in PAIRS {
        let cell = WaitCell::new(pair());
        cell.park_unless(None, || {
            cell.park_unless(Some(HOUR), || false);
            cell.nap(HOUR);
            cell.wake_now();
            assert!(cell.register(Waker::noop()), "the thread is removed");
            assert!(cell.register(Waker::noop()), "so is the task");
            true
        });
        assert!(cell.is_parked(), "the task that registered meanwhile stays");
        cell.wake();
        assert!(is_idle(&cell));
    }
}

#[test]
fn wakers_can_reenter_the_cell_and_panic() {
    for pair in PAIRS {
        for place in 0..3 {
            for panics in [false, true] {
                let cell = Arc::new(WaitCell::new(pair()));
                let (inside, own) = (AtomicBool::new(false), Arc::downgrade(&cell));
                let hook: Box<dyn Fn() + Send + Sync> = Box::new(move || {
                    if let Some(cell) = own.upgrade()
                        && !inside.swap(true, Ordering::Relaxed)
                    {
                        cell.wake_now();
                        let _ = cell.register(Waker::noop());
                        cell.wake();
                        inside.store(false, Ordering::Relaxed);
                        assert!(!panics, "as requested by the test");
                    }
                });
                let mut hooks = Hooks::default();
                match place {
                    0 => hooks.on_clone = Some(hook),
                    1 => hooks.on_wake = Some(hook),
                    _ => hooks.on_drop = Some(hook),
                }
                let (hooks, waker) = waker(hooks);
                for _ in 0..3 {
                    let _ = unwinds(|| cell.register(&waker));
                    let _ = unwinds(|| cell.register(&waker));
                    let _ = unwinds(|| cell.wake());
                }
                drop(cell);
                let _ = unwinds(|| drop(waker));
                assert_eq!(Arc::strong_count(&hooks), 1);
            }
        }
    }
}

#[test]
fn threads_share_one_cell_soundly() {
    for pair in PAIRS {
        let (cell, over) = (WaitCell::new(pair()), AtomicBool::new(false));
        thread::scope(|scope| {
            let sleepers = [0, 1].map(|kind| {
                let cell = &cell;
                scope.spawn(move || {
                    for round in 0..rounds(2000, 15) {
                        match (round + kind) % 3 {
                            0 => cell.park_unless(Some(Duration::from_micros(50)), || round % 2 == 0),
                            1 => drop(cell.register(Waker::noop())),
                            _ => cell.nap(Duration::from_micros(20)),
                        }
                    }
                })
            });
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    cell.fence();
                    cell.wake();
                    cell.wake_now();
                    thread::yield_now();
                }
            });
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
            over.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn panicking_attempt_leaves_the_list() {
    for pair in PAIRS {
        let list = WaitList::new(pair());
        let attempts = AtomicUsize::new(0);
        for _ in 0..3 {
            assert!(unwinds(|| list.wait_until(Deadline::NEVER, || -> Option<()> {
                // Some attempts panic while they are on the list, and some after their removal.
                if attempts.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                    list.notify();
                }
                panic!("as requested by the test")
            })));
            assert_eq!(format!("{list:?}"), "WaitList { waiting: 0 }");
        }
        assert_eq!(list.wait_until(Deadline::NEVER, || Some(1)), Some(1));
    }
}

#[test]
fn attempt_can_reenter_its_list() {
    let list = WaitList::new(FencePair::Symmetric);
    let inner = || list.wait_until(Deadline::NOW, || None::<()>);
    let outcome = list.wait_until(Deadline::NEVER, || {
        list.notify();
        inner();
        list.notify();
        Some(7)
    });
    assert_eq!(outcome, Some(7));
    assert_eq!(format!("{list:?}"), "WaitList { waiting: 0 }");
}

#[test]
fn pause_survives_a_panicking_check() {
    let pause = Arc::new(Pause::new());
    assert!(unwinds(|| pause.wait(Deadline::NEVER, || panic!("as requested by the test"))));
    assert!(pause.wait(Deadline::NEVER, || true));
    pause.interrupt();
    SystemClock.wait_until(Instant::now() + HOUR, &pause);
}
