//! Start and end of a subscriber by time: exact for the events' own times. With sampled times, the
//! start is never late, the end is never early, and each is off by at most a block.

use crate::{HOUR, Pen, books, event, forms, now, own, places, rest};
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::journal::{Entry, Feed, Sequence, Start, Until};
use buslane::{Journal, Subscriber, WaitStrategy};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use test_support::{Log, ends, wait_for};

/// The largest number of events in a block.
const BLOCK: u64 = 64;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Returns journals whose events are their own times.
fn timed(capacity: usize) -> [Pen<SystemTime>; 2] {
    forms(|| Journal::builder().capacity(capacity).time_by(|time: &SystemTime| *time))
}

/// Returns a subscriber to the events between two times.
fn between<E: Send + Sync>(feed: &Feed<E>, since: SystemTime, until: SystemTime) -> Subscriber<E> {
    feed.subscription().start(Start::Since(since)).until(Until::Time(until)).subscribe().unwrap()
}

/// Returns a time that is later than all earlier ones.
fn next_moment() -> SystemTime {
    let before = SystemTime::now();
    wait_for(|| SystemTime::now() > before);
    SystemTime::now()
}

#[test]
fn own_times_bound_the_history_exactly() {
    for mut pen in timed(64) {
        pen.all((0..20).map(at));
        for (since, until) in [(0, 19), (3, 7), (7, 7), (19, 19), (0, 0)] {
            let expected: Vec<_> = (since..=until).map(at).collect();
            assert_eq!(rest(&mut between(&pen.feed(), at(since), at(until))), expected);
        }
        assert_eq!(rest(&mut between(&pen.feed(), at(20), at(30))), []);
    }
}

#[test]
fn live_events_ignore_the_start_time() {
    for mut pen in timed(64) {
        pen.all([1, 5, 3].map(at));
        let mut since = pen.feed().subscribe(Start::Since(at(4))).unwrap();
        assert_eq!(now(&mut since), [at(5)]);
        // As in moby, the start time does not apply to live events, whatever their times.
        pen.all([2, 6].map(at));
        assert_eq!(now(&mut since), [at(2), at(6)]);
        let ledger = own(&since);
        assert_eq!((ledger.delivered, ledger.filtered), (3, 2));
    }
}

#[test]
fn first_live_event_after_the_end_ends_the_reader() {
    for mut pen in timed(64) {
        let (now_, feed) = (SystemTime::now(), pen.feed());
        let later = |hours: u32| now_ + HOUR * hours;
        pen.all([later(1), later(9), later(2)]);
        let mut until = between(&feed, later(1), later(5));
        // Of the events in the history, later ones are left out.
        assert_eq!(now(&mut until), [later(1), later(2)]);
        assert_eq!(until.try_recv(), Err(TryRecvError::Empty), "the stream has not ended");
        pen.all([later(5), later(3), later(6), later(4)]);
        let seen = ends(move || (rest(&mut until), until));
        assert_eq!(seen.0, [later(5), later(3)]);
        let state = seen.1.state();
        assert!(state.ended && own(&seen.1).filtered == 1, "{state}");
        books(&feed);
    }
}

#[test]
fn a_reader_that_waits_is_not_kept_beyond_its_time() {
    for wait in crate::STRATEGIES {
        for mut pen in timed(64) {
            let feed = pen.feed();
            let over = SystemTime::now() + Duration::from_millis(20);
            let subscription =
                feed.subscription().start(Start::Oldest).wait_strategy(wait).until(Until::Time(over));
            let mut until = subscription.subscribe().unwrap();
            pen.publish(over).unwrap();
            let reader = thread::spawn(move || (until.recv(), until.recv(), SystemTime::now()));
            let (first, end, when) = ends(move || reader.join().unwrap());
            assert_eq!((first, end), (Ok(Entry::Event(Sequence::new(0), over)), Err(RecvError::Closed)));
            assert!(when > over, "{wait:?}: the stream ended before its time");
        }
    }
}

#[test]
fn each_read_method_ends_when_the_time_is_over() {
    for mut pen in timed(64) {
        let feed = pen.feed();
        pen.all([1, 2, 9].map(at));
        let mut batches = between(&feed, at(1), at(5));
        assert_eq!(batches.recv_slice(), Ok(Entry::Event(Sequence::new(0), &[at(1), at(2)][..])));
        assert_eq!(batches.recv_slice(), Err(RecvError::Closed));
        assert_eq!(batches.try_recv_slice(), Err(TryRecvError::Closed));
        let mut timed = between(&feed, at(1), at(5));
        assert_eq!(timed.recv_timeout(HOUR).map(event), Ok((0, at(1))));
        assert_eq!(timed.iter().count(), 1);
        assert_eq!(timed.recv_timeout(HOUR), Err(RecvTimeoutError::Closed));
        let mut task = between(&feed, at(3), at(5));
        assert_eq!(test_support::block_on(task.recv_async()), Err(RecvError::Closed));
    }
}

