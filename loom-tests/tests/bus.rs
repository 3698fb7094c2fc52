//! The bus: sinks that are added and removed while others publish.
//!
//! All scenarios have three preemptions, except those that state another bound.

use buslane::bus::Removed;
use buslane::error::TryRecvError;
use buslane::stats::{CloseReport, FlushReport};
use buslane::time::Deadline;
use buslane::{Bus, Channel, Overflow, Receiver, Sink, SinkExt, SinkId, WaitStrategy, WeakBus, WriteError};
use loom_tests::channels::{channel, left};
use loom_tests::probe::Probe;
use loom_tests::{Arc, AtomicUsize, LIMIT, Ordering, model, model_with, thread};

#[test]
fn publish_after_add_reaches_the_sink() {
    // A publish that happens after `add` returned reaches the sink; a publish before that may reach
    // it. Each event enters once, and no table or lane is lost or freed twice. Fails when the
    // Release of ORD(handoff.slot) is Relaxed.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, mut receiver) = channel(2, Overflow::DropNewest);
        let during = thread::spawn(move || {
            let published = publisher.publish(1).expect("open");
            (publisher, published.accepted)
        });
        bus.add(sink).expect("open");
        let (mut publisher, accepted) = during.join().unwrap();
        assert_eq!(publisher.publish(2).expect("open").accepted, 1);
        let expected: &[u32] = if accepted == 1 { &[1, 2] } else { &[2] };
        assert_eq!(left(&mut receiver), expected);
    });
}

#[test]
fn publish_after_two_adds_reaches_both_sinks() {
    // A table that is replaced before the publisher took it loses no lane: after both adds a
    // publish reaches both sinks. Fails when ORD(handoff.slot) is Relaxed on either side, or when a
    // lane can be taken twice.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (first, mut first_reader) = channel(2, Overflow::DropNewest);
        let (second, mut second_reader) = channel(2, Overflow::DropNewest);
        let during = thread::spawn(move || {
            let _ = publisher.publish(1).expect("open");
            publisher
        });
        bus.add(first).expect("open");
        bus.add(second).expect("open");
        let mut publisher = during.join().unwrap();
        assert_eq!(publisher.publish(2).expect("open").accepted, 2);
        let (first, second) = (left(&mut first_reader), left(&mut second_reader));
        assert!(first.ends_with(&[2]) && second.ends_with(&[2]));
        assert!(first.len() >= second.len());
    });
}

#[test]
fn remove_ends_publishes_into_a_mailbox() {
    // After `remove` returned no event enters, and each event accepted before is delivered once.
    // Fails when the fence between `Sealer::mark` and `Sealer::fix`, or that of the publish, is
    // missing.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, mut receiver) = channel(2, Overflow::DropNewest);
        let keep_open = sink.clone();
        let id = bus.add(sink).expect("open");
        let during = thread::spawn(move || {
            let accepted = publisher.publish(1).expect("open").accepted;
            accepted + publisher.publish(2).expect("open").accepted
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let at_return = receiver.len();
        let accepted = during.join().unwrap();
        assert_eq!(at_return, accepted, "no event enters after the removal");
        assert_eq!(left(&mut receiver), &[1, 2][..accepted]);
        drop(keep_open);
    });
}

#[test]
fn remove_ends_calls_of_a_direct_sink() {
    // After `remove` returned no thread is inside the sink, and it is dropped, although the
    // publisher still has its old table. Fails when a fence of ORD(guarded.state) is missing, or
    // when ORD(guarded.hazard) is Relaxed.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, watch) = Probe::new();
        let id = bus.add(sink).expect("open");
        let during = thread::spawn(move || {
            let accepted = publisher.publish(1).expect("open").accepted;
            (publisher, accepted)
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        watch.end();
        assert!(watch.is_dropped());
        let (publisher, accepted) = during.join().unwrap();
        assert_eq!(watch.writes(), accepted);
        drop(publisher);
    });
}

