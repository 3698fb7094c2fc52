//! Gating with many publishers, with batches, inside deliveries, and for subscribers that are added
//! while events are published.

use crate::{HOUR, books, event, now, numbers, own, rest};
use buslane::journal::{Entry, Sequence, Start};
use buslane::{Bus, Journal, Queue, WaitStrategy, WriteError, sink_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{GUARD, Log, ends, waits};

fn journal(capacity: usize, limit: Duration) -> Journal<u64> {
    Journal::builder().capacity(capacity).gate_limit(limit).build().unwrap()
}

/// Sets the flag when the test ends.
struct EndsOnDrop<'a>(&'a AtomicBool);

impl Drop for EndsOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Publishes consecutive numbers until a gating subscriber blocks the journal, and returns the next
/// number.
fn fill(journal: &Journal<u64>) -> u64 {
    let mut next = journal.feed().next().get();
    while journal.try_publish(next).is_ok() {
        next += 1;
    }
    next
}

#[test]
fn many_publishers_lose_no_event_for_many_gates() {
    const EACH: u64 = 1_000;
    for capacity in [1, 3, 64] {
        let journal = journal(capacity, HOUR);
        let waits = [WaitStrategy::Park, WaitStrategy::nap(), WaitStrategy::SpinPark];
        let readers = waits.map(|wait| {
            let mut gate = journal.subscription().gating().wait_strategy(wait).subscribe().unwrap();
            thread::spawn(move || (rest(&mut gate), own(&gate)))
        });
        let publishing = journal.clone();
        ends(move || {
            thread::scope(|scope| {
                for publisher in 0..4 {
                    let journal = &publishing;
                    scope.spawn(move || {
                        (0..EACH).for_each(|n| assert!(journal.publish(publisher * EACH + n).is_ok()));
                    });
                }
            });
        });
        journal.close();
        let all = readers.map(|reader| {
            let (seen, ledger) = ends(move || reader.join().unwrap());
            assert_eq!((ledger.delivered, ledger.dropped.evicted), (4 * EACH, 0));
            seen
        });
        for publisher in 0..4 {
            let theirs = all[0].iter().filter(|n| **n / EACH == publisher).map(|n| n % EACH);
            assert!(theirs.eq(0..EACH), "publisher {publisher}, capacity {capacity}");
        }
        assert!(all[0] == all[1] && all[1] == all[2], "all subscribers see one order");
        assert_eq!(books(&journal.feed()).ledger.refused.closed, 0);
    }
}

#[test]
fn a_batch_waits_block_by_block() {
    let journal = journal(64, HOUR);
    let mut gate = journal.subscription().gating().subscribe().unwrap();
    let publisher = journal.clone();
    let publishing = waits(move || publisher.publish_batch(numbers(0..1000)));
    let seen: Vec<u64> = ends(move || (0..1000).map(|_| event(gate.recv().unwrap()).1).collect());
    assert_eq!(seen, numbers(0..1000));
    assert_eq!(ends(move || publishing.join().unwrap()).unwrap(), Sequence::new(0));
    books(&journal.feed());
}

#[test]
fn a_batch_of_the_only_publisher_waits_block_by_block() {
    let (mut writer, feed) = Journal::builder().capacity(64).gate_limit(HOUR).build_single().unwrap();
    let mut gate = feed.subscription().gating().subscribe().unwrap();
    let publishing = waits(move || writer.publish_batch(numbers(0..1000)).map(Sequence::get).ok());
    assert_eq!(ends(move || rest(&mut gate)), numbers(0..1000));
    assert_eq!(ends(move || publishing.join().unwrap()), Some(0));
    books(&feed);
}

#[test]
fn late_batch_returns_its_unpublished_events() {
    let journal = journal(64, Duration::from_millis(1));
    let mut gate = journal.subscription().gating().subscribe().unwrap();
    let Err(WriteError::Timeout(back)) = journal.publish_batch(numbers(0..1000)) else {
        panic!("the batch did not time out")
    };
    let published = 1000 - back.len() as u64;
    assert!((64..=128).contains(&published), "{published}");
    assert_eq!(back, numbers(published..1000));
    assert_eq!(now(&mut gate), numbers(0..published));
    let ledger = books(&journal.feed()).ledger;
    assert_eq!((ledger.refused.timeout, ledger.accepted), (1000 - published, published));
    assert_eq!(journal.publish_batch(back[..10].to_vec()).unwrap().get(), published);
}

#[test]
fn late_batch_of_a_single_writer_returns_its_rest() {
    let (mut writer, feed) =
        Journal::builder().capacity(64).gate_limit(Duration::from_millis(1)).build_single().unwrap();
    let mut gate = feed.subscription().gating().subscribe().unwrap();
    let events = numbers(0..1000);
    let Err(WriteError::Timeout(back)) = writer.publish_batch(&events) else {
        panic!("the batch did not time out")
    };
    let published = feed.next().get();
    assert_eq!(back, numbers(published..1000));
    assert_eq!(now(&mut gate), numbers(0..published));
    assert_eq!(books(&feed).ledger.refused.timeout, 1000 - published);
    assert_eq!(writer.publish_batch(&back[..10]).unwrap().get(), published);
}

