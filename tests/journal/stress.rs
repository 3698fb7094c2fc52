//! Several publishers, and readers that are added and dropped, on real threads. Every value is
//! whole, each publisher's events are in order, delivered and missed events add up, and every value
//! is dropped once. Sizes keep each scenario under a few seconds.

use crate::{Pen, books, own};
use buslane::error::TryRecvError;
use buslane::journal::{Entry, Feed, OnLag, Start};
use buslane::{Journal, Subscriber, WaitStrategy};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use test_support::ends;

/// The number of events of each publisher.
const EVENTS: u64 = 20_000;
/// The number of events of each publisher that waits for its readers.
const GATED: u64 = 1_000;

/// The number of values that were made and not dropped.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicI64>);

/// A value that detects that it is torn, mixed or dropped twice.
struct Value {
    publisher: u64,
    number: u64,
    heap: Box<u64>,
    sum: u64,
    alive: Alive,
}

impl Value {
    fn new(publisher: u64, number: u64, alive: &Alive) -> Self {
        alive.0.fetch_add(1, Ordering::Relaxed);
        let sum = publisher.rotate_left(32) ^ number;
        Self { publisher, number, heap: Box::new(!sum), sum, alive: alive.clone() }
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(self.sum, self.publisher.rotate_left(32) ^ self.number);
        assert_eq!(*self.heap, !self.sum);
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.check();
        Self::new(self.publisher, self.number, &self.alive)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.check();
        self.sum = 0;
        self.alive.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The events that one reader has seen: each publisher's numbers only grow, and no position is
/// skipped without a reported lag.
struct Seen {
    first: u64,
    place: u64,
    numbers: [Option<u64>; 4],
    delivered: u64,
    lagged: u64,
}

impl Seen {
    fn by(reader: &Subscriber<Value>) -> Self {
        let place = reader.next_sequence().get();
        Self { first: place, place, numbers: [None; 4], delivered: 0, lagged: 0 }
    }

    #[track_caller]
    fn note(&mut self, place: u64, value: &Value) {
        value.check();
        assert_eq!(place, self.place);
        let last = &mut self.numbers[value.publisher as usize];
        assert!(last.is_none_or(|last| value.number > last), "publisher {}", value.publisher);
        *last = Some(value.number);
        self.place += 1;
        self.delivered += 1;
    }

    fn skip(&mut self, missed: u64) {
        self.place += missed;
        self.lagged += missed;
    }

    /// Reads by clones, in place and in batches in turn, and returns whether there was an event or
    /// a lag.
    fn read(&mut self, reader: &mut Subscriber<Value>, turn: u64) -> bool {
        let before = self.place;
        match turn % 3 {
            0 => match reader.try_recv() {
                Ok(Entry::Event(place, value)) => self.note(place.get(), &value),
                Ok(Entry::Lagged(missed)) => self.skip(missed),
                _ => {}
            },
            1 => {
                let place = self.place;
                match reader.try_recv_with(|value| self.note(place, value)) {
                    Ok(Entry::Event(at, ())) => assert_eq!(at.get(), place),
                    Ok(Entry::Lagged(missed)) => self.skip(missed),
                    Ok(other) => panic!("a read in place failed: {other:?}"),
                    _ => {}
                }
            }
            _ => match reader.try_recv_slice() {
                Ok(Entry::Event(first, batch)) => {
                    let places = first.get()..;
                    places.zip(batch).for_each(|(place, value)| self.note(place, value));
                }
                Ok(Entry::Lagged(missed)) => self.skip(missed),
                _ => {}
            },
        }
        self.place > before
    }

    #[track_caller]
    fn add_up(&self, reader: &Subscriber<Value>) {
        let ledger = own(reader);
        assert_eq!((ledger.delivered, ledger.dropped.evicted), (self.delivered, self.lagged));
        assert_eq!(self.delivered + self.lagged, self.place - self.first);
        assert_eq!(reader.next_sequence().get(), self.place);
    }
}

/// Reads until the journal is closed, and then to its end.
fn to_the_end(feed: &Feed<Value>, mut reader: Subscriber<Value>) -> Seen {
    let (mut seen, mut turn) = (Seen::by(&reader), 0);
    while reader.behind() > 0 || !feed.is_closed() {
        turn += 1;
        if !seen.read(&mut reader, turn) {
            thread::yield_now();
        }
    }
    seen.add_up(&reader);
    assert_eq!(reader.try_recv_with(|_| ()), Err(TryRecvError::Closed), "the end follows the last event");
    seen
}

/// Repeatedly subscribes, reads a little, and drops the subscriber.
fn churn(feed: &Feed<Value>, over: &AtomicBool) {
    let mut rounds = 0;
    while rounds < 50 || !over.load(Ordering::Acquire) {
        let start = [Start::Now, Start::Oldest, Start::Last(5)][rounds as usize % 3];
        let mut reader = feed.subscribe(start).unwrap();
        let mut seen = Seen::by(&reader);
        for turn in 0..rounds % 7 {
            seen.read(&mut reader, turn);
        }
        seen.add_up(&reader);
        rounds += 1;
    }
}

fn publish(pens: Vec<Pen<Value>>, events: u64, alive: &Alive) {
    thread::scope(|scope| {
        for (publisher, mut pen) in pens.into_iter().enumerate() {
            scope.spawn(move || {
                let value = |number| Value::new(publisher as u64, number, alive);
                let mut number = 0;
                while number < events {
                    if number % 101 == 0 {
                        let end = (number + 70).min(events);
                        pen.batch((number..end).map(value).collect());
                        number = end;
                    } else {
                        assert!(pen.publish(value(number)).is_ok());
                        number += 1;
                    }
                }
            });
        }
    });
}

/// Runs everything concurrently, on a journal of this capacity, with as many publishers as there
/// are pens.
fn storm(capacity: usize, publishers: usize) {
    let alive = Alive::default();
    let builder = || Journal::builder().capacity(capacity).sample_time();
    let (pens, feed): (Vec<Pen<Value>>, _) = if publishers == 1 {
        let (writer, feed) = builder().build_single().unwrap();
        (vec![Pen::One(writer)], feed)
    } else {
        let journal = builder().build().unwrap();
        let feed = journal.feed();
        ((0..publishers).map(|_| Pen::Many(journal.clone())).collect(), feed)
    };
    let readers = [OnLag::Oldest, OnLag::Oldest, OnLag::Newest].map(|on_lag| {
        let subscription = feed.subscription().start(Start::Oldest).on_lag(on_lag);
        subscription.wait_strategy(WaitStrategy::Park).subscribe().unwrap()
    });
    let idle = feed.subscribe(Start::Oldest).unwrap();
    let (over, start) = (AtomicBool::new(false), Barrier::new(6));
    let published = publishers as u64 * EVENTS;
    thread::scope(|scope| {
        let (feed, over, start) = (&feed, &over, &start);
        let reading = readers.map(|reader| {
            scope.spawn(move || {
                start.wait();
                to_the_end(feed, reader)
            })
        });
        let churning: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(move || {
                    start.wait();
                    churn(feed, over);
                })
            })
            .collect();
        start.wait();
        publish(pens, EVENTS, &alive);
        over.store(true, Ordering::Release);
        for reader in reading {
            let seen = reader.join().unwrap();
            assert_eq!((seen.place, seen.delivered + seen.lagged), (published, published));
        }
        churning.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(own(&idle).pending, published);
    assert_eq!(books(&feed).subscribers.len(), 1);
    assert!(alive.0.load(Ordering::Relaxed) >= capacity.min(published as usize) as i64);
    drop((feed, idle));
    assert_eq!(alive.0.load(Ordering::Relaxed), 0, "a value was not dropped, or was dropped twice");
}

#[test]
fn readers_account_for_all_events_of_one_publisher() {
    for capacity in [1, 3, 64, 1000] {
        ends(move || storm(capacity, 1));
    }
}

#[test]
fn readers_account_for_all_events_of_three_publishers() {
    for capacity in [1, 3, 64, 1000] {
        ends(move || storm(capacity, 3));
    }
}

#[test]
fn gates_miss_no_event_while_others_come_and_go() {
    for capacity in [1, 3, 64] {
        ends(move || {
            let (alive, over) = (Alive::default(), AtomicBool::new(false));
            let journal = Journal::builder().capacity(capacity).gate_limit(crate::HOUR).build().unwrap();
            let feed = journal.feed();
            let readers = [(); 2].map(|()| feed.subscription().gating().subscribe().unwrap());
            thread::scope(|scope| {
                let (feed, over) = (&feed, &over);
                let reading = readers.map(|reader| scope.spawn(move || to_the_end(feed, reader)));
                let churning = scope.spawn(move || churn(feed, over));
                // Gating subscribers are added and dropped as well.
                let gates = scope.spawn(move || {
                    while !over.load(Ordering::Acquire) {
                        let mut gate = feed.subscription().gating().subscribe().unwrap();
                        let mut seen = Seen::by(&gate);
                        for turn in 0..20 {
                            seen.read(&mut gate, turn);
                        }
                        assert_eq!(seen.lagged, 0);
                        seen.add_up(&gate);
                    }
                });
                publish((0..3).map(|_| Pen::Many(journal.clone())).collect(), GATED, &alive);
                over.store(true, Ordering::Release);
                gates.join().unwrap();
                drop(journal);
                for reader in reading {
                    let seen = reader.join().unwrap();
                    assert_eq!((seen.delivered, seen.lagged), (3 * GATED, 0));
                }
                churning.join().unwrap();
            });
            books(&feed);
            drop(feed);
            assert_eq!(alive.0.load(Ordering::Relaxed), 0);
        });
    }
}

#[test]
fn journal_closed_under_load_keeps_accepted_events() {
    for round in 0..20 {
        ends(move || {
            let (alive, accepted) = (Alive::default(), AtomicU64::new(0));
            let journal = Journal::new(1 << 16).unwrap();
            let feed = journal.feed();
            let reader = feed.subscribe(Start::Now).unwrap();
            let seen = thread::scope(|scope| {
                let feed = &feed;
                let reading = scope.spawn(move || to_the_end(feed, reader));
                for publisher in 0..3 {
                    let (journal, alive, accepted) = (&journal, &alive, &accepted);
                    scope.spawn(move || {
                        let values = (0..2_000).map(|number| Value::new(publisher, number, alive));
                        let count = values.take_while(|value| journal.publish(value.clone()).is_ok()).count();
                        accepted.fetch_add(count as u64, Ordering::Relaxed);
                    });
                }
                while feed.next().get() < 100 * round {
                    thread::yield_now();
                }
                journal.close();
                reading.join().unwrap()
            });
            assert_eq!((seen.delivered, seen.lagged), (accepted.load(Ordering::Relaxed), 0));
            assert_eq!(books(&feed).ledger.accepted, seen.delivered);
            drop((journal, feed));
            assert_eq!(alive.0.load(Ordering::Relaxed), 0);
        });
    }
}
