//! Threads that wait for the same condition are woken in the order of their arrival, and only as
//! many as can use it.
//!
//! The tests count how often the waiting threads give up their processor voluntarily, which is once
//! for each sleep. So neither the machine's speed nor its load matters.
#![cfg(all(target_os = "linux", feature = "testing"))]
#![expect(unsafe_code, reason = "a system call that the standard library does not offer")]

mod flushes;
mod gating;

use buslane::sink::lane::Lanes;
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Queue, Sink, SinkExt, WriteError};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;
use test_support::{GUARD, ends, lock, wait_for, waits};

const WRITERS: usize = 200;
const EACH: u64 = 10;
const EVENTS: u64 = WRITERS as u64 * EACH;
/// A thread sleeps once before it is woken for its turn, and sometimes loses the race for it. The
/// threads may also sleep at shared locks. If each event woke all threads, the count would be about
/// half of the writers.
const MOST_SLEEPS: u64 = 6;

/// Returns how often the calling thread has given up its processor voluntarily.
fn sleeps() -> u64 {
    // SAFETY: all zeros is a value of this structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid for the duration of the call.
    let done = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    assert_eq!(done, 0);
    usage.ru_nvcsw.unsigned_abs()
}

/// Runs the writers, each with a number, next to `read`, and returns how often they slept for each
/// event.
fn sleeps_per_event(writers: Vec<Box<dyn FnMut(u64) + Send>>, read: impl FnOnce() + Send + 'static) -> u64 {
    ends(move || {
        let (slept, begin) = (AtomicU64::new(0), Barrier::new(WRITERS));
        thread::scope(|scope| {
            for mut write in writers {
                let (slept, begin) = (&slept, &begin);
                scope.spawn(move || {
                    begin.wait();
                    let before = sleeps();
                    (0..EACH).for_each(&mut write);
                    slept.fetch_add(sleeps() - before, Ordering::Relaxed);
                });
            }
            scope.spawn(read);
        });
        slept.into_inner() / EVENTS
    })
}

/// Threads that wait, and the count of their sleeps until their release.
struct Blocked {
    slept: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Blocked {
    /// Starts `count` threads, each with a separate attempt, which waits.
    fn begin(count: usize, mut attempt: impl FnMut() -> Box<dyn FnOnce() + Send>) -> Self {
        let (slept, begun) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..count)
            .map(|_| {
                let (attempt, slept, begun) = (attempt(), slept.clone(), begun.clone());
                waits(move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    let before = sleeps();
                    attempt();
                    slept.fetch_add(sleeps() - before, Ordering::Relaxed);
                })
            })
            .collect();
        wait_for(|| begun.load(Ordering::Relaxed) == count);
        Self { slept, threads }
    }

    /// Waits until the threads end, and returns the total of their sleeps.
    fn end(self) -> u64 {
        let Self { slept, threads } = self;
        ends(move || threads.into_iter().for_each(|thread| thread.join().unwrap()));
        slept.load(Ordering::Relaxed)
    }
}

/// Delays the reader after each event, so that the writers sleep.
fn dawdle() {
    (0..20).for_each(|_| thread::yield_now());
}

fn assert_few(sleeps: u64, what: &str) {
    println!("{what}: {sleeps} sleeps an event");
    assert!(sleeps <= MOST_SLEEPS, "{what}: {sleeps} sleeps for each event, of {WRITERS} writers");
}

fn writes_to(channel: &Channel<u64>) -> Vec<Box<dyn FnMut(u64) + Send>> {
    let writer = |_| {
        let channel = channel.clone();
        Box::new(move |n| assert!(channel.write(n).is_ok())) as Box<dyn FnMut(u64) + Send>
    };
    (0..WRITERS).map(writer).collect()
}

#[test]
fn shared_lane_slot_wakes_one_writer() {
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    let read = move || {
        for _ in 0..EVENTS {
            assert!(receiver.recv().is_ok());
            dawdle();
        }
    };
    assert_few(sleeps_per_event(writes_to(&channel), read), "shared lane");
}

#[test]
fn batch_of_slots_wakes_one_writer_per_slot() {
    let (channel, mut receiver) = Channel::builder().capacity(16).overflow(Overflow::Block).build().unwrap();
    let read = move || {
        let mut read = 0;
        while read < EVENTS {
            let handled = receiver.drain_with(drop) as u64;
            if handled == 0 {
                assert!(receiver.recv().is_ok());
            }
            read += handled.max(1);
        }
    };
    assert_few(sleeps_per_event(writes_to(&channel), read), "shared lane in batches");
}

#[test]
fn private_lane_slot_wakes_only_its_publisher() {
    let builder = Channel::builder().capacity(1).overflow(Overflow::Block);
    let (channel, mut receiver) = builder.build().unwrap();
    let writer = |_| {
        let mut lane = channel.lane().unwrap().unwrap();
        Box::new(move |n| assert!(lane.push(n, Deadline::NEVER).is_ok())) as Box<dyn FnMut(u64) + Send>
    };
    let writers = (0..WRITERS).map(writer).collect();
    let read = move || {
        for _ in 0..EVENTS {
            assert!(receiver.recv().is_ok());
            dawdle();
        }
    };
    assert_few(sleeps_per_event(writers, read), "private lanes");
}

