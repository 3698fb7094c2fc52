//! Pushes, reads, and the end of the stream: close, overflow that closes, a dropped receiver.

use super::{books, channel, lane, push, rest, write};
use buslane::channel::SharedReceiver;
use buslane::error::RecvError;
use buslane::{Channel, Overflow, WaitStrategy};
use loom_tests::{Arc, AtomicUsize, Lives, Ordering, Steps, Tracked, model, model_with, thread};

#[test]
fn lane_push_wakes_a_parked_recv() {
    // A push finds the reader parked and wakes it, or the reader finds the event: no deadlock.
    // Fails when the fence of `Lane::push` or that of `WaitCell::park_unless` is missing, or when
    // ORD(spsc.tail) is Relaxed.
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
fn push_into_a_new_lane_wakes_the_parking_reader() {
    // protocols A10: a reader that is about to park finds the new lane, or the first push into it
    // wakes the reader. Fails when `has_work` does not read the generation again, or when a fence
    // is missing (ORD(mailbox.generation)).
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
fn state_query_counts_the_last_event_of_a_lane() {
    // The counters of the lane are final when its last event is counted, not when the event's slot
    // is released. Fails when `LaneView::is_final` checks only the ring: then the event counts as
    // pending forever.
    model(|| {
        let lives = Lives::new(1);
        let (channel, mut receiver) = channel(1, Overflow::DropNewest);
        let mut lane = lane(&channel);
        assert!(push(&mut lane, lives.value(0)));
        drop(lane);
        let reader = thread::spawn(move || {
            assert_eq!(receiver.recv().expect("open").id(), 0);
            receiver
        });
        let _ = channel.state();
        let receiver = reader.join().unwrap();
        let books = books(&channel);
        assert_eq!((books.delivered, books.pending), (1, 0));
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn shared_write_wakes_a_parked_recv() {
    // As for a lane, through the shared lane. Fails when the fence of `Mailbox::write` is missing.
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
fn close_returns_or_delivers_each_lane_push() {
    // An event with `Ok` is read. `Closed` returns the event, and it is not read. Fails when the
    // fence of `Lane::push` or the heavy one of the seal is missing (ORD(spsc.fin)).
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
fn close_keeps_an_accepted_push_for_a_busy_reader() {
    // As above, with a reader on a separate thread, which may find the lane half sealed. Fails when
    // a consumer that finds a lane being sealed trusts a tail that it loaded before. Held to two
    // preemptions: three take more than 30 s.
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
fn close_seals_a_lane_added_meanwhile() {
    // A lane that is created while the channel closes is sealed with the channel or from the start.
    // Fails when `lane` does not check `sealed` under the lock of the book.
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
fn dropped_receiver_counts_each_accepted_push() {
    // Nothing leaks: `Ok` means counted as dropped with the receiver, `Closed` gives the event
    // back. Fails when the fence of `Lane::push` or the heavy one of the seal is missing.
    model(|| {
        let lives = Lives::new(2);
        let (channel, receiver) = channel(2, Overflow::DropNewest);
        let (mut lane, values) = (lane(&channel), lives.clone());
        let publisher =
            thread::spawn(move || (0..2).filter(|id| push(&mut lane, values.value(*id))).count() as u64);
        drop(receiver);
        let accepted = publisher.join().unwrap();
        let books = books(&channel);
        assert_eq!((books.dropped.receiver_dropped, books.refused.closed), (accepted, 2 - accepted));
        assert_eq!(books.pending, 0);
        lives.assert_all_dropped();
    });
}

#[test]
fn dropped_receiver_drops_events_of_a_dropped_lane() {
    // The lane's publisher drops it while the reader releases it: every event is dropped once, with
    // its reason. Fails when ORD(lane.released), or ORD(spsc.fin) in `Producer::end`, is Relaxed.
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
        assert_eq!(books(&channel).dropped.receiver_dropped, u64::from(accepted));
        assert_eq!(channel.state().lanes, 0, "a finished lane is folded in");
        lives.assert_all_dropped();
    });
}

#[test]
fn dropped_lane_wakes_a_parked_recv() {
    // A lane's drop wakes the reader, which ends the lane and takes its events. The last handle's
    // drop ends the stream. Fails when `PrivateLane::drop` or the seal does not wake.
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
fn closing_overflow_keeps_accepted_events() {
    // The publisher that overflows closes the channel: the accepted events are read, and the event
    // that overflowed comes back. Fails when `Full` is seen although the reader's pop happened before,
    // or when the seal loses an accepted event.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(1, Overflow::Close);
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
        assert_eq!(end, if accepted.len() == 2 { RecvError::Closed } else { RecvError::Overflowed });
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn closing_overflow_seals_the_lanes_of_others() {
    // One publisher's overflow seals the other's lane: its `Ok` means read. Fails as a close does.
    model(|| {
        let lives = Lives::new(3);
        let (channel, mut receiver) = channel(1, Overflow::Close);
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
        assert_eq!(end, RecvError::Overflowed);
        let _ = books(&channel);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_returns_or_delivers_each_shared_write() {
    // protocols A2: the closed bit is in the tail, so an event with `Ok` is read. Fails when the
    // ring's close is a separate flag (ORD(mpmc.tail)).
    model(|| {
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
fn dropped_receiver_waits_for_a_claimed_write() {
    // The drop of the receiver waits for a writer that has claimed a position and not filled it:
    // nothing leaks. Fails when `abandon` ends before the ring is empty.
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
        assert_eq!(books(&channel).dropped.receiver_dropped, u64::from(accepted));
        lives.assert_all_dropped();
    });
}

#[test]
fn dropped_receiver_counts_an_unbounded_write() {
    // The unbounded lane has no exact close, and still an exact ledger: each event that was
    // accepted and never read counts as dropped with the receiver or as aborted. Fails when the
    // fence of `push_unbounded` or that of `set_drained` is missing.
    model(|| {
        let lives = Lives::new(1);
        let (channel, receiver) = Channel::builder().unbounded().build().expect("no setting");
        let (writer, value) = (channel.clone(), lives.value(0));
        let writer = thread::spawn(move || write(&writer, value));
        drop(receiver);
        let accepted = writer.join().unwrap();
        let books = books(&channel);
        assert_eq!(books.dropped.receiver_dropped + books.dropped.aborted, u64::from(accepted));
        assert_eq!(books.pending, 0);
        assert!(!lives.is_alive(0), "no reader is left");
        drop(channel);
        lives.assert_all_dropped();
    });
}

/// Returns a channel that several readers may share: its lanes lead into the shared lane.
fn shared_channel() -> (Channel<Tracked>, SharedReceiver<Tracked>) {
    Channel::builder().capacity(1).wait_strategy(WaitStrategy::Park).build_shared().expect("a small channel")
}

#[test]
fn close_happens_before_a_refused_lane_push() {
    // A word of its own tells such a lane about the close. The second lane exists for its mark:
    // without it, a model does not let the publisher run between the first mark and the fence.
    // Fails when the Release of ORD(lane.closed) is Relaxed.
    model(|| {
        let (lives, before) = (Lives::new(2), Arc::new(AtomicUsize::new(0)));
        let (channel, receiver) = shared_channel();
        let (mut first, mut second) = (lane(&channel), lane(&channel));
        let (values, done) = (lives.clone(), before.clone());
        let publisher = thread::spawn(move || {
            if !push(&mut first, values.value(0)) {
                assert_eq!(done.load(Ordering::Relaxed), 1, "done before the close");
            }
            push(&mut second, values.value(1));
        });
        before.store(1, Ordering::Relaxed);
        channel.close();
        publisher.join().unwrap();
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_happens_before_a_refused_unbounded_write() {
    // Here the writer learns of the close from the end itself. The lane exists for the lock of the
    // book, as above. Fails when the Release of ORD(mailbox.end) is Relaxed.
    model(|| {
        let (lives, before) = (Lives::new(1), Arc::new(AtomicUsize::new(0)));
        let (channel, receiver) =
            Channel::builder().unbounded().wait_strategy(WaitStrategy::Park).build().expect("a channel");
        let (writer, value, done) = (channel.clone(), lives.value(0), before.clone());
        let writer = thread::spawn(move || {
            if !write(&writer, value) {
                assert_eq!(done.load(Ordering::Relaxed), 1, "done before the close");
            }
            drop(lane(&writer));
        });
        before.store(1, Ordering::Relaxed);
        channel.close();
        writer.join().unwrap();
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

#[test]
fn dropped_lane_leaves_exact_counters() {
    // The thread that folds the counters of a dropped lane sees all of them. Fails when
    // ORD(lane.released) is Relaxed.
    model(|| {
        let lives = Lives::new(2);
        let (channel, receiver) = shared_channel();
        let (mut first, values) = (lane(&channel), lives.clone());
        let publisher = thread::spawn(move || {
            assert!(push(&mut first, values.value(0)));
            assert!(push(&mut first, values.value(1)), "without room the event is dropped");
        });
        // A new lane folds the counters of dropped lanes.
        let second = lane(&channel);
        publisher.join().unwrap();
        let books = books(&channel);
        assert_eq!((books.offered, books.accepted, books.dropped.full), (2, 2, 1));
        drop((second, channel, receiver));
        lives.assert_all_dropped();
    });
}
