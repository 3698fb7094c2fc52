//! A flush waits for the events published before it.

use super::{books, channel, lane, push, rest, write};
use buslane::stats::FlushReport;
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Receiver, Sink};
use loom_tests::{AtomicUsize as Word, Lives, Steps, Tracked, model, model_with, thread};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Starts a reader that passes each event to a slow callback, until it has handled the events of
/// `all`.
fn slow_reader(
    mut receiver: Receiver<Tracked>,
    handled: &Arc<AtomicUsize>,
    all: usize,
    steps: &Steps,
) -> thread::JoinHandle<Receiver<Tracked>> {
    let (handled, steps) = (handled.clone(), steps.clone());
    thread::spawn(move || {
        while handled.load(Ordering::Relaxed) != all {
            let note = |event: Tracked| {
                steps.step();
                handled.fetch_or(1 << event.id(), Ordering::Relaxed);
            };
            if receiver.drain_with(note) == 0 {
                thread::yield_now();
            }
        }
        receiver
    })
}

fn flush(channel: &Channel<Tracked>) {
    let mut report = FlushReport::default();
    channel.flush_by(Deadline::NEVER, &mut report);
    assert!(report.is_done());
}

#[test]
fn flush_waits_for_an_earlier_shared_write() {
    // protocols A7: a flush returns only when every event published before it is handled, despite
    // other publishes meanwhile. Fails when a flush uses counts and not the ring's index, or when
    // ORD(lane.handled) is Relaxed. Held to two preemptions: 28 s.
    model_with(2, || {
        let (lives, steps) = (Lives::new(2), Steps::new());
        let handled = Arc::new(AtomicUsize::new(0));
        let (channel, receiver) = channel(2, Overflow::DropNewest);
        let (writer, value) = (channel.clone(), lives.value(1));
        let other = thread::spawn(move || assert!(write(&writer, value)));
        let reader = slow_reader(receiver, &handled, 0b11, &steps);
        assert!(write(&channel, lives.value(0)));
        flush(&channel);
        assert_eq!(handled.load(Ordering::Relaxed) & 1, 1, "published before the flush and not handled");
        other.join().unwrap();
        drop(reader.join().unwrap());
        drop(channel);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_waits_for_an_unbounded_event_in_hand() {
    // As above, without a ring that shows the reader's progress: an event that the reader is
    // handling is not handled yet. Fails when the target of the flush omits the event in progress.
    model(|| {
        let (lives, steps) = (Lives::new(1), Steps::new());
        let handled = Arc::new(AtomicUsize::new(0));
        let (channel, receiver) = Channel::builder().unbounded().build().expect("no setting");
        assert!(write(&channel, lives.value(0)));
        let reader = slow_reader(receiver, &handled, 0b1, &steps);
        steps.step();
        flush(&channel);
        assert_eq!(handled.load(Ordering::Relaxed), 1, "published before the flush and not handled");
        drop(reader.join().unwrap());
        drop(channel);
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_ignores_an_event_that_close_returns() {
    // A flush does not wait for an event that its publisher takes back because the lane was sealed.
    // Fails when the flush keeps waiting for a tail above the end of the lane.
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let (mut lane, value) = (lane(&channel), lives.value(0));
        let publisher = thread::spawn(move || push(&mut lane, value));
        let flusher = channel.clone();
        let flusher = thread::spawn(move || flush(&flusher));
        receiver.close();
        let (got, _) = rest(&mut receiver);
        flusher.join().unwrap();
        assert_eq!(publisher.join().unwrap(), got == [0]);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn flush_ignores_an_event_evicted_before_close() {
    // A flush does not wait for an event that was evicted by a writer which then found the lane
    // closed. Fails when the flush uses the last position that was read, and not the remaining
    // events.
    model(|| {
        let (lives, steps) = (Lives::new(2), Steps::new());
        let (channel, mut receiver) = channel(1, Overflow::DropOldest);
        assert!(write(&channel, lives.value(0)));
        let (writer, value, turns) = (channel.clone(), lives.value(1), steps.clone());
        let writer = thread::spawn(move || {
            turns.step();
            write(&writer, value)
        });
        steps.step();
        channel.close();
        writer.join().unwrap();
        let _ = rest(&mut receiver);
        flush(&channel);
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

/// Runs a flush of the one event that `put` writes, against its reader.
fn flush_against_its_reader(overflow: Overflow, put: impl FnOnce(&Channel<Tracked>, Tracked)) {
    let (lives, done) = (Lives::new(1), Arc::new(Word::new(0)));
    let (channel, mut receiver) = channel(1, overflow);
    put(&channel, lives.value(0));
    let note = done.clone();
    let reader = thread::spawn(move || {
        assert_eq!(receiver.drain_with(|_| note.store(1, Ordering::Relaxed)), 1);
        receiver
    });
    flush(&channel);
    assert_eq!(done.load(Ordering::Relaxed), 1, "done with the event");
    drop((channel, reader.join().unwrap()));
    lives.assert_all_dropped();
}

#[test]
fn handling_of_a_lane_event_happens_before_flush() {
    // Fails when ORD(lane.handled) is Relaxed in `advance_to` or `handled`.
    model(|| {
        flush_against_its_reader(Overflow::DropNewest, |channel, value| {
            let mut lane = lane(channel);
            assert!(push(&mut lane, value));
        });
    });
}

#[test]
fn handling_of_a_shared_event_happens_before_flush() {
    // Fails when ORD(lane.handled) is Relaxed in `advance_to` or `handled`.
    let put = |channel: &Channel<Tracked>, value| assert!(write(channel, value));
    model(move || flush_against_its_reader(Overflow::DropNewest, put));
}

#[test]
fn handling_of_an_evictable_event_happens_before_flush() {
    // As above, where a flush may also find every event claimed and none in hand. Fails when
    // ORD(lane.handled) or ORD(lane.in_hand) is Relaxed in `done`, or ORD(lane.in_hand) in `in_hand`.
    let put = |channel: &Channel<Tracked>, value| assert!(write(channel, value));
    model(move || flush_against_its_reader(Overflow::DropOldest, put));
}

#[test]
fn flush_ignores_a_refused_unbounded_write() {
    // A flush that starts during a write does not keep waiting for it when the channel closes
    // before the write completes. Fails (deadlock) when a write is counted before the check that
    // may refuse it.
    model_with(2, || {
        let lives = Lives::new(1);
        let (channel, mut receiver) = Channel::builder().unbounded().build().expect("no setting");
        let (writer, value) = (channel.clone(), lives.value(0));
        let writer = thread::spawn(move || write(&writer, value));
        let flushed = channel.clone();
        let flusher = thread::spawn(move || flush(&flushed));
        channel.close();
        let mut accepted = rest(&mut receiver).0.len();
        let is_accepted = writer.join().unwrap();
        // An event that is accepted too late is still read, and the flush waits for it.
        accepted += usize::from(receiver.try_recv().is_ok());
        assert!(accepted <= usize::from(is_accepted));
        flusher.join().unwrap();
        drop((receiver, channel));
        lives.assert_all_dropped();
    });
}

/// Runs a flush that does not wait, against a consumer that takes one event.
fn flush_against_a_shared_receiver(unbounded: bool) {
    let builder = Channel::builder().capacity(1);
    let builder = if unbounded { builder.unbounded() } else { builder };
    let (channel, mut receiver) = builder.build_shared().expect("a small channel");
    channel.write(0).expect("room");
    let flusher = thread::spawn(move || {
        let mut report = FlushReport::default();
        channel.flush_by(Deadline::NOW, &mut report);
        if report.is_done() {
            assert_eq!(channel.state().ledger.delivered, 1, "flushed events are counted");
        }
        channel
    });
    assert_eq!(receiver.try_recv(), Ok(0));
    drop((flusher.join().unwrap(), receiver));
}

#[test]
fn flush_sees_the_counters_of_a_claimed_position() {
    // A flush that relies on the marks finds the event in the ledger. Fails when no mark is set
    // before the claim, or when ORD(member.mark) is Relaxed in `clear_mark` or `mark`.
    model(|| flush_against_a_shared_receiver(false));
}

#[test]
fn flush_sees_the_counters_of_a_counted_claim() {
    // As above, where claims are counted. Fails also when ORD(members.claimed) is Relaxed in
    // `Members::claim`: the flush then sees the count, but not the earlier mark.
    model(|| flush_against_a_shared_receiver(true));
}
