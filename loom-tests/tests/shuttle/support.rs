//! What the scenarios share: events that say where they come from, what a sink saw, and what
//! everybody was told.
//!
//! The books of the tests are the standard library's, so that keeping them is no step of a
//! schedule: what stands between two calls of the bus happens at once.

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

/// An event: the number of its publisher, its own there, and a share in what counts those that are
/// alive.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) publisher: usize,
    pub(crate) number: usize,
    _alive: Arc<()>,
}

/// Makes the events of one scenario.
#[derive(Clone)]
pub(crate) struct Source(Arc<()>);

impl Source {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }

    pub(crate) fn event(&self, publisher: usize, number: usize) -> Event {
        Event { publisher, number, _alive: self.0.clone() }
    }

    /// Checks that every event, and every clone of one, was dropped once. The last of the sources.
    pub(crate) fn assert_all_dropped(mut self) {
        assert!(Arc::get_mut(&mut self.0).is_some(), "{} events leaked", Arc::strong_count(&self.0) - 1);
    }
}

/// How many events were published, for those who come in between.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<(loom_tests::Mutex<usize>, Condvar)>);

impl Progress {
    pub(crate) fn step(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }

    /// Waits for so many events: from none to `most`, as chance says, which is part of the
    /// schedule.
    pub(crate) fn wait(&self, most: usize) {
        let goal = thread_rng().gen_range(0..=most);
        let mut count = self.0.0.lock().unwrap();
        while *count < goal {
            count = self.0.1.wait(count).unwrap();
        }
    }
}

/// Something that has happened.
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

/// What a sink saw, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<(usize, usize)>>>);

impl Log {
    pub(crate) fn note(&self, event: &Event) {
        lock(&self.0).push((event.publisher, event.number));
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// By publisher, in the order in which they came.
    pub(crate) fn of(&self, publisher: usize) -> Vec<usize> {
        let log = lock(&self.0);
        log.iter().filter(|(from, _)| *from == publisher).map(|(_, number)| *number).collect()
    }

    pub(crate) fn has(&self, publisher: usize, number: usize) -> bool {
        lock(&self.0).contains(&(publisher, number))
    }

    /// Checks that of each publisher it has a run of numbers without gap or repetition, in order;
    /// from where to where.
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

    /// Checks that everything came once, in whatever order.
    pub(crate) fn assert_no_repetition(&self) {
        let mut all = lock(&self.0).clone();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "each event comes once");
    }
}

/// What the publishers were told: how many sinks took each event.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<BTreeMap<(usize, usize), usize>>>);

impl Told {
    /// Notes what a publish of this event came to. One that nobody took because the bus is closed
    /// brings it back.
    pub(crate) fn note(&self, event: &Event, outcome: Result<Published, Closed<Event>>) -> bool {
        let key = (event.publisher, event.number);
        let (accepted, open) = match outcome {
            // As a ledger counts: what was dropped at once was accepted.
            Ok(published) => (published.accepted + published.dropped as usize, true),
            Err(Closed(back)) => {
                assert_eq!((back.publisher, back.number), key, "the event that comes back");
                (0, false)
            }
        };
        assert!(lock(&self.0).insert(key, accepted).is_none());
        open
    }

    /// How many deliveries were accepted in all, those that were dropped at once included.
    pub(crate) fn accepted(&self) -> usize {
        lock(&self.0).values().sum()
    }
}

/// Unwinds as foreign code may. Not by `panic!`, whose hook is shuttle's, which takes each call for
/// the failure of the scenario.
pub(crate) fn unwind() -> ! {
    std::panic::resume_unwind(Box::new("foreign code that unwinds"))
}

/// A sink without a mailbox, which notices who is inside it.
#[derive(Clone, Default)]
pub(crate) struct Direct {
    pub(crate) log: Log,
    inside: Arc<AtomicUsize>,
    over: Flag,
    /// What nobody would hear of if it failed in the hands of the bus.
    wrong: Flag,
}

impl Direct {
    /// From here on nobody may be inside, or come in.
    pub(crate) fn end(&self) {
        self.over.set();
        assert_eq!(self.inside.load(Ordering::Relaxed), 0, "somebody is still inside");
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