#[test]
fn time_function_runs_only_on_timed_subscribers() {
    let asked = Log::new();
    let log = asked.clone();
    let make = || {
        let log = log.clone();
        Journal::builder().capacity(64).time_by(move |n: &u64| {
            log.push((*n, thread::current().id()));
            at(*n)
        })
    };
    for mut pen in forms(make) {
        let (before, feed) = (asked.entries().len(), pen.feed());
        let mut plain = feed.subscribe(Start::Oldest).unwrap();
        let mut since = feed.subscribe(Start::Since(at(5))).unwrap();
        thread::scope(|scope| scope.spawn(|| pen.all(0..10)).join().unwrap());
        assert_eq!(now(&mut plain).len(), 10);
        assert_eq!(
            asked.entries().len(),
            before,
            "a publish, or a subscriber without times, called the time function"
        );
        // All events are live, so all of them are read.
        assert_eq!(now(&mut since).len(), 10);
        let mut again = feed.subscribe(Start::Since(at(5))).unwrap();
        assert_eq!(now(&mut again), [5, 6, 7, 8, 9]);
        let entries = asked.entries();
        assert!(entries.iter().skip(before).all(|(_, thread)| *thread == thread::current().id()));
    }
}

#[test]
fn panicking_time_function_costs_only_its_event() {
    let make = || {
        Journal::builder().capacity(64).time_by(|n: &u64| {
            assert_ne!(*n, 3, "panic requested by the test");
            at(*n)
        })
    };
    for mut pen in forms(make) {
        pen.all(0..6);
        let mut since = pen.feed().subscribe(Start::Since(at(2))).unwrap();
        let seen: Vec<_> = since.try_iter().collect();
        let place = Sequence::new;
        let expected = [2, 4, 5].map(|n| Entry::Event(place(n), n));
        assert_eq!(seen, [&expected[..1], &[Entry::Panicked(place(3))], &expected[1..]].concat());
        assert_eq!(own(&since).dropped.panicked, 1);
    }
}

/// Positions, each with a time before its event.
type Moments = Vec<(u64, SystemTime)>;

/// Returns journals with this many events, and a time at every `step` events and after the last.
fn sampled(capacity: usize, events: u64, step: u64) -> [(Pen<u64>, Moments); 2] {
    let publish = |mut pen: Pen<u64>| {
        let mut moments = Moments::new();
        for n in 0..events {
            if n % step == 0 {
                moments.push((n, next_moment()));
                next_moment();
            }
            pen.publish(n).unwrap();
        }
        moments.push((events, next_moment()));
        next_moment();
        (pen, moments)
    };
    forms(|| Journal::builder().capacity(capacity).sample_time()).map(publish)
}

#[test]
fn sampled_times_start_at_most_a_block_early() {
    for (capacity, events, step) in [(1, 20, 1), (3, 30, 1), (64, 300, 7), (100, 500, 13), (1024, 3000, 61)] {
        for (pen, moments) in sampled(capacity, events, step) {
            let feed = pen.feed();
            let block = BLOCK.min(1 << capacity.ilog2());
            for (place, moment) in moments {
                let mut since = feed.subscribe(Start::Since(moment)).unwrap();
                let first = since.next_sequence().get();
                let oldest = events.saturating_sub(capacity as u64);
                assert!(first <= place.max(oldest), "{first} for {place}, capacity {capacity}");
                assert!(first + block >= place, "{first} for {place}, capacity {capacity}");
                assert_eq!(places(&mut since), (first..events).collect::<Vec<_>>());
            }
            let mut all = feed.subscribe(Start::Since(UNIX_EPOCH - HOUR)).unwrap();
            assert_eq!(now(&mut all).len(), capacity.min(events as usize));
            books(&feed);
        }
    }
}

#[test]
fn sampled_times_end_at_most_a_block_late() {
    for (capacity, events, step) in [(1, 20, 1), (3, 30, 1), (64, 300, 7), (1024, 3000, 61)] {
        for (pen, moments) in sampled(capacity, events, step) {
            let feed = pen.feed();
            let block = BLOCK.min(1 << capacity.ilog2());
            let oldest = events.saturating_sub(capacity as u64);
            for (place, moment) in moments {
                let until = feed.subscription().start(Start::Oldest).until(Until::Time(moment));
                let mut until = until.subscribe().unwrap();
                let seen = rest(&mut until);
                let end = until.next_sequence().get();
                assert_eq!(seen, (oldest..end.max(oldest)).collect::<Vec<_>>());
                assert!(end >= place.max(oldest).min(events), "{end} for {place}, capacity {capacity}");
                assert!(end < place.max(oldest) + block, "{end} for {place}, capacity {capacity}");
                assert!(until.state().ended);
                own(&until);
            }
        }
    }
}

#[test]
fn sampled_times_that_lie_ahead_bound_nothing_yet() {
    for mut pen in forms(|| Journal::builder().capacity(64).sample_time()) {
        let (feed, later) = (pen.feed(), SystemTime::now() + HOUR);
        pen.all(0..10);
        let until = feed.subscription().start(Start::Oldest).until(Until::Time(later));
        let mut until = until.wait_strategy(WaitStrategy::Park).subscribe().unwrap();
        assert_eq!(now(&mut until).len(), 10);
        let reader = thread::spawn(move || (until.recv().map(event), until.recv()));
        pen.publish(10).unwrap();
        pen.close();
        assert_eq!(ends(move || reader.join().unwrap()), (Ok((10, 10)), Err(RecvError::Closed)));
        // There is no event of that time: the events of its block are read, and later ones.
        let ahead = feed.subscribe(Start::Since(later)).unwrap();
        assert!(ahead.behind() <= BLOCK);
    }
}
