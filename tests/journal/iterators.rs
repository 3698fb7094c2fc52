//! Iterators of subscribers, and entries in batches.

use buslane::Journal;
use buslane::error::{RecvError, TryRecvError};
use buslane::journal::{Entry, Start};
use std::iter::FusedIterator;

#[test]
fn for_loops_take_subscribers_by_value_or_reference() {
    let journal = Journal::new(16).unwrap();
    journal.publish_batch((0..4).collect::<Vec<u64>>()).unwrap();
    journal.close();
    let mut subscriber = journal.subscribe(Start::Oldest).unwrap();
    let mut seen = Vec::new();
    for entry in &mut subscriber {
        seen.extend(entry.event());
        if seen.len() == 2 {
            break;
        }
    }
    for entry in subscriber {
        seen.extend(entry.event());
    }
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[test]
fn fused_iterators_stay_at_their_end() {
    fn fused<I: FusedIterator>(_: &I) {}
    let journal = Journal::new(16).unwrap();
    let mut subscriber = journal.subscribe(Start::Now).unwrap();
    let mut polled = subscriber.try_iter();
    assert_eq!(polled.next(), None);
    journal.publish(7_u64).unwrap();
    assert_eq!(polled.next().and_then(Entry::event), Some(7));
    journal.close();
    let mut blocking = subscriber.iter();
    fused(&blocking);
    assert_eq!((blocking.next(), blocking.next()), (None, None));
    let all = subscriber.into_iter();
    fused(&all);
    assert!(format!("{all:?}").contains("IntoIter"));
}

#[test]
fn recv_batch_appends_entries_after_the_lag() {
    let journal = Journal::new(64).unwrap();
    let mut subscriber = journal.subscribe(Start::Oldest).unwrap();
    journal.publish_batch((0..1000).collect::<Vec<u64>>()).unwrap();
    let mut batch = Vec::new();
    assert_eq!(subscriber.recv_batch(&mut batch, 0), Ok(0));
    assert_eq!(subscriber.recv_batch(&mut batch, 3), Ok(3));
    assert_eq!(batch[0], Entry::Lagged(936));
    assert!(batch.drain(1..).filter_map(Entry::event).eq(936..938));
    assert_eq!(subscriber.recv_batch(&mut batch, usize::MAX), Ok(62));
    assert_eq!(subscriber.try_recv(), Err(TryRecvError::Empty));
    journal.close();
    assert_eq!(subscriber.recv_batch(&mut batch, 1), Err(RecvError::Closed));
    assert_eq!(batch.len(), 63);
}
