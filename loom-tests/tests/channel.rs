//! A channel: lanes, the shared lane, its reader, its end.

use buslane::{
    Channel, Deadline, DropReason, FlushReport, Lane, Ledger, Overflow, Patience, Receiver, RecvError,
    Signal, Sink, TryRecvError, WaitStrategy, WriteError,
};
use loom_tests::{Lives, Steps, Task, Tracked, model, model_with, thread};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

fn channel(capacity: usize, overflow: Overflow) -> (Channel<Tracked>, Receiver<Tracked>) {
    Channel::builder()
        .capacity(capacity)
        .overflow(overflow)
        .wait(WaitStrategy::Park)
        .build()
        .expect("a small channel")
}

fn lane(channel: &Channel<Tracked>) -> Lane<Tracked> {
    channel.lane().expect("memory").expect("a channel gives out lanes")
}

/// What a write came to: `true` for `Ok`; the event of `Closed` is the one that was given.
fn settled(outcome: Result<(), WriteError<Tracked>>, id: usize) -> bool {
    match outcome {
        Ok(()) => true,
        Err(WriteError::Closed(back)) => {
            assert_eq!(back.id(), id, "the event that comes back");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn push(lane: &mut Lane<Tracked>, value: Tracked) -> bool {
    let id = value.id();
    settled(lane.push(value, Patience::Wait), id)
}

fn write(channel: &Channel<Tracked>, value: Tracked) -> bool {
    let id = value.id();
    settled(channel.write(value), id)
}

/// Everything up to the end of the stream, sorted, and how it ended.
fn rest(receiver: &mut Receiver<Tracked>) -> (Vec<usize>, RecvError) {
    let mut got = Vec::new();
    loop {
        match receiver.recv() {
            Ok(value) => got.push(value.id()),
            Err(end) => {
                got.sort_unstable();
                return (got, end);
            }
        }
    }
}

/// The books, which add up.
fn books(channel: &Channel<Tracked>) -> Ledger {
    let ledger = channel.state().ledger;
    ledger.check().expect("the books add up");
    ledger
}

#[test]
fn lane_push_against_a_parked_recv() {
    // A push finds the reader parked and wakes it, or the reader finds the event: no deadlock. Fails when the fence of
    // `Lane::push` or that of `WaitCell::park_unless` is missing, or ORD(spsc.tail) is Relaxed.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(2, Overflow::DropNewest);
        let (mut lane, values) = (lane(&channel), lives.clone());
        let publisher = thread::spawn(move || {
            assert!(push(&mut lane, values.value(0)));
            assert!(push(&mut lane, values.value(1)));
        });
        assert_eq!(receiver.recv().expect("open").id(), 0);
        assert_eq!(receiver.recv().expect("open").id(), 1);
        publisher.join().unwrap();
        assert_eq!(books(&channel).delivered, 2);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn lane_added_while_the_reader_parks() {
    // protocols A10: a reader that is about to park finds the new lane, or is woken by the first push into it. Fails when
    // `has_work` does not read the generation again, or a fence is missing (ORD(inbox.generation)).
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let (adder, values) = (channel.clone(), lives.clone());
        let publisher = thread::spawn(move || {
            let mut lane = lane(&adder);
            assert!(push(&mut lane, values.value(0)));
        });
        assert_eq!(receiver.recv().expect("open").id(), 0);
        publisher.join().unwrap();
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn shared_write_against_a_parked_recv() {
    // As for a lane, through the shared lane. Fails when the fence of `Inbox::write` is missing.
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let (writer, values) = (channel.clone(), lives.clone());
        let publisher = thread::spawn(move || assert!(write(&writer, values.value(0))));
        assert_eq!(receiver.recv().expect("open").id(), 0);
        publisher.join().unwrap();
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_against_lane_push() {
    // `Ok` means read, `Closed` gives the event back and it is not read. Fails when the fence of `Lane::push` or the heavy
    // one of the seal is missing (ORD(spsc.fin)).
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(2, Overflow::DropNewest);
        let (mut lane, values) = (lane(&channel), lives.clone());
        let publisher =
            thread::spawn(move || (0..2).filter(|id| push(&mut lane, values.value(*id))).collect::<Vec<_>>());
        channel.close();
        let (got, end) = rest(&mut receiver);
        assert_eq!(end, RecvError::Closed);
        assert_eq!(publisher.join().unwrap(), got);
        let books = books(&channel);
        assert_eq!((books.delivered, books.refused.closed), (got.len() as u64, 2 - got.len() as u64));
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_against_lane_push_and_recv() {
    // As above, with the reader at work on a thread of its own, which may find the lane half sealed. Fails when a consumer
    // that finds a lane being sealed trusts a tail that it read before. Two preemptions.
    model_with(2, || {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let (mut lane, value) = (lane(&channel), lives.value(0));
        let publisher = thread::spawn(move || push(&mut lane, value));
        let reader = thread::spawn(move || rest(&mut receiver));
        channel.close();
        let accepted = publisher.join().unwrap();
        let (got, end) = reader.join().unwrap();
        assert_eq!(end, RecvError::Closed);
        assert_eq!(got.len(), usize::from(accepted));
        let _ = books(&channel);
        drop(channel);
        lives.assert_all_dropped();
    });
}

#[test]
fn lane_added_against_close() {
    // A lane that is made while the channel closes is sealed with it or from its start. Fails when `lane` does not look at
    // `sealed` under the lock of the book.
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let (adder, values) = (channel.clone(), lives.clone());
        let publisher = thread::spawn(move || {
            let mut lane = lane(&adder);
            push(&mut lane, values.value(0))
        });
        channel.close();
        let (got, _) = rest(&mut receiver);
        assert_eq!(publisher.join().unwrap(), got == [0]);
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn dropped_receiver_against_lane_push() {
    // Nothing leaks: `Ok` means counted as disconnected, `Closed` gives the event back. Fails when the fence of `Lane::push`
    // or the heavy one of the seal is missing.
    model(|| {
        let lives = Lives::new(2);
        let (channel, receiver) = channel(2, Overflow::DropNewest);
        let (mut lane, values) = (lane(&channel), lives.clone());
        let publisher =
            thread::spawn(move || (0..2).filter(|id| push(&mut lane, values.value(*id))).count() as u64);
        drop(receiver);
        let accepted = publisher.join().unwrap();
        let books = books(&channel);
        assert_eq!((books.dropped.disconnected, books.refused.closed), (accepted, 2 - accepted));
        assert_eq!(books.pending, 0);
        lives.assert_all_dropped();
    });
}

#[test]
fn dropped_receiver_against_a_lane_that_goes() {
    // The lane's publisher lets go while the reader gives up the lane: every event is dropped once, with its reason. Fails
    // when ORD(lane.released) or ORD(spsc.fin) in `Producer::end` is Relaxed.
    model(|| {
        let lives = Lives::new(1);
        let (channel, receiver) = channel(1, Overflow::DropNewest);
        let (mut lane, value) = (lane(&channel), lives.value(0));
        let publisher = thread::spawn(move || {
            let accepted = push(&mut lane, value);
            drop(lane);
            accepted
        });
        drop(receiver);
        let accepted = publisher.join().unwrap();
        assert_eq!(books(&channel).dropped.disconnected, u64::from(accepted));
        assert_eq!(channel.state().lanes, 0, "a lane that is over is folded in");
        lives.assert_all_dropped();
    });
}

#[test]
fn a_lane_that_goes_against_a_parked_recv() {
    // A lane's drop wakes the reader, which ends the lane and takes what is in it; the last handle's drop ends the stream.
    // Fails when `PrivateLane::drop` or the seal does not wake.
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let (mut lane, value) = (lane(&channel), lives.value(0));
        let publisher = thread::spawn(move || {
            assert!(push(&mut lane, value));
            drop(lane);
            drop(channel);
        });
        assert_eq!(rest(&mut receiver), (vec![0], RecvError::Closed));
        publisher.join().unwrap();
        drop(receiver);
        lives.assert_all_dropped();
    });
}

#[test]
fn overflow_disconnects_against_recv() {
    // The publisher that overflows cuts the channel off: what was accepted is read, the one that overflowed comes back.
    // Fails when `Full` is seen although the reader's pop happened before, or when the seal loses an accepted event.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(1, Overflow::Disconnect);
        let (mut lane, values) = (lane(&channel), lives.clone());
        let publisher = thread::spawn(move || {
            let accepted: Vec<_> = (0..2).filter(|id| push(&mut lane, values.value(*id))).collect();
            accepted
        });
        let first = receiver.recv();
        let accepted = publisher.join().unwrap();
        assert_eq!(first.expect("the first event is accepted").id(), 0);
        channel.close();
        let (got, end) = rest(&mut receiver);
        assert_eq!(got.len() + 1, accepted.len());
        assert_eq!(end, if accepted.len() == 2 { RecvError::Closed } else { RecvError::Disconnected });
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn overflow_disconnects_against_another_publisher() {
    // One publisher's overflow seals the other's lane: its `Ok` means read. Fails as a close does. Two preemptions.
    model_with(2, || {
        let lives = Lives::new(3);
        let (channel, mut receiver) = channel(1, Overflow::Disconnect);
        let (mut overflowing, mut other) = (lane(&channel), lane(&channel));
        let values = lives.clone();
        assert!(push(&mut overflowing, lives.value(0)));
        let first = thread::spawn(move || assert!(!push(&mut overflowing, values.value(1))));
        let values = lives.clone();
        let second = thread::spawn(move || push(&mut other, values.value(2)));
        first.join().unwrap();
        let accepted = second.join().unwrap();
        let (got, end) = rest(&mut receiver);
        assert_eq!(got, if accepted { vec![0, 2] } else { vec![0] });
        assert_eq!(end, RecvError::Disconnected);
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn two_writers_on_the_shared_lane_against_close() {
    // protocols A2: the closed bit is in the tail, so `Ok` means read. Fails when the ring's close is a flag beside it
    // (ORD(mpmc.tail)). Two preemptions.
    model_with(2, || {
        let (lives, steps) = (Lives::new(2), Steps::new());
        let (channel, mut receiver) = channel(2, Overflow::DropNewest);
        let writers = [0, 1].map(|id| {
            let (channel, value, steps) = (channel.clone(), lives.value(id), steps.clone());
            thread::spawn(move || {
                steps.step();
                write(&channel, value).then_some(id)
            })
        });
        steps.step();
        channel.close();
        let (got, end) = rest(&mut receiver);
        assert_eq!(end, RecvError::Closed);
        let accepted: Vec<_> = writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect();
        assert_eq!(got, accepted);
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn shared_write_against_a_dropped_receiver() {
    // A writer that has claimed its place and not filled it when the receiver goes is waited for: nothing leaks. Fails when
    // `abandon` ends before the ring is empty.
    model(|| {
        let (lives, steps) = (Lives::new(1), Steps::new());
        let (channel, receiver) = channel(1, Overflow::DropNewest);
        let (writer, value, turns) = (channel.clone(), lives.value(0), steps.clone());
        let writer = thread::spawn(move || {
            turns.step();
            write(&writer, value)
        });
        steps.step();
        drop(receiver);
        let accepted = writer.join().unwrap();
        assert_eq!(books(&channel).dropped.disconnected, u64::from(accepted));
        lives.assert_all_dropped();
    });
}

#[test]
fn blocked_lane_against_recv() {
    // A publisher that waits for room is woken by the reader that makes it, and the reader by the event. Fails when a fence
    // of `WaitList::notify`, `WaitList::wait_until` or the wait cell is missing.
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
fn blocked_writer_against_recv() {
    // As above, on the shared lane. Two preemptions.
    model_with(2, || {
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
fn blocked_lane_against_close() {
    // A publisher that waits for room is let go by a close and gets its event back; what was accepted is read. Fails when
    // the seal does not notify, or a fence is missing.
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
fn blocked_writer_against_close() {
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
fn blocked_lane_against_a_dropped_receiver() {
    // As above, when the reader goes: the publisher is let go, and what it had put in counts as disconnected.
    model(|| {
        let lives = Lives::new(2);
        let (channel, receiver) = channel(1, Overflow::Block);
        let (mut lane, values) = (lane(&channel), lives.clone());
        let publisher =
            thread::spawn(move || (0..2).filter(|id| push(&mut lane, values.value(*id))).count() as u64);
        drop(receiver);
        let accepted = publisher.join().unwrap();
        let books = books(&channel);
        assert_eq!((books.dropped.disconnected, books.refused.closed), (accepted, 2 - accepted));
        lives.assert_all_dropped();
    });
}

/// `pushes` pushes into a channel that drops the oldest, against `looks` looks: the books are exact.
fn drop_oldest(pushes: usize, looks: usize, shared: bool) {
    let (lives, steps) = (Lives::new(pushes), Steps::new());
    let evicted = Arc::new(Mutex::new(Vec::new()));
    let hook = evicted.clone();
    let (channel, mut receiver) = Channel::builder()
        .capacity(1)
        .overflow(Overflow::DropOldest)
        .on_drop(move |event: Tracked, reason| hook.lock().unwrap().push((event.id(), reason)))
        .build()
        .expect("a small channel");
    let mut lane = lane(&channel);
    let (writer, values, turns) = (channel.clone(), lives.clone(), steps.clone());
    let publisher = thread::spawn(move || {
        for id in 0..pushes {
            turns.step();
            let value = values.value(id);
            assert!(if shared { write(&writer, value) } else { push(&mut lane, value) });
        }
    });
    let mut got = Vec::new();
    for _ in 0..looks {
        steps.step();
        match receiver.try_recv() {
            Ok(value) => got.push(value.id()),
            Err(end) => assert_eq!(end, TryRecvError::Empty),
        }
    }
    publisher.join().unwrap();
    channel.close();
    got.extend(rest(&mut receiver).0);
    assert!(got.is_sorted(), "first in, first out");
    let dropped = evicted.lock().unwrap();
    let books = books(&channel);
    let evictions = dropped.iter().filter(|(_, reason)| *reason == DropReason::Evicted).count();
    assert_eq!((books.accepted, books.delivered), (pushes as u64, got.len() as u64));
    assert_eq!(books.dropped.evicted, evictions as u64);
    assert_eq!(books.dropped.full, (dropped.len() - evictions) as u64);
    drop(dropped);
    drop((channel, receiver));
    lives.assert_all_dropped();
}

#[test]
fn drop_oldest_in_a_lane_keeps_exact_books() {
    // accepted = delivered + evicted + dropped, and the hook is told of each. Fails when ORD(mpmc.stamp) is Relaxed, or
    // when an eviction is counted by whoever did not do it.
    model(|| drop_oldest(2, 2, false));
}

#[test]
fn drop_oldest_on_the_shared_lane_keeps_exact_books() {
    // As above, on the shared lane.
    model(|| drop_oldest(2, 2, true));
}

#[test]
fn close_against_two_evicting_writers() {
    // A writer that evicts the last event and then finds the channel closed wakes nobody, and still the reader sees the end.
    // Fails when a reader parks although its shared lane has ended: `has_work` must ask for that too.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(1, Overflow::DropOldest);
        let writers = [0, 1].map(|id| {
            let (channel, value) = (channel.clone(), lives.value(id));
            thread::spawn(move || write(&channel, value))
        });
        // Here the writers take their turn without a preemption.
        thread::yield_now();
        channel.close();
        let (got, end) = rest(&mut receiver);
        assert_eq!(end, RecvError::Closed);
        let accepted = writers.into_iter().filter_map(|writer| writer.join().unwrap().then_some(())).count();
        let books = books(&channel);
        assert_eq!((books.accepted, books.delivered), (accepted as u64, got.len() as u64));
        assert_eq!(books.pending, 0);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

/// A reader that hands each event to a callback, which takes its time, until it has seen those of `all`.
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
    channel.signal(&mut Signal::Flush(Deadline::NEVER, &mut report));
    assert!(report.is_done());
}

#[test]
fn flush_against_publish_on_the_shared_lane() {
    // protocols A7: a flush returns only when what was published before it was handled, whoever else publishes meanwhile.
    // Fails when a flush goes by counts and not by the ring's index, or ORD(lane.handled) is Relaxed. Two preemptions.
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
fn flush_of_an_unbounded_channel() {
    // As above, where no ring says how far the reader is: an event in its hands is not handled yet. Fails when the target
    // of the flush leaves out the event in hand.
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
fn flush_against_close_and_push() {
    // A flush does not wait for an event that its publisher takes back because the lane was sealed. Fails when the flush
    // goes on waiting for a tail above the end of the lane. Two preemptions.
    model_with(2, || {
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
fn flush_against_close_and_eviction() {
    // A flush does not wait for an event that was pushed out by one which then found the lane closed. Fails when the flush
    // goes by the last position that was read, and not by what is left.
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

/// The next event, asked for as a task.
fn recv_as_task(receiver: &mut Receiver<Tracked>) -> Result<usize, RecvError> {
    let (task, waker) = Task::new();
    loop {
        match receiver.poll_recv(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome.map(|event| event.id()),
            Poll::Pending => task.sleep(),
        }
    }
}

#[test]
fn lane_push_against_a_task() {
    // A task that waits is woken by the push, or finds the event. Fails when the fence of `Lane::push` or of
    // `WaitCell::register` is missing.
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let (mut lane, value) = (lane(&channel), lives.value(0));
        let publisher = thread::spawn(move || assert!(push(&mut lane, value)));
        assert_eq!(recv_as_task(&mut receiver), Ok(0));
        publisher.join().unwrap();
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_against_a_task() {
    // A task that waits is told of the end. Fails when the seal does not wake, or its wake has no fence.
    model(|| {
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let closer = channel.clone();
        let closer = thread::spawn(move || closer.close());
        assert_eq!(recv_as_task(&mut receiver), Err(RecvError::Closed));
        closer.join().unwrap();
    });
}

#[test]
fn unbounded_write_against_a_dropped_receiver() {
    // The unbounded lane has no exact close, and exact books all the same: what was accepted and never read is counted as
    // disconnected or aborted, and dropped. Fails when the fence of `push_unbounded` or that of `finish` is missing.
    model(|| {
        let lives = Lives::new(1);
        let (channel, receiver) = Channel::builder().unbounded().build().expect("no setting");
        let (writer, value) = (channel.clone(), lives.value(0));
        let writer = thread::spawn(move || write(&writer, value));
        drop(receiver);
        let accepted = writer.join().unwrap();
        let books = books(&channel);
        assert_eq!(books.dropped.disconnected + books.dropped.aborted, u64::from(accepted));
        assert_eq!(books.pending, 0);
        assert!(!lives.is_alive(0), "nobody reads it any more");
        drop(channel);
        lives.assert_all_dropped();
    });
}
