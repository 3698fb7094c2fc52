//! Queries of a receiver have no side effect: they allocate nothing, start no timer, and count
//! exactly.

use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Queue, Receiver, Sink};
use std::time::Duration;
use test_support::heap::{Heap, heap_of};
use test_support::{Entry, WAYS, lane};

/// Runs every query of a receiver, and asserts that none uses the heap.
#[track_caller]
fn asked(receiver: &Receiver<u64>) -> (usize, bool, u64) {
    let (heap, answers) = heap_of(|| (receiver.len(), receiver.is_empty(), receiver.lost()));
    assert_eq!(heap, Heap::default(), "a query allocated");
    answers
}

#[test]
fn receiver_queries_start_no_backlog_timer() {
    let (channel, receiver) = Channel::builder().capacity(4).build().unwrap();
    let (shared, other) = Channel::builder().capacity(4).build_shared().unwrap();
    (0..3).for_each(|n| channel.write(n).unwrap());
    (0..3).for_each(|n| shared.write(n).unwrap());
    assert_eq!(asked(&receiver), (3, false, 0));
    let (heap, answers) = heap_of(|| (other.len(), other.is_empty(), other.lost()));
    assert_eq!((heap, answers), (Heap::default(), (3, false, 0)));
    let texts = format!("{channel:?} {receiver:?} {shared:?} {other:?}");
    assert!(texts.contains("len: 3"), "{texts}");
    // The first snapshot that sees a backlog starts its timer.
    assert_eq!(receiver.state().backlog_for, Some(Duration::ZERO));
    assert_eq!(other.state().backlog_for, Some(Duration::ZERO));
}

#[test]
fn debug_of_a_queue_starts_no_backlog_timer() {
    let gate = Gate::closed();
    let held = gate.clone();
    let queue = Queue::builder().spawn(move |_: u64| held.pass()).unwrap();
    (0..3).for_each(|n| queue.write(n).unwrap());
    assert!(format!("{queue:?}").contains("len: 3"));
    assert_eq!(queue.state().backlog_for, Some(Duration::ZERO));
    gate.open();
}

#[test]
fn len_counts_lanes_before_the_first_read() {
    let (channel, mut receiver) = Channel::builder().capacity(4).build().unwrap();
    let mut one = lane(&channel);
    one.push(1, Deadline::NOW).unwrap();
    assert_eq!(asked(&receiver), (1, false, 0));
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(asked(&receiver), (0, true, 0));
    // Adds another lane after a read; the first lane is dropped with an event in it.
    let mut other = lane(&channel);
    other.push(2, Deadline::NOW).unwrap();
    one.push(3, Deadline::NOW).unwrap();
    drop(one);
    assert_eq!(asked(&receiver), (2, false, 0));
    channel.write(4).unwrap();
    assert_eq!(asked(&receiver), (3, false, 0));
    channel.close();
    assert_eq!(asked(&receiver), (3, false, 0));
    assert_eq!(receiver.iter().count(), 3);
    assert_eq!(asked(&receiver), (0, true, 0));
}

#[test]
fn lost_counts_dropped_lanes() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let (channel, mut receiver) = Channel::builder().capacity(1).overflow(overflow).build().unwrap();
        for round in 1..=40 {
            let mut lane = lane(&channel);
            (0..3).for_each(|n| lane.push(n, Deadline::NOW).unwrap());
            assert_eq!(asked(&receiver), (1, false, 2 * round), "{overflow:?}");
            drop(lane);
            assert_eq!(receiver.drain().count(), 1);
            assert_eq!(asked(&receiver), (0, true, 2 * round), "{overflow:?}");
            assert_eq!(receiver.lost(), receiver.state().ledger.dropped.total());
        }
    }
}

#[test]
fn queries_agree_with_the_state() {
    for (way, unbounded) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let builder = Channel::builder().capacity(4);
        let (channel, mut receiver) = if unbounded { builder.unbounded() } else { builder }.build().unwrap();
        let mut entry = Entry::into(&channel, way);
        for n in 0..6 {
            entry.write(n).unwrap();
            let state = receiver.state();
            let lost = state.ledger.dropped.full + state.ledger.dropped.evicted;
            assert_eq!(asked(&receiver), (state.depth as usize, state.depth == 0, lost), "{way:?}");
        }
        while receiver.try_recv().is_ok() {
            assert_eq!(receiver.len() as u64, receiver.state().depth);
        }
    }
}
