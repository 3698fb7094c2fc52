//! What a queue reports about its workers: since when one is inside the handler, how old the oldest
//! pending event is, and the batches.

use super::{held_queue, lane};
use buslane::queue::Handler;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{BoxError, Channel, Overflow, Queue, Sink, SinkExt, WaitStrategy};
use std::time::Duration;
use test_support::{Log, flush, wait_for};

const ZERO: Option<Duration> = Some(Duration::ZERO);

/// Records the sizes of its batches, and passes a gate at the end of each one.
struct Sizes {
    size: usize,
    sizes: Log<usize>,
    gate: Gate,
}

impl Handler<u64> for Sizes {
    fn handle(&mut self, _: u64) -> Result<(), BoxError> {
        self.size += 1;
        Ok(())
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        self.gate.pass();
        self.sizes.push(std::mem::take(&mut self.size));
        Ok(())
    }
}

/// Returns a queue of batches with at most four events, the log of their sizes, and the gate.
fn sizes() -> (Queue<u64>, Log<usize>, Gate) {
    let (sizes, gate) = (Log::new(), Gate::closed());
    let handler = Sizes { size: 0, sizes: sizes.clone(), gate: gate.clone() };
    (Queue::builder().max_batch(4).spawn_handler(handler).unwrap(), sizes, gate)
}

#[test]
fn first_snapshot_shows_how_long_a_call_lasts() {
    let (queue, gate, _) = held_queue(4, Overflow::Refuse);
    let first = queue.state();
    assert!(first.in_handler_for > ZERO, "the call began before the snapshot: {first:?}");
    assert!(first.oldest_for >= first.in_handler_for, "its event is pending: {first:?}");
    assert!(queue.state().in_handler_for > first.in_handler_for);
    gate.open();
    flush(&queue);
    wait_for(|| queue.state().in_handler_for.is_none());
    assert_eq!(queue.state().oldest_for, None);
}

#[test]
fn second_snapshot_shows_a_call_within_a_round() {
    for wait in [WaitStrategy::nap(), WaitStrategy::BusySpin] {
        let gate = Gate::closed();
        let at = gate.clone();
        let queue = Queue::builder().wait_strategy(wait).spawn(move |_: u64| at.pass()).unwrap();
        let mut entry = lane(&queue);
        (0..3).for_each(|event| entry.push(event, Deadline::NOW).unwrap());
        gate.wait_reached(1);
        gate.permit(1);
        gate.wait_reached(2);
        wait_for(|| queue.state().in_handler_for > ZERO);
        gate.open();
        flush(&queue);
        wait_for(|| queue.state().in_handler_for.is_none());
    }
}

#[test]
fn end_of_a_batch_is_inside_the_handler() {
    let (queue, sizes, gate) = sizes();
    queue.write(1).unwrap();
    gate.wait_reached(1);
    let state = queue.state();
    assert_eq!((state.ledger.delivered, state.ledger.pending, state.oldest_for), (1, 0, None));
    assert!(state.in_handler_for > ZERO, "{state:?}");
    gate.open();
    flush(&queue);
    assert_eq!(sizes.entries()[0], 1);
}

#[test]
fn event_is_not_as_old_as_the_end_of_a_batch() {
    let (queue, _, gate) = sizes();
    queue.write(1).unwrap();
    gate.wait_reached(1);
    wait_for(|| queue.state().in_handler_for > Some(Duration::from_millis(20)));
    queue.write(2).unwrap();
    let state = queue.state();
    assert_eq!((state.ledger.pending, state.oldest_for), (1, ZERO), "{state:?}");
    gate.open();
    flush(&queue);
}

#[test]
fn batches_are_counted_as_the_handler_saw_them() {
    let (queue, sizes, gate) = sizes();
    gate.open();
    let mut entry = lane(&queue);
    for event in 0..1000 {
        entry.push(event, Deadline::NEVER).unwrap();
    }
    assert!(queue.close().is_done());
    let (state, sizes) = (queue.state(), sizes.entries());
    assert_eq!(sizes.iter().sum::<usize>(), 1000);
    assert_eq!(state.batches, sizes.len() as u64);
    assert_eq!(state.largest_batch, sizes.iter().copied().max().unwrap_or(0) as u64);
    assert!(state.largest_batch <= 4 && state.batch_time > Duration::ZERO, "{state:?}");
}

#[test]
fn several_workers_report_together() {
    for ordered in [false, true] {
        let gate = Gate::closed();
        let builder = Queue::builder().workers(2);
        let builder = if ordered { builder.ordered_by(|event: &u64| *event) } else { builder };
        let queue = builder
            .spawn_each(|_| {
                let gate = gate.clone();
                move |_: u64| gate.pass()
            })
            .unwrap();
        (0..100).for_each(|event| queue.write(event).unwrap());
        gate.wait_reached(1);
        let state = queue.state();
        assert!(state.in_handler_for.is_some() && state.oldest_for.is_some(), "{ordered}: {state:?}");
        gate.open();
        assert!(queue.close().is_done());
        let state = queue.state();
        assert_eq!((state.in_handler_for, state.oldest_for), (None, None), "{ordered}");
        assert!((1..=100).contains(&state.batches), "{ordered}: {state:?}");
        assert!((1..=100).contains(&state.largest_batch), "{ordered}: {state:?}");
    }
}

#[test]
fn age_of_unread_events_grows_between_snapshots() {
    let (channel, mut receiver) = Channel::lossy(4).unwrap();
    assert_eq!(channel.state().oldest_for, None);
    channel.write(1).unwrap();
    channel.write(2).unwrap();
    assert_eq!(channel.state().oldest_for, ZERO, "the first snapshot that sees an event begins its age");
    wait_for(|| channel.state().oldest_for > Some(Duration::from_millis(20)));
    receiver.recv().unwrap();
    assert!(channel.state().oldest_for > ZERO, "the second event is as old");
    // Events that are dropped on entry leave the age of the oldest one alone.
    (0..100).for_each(|event| channel.write(event).unwrap());
    assert!(channel.state().oldest_for > ZERO);
    receiver.recv().unwrap();
    assert!(channel.state().oldest_for.is_some());
    receiver.try_iter().for_each(drop);
    assert_eq!(channel.state().oldest_for, None);
    assert_eq!((channel.state().in_handler_for, channel.state().batches), (None, 0));
}

#[test]
fn tee_reports_the_slower_side() {
    let (queue, gate, _) = held_queue(4, Overflow::Refuse);
    let (channel, _receiver) = Channel::lossy(4).unwrap();
    let tee = channel.tee(queue);
    let state = test_support::describe(&tee);
    assert!(state.in_handler_for > ZERO && state.oldest_for > ZERO, "{state:?}");
    gate.open();
}
