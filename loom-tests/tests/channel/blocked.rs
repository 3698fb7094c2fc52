//! Publishers that wait for room.

use super::{books, channel, lane, push, rest, write};
use buslane::Overflow;
use buslane::error::RecvError;
use loom_tests::{Lives, model, thread};

#[test]
fn recv_wakes_a_blocked_lane() {
    // The reader that makes room wakes the waiting publisher, and the event wakes the reader. Fails
    // when a fence of `WaitList::notify`, `WaitList::wait_until` or the wait cell is missing.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(1, Overflow::Block);
        let (mut lane, values) = (lane(&channel), lives.clone());
        let publisher = thread::spawn(move || {
            assert!(push(&mut lane, values.value(0)));
            assert!(push(&mut lane, values.value(1)));
        });
        assert_eq!(receiver.recv().expect("open").id(), 0);
        assert_eq!(receiver.recv().expect("open").id(), 1);
        publisher.join().unwrap();
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn recv_wakes_a_blocked_writer() {
    // As above, on the shared lane.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(1, Overflow::Block);
        let (writer, values) = (channel.clone(), lives.clone());
        let publisher = thread::spawn(move || {
            assert!(write(&writer, values.value(0)));
            assert!(write(&writer, values.value(1)));
        });
        assert_eq!(receiver.recv().expect("open").id(), 0);
        assert_eq!(receiver.recv().expect("open").id(), 1);
        publisher.join().unwrap();
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_releases_a_blocked_lane() {
    // A close releases a publisher that waits for room, and returns its event; accepted events are
    // read. Fails when the seal does not notify, or when a fence is missing.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(1, Overflow::Block);
        let (mut lane, values) = (lane(&channel), lives.clone());
        assert!(push(&mut lane, lives.value(0)));
        let publisher = thread::spawn(move || push(&mut lane, values.value(1)));
        channel.close();
        assert!(!publisher.join().unwrap());
        assert_eq!(rest(&mut receiver), (vec![0], RecvError::Closed));
        assert_eq!(books(&channel).refused.closed, 1);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_releases_a_blocked_writer() {
    // As above, on the shared lane.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(1, Overflow::Block);
        let (writer, values) = (channel.clone(), lives.clone());
        assert!(write(&channel, lives.value(0)));
        let publisher = thread::spawn(move || write(&writer, values.value(1)));
        channel.close();
        assert!(!publisher.join().unwrap());
        assert_eq!(rest(&mut receiver), (vec![0], RecvError::Closed));
        assert_eq!(books(&channel).refused.closed, 1);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn dropped_receiver_releases_a_blocked_lane() {
    // As above, when the receiver is dropped: the publisher is released, and the events that it has
    // pushed count as dropped with the receiver.
    model(|| {
        let lives = Lives::new(2);
        let (channel, receiver) = channel(1, Overflow::Block);
        let (mut lane, values) = (lane(&channel), lives.clone());
        let publisher =
            thread::spawn(move || (0..2).filter(|id| push(&mut lane, values.value(*id))).count() as u64);
        drop(receiver);
        let accepted = publisher.join().unwrap();
        let books = books(&channel);
        assert_eq!((books.dropped.receiver_dropped, books.refused.closed), (accepted, 2 - accepted));
        lives.assert_all_dropped();
    });
}
