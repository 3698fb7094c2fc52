//! The list on which the readers of a journal park, and wake each other.
//!
//! A lost wake-up is a deadlock here, which loom reports: a model has no time.
//!
//! Each ordering and fence of `src/wait/sleepers.rs` was weakened (2026-11-20), which made a
//! scenario fail, and so did a lost chain. The two exceptions order a reader's write of its link
//! after the read of that link by the thread that took the berth off the stack (AWAY to OUT). That
//! is a load before a store, and loom never runs a later store before an earlier load.
//! `store_buffer` does.

use buslane::wait::{FencePair, Sleepers};
use loom_tests::{Arc, AtomicUsize, Ordering, Task, model, model_with, thread};

struct Place {
    sleepers: Sleepers,
    progress: AtomicUsize,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self { sleepers: Sleepers::new(FencePair::process()), progress: AtomicUsize::new(0) })
    }

    fn advance(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.sleepers.wake();
    }

    fn has_come(&self, progress: usize) -> bool {
        self.progress.load(Ordering::Relaxed) >= progress
    }

    /// Parks until each of these steps has come, and then leaves.
    fn read(&self, steps: &[usize]) {
        let mut berth = self.sleepers.berth();
        for progress in steps {
            while !self.has_come(*progress) {
                self.sleepers.park_unless(&mut berth, None, || self.has_come(*progress));
            }
        }
        drop(berth);
    }
}

fn readers<const N: usize>(place: &Arc<Place>, steps: [&'static [usize]; N]) -> [thread::JoinHandle<()>; N] {
    steps.map(|steps| {
        let place = place.clone();
        thread::spawn(move || place.read(steps))
    })
}

fn join<const N: usize>(readers: [thread::JoinHandle<()>; N]) {
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn wake_ends_a_park() {
    model(|| {
        let place = Place::new();
        let [reader] = readers(&place, [&[1]]);
        place.advance();
        reader.join().unwrap();
    });
}

#[test]
fn two_wakes_end_two_parks_of_one_reader() {
    // In its second park the reader may still be on the stack, or in a chain that was taken from
    // it.
    model(|| {
        let place = Place::new();
        let [reader] = readers(&place, [&[1, 2]]);
        place.advance();
        place.advance();
        reader.join().unwrap();
    });
}

#[test]
fn one_wake_reaches_two_parked_readers() {
    // The wake calls one reader, which wakes the other one, even if it found out by itself that
    // there is an event to read.
    model(|| {
        let place = Place::new();
        let both = readers(&place, [&[1], &[1]]);
        place.advance();
        join(both);
    });
}

#[test]
fn one_wake_reaches_three_parked_readers() {
    // The called reader wakes a second one, and hands it the last one. Held to two preemptions:
    // four threads; three take 27 s.
    model_with(2, || {
        let place = Place::new();
        let all = readers(&place, [&[1], &[1], &[1]]);
        place.advance();
        join(all);
    });
}

#[test]
fn one_wake_reaches_four_parked_readers() {
    // A chain is split in two, and both parts are woken. All readers have announced themselves
    // before the step: with five threads loom does not find that by itself. Held to no preemption.
    model_with(0, || {
        let place = Place::new();
        let announced = Arc::new(AtomicUsize::new(0));
        let all = [(); 4].map(|()| {
            let (place, announced) = (place.clone(), announced.clone());
            thread::spawn(move || {
                let mut berth = place.sleepers.berth();
                while !place.has_come(1) {
                    place.sleepers.park_unless(&mut berth, None, || {
                        announced.fetch_add(1, Ordering::Relaxed);
                        place.has_come(1)
                    });
                }
                drop(berth);
            })
        });
        while announced.load(Ordering::Relaxed) < 4 {
            thread::yield_now();
        }
        place.advance();
        join(all);
    });
}

#[test]
fn two_publishers_wake_two_parked_readers() {
    // The second publisher may find the stack empty while the first one still has the chain. Held
    // to two preemptions: 13 s.
    model_with(2, || {
        let place = Place::new();
        let both = readers(&place, [&[2], &[1, 2]]);
        let other = place.clone();
        let other = thread::spawn(move || other.advance());
        place.advance();
        other.join().unwrap();
        join(both);
    });
}

#[test]
fn leaving_reader_wakes_the_one_that_stays() {
    // The leaving reader may be called while it leaves, and still wakes the other one; its berth is
    // used again.
    model(|| {
        let place = Place::new();
        let [stays] = readers(&place, [&[1]]);
        let other = place.clone();
        let leaves = thread::spawn(move || {
            let mut berth = other.sleepers.berth();
            other.sleepers.park_unless(&mut berth, None, || true);
            drop(berth);
            other.read(&[1]);
        });
        place.advance();
        stays.join().unwrap();
        leaves.join().unwrap();
    });
}

/// Runs a task that sleeps until this step has come.
fn poll_until(place: &Place, progress: usize) {
    let (task, waker) = Task::new();
    let mut berth = place.sleepers.berth();
    while !place.has_come(progress) {
        place.sleepers.register(&mut berth, &waker);
        if place.has_come(progress) {
            break;
        }
        task.sleep();
    }
    place.sleepers.cancel(&mut berth);
    drop(berth);
}

#[test]
fn wake_reaches_a_pending_task() {
    model(|| {
        let place = Place::new();
        let other = place.clone();
        let task = thread::spawn(move || poll_until(&other, 1));
        place.advance();
        task.join().unwrap();
    });
}

#[test]
fn one_wake_reaches_a_task_and_a_thread() {
    // No chain is handed to a task, which may never run.
    model(|| {
        let place = Place::new();
        let other = place.clone();
        let task = thread::spawn(move || poll_until(&other, 1));
        let [reader] = readers(&place, [&[1]]);
        place.advance();
        task.join().unwrap();
        reader.join().unwrap();
    });
}
