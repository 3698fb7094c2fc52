//! Iterators of receivers, and the read methods that all receivers have.

use buslane::channel::{Exclusive, IntoIter, Iter, Kind, Shared, SharedReceiver, TryIter};
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::{Bus, Channel, Overflow, Receiver, Sink};
use std::iter::FusedIterator;
use std::thread;
use std::time::{Duration, Instant};
use test_support::{GUARD, ends};

fn filled() -> (Channel<u64>, Receiver<u64>) {
    let (channel, receiver) = Channel::lossy(16).unwrap();
    (0..3).for_each(|n| channel.write(n).unwrap());
    (channel, receiver)
}

fn filled_shared() -> (Channel<u64>, SharedReceiver<u64>) {
    let (channel, receiver) = Channel::shared_lossy(16).unwrap();
    (0..3).for_each(|n| channel.write(n).unwrap());
    (channel, receiver)
}

/// Reads with every method that both kinds of receiver have.
fn read_in_every_way<K: Kind>((channel, mut receiver): (Channel<u64>, Receiver<u64, K>)) {
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    (3..10).for_each(|n| channel.write(n).unwrap());
    assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(3), Ok(4)));
    assert_eq!(receiver.recv_timeout(GUARD), Ok(5));
    assert_eq!(receiver.recv_deadline(Instant::now()), Ok(6));
    let mut batch = Vec::new();
    assert_eq!(receiver.recv_batch(&mut batch, 0), Ok(0));
    assert_eq!(receiver.recv_batch(&mut batch, 2), Ok(2));
    assert_eq!(receiver.recv_batch(&mut batch, 9), Ok(1));
    assert_eq!(batch, [7, 8, 9]);
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    channel.write(10).unwrap();
    assert_eq!((&mut receiver).into_iter().next(), Some(10));
    channel.close();
    assert_eq!(receiver.recv_batch(&mut batch, 9), Err(RecvError::Closed));
    assert_eq!(receiver.into_iter().next(), None);
}

#[test]
fn both_receivers_read_in_every_way() {
    read_in_every_way(filled());
    read_in_every_way(filled_shared());
}

#[test]
fn for_loops_take_receivers_by_value_and_by_reference() {
    let (channel, mut receiver) = filled();
    let (shared, other) = filled_shared();
    channel.close();
    shared.close();
    let mut seen = Vec::new();
    for n in &mut receiver {
        seen.push(n);
        if n == 1 {
            break;
        }
    }
    for n in receiver {
        seen.push(n);
    }
    for n in other {
        seen.push(n);
    }
    assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn iterator_types_are_public_and_declare_fused() {
    fn fused<I: FusedIterator>(_: &I) {}
    let (channel, mut receiver) = filled();
    let mut drain = receiver.drain();
    fused(&drain);
    assert_eq!((drain.next(), format!("{drain:?}").contains("Drain")), (Some(0), true));
    drop(drain);
    let mut polled: TryIter<'_, u64> = receiver.try_iter();
    assert_eq!((polled.next(), polled.next(), polled.next()), (Some(1), Some(2), None));
    channel.write(3).unwrap();
    assert_eq!(polled.next(), Some(3), "the iterator continues with later events");
    channel.close();
    let blocking: Iter<'_, u64, Exclusive> = receiver.iter();
    fused(&blocking);
    let all: IntoIter<u64, Shared> = filled_shared().1.into_iter();
    fused(&all);
    assert!(format!("{all:?}").contains("SharedReceiver"));
}

#[test]
fn drain_stays_at_its_end() {
    let (channel, mut receiver) = filled();
    let mut drain = receiver.drain();
    assert_eq!(drain.by_ref().count(), 3);
    channel.write(9).unwrap();
    assert_eq!((drain.next(), drain.next()), (None, None));
    assert_eq!(receiver.try_recv(), Ok(9));
}

#[test]
fn dropping_an_iterator_by_value_drops_the_receiver() {
    let (channel, receiver) = filled();
    let mut events = receiver.into_iter();
    assert_eq!(events.next(), Some(0));
    drop(events);
    assert!(channel.write(9).is_err_and(|error| error.is_closed()));
    assert_eq!(channel.state().ledger.dropped.receiver_dropped, 2);
}

#[test]
fn a_lossless_channel_waits_and_a_lossy_one_drops() {
    let (lossy, receiver) = Channel::lossy(1).unwrap();
    (0..3).for_each(|n| lossy.write(n).unwrap());
    assert_eq!((receiver.len(), receiver.lost()), (1, 2));
    let (lossless, receiver) = Channel::lossless(1).unwrap();
    let reader = thread::spawn(move || receiver.into_iter().collect::<Vec<u64>>());
    (0..100).for_each(|n| lossless.write(n).unwrap());
    lossless.close();
    assert!(ends(move || reader.join().unwrap()).into_iter().eq(0..100));
}

#[test]
fn a_bus_subscribes_with_loss_or_without() {
    let bus = Bus::new();
    let lossy = bus.subscribe_lossy(1).unwrap();
    let lossless = bus.subscribe_lossless(1).unwrap();
    let reader = thread::spawn(move || lossless.into_iter().count());
    (0..50).for_each(|n| _ = bus.publish(n).unwrap());
    assert!(bus.close().is_done());
    assert_eq!(ends(move || reader.join().unwrap()), 50);
    assert_eq!((lossy.len(), lossy.lost()), (1, 49));
    assert!(bus.subscribe_lossy(0).is_err() && bus.subscribe_lossless(0).is_err());
}

#[test]
fn closing_overflow_returns_its_own_error() {
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Close).build().unwrap();
    channel.write(1).unwrap();
    assert!(channel.write(2).is_err_and(|error| error.is_closed()));
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(
        (receiver.recv(), receiver.try_recv()),
        (Err(RecvError::Overflowed), Err(TryRecvError::Overflowed))
    );
    assert_eq!(receiver.recv_timeout(GUARD), Err(RecvTimeoutError::Overflowed));
    assert_eq!(RecvError::Overflowed.to_string(), "the channel overflowed and was closed");
}
