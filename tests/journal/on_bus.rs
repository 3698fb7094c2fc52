//! A journal on a bus: every published event is replayable, whichever way it was published. The bus
//! may remove or close the journal.

use crate::{HOUR, books, event, now, numbers, own, rest};
use buslane::bus::Removed;
use buslane::error::{RecvError, TryRecvError};
use buslane::journal::{Entry, Sequence, Start};
use buslane::stats::SinkStatus;
use buslane::{Bus, Journal, SinkExt, WriteError, sink_fn};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use test_support::bus::{Route, assert_books, ledger, sink, took};
use test_support::{GUARD, Log, ends, wait_for, waits};

fn journal(capacity: usize) -> Journal<u64> {
    Journal::builder().capacity(capacity).gate_limit(HOUR).build().unwrap()
}

#[test]
fn every_publish_path_is_replayable() {
    let (bus, journal) = (Bus::new(), journal(256));
    bus.add_named("journal", journal.clone()).unwrap();
    let mut next = 0;
    for mut route in Route::all(&bus) {
        for _ in 0..20 {
            assert_eq!(route.publish(next).unwrap(), took(1, 0), "{}", route.name());
            next += 1;
        }
    }
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish_batch(numbers(next..next + 10)).unwrap(), took(10, 0));
    assert_eq!(publisher.try_publish(next + 10).unwrap(), took(1, 0));
    assert_eq!(publisher.publish_with(|| next + 11).unwrap(), took(1, 0));
    let mut replay = journal.subscribe(Start::Oldest).unwrap();
    assert_eq!(now(&mut replay), numbers(0..next + 12));
    assert_eq!(ledger(&bus, "journal").delivered, next + 12);
    assert_books(&bus);
}

