//! The reads of a stalled subscriber: first the number of overwritten events, then the events that
//! are kept.

use crate::{Pen, books, event, forms, journals, now, numbers, own, rest, walk};
use buslane::error::RecvError;
use buslane::journal::{Entry, Feed, OnLag, Sequence, Start, Until};
use buslane::{Journal, Subscriber};
use std::time::Duration;
use test_support::block_on;

const BOTH: [OnLag; 2] = [OnLag::Oldest, OnLag::Newest];
const CAPACITIES: [usize; 7] = [1, 2, 3, 5, 64, 100, 200];

/// Returns a subscriber that has read the first `read` of `read + 1` events. It stalls inside a
/// block, unless the block is too small.
#[track_caller]
fn stalled(pen: &mut Pen<u64>, on_lag: OnLag, read: u64) -> Subscriber<u64> {
    let mut subscriber = pen.feed().subscription().on_lag(on_lag).subscribe().unwrap();
    let first = subscriber.next_sequence().get();
    for n in first..first + read {
        pen.all([n]);
        if n + 1 == first + read {
            pen.all([n + 1]);
        }
        assert_eq!(subscriber.try_recv().map(event), Ok((n, n)));
    }
    subscriber
}

/// Returns the first position that the ring still holds: that of its oldest block. The block that
/// is being written is only partly filled.
fn first_kept(feed: &Feed<u64>, capacity: usize) -> u64 {
    let (capacity, block) = (capacity as u64, 64.min(1 << capacity.ilog2()));
    let blocks = capacity.div_ceil(block) + 1;
    feed.next().get().div_ceil(block).saturating_sub(blocks) * block
}

#[test]
fn lag_comes_before_kept_events() {
    for on_lag in BOTH {
        for capacity in CAPACITIES {
            for more in [1, 2, 63, 64, 65, 127, 128, 129, 192, 200, 300, 1000] {
                for mut pen in journals(capacity) {
                    let feed = pen.feed();
                    let mut slow = stalled(&mut pen, on_lag, 1);
                    let next = feed.next().get();
                    pen.all(next..next + more);
                    let end = next + more;
                    let (kept, oldest) = (first_kept(&feed, capacity), feed.oldest().get());
                    let (seen, lags) = walk(&mut slow);
                    let first = match on_lag {
                        _ if kept <= 1 => 1,
                        OnLag::Oldest => oldest,
                        OnLag::Newest => end,
                        other => unreachable!("{other:?}"),
                    };
                    let told = if kept <= 1 { vec![] } else { vec![first - 1] };
                    let case = format!("{on_lag:?}, capacity {capacity}, {more} more");
                    assert_eq!((seen, lags), (numbers(first..end), told), "{case}");
                    assert_eq!(own(&slow).dropped.evicted, if kept <= 1 { 0 } else { first - 1 }, "{case}");
                    books(&feed);
                }
            }
        }
    }
}

#[test]
fn every_read_method_reports_the_lag_first() {
    type Read = fn(&mut Subscriber<u64>) -> Option<Entry<u64>>;
    let ways: [(&str, Read); 11] = [
        ("recv", |slow| slow.recv().ok()),
        ("try_recv", |slow| slow.try_recv().ok()),
        ("try_recv_with", |slow| slow.try_recv_with(|n| *n).ok()),
        ("recv_timeout", |slow| slow.recv_timeout(crate::HOUR).ok()),
        ("recv_timeout of zero", |slow| slow.recv_timeout(Duration::ZERO).ok()),
        ("recv_deadline", |slow| slow.recv_deadline(std::time::Instant::now()).ok()),
        ("iter", |slow| slow.iter().next()),
        ("try_iter", |slow| slow.try_iter().next()),
        ("recv_async", |slow| block_on(slow.recv_async()).ok()),
        ("recv_slice", |slow| slow.recv_slice().ok().map(first_of)),
        ("try_recv_slice", |slow| slow.try_recv_slice().ok().map(first_of)),
    ];
    for on_lag in BOTH {
        for read in [1, 5, 62] {
            for mut pen in journals(64) {
                let feed = pen.feed();
                let first = |slow: &Subscriber<u64>| slow.next_sequence().get();
                let mut slow: Vec<_> = ways.map(|_| stalled_at(&mut pen, on_lag, read)).into();
                let end = feed.next().get() + 1000;
                pen.all(feed.next().get()..end);
                let goes_on = if on_lag == OnLag::Oldest { end - 64 } else { end };
                for ((way, take), slow) in ways.iter().zip(&mut slow) {
                    let missed = goes_on - first(slow);
                    assert_eq!(take(slow), Some(Entry::Lagged(missed)), "{way}, {on_lag:?}, {read} read");
                    assert_eq!(now(slow), numbers(goes_on..end), "{way}, {on_lag:?}, {read} read");
                }
                books(&feed);
            }
        }
    }

    fn first_of(entry: Entry<&[u64]>) -> Entry<u64> {
        match entry {
            Entry::Event(sequence, batch) => Entry::Event(sequence, batch[0]),
            Entry::Lagged(missed) => Entry::Lagged(missed),
            other => panic!("{other:?}"),
        }
    }

    fn stalled_at(pen: &mut Pen<u64>, on_lag: OnLag, read: u64) -> Subscriber<u64> {
        // Each subscriber stalls in a different block.
        let next = pen.feed().next().get();
        pen.all(next..next.next_multiple_of(64));
        stalled(pen, on_lag, read)
    }
}