#[test]
fn several_readers_wake_one_writer_per_slot() {
    let builder = Channel::builder().capacity(2).overflow(Overflow::Block);
    let (channel, receiver) = builder.build_shared().unwrap();
    let read = move || {
        let left = AtomicU64::new(EVENTS);
        thread::scope(|scope| {
            for mut receiver in [receiver.clone(), receiver.clone(), receiver] {
                let left = &left;
                scope.spawn(move || {
                    let one_more = |left: u64| left.checked_sub(1);
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
                        assert!(receiver.recv().is_ok());
                        dawdle();
                    }
                });
            }
        });
    };
    assert_few(sleeps_per_event(writes_to(&channel), read), "shared lane, three readers");
}

#[test]
fn workers_wake_one_writer_per_slot() {
    for workers in [1, 3] {
        let handled = Arc::new(AtomicU64::new(0));
        let builder = Queue::builder().capacity(2).overflow(Overflow::Block).workers(workers);
        let queue = builder
            .spawn_each(|_| {
                let handled = handled.clone();
                move |_: u64| {
                    dawdle();
                    handled.fetch_add(1, Ordering::Relaxed);
                }
            })
            .unwrap();
        let writer = |_| {
            let queue = queue.clone();
            Box::new(move |n| assert!(queue.write(n).is_ok())) as Box<dyn FnMut(u64) + Send>
        };
        let sleeps = sleeps_per_event((0..WRITERS).map(writer).collect(), || ());
        wait_for(|| handled.load(Ordering::Relaxed) == EVENTS);
        assert_few(sleeps, &format!("queue with {workers} workers"));
    }
}

#[test]
fn close_releases_every_blocked_writer() {
    ends(|| {
        let (channel, receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
        channel.write(0_u64).unwrap();
        let (begun, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for n in 0..WRITERS as u64 {
                let (channel, begun, refused) = (&channel, &begun, &refused);
                scope.spawn(move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    assert!(matches!(channel.write(n), Err(WriteError::Closed(back)) if back == n));
                    refused.fetch_add(1, Ordering::Relaxed);
                });
            }
            wait_for(|| begun.load(Ordering::Relaxed) == WRITERS);
            channel.close();
        });
        assert_eq!(refused.into_inner(), WRITERS);
        drop(receiver);
    });
}

#[test]
fn timed_out_writers_leave_their_room_to_others() {
    ends(|| {
        // Half of the writers wait for the shortest limit; all others must enter, and the ledger
        // balances.
        let limit = Duration::from_micros(200);
        let (channel, mut receiver) =
            Channel::builder().capacity(2).overflow(Overflow::Block).build().unwrap();
        let hurried = Arc::new(channel.clone().timeout(limit));
        let accepted = AtomicU64::new(0);
        let patient = WRITERS as u64 / 4;
        thread::scope(|scope| {
            for n in 0..2 * patient {
                let (channel, hurried, accepted) = (&channel, &hurried, &accepted);
                scope.spawn(move || {
                    for _ in 0..EACH {
                        let outcome = if n % 2 == 0 { channel.write(n) } else { hurried.write(n) };
                        match outcome {
                            Ok(()) => drop(accepted.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => {
                                assert!(matches!(error, WriteError::Timeout(_)) && n % 2 == 1, "{error:?}")
                            }
                        }
                    }
                });
            }
            let reader = scope.spawn(move || {
                let mut by_patient = 0;
                while by_patient < patient * EACH {
                    let event = receiver.recv_timeout(GUARD).expect("a writer that waits is woken");
                    by_patient += u64::from(event % 2 == 0);
                }
                receiver
            });
            let mut receiver = reader.join().unwrap();
            // The remaining events of the writers with a limit need no consumer.
            while receiver.recv_timeout(Duration::from_millis(1)).is_ok() {}
        });
        let books = test_support::assert_balanced(&channel.state());
        assert_eq!(books.accepted, accepted.into_inner());
    });
}

#[test]
fn blocked_writers_enter_in_arrival_order() {
    ends(|| {
        // Each writer starts when the one before it is parked, as far as the kernel shows, so the
        // order of their arrival is known.
        let (channel, mut receiver) =
            Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
        channel.write(0_u64).unwrap();
        let mut writers = Vec::new();
        for n in 1..=8 {
            let channel = channel.clone();
            let asleep = Arc::new(std::sync::Mutex::new(0));
            let tid = asleep.clone();
            writers.push(thread::spawn(move || {
                // SAFETY: takes nothing and cannot fail.
                *lock(&tid) = unsafe { libc::gettid() };
                channel.write(n)
            }));
            // The kernel reports that the thread sleeps, again and again: it also sleeps, briefly,
            // when it waits for the allocator.
            let mut in_a_row = 0;
            wait_for(|| {
                let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", *lock(&asleep)));
                let sleeps =
                    stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")));
                in_a_row = if sleeps { in_a_row + 1 } else { 0 };
                in_a_row == 200
            });
        }
        let read: Vec<_> = (0..9).map(|_| receiver.recv().unwrap()).collect();
        assert_eq!(read, (0..9).collect::<Vec<_>>());
        writers.into_iter().for_each(|writer| assert!(writer.join().unwrap().is_ok()));
    });
}
