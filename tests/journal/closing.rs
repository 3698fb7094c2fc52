//! The end of a journal: it is final, reported once every event is read, and caused by any handle.

use crate::{books, event, journals, now, numbers, own, rest};
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::journal::Start;
use buslane::stats::SinkStatus;
use buslane::time::Deadline;
use buslane::{Journal, Sink, WriteError};
use std::sync::Barrier;
use std::thread;
use test_support::{Drops, ends};

#[test]
fn closed_journal_drains_then_reports_closed() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut reader = feed.subscribe(Start::Now).unwrap();
        pen.all(0..4);
        assert_eq!(feed.state().status, SinkStatus::Open);
        pen.close();
        assert_eq!((feed.state().status, feed.is_closed()), (SinkStatus::Drained, true));
        assert_eq!(reader.recv().map(event), Ok((0, 0)));
        assert_eq!(rest(&mut reader), [1, 2, 3]);
        for _ in 0..2 {
            assert_eq!(reader.recv(), Err(RecvError::Closed));
            assert_eq!(reader.try_recv(), Err(TryRecvError::Closed));
            assert_eq!(reader.try_recv_with(|_| ()), Err(TryRecvError::Closed));
            assert_eq!(reader.recv_timeout(crate::HOUR), Err(RecvTimeoutError::Closed));
            assert_eq!(reader.recv_slice(), Err(RecvError::Closed));
            assert_eq!(reader.try_recv_slice(), Err(TryRecvError::Closed));
        }
        let state = books(&feed);
        assert!(state.subscribers[0].ended);
    }
}

#[test]
fn last_handle_closes_the_journal_despite_a_feed() {
    let journal = Journal::new(64).unwrap();
    let (feed, other, subscription) = (journal.feed(), journal.clone(), journal.subscription());
    let mut reader = feed.subscribe(Start::Now).unwrap();
    drop(journal);
    other.publish(1).unwrap();
    assert!(!feed.is_closed());
    drop(other);
    assert!(feed.is_closed());
    assert_eq!(rest(&mut reader), [1]);
    assert_eq!(rest(&mut subscription.start(Start::Oldest).subscribe().unwrap()), [1]);
}

#[test]
fn writer_drop_closes_its_journal() {
    for by_close in [false, true] {
        let (mut writer, feed) = Journal::single(64).unwrap();
        let mut reader = feed.subscribe(Start::Now).unwrap();
        writer.publish(1).unwrap();
        if by_close {
            writer.close()
        } else {
            drop(writer)
        }
        assert!(feed.is_closed());
        assert_eq!(rest(&mut reader), [1]);
    }
}

#[test]
fn history_is_dropped_with_the_last_reader() {
    for mut pen in journals(64) {
        let (feed, drops) = (pen.feed(), Drops::default());
        pen.all((0..10).map(|id| drops.track(id)));
        pen.close();
        let mut reader = feed.subscribe(Start::Oldest).unwrap();
        drop(feed);
        assert!(drops.ids().is_empty());
        assert!((0..10).all(|_| reader.try_recv_with(|_| ()).is_ok()));
        assert!(drops.ids().is_empty(), "reading drops no event");
        drop(reader);
        assert_eq!(drops.ids(), numbers(0..10));
    }
}

#[test]
fn concurrent_closes_are_one_close() {
    for _ in 0..50 {
        let journal = Journal::new(256).unwrap();
        let mut reader = journal.subscribe(Start::Now).unwrap();
        let start = Barrier::new(4);
        let accepted: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let (journal, start) = (&journal, &start);
                    scope.spawn(move || {
                        start.wait();
                        if thread < 2 {
                            journal.close();
                            return 0;
                        }
                        (0..100).map(|n| u64::from(journal.publish(n).is_ok())).sum()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let state = books(&journal.feed());
        assert_eq!((state.ledger.accepted, state.ledger.offered), (accepted, 200));
        assert_eq!(rest(&mut reader).len() as u64, accepted);
        assert_eq!(own(&reader).delivered, accepted);
    }
}

#[test]
fn accepted_events_are_read_despite_a_racing_close() {
    for _ in 0..50 {
        let journal = Journal::new(4096).unwrap();
        let mut reader = journal.subscribe(Start::Now).unwrap();
        let (publisher, start) = (journal.clone(), Barrier::new(2));
        let accepted = thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                start.wait();
                (0..4096).take_while(|n| publisher.publish(*n).is_ok()).count() as u64
            });
            start.wait();
            journal.close();
            publishing.join().unwrap()
        });
        assert_eq!(rest(&mut reader), numbers(0..accepted));
        books(&journal.feed());
    }
}

#[test]
fn batch_racing_a_close_is_accepted_whole_or_not() {
    for _ in 0..50 {
        let journal = Journal::new(256).unwrap();
        let mut reader = journal.subscribe(Start::Now).unwrap();
        let start = Barrier::new(2);
        let outcome = thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                start.wait();
                journal.publish_batch(numbers(0..100))
            });
            start.wait();
            journal.close();
            publishing.join().unwrap()
        });
        let expected = match outcome {
            Ok(first) => {
                assert_eq!(first.get(), 0);
                100
            }
            Err(WriteError::Closed(back)) => {
                assert_eq!(back, numbers(0..100));
                0
            }
            Err(other) => panic!("{other}"),
        };
        assert_eq!(rest(&mut reader), numbers(0..expected));
        books(&journal.feed());
    }
}

#[test]
fn sink_close_is_immediate_and_idempotent() {
    let journal = Journal::new(64).unwrap();
    let mut reader = journal.subscribe(Start::Now).unwrap();
    let mut lane = test_support::lane(&journal);
    journal.write(0).unwrap();
    lane.push(1, buslane::time::Deadline::NEVER).unwrap();
    for _ in 0..2 {
        let report = ends({
            let journal = journal.clone();
            move || Sink::close_by(&journal, Deadline::NOW)
        });
        assert!(report.is_done(), "{report}");
    }
    assert!(matches!(journal.write(2), Err(WriteError::Closed(2))));
    assert!(matches!(lane.push(2, buslane::time::Deadline::NOW), Err(WriteError::Closed(2))));
    assert_eq!(rest(&mut reader), [0, 1]);
    assert_eq!(books(&journal.feed()).ledger.refused.closed, 2);
}

#[test]
fn a_lane_does_not_keep_the_journal_open() {
    let journal = Journal::new(64).unwrap();
    let feed = journal.feed();
    let mut lane = test_support::lane(&journal);
    lane.push(0, buslane::time::Deadline::NEVER).unwrap();
    drop(journal);
    assert!(matches!(lane.push(1, buslane::time::Deadline::NEVER), Err(WriteError::Closed(1))));
    drop(lane);
    let mut reader = feed.subscribe(Start::Oldest).unwrap();
    assert_eq!(now(&mut reader), [0]);
    assert_eq!(reader.try_recv(), Err(TryRecvError::Closed));
    books(&feed);
}
