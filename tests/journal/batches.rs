//! Batches by reference: a batch borrows events in place, and they stay there until the reader
//! continues, whatever the publisher does.

use crate::{HOUR, books, event, journals, now, numbers, own, walk};
use buslane::WaitStrategy;
use buslane::error::{RecvTimeoutError, TryRecvError};
use buslane::journal::{Entry, Sequence, Start};
use std::thread;
use test_support::{Drops, ends};

#[test]
fn batch_is_contiguous_and_at_most_a_block_long() {
    for capacity in [1, 2, 3, 64, 100, 1000] {
        for mut pen in journals(capacity) {
            let feed = pen.feed();
            pen.all(0..5000);
            let mut reader = feed.subscribe(Start::Oldest).unwrap();
            let (mut next, mut batches) = (5000 - capacity as u64, 0);
            while let Ok(entry) = reader.try_recv_slice() {
                let (first, batch) = event(entry);
                assert!(first == next && batch.len() <= 64 && !batch.is_empty());
                assert!(batch.iter().copied().eq(first..first + batch.len() as u64));
                next += batch.len() as u64;
                batches += 1;
            }
            assert_eq!(next, 5000);
            assert!(batches <= capacity / 32 + 2, "{batches} batches, capacity {capacity}");
            assert_eq!(own(&reader).delivered, capacity as u64);
            books(&feed);
        }
    }
}

#[test]
fn batch_in_hand_survives_overwrites() {
    for mut pen in journals(64) {
        let (feed, drops) = (pen.feed(), Drops::default());
        let mut reader = feed.subscribe(Start::Now).unwrap();
        pen.all((0..64).map(|id| drops.track(id)));
        let batch = event(reader.try_recv_slice().unwrap()).1;
        pen.all((64..5000).map(|id| drops.track(id)));
        assert!(batch.iter().map(|event| event.id).eq(0..64));
        let gone = drops.ids();
        assert!(gone.iter().all(|id| *id >= 64), "the events of a borrowed batch are not dropped");
        assert!(gone.len() >= 5000 - 4 * 64, "the number of kept events is bounded: {}", gone.len());
        // The reader continues, and its block is dropped with the next events.
        assert_eq!(reader.try_recv_with(|_| ()), Ok(Entry::Lagged(4936 - 64)));
        pen.all((5000..6000).map(|id| drops.track(id)));
        assert!(drops.ids().iter().copied().take(64).eq(0..64));
        drop((reader, pen, feed));
        assert_eq!(drops.ids(), numbers(0..6000));
    }
}

#[test]
fn reader_dropped_mid_batch_releases_its_block() {
    for mut pen in journals(64) {
        let (feed, drops) = (pen.feed(), Drops::default());
        for round in 0..20 {
            let mut reader = feed.subscribe(Start::Now).unwrap();
            pen.all((0..32).map(|n| drops.track(100 * round + n)));
            let batch = event(reader.recv_slice().unwrap()).1;
            // The reader is dropped while most of its batch is unread.
            assert_eq!(batch[0].id, 100 * round);
            drop(reader);
            assert_eq!(books(&feed).subscribers.len(), 0);
        }
        let (before, most) = (drops.ids().len(), 20 * 32);
        assert!(before + 192 >= most, "{before} of {most}");
        drop((pen, feed));
        assert_eq!(drops.ids().len(), most);
    }
}

#[test]
fn unviewed_batch_counts_as_read() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut reader = feed.subscribe(Start::Now).unwrap();
        for round in 0..30 {
            pen.all(10 * round..10 * round + 10);
            assert!(reader.try_recv_slice().is_ok());
        }
        while reader.try_recv_slice().is_ok() {}
        assert_eq!(own(&reader).delivered, 300);
        pen.publish(300).unwrap();
        assert_eq!(now(&mut reader), [300]);
        books(&feed);
    }
}

#[test]
fn a_subscriber_that_was_forgotten_keeps_one_block() {
    for mut pen in journals(64) {
        let feed = pen.feed();
        let mut forgotten = feed.subscribe(Start::Now).unwrap();
        pen.all(0..10);
        assert!(forgotten.try_recv_slice().is_ok());
        std::mem::forget(forgotten);
        let mut reader = feed.subscribe(Start::Now).unwrap();
        let pen = ends(move || {
            for n in 10..10_000 {
                pen.publish(n).unwrap();
                assert_eq!(reader.try_recv().map(event), Ok((n, n)));
            }
            pen
        });
        let state = books(&feed);
        assert_eq!((state.subscribers.len(), state.subscribers[0].behind), (1, 9_990));
        drop(pen);
    }
}

#[test]
fn partial_block_is_a_batch_and_the_rest_follows() {
    for mut pen in journals(256) {
        let mut reader = pen.feed().subscribe(Start::Now).unwrap();
        pen.all(0..10);
        assert_eq!(reader.try_recv_slice().map(event), Ok((0, &numbers(0..10)[..])));
        pen.all(10..100);
        assert_eq!(reader.try_recv_slice().map(event), Ok((10, &numbers(10..64)[..])));
        // Single events in between.
        assert_eq!(reader.recv().map(event), Ok((64, 64)));
        assert_eq!(reader.try_recv_slice().map(event), Ok((65, &numbers(65..100)[..])));
        assert_eq!(reader.try_recv_slice(), Err(TryRecvError::Empty));
        assert_eq!(reader.next_sequence(), Sequence::new(100));
    }
}

#[test]
fn waiting_batch_reader_is_woken_by_events_and_end() {
    for wait in crate::STRATEGIES {
        for mut pen in journals(256) {
            let feed = pen.feed();
            let mut reader = feed.subscription().wait_strategy(wait).subscribe().unwrap();
            let reading = thread::spawn(move || {
                let mut seen = Vec::new();
                while let Ok(entry) = reader.recv_slice() {
                    seen.extend_from_slice(event(entry).1);
                }
                assert_eq!(reader.try_recv_slice(), Err(TryRecvError::Closed));
                (seen, own(&reader))
            });
            for n in 0..20 {
                pen.batch(numbers(10 * n..10 * n + 10));
                test_support::wait_for(|| feed.state().subscribers[0].behind == 0);
            }
            pen.close();
            let (seen, ledger) = ends(move || reading.join().unwrap());
            assert_eq!((seen, ledger.delivered), (numbers(0..200), 200), "{wait:?}");
        }
    }
}

#[test]
fn subscriber_mixes_polls_and_batch_reads() {
    for mut pen in journals(64) {
        let subscription = pen.feed().subscription().wait_strategy(WaitStrategy::Park);
        let mut reader = subscription.subscribe().unwrap();
        let (count, waker) = test_support::WakeCount::waker();
        let mut context = std::task::Context::from_waker(&waker);
        assert!(reader.poll_recv(&mut context).is_pending());
        pen.all(0..3);
        assert_eq!(count.get(), 1);
        assert_eq!(reader.recv_slice().map(event), Ok((0, &[0, 1, 2][..])));
        assert_eq!(reader.recv_timeout(std::time::Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        pen.all(3..100);
        let (seen, _) = walk(&mut reader);
        assert_eq!(seen.last(), Some(&99));
        pen.close();
        assert_eq!(reader.recv_timeout(HOUR), Err(RecvTimeoutError::Closed));
    }
}