#[test]
fn stalled_subscriber_sees_what_a_new_one_sees_there() {
    for on_lag in BOTH {
        for capacity in CAPACITIES {
            for mut pen in journals(capacity) {
                let feed = pen.feed();
                for (read, more) in [(1, 10), (1, 70), (30, 100), (1, 128), (60, 150), (7, 999)] {
                    let mut old = stalled(&mut pen, on_lag, read);
                    let next = feed.next().get();
                    pen.all(next..next + more);
                    let here = Start::At(old.next_sequence());
                    let mut new = feed.subscription().start(here).on_lag(on_lag).subscribe().unwrap();
                    assert_eq!(walk(&mut old), walk(&mut new), "{on_lag:?}, capacity {capacity}");
                }
            }
        }
    }
}

#[test]
fn batch_in_hand_stays_whole_and_the_lag_follows() {
    for on_lag in BOTH {
        for mut pen in forms(|| Journal::builder().capacity(64)) {
            let feed = pen.feed();
            let mut slow = feed.subscription().on_lag(on_lag).subscribe().unwrap();
            pen.all((0..10).map(|n: u64| n.to_string()));
            let Ok(Entry::Event(_, batch)) = slow.try_recv_slice() else {
                panic!("the read returned no batch")
            };
            pen.all((10..1000).map(|n: u64| n.to_string()));
            assert_eq!(batch, (0..10).map(|n: u64| n.to_string()).collect::<Vec<_>>());
            let goes_on = if on_lag == OnLag::Oldest { 936 } else { 1000 };
            assert_eq!(slow.try_recv_slice(), Ok(Entry::Lagged(goes_on - 10)));
            let left: Vec<_> = slow.try_iter().filter_map(Entry::event).collect();
            assert_eq!(left, (goes_on..1000).map(|n| n.to_string()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn lag_comes_first_with_a_filter_and_with_an_end() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let settings = || feed.subscription().on_lag(OnLag::Oldest);
        let mut even = settings().filter(|n| n % 2 == 0).subscribe().unwrap();
        let mut bounded = settings().until(Until::Sequence(Sequence::new(990))).subscribe().unwrap();
        let mut strict = settings().end_on_lag().subscribe().unwrap();
        pen.all(0..40);
        for one in [&mut even, &mut bounded, &mut strict] {
            assert_eq!(one.try_recv().map(event), Ok((0, 0)));
        }
        pen.all(40..1000);
        assert_eq!(even.try_recv(), Ok(Entry::Lagged(935)));
        assert_eq!(now(&mut even), (936..1000).step_by(2).collect::<Vec<_>>());
        assert_eq!(bounded.recv(), Ok(Entry::Lagged(935)));
        assert_eq!(rest(&mut bounded), numbers(936..991));
        assert_eq!(strict.recv(), Ok(Entry::Lagged(935)));
        assert_eq!(strict.recv(), Err(RecvError::Closed));
        books(&feed);
    }
}

#[test]
fn lag_comes_first_on_a_closed_journal() {
    for on_lag in BOTH {
        for mut pen in journals(64) {
            let feed = pen.feed();
            let mut slow = stalled(&mut pen, on_lag, 3);
            pen.all(4..500);
            pen.close();
            let goes_on = if on_lag == OnLag::Oldest { 436 } else { 500 };
            assert_eq!(slow.recv(), Ok(Entry::Lagged(goes_on - 3)));
            assert_eq!(rest(&mut slow), numbers(goes_on..500));
            books(&feed);
        }
    }
}

#[test]
fn subscriber_that_was_not_overtaken_misses_nothing() {
    // The subscriber's block is the oldest in the ring, which holds more events than its capacity
    // guarantees.
    for on_lag in BOTH {
        for mut pen in journals(64) {
            let mut slow = stalled(&mut pen, on_lag, 1);
            pen.all(2..128);
            assert!(pen.feed().oldest().get() > 1);
            assert_eq!(walk(&mut slow), (numbers(1..128), vec![]));
        }
    }
}

#[test]
fn each_stall_reports_its_own_lag() {
    for on_lag in BOTH {
        for mut pen in journals(64) {
            let feed = pen.feed();
            let mut slow = feed.subscription().on_lag(on_lag).subscribe().unwrap();
            for round in 0..20_u64 {
                let next = feed.next().get();
                pen.all(next..next + 20);
                assert_eq!(slow.try_recv().map(event), Ok((next, next)));
                pen.all(next + 20..next + 300 + round);
                let end = next + 300 + round;
                let goes_on = if on_lag == OnLag::Oldest { end - 64 } else { end };
                assert_eq!(walk(&mut slow), (numbers(goes_on..end), vec![goes_on - next - 1]), "{round}");
            }
            books(&feed);
        }
    }
}
