//! The journal: history and live stream in one order, lag reported in its position, publishers that
//! no plain subscriber delays, and ledgers that balance whatever a subscriber does.

mod asynchronous;
mod batches;
mod bias;
mod closing;
mod defects;
mod destructors;
mod filters;
mod gating;
mod gating_concurrent;

mod iterators;
mod lag;
mod moby;
mod on_bus;
mod order;
mod panics;
mod positions;
mod reading;
mod removal;
mod snapshots;
mod stress;
mod times;
mod waiting;

use buslane::journal::{Entry, Feed, JournalBuilder, JournalWriter, Sequence};
use buslane::stats::{Ledger, SinkState};
use buslane::{Journal, Subscriber, WaitStrategy, WriteError};
use std::ops::Range;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Every wait strategy.
const STRATEGIES: [WaitStrategy; 5] = [
    WaitStrategy::nap(),
    WaitStrategy::SpinPark,
    WaitStrategy::Park,
    WaitStrategy::poll(),
    WaitStrategy::BusySpin,
];

/// A journal in one of its two forms: for many publishers, or with a single writer.
#[derive(Debug)]
enum Pen<E: Send + Sync + 'static> {
    Many(Journal<E>),
    One(JournalWriter<E>),
}

impl<E: Send + Sync + 'static> Pen<E> {
    fn feed(&self) -> Feed<E> {
        match self {
            Self::Many(journal) => journal.feed(),
            Self::One(writer) => writer.feed(),
        }
    }

    fn publish(&mut self, event: E) -> Result<Sequence, WriteError<E>> {
        match self {
            Self::Many(journal) => journal.publish(event),
            Self::One(writer) => writer.publish(event),
        }
    }

    fn try_publish(&mut self, event: E) -> Result<Sequence, WriteError<E>> {
        match self {
            Self::Many(journal) => journal.try_publish(event),
            Self::One(writer) => writer.try_publish(event),
        }
    }

    /// Publishes events as a batch, none of which is refused.
    #[track_caller]
    fn batch(&mut self, events: Vec<E>) -> Sequence {
        match self {
            Self::Many(journal) => journal.publish_batch(events).unwrap(),
            Self::One(writer) => writer.publish_batch(events).unwrap(),
        }
    }

    /// Publishes events one by one, none of which is refused.
    #[track_caller]
    fn all(&mut self, events: impl IntoIterator<Item = E>) {
        events.into_iter().for_each(|event| assert!(self.publish(event).is_ok()));
    }

    fn close(self) {
        match self {
            Self::Many(journal) => journal.close(),
            Self::One(writer) => writer.close(),
        }
    }
}

/// Returns a journal of each form.
fn forms<E: Send + Sync + 'static>(make: impl Fn() -> JournalBuilder<E>) -> [Pen<E>; 2] {
    let (writer, _) = make().build_single().unwrap();
    [Pen::Many(make().build().unwrap()), Pen::One(writer)]
}

/// Returns a journal of each form with this capacity.
fn journals<E: Send + Sync + 'static>(capacity: usize) -> [Pen<E>; 2] {
    forms(|| Journal::builder().capacity(capacity))
}

/// Returns the position and the event of an entry that must be an event.
#[track_caller]
fn event<E>(entry: Entry<E>) -> (u64, E) {
    match entry {
        Entry::Event(sequence, event) => (sequence.get(), event),
        Entry::Lagged(missed) => panic!("{missed} events were missed"),
        other => panic!("a panic at {:?}", other.event().map(|_| ())),
    }
}

/// Returns the events that are readable now.
#[track_caller]
fn now<E: Clone + Send + Sync>(subscriber: &mut Subscriber<E>) -> Vec<E> {
    subscriber.try_iter().map(|entry| event(entry).1).collect()
}

/// Returns the positions of the events that are readable now.
#[track_caller]
fn places<E: Clone + Send + Sync>(subscriber: &mut Subscriber<E>) -> Vec<u64> {
    subscriber.try_iter().map(|entry| event(entry).0).collect()
}

/// Returns the events that are readable now, and each lag. Checks that no position is left out or
/// repeated.
#[track_caller]
fn walk<E: Clone + Send + Sync>(subscriber: &mut Subscriber<E>) -> (Vec<E>, Vec<u64>) {
    let (mut events, mut lags) = (Vec::new(), Vec::new());
    let mut place = subscriber.next_sequence().get();
    for entry in subscriber.try_iter() {
        match entry {
            Entry::Event(sequence, event) => {
                assert_eq!(sequence.get(), place);
                place += 1;
                events.push(event);
            }
            Entry::Lagged(missed) => {
                assert!(missed > 0);
                place += missed;
                lags.push(missed);
            }
            other => {
                event(other);
            }
        }
    }
    assert_eq!(subscriber.next_sequence().get(), place);
    (events, lags)
}

/// Returns all remaining events, waiting for the end if necessary.
#[track_caller]
fn rest<E: Clone + Send + Sync>(subscriber: &mut Subscriber<E>) -> Vec<E> {
    subscriber.iter().map(|entry| event(entry).1).collect()
}

fn numbers(range: Range<u64>) -> Vec<u64> {
    range.collect()
}

/// Returns the ledger of a subscriber, and checks that it balances.
#[track_caller]
fn own<E: Send + Sync>(subscriber: &Subscriber<E>) -> Ledger {
    let state = subscriber.state();
    if let Err(imbalance) = state.ledger.check() {
        panic!("{state}: {imbalance}");
    }
    assert_eq!(state.next, subscriber.next_sequence().get());
    state.ledger
}

/// Returns the state of a journal. Checks that its ledger and that of every subscriber balance, and
/// that every accepted event is in the journal.
#[track_caller]
fn books<E: Send + Sync + 'static>(feed: &Feed<E>) -> SinkState {
    let state = feed.state();
    let accepted = test_support::assert_balanced(&state).accepted;
    assert_eq!((accepted, state.ledger.delivered), (feed.next().get(), accepted));
    for subscriber in &state.subscribers {
        if let Err(imbalance) = subscriber.ledger.check() {
            panic!("{subscriber}: {imbalance}");
        }
        assert_eq!(subscriber.behind, subscriber.ledger.pending);
    }
    state
}