#[test]
fn remove_releases_a_publisher_blocked_on_shared_lane() {
    // A lane into the shared lane of several consumers has no end of its own. After `remove`
    // returned no event enters, and a publisher that waits for room is released: no deadlock. Fails
    // when the seal does not set `LaneView::closed`, or when it wakes no waiting publisher.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, mut receiver) = Channel::builder()
            .capacity(1)
            .overflow(Overflow::Block)
            .wait_strategy(WaitStrategy::Park)
            .build_shared()
            .expect("a small channel");
        let keep_open = sink.clone();
        let id = bus.add(sink).expect("open");
        let during = thread::spawn(move || {
            let accepted = publisher.publish(1).expect("open").accepted;
            accepted + publisher.publish(2).expect("open").accepted
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let at_return = receiver.len();
        assert_eq!(during.join().unwrap(), at_return, "no event enters after the removal");
        assert_eq!(receiver.try_recv().is_ok(), at_return == 1);
        drop(keep_open);
    });
}

#[test]
fn remove_waits_for_a_push_into_unbounded_channel() {
    // As above, for a lane that cannot end at all: the removal waits for the push in progress.
    // Fails when such a lane has no guard, or when a fence of ORD(guarded.state) is missing.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, mut receiver) =
            Channel::builder().unbounded().wait_strategy(WaitStrategy::Park).build().expect("a channel");
        let keep_open = sink.clone();
        let id = bus.add(sink).expect("open");
        let during = thread::spawn(move || publisher.publish(1).expect("open").accepted);
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let at_return = left(&mut receiver).len();
        assert_eq!(during.join().unwrap(), at_return, "no event enters after the removal");
        assert!(left(&mut receiver).is_empty());
        drop(keep_open);
    });
}

#[test]
fn remove_waits_for_a_publish_through_the_list() {
    // As above, for `Bus::publish`, which holds the list instead of a hazard word; an add in
    // between creates a third list. Fails when the remover waits for the list that it replaced
    // instead of the attachment.
    model(|| {
        let bus = Bus::new();
        let (sink, watch) = Probe::new();
        let id = bus.add(sink).expect("open");
        let other = bus.clone();
        let during = thread::spawn(move || other.publish(1).expect("open").accepted);
        bus.add(buslane::noop()).expect("open");
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        watch.end();
        assert!(watch.is_dropped());
        let accepted = during.join().unwrap();
        assert!(watch.writes() <= accepted);
    });
}

#[test]
fn two_removes_remove_one_sink_once() {
    // One removal removes the sink and the other gets an error; nothing is dropped twice. No
    // ordering makes it fail: the control plane's lock decides which comes first. It fails when a
    // removal finds the sink and takes it off the list in two steps.
    model(|| {
        let bus = Bus::<u32>::new();
        let (sink, watch) = Probe::new();
        let id = bus.add(sink).expect("open");
        let other = bus.clone();
        let there = thread::spawn(move || other.remove(id).is_ok());
        let here = bus.remove(id).is_ok();
        assert!(here != there.join().unwrap());
        assert!(watch.is_dropped());
    });
}

#[test]
fn close_returns_or_delivers_each_publish() {
    // After `Ok` with an accepted delivery the event is readable. `Closed` returns the event, and
    // it is not readable. Fails when the fence between `Sealer::mark` and `Sealer::fix`, or that of
    // the publish, is missing.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, mut receiver) = channel(2, Overflow::DropNewest);
        bus.add(sink).expect("open");
        let during = thread::spawn(move || {
            let mut accepted = Vec::new();
            for event in [1, 2] {
                match publisher.publish(event) {
                    Ok(published) => accepted.extend((published.accepted == 1).then_some(event)),
                    Err(closed) => assert_eq!(closed.0, event),
                }
            }
            accepted
        });
        assert!(bus.close_timeout(LIMIT).is_done());
        let accepted = during.join().unwrap();
        assert_eq!(left(&mut receiver), accepted);
        assert!(bus.snapshot().sinks[0].state.ledger.check().is_ok());
    });
}

#[test]
fn close_ends_direct_calls_through_the_list() {
    // When the sink is closed, no thread is inside it or will enter it: `Bus::publish` counts its
    // call. Fails when the fence of `Info::begin_call` or the heavy one of `Guarded::detach` is
    // missing, or when ORD(info.calls) is Relaxed.
    model(|| {
        let bus = Bus::new();
        let (sink, watch) = Probe::new();
        bus.add(sink).expect("open");
        let other = bus.clone();
        let during = thread::spawn(move || other.publish(1).map_or(0, |published| published.accepted));
        assert!(bus.close_timeout(LIMIT).is_done());
        let accepted = during.join().unwrap();
        assert_eq!(watch.writes(), accepted);
    });
}

