//! The futures of a flush, a close and an end.

use crate::{by_hand, gated_queue, poll, woken};
use buslane::sink::UntilClosed;
use buslane::stats::Finish;
use buslane::testing::{Collect, Gate};
use buslane::{Bus, Channel, Journal, Overflow, Queue, Sink, SinkExt, sink_fn};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;
use test_support::{GUARD, WakeCount, assert_balanced, block_on, ends, wait_for};

#[test]
fn flush_waits_for_the_worker() {
    let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
    queue.write(1).unwrap();
    gate.wait_reached(1);
    let (mut flush, count, waker) = by_hand(queue.flush_async());
    assert!(poll(flush.as_mut(), &waker).is_pending());
    assert!(poll(flush.as_mut(), &waker).is_pending(), "a spurious poll");
    gate.open();
    assert!(woken(flush.as_mut(), &count, &waker).is_done());
    assert_eq!(queue.state().ledger.delivered, 1);
}

#[test]
fn flush_reaches_every_sink_of_a_bus() {
    let bus = Bus::new();
    let direct = Collect::new();
    let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
    bus.add(direct.clone()).unwrap();
    bus.add(queue).unwrap();
    let mut receiver = bus.subscribe_lossy(16).unwrap();
    let inner = Bus::new();
    let batches = Collect::new();
    inner.add(batches.clone().batch(100).queue(16).unwrap()).unwrap();
    bus.add(inner).unwrap();
    let _ = bus.publish(1).unwrap();
    let (mut flush, count, waker) = by_hand(bus.flush_async());
    assert!(poll(flush.as_mut(), &waker).is_pending());
    gate.open();
    assert_eq!(receiver.recv(), Ok(1));
    let report = woken(flush.as_mut(), &count, &waker);
    assert!(report.is_done(), "{report}");
    assert_eq!((direct.flushes(), batches.taken()), (1, vec![vec![1]]));
}

#[test]
fn cancelled_flush_leaves_no_request() {
    let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
    let bus = Bus::new();
    bus.add(queue.clone()).unwrap();
    let mut receiver = bus.subscribe_lossy(16).unwrap();
    let _ = bus.publish(1).unwrap();
    for polls in 0..3 {
        let (mut flush, count, waker) = by_hand(bus.flush_async());
        (0..polls).for_each(|_| assert!(poll(flush.as_mut(), &waker).is_pending()));
        drop((flush, waker));
        assert_eq!(Arc::strong_count(&count), 1, "no waker is left");
    }
    gate.open();
    assert_eq!(receiver.recv(), Ok(1));
    assert!(block_on(bus.flush_async()).is_done());
    assert!(queue.flush_timeout(GUARD).is_done());
}

#[test]
fn flush_of_a_channel_waits_for_its_reader() {
    let (channel, mut receiver) = Channel::lossy(16).unwrap();
    (0..3).for_each(|event| channel.write(event).unwrap());
    let (mut flush, count, waker) = by_hand(channel.flush_async());
    for event in 0..3 {
        assert!(poll(flush.as_mut(), &waker).is_pending());
        assert_eq!(receiver.recv(), Ok(event));
    }
    assert!(count.get() > 0);
    assert!(matches!(poll(flush.as_mut(), &waker), Poll::Ready(report) if report.is_done()));
    channel.write(3).unwrap();
    let (mut flush, count, waker) = by_hand(channel.flush_async());
    assert!(poll(flush.as_mut(), &waker).is_pending());
    drop(receiver);
    assert!(woken(flush.as_mut(), &count, &waker).is_done(), "no reader is left");
}

#[test]
fn task_and_thread_flush_the_same_channel() {
    // A blocked flush checks every second by itself. A thread that blocks on a future relies on the
    // wake-up, and the task on that thread.
    for by_future in [false, true] {
        let (channel, mut receiver) = Channel::lossy(16).unwrap();
        channel.write(1).unwrap();
        let (mut flush, count, waker) = by_hand(channel.flush_async());
        assert!(poll(flush.as_mut(), &waker).is_pending());
        let other = channel.clone();
        let limit = Duration::from_secs(3600);
        let thread = test_support::waits(move || {
            if by_future { block_on(other.flush_async()) } else { other.flush_timeout(limit) }
        });
        assert_eq!(receiver.recv(), Ok(1));
        // The task is neither polled nor dropped, and the thread does not wait for it.
        assert!(ends(move || thread.join().unwrap()).is_done(), "by a future: {by_future}");
        wait_for(|| count.get() > 0);
        assert!(matches!(poll(flush.as_mut(), &waker), Poll::Ready(report) if report.is_done()));
    }
}

