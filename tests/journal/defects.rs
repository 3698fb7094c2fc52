//! One test for each defect of moby's events and their publisher (E31 to E37), and of the filter
//! upstream of the queue (E41).

use crate::{Pen, books, event, journals, now, numbers, own, rest, walk};
use buslane::error::RecvError;
use buslane::journal::{Entry, Sequence, Start, Until};
use buslane::testing::Gate;
use buslane::{Journal, WriteError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};
use test_support::{ends, lock};

/// In moby, a listener that is not ready within 100 ms misses events, which are neither counted nor
/// reported.
#[test]
fn e31_missed_events_are_counted_and_reported() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut late = feed.subscription().start(Start::Oldest).name("late").subscribe().unwrap();
        pen.all(0..1000);
        // The journal keeps 936 to 999.
        assert_eq!(late.recv(), Ok(Entry::Lagged(936)));
        assert_eq!(now(&mut late), numbers(936..1000));
        let state = &books(&feed).subscribers[0];
        assert_eq!((state.ledger.dropped.evicted, state.ledger.delivered), (936, 64));
    }
}

/// In moby, each event costs a goroutine and a timer for each subscriber. A slow subscriber delays
/// publishers, and others that subscribe or leave.
#[test]
fn e32_stalled_subscriber_delays_no_other() {
    for mut pen in journals(64) {
        let (feed, gate) = (pen.feed(), Gate::closed());
        let mut stuck = feed.subscribe(Start::Oldest).unwrap();
        pen.publish(0_u64).unwrap();
        let at = gate.clone();
        let standing = thread::spawn(move || {
            let first = stuck.try_recv_with(|n| {
                at.pass();
                *n
            });
            (first, walk(&mut stuck), own(&stuck))
        });
        gate.wait_reached(1);
        let pen = ends(move || {
            pen.all(1..10_000);
            let mut other = feed.subscribe(Start::Last(5)).unwrap();
            assert_eq!(now(&mut other), numbers(9995..10_000));
            drop(other);
            assert_eq!(feed.state().subscribers.len(), 1);
            pen
        });
        gate.open();
        let (first, (then, lags), ledger) = standing.join().unwrap();
        assert_eq!(first, Ok(Entry::Event(Sequence::new(0), 0)), "the event in use does not change");
        assert_eq!(then, numbers(9936..10_000), "then the events that are kept");
        assert_eq!((lags, ledger.dropped.evicted), (vec![9935], 9935));
        pen.close();
    }
}

/// In moby, an event that is logged just before a subscriber takes the history arrives again with
/// the live stream. Publishers that log concurrently may produce two orders, one in the history and
/// one live.
#[test]
fn e33_history_joins_live_without_gap_or_repeat() {
    const EACH: u64 = 3_000;
    let journal = Journal::new(16_384).unwrap();
    let seen: Vec<Vec<(u64, u64)>> = ends({
        let journal = journal.clone();
        move || {
            thread::scope(|scope| {
                let publishers: Vec<_> = (0..2)
                    .map(|publisher| {
                        let journal = &journal;
                        scope.spawn(move || {
                            for n in 0..EACH {
                                journal.publish(publisher * EACH + n).unwrap();
                            }
                        })
                    })
                    .collect();
                // The subscribers join one after the other while events are published.
                let readers: Vec<_> = (0..20)
                    .map(|_| {
                        let mut subscriber = journal.subscribe(Start::Oldest).unwrap();
                        scope.spawn(move || subscriber.iter().map(event).collect::<Vec<_>>())
                    })
                    .collect();
                publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
                journal.close();
                readers.into_iter().map(|reader| reader.join().unwrap()).collect()
            })
        }
    });
    let history: Vec<(u64, u64)> = journal.subscribe(Start::Oldest).unwrap().iter().map(event).collect();
    assert!(history.iter().map(|(place, _)| *place).eq(0..2 * EACH));
    for publisher in 0..2 {
        let own = history.iter().filter(|(_, n)| n / EACH == publisher).map(|(_, n)| n % EACH);
        assert!(own.eq(0..EACH));
    }
    assert!(seen.iter().all(|seen| *seen == history));
}