#[test]
fn close_ends_direct_calls_of_a_publisher() {
    // As above, for a publisher, which has a hazard word. Fails when a fence of ORD(guarded.state)
    // is missing, or when ORD(guarded.hazard) is Relaxed.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, watch) = Probe::new();
        bus.add(sink).expect("open");
        let during = thread::spawn(move || publisher.publish(1).map_or(0, |published| published.accepted));
        assert!(bus.close_timeout(LIMIT).is_done());
        let accepted = during.join().unwrap();
        assert_eq!(watch.writes(), accepted);
    });
}

#[test]
fn close_happens_before_a_refused_publish() {
    // Fails when the Release of ORD(bus.version) in `close`, or the Acquire in `is_closed`, is
    // Relaxed.
    model(|| {
        let bus = Bus::<u32>::new();
        let before = Arc::new(AtomicUsize::new(0));
        let (other, done) = (bus.clone(), before.clone());
        let during = thread::spawn(move || {
            if other.publish(1).is_err() {
                assert_eq!(done.load(Ordering::Relaxed), 1, "done before the close");
            }
            other
        });
        before.store(1, Ordering::Relaxed);
        assert!(bus.close_timeout(LIMIT).is_done());
        drop(during.join().unwrap());
    });
}

#[test]
fn close_releases_a_blocked_publisher() {
    // The close releases a publisher that waits for room, and returns its event: no deadlock. Fails
    // when the close does not wake the wait list.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, mut receiver) = channel(1, Overflow::Block);
        bus.add(sink).expect("open");
        let blocked = thread::spawn(move || {
            let first = publisher.publish(1).is_ok();
            let second = publisher.publish(2).map(|published| published.accepted);
            (first, second.is_ok_and(|accepted| accepted == 1))
        });
        assert!(bus.close_timeout(LIMIT).is_done());
        let (first, second) = blocked.join().unwrap();
        assert!(!second, "there was room for only one event");
        assert_eq!(left(&mut receiver).len(), usize::from(first));
    });
}

#[test]
fn close_closes_exactly_the_attached_sinks() {
    // The close closes exactly the attached sinks: a sink that was added before it, and not a sink
    // that was removed before it. No ordering of one word makes it fail: the control plane's lock
    // orders all of it. It fails when an add or a removal does not check under the lock whether the
    // bus is closed, or when the close sets that bit and takes the list in two steps.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (first, mut first_reader) = channel(1, Overflow::DropNewest);
        let (second, mut second_reader) = channel(1, Overflow::DropNewest);
        // Only the bus closes these sinks.
        let keep_open = (first.clone(), second.clone());
        let id = bus.add(first).expect("open");
        let other = bus.clone();
        let changes = thread::spawn(move || (other.add(second).is_ok(), other.remove(id).is_ok()));
        assert!(bus.close_timeout(LIMIT).is_done());
        let (added, removed) = changes.join().unwrap();
        assert!(added || !removed, "the removal came after the add");
        assert!(publisher.publish(1).is_err());
        let closed = |yes| Err(if yes { TryRecvError::Closed } else { TryRecvError::Empty });
        assert_eq!((first_reader.try_recv(), second_reader.try_recv()), (closed(!removed), closed(added)));
        drop(keep_open);
    });
}

#[test]
fn concurrent_closes_return_the_same_report() {
    // Both callers get the same report, and neither waits forever. Fails when the closing thread
    // does not wake the other one.
    model(|| {
        let bus = Bus::<u32>::new();
        let (sink, watch) = Probe::new();
        bus.add(sink).expect("open");
        let other = bus.clone();
        let there = thread::spawn(move || other.close_timeout(LIMIT));
        let here = bus.close_timeout(LIMIT);
        assert_eq!(there.join().unwrap(), here);
        watch.end();
        assert!(here.is_done());
    });
}

/// A sink that reports that it is closed.
struct Shut;

impl Sink<u32> for Shut {
    fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
        Err(WriteError::Closed(event))
    }
}

