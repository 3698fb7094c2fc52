//! Waiting: the cell of one consumer, the list of many waiters, deadlines, and each strategy with a
//! real queue.

mod idle_publishers;
mod wakeups;

use buslane::error::ConfigErrorKind;
use buslane::time::Deadline;
use buslane::wait::{FencePair, WaitCell, WaitList};
use buslane::{Channel, Overflow, Queue, Sink, WaitStrategy};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use test_support::{GUARD, WAYS, WakeCount, assert_balanced, ends, flush, invalid, lane, wait_for};

const PAIRS: [fn() -> FencePair; 2] = [|| FencePair::Symmetric, FencePair::process];
const MICRO: Duration = Duration::from_micros(1);
const HOUR: Duration = Duration::from_secs(3600);

fn strategies() -> [WaitStrategy; 9] {
    [
        WaitStrategy::nap(),
        WaitStrategy::Nap { nap: MICRO, park_after: Duration::ZERO },
        WaitStrategy::Nap { nap: Duration::MAX, park_after: Duration::ZERO },
        WaitStrategy::SpinPark,
        WaitStrategy::Park,
        WaitStrategy::poll(),
        WaitStrategy::Poll { busy: MICRO, idle: MICRO },
        WaitStrategy::Poll { busy: 100 * MICRO, idle: Duration::from_millis(1) },
        WaitStrategy::BusySpin,
    ]
}

/// Returns whether the cell's debug text shows this state, which is the only way to see from
/// outside that a thread is parked.
fn is(cell: &WaitCell, state: &str) -> bool {
    format!("{cell:?}").contains(state)
}

#[test]
fn deadline_reports_whether_it_has_passed() {
    assert!(Deadline::NOW.has_passed());
    assert_eq!(Deadline::NOW.remaining(), Some(Duration::ZERO));
    assert_eq!(Deadline::after(Duration::ZERO), Deadline::NOW);
    assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
    assert!(!Deadline::NEVER.has_passed());
    assert_eq!(Deadline::NEVER.remaining(), None);
    assert!(Deadline::at(Instant::now()).has_passed());
    let far = Deadline::after(HOUR);
    assert!(!far.has_passed() && far.remaining().is_some_and(|left| left <= HOUR));
}

#[test]
fn wake_unparks_only_a_parked_thread() {
    for pair in PAIRS {
        let (cell, ready) = (WaitCell::new(pair()), AtomicBool::new(false));
        assert_eq!(cell.pair(), pair());
        cell.wake();
        cell.wake_now();
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                while !ready.load(Ordering::Acquire) {
                    cell.park_unless(None, || ready.load(Ordering::Acquire));
                }
            });
            wait_for(|| cell.is_parked());
            ready.store(true, Ordering::Release);
            cell.fence();
            cell.wake();
            sleeper.join().unwrap();
        });
        assert!(is(&cell, "idle"));
    }
}

#[test]
fn park_returns_at_once_when_work_is_found() {
    let cell = WaitCell::new(FencePair::process());
    let mut asked = false;
    cell.park_unless(None, || {
        assert!(cell.is_parked(), "announced before its check");
        asked = true;
        true
    });
    assert!(asked && !cell.is_parked());
    cell.park_unless(Some(MICRO), || false);
    assert!(is(&cell, "idle"));
}

#[test]
fn only_wake_now_ends_a_nap() {
    let cell = WaitCell::new(FencePair::process());
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| cell.nap(HOUR));
        wait_for(|| is(&cell, "napping"));
        cell.fence();
        cell.wake();
        assert!(!cell.is_parked() && is(&cell, "napping"));
        cell.wake_now();
        sleeper.join().unwrap();
    });
    cell.nap(MICRO);
    assert!(is(&cell, "idle"));
}

#[test]
fn second_sleeper_of_a_cell_returns_at_once() {
    let cell = Arc::new(WaitCell::new(FencePair::process()));
    let (count, waker) = WakeCount::waker();
    assert!(cell.register(&waker));
    let second = cell.clone();
    ends(move || {
        second.park_unless(None, || false);
        second.nap(HOUR);
    });
    assert!(cell.is_parked());
    cell.wake();
    assert_eq!(count.get(), 1);
}

#[test]
fn cell_wakes_replaces_and_drops_its_task_once() {
    for pair in PAIRS {
        let cell = WaitCell::new(pair());
        let ((first, waker), (second, other)) = (WakeCount::waker(), WakeCount::waker());
        assert!(cell.register(&waker));
        assert!(cell.register(&other));
        cell.fence();
        cell.wake();
        cell.wake();
        cell.wake_now();
        assert_eq!((first.get(), second.get()), (0, 1));
        assert!(cell.register(&waker));
        assert_eq!(Arc::strong_count(&first), 3);
        drop((cell, waker));
        assert_eq!(Arc::strong_count(&first), 1);
    }
}

#[test]
fn wake_up_is_never_lost_before_a_park() {
    const ROUNDS: usize = 20_000;
    for pair in PAIRS {
        let (cell, turn) = (WaitCell::new(pair()), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    while turn.load(Ordering::Acquire) < 2 * round + 1 {
                        cell.park_unless(None, || turn.load(Ordering::Acquire) > 2 * round);
                    }
                    turn.store(2 * round + 2, Ordering::Release);
                }
            });
            for round in 0..ROUNDS {
                turn.store(2 * round + 1, Ordering::Release);
                cell.fence();
                cell.wake();
                wait_for(|| turn.load(Ordering::Acquire) == 2 * round + 2);
            }
        });
    }
}

