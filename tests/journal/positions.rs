//! The positions at which a subscriber begins and ends, and invalid settings.

use crate::{books, forms, journals, now, numbers, own, places, rest, walk};
use buslane::error::{BuildError, ConfigErrorKind, OutOfMemory, SubscribeError};
use buslane::error::{RecvError, TryRecvError};
use buslane::journal::{Entry, Sequence, Start, Until};
use buslane::ring::MAX_CAPACITY;
use buslane::{Journal, WaitStrategy};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use test_support::{ends, invalid};

const CAPACITIES: [usize; 9] = [1, 2, 3, 5, 63, 64, 65, 100, 1000];

#[test]
fn invalid_settings_are_typed_errors() {
    assert_eq!(invalid(Journal::<u8>::new(0)), ConfigErrorKind::Capacity);
    assert_eq!(invalid(Journal::<u8>::single(0)), ConfigErrorKind::Capacity);
    assert_eq!(invalid(Journal::<u8>::builder().capacity(0).build_single()), ConfigErrorKind::Capacity);
    assert_eq!(invalid(Journal::<u8>::new(MAX_CAPACITY + 1)), ConfigErrorKind::Capacity);
    assert_eq!(invalid(Journal::<u8>::new(usize::MAX)), ConfigErrorKind::Capacity);
    let error = BuildError::OutOfMemory(OutOfMemory::new(MAX_CAPACITY));
    assert_eq!(Journal::<[u8; 1 << 20]>::new(MAX_CAPACITY).err(), Some(error));
}

#[test]
fn future_position_is_refused_and_the_next_is_not() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        pen.all(0..10);
        for asked in [11, 12, 1000, u64::MAX] {
            let refused = feed.subscribe(Start::At(Sequence::new(asked))).err();
            assert_eq!(refused, Some(SubscribeError::Future { asked, next: 10 }));
        }
        let mut next = feed.subscribe(Start::At(feed.next())).unwrap();
        assert_eq!(next.try_recv(), Err(TryRecvError::Empty));
        pen.publish(10).unwrap();
        assert_eq!(now(&mut next), [10]);
        assert_eq!(books(&feed).subscribers.len(), 1, "refused subscriptions leave no subscriber");
    }
}

#[test]
fn last_sequence_is_its_own_successor() {
    assert_eq!(Sequence::new(u64::MAX).next(), Sequence::new(u64::MAX));
    assert_eq!(Sequence::new(7).next().to_string(), "8");
    assert_eq!(Sequence::default().get(), 0);
}

#[test]
fn an_end_before_the_beginning_is_refused() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        pen.all(0..10);
        let to = |last| Until::Sequence(Sequence::new(last));
        let at = |first| feed.subscription().start(Start::At(Sequence::new(first)));
        let error = SubscribeError::Inverted { first: 5, last: 4 };
        assert_eq!(at(5).until(to(4)).subscribe().err(), Some(error));
        assert_eq!(now(&mut at(5).until(to(5)).subscribe().unwrap()), [5]);
        // If only the journal can determine the start, the subscriber is at its end at once.
        let mut over = feed.subscription().until(to(4)).subscribe().unwrap();
        assert_eq!(over.recv(), Err(RecvError::Closed));
        assert_eq!(own(&over).accepted, 0);
        books(&feed);
    }
}

#[test]
fn time_bounds_without_event_times_are_refused() {
    for pen in journals::<u64>(64) {
        let (feed, time) = (pen.feed(), SystemTime::now());
        assert_eq!(feed.subscribe(Start::Since(time)).err(), Some(SubscribeError::NoTime));
        let until = feed.subscription().until(Until::Time(time));
        assert_eq!(until.subscribe().err(), Some(SubscribeError::NoTime));
        assert_eq!(books(&feed).subscribers.len(), 0);
    }
}

