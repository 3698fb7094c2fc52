//! Filters: each runs once per event, on the reading thread, in order. Events that a filter rejects
//! are counted.

use crate::{HOUR, books, event, forms, journals, now, numbers, own, rest, walk};
use buslane::Journal;
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::journal::{Entry, Sequence, Start, Until};
use std::task::Context;
use std::thread;
use std::time::Duration;
use test_support::{Log, WakeCount, block_on, ends, wait_for};

#[test]
fn each_read_method_filters_each_event_once() {
    for mut pen in journals(128) {
        let (feed, asked) = (pen.feed(), Log::new());
        let log = asked.clone();
        let even = feed.subscription().filter(move |n: &u64| {
            log.push(*n);
            n.is_multiple_of(2)
        });
        let mut even = even.subscribe().unwrap();
        pen.all(0..20);
        let mut seen = vec![
            even.recv().unwrap().event(),
            even.try_recv().unwrap().event(),
            even.recv_timeout(HOUR).unwrap().event(),
            block_on(even.recv_async()).unwrap().event(),
            even.try_recv_with(|n| *n).unwrap().event(),
        ];
        assert_eq!(asked.entries(), numbers(0..9), "the filter has not run for later events");
        while let Ok(Entry::Event(_, batch)) = even.try_recv_slice() {
            seen.extend(batch.iter().map(|n| Some(*n)));
        }
        pen.all(20..25);
        seen.extend(now(&mut even).into_iter().map(Some));
        assert_eq!(seen, (0..25).step_by(2).map(Some).collect::<Vec<_>>());
        assert_eq!(asked.entries(), numbers(0..25));
        let ledger = own(&even);
        assert_eq!((ledger.delivered, ledger.filtered), (13, 12));
        books(&feed);
    }
}

#[test]
fn batch_holds_consecutive_matches() {
    for mut pen in journals(256) {
        let feed = pen.feed();
        let mut rows = feed.subscription().filter(|n: &u64| !matches!(n % 10, 3 | 4)).subscribe().unwrap();
        pen.all(0..100);
        let mut seen = Vec::new();
        while let Ok(entry) = rows.try_recv_slice() {
            let (first, batch) = event(entry);
            assert!(
                batch.iter().copied().eq(first..first + batch.len() as u64),
                "the events of a batch are consecutive"
            );
            seen.extend_from_slice(batch);
        }
        assert_eq!(
            seen,
            numbers(0..100).into_iter().filter(|n| !matches!(n % 10, 3 | 4)).collect::<Vec<_>>()
        );
        assert_eq!(own(&rows).filtered, 20);
    }
}

#[test]
fn read_methods_mix_around_a_split_batch() {
    for mut pen in journals(64) {
        let (feed, asked) = (pen.feed(), Log::new());
        let log = asked.clone();
        let some = feed.subscription().filter(move |n: &u64| {
            log.push(*n);
            *n != 3
        });
        let mut some = some.subscribe().unwrap();
        pen.all(0..6);
        assert_eq!(some.try_recv_slice().map(event), Ok((0, &[0, 1, 2][..])));
        assert_eq!(asked.entries(), [0, 1, 2, 3]);
        assert_eq!(own(&some).pending, 3);
        assert_eq!(some.recv().map(event), Ok((4, 4)));
        assert_eq!(some.try_recv_slice().map(event), Ok((5, &[5][..])));
        assert_eq!(some.try_recv_slice(), Err(TryRecvError::Empty));
        assert_eq!(asked.entries(), numbers(0..6));
    }
}

#[test]
fn filter_keeps_its_own_state() {
    for mut pen in journals(64) {
        let mut count = 0;
        let third = pen.feed().subscription().filter(move |_| {
            count += 1;
            count % 3 == 0
        });
        let mut third = third.subscribe().unwrap();
        pen.all(0..10_u64);
        assert_eq!(now(&mut third), [2, 5, 8]);
    }
}

#[test]
fn filter_skips_missed_events_and_those_after_end() {
    for mut pen in journals(64) {
        let (feed, asked) = (pen.feed(), Log::new());
        let log = asked.clone();
        let subscription = feed.subscription().start(Start::Oldest).filter(move |n: &u64| {
            log.push(*n);
            true
        });
        let mut subscriber = subscription.until(Until::Sequence(Sequence::new(990))).subscribe().unwrap();
        pen.all(0..1000);
        let (seen, lags) = walk(&mut subscriber);
        assert_eq!((seen, lags), (numbers(936..991), vec![936]));
        assert_eq!(asked.entries(), numbers(936..991));
        assert_eq!(subscriber.recv(), Err(RecvError::Closed));
        books(&feed);
    }
}

#[test]
fn filtered_reader_waits_until_a_match_or_the_end() {
    for wait in crate::STRATEGIES {
        for mut pen in journals(64) {
            let feed = pen.feed();
            let subscription = feed.subscription().filter(|n: &u64| *n == 77).wait_strategy(wait);
            let mut subscriber = subscription.subscribe().unwrap();
            assert_eq!(subscriber.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
            let reader = thread::spawn(move || (rest(&mut subscriber), own(&subscriber)));
            pen.all(0..10);
            wait_for(|| feed.state().subscribers[0].ledger.filtered == 10);
            pen.all(70..80);
            pen.close();
            let (seen, ledger) = ends(move || reader.join().unwrap());
            assert_eq!((seen, ledger.filtered), (vec![77], 19), "{wait:?}");
        }
    }
}

#[test]
fn filter_and_time_window_both_apply() {
    let at = |seconds| std::time::UNIX_EPOCH + Duration::from_secs(seconds);
    for mut pen in forms(|| Journal::builder().capacity(64).time_by(move |n: &u64| at(*n))) {
        pen.all(0..20);
        let feed = pen.feed();
        let odd = feed.subscription().start(Start::Since(at(5))).until(Until::Time(at(10)));
        let mut odd = odd.filter(|n| n % 2 == 1).subscribe().unwrap();
        assert_eq!(rest(&mut odd), [5, 7, 9]);
        let ledger = own(&odd);
        assert_eq!((ledger.delivered, ledger.filtered), (3, 17));
    }
}

#[test]
fn nonblocking_read_ends_despite_a_filtered_flood() {
    let journal = Journal::new(64).unwrap();
    let inner = journal.clone();
    // Each call publishes another event, which the filter also rejects.
    let never = journal.subscription().filter(move |n: &u64| {
        inner.publish(n + 1).unwrap();
        false
    });
    let mut never = never.subscribe().unwrap();
    journal.publish(0).unwrap();
    let never = ends(move || {
        assert_eq!(never.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(never.try_recv_slice(), Err(TryRecvError::Empty));
        assert_eq!(never.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        assert_eq!(never.try_iter().count(), 0);
        // A task yields to other tasks, and is woken again.
        let (count, waker) = WakeCount::waker();
        assert!(never.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        assert!(count.get() > 0);
        never
    });
    let ledger = own(&never);
    assert_eq!((ledger.delivered, ledger.filtered + ledger.pending), (0, ledger.accepted));
    journal.close();
}

#[test]
fn filtered_tail_of_a_closed_journal_reads_closed() {
    for mut pen in journals(64) {
        let mut never = pen.feed().subscription().filter(|_| false).subscribe().unwrap();
        pen.all(0..40_u64);
        pen.close();
        assert_eq!(never.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(own(&never).filtered, 40);
    }
}
