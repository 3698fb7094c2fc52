//! A thread that waits for another thread lets it run, whatever their priorities: it sleeps after a
//! bounded number of checks.
//!
//! A thread of realtime priority and ordinary threads share one processor. The realtime thread
//! wakes repeatedly in the middle of their operations, and runs the same operation. If it meets an
//! ordinary thread between two steps and only spins and yields, that thread never finishes, until
//! the kernel throttles the realtime thread, once a second. The test measures the processor time of
//! the waiting thread, so a loaded machine does not matter. Where realtime priority is not granted,
//! the ordinary threads get the lowest priority instead.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "system calls that the standard library does not offer")]

use buslane::journal::Start;
use buslane::ring::blocks::{SharedWriter, ring};
use buslane::{Bus, Channel, Journal, Sink, WaitStrategy, sink_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use test_support::limit;

const ROUNDS: u32 = 300;
/// The limit of processor time for all rounds together. A single wait that spins and yields uses
/// most of a second.
const MOST: Duration = Duration::from_millis(600);
const GUARD: Duration = limit::scaled(Duration::from_secs(120));

/// Returns the processor time that the calling thread has used.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the duration of the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Pins the calling thread to the first processor that it may run on. Returns whether that was
/// granted.
fn pin() -> bool {
    // SAFETY: a set of processors is plain bits, and the pointers are valid for the duration of the
    // calls.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) != 0 {
            return false;
        }
        let Some(first) = (0..libc::CPU_SETSIZE as usize).find(|cpu| libc::CPU_ISSET(*cpu, &allowed)) else {
            return false;
        };
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(first, &mut one);
        libc::sched_setaffinity(0, size_of_val(&one), &raw const one) == 0
    }
}

fn set_policy(policy: i32, priority: i32) -> bool {
    let parameter = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is valid for the duration of the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) == 0 }
}

/// Ends the process if the test does not end.
fn guard() -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        if receiver.recv_timeout(GUARD) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("a test of priorities did not end");
            std::process::abort();
        }
    });
    sender
}

/// Runs `low` on two ordinary threads in a loop, and `high` repeatedly on a thread of higher
/// priority.
fn play(name: &str, low: impl Fn() + Sync, mut high: impl FnMut() + Send) {
    let _alone = super::alone();
    let _guard = guard();
    let over = AtomicBool::new(false);
    let (low, over) = (&low, &over);
    let used = thread::scope(|scope| {
        let (granted, is_granted) = mpsc::channel();
        let playing = scope.spawn(move || {
            let realtime = pin() && set_policy(libc::SCHED_FIFO, 1);
            granted.send(realtime).unwrap();
            let before = processor_time();
            for round in 0..ROUNDS {
                // The other threads run, and are interrupted at some step: only a sleep yields the
                // processor to them.
                thread::sleep(Duration::from_micros(u64::from(40 + 7 * (round % 16))));
                high();
            }
            let used = processor_time() - before;
            over.store(true, Ordering::Release);
            used
        });
        let realtime = is_granted.recv().unwrap();
        for _ in 0..2 {
            scope.spawn(move || {
                let placed = pin() && (realtime || set_policy(libc::SCHED_IDLE, 0));
                if !placed {
                    eprintln!(
                        "{name}: neither priorities nor processors can be chosen here: little is tested"
                    );
                }
                while !over.load(Ordering::Acquire) {
                    low();
                }
            });
        }
        playing.join().unwrap()
    });
    assert!(used < MOST, "{name}: {used:?} of the processor in {ROUNDS} rounds");
}

#[test]
fn realtime_journal_publisher_yields_to_another() {
    let journal = Journal::new(1024).unwrap();
    let publish = || drop(journal.publish([7_u64; 8]));
    play("a journal's claim", publish, publish);
}

#[test]
fn held_claim_parks_the_waiting_writer() {
    let _alone = super::alone();
    let (writer, _source) = ring::<u32>(64).unwrap();
    let writer = SharedWriter::from(writer);
    let claim = writer.claim().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let (before, begun) = (processor_time(), Instant::now());
            drop(writer.claim());
            (processor_time() - before, begun.elapsed())
        });
        // The wait whose processor time is measured.
        thread::sleep(Duration::from_millis(500));
        drop(claim);
        let (used, waited) = waiting.join().unwrap();
        assert!(used < waited / 8, "{used:?} of {waited:?}");
    });
}

#[test]
fn realtime_unbounded_writer_yields_to_another() {
    let (channel, receiver) = Channel::<[u64; 8]>::builder().unbounded().build().unwrap();
    let receiver = Mutex::new(receiver);
    let low = || {
        (0..100).for_each(|_| assert!(channel.write([7; 8]).is_ok()));
        if let Ok(mut receiver) = receiver.try_lock() {
            while receiver.drain_with(|_| {}) > 0 {}
        }
    };
    play("an unbounded queue's push", low, || assert!(channel.write([7; 8]).is_ok()));
}

#[test]
fn realtime_unbounded_reader_yields_to_a_writer() {
    let (channel, mut receiver) = Channel::<[u64; 8]>::builder().unbounded().build().unwrap();
    let low = || assert!(channel.write([7; 8]).is_ok());
    play("an unbounded queue's pop", low, || while receiver.drain_with(|_| {}) > 0 {});
}

#[test]
fn dropped_realtime_receiver_yields_to_a_writer() {
    for several in [false, true] {
        let current = RwLock::new(Channel::<[u64; 8]>::lossy(64).unwrap().0);
        let low = || {
            let channel = current.read().unwrap().clone();
            (0..64).for_each(|_| drop(channel.write([7; 8])));
        };
        // In each sleep the writers get the processor, and are interrupted at some step.
        let high = || {
            if several {
                let (channel, receiver) = Channel::builder().capacity(1024).build_shared().unwrap();
                *current.write().unwrap() = channel;
                thread::sleep(Duration::from_micros(100));
                drop(receiver);
            } else {
                let (channel, receiver) = Channel::builder().capacity(1024).build().unwrap();
                *current.write().unwrap() = channel;
                thread::sleep(Duration::from_micros(100));
                drop(receiver);
            }
        };
        play("a receiver's end", low, high);
    }
}

#[test]
fn timed_out_realtime_reader_yields_to_its_waker() {
    let journal = Journal::new(1024).unwrap();
    let mut reader =
        journal.subscription().start(Start::Now).wait_strategy(WaitStrategy::Park).subscribe().unwrap();
    let low = || drop(journal.publish([7_u64; 8]));
    play("a journal's parked subscribers", low, || {
        while reader.try_recv().is_ok() {}
        let _ = reader.recv_timeout(Duration::from_micros(60));
    });
}

#[test]
fn timed_out_realtime_receiver_yields_to_its_waker() {
    let (channel, mut receiver) =
        Channel::<[u64; 8]>::builder().capacity(1024).wait_strategy(WaitStrategy::Park).build().unwrap();
    let low = || assert!(channel.write([7; 8]).is_ok());
    play("a channel's cell", low, || {
        receiver.drain_with(|_| {});
        let _ = receiver.recv_timeout(Duration::from_micros(60));
    });
}

#[test]
fn realtime_removal_yields_to_a_publish() {
    let bus = Bus::<[u64; 8]>::new();
    let low = || assert!(bus.publish([7; 8]).is_ok());
    play("a removal", low, || {
        let id = bus.add(sink_fn(|event: &[u64; 8]| drop(std::hint::black_box(event.to_vec())))).unwrap();
        // The publishers get the processor, and are interrupted at some step.
        thread::sleep(Duration::from_micros(60));
        assert!(bus.remove(id).is_ok());
    });
}