#[test]
fn invalid_wait_strategy_is_refused() {
    let feed = Journal::<u64>::new(64).unwrap().feed();
    let refused = |wait| invalid(feed.subscription().wait_strategy(wait).subscribe());
    let zero = Duration::ZERO;
    let error = ConfigErrorKind::Interval;
    assert_eq!(refused(WaitStrategy::Nap { nap: zero, park_after: Duration::MAX }), error);
    assert_eq!(refused(WaitStrategy::Poll { busy: zero, idle: Duration::MAX }), error);
    let (busy, idle) = (Duration::from_secs(2), Duration::from_secs(1));
    assert_eq!(refused(WaitStrategy::Poll { busy, idle }), error);
    assert_eq!(feed.state().subscribers.len(), 0);
}

#[test]
fn error_texts_name_the_invalid_values() {
    let at = |seconds, millis| UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis);
    let texts = [
        SubscribeError::Future { asked: 7, next: 3 }.to_string(),
        SubscribeError::Inverted { first: 7, last: 3 }.to_string(),
        SubscribeError::InvertedTime { since: at(1_700_000_007, 50), until: at(3, 0) }.to_string(),
        SubscribeError::InvertedTime { since: at(0, 0), until: at(0, 0) - Duration::from_millis(2500) }
            .to_string(),
        SubscribeError::NoTime.to_string(),
        SubscribeError::from(OutOfMemory::new(64)).to_string(),
        SubscribeError::TooManyReaders { most: 64 }.to_string(),
    ];
    assert!(texts[0].contains('7') && texts[0].contains('3'), "{texts:?}");
    assert_eq!(texts[1], "last sequence 3 is invalid: it must be at least the first sequence 7");
    let time = |end, start| {
        format!("end time {end} is invalid: it must be at least the start time {start} (Unix time)")
    };
    assert_eq!(texts[2..4], [time("3", "1700000007.05"), time("-2.5", "0")]);
    assert!(texts.iter().all(|text| text.len() > 10 && !text.ends_with('.')), "{texts:?}");
}

#[test]
fn every_start_reads_history_then_live_events() {
    for capacity in CAPACITIES {
        for published in [0, 1, capacity as u64, 3 * capacity as u64 + 1] {
            for mut pen in journals(capacity) {
                let feed = pen.feed();
                pen.all(0..published);
                let oldest = published.saturating_sub(capacity as u64);
                assert_eq!((feed.oldest().get(), feed.next().get()), (oldest, published));
                let last = |count: u64| published.saturating_sub(count).max(oldest);
                let starts = [
                    (Start::Now, published),
                    (Start::Oldest, oldest),
                    (Start::Last(0), published),
                    (Start::Last(1), last(1)),
                    (Start::Last(2), last(2)),
                    (Start::Last(usize::MAX), oldest),
                    (Start::At(feed.oldest()), oldest),
                    (Start::At(feed.next()), published),
                ];
                let mut subscribers = starts.map(|(start, first)| {
                    let mut subscriber = feed.subscribe(start).unwrap();
                    assert_eq!(subscriber.next_sequence().get(), first, "{start:?}, capacity {capacity}");
                    assert_eq!(subscriber.behind(), published - first);
                    assert_eq!(now(&mut subscriber), numbers(first..published), "{start:?}");
                    subscriber
                });
                pen.publish(published).unwrap();
                for subscriber in &mut subscribers {
                    assert_eq!(places(subscriber), [published]);
                    own(subscriber);
                }
                books(&feed);
            }
        }
    }
}

#[test]
fn journal_keeps_capacity_plus_at_most_two_blocks() {
    for capacity in CAPACITIES {
        for published in [2 * capacity as u64 + 200, 1023, 1024, 1025] {
            for mut pen in journals(capacity) {
                let feed = pen.feed();
                pen.all(0..published);
                let kept = (0..published).filter(|place| {
                    let mut at = feed.subscribe(Start::At(Sequence::new(*place))).unwrap();
                    matches!(at.try_recv(), Ok(Entry::Event(..)))
                });
                let (kept, least) = (kept.count() as u64, published.min(capacity as u64));
                assert!((least..=least + 127).contains(&kept), "{kept} of {published}, capacity {capacity}");
            }
        }
    }
}

