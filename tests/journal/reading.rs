//! Every read method, of both forms of a journal: present events, later events, and the result when
//! there is no event.

use crate::{HOUR, STRATEGIES, books, event, journals, now, numbers, own, rest, walk};
use buslane::Journal;
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::journal::{Entry, Sequence, Start};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use test_support::{GUARD, block_on, ends, wait_for};

#[test]
fn every_read_method_takes_the_next_event() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut reader = feed.subscribe(Start::Now).unwrap();
        pen.all(0..14);
        assert_eq!(reader.recv().map(event), Ok((0, 0)));
        assert_eq!(reader.try_recv().map(event), Ok((1, 1)));
        assert_eq!(reader.recv_timeout(Duration::ZERO).map(event), Ok((2, 2)));
        assert_eq!(reader.recv_timeout(Duration::MAX).map(event), Ok((3, 3)));
        assert_eq!(reader.recv_deadline(Instant::now()).map(event), Ok((4, 4)));
        assert_eq!(reader.try_recv_with(|n| n * 10).map(event), Ok((5, 50)));
        assert_eq!(block_on(reader.recv_async()).map(event), Ok((6, 6)));
        assert_eq!(reader.iter().next().map(event), Some((7, 7)));
        assert_eq!(reader.try_iter().next().map(event), Some((8, 8)));
        assert_eq!((reader.behind(), reader.next_sequence()), (5, Sequence::new(9)));
        assert_eq!(reader.recv_slice().map(event), Ok((9, &[9, 10, 11, 12, 13][..])));
        // No method returns an event when there is none.
        assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(
            reader.try_recv_with(|_| unreachable!("there is no event")),
            Err::<Entry<()>, _>(TryRecvError::Empty)
        );
        assert_eq!(reader.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        assert_eq!(reader.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        assert_eq!(reader.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
        assert_eq!(reader.try_recv_slice(), Err(TryRecvError::Empty));
        assert_eq!(reader.try_iter().count(), 0);
        assert_eq!(own(&reader).delivered, 14);
        books(&feed);
    }
}

#[test]
fn waiting_reader_gets_the_event_of_another_thread() {
    for wait in STRATEGIES {
        for mut pen in journals(64) {
            let mut reader = pen.feed().subscription().wait_strategy(wait).subscribe().unwrap();
            let (sender, seen) = mpsc::channel();
            let reading = thread::spawn(move || {
                sender.send(reader.recv().unwrap().event()).unwrap();
                sender.send(reader.recv_timeout(HOUR).unwrap().event()).unwrap();
                let hour = Instant::now() + HOUR;
                sender.send(reader.recv_deadline(hour).unwrap().event()).unwrap();
                sender.send(reader.recv_slice().unwrap().event().map(|batch| batch[0])).unwrap();
                sender.send(block_on(reader.recv_async()).unwrap().event()).unwrap();
                reader.iter().for_each(|entry| sender.send(entry.event()).unwrap());
                own(&reader)
            });
            for event in 0..20 {
                pen.publish(event).unwrap();
                assert_eq!(seen.recv_timeout(GUARD), Ok(Some(event)), "{wait:?}");
            }
            pen.close();
            assert_eq!(ends(move || reading.join().unwrap()).delivered, 20);
        }
    }
}

#[test]
fn iterators_end_with_the_journal_and_not_with_a_lag() {
    for mut pen in journals(64) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        pen.all(0..200);
        pen.close();
        let entries: Vec<_> = reader.iter().collect();
        assert_eq!((entries[0], entries.len()), (Entry::Lagged(136), 65));
        assert_eq!(reader.iter().next(), None);
        assert_eq!(reader.try_iter().next(), None);
        assert_eq!(reader.recv(), Err(RecvError::Closed));
    }
}

#[test]
fn non_clone_events_are_read_in_place() {
    struct Plain(String);
    for mut pen in journals(4) {
        let feed = pen.feed();
        let mut reader = feed.subscription().filter(|plain: &Plain| plain.0 != "b").subscribe().unwrap();
        pen.all(["a", "b", "c"].map(|text| Plain(String::from(text))));
        let first = reader.try_recv_with(|plain| plain.0.len());
        assert_eq!(first.map(event), Ok((0, 1)));
        let third = reader.recv_slice().unwrap();
        assert_eq!(event(third).1[0].0, "c");
        books(&feed);
    }
}

