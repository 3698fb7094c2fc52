//! Subscribers that are too slow: the missed events are counted exactly, and the subscriber resumes
//! where it asked to.

use crate::{books, event, journals, now, numbers, own, places, rest, walk};
use buslane::error::SubscribeError;
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::journal::{Entry, OnLag, Sequence, Start};
use buslane::{Journal, Subscriber};
use test_support::Drops;

/// Returns how many events the subscriber missed, which its next read must report.
#[track_caller]
fn missed(subscriber: &mut Subscriber<u64>) -> u64 {
    match subscriber.try_recv() {
        Ok(Entry::Lagged(missed)) => missed,
        other => panic!("the read reported no lag: {other:?}"),
    }
}

#[test]
fn lag_is_reported_once_and_resumes_at_the_oldest() {
    for capacity in [1, 2, 3, 64, 100, 1000] {
        for mut pen in journals(capacity) {
            let feed = pen.feed();
            let mut slow = feed.subscribe(Start::Now).unwrap();
            let mut next = 0;
            for round in 1..=5 {
                let published = next + 3 * capacity as u64 + 130 + round;
                pen.all(next..published);
                let (seen, lags) = walk(&mut slow);
                let (gone, kept) = (lags[0], capacity as u64);
                assert_eq!(lags.len(), 1, "capacity {capacity}");
                // First the number of missed events, then all kept events, and nothing else.
                assert_eq!(seen.len() as u64 + gone, published - next);
                assert_eq!(seen, numbers(published - kept..published), "capacity {capacity}");
                next = published;
            }
            let ledger = own(&slow);
            assert_eq!(ledger.delivered + ledger.dropped.evicted, next);
            books(&feed);
        }
    }
}

#[test]
fn returning_reader_gets_the_exact_lag() {
    for (left, published) in [(10, 64), (10, 74), (10, 75), (10, 1000), (500, 1000), (936, 1000), (999, 1000)]
    {
        for mut pen in journals(64) {
            let feed = pen.feed();
            let (before, left) = (left, Sequence::new(left));
            pen.all(0..before);
            let mut client = feed.subscribe(Start::Now).unwrap();
            assert_eq!(client.next_sequence(), left);
            drop(client);
            pen.all(before..published);
            client = feed.subscribe(Start::At(left)).unwrap();
            assert_eq!(client.behind(), published - before);
            let (seen, lags) = walk(&mut client);
            let gone: u64 = lags.iter().sum();
            assert!(lags.len() <= 1, "the lag is reported once");
            assert_eq!(seen, numbers(before + gone..published), "left at {left}");
            let kept = seen.len() as u64;
            assert!(kept >= (published - before).min(64), "kept events do not count as missed");
            assert_eq!(own(&client).dropped.evicted, gone);
            books(&feed);
        }
    }
}

#[test]
fn newest_policy_skips_the_whole_backlog() {
    for capacity in [1, 3, 64, 100] {
        for mut pen in journals(capacity) {
            let feed = pen.feed();
            let jumping = feed.subscription().start(Start::Oldest).on_lag(OnLag::Newest);
            let mut jumping = jumping.subscribe().unwrap();
            pen.all(0..1000);
            assert_eq!(missed(&mut jumping), 1000);
            assert_eq!(jumping.try_recv(), Err(TryRecvError::Empty));
            pen.publish(1000).unwrap();
            assert_eq!(places(&mut jumping), [1000]);
            let ledger = own(&jumping);
            assert_eq!((ledger.accepted, ledger.dropped.evicted, ledger.delivered), (1001, 1000, 1));
            books(&feed);
        }
    }
}

#[test]
fn end_on_lag_reports_the_lag_then_closes() {
    for on_lag in [OnLag::Oldest, OnLag::Newest] {
        for mut pen in journals(64) {
            let feed = pen.feed();
            let subscription = feed.subscription().start(Start::Oldest).on_lag(on_lag).end_on_lag();
            let mut strict = subscription.subscribe().unwrap();
            pen.all(0..64);
            assert_eq!(now(&mut strict), numbers(0..64), "without a lag the stream does not end");
            pen.all(64..1000);
            let gone = missed(&mut strict);
            assert_eq!(gone, if on_lag == OnLag::Oldest { 872 } else { 936 });
            own(&strict);
            assert_eq!(strict.recv(), Err(RecvError::Closed));
            assert_eq!(strict.try_recv(), Err(TryRecvError::Closed));
            assert_eq!(strict.try_recv_slice(), Err(TryRecvError::Closed));
            pen.publish(1000).unwrap();
            assert_eq!(strict.recv_timeout(crate::HOUR), Err(RecvTimeoutError::Closed));
            let state = strict.state();
            assert!(state.ended && state.behind == 0, "{state}");
            let ledger = own(&strict);
            assert_eq!((ledger.delivered, ledger.dropped.evicted), (64, gone));
            books(&feed);
        }
    }
}