#[test]
fn close_returns_the_rest_of_waiting_batches() {
    let journal = journal(64, HOUR);
    let mut gate = journal.subscription().gating().subscribe().unwrap();
    let publishers = [0, 1000].map(|first| {
        let journal = journal.clone();
        waits(move || journal.publish_batch(numbers(first..first + 500)))
    });
    let seen: Vec<u64> = (0..300).map(|_| event(gate.recv().unwrap()).1).collect();
    journal.close();
    let seen = [seen, rest(&mut gate)].concat();
    let mut published = 0;
    for (publisher, first) in publishers.into_iter().zip([0, 1000]) {
        let theirs: Vec<u64> = seen.iter().copied().filter(|n| n / 1000 == first / 1000).collect();
        let back = match ends(move || publisher.join().unwrap()) {
            Ok(_) => vec![],
            Err(WriteError::Closed(back)) => back,
            Err(other) => panic!("{other}"),
        };
        published += theirs.len() as u64;
        assert_eq!([theirs, back].concat(), numbers(first..first + 500));
    }
    assert_eq!(books(&journal.feed()).ledger.accepted, published);
}

#[test]
fn publish_inside_a_delivery_does_not_wait() {
    let journal = journal(64, HOUR);
    let mut gate = journal.subscription().gating().subscribe().unwrap();
    let next = fill(&journal);
    let refused = Log::new();
    let (inner, log) = (journal.clone(), refused.clone());
    let publish = move |n: u64| match inner.publish(n) {
        Err(WriteError::Full(back)) => log.push(back),
        other => panic!("{other:?}"),
    };
    // Called on the publisher's thread, and on a worker thread.
    let bus = Bus::new();
    let direct = publish.clone();
    bus.add(sink_fn(move |n: &u64| direct(*n))).unwrap();
    bus.add(Queue::builder().spawn(publish).unwrap()).unwrap();
    let bus = ends(move || {
        let _ = bus.publish(7).unwrap();
        assert!(bus.flush_timeout(GUARD).is_done());
        bus
    });
    assert_eq!(refused.entries(), [7, 7]);
    assert_eq!(bus.snapshot().sinks[0].state.ledger.dropped.panicked, 0);
    // The same for batches, and for the single writer.
    let batches = Log::new();
    let (inner, log) = (journal.clone(), batches.clone());
    bus.add(sink_fn(move |n: &u64| {
        if let Err(WriteError::Full(back)) = inner.publish_batch(vec![*n; 3]) {
            log.push(back);
        }
    }))
    .unwrap();
    let (mut writer, feed) = Journal::builder().capacity(1).gate_limit(HOUR).build_single().unwrap();
    let only = feed.subscription().gating().subscribe().unwrap();
    let fulls = Log::new();
    let log = fulls.clone();
    let queue = Queue::builder().spawn(move |n: u64| {
        if let Err(WriteError::Full(back)) = writer.publish(n) {
            log.push(back);
        }
    });
    bus.add(queue.unwrap()).unwrap();
    ends(move || {
        (0..5).for_each(|_| assert!(bus.publish(8).is_ok()));
        assert!(bus.close().is_done());
    });
    assert_eq!(batches.entries(), vec![vec![8; 3]; 5]);
    assert_eq!(fulls.entries().len() as u64, 5 - feed.next().get());
    drop(only);
    assert_eq!(now(&mut gate), numbers(0..next));
    assert_eq!(books(&journal.feed()).ledger.refused.full, 1 + 2 + 5 * 5);
}

#[test]
fn gate_added_under_load_misses_no_later_event() {
    for capacity in [1, 3, 64, 100] {
        let journal = journal(capacity, HOUR);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                let mut next = 0;
                while !over.load(Ordering::Acquire) {
                    journal.publish(next).unwrap();
                    next += 1;
                }
            });
            // Sets the flag also when the test fails, because the scope waits for the publisher.
            let ends_publishing = EndsOnDrop(&over);
            for round in 0..60 {
                let start = [Start::Now, Start::Oldest, Start::Last(capacity / 2)][round % 3];
                let mut gate = journal.subscription().start(start).gating().subscribe().unwrap();
                let first = gate.next_sequence().get();
                for place in first..first + 100 {
                    let entry = gate.recv().unwrap();
                    let expected = Entry::Event(Sequence::new(place), place);
                    assert_eq!(entry, expected, "{start:?}, capacity {capacity}, round {round}");
                }
                own(&gate);
            }
            drop(ends_publishing);
            publishing.join().unwrap();
        });
        books(&journal.feed());
    }
}

#[test]
fn publishing_filter_of_a_gate_does_not_wait() {
    let journal = journal(64, HOUR);
    let refused = Log::new();
    let (inner, log) = (journal.clone(), refused.clone());
    let gate = journal.subscription().gating().filter(move |n| {
        if *n == 0 {
            log.push(matches!(inner.publish(1000), Err(WriteError::Full(1000))));
        }
        true
    });
    let mut gate = gate.subscribe().unwrap();
    let next = fill(&journal);
    let (seen, gate) = ends(move || (now(&mut gate), gate));
    assert_eq!((seen, refused.entries()), (numbers(0..next), vec![true]));
    own(&gate);
}
