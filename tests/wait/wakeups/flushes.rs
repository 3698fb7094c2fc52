//! Flushes and closes that wait: each is woken for its own condition, however many others wait.

use super::{Blocked, EVENTS, MOST_SLEEPS};
use buslane::queue::QueueBuilder;
use buslane::sink::lane::Lanes;
use buslane::stats::FlushReport;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Queue, Sink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use test_support::{GUARD, ends, lock, wait_for, waits};

const WAITING: usize = 100;

/// A pause in which woken threads can run.
fn dawdle() {
    (0..4).for_each(|_| thread::yield_now());
}

fn flushes(flush: impl Fn() -> FlushReport + Clone + Send + 'static) -> Blocked {
    Blocked::begin(WAITING, || {
        let flush = flush.clone();
        Box::new(move || {
            let report = flush();
            assert!(report.is_done(), "{report}");
        })
    })
}

/// Other work on the machine only adds sleeps: it preempts a thread that holds a lock, and the others
/// sleep until that thread runs. So the least of up to three rounds counts.
#[track_caller]
fn assert_few(what: &str, round: impl Fn() -> Blocked) {
    let rounds = (0..3).map(|_| {
        let slept = round().end();
        println!("{what}: {slept} sleeps of {WAITING} threads in {EVENTS} events");
        slept
    });
    let failed = rounds.take_while(|slept| *slept > MOST_SLEEPS * EVENTS).count();
    assert!(failed < 3, "{what}: too many sleeps of {WAITING} threads in {EVENTS} events, three times");
}

#[test]
fn progress_wakes_one_flush_of_a_channel() {
    ends(|| {
        assert_few("channel", || {
            let (channel, mut receiver) = Channel::builder().capacity(EVENTS as usize).build().unwrap();
            (0..EVENTS).for_each(|n| channel.write(n).unwrap());
            let flushing = channel.clone();
            let blocked = flushes(move || flushing.flush_timeout(GUARD));
            for _ in 0..EVENTS {
                receiver.recv().unwrap();
                dawdle();
            }
            blocked
        });
    });
}

#[test]
fn progress_wakes_one_flush_of_several_lanes() {
    ends(|| {
        assert_few("lanes", || {
            let (channel, mut receiver) = Channel::builder().capacity(EVENTS as usize).build().unwrap();
            let mut lanes: Vec<_> = (0..4).map(|_| channel.lane().unwrap().unwrap()).collect();
            for n in 0..EVENTS {
                lanes[n as usize % 4].push(n, Deadline::NOW).unwrap();
            }
            let flushing = channel.clone();
            let blocked = flushes(move || flushing.flush_timeout(GUARD));
            for _ in 0..EVENTS {
                receiver.recv().unwrap();
                dawdle();
            }
            blocked
        });
    });
}

#[test]
fn progress_wakes_one_flush_beside_several_receivers() {
    ends(|| {
        assert_few("two receivers", || {
            let builder = Channel::builder().capacity(EVENTS as usize);
            let (channel, receiver) = builder.build_shared().unwrap();
            (0..EVENTS).for_each(|n| channel.write(n).unwrap());
            let flushing = channel.clone();
            let blocked = flushes(move || flushing.flush_timeout(GUARD));
            let left = AtomicU64::new(EVENTS);
            thread::scope(|scope| {
                for mut receiver in [receiver.clone(), receiver] {
                    let left = &left;
                    scope.spawn(move || {
                        let one_more = |left: u64| left.checked_sub(1);
                        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
                            receiver.recv().unwrap();
                            dawdle();
                        }
                    });
                }
            });
            blocked
        });
    });
}

/// Returns a full queue whose workers start when the gate opens.
fn full(gate: &Gate, settings: Shape) -> Queue<u64> {
    let builder = settings(Queue::builder().capacity(EVENTS as usize).overflow(Overflow::Block));
    let queue = builder
        .spawn_each(|_| {
            let gate = gate.clone();
            move |_: u64| {
                gate.pass();
                dawdle();
            }
        })
        .unwrap();
    (0..EVENTS).for_each(|n| queue.write(n).unwrap());
    queue
}

type Shape = fn(QueueBuilder<u64>) -> QueueBuilder<u64>;