/// In moby, the history is searched backwards up to the first event that is too old, although times
/// are not in order.
#[test]
fn e33_events_with_unordered_times_are_found() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let journal = Journal::builder().time_by(move |seconds: &u64| at(*seconds)).build().unwrap();
    [10, 30, 20, 5, 40, 15].into_iter().for_each(|seconds| assert!(journal.publish(seconds).is_ok()));
    let since = journal.subscription().start(Start::Since(at(15)));
    let mut subscriber = since.until(Until::Time(at(30))).subscribe().unwrap();
    assert_eq!(rest(&mut subscriber), [30, 20, 15]);
    let ledger = own(&subscriber);
    assert_eq!((ledger.delivered, ledger.filtered), (3, 3));
    let mut since = journal.subscribe(Start::Since(at(20))).unwrap();
    assert_eq!(now(&mut since), [30, 20, 40]);
    books(&journal.feed());
}

/// In the first version of moby, each event is logged by a separate goroutine, in any order.
#[test]
fn e34_publish_returns_its_sequence() {
    for mut pen in journals(128) {
        let mut subscriber = pen.feed().subscribe(Start::Now).unwrap();
        for n in 0..100 {
            assert_eq!(pen.publish(n).unwrap(), Sequence::new(n));
            assert_eq!(
                subscriber.try_recv(),
                Ok(Entry::Event(Sequence::new(n), n)),
                "the event is readable at once"
            );
        }
        assert_eq!(pen.batch(numbers(100..110)), Sequence::new(100));
        assert_eq!(now(&mut subscriber), numbers(100..110));
        books(&pen.feed());
    }
}

/// In moby, the history has a fixed size, each event moves all of it by one position, and only a
/// time identifies where to resume.
#[test]
fn e35_history_size_is_exact_and_resumes_by_sequence() {
    for capacity in [1, 2, 3, 64, 100, 1000, 65_536] {
        for mut pen in journals(capacity) {
            let (feed, kept) = (pen.feed(), capacity as u64);
            pen.all(0..kept + 10);
            let mut all = feed.subscribe(Start::Oldest).unwrap();
            assert_eq!(now(&mut all), numbers(10..kept + 10), "capacity {capacity}");
            // A client leaves, and resumes with the next event.
            let go_on = all.next_sequence();
            drop(all);
            pen.publish(kept + 10).unwrap();
            let mut back = feed.subscribe(Start::At(go_on)).unwrap();
            assert_eq!(now(&mut back), [kept + 10]);
            books(&feed);
        }
    }
}

/// In moby, a closed publisher continues, and a later subscriber waits forever.
#[test]
fn e36_late_subscriber_reads_history_then_the_close() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        pen.all(0..100);
        match pen {
            Pen::One(writer) => writer.close(),
            Pen::Many(journal) => {
                for _ in 0..2 {
                    journal.close();
                    assert!(matches!(journal.publish(100), Err(WriteError::Closed(100))));
                    assert!(matches!(journal.try_publish(100), Err(WriteError::Closed(100))));
                    let refused = journal.publish_batch(vec![100, 101]);
                    assert!(matches!(refused, Err(WriteError::Closed(back)) if back == [100, 101]));
                }
                assert_eq!(books(&feed).ledger.refused.closed, 8);
            }
        }
        assert!(feed.is_closed());
        for (start, expected) in [(Start::Oldest, 36..100), (Start::Last(1), 99..100), (Start::Now, 0..0)] {
            let mut late = feed.subscribe(start).unwrap();
            let (seen, late) = ends(move || (rest(&mut late), late));
            assert_eq!(seen, numbers(expected));
            let ended = late.state();
            assert!(ended.ended && ended.ledger.check().is_ok(), "{ended}");
        }
        assert_eq!(books(&feed).subscribers.len(), 0);
    }
}

