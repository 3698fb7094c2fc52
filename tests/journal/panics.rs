//! User code that panics: the clone or drop of an event, a filter, a read callback, a waker. The
//! panic is reported to its owner, and affects no other thread.

use crate::{books, event, journals, now, numbers, own, walk};
use buslane::Journal;
use buslane::error::TryRecvError;
use buslane::journal::{Entry, Sequence, Start};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use test_support::lock;

thread_local! {
    /// Whether clones of fragile events panic on this thread.
    static CLONES_PANIC: Cell<bool> = const { Cell::new(false) };
}

/// An event whose clone panics on this thread if enabled, for every fifth number.
#[derive(Debug, PartialEq, Eq)]
struct Fragile(u64);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        let panics = CLONES_PANIC.get() && self.0.is_multiple_of(5);
        assert!(!panics, "panic requested by the test");
        Self(self.0)
    }
}

#[test]
fn panicking_clone_costs_only_its_subscribers_event() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut one = feed.subscribe(Start::Now).unwrap();
        let mut other = feed.subscribe(Start::Now).unwrap();
        pen.all((0..12).map(Fragile));
        CLONES_PANIC.set(true);
        let seen: Vec<_> = one.try_iter().collect();
        // A read in place clones no event.
        let again: Vec<u64> = {
            let mut in_place = feed.subscribe(Start::Oldest).unwrap();
            let look = |fragile: &Fragile| fragile.0;
            std::iter::from_fn(|| in_place.try_recv_with(look).ok()).map(|entry| event(entry).1).collect()
        };
        CLONES_PANIC.set(false);
        let expected = (0..12).map(|n| match n % 5 {
            0 => Entry::Panicked(Sequence::new(n)),
            _ => Entry::Event(Sequence::new(n), Fragile(n)),
        });
        assert_eq!(seen, expected.collect::<Vec<_>>());
        assert_eq!(again, numbers(0..12));
        assert_eq!(now(&mut other), (0..12).map(Fragile).collect::<Vec<_>>());
        let ledger = own(&one);
        assert_eq!((ledger.delivered, ledger.dropped.panicked), (9, 3));
        assert_eq!(own(&other).dropped.panicked, 0);
        books(&feed);
    }
}

#[test]
fn every_read_method_reports_a_panicked_clone() {
    for mut pen in journals(64) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        pen.all([0, 5, 10, 15, 20].map(Fragile));
        CLONES_PANIC.set(true);
        let seen = [
            reader.recv().unwrap(),
            reader.try_recv().unwrap(),
            reader.recv_timeout(crate::HOUR).unwrap(),
            test_support::block_on(reader.recv_async()).unwrap(),
            reader.iter().next().unwrap(),
        ];
        CLONES_PANIC.set(false);
        assert_eq!(seen, [0, 1, 2, 3, 4].map(|place| Entry::Panicked(Sequence::new(place))));
        assert_eq!(own(&reader).dropped.panicked, 5);
        assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn panicking_read_callback_costs_its_event() {
    for mut pen in journals(64) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        pen.all(0..3_u64);
        let look = |n: &u64| {
            assert_ne!(*n, 1, "panic requested by the test");
            *n
        };
        let seen = [(); 3].map(|()| reader.try_recv_with(look).unwrap());
        let place = Sequence::new;
        assert_eq!(seen, [Entry::Event(place(0), 0), Entry::Panicked(place(1)), Entry::Event(place(2), 2)]);
        assert_eq!(own(&reader).dropped.panicked, 1);
    }
}

#[test]
fn panicking_filter_costs_one_event_only() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let picky = feed.subscription().filter(move |n: &u64| {
            lock(&log).push(*n);
            assert_ne!(n % 4, 2, "panic requested by the test");
            true
        });
        let mut picky = picky.subscribe().unwrap();
        pen.all(0..8);
        assert_eq!(picky.try_recv_slice().map(event), Ok((0, &[0, 1][..])));
        assert_eq!(picky.try_recv_slice(), Ok(Entry::Panicked(Sequence::new(2))));
        assert_eq!(picky.recv().map(event), Ok((3, 3)));
        assert_eq!(picky.try_recv_slice().map(event), Ok((4, &[4, 5][..])));
        assert_eq!(picky.recv(), Ok(Entry::Panicked(Sequence::new(6))));
        assert_eq!(now(&mut picky), [7]);
        assert_eq!(*lock(&asked), numbers(0..8));
        let ledger = own(&picky);
        assert_eq!((ledger.delivered, ledger.dropped.panicked), (6, 2));
        books(&feed);
    }
}

