//! Reads of events that a run holds: the events stay in the lane, one by one.

use super::{books, channel, lane, push, rest, write};
use buslane::stats::FlushReport;
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Sink};
use loom_tests::{Lives, Steps, Tracked, model, thread};

/// A quarter of this is the longest run: two events.
const CAPACITY: usize = 8;

#[test]
fn close_keeps_the_run_of_a_lane() {
    // Two events are there, and the reader takes them as a run. A close and a third push come at any
    // time: what was accepted is read, in order. Fails when a run holds events above the end that a
    // seal fixes.
    model(|| {
        let (lives, steps) = (Lives::new(3), Steps::new());
        let (channel, mut receiver) = channel(CAPACITY, Overflow::DropNewest);
        let mut lane = lane(&channel);
        assert!(push(&mut lane, lives.value(0)));
        assert!(push(&mut lane, lives.value(1)));
        let (closer, turn) = (channel.clone(), steps.clone());
        let closer = thread::spawn(move || {
            turn.step();
            closer.close();
        });
        let value = lives.value(2);
        let publisher = thread::spawn(move || push(&mut lane, value));
        let got = [receiver.recv(), receiver.recv()].map(|event| event.expect("it was accepted").id());
        assert_eq!(got, [0, 1]);
        closer.join().unwrap();
        let accepted = publisher.join().unwrap();
        assert_eq!(rest(&mut receiver).0.len(), usize::from(accepted));
        assert_eq!(books(&channel).delivered, 2 + u64::from(accepted));
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

/// Reads a run of two events while another thread flushes: a flush that returns has seen the counts.
fn flush_beside_a_run(put: impl Fn(&Channel<Tracked>, &Lives)) {
    let lives = Lives::new(2);
    let (channel, mut receiver) = channel(CAPACITY, Overflow::DropNewest);
    put(&channel, &lives);
    let flusher = channel.clone();
    let flusher = thread::spawn(move || {
        let mut report = FlushReport::default();
        flusher.flush_by(Deadline::NEVER, &mut report);
        assert!(report.is_done());
        assert_eq!(flusher.state().ledger.delivered, 2, "the flush has seen the counts");
    });
    let got = [receiver.recv(), receiver.recv()].map(|event| event.expect("it is there").id());
    assert_eq!(got, [0, 1]);
    flusher.join().unwrap();
    drop((channel, receiver));
    lives.assert_all_dropped();
}

#[test]
fn flush_sees_the_counts_of_a_run_in_a_lane() {
    // Fails when ORD(lane.handled) is Relaxed, or when the count follows the progress.
    model(|| {
        flush_beside_a_run(|channel, lives| {
            let mut lane = lane(channel);
            assert!(push(&mut lane, lives.value(0)) && push(&mut lane, lives.value(1)));
        });
    });
}

#[test]
fn flush_sees_the_counts_of_a_run_in_the_shared_lane() {
    // As above: the progress alone publishes the count. Fails when ORD(lane.handled) is Relaxed, or
    // when the count follows the progress.
    model(|| {
        flush_beside_a_run(|channel, lives| {
            assert!(write(channel, lives.value(0)) && write(channel, lives.value(1)));
        });
    });
}

#[test]
fn freed_slot_of_the_only_consumer_is_empty() {
    // A writer uses the slot that the reader has just freed. Fails when ORD(mpmc.stamp) is Relaxed
    // in `free`: the model sees the write beside the read of the old event.
    model(|| {
        let (lives, steps) = (Lives::new(3), Steps::new());
        let (channel, mut receiver) = channel(2, Overflow::DropNewest);
        assert!(write(&channel, lives.value(0)) && write(&channel, lives.value(1)));
        let (writer, value, turn) = (channel.clone(), lives.value(2), steps.clone());
        let writer = thread::spawn(move || {
            turn.step();
            assert!(write(&writer, value));
        });
        assert_eq!(receiver.recv().expect("it is there").id(), 0);
        writer.join().unwrap();
        channel.close();
        let (got, _) = rest(&mut receiver);
        let ledger = books(&channel);
        assert_eq!(1 + got.len() as u64 + ledger.dropped.full, 3);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn only_consumer_reads_what_a_writer_has_filled() {
    // The reader takes a position as soon as its stamp shows it. Fails when ORD(mpmc.stamp) is
    // Relaxed in `is_filled`.
    model(|| {
        let (lives, steps) = (Lives::new(1), Steps::new());
        let (channel, mut receiver) = channel(CAPACITY, Overflow::DropNewest);
        let (writer, value, turn) = (channel.clone(), lives.value(0), steps.clone());
        let writer = thread::spawn(move || {
            assert!(write(&writer, value));
            turn.step();
        });
        steps.step();
        // The only event: a read before it ends with a fence, which would hide a missing Acquire.
        assert_eq!(receiver.recv().expect("it is written").id(), 0);
        writer.join().unwrap();
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}