#[test]
fn late_subscriber_joins_without_a_gap() {
    const EVENTS: u64 = 5_000;
    let (bus, journal) = (Bus::new(), journal(8192));
    bus.add(journal.clone()).unwrap();
    let start = Barrier::new(3);
    let seen: Vec<Vec<u64>> = ends({
        let journal = journal.clone();
        move || {
            thread::scope(|scope| {
                for (thread, mut route) in Route::all(&bus).into_iter().take(2).enumerate() {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        (0..EVENTS / 2).for_each(|n| assert!(route.publish(2 * n + thread as u64).is_ok()));
                    });
                }
                start.wait();
                let readers: Vec<_> = (0..10)
                    .map(|_| {
                        let mut late = journal.subscribe(Start::Oldest).unwrap();
                        scope.spawn(move || {
                            (0..EVENTS).map(|_| event(late.recv().unwrap()).1).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                readers.into_iter().map(|reader| reader.join().unwrap()).collect()
            })
        }
    });
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "all subscribers see one order");
    for thread in 0..2 {
        let own = seen[0].iter().filter(|n| **n % 2 == thread).map(|n| n / 2);
        assert!(own.eq(0..EVENTS / 2));
    }
    assert!(journal.feed().is_closed(), "the journal is closed with the bus");
}

#[test]
fn the_same_journal_twice_is_one_entry() {
    let (bus, journal) = (Bus::new(), journal(64));
    let id = bus.add(journal.clone()).unwrap();
    assert_eq!(bus.add(journal.clone()).unwrap(), id);
    assert_ne!(bus.add(Journal::new(64).unwrap()).unwrap(), id);
    assert_eq!(bus.sink_count(), 2);
    let _ = bus.publish(1).unwrap();
    assert_eq!(now(&mut journal.subscribe(Start::Oldest).unwrap()), [1]);
}

#[test]
fn removed_journal_works_without_the_bus() {
    let (bus, journal) = (Bus::new(), journal(64));
    let id = bus.add(journal.clone()).unwrap();
    let mut reader = journal.subscribe(Start::Now).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(0).unwrap();
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    assert_eq!(publisher.publish(1).unwrap(), took(0, 0));
    journal.publish(2).unwrap();
    assert_eq!(now(&mut reader), [0, 2]);
    assert_eq!(reader.try_recv(), Err(TryRecvError::Empty), "the removed journal is not closed");
    // The journal is added again.
    bus.add(journal.clone()).unwrap();
    let _ = publisher.publish(3).unwrap();
    assert_eq!(now(&mut reader), [3]);
    assert!(bus.close().is_done());
    assert_eq!(reader.recv(), Err(RecvError::Closed));
}

#[test]
fn bus_close_closes_the_journal_and_keeps_history() {
    for by_drop in [false, true] {
        let (bus, journal) = (Bus::new(), journal(64));
        bus.add(journal.clone()).unwrap();
        let mut reader = journal.subscribe(Start::Now).unwrap();
        let sleeper = {
            let mut reader = journal.subscribe(Start::Now).unwrap();
            waits(move || rest(&mut reader))
        };
        let _ = bus.publish(1).unwrap();
        if by_drop {
            drop(bus)
        } else {
            assert!(bus.close().is_done())
        }
        assert_eq!(rest(&mut reader), [1]);
        assert_eq!(ends(move || sleeper.join().unwrap()), [1]);
        assert!(matches!(journal.publish(2), Err(WriteError::Closed(2))));
        assert_eq!(rest(&mut journal.subscribe(Start::Oldest).unwrap()), [1]);
        assert_eq!(books(&journal.feed()).status, SinkStatus::Drained);
    }
}

#[test]
fn bus_removes_a_closed_journal() {
    let (bus, journal) = (Bus::new(), journal(64));
    bus.add(journal.clone()).unwrap();
    let [mut publisher, mut shared, mut local] = Route::all(&bus);
    let _ = publisher.publish(0).unwrap();
    journal.close();
    assert_eq!(publisher.publish(1).unwrap(), took(0, 1), "the bus learns that the journal is closed");
    assert_eq!(shared.publish(2).unwrap(), took(0, 0));
    // Each publisher tries its own lane once.
    assert_eq!((local.publish(3).unwrap(), local.publish(4).unwrap()), (took(0, 1), took(0, 0)));
    assert_eq!(bus.sink_count(), 0);
    assert_eq!(rest(&mut journal.subscribe(Start::Oldest).unwrap()), [0]);
}

#[test]
fn bus_keeps_its_journal_open_until_it_closes() {
    let (bus, journal) = (Bus::new(), journal(64));
    let mut reader = journal.subscribe(Start::Now).unwrap();
    let feed = journal.feed();
    bus.add(journal).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    assert!(!feed.is_closed());
    drop(bus);
    let _ = publisher.publish(2).unwrap();
    drop(publisher);
    assert!(feed.is_closed());
    assert_eq!(rest(&mut reader), [1, 2]);
}

#[test]
fn combinators_work_upstream_of_a_journal() {
    let bus = Bus::new();
    let [filtered, queued, inspected, limited] = [(); 4].map(|()| journal(64));
    let texts = Journal::<String>::new(64).unwrap();
    bus.add_named("filtered", filtered.clone().filter(|n| n % 2 == 0)).unwrap();
    bus.add_named("mapped", texts.clone().map(|n: &u64| n.to_string())).unwrap();
    bus.add_named("queued", queued.clone().queue(64).unwrap()).unwrap();
    bus.add_named("inspected", inspected.clone().inspect_fn(|_| ()).catch_panic()).unwrap();
    bus.add_named("limited", limited.clone().queue(64).unwrap()).unwrap();
    let inner = Bus::new();
    let nested = journal(64);
    inner.add(nested.clone()).unwrap();
    bus.add_named("nested", inner).unwrap();
    let mut publisher = bus.publisher();
    (0..10).for_each(|n| assert_eq!(publisher.publish(n).unwrap(), took(6, 0)));
    assert!(bus.flush_timeout(GUARD).is_done());
    for (journal, expected) in [
        (&filtered, vec![0, 2, 4, 6, 8]),
        (&queued, numbers(0..10)),
        (&inspected, numbers(0..10)),
        (&limited, numbers(0..10)),
        (&nested, numbers(0..10)),
    ] {
        assert_eq!(now(&mut journal.subscribe(Start::Oldest).unwrap()), expected);
        books(&journal.feed());
    }
    let words = now(&mut texts.subscribe(Start::Oldest).unwrap());
    assert_eq!(words, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    let books = ledger(&bus, "filtered");
    assert_eq!((books.delivered, books.filtered), (5, 5));
    assert_books(&bus);
    assert!(bus.close().is_done());
    assert!(filtered.feed().is_closed() && queued.feed().is_closed() && nested.feed().is_closed());
}

#[test]
fn journal_downstream_of_a_batch_keeps_batches() {
    let (bus, journal) = (Bus::new(), Journal::<Vec<u64>>::new(64).unwrap());
    bus.add(journal.clone().batch(4)).unwrap();
    (0..10).for_each(|n| assert!(bus.publish(n).is_ok()));
    assert!(bus.close().is_done());
    let mut reader = journal.subscribe(Start::Oldest).unwrap();
    assert_eq!(rest(&mut reader), [numbers(0..4), numbers(4..8), numbers(8..10)]);
}

#[test]
fn gate_blocks_publish_and_refuses_try_publish() {
    let (bus, journal, seen) = (Bus::new(), journal(64), Log::new());
    bus.add_named("journal", journal.clone()).unwrap();
    let log = seen.clone();
    bus.add(sink_fn(move |n: &u64| log.push(*n))).unwrap();
    let mut gate = journal.subscription().gating().subscribe().unwrap();
    let mut publisher = bus.publisher();
    let mut next = 0;
    while publisher.try_publish(next).unwrap().refused == 0 {
        next += 1;
    }
    assert_eq!(journal.feed().next().get(), next);
    assert_eq!(ledger(&bus, "journal").refused.full, 1);
    let publishing = waits(move || publisher.publish(next + 1).unwrap());
    assert_eq!(
        seen.entries(),
        numbers(0..next + 2),
        "the other sink gets the event before the publisher waits"
    );
    let read: Vec<u64> = (0..next).map(|_| event(gate.recv().unwrap()).1).collect();
    assert_eq!(read, numbers(0..next));
    assert_eq!(ends(move || publishing.join().unwrap()), took(2, 0));
    assert_eq!(gate.recv(), Ok(Entry::Event(Sequence::new(next), next + 1)));
    assert_books(&bus);
}

#[test]
fn bus_close_ends_the_wait_at_a_gate() {
    let (bus, journal) = (Bus::new(), journal(64));
    bus.add(journal.clone()).unwrap();
    let mut gate = journal.subscription().gating().subscribe().unwrap();
    let routes = Route::all(&bus);
    let publishers =
        routes.map(|mut route| waits(move || (0..1000).take_while(|n| route.publish(*n).is_ok()).count()));
    let (bus, report) = ends(move || {
        let report = bus.close_timeout(GUARD);
        (bus, report)
    });
    assert!(report.is_done(), "{report}");
    for publisher in publishers {
        assert!(ends(move || publisher.join().unwrap()) < 1000);
    }
    assert!(bus.is_closed());
    let accepted = books(&journal.feed()).ledger.accepted;
    assert_eq!(rest(&mut gate).len() as u64, accepted);
    assert_eq!(own(&gate).dropped.evicted, 0);
}

#[test]
fn removal_from_the_bus_ends_the_wait_at_a_gate() {
    let (bus, journal) = (Bus::new(), journal(64));
    let id = bus.add(journal.clone()).unwrap();
    let gate = journal.subscription().gating().subscribe().unwrap();
    let mut publisher = bus.publisher();
    let publishing = waits(move || (0..200).filter(|n| publisher.publish(*n).unwrap() == took(1, 0)).count());
    wait_for(|| journal.feed().next().get() == 128);
    (0..1000).for_each(|_| thread::yield_now());
    let removed = ends(move || bus.remove(id).map(|removed| (removed, bus)));
    let (removed, bus) = removed.unwrap();
    assert_eq!(removed, Removed::Quiet);
    // The event that waited at the gate was refused, and later events find no sink.
    assert_eq!(ends(move || publishing.join().unwrap()), 128);
    drop(gate);
    assert!(bus.close().is_done());
    assert!(!journal.feed().is_closed(), "the journal was removed before the close");
    let state = books(&journal.feed());
    assert_eq!((state.ledger.accepted, state.ledger.refused.closed), (128, 1));
}

#[test]
fn panicking_drop_of_overwritten_event_is_not_counted() {
    #[derive(Clone)]
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0 || thread::panicking(), "panic requested by the test");
        }
    }
    let told = Log::new();
    let log = told.clone();
    let bus = Bus::builder().on_error(move |failure| log.push(failure.to_string())).build();
    let journal = Journal::<Bomb>::new(1).unwrap();
    bus.add_named("journal", journal.clone()).unwrap();
    let mut publisher = bus.publisher();
    for n in 0..10 {
        // With a panic the bus cannot know what became of the event.
        let published = publisher.publish(Bomb(n < 3)).unwrap();
        assert_eq!((published.accepted + published.dropped as usize, published.refused), (1, 0));
    }
    assert_eq!(
        (journal.feed().next().get(), told.entries().len()),
        (10, 0),
        "the event is published despite the panic"
    );
    assert_books(&bus);
    let ledger = sink(&bus, "journal").state.ledger;
    assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.panicked), (10, 10, 0));
}

#[test]
fn bus_publishers_continue_while_readers_churn() {
    let (bus, journal, over) = (Bus::new(), journal(64), AtomicBool::new(false));
    bus.add(journal.clone()).unwrap();
    let bus = ends(move || {
        thread::scope(|scope| {
            for _ in 0..2 {
                let (journal, over) = (&journal, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::Acquire) {
                        let mut reader = journal.subscribe(Start::Oldest).unwrap();
                        assert!(reader.try_iter().take(100).count() <= 100);
                        own(&reader);
                    }
                });
            }
            for mut route in Route::all(&bus).into_iter().take(2) {
                (0..10_000).for_each(|n| assert_eq!(route.publish(n).unwrap(), took(1, 0)));
            }
            over.store(true, Ordering::Release);
        });
        assert_eq!(books(&journal.feed()).ledger.accepted, 20_000);
        bus
    });
    assert!(bus.close().is_done());
}
