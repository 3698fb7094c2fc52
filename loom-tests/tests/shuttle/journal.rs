//! A journal whose subscribers come and go.

use crate::support::{Event, Flag, Log, Progress, Source};
use buslane::journal::{Entry, Start};
use buslane::{Journal, Subscriber, WaitStrategy, WriteError};
use loom_tests::schedules::explore;
use loom_tests::thread;
use shuttle::rand::{Rng, thread_rng};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const PUBLISHERS: usize = 3;
const EVENTS: usize = 4;
/// Less than the number of events, so that a stalled subscriber lags, or blocks the publishers.
const CAPACITY: usize = 4;

/// The event at each position, as seen by any subscriber: the same for all.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<BTreeMap<u64, (usize, usize)>>>);

impl Places {
    fn see(&self, place: u64, event: (usize, usize)) {
        let before = self.0.lock().unwrap().insert(place, event);
        assert!(before.is_none_or(|before| before == event), "all see the same event at {place}");
    }

    /// Checks that the positions have no gap, and hold each publisher's events in order. Returns
    /// their number.
    fn check(&self) -> u64 {
        let places = self.0.lock().unwrap();
        assert!(places.keys().copied().eq(0..places.len() as u64), "no position is empty");
        for publisher in 0..PUBLISHERS {
            let numbers = places.values().filter(|(from, _)| *from == publisher).map(|(_, number)| *number);
            assert!(numbers.enumerate().all(|(at, number)| at == number), "in order, once");
        }
        places.len() as u64
    }
}

/// Reads at most `most` entries, and drops the subscriber. Returns the numbers of seen and missed
/// events, and the start.
fn read(mut subscriber: Subscriber<Event>, places: &Places, most: usize) -> (u64, u64, u64) {
    let first = subscriber.next_sequence().get();
    let (mut seen, mut missed) = (0, 0);
    for _ in 0..most {
        match subscriber.recv() {
            Ok(Entry::Event(sequence, event)) => {
                assert_eq!(sequence.get(), first + seen + missed, "a gap was not reported");
                places.see(sequence.get(), (event.publisher, event.number));
                seen += 1;
            }
            Ok(Entry::Lagged(events)) => {
                assert!(events > 0, "a lag of zero events");
                missed += events;
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    let ledger = subscriber.state().ledger;
    assert_eq!((ledger.delivered, ledger.dropped.evicted), (seen, missed));
    ledger.check().unwrap();
    (first, seen, missed)
}

#[test]
fn subscribers_agree_on_order_and_exact_lag() {
    // Three publishers; one subscriber for the whole run and one that comes later, both lagging
    // when they are slow; a gating subscriber for the whole run, and one that comes and goes again,
    // for which publishers wait; a close. All see one order, each learns exactly how many events it
    // missed, and the gating ones miss none.
    explore(|| {
        let (source, places, closing) = (Source::new(), Places::default(), Flag::default());
        let progress = Progress::default();
        let journal: Journal<Event> = Journal::new(CAPACITY).expect("a small journal");
        let subscription = |start| journal.subscription().start(start).wait_strategy(WaitStrategy::Park);
        // In every other execution no subscriber gates from the beginning, so that others lag.
        let all = [thread_rng().gen_bool(0.5), false].map(|gates| {
            let subscription = subscription(Start::Oldest);
            let subscription = if gates { subscription.gating() } else { subscription };
            let subscriber = subscription.subscribe().expect("memory");
            let (places, progress) = (places.clone(), progress.clone());
            thread::spawn(move || {
                if !gates {
                    progress.wait(PUBLISHERS * EVENTS);
                }
                let (first, seen, missed) = read(subscriber, &places, usize::MAX);
                assert!(first == 0 && (!gates || missed == 0));
                seen + missed
            })
        });
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|me| {
                let (journal, source, places) = (journal.clone(), source.clone(), places.clone());
                let (closing, sent) = (closing.clone(), Log::default());
                let progress = progress.clone();
                thread::spawn(move || {
                    for number in 0..EVENTS {
                        let event = source.event(me, number);
                        match journal.publish(event.clone()) {
                            Ok(sequence) => {
                                sent.note(&event);
                                places.see(sequence.get(), (me, number));
                            }
                            Err(WriteError::Closed(back)) => {
                                assert!(closing.is_set(), "only a close closes");
                                assert_eq!((back.publisher, back.number), (me, number));
                            }
                            Err(error) => panic!("{error}"),
                        }
                        progress.step();
                    }
                    sent.runs(PUBLISHERS);
                    sent.len()
                })
            })
            .collect();
        let guests = [(Start::Now, true, 3), (Start::Oldest, true, 5), (Start::Last(2), false, usize::MAX)]
            .map(|(start, gates, most)| {
                let (journal, places, progress) = (journal.clone(), places.clone(), progress.clone());
                thread::spawn(move || {
                    progress.wait(PUBLISHERS);
                    let mut subscription =
                        journal.subscription().start(start).wait_strategy(WaitStrategy::Park);
                    if gates {
                        subscription = subscription.gating();
                    }
                    let subscriber = subscription.subscribe().expect("memory");
                    drop(journal);
                    let (_, _, missed) = read(subscriber, &places, most);
                    assert!(!gates || missed == 0, "publishers wait for it");
                })
            });
        let (last, time) = (journal.clone(), closing.clone());
        let closer = thread::spawn(move || {
            progress.wait(PUBLISHERS * EVENTS);
            time.set();
            last.close();
        });
        let sent: usize = publishers.into_iter().map(|publisher| publisher.join().unwrap()).sum();
        closer.join().unwrap();
        guests.into_iter().for_each(|guest| guest.join().unwrap());
        for reader in all {
            assert_eq!(reader.join().unwrap(), sent as u64, "up to the end");
        }
        assert_eq!(places.check(), sent as u64);
        let books = journal.state().ledger;
        books.check().unwrap();
        assert_eq!(books.refused.closed as usize, PUBLISHERS * EVENTS - sent);
        drop(journal);
        source.assert_all_dropped();
    });
}