#[test]
fn closed_sink_is_detached_and_others_deliver() {
    // The bus skips the closed sink from then on and detaches it; the other sinks get each event
    // once. No ordering makes it fail: the flag for a closed sink is a hint. It fails when:
    // - the flag is not set,
    // - the control plane does not check the flag,
    // - the sink's answer counts as an acceptance.
    model(|| {
        let bus = Bus::new();
        let (first, first_watch) = Probe::new();
        let (last, last_watch) = Probe::new();
        bus.add(first).expect("open");
        bus.add(Shut).expect("open");
        bus.add(last).expect("open");
        let mut publisher = bus.publisher();
        let during = thread::spawn(move || publisher.publish(1).expect("open").accepted);
        assert_eq!(bus.publish(2).expect("open").accepted, 2);
        assert_eq!(during.join().unwrap(), 2);
        assert_eq!((first_watch.writes(), last_watch.writes()), (2, 2));
        assert_eq!(bus.snapshot().sinks.len(), 2);
    });
}

#[test]
fn dropped_publisher_leaves_its_events_to_the_reader() {
    // Every published event is read, and the lane is dropped. Fails when:
    // - ORD(cell.state) is Relaxed,
    // - the check before the park is missing (a deadlock),
    // - the publisher is dropped without ending its lane or releasing it.
    model(|| {
        let bus = Bus::builder().kept_publishers(0).build();
        let mut publisher = bus.publisher();
        let (sink, mut receiver) = channel(2, Overflow::DropNewest);
        bus.add(sink).expect("open");
        let dropped = thread::spawn(move || {
            let _ = publisher.publish(1).expect("open");
            let _ = publisher.publish(2).expect("open");
        });
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
        dropped.join().unwrap();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiver.state().lanes, 0);
    });
}

#[test]
fn publish_wakes_the_parked_reader() {
    // The publisher's single fence covers the lane, and the reader is woken: no deadlock. Fails
    // when the fence of `Table::publish` is missing.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (sink, mut receiver) = channel(2, Overflow::DropNewest);
        bus.add(sink).expect("open");
        let during = thread::spawn(move || {
            let _ = publisher.publish(1).expect("open");
            publisher
        });
        assert_eq!(receiver.recv(), Ok(1));
        drop(during.join().unwrap());
    });
}