/// A value that counts how many exist, and panics in its drop if armed.
struct Bomb {
    id: u64,
    armed: bool,
    alive: Arc<Mutex<i64>>,
}

impl Bomb {
    fn new(id: u64, armed: bool, alive: &Arc<Mutex<i64>>) -> Self {
        *lock(alive) += 1;
        Self { id, armed, alive: alive.clone() }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        *lock(&self.alive) -= 1;
        // A second panic during unwinding would abort the process.
        assert!(!self.armed, "panic requested by the test");
    }
}

/// Returns whether the call panics.
fn panics(call: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

#[test]
fn event_is_published_when_an_overwritten_drop_panics() {
    for mut pen in journals(4) {
        let (feed, alive) = (pen.feed(), Arc::default());
        let mut reader = feed.subscribe(Start::Now).unwrap();
        let mut seen = Vec::new();
        for id in 0..100 {
            let bomb = Bomb::new(id, id % 3 == 0, &alive);
            assert!(pen.publish(bomb).is_ok());
            assert_eq!(feed.next().get(), id + 1, "the event is published despite the panic");
            seen.extend(reader.try_recv_with(|bomb| bomb.id).unwrap().event());
        }
        assert_eq!(seen, numbers(0..100));
        assert_eq!(own(&reader).delivered, 100);
        books(&feed);
        drop((pen, feed, reader));
        assert_eq!(*lock(&alive), 0);
    }
}

#[test]
fn spare_and_overwritten_drops_may_both_panic() {
    for mut pen in journals(4) {
        let (feed, alive) = (pen.feed(), Arc::default());
        // Each subscriber stalls in a block. The publisher replaces the full block, and gets it
        // back when the subscriber continues.
        let mut still = [(); 3].map(|()| feed.subscribe(Start::Now).unwrap());
        for id in 0..400 {
            let bomb = Bomb::new(id, true, &alive);
            assert!(pen.publish(bomb).is_ok());
            assert_eq!(feed.next().get(), id + 1);
            let reader = &mut still[id as usize % 3];
            if id % 7 == 0 {
                while reader.try_recv_with(|_| ()).is_ok() {}
            }
        }
        assert!(still.iter().all(|reader| own(reader).accepted == 400));
        books(&feed);
        drop((pen, feed, still));
        assert_eq!(*lock(&alive), 0);
    }
}

#[test]
fn batch_is_published_when_overwritten_drops_panic() {
    let alive = Arc::default();
    let journal = Journal::new(4).unwrap();
    let bombs =
        |range: std::ops::Range<u64>, armed| range.map(|id| Bomb::new(id, armed, &alive)).collect::<Vec<_>>();
    assert_eq!(journal.publish_batch(bombs(0..5, true)).map(Sequence::get).ok(), Some(0));
    assert!(journal.publish_batch(bombs(5..25, true)).is_ok());
    assert_eq!(journal.feed().next().get(), 25);
    let mut newest = journal.subscribe(Start::Oldest).unwrap();
    let ids = std::iter::from_fn(|| newest.try_recv_with(|bomb: &Bomb| bomb.id).ok());
    assert_eq!(ids.map(|entry| event(entry).1).collect::<Vec<_>>(), numbers(21..25));
    books(&journal.feed());
    drop((journal, newest));
    assert_eq!(*lock(&alive), 0);
}

#[test]
fn writer_batch_is_published_when_drops_panic() {
    let alive = Arc::default();
    let (mut writer, feed) = Journal::single(4).unwrap();
    let bomb = |id| Bomb::new(id, true, &alive);
    assert!(writer.publish_batch((0..8).map(bomb).collect::<Vec<_>>()).is_ok());
    assert!(writer.publish_batch((8..16).map(bomb).collect::<Vec<_>>()).is_ok());
    assert_eq!(feed.next().get(), 16);
    let mut newest = feed.subscribe(Start::Oldest).unwrap();
    let ids = std::iter::from_fn(|| newest.try_recv_with(|bomb: &Bomb| bomb.id).ok());
    assert_eq!(ids.map(|entry| event(entry).1).collect::<Vec<_>>(), numbers(12..16));
    books(&feed);
    drop((writer, feed, newest));
    assert_eq!(*lock(&alive), 0);
}

#[test]
fn panicking_clone_publishes_the_events_before_it() {
    struct Picky(u64);
    impl Clone for Picky {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 7, "panic requested by the test");
            Self(self.0)
        }
    }
    let events: Vec<Picky> = (0..10).map(Picky).collect();
    let (mut writer, feed) = Journal::<Picky>::single(64).unwrap();
    let mut reader = feed.subscribe(Start::Now).unwrap();
    let mut read = || std::iter::from_fn(|| reader.try_recv_with(|event| event.0).ok()).count();
    assert!(panics(|| assert!(writer.publish_batch(&events).is_ok())));
    assert_eq!(read(), 7, "each event is cloned just before it is written");
    assert!(writer.publish_batch([Picky(7)]).is_ok(), "owned events are moved");
    assert_eq!(read(), 1);
    let journal = Journal::new(64).unwrap();
    assert!(panics(|| assert!(journal.publish_batch(&events).is_ok())));
    assert_eq!(journal.feed().next().get(), 0, "all are cloned before the journal is claimed");
    assert!(journal.publish_batch(events).is_ok(), "owned events are moved");
    assert_eq!(journal.feed().next().get(), 10);
}

