//! Readers that are parked: one publish or one close wakes all of them, and none stays parked.

use crate::{HOUR, Pen, STRATEGIES, books, event, journals, numbers, own, rest};
use buslane::error::RecvError;
use buslane::error::RecvTimeoutError;
use buslane::journal::Start;
use buslane::{Journal, WaitStrategy};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;
use test_support::{GUARD, ends};

/// Waits longer than any test: only a wake-up can end the read.
const DEEP: [WaitStrategy; 2] =
    [WaitStrategy::Nap { nap: HOUR, park_after: HOUR }, WaitStrategy::Poll { busy: HOUR, idle: HOUR }];

/// Parks at once, after it has read the clock.
const RESTLESS: WaitStrategy =
    WaitStrategy::Nap { nap: Duration::from_micros(30), park_after: Duration::ZERO };

#[test]
fn one_publish_wakes_every_reader_that_is_parked() {
    const READERS: usize = 50;
    for mut pen in journals(64) {
        let (feed, (sender, acks)) = (pen.feed(), mpsc::channel());
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                let subscription = feed.subscription().wait_strategy(WaitStrategy::Park);
                let (mut reader, sender) = (subscription.subscribe().unwrap(), sender.clone());
                thread::spawn(move || {
                    reader.iter().for_each(|entry| sender.send(event(entry).1).unwrap());
                    own(&reader).delivered
                })
            })
            .collect();
        for round in 0..100 {
            // All readers have read the previous event, and most have parked again meanwhile.
            pen.publish(round).unwrap();
            for _ in 0..READERS {
                assert_eq!(acks.recv_timeout(GUARD), Ok(round));
            }
        }
        pen.close();
        assert!(readers.into_iter().all(|reader| ends(move || reader.join().unwrap()) == 100));
        assert_eq!(books(&feed).subscribers.len(), 0);
    }
}

#[test]
fn publish_wakes_parked_readers_despite_churn() {
    const READERS: u64 = 8;
    for mut pen in journals(1024) {
        let (feed, start) = (pen.feed(), Barrier::new(READERS as usize + 1));
        ends(move || {
            thread::scope(|scope| {
                for reader in 0..READERS {
                    let (feed, start) = (&feed, &start);
                    scope.spawn(move || {
                        start.wait();
                        // Each reader drops its subscriber after a few events, and resumes at its
                        // position.
                        let mut place = feed.oldest();
                        while place.get() < 1000 {
                            let subscription = feed.subscription().start(Start::At(place));
                            let mut few = subscription.wait_strategy(WaitStrategy::Park).subscribe().unwrap();
                            for _ in 0..=reader.min(999 - place.get()) {
                                assert_eq!(event(few.recv().unwrap()), (place.get(), place.get()));
                                place = place.next();
                            }
                        }
                    });
                }
                start.wait();
                pen.all(0..1000);
            });
        });
    }
}

#[test]
fn close_wakes_every_reader_in_every_wait_strategy() {
    for wait in STRATEGIES.into_iter().filter(|wait| *wait != WaitStrategy::BusySpin).chain(DEEP) {
        for pen in journals::<u64>(64) {
            let feed = pen.feed();
            let sleepers = [(); 2].map(|()| {
                let mut reader = feed.subscription().wait_strategy(wait).subscribe().unwrap();
                thread::spawn(move || {
                    let end = (reader.recv(), reader.recv_timeout(HOUR));
                    own(&reader);
                    end
                })
            });
            // Most readers park meanwhile.
            (0..200).for_each(|_| thread::yield_now());
            pen.close();
            for sleeper in sleepers {
                let end = ends(move || sleeper.join().unwrap());
                assert_eq!(end, (Err(RecvError::Closed), Err(RecvTimeoutError::Closed)), "{wait:?}");
            }
            books(&feed);
        }
    }
}

#[test]
fn close_ends_readers_that_are_about_to_park() {
    for round in 0..100 {
        for mut pen in journals(64) {
            let (feed, start) = (pen.feed(), Barrier::new(5));
            let seen: Vec<Vec<u64>> = ends(move || {
                thread::scope(|scope| {
                    let readers: Vec<_> = (0..4)
                        .map(|reader| {
                            let wait = [WaitStrategy::Park, DEEP[0], DEEP[1], RESTLESS][reader];
                            let mut reader = feed.subscription().wait_strategy(wait).subscribe().unwrap();
                            let start = &start;
                            scope.spawn(move || {
                                start.wait();
                                rest(&mut reader)
                            })
                        })
                        .collect();
                    start.wait();
                    pen.all(0..round % 5);
                    pen.close();
                    readers.into_iter().map(|reader| reader.join().unwrap()).collect()
                })
            });
            assert!(seen.iter().all(|seen| *seen == numbers(0..round % 5)));
        }
    }
}

#[test]
fn reader_continues_after_a_timeout() {
    for wait in STRATEGIES {
        for mut pen in journals(64) {
            let mut reader = pen.feed().subscription().wait_strategy(wait).subscribe().unwrap();
            for n in 0..3 {
                assert_eq!(
                    reader.recv_timeout(Duration::from_millis(1)),
                    Err(RecvTimeoutError::Timeout),
                    "{wait:?}"
                );
                pen.publish(n).unwrap();
                assert_eq!(reader.recv_timeout(HOUR).map(event), Ok((n, n)));
            }
            assert_eq!(own(&reader).delivered, 3);
        }
    }
}

#[test]
fn events_of_many_publishers_wake_many_readers() {
    const EACH: u64 = 500;
    let journal = Journal::new(4096).unwrap();
    let readers: Vec<_> = STRATEGIES
        .into_iter()
        .map(|wait| {
            let mut reader = journal.subscription().wait_strategy(wait).subscribe().unwrap();
            thread::spawn(move || (rest(&mut reader), own(&reader)))
        })
        .collect();
    thread::scope(|scope| {
        for publisher in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..EACH {
                    journal.publish(publisher * EACH + n).unwrap();
                    if n % 50 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    journal.close();
    let mut all: Vec<Vec<u64>> = readers
        .into_iter()
        .map(|reader| {
            let (seen, ledger) = ends(move || reader.join().unwrap());
            assert_eq!(ledger.delivered, 4 * EACH);
            seen
        })
        .collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "all readers see one order");
    let mut first = all.swap_remove(0);
    first.sort_unstable();
    assert_eq!(first, numbers(0..4 * EACH));
}

#[test]
fn readers_wait_the_same_for_both_forms_of_a_journal() {
    for wait in STRATEGIES.into_iter().chain([RESTLESS]) {
        for mut pen in journals(64) {
            let (sender, acks) = mpsc::channel();
            let mut reader = pen.feed().subscription().wait_strategy(wait).subscribe().unwrap();
            let reading = thread::spawn(move || {
                reader.iter().for_each(|entry| sender.send(event(entry).1).unwrap());
            });
            for n in 0..300 {
                match (&mut pen, n % 3) {
                    (Pen::Many(journal), 0) => drop(journal.try_publish(n).unwrap()),
                    (Pen::One(writer), 0) => drop(writer.try_publish(n).unwrap()),
                    (pen, 1) => drop(pen.batch(vec![n])),
                    (pen, _) => drop(pen.publish(n).unwrap()),
                }
                assert_eq!(acks.recv_timeout(GUARD), Ok(n), "{wait:?}");
            }
            pen.close();
            ends(move || reading.join().unwrap());
        }
    }
}