#[test]
fn big_events_and_small_capacities_read_the_same() {
    for capacity in [1, 2, 3, 5, 64, 65, 200] {
        for mut pen in journals::<[u64; 40]>(capacity) {
            let mut reader = pen.feed().subscribe(Start::Now).unwrap();
            for n in 0..500 {
                pen.publish([n; 40]).unwrap();
                assert_eq!(reader.recv().map(event), Ok((n, [n; 40])), "capacity {capacity}");
            }
            own(&reader);
        }
    }
}

#[test]
fn subscribers_of_a_journal_are_independent() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut readers: Vec<_> = (0..8).map(|_| feed.subscribe(Start::Now).unwrap()).collect();
        for n in 0..1000 {
            pen.publish(n).unwrap();
            // The first reads every event, the second every second one, and so on.
            for (every, reader) in readers.iter_mut().enumerate() {
                if n % (every as u64 + 1) == 0 {
                    let (seen, _) = walk(reader);
                    assert_eq!(seen.last(), Some(&n), "the reader has reached the end");
                }
            }
        }
        let state = books(&feed);
        assert!(state.subscribers.iter().all(|one| one.ledger.accepted == 1000));
        assert_eq!(state.subscribers.iter().map(|one| one.ledger.dropped.evicted).max(), Some(0));
    }
}

#[test]
fn subscriber_moves_between_threads_mid_stream() {
    for mut pen in journals(64) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        pen.all(0..30);
        assert_eq!(reader.recv().map(event), Ok((0, 0)));
        for n in 1..30 {
            reader = thread::spawn(move || {
                assert_eq!(reader.recv().map(event), Ok((n, n)));
                reader
            })
            .join()
            .unwrap();
        }
        pen.close();
        assert!(rest(&mut reader).is_empty());
    }
}

#[test]
fn a_feed_and_a_journal_make_the_same_subscribers() {
    let journal = Journal::new(64).unwrap();
    let (other, feed) = (journal.clone(), journal.feed());
    other.publish(0).unwrap();
    journal.publish(1).unwrap();
    let mut readers = [
        journal.subscribe(Start::Oldest).unwrap(),
        other.subscription().start(Start::Oldest).subscribe().unwrap(),
        feed.subscribe(Start::Oldest).unwrap(),
        feed.clone().subscription().start(Start::Oldest).subscribe().unwrap(),
    ];
    for reader in &mut readers {
        assert_eq!(now(reader), [0, 1]);
    }
    assert_eq!(journal.state(), feed.state());
    assert_eq!(journal.state().subscribers.len(), 4);
}

#[test]
fn reader_keeps_up_with_a_pausing_publisher() {
    for wait in STRATEGIES {
        for mut pen in journals(256) {
            let feed = pen.feed();
            let mut reader = feed.subscription().wait_strategy(wait).subscribe().unwrap();
            let reading = thread::spawn(move || (rest(&mut reader), own(&reader)));
            for n in 0..2_000_u64 {
                pen.publish(n).unwrap();
                if n % 100 == 0 {
                    wait_for(|| feed.state().subscribers[0].behind == 0);
                }
            }
            pen.close();
            let (seen, ledger) = ends(move || reading.join().unwrap());
            assert_eq!((seen, ledger.delivered), (numbers(0..2_000), 2_000), "{wait:?}");
        }
    }
}

#[test]
fn batches_and_single_events_keep_publish_order() {
    for mut pen in journals(512) {
        let feed = pen.feed();
        let mut reader = feed.subscribe(Start::Now).unwrap();
        assert_eq!(pen.batch(numbers(0..100)), Sequence::new(0));
        assert_eq!(pen.publish(100).unwrap(), Sequence::new(100));
        assert_eq!(pen.batch(vec![]), Sequence::new(101), "an empty batch returns the next position");
        assert_eq!(pen.try_publish(101).unwrap(), Sequence::new(101));
        assert_eq!(pen.batch(numbers(102..300)), Sequence::new(102));
        assert_eq!(now(&mut reader), numbers(0..300));
        // More events than there is room for: the newest are kept.
        pen.batch(numbers(300..5_000));
        let (seen, lags) = walk(&mut reader);
        assert_eq!(seen.len() as u64 + lags[0], 4_700);
        assert!(seen.ends_with(&numbers(4_488..5_000)));
        books(&feed);
    }
}
