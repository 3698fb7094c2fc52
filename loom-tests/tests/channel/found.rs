//! A read finds every event whose write returned before the read began, even after a position that
//! another writer has claimed and not filled yet.

use super::tasks::recv_as_task;
use super::{books, channel, lane, push, rest, write};
use buslane::stats::FlushReport;
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Receiver, Sink};
use loom_tests::{AtomicUsize, Ordering};
use loom_tests::{Lives, Steps, Tracked, before, model, model_with, over, thread};
use std::sync::Arc;

/// Runs two writers of one event each, and a reader that reads until `read` finds nothing, after
/// the second writer's call has returned.
fn two_writers(overflow: Overflow, read: fn(&mut Receiver<Tracked>) -> Option<Tracked>) {
    let lives = Lives::new(2);
    let (channel, mut receiver) = channel(2, overflow);
    let returned = Arc::new(AtomicUsize::new(0));
    let writers = [0, 1].map(|id| {
        let (channel, value, returned) = (channel.clone(), lives.value(id), returned.clone());
        thread::spawn(move || {
            assert!(write(&channel, value));
            returned.fetch_or(1 << id, Ordering::Release);
        })
    });
    let before = returned.load(Ordering::Acquire);
    let mut got = 0;
    while let Some(event) = read(&mut receiver) {
        got |= 1 << event.id();
    }
    assert_eq!(before & !got, 0, "written before the read, but not found: {before:b}, {got:b}");
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    channel.close();
    let (later, _) = rest(&mut receiver);
    let all = later.iter().fold(got, |all, id| all | 1 << id);
    assert_eq!(all, 0b11);
    let _ = books(&channel);
    drop((channel, receiver));
    lives.assert_all_dropped();
}

#[test]
fn try_recv_finds_every_earlier_write() {
    // Fails when `Ring::has_written` does not wait for the writer of the oldest position.
    model_with(2, || two_writers(Overflow::DropNewest, |receiver| receiver.try_recv().ok()));
}

#[test]
fn drain_finds_every_earlier_write() {
    // As above, where an iterator takes the available events.
    model_with(2, || two_writers(Overflow::DropNewest, |receiver| receiver.drain().next()));
}

/// Runs two writers of one event each, and a reader that takes both and parks in between.
fn two_writers_against_parks(recv: fn(&mut Receiver<Tracked>) -> usize) {
    let (lives, steps) = (Lives::new(2), Steps::new());
    let (channel, mut receiver, writers) = before(|| {
        let (channel, receiver) = channel(2, Overflow::DropNewest);
        let writers = [0, 1].map(|id| {
            let (channel, value, steps) = (channel.clone(), lives.value(id), steps.clone());
            thread::spawn(move || {
                steps.step();
                assert!(write(&channel, value));
                channel
            })
        });
        (channel, receiver, writers)
    });
    assert_eq!(recv(&mut receiver) + recv(&mut receiver), 1);
    over();
    drop((writers.map(|writer| writer.join().unwrap()), channel, receiver));
    lives.assert_all_dropped();
}

#[test]
fn write_into_a_gap_wakes_a_parked_receiver() {
    // A receiver that parks at an empty position also takes the event after it, once that position
    // is filled. Fails when `Mailbox::write` does not wake.
    model(|| two_writers_against_parks(|receiver| receiver.recv().expect("open").id()));
}

#[test]
fn write_into_a_gap_wakes_a_pending_task() {
    // As above, for a task.
    model(|| {
        two_writers_against_parks(|receiver| {
            recv_as_task(|context| receiver.poll_recv(context)).expect("open")
        });
    });
}

#[test]
fn drain_with_finds_every_earlier_write() {
    // As above, where a callback gets the events. Fails when `scan_written` scans as a worker does.
    model_with(2, || {
        two_writers(Overflow::DropNewest, |receiver| {
            let mut found = None;
            // At most a quarter of the capacity of a lane, which is one event here.
            receiver.drain_with(|event| assert!(found.replace(event).is_none(), "one"));
            found
        });
    });
}

#[test]
fn seal_in_progress_hides_no_earlier_push() {
    // A reader that arrives between the mark and the end of a seal finds every event pushed before
    // it. Fails when the reader does not complete the seal itself.
    model_with(2, || {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let mut lane = lane(&channel);
        assert!(push(&mut lane, lives.value(0)));
        let sealer = channel.clone();
        let sealer = thread::spawn(move || sealer.close());
        let event = receiver.try_recv().expect("written before the read");
        assert_eq!(event.id(), 0);
        sealer.join().unwrap();
        drop((event, lane));
        assert!(receiver.recv().is_err());
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

/// Runs a flush of the one event that `make`'s channel holds, against a `recv` that takes it.
fn flush_against_recv(make: fn() -> (Channel<Tracked>, Receiver<Tracked>), private: bool) {
    let lives = Lives::new(1);
    let (channel, mut receiver) = make();
    let lane = private.then(|| {
        let mut lane = lane(&channel);
        assert!(push(&mut lane, lives.value(0)));
        lane
    });
    if lane.is_none() {
        assert!(write(&channel, lives.value(0)));
    }
    let reader = thread::spawn(move || {
        let event = receiver.recv().expect("open");
        drop(event);
        receiver
    });
    let mut report = FlushReport::default();
    channel.flush_by(Deadline::NEVER, &mut report);
    assert!(report.is_done());
    // The event has left the ring, and is in the counters.
    let books = books(&channel);
    assert_eq!((books.accepted, books.delivered, books.pending), (1, 1, 0));
    drop((lane, channel, reader.join().unwrap()));
    lives.assert_all_dropped();
}

#[test]
fn flush_waits_for_a_recv_of_the_shared_lane() {
    // A flush does not return while a `recv` copies the event out. Fails when `Reader::claim` does
    // not announce the claim.
    model(|| flush_against_recv(|| channel(1, Overflow::DropNewest), false));
}

#[test]
fn flush_waits_for_a_recv_of_an_evicting_lane() {
    // As above.
    model(|| flush_against_recv(|| channel(1, Overflow::DropOldest), true));
}

#[test]
fn flush_waits_for_a_recv_of_an_unbounded_channel() {
    // As above, where the flush relies on the count of taken events.
    model(|| flush_against_recv(|| Channel::builder().unbounded().build().expect("no setting"), false));
}