#[test]
fn subscriber_ends_after_its_until_position() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        pen.all(0..10);
        let until = |last| feed.subscription().until(Until::Sequence(Sequence::new(last)));
        let mut history = until(6).start(Start::At(Sequence::new(4))).subscribe().unwrap();
        assert_eq!(rest(&mut history), [4, 5, 6]);
        assert_eq!((history.recv(), history.try_recv()), (Err(RecvError::Closed), Err(TryRecvError::Closed)));
        let mut live = until(12).subscribe().unwrap();
        assert_eq!(live.try_recv(), Err(TryRecvError::Empty));
        pen.all(10..20);
        let (seen, live) = ends(move || (rest(&mut live), live));
        assert_eq!(seen, [10, 11, 12]);
        let mut never = until(u64::MAX).subscribe().unwrap();
        assert_eq!(never.try_recv(), Err(TryRecvError::Empty));
        // Events after its end do not count for a subscriber.
        for subscriber in [&history, &live] {
            let state = subscriber.state();
            assert!(state.ended, "{state}");
            assert_eq!((state.behind, own(subscriber).accepted), (0, 3));
        }
        drop(pen);
        assert_eq!(never.try_recv(), Err(TryRecvError::Closed));
        books(&feed);
    }
}

#[test]
fn close_ends_a_subscriber_before_its_end() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        pen.all(0..3);
        let until = feed.subscription().start(Start::Oldest).until(Until::Sequence(Sequence::new(10)));
        let mut subscriber = until.subscribe().unwrap();
        pen.close();
        assert_eq!(rest(&mut subscriber), [0, 1, 2]);
        assert_eq!(own(&subscriber).delivered, 3);
    }
}

#[test]
fn overwritten_end_still_ends_the_subscriber() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let until = feed.subscription().start(Start::Oldest).until(Until::Sequence(Sequence::new(10)));
        let mut subscriber = until.subscribe().unwrap();
        pen.all(0..1000);
        let missed = subscriber.recv();
        assert!(matches!(missed, Ok(Entry::Lagged(_))), "{missed:?}");
        assert_eq!(subscriber.recv(), Err(RecvError::Closed));
        let ledger = own(&subscriber);
        assert_eq!((ledger.delivered, ledger.pending), (0, 0));
        books(&feed);
    }
}

#[test]
fn zero_sized_events_have_positions() {
    for capacity in [1, 3, 64, 1000] {
        for mut pen in forms(|| Journal::builder().capacity(capacity)) {
            let feed = pen.feed();
            let mut all = feed.subscribe(Start::Oldest).unwrap();
            (0..capacity).for_each(|_| assert!(pen.publish(()).is_ok()));
            assert_eq!(places(&mut all), numbers(0..capacity as u64));
            pen.batch(vec![(); 5000]);
            let (seen, lags) = walk(&mut all);
            assert_eq!((seen.len() as u64 + lags[0], lags.len()), (5000, 1));
            books(&feed);
        }
    }
}

#[test]
fn subscriber_limit_is_max_readers_of_a_block() {
    const MOST: usize = buslane::ring::blocks::MAX_READERS;
    let journal = Journal::<()>::new(1).unwrap();
    let mut subscribers: Vec<_> = (0..MOST).map(|_| journal.subscribe(Start::Now).unwrap()).collect();
    let refused = journal.subscribe(Start::Now).err();
    assert_eq!(refused, Some(SubscribeError::TooManyReaders { most: MOST }));
    // All subscribers hold the first event when it is overwritten.
    journal.publish(()).unwrap();
    assert!(subscribers.iter_mut().all(|subscriber| subscriber.try_recv_slice().is_ok()));
    journal.publish_batch(vec![(); 10]).unwrap();
    drop(subscribers.pop());
    assert!(journal.subscribe(Start::Now).is_ok());
    assert_eq!(journal.state().subscribers.len(), MOST - 1);
    // Each drop searches the list of subscribers, so dropping all of them is too slow.
    std::mem::forget(subscribers);
}