#[test]
fn kept_task_does_not_stall_other_flushes() {
    for ahead in 1..4 {
        let (channel, mut receiver) = Channel::lossy(16).unwrap();
        channel.write(1).unwrap();
        let mut flushes: Vec<_> = (0..ahead).map(|_| by_hand(channel.flush_async())).collect();
        flushes.iter_mut().for_each(|(flush, _, waker)| assert!(poll(flush.as_mut(), waker).is_pending()));
        channel.write(2).unwrap();
        let (mut later, later_count, later_waker) = by_hand(channel.flush_async());
        assert!(poll(later.as_mut(), &later_waker).is_pending());
        assert_eq!(receiver.recv(), Ok(1));
        // Each task whose goal is reached is woken, though no other task is polled.
        flushes.iter().for_each(|(_, count, _)| assert_eq!(count.get(), 1));
        assert_eq!(later_count.get(), 0, "its goal is not reached");
        assert_eq!(receiver.recv(), Ok(2));
        assert_eq!(later_count.get(), 1);
        assert!(poll(later.as_mut(), &later_waker).is_ready());
    }
}

#[test]
fn close_waits_until_events_are_handled() {
    let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
    let bus = Bus::new();
    bus.add(queue.clone()).unwrap();
    let direct = Collect::new();
    bus.add(direct.clone()).unwrap();
    (0..5).for_each(|event| assert!(bus.publish(event).is_ok()));
    let (mut close, count, waker) = by_hand(bus.close_async());
    assert!(!bus.is_closed(), "nothing happens before the first poll");
    assert!(poll(close.as_mut(), &waker).is_pending());
    assert!(bus.is_closed() && bus.publish(5).is_err());
    gate.open();
    let report = woken(close.as_mut(), &count, &waker);
    assert!(report.is_done(), "{report}");
    assert_eq!((queue.state().ledger.delivered, direct.closes()), (5, 1));
    assert_eq!((bus.close(), block_on(bus.close_async())), (report.clone(), report));
}

#[test]
fn cancelled_close_goes_on() {
    let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
    queue.write(1).unwrap();
    let (mut close, count, waker) = by_hand(queue.close_async());
    assert!(poll(close.as_mut(), &waker).is_pending());
    drop((close, waker));
    assert_eq!(Arc::strong_count(&count), 1);
    assert!(queue.write(2).is_err_and(|error| error.is_closed()));
    gate.open();
    assert!(block_on(queue.close_async()).is_done());
    assert_eq!(assert_balanced(&queue.state()).delivered, 1);
}

#[test]
fn close_of_nested_buses_waits_for_the_innermost_queue() {
    let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
    let (outer, inner) = (Bus::new(), Bus::new());
    inner.add(queue.clone()).unwrap();
    outer.add(inner.clone()).unwrap();
    // A cycle, which a close visits once.
    inner.add(outer.clone()).unwrap();
    let _ = outer.publish(1).unwrap();
    let (mut close, count, waker) = by_hand(outer.close_async());
    assert!(poll(close.as_mut(), &waker).is_pending());
    assert!(inner.is_closed());
    gate.open();
    let report = woken(close.as_mut(), &count, &waker);
    assert!(report.is_done(), "{report}");
}

#[test]
fn close_with_a_limit_ends_a_pending_close() {
    let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
    (0..3).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(1);
    let (mut close, count, waker) = by_hand(queue.close_async());
    assert!(poll(close.as_mut(), &waker).is_pending());
    let report = queue.close_timeout(Duration::ZERO);
    assert_eq!(report.finish, Finish::TimedOut);
    assert_eq!(woken(close.as_mut(), &count, &waker), report);
    gate.open();
}

#[test]
fn calls_inside_a_delivery_are_pending_at_once() {
    let (sender, reports) = mpsc::channel();
    let bus = Bus::new();
    let weak = bus.downgrade();
    let queue = Queue::builder().spawn(move |_: u32| {
        let bus = weak.upgrade().expect("the bus is open");
        let flush = block_on(bus.flush_async()).finish;
        let close = block_on(bus.close_async()).finish;
        sender.send((flush, close))
    });
    bus.add(queue.unwrap()).unwrap();
    let _ = bus.publish(1).unwrap();
    assert_eq!(reports.recv_timeout(GUARD), Ok((Finish::Pending, Finish::Pending)));
    assert!(block_on(bus.close_async()).is_done());
}