/// In moby, a second eviction of a subscriber counts it again.
#[test]
fn e36_subscribers_are_counted_exactly() {
    for pen in journals::<u64>(64) {
        let feed = pen.feed();
        let count = || feed.state().subscribers.len();
        let mut subscribers: Vec<_> = (0..5).map(|_| feed.subscribe(Start::Now).unwrap()).collect();
        assert_eq!(count(), 5);
        subscribers.pop();
        pen.close();
        assert_eq!(count(), 4, "a close evicts no subscriber");
        for left in (0..4).rev() {
            let mut one = subscribers.pop().unwrap();
            assert_eq!(one.recv(), Err(RecvError::Closed));
            drop(one);
            assert_eq!(count(), left);
        }
    }
}

/// In moby, the function that selects a subscriber's events runs in a goroutine for each event, and
/// its panic ends the daemon.
#[test]
fn e37_filter_runs_and_panics_on_its_reader_only() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, reader) = (asked.clone(), thread::current().id());
        let picky = feed.subscription().filter(move |n: &u64| {
            lock(&log).push(thread::current().id());
            assert_ne!(*n, 2, "panic requested by the test");
            true
        });
        let mut picky = picky.subscribe().unwrap();
        let mut other = feed.subscribe(Start::Now).unwrap();
        let pen = ends(move || {
            pen.all(0..5);
            pen
        });
        assert!(lock(&asked).is_empty(), "the filter runs only when the subscriber reads");
        let seen: Vec<_> = picky.try_iter().collect();
        let expected = [0, 1, 2, 3, 4].map(|n| match n {
            2 => Entry::Panicked(Sequence::new(2)),
            n => Entry::Event(Sequence::new(n), n),
        });
        assert_eq!(seen, expected);
        assert_eq!(*lock(&asked), [reader; 5]);
        assert_eq!(now(&mut other), numbers(0..5));
        assert_eq!(own(&picky).dropped.panicked, 1);
        drop(pen);
        books(&feed);
    }
}

/// In moby, the filter runs in the only goroutine for all subscribers: if it waits for a lock, the
/// whole bus stops.
#[test]
fn e41_blocked_filter_delays_only_its_subscriber() {
    for mut pen in journals(64) {
        let (feed, held) = (pen.feed(), Arc::new(Mutex::new(())));
        let guard = lock(&held);
        let locks = held.clone();
        let locking = feed.subscription().filter(move |_: &u64| {
            drop(lock(&locks));
            true
        });
        let mut locking = locking.subscribe().unwrap();
        let reader = thread::spawn(move || locking.iter().map(|entry| event(entry).1).sum::<u64>());
        let mut other = feed.subscribe(Start::Now).unwrap();
        ends(move || {
            pen.all(0..50);
            assert_eq!(now(&mut other), numbers(0..50));
            pen.close();
            assert_eq!(rest(&mut feed.subscribe(Start::Oldest).unwrap()), numbers(0..50));
        });
        drop(guard);
        assert_eq!(ends(move || reader.join().unwrap()), 49 * 50 / 2);
    }
}

/// The same with a filter that publishes into the journal that it filters.
#[test]
fn e41_a_filter_may_publish_into_its_own_journal() {
    let journal = Journal::new(64).unwrap();
    let inner = journal.clone();
    let echo = journal.subscription().filter(move |n| {
        if *n < 3 {
            inner.publish(n + 1).unwrap();
        }
        true
    });
    let mut echo = echo.subscribe().unwrap();
    journal.publish(0_u64).unwrap();
    let (seen, echo) = ends(move || (now(&mut echo), echo));
    assert_eq!(seen, [0, 1, 2, 3]);
    assert_eq!(own(&echo).delivered, 4);
}