#[test]
fn overwritten_drop_may_publish_into_its_journal() {
    type Home = Arc<Mutex<Option<Journal<Echo>>>>;
    /// Publishes another event when it is dropped.
    struct Echo(u64, Home);
    impl Drop for Echo {
        fn drop(&mut self) {
            let home = lock(&self.1).clone();
            if let Some(journal) = home.filter(|_| self.0 > 0) {
                assert!(journal.publish(Echo(self.0 - 1, self.1.clone())).is_ok());
            }
        }
    }
    let (journal, home) = (Journal::new(1).unwrap(), Home::default());
    *lock(&home) = Some(journal.clone());
    let journal = test_support::ends(move || {
        (0..20).for_each(|_| assert!(journal.publish(Echo(3, home.clone())).is_ok()));
        assert!(journal.publish_batch((0..20).map(|_| Echo(2, home.clone())).collect::<Vec<_>>()).is_ok());
        // Breaks the cycle in which the journal and its events keep each other alive.
        *lock(&home) = None;
        journal
    });
    assert!(books(&journal.feed()).ledger.accepted > 60);
}

#[test]
fn dropped_journal_drops_all_panicking_events() {
    for mut pen in journals(200) {
        let alive = Arc::default();
        pen.all((0..200).map(|id| Bomb::new(id, true, &alive)));
        drop(pen);
        assert_eq!(*lock(&alive), 0);
    }
}

#[test]
fn panicking_waker_affects_no_publisher_or_reader() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("panic requested by the test");
        }
    }
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut one = feed.subscribe(Start::Now).unwrap();
        let mut other = feed.subscribe(Start::Now).unwrap();
        let (count, waker) = test_support::WakeCount::waker();
        assert!(other.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        let panicking = Waker::from(Arc::new(Panics));
        assert!(one.poll_recv(&mut Context::from_waker(&panicking)).is_pending());
        pen.publish(1).unwrap();
        assert_eq!(count.get(), 1);
        assert_eq!((now(&mut one), now(&mut other)), (vec![1], vec![1]));
        assert!(one.poll_recv(&mut Context::from_waker(&panicking)).is_pending());
        pen.close();
        assert!(matches!(one.try_recv(), Err(TryRecvError::Closed)));
        books(&feed);
    }
}

/// Found by the leak check of AddressSanitizer.
#[test]
fn waker_panic_payload_is_dropped() {
    struct Panics(Arc<()>);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new(self.0.clone()));
        }
    }
    for mut pen in journals(64) {
        let mut subscriber = pen.feed().subscribe(Start::Now).unwrap();
        let payload = Arc::new(());
        let waker = Waker::from(Arc::new(Panics(payload.clone())));
        assert!(subscriber.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        pen.publish(1).unwrap();
        assert_eq!(Arc::strong_count(&payload), 1);
    }
}

#[test]
fn a_reader_that_unwinds_leaves_the_journal_whole() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut reader = feed.subscribe(Start::Now).unwrap();
        pen.all(0..10_u64);
        let unwound = thread::spawn(move || {
            let _ = reader.recv();
            panic!("panic requested by the test");
        });
        assert!(unwound.join().is_err());
        assert_eq!(books(&feed).subscribers.len(), 0);
        pen.all(10..200);
        let (seen, lags) = walk(&mut feed.subscribe(Start::Oldest).unwrap());
        assert_eq!((seen, lags), (numbers(136..200), vec![]));
    }
}
