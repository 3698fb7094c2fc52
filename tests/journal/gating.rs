//! Gating subscribers: publishers wait until they have read on, until the limit, or until they are
//! dropped.

use crate::{HOUR, Pen, books, event, forms, journals, now, numbers, own, rest, walk};
use buslane::error::RecvError;
use buslane::journal::{Entry, JournalBuilder, OnLag, Sequence, Start, Until};
use buslane::{Journal, Subscriber, WaitStrategy, WriteError};
use std::thread;
use std::time::Duration;
use test_support::{ends, waits};

/// Returns journals whose publishers wait for at most `limit`.
fn patient(capacity: usize, limit: Duration) -> [Pen<u64>; 2] {
    forms(|| builder(capacity, limit))
}

fn builder(capacity: usize, limit: Duration) -> JournalBuilder<u64> {
    Journal::builder().capacity(capacity).gate_limit(limit)
}

fn gating(pen: &Pen<u64>, start: Start) -> Subscriber<u64> {
    pen.feed().subscription().start(start).gating().subscribe().unwrap()
}

/// Publishes until a gating subscriber blocks the journal, and returns its next position.
fn fill(pen: &mut Pen<u64>) -> u64 {
    let mut next = pen.feed().next().get();
    loop {
        match pen.try_publish(next) {
            Ok(sequence) => next = sequence.next().get(),
            Err(WriteError::Full(back)) => {
                assert_eq!(back, next, "the event that comes back");
                return next;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn publisher_overwrites_no_event_unread_by_a_gate() {
    for capacity in [1, 2, 3, 5, 64, 100, 1000] {
        for mut pen in journals(capacity) {
            let feed = pen.feed();
            let mut gate = gating(&pen, Start::Now);
            let mut plain = feed.subscribe(Start::Now).unwrap();
            let mut next = 0;
            for round in 0..20 {
                let full = fill(&mut pen);
                let block = 64.min(1 << capacity.ilog2());
                assert!(
                    full - next <= (capacity + block) as u64,
                    "the backlog is bounded, capacity {capacity}"
                );
                assert!(full - next >= if round == 0 { capacity as u64 } else { 1 }, "capacity {capacity}");
                assert_eq!(gate.behind(), full - next);
                assert_eq!(now(&mut gate), numbers(next..full));
                next = full;
            }
            assert_eq!(own(&gate).dropped.evicted, 0);
            let (_, lags) = walk(&mut plain);
            assert!(!lags.is_empty(), "other subscribers still lag, capacity {capacity}");
            let state = books(&feed);
            assert_eq!(state.ledger.refused.full, 20);
            assert!(state.subscribers[0].gating && !state.subscribers[1].gating);
        }
    }
}

#[test]
fn publisher_waits_until_the_gate_reads() {
    for capacity in [1, 3, 64, 100] {
        for wait in crate::STRATEGIES {
            for mut pen in patient(capacity, HOUR) {
                let subscription = pen.feed().subscription().gating().wait_strategy(wait);
                let mut gate = subscription.subscribe().unwrap();
                // More events than there is room for.
                let publishing = thread::spawn(move || {
                    pen.all(0..500);
                    pen.close();
                });
                let (seen, gate) = ends(move || (rest(&mut gate), gate));
                assert_eq!(seen, numbers(0..500), "capacity {capacity}, {wait:?}");
                ends(move || publishing.join().unwrap());
                assert_eq!(own(&gate).delivered, 500);
            }
        }
    }
}

#[test]
fn each_read_method_releases_the_publisher() {
    type Read = fn(&mut Subscriber<u64>) -> Option<u64>;
    let ways: [Read; 6] = [
        |gate| gate.recv().unwrap().event(),
        |gate| gate.try_recv().ok().and_then(Entry::event),
        |gate| gate.recv_timeout(HOUR).unwrap().event(),
        |gate| gate.try_recv_with(|n| *n).ok().and_then(Entry::event),
        |gate| gate.recv_slice().unwrap().event().and_then(|batch| batch.last().copied()),
        |gate| test_support::block_on(gate.recv_async()).unwrap().event(),
    ];
    for (way, read) in ways.into_iter().enumerate() {
        for mut pen in patient(64, HOUR) {
            let mut gate = gating(&pen, Start::Now);
            let next = fill(&mut pen);
            let publishing = waits(move || pen.publish(next).map(Sequence::get).ok());
            let reading = ends(move || {
                while read(&mut gate) != Some(next) {}
                gate
            });
            assert_eq!(ends(move || publishing.join().unwrap()), Some(next), "way {way}");
            assert_eq!(own(&reading).delivered, next + 1);
        }
    }
}

#[test]
fn gate_limit_returns_the_event_to_the_publisher() {
    for limit in [Duration::ZERO, Duration::from_millis(1)] {
        for mut pen in patient(64, limit) {
            let feed = pen.feed();
            let mut gate = gating(&pen, Start::Now);
            let next = fill(&mut pen);
            for _ in 0..3 {
                assert!(matches!(pen.publish(next), Err(WriteError::Timeout(back)) if back == next));
            }
            assert_eq!((feed.next().get(), own(&gate).delivered), (next, 0), "no event was lost");
            assert_eq!(books(&feed).ledger.refused.timeout, 3);
            assert_eq!(now(&mut gate), numbers(0..next));
            assert_eq!(pen.publish(next).unwrap().get(), next);
            books(&feed);
        }
    }
}

#[test]
fn dropped_gate_releases_a_waiting_publisher() {
    for mut pen in patient(64, HOUR) {
        let (first, second) = (gating(&pen, Start::Now), gating(&pen, Start::Now));
        let next = fill(&mut pen);
        let publishing = waits(move || {
            pen.all(next..5000);
            pen
        });
        drop(first);
        drop(second);
        let pen = ends(move || publishing.join().unwrap());
        assert_eq!(books(&pen.feed()).ledger.accepted, 5000);
    }
}

#[test]
fn ended_gate_releases_a_waiting_publisher() {
    for mut pen in patient(64, HOUR) {
        let last = Until::Sequence(Sequence::new(9));
        let mut gate = pen.feed().subscription().gating().until(last).subscribe().unwrap();
        let next = fill(&mut pen);
        let publishing = waits(move || {
            pen.all(next..5000);
            pen
        });
        assert_eq!(rest(&mut gate), numbers(0..10));
        let pen = ends(move || publishing.join().unwrap());
        let state = &books(&pen.feed()).subscribers[0];
        assert!(state.ended, "{state}");
        assert_eq!((state.behind, state.ledger.delivered), (0, 10));
    }
}

#[test]
fn gate_past_its_last_event_delays_no_publisher() {
    for mut pen in patient(64, HOUR) {
        let last = Until::Sequence(Sequence::new(9));
        let mut gate = pen.feed().subscription().gating().until(last).subscribe().unwrap();
        let next = fill(&mut pen);
        // The subscriber reads exactly the events that it asked for, and does not poll for the
        // eleventh.
        let seen: Vec<u64> = (0..10).map(|_| event(gate.recv().unwrap()).1).collect();
        assert_eq!(seen, numbers(0..10));
        let pen = ends(move || {
            pen.all(next..5000);
            pen
        });
        assert_eq!(gate.recv(), Err(RecvError::Closed));
        books(&pen.feed());
    }
}

#[test]
fn gate_ended_by_lag_releases_the_publisher() {
    for mut pen in patient(64, HOUR) {
        pen.all(0..1000);
        let subscription = pen.feed().subscription().start(Start::At(Sequence::new(3))).gating();
        let mut gate = subscription.end_on_lag().subscribe().unwrap();
        let next = fill(&mut pen);
        let publishing = waits(move || {
            pen.all(next..5000);
            pen
        });
        assert!(matches!(gate.recv(), Ok(Entry::Lagged(_))));
        // A subscriber that ends on lag is over once it has reported the lag: no further read is
        // necessary.
        let pen = ends(move || publishing.join().unwrap());
        assert_eq!(gate.recv(), Err(RecvError::Closed));
        books(&pen.feed());
    }
}

#[test]
fn close_returns_the_event_of_a_waiting_publisher() {
    let journal = builder(64, HOUR).build().unwrap();
    let mut gate = journal.subscription().gating().subscribe().unwrap();
    let next = fill(&mut Pen::Many(journal.clone()));
    let publishers = [(); 3].map(|()| {
        let journal = journal.clone();
        waits(move || journal.publish(next))
    });
    journal.close();
    for publisher in publishers {
        let refused = ends(move || publisher.join().unwrap());
        assert!(matches!(refused, Err(WriteError::Closed(back)) if back == next));
    }
    assert_eq!(rest(&mut gate), numbers(0..next));
    assert_eq!(books(&journal.feed()).ledger.refused.closed, 3);
}

#[test]
fn slowest_gate_holds_back_the_publisher() {
    for mut pen in journals(64) {
        let (mut fast, mut slow) = (gating(&pen, Start::Now), gating(&pen, Start::Now));
        let next = fill(&mut pen);
        assert_eq!(now(&mut fast), numbers(0..next));
        assert!(matches!(pen.try_publish(next), Err(WriteError::Full(_))));
        assert_eq!(now(&mut slow), numbers(0..next));
        assert_eq!(pen.try_publish(next).unwrap().get(), next);
        let feed = pen.feed();
        assert!(books(&feed).subscribers.iter().all(|one| one.ledger.dropped.evicted == 0));
    }
}

#[test]
fn gate_that_starts_in_the_past_reads_its_lag_first() {
    for on_lag in [OnLag::Oldest, OnLag::Newest] {
        for mut pen in patient(64, Duration::ZERO) {
            pen.all(0..1000);
            let subscription = pen.feed().subscription().start(Start::At(Sequence::new(100))).on_lag(on_lag);
            let mut gate = subscription.gating().subscribe().unwrap();
            let next = fill(&mut pen);
            assert!(next <= 1024, "publishers wait for it from the next block on: {next}");
            let (seen, lags) = walk(&mut gate);
            let first = if on_lag == OnLag::Oldest { next - 64 } else { next };
            assert_eq!((seen, lags), (numbers(first..next), vec![first - 100]));
            assert!(fill(&mut pen) > next);
            books(&pen.feed());
        }
    }
}

#[test]
fn waiting_publisher_blocks_no_subscriber_or_reader() {
    for mut pen in patient(64, HOUR) {
        let (feed, gate) = (pen.feed(), gating(&pen, Start::Now));
        let next = fill(&mut pen);
        let publishing = waits(move || {
            pen.all(next..next + 200);
            pen
        });
        ends({
            let feed = feed.clone();
            move || {
                let mut other = feed.subscribe(Start::Oldest).unwrap();
                assert_eq!(now(&mut other), numbers(next - 64..next));
                assert!(feed.state().subscribers[0].gating);
                // Adds and drops one more gating subscriber.
                drop(feed.subscription().gating().subscribe().unwrap());
            }
        });
        assert_eq!(feed.next().get(), next);
        drop(gate);
        drop(ends(move || publishing.join().unwrap()));
        books(&feed);
    }
}

#[test]
fn filtered_gate_passes_unwanted_events() {
    for mut pen in patient(64, HOUR) {
        let subscription = pen.feed().subscription().gating().wait_strategy(WaitStrategy::Park);
        let mut gate = subscription.filter(|n| n % 100 == 7).subscribe().unwrap();
        let publishing = waits(move || {
            pen.all(0..1000);
            pen.close();
        });
        let (seen, gate) = ends(move || (rest(&mut gate), gate));
        assert_eq!(seen, (7..1000).step_by(100).collect::<Vec<_>>());
        ends(move || publishing.join().unwrap());
        let ledger = own(&gate);
        assert_eq!((ledger.filtered, ledger.dropped.evicted), (990, 0));
    }
}

#[test]
fn gate_of_a_closed_journal_reads_to_the_end() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        pen.all(0..100);
        pen.close();
        let mut gate = feed.subscription().start(Start::Oldest).gating().subscribe().unwrap();
        assert_eq!(rest(&mut gate), numbers(36..100));
        books(&feed);
    }
}

#[test]
fn a_subscription_that_is_refused_leaves_no_gate() {
    for mut pen in patient(64, Duration::ZERO) {
        let future = pen.feed().subscription().start(Start::At(Sequence::new(7))).gating();
        assert!(future.subscribe().is_err());
        pen.all(0..1000);
        assert_eq!(books(&pen.feed()).ledger.refused.total(), 0);
    }
}