fn shapes() -> [(&'static str, Shape); 3] {
    [
        ("one worker", |builder| builder.workers(1)),
        ("three workers", |builder| builder.workers(3)),
        ("three workers in the order of a key", |builder| builder.workers(3).ordered_by(|n: &u64| *n)),
    ]
}

#[test]
fn queue_flush_is_woken_only_for_its_answers() {
    for (what, shape) in shapes() {
        ends(move || {
            assert_few(what, || {
                let gate = Gate::closed();
                let queue = full(&gate, shape);
                let flushing = queue.clone();
                let blocked = flushes(move || flushing.flush_timeout(GUARD));
                gate.open();
                blocked
            });
        });
    }
}

#[test]
fn queue_close_is_woken_only_for_its_end() {
    for (what, shape) in shapes() {
        ends(move || {
            assert_few(what, || {
                let gate = Gate::closed();
                let queue = full(&gate, shape);
                let blocked = Blocked::begin(WAITING, || {
                    let queue = queue.clone();
                    Box::new(move || assert!(queue.close_timeout(GUARD).is_done()))
                });
                gate.open();
                blocked
            });
        });
    }
}

#[test]
fn refused_writes_wake_no_flush() {
    // The channel is closed and has a backlog; its writers do not know that yet.
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Refuse] {
        ends(move || {
            assert_few(&format!("{overflow:?}"), || {
                let (channel, mut receiver) =
                    Channel::builder().capacity(4).overflow(overflow).build().unwrap();
                let mut lane = channel.lane().unwrap().unwrap();
                channel.write(0).unwrap();
                lane.push(0, Deadline::NOW).unwrap();
                let flushing = channel.clone();
                let blocked = flushes(move || flushing.flush_timeout(GUARD));
                channel.close();
                for n in 0..EVENTS {
                    assert!(channel.write(n).is_err() && lane.push(n, Deadline::NOW).is_err());
                    thread::yield_now();
                }
                while receiver.recv().is_ok() {}
                blocked
            });
        });
    }
}

#[test]
fn each_flush_ends_at_its_own_goal() {
    // Flushes that start between two events. Each ends when the events before it are read, and not
    // earlier, whichever is woken.
    ends(|| {
        for shared in [true, false] {
            let (channel, mut receiver) = Channel::lossy(64).unwrap();
            let mut lane = channel.lane().unwrap().unwrap();
            let mut flushes = Vec::new();
            for n in 0..20 {
                if shared {
                    channel.write(n).unwrap()
                } else {
                    lane.push(n, Deadline::NOW).unwrap()
                };
                for _ in 0..3 {
                    let (channel, done) = (channel.clone(), Arc::new(AtomicBool::new(false)));
                    let over = done.clone();
                    let flush = waits(move || {
                        assert!(channel.flush_timeout(GUARD).is_done());
                        over.store(true, Ordering::Release);
                    });
                    flushes.push((flush, done));
                }
            }
            let mut flushes = flushes.into_iter();
            for n in 0..20 {
                assert!(flushes.as_slice().iter().all(|(_, done)| !done.load(Ordering::Acquire)), "{n}");
                assert_eq!(receiver.recv().unwrap(), n);
                for (flush, _) in flushes.by_ref().take(3) {
                    flush.join().unwrap();
                }
            }
        }
    });
}

#[test]
fn timed_out_flush_leaves_the_reports_to_others() {
    // Some flushes have no time, and may be the ones that are woken; the others still learn of the
    // end.
    ends(|| {
        let (channel, mut receiver) = Channel::builder().capacity(EVENTS as usize).build().unwrap();
        (0..EVENTS).for_each(|n| channel.write(n).unwrap());
        let over = Arc::new(AtomicBool::new(false));
        let errors = Arc::new(Mutex::new(Vec::new()));
        let hurried: Vec<_> = (0..8)
            .map(|_| {
                let (channel, over) = (channel.clone(), over.clone());
                thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let _ = channel.flush_timeout(std::time::Duration::from_micros(50));
                    }
                })
            })
            .collect();
        let flushing = channel.clone();
        let noted = errors.clone();
        let blocked = flushes(move || {
            let report = flushing.flush_timeout(GUARD);
            if !report.is_done() {
                lock(&noted).push(report.to_string());
            }
            report
        });
        for _ in 0..EVENTS {
            receiver.recv().unwrap();
        }
        blocked.end();
        over.store(true, Ordering::Relaxed);
        hurried.into_iter().for_each(|thread| thread.join().unwrap());
        wait_for(|| lock(&errors).is_empty());
    });
}