#[test]
fn lag_does_not_end_a_closed_journals_stream() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut slow = feed.subscribe(Start::Now).unwrap();
        pen.all(0..200);
        pen.close();
        let first = missed(&mut slow);
        assert_eq!(slow.iter().map(|entry| event(entry).1).collect::<Vec<_>>(), numbers(first..200));
        assert_eq!(slow.recv(), Err(RecvError::Closed));
        books(&feed);
    }
}

#[test]
fn closed_journal_reports_lag_then_the_rest() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        pen.all(0..1000);
        pen.close();
        let mut client = feed.subscribe(Start::At(Sequence::new(10))).unwrap();
        assert_eq!(missed(&mut client), 926);
        assert_eq!(rest(&mut client), numbers(936..1000));
        let future = feed.subscribe(Start::At(Sequence::new(1001))).err();
        assert_eq!(future, Some(SubscribeError::Future { asked: 1001, next: 1000 }));
        let mut end = feed.subscribe(Start::At(Sequence::new(1000))).unwrap();
        assert_eq!(end.recv(), Err(RecvError::Closed));
    }
}

#[test]
fn every_read_method_reports_the_lag() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut six = [(); 6].map(|()| feed.subscribe(Start::Now).unwrap());
        pen.all(0..1000);
        let lagged = Some(Entry::Lagged(936));
        let [a, b, c, d, e, f] = &mut six;
        assert_eq!(a.recv().ok(), lagged);
        assert_eq!(b.recv_timeout(crate::HOUR).ok(), lagged);
        assert_eq!(c.try_recv_with(|_| 0).ok(), lagged);
        assert_eq!(d.recv_slice(), Ok(Entry::Lagged(936)));
        assert_eq!(e.iter().next(), lagged);
        assert_eq!(test_support::block_on(f.recv_async()).ok(), lagged);
        six.iter_mut().for_each(|one| assert_eq!(now(one), numbers(936..1000)));
        books(&feed);
    }
}

#[test]
fn lag_in_mid_block_includes_its_rest() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut slow = feed.subscribe(Start::Now).unwrap();
        pen.all(0..64);
        assert_eq!(slow.try_recv().map(event), Ok((0, 0)));
        pen.all(64..10_000);
        // The subscriber is in the first block, which was overwritten long ago.
        assert_eq!(missed(&mut slow), 10_000 - 64 - 1);
        assert_eq!(now(&mut slow), numbers(9936..10_000));
        books(&feed);
    }
}

#[test]
fn every_event_is_dropped_exactly_once() {
    for capacity in [1, 3, 64, 100] {
        for mut pen in journals(capacity) {
            let (feed, drops) = (pen.feed(), Drops::default());
            // These subscribers stall, each in one block.
            let mut still = [(); 2].map(|()| feed.subscribe(Start::Now).unwrap());
            assert!(pen.publish(drops.track(0)).is_ok());
            still.iter_mut().for_each(|one| assert!(one.try_recv_with(|_| ()).is_ok()));
            pen.all((1..1000).map(|id| drops.track(id)));
            let gone = drops.ids();
            assert!(gone.len() >= 1000 - capacity - 3 * 64, "{} gone, capacity {capacity}", gone.len());
            assert!(gone.windows(2).all(|pair| pair[0] < pair[1]), "each event is dropped once");
            drop((still, feed, pen));
            assert_eq!(drops.ids(), numbers(0..1000), "capacity {capacity}");
        }
    }
}

#[test]
fn a_subscriber_that_was_forgotten_harms_no_other() {
    let journal = Journal::new(64).unwrap();
    for round in 0..50 {
        let mut forgotten = journal.subscribe(Start::Oldest).unwrap();
        journal.publish(round).unwrap();
        assert!(forgotten.try_recv().is_ok());
        std::mem::forget(forgotten);
    }
    let mut reader = journal.subscribe(Start::Now).unwrap();
    for n in 0..5000 {
        journal.publish(n).unwrap();
        assert_eq!(reader.recv().unwrap().event(), Some(n));
    }
    assert_eq!(books(&journal.feed()).subscribers.len(), 51);
}