#[test]
fn wait_list_checks_first_and_at_the_deadline() {
    for pair in PAIRS {
        let list = WaitList::new(pair());
        list.notify();
        assert_eq!(list.wait_until(Deadline::NEVER, || Some(7)), Some(7));
        assert_eq!(list.wait_until(Deadline::NOW, || Some(7)), Some(7));
        assert_eq!(list.wait_until(Deadline::NOW, || None::<()>), None);
        let mut asked = 0;
        let late = list.wait_until(Deadline::after(MICRO), || {
            asked += 1;
            None::<()>
        });
        assert!(late.is_none() && asked >= 2, "asked {asked} times");
        assert!(format!("{list:?}").contains("waiting: 0"), "{list:?}");
    }
}

#[test]
fn notify_wakes_every_thread_on_a_wait_list() {
    for pair in PAIRS {
        let (list, value, served) = (WaitList::new(pair()), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for waiter in 1..=3 {
                let (list, value, served) = (&list, &value, &served);
                scope.spawn(move || {
                    let seen = list.wait_until(Deadline::after(GUARD), || {
                        let value = value.load(Ordering::Acquire);
                        (value >= waiter).then_some(value)
                    });
                    assert!(seen.is_some_and(|seen| seen >= waiter));
                    served.fetch_add(1, Ordering::Release);
                });
            }
            for step in 1..=3 {
                value.store(step, Ordering::Release);
                list.notify();
                wait_for(|| served.load(Ordering::Acquire) >= step);
            }
        });
    }
}

#[test]
fn every_strategy_delivers_10_000_events_in_order() {
    for (strategy, way) in strategies().into_iter().flat_map(|strategy| WAYS.map(|way| (strategy, way))) {
        let mut next = 0;
        let queue = Queue::builder()
            .capacity(64)
            .overflow(Overflow::Block)
            .wait_strategy(strategy)
            .spawn(move |event: u64| {
                assert_eq!(event, next);
                next += 1;
            })
            .unwrap();
        let mut entry = test_support::Entry::into(&queue, way);
        ends(move || {
            for event in 0..10_000 {
                entry.write(event).unwrap();
            }
        });
        flush(&queue);
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.delivered, ledger.dropped.total()), (10_000, 0), "{strategy:?}, {way:?}");
        assert!(queue.close().is_done(), "{strategy:?}, {way:?}");
    }
}

#[test]
fn every_strategy_finds_one_event_after_idling() {
    for strategy in strategies() {
        let (sender, echo) = mpsc::channel();
        let queue =
            Queue::builder().wait_strategy(strategy).spawn(move |event: u64| sender.send(event)).unwrap();
        let (channel, mut receiver) = Channel::builder().wait_strategy(strategy).build().unwrap();
        let (mut to_queue, mut to_channel) = (lane(&queue), lane(&channel));
        let (pong, ponged) = mpsc::channel();
        let reader = thread::spawn(move || receiver.iter().for_each(|event: u64| pong.send(event).unwrap()));
        for event in 0..50 {
            to_queue.push(event, buslane::time::Deadline::NEVER).unwrap();
            assert_eq!(echo.recv_timeout(GUARD), Ok(event), "{strategy:?}");
            to_channel.push(event, buslane::time::Deadline::NEVER).unwrap();
            assert_eq!(ponged.recv_timeout(GUARD), Ok(event), "{strategy:?}");
        }
        channel.close();
        reader.join().unwrap();
        assert!(queue.close().is_done(), "{strategy:?}");
    }
}

#[test]
fn close_and_flush_end_a_long_nap_of_the_worker() {
    for strategy in
        [WaitStrategy::Poll { busy: HOUR, idle: HOUR }, WaitStrategy::Nap { nap: HOUR, park_after: HOUR }]
    {
        for round in 0..50 {
            let (sender, handled) = mpsc::channel();
            let queue =
                Queue::builder().wait_strategy(strategy).spawn(move |event: u64| sender.send(event)).unwrap();
            for event in 0..3 {
                queue.write(event).unwrap();
                flush(&queue);
                assert_eq!(handled.try_recv(), Ok(event), "{strategy:?}, round {round}");
            }
            let report = queue.close_timeout(GUARD);
            assert!(report.is_done(), "{strategy:?}, round {round}: {report}");
        }
    }
}

#[test]
fn close_is_seen_by_a_worker_about_to_nap() {
    let strategy = WaitStrategy::Poll { busy: HOUR, idle: HOUR };
    for round in 0..10_000 {
        let queue = Queue::builder().wait_strategy(strategy).spawn(|_: u8| ()).unwrap();
        // The new thread needs some microseconds until its first nap.
        (0..round % 2000).for_each(|_| std::hint::spin_loop());
        assert!(queue.close().is_done(), "round {round}");
    }
}

#[test]
fn longest_interval_does_not_overflow() {
    let strategy = WaitStrategy::Poll { busy: Duration::MAX, idle: Duration::MAX };
    let queue = Queue::builder().wait_strategy(strategy).spawn(|_: u8| ()).unwrap();
    for event in 0..3 {
        queue.write(event).unwrap();
        // Each flush wakes the worker, which finds no further event.
        (0..3).for_each(|_| flush(&queue));
    }
    assert!(queue.close().is_done());
}

#[test]
fn invalid_intervals_are_typed_errors() {
    let zero = Duration::ZERO;
    for strategy in [
        WaitStrategy::Nap { nap: zero, park_after: HOUR },
        WaitStrategy::Poll { busy: zero, idle: HOUR },
        WaitStrategy::Poll { busy: HOUR, idle: MICRO },
    ] {
        let spawned = Queue::builder().wait_strategy(strategy).spawn(|_: u8| ());
        assert_eq!(invalid(spawned), ConfigErrorKind::Interval, "{strategy:?}");
        let built = Channel::<u8>::builder().wait_strategy(strategy).build();
        assert_eq!(invalid(built), ConfigErrorKind::Interval, "{strategy:?}");
    }
}
