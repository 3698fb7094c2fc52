//! Shared parts of the scenarios: events with their origin, a sink's record, and the outcomes of
//! all publishes.
//!
//! The records use the standard library's types, so they add no step to a schedule: everything
//! between two calls of the bus happens at once.

use buslane::error::Closed;
use buslane::{Published, Sink, WriteError};
use loom_tests::{Condvar, thread};
use shuttle::rand::{Rng, thread_rng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use loom_tests::LIMIT;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An event: the number of its publisher, its number at that publisher, and a share in the count of
/// live events.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) publisher: usize,
    pub(crate) number: usize,
    _alive: Arc<()>,
}

/// Creates the events of one scenario.
#[derive(Clone)]
pub(crate) struct Source(Arc<()>);

impl Source {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }

    pub(crate) fn event(&self, publisher: usize, number: usize) -> Event {
        Event { publisher, number, _alive: self.0.clone() }
    }

    /// Asserts that every event, and every clone of one, was dropped once. Takes the last source.
    pub(crate) fn assert_all_dropped(mut self) {
        assert!(Arc::get_mut(&mut self.0).is_some(), "{} events leaked", Arc::strong_count(&self.0) - 1);
    }
}

/// The number of published events, for threads that act in between.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<(loom_tests::Mutex<usize>, Condvar)>);

impl Progress {
    pub(crate) fn step(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }

    /// Waits for a random number of events, from none to `most`; the number is part of the
    /// schedule.
    pub(crate) fn wait(&self, most: usize) {
        let goal = thread_rng().gen_range(0..=most);
        let mut count = self.0.0.lock().unwrap();
        while *count < goal {
            count = self.0.1.wait(count).unwrap();
        }
    }
}

/// A condition that becomes true once.
#[derive(Clone, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The events that a sink saw, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<(usize, usize)>>>);

impl Log {
    pub(crate) fn note(&self, event: &Event) {
        lock(&self.0).push((event.publisher, event.number));
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Returns the events of a publisher, in the order of their arrival.
    pub(crate) fn of(&self, publisher: usize) -> Vec<usize> {
        let log = lock(&self.0);
        log.iter().filter(|(from, _)| *from == publisher).map(|(_, number)| *number).collect()
    }

    pub(crate) fn has(&self, publisher: usize, number: usize) -> bool {
        lock(&self.0).contains(&(publisher, number))
    }

    /// Checks that the events of each publisher are a run of numbers without gap or repetition, in
    /// order. Returns the bounds of each run.
    pub(crate) fn runs(&self, publishers: usize) -> Vec<(usize, usize)> {
        let run = |publisher| {
            let numbers = self.of(publisher);
            let first = numbers.first().copied().unwrap_or(0);
            let end = first + numbers.len();
            assert_eq!(numbers, (first..end).collect::<Vec<_>>(), "of publisher {publisher}, in order, once");
            (first, end)
        };
        (0..publishers).map(run).collect()
    }

    /// Asserts that every event arrived once, in any order.
    pub(crate) fn assert_no_repetition(&self) {
        let mut all = lock(&self.0).clone();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "each event comes once");
    }
}

/// The outcomes of the publishes: how many sinks accepted each event.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<BTreeMap<(usize, usize), usize>>>);

impl Told {
    /// Records the outcome of a publish of this event. An event that no sink accepted because the
    /// bus is closed comes back.
    pub(crate) fn note(&self, event: &Event, outcome: Result<Published, Closed<Event>>) -> bool {
        let key = (event.publisher, event.number);
        let (accepted, open) = match outcome {
            // As in a ledger, an event that is dropped at once counts as accepted.
            Ok(published) => (published.accepted + published.dropped as usize, true),
            Err(Closed(back)) => {
                assert_eq!((back.publisher, back.number), key, "the event that comes back");
                (0, false)
            }
        };
        assert!(lock(&self.0).insert(key, accepted).is_none());
        open
    }

    /// Returns the total number of accepted deliveries, including those that were dropped at once.
    pub(crate) fn accepted(&self) -> usize {
        lock(&self.0).values().sum()
    }
}

/// Unwinds as user code may. Not by `panic!`, because shuttle's hook treats each call as a failure
/// of the scenario.
pub(crate) fn unwind() -> ! {
    std::panic::resume_unwind(Box::new("user code that unwinds"))
}

/// A sink without a mailbox, which detects threads inside it.
#[derive(Clone, Default)]
pub(crate) struct Direct {
    pub(crate) log: Log,
    inside: Arc<AtomicUsize>,
    over: Flag,
    /// A failure inside a call of the bus, which would otherwise go unnoticed.
    wrong: Flag,
}

impl Direct {
    /// Ends the sink: from here on no thread may be inside it, or enter it.
    pub(crate) fn end(&self) {
        self.over.set();
        assert_eq!(self.inside.load(Ordering::Relaxed), 0, "a thread is still inside");
    }

    pub(crate) fn assert_right(&self) {
        assert!(!self.wrong.is_set(), "a write after the end");
    }
}

impl Sink<Event> for Direct {
    fn write(&self, event: Event) -> Result<(), WriteError<Event>> {
        self.inside.fetch_add(1, Ordering::Relaxed);
        self.log.note(&event);
        thread::yield_now();
        if self.over.is_set() {
            self.wrong.set();
        }
        self.inside.fetch_sub(1, Ordering::Relaxed);
        if event.number % 3 == 2 {
            unwind();
        }
        Ok(())
    }
}