#[test]
fn stuck_direct_sink_does_not_block_the_poll() {
    let gate = Gate::closed();
    let held = gate.clone();
    struct Held(Gate);
    impl Sink<u32> for Held {
        fn write(&self, _: u32) -> Result<(), buslane::WriteError<u32>> {
            Ok(())
        }
        fn close_by(&self, _: buslane::time::Deadline) -> buslane::stats::CloseReport {
            self.0.pass();
            buslane::stats::CloseReport::done()
        }
    }
    let bus = Bus::new();
    bus.add(Held(held)).unwrap();
    let (mut close, count, waker) = by_hand(bus.close_async());
    assert!(poll(close.as_mut(), &waker).is_pending());
    gate.open();
    assert!(woken(close.as_mut(), &count, &waker).is_done());
}

type End = Box<dyn FnOnce()>;

/// Returns the future of each kind of end, and what brings it about.
fn ends_of_all() -> Vec<(&'static str, UntilClosed, End)> {
    let mut all: Vec<(&'static str, UntilClosed, End)> = Vec::new();
    let bus = Bus::<u32>::new();
    all.push(("bus, closed", bus.closed(), Box::new(move || drop(bus.close()))));
    let bus = Bus::<u32>::new();
    all.push(("bus, dropped", bus.closed(), Box::new(move || drop(bus))));
    let bus = Bus::<u32>::new();
    let publisher = bus.publisher();
    all.push(("publisher", publisher.closed(), Box::new(move || drop((bus.close(), publisher)))));
    let (channel, receiver) = Channel::<u32>::lossy(1).unwrap();
    let closed = channel.closed();
    all.push(("channel, receiver dropped", closed, Box::new(move || drop((receiver, channel)))));
    let (channel, receiver) = Channel::<u32>::lossy(1).unwrap();
    let closed = channel.closed();
    all.push(("channel, closed", closed, Box::new(move || drop((channel.close(), receiver)))));
    let (channel, receiver) = Channel::builder().capacity(1).overflow(Overflow::Close).build().unwrap();
    let closed = channel.closed();
    let overflow = move || {
        while channel.write(1_u32).is_ok() {}
        drop(receiver);
    };
    all.push(("channel, overflow", closed, Box::new(overflow)));
    let queue = Queue::builder().spawn(|_: u32| ()).unwrap();
    all.push(("queue", queue.closed(), Box::new(move || drop(queue.close()))));
    let journal = Journal::<u32>::new(4).unwrap();
    all.push(("journal", journal.closed(), Box::new(move || journal.close())));
    let (writer, feed) = Journal::<u32>::single(4).unwrap();
    all.push(("feed", feed.closed(), Box::new(move || drop(writer))));
    all
}

#[test]
fn every_kind_of_close_ends_the_wait() {
    for (name, closed, end) in ends_of_all() {
        let mut closed = Box::pin(closed);
        let (old, old_waker) = WakeCount::waker();
        let (new, new_waker) = WakeCount::waker();
        assert!(poll(closed.as_mut(), &old_waker).is_pending(), "{name}");
        assert!(poll(closed.as_mut(), &new_waker).is_pending(), "{name}");
        end();
        assert_eq!((old.get(), new.get()), (0, 1), "{name}");
        for _ in 0..2 {
            assert!(poll(closed.as_mut(), Waker::noop()).is_ready(), "{name}");
        }
        drop((closed, old_waker, new_waker));
        assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 1), "{name}");
    }
}

#[test]
fn wait_for_a_close_that_is_dropped_is_not_woken() {
    for (name, closed, end) in ends_of_all() {
        let mut closed = Box::pin(closed);
        let (count, waker) = WakeCount::waker();
        assert!(poll(closed.as_mut(), &waker).is_pending(), "{name}");
        drop(closed);
        end();
        assert_eq!(count.get(), 0, "{name}");
    }
}

#[test]
fn wait_for_a_close_does_not_keep_the_bus_open() {
    let bus = Bus::new();
    bus.add(sink_fn(|_: &u32| ())).unwrap();
    let publisher = bus.publisher();
    let closed = [bus.closed(), publisher.closed()];
    drop(bus);
    assert!(
        poll(std::pin::pin!(publisher.closed()), Waker::noop()).is_pending(),
        "a publisher keeps it open"
    );
    drop(publisher);
    closed.into_iter().for_each(block_on);
}