#[test]
fn flush_waits_for_events_published_before_it() {
    // A flush returns only when every event published before it is handled, also while another
    // publish is in progress: protocols' A7. Fails when a flush ends one event early or omits the
    // event in progress, or when ORD(lane.handled), ORD(lane.in_hand) or ORD(mpmc.head) is Relaxed
    // on either side. Three threads on one list: two preemptions (13 s), and the longest of these
    // models (the others take a second).
    model_with(2, || {
        let bus = Bus::new();
        let (sink, mut receiver) = channel(2, Overflow::DropNewest);
        bus.add(sink).expect("open");
        let handled = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let handles = handled.clone();
        let reader = thread::spawn(move || {
            let mut count = 0;
            while count < 2 {
                let read = receiver.drain_with(|event| handles[event as usize].store(1, Ordering::Relaxed));
                if read == 0 {
                    thread::yield_now();
                }
                count += read;
            }
        });
        let other = bus.clone();
        let during = thread::spawn(move || assert_eq!(other.publish(0).expect("open").accepted, 1));
        assert_eq!(bus.publish(1).expect("open").accepted, 1);
        assert!(bus.flush_timeout(LIMIT).is_done());
        assert_eq!(handled[1].load(Ordering::Relaxed), 1, "published before the flush and not handled");
        during.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn flush_ends_when_remove_refuses_its_goal() {
    // A flush takes its target from a lane whose end a removal then fixes below that target: the
    // publisher takes its event back, and no event is left to wait for. Fails (deadlock) when the
    // target is not limited by that end.
    model_with(2, || {
        let bus = Bus::new();
        let (sink, mut receiver) = channel(1, Overflow::DropNewest);
        let id = bus.add(sink.clone()).expect("open");
        let mut publisher = bus.publisher();
        let during = thread::spawn(move || {
            let published = publisher.publish(1).expect("open");
            (published.accepted, publisher)
        });
        let flusher = thread::spawn(move || {
            let mut report = FlushReport::default();
            sink.flush_by(Deadline::NEVER, &mut report);
            assert!(report.is_done());
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        // No further event enters: the remaining events are the accepted ones.
        let read = left(&mut receiver).len();
        flusher.join().unwrap();
        let (accepted, publisher) = during.join().unwrap();
        assert_eq!(read, accepted);
        drop((publisher, receiver));
    });
}

/// A sink that closes a bus without keeping it open.
struct Closes(WeakBus<u32>);

impl Sink<u32> for Closes {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        Ok(())
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.0.upgrade().map_or_else(CloseReport::done, |bus| Sink::close_by(&bus, deadline))
    }
}

#[test]
fn buses_attached_to_each_other_close_concurrently() {
    // No close on behalf of another close waits, so the two closes do not wait for each other. Each
    // outer close waits for both buses. Fails (deadlock) when a bus that is closed on behalf of
    // another one waits for the thread that closes it.
    model_with(2, || {
        let (one, other) = (Bus::new(), Bus::new());
        one.add(Closes(other.downgrade())).expect("open");
        other.add(Closes(one.downgrade())).expect("open");
        let closed = other.clone();
        let closer = thread::spawn(move || Sink::close_by(&closed, Deadline::NEVER));
        assert!(Sink::close_by(&one, Deadline::NEVER).is_done());
        assert!(closer.join().unwrap().is_done());
        assert!(one.is_closed() && other.is_closed());
    });
}

/// A sink that counts the flushes inside it.
struct Flushed(Arc<AtomicUsize>);

impl Sink<u32> for Flushed {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        Ok(())
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.0.fetch_add(1, Ordering::Relaxed);
        thread::yield_now();
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn remove_waits_for_a_flush_inside_the_sink() {
    // `Quiet` means that no call of the bus is inside the sink, not even a flush. Fails when a
    // flush calls a sink that only the sink itself keeps.
    model(|| {
        let (bus, inside) = (Bus::new(), Arc::new(AtomicUsize::new(0)));
        let id = bus.add(Flushed(inside.clone())).expect("open");
        let flushing = bus.clone();
        let flusher = thread::spawn(move || assert!(flushing.flush_timeout(LIMIT).is_done()));
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        assert_eq!(inside.load(Ordering::Relaxed), 0, "quiet, but a flush is inside");
        flusher.join().unwrap();
    });
}

/// A value that records its drop.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns a bus with a filtered channel. The filter's predicate records its drop, and checks that
/// it is not called after that.
fn filtered(drops: &Arc<AtomicUsize>) -> (Bus<u64>, SinkId, Receiver<u64>) {
    let bus = Bus::new();
    let (channel, receiver) = Channel::lossy(2).unwrap();
    let note = Dropped(drops.clone());
    let sink = channel.filter(move |_| {
        assert_eq!(note.0.load(Ordering::Relaxed), 0, "the predicate was called after its drop");
        true
    });
    let id = bus.add(sink).unwrap();
    (bus, id, receiver)
}

#[test]
fn remove_drops_the_predicate_of_every_publisher() {
    // When the removal is done, the predicate was dropped, wherever the lane is: not taken yet, in
    // the publisher's table, or returned. Fails when the boxes in lanes are not reclaimed (the
    // predicate is left), or are reclaimed before the guard is quiet (the predicate is called after
    // its drop).
    model_with(2, || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (bus, id, receiver) = filtered(&drops);
        let mut publisher = bus.publisher();
        let publishing = thread::spawn(move || {
            let _ = publisher.publish(1);
            publisher
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        assert_eq!(drops.load(Ordering::Relaxed), 1, "a predicate is left");
        drop((publishing.join().unwrap(), receiver));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn remove_waits_for_the_last_predicate_drop() {
    // Either thread drops the predicate's last copy, and the removal does not end before that.
    // Fails when the bus forgets a publisher before its lanes are dropped, or when ORD(lent.state)
    // shows a box as gone before its destructor has run.
    model_with(2, || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (bus, id, receiver) = filtered(&drops);
        let publisher = bus.publisher();
        let going = thread::spawn(move || drop(publisher));
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        assert_eq!(drops.load(Ordering::Relaxed), 1, "a predicate is left");
        going.join().unwrap();
        drop(receiver);
    });
}
