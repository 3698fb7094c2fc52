//! The journal: publishing, reading, parking, gates and the end, on the ring that `ring_blocks`
//! checks.
//!
//! A journal of one event has blocks of one. A lost wake-up is a deadlock, because a model has no
//! time.

use buslane::bus::Removed;
use buslane::journal::{Entry, Start};
use buslane::{Bus, Journal, Sink, SinkExt, Subscriber, WriteError};
use loom_tests::{Task, model, model_with, thread};
use std::task::{Context, Poll};
use std::time::Duration;

fn new(capacity: usize) -> Journal<u64> {
    Journal::new(capacity).expect("a small journal")
}

/// Reads to the end, and returns the number of delivered events and of missed ones.
fn read_to_the_end(mut subscriber: Subscriber<u64>) -> (u64, u64) {
    let (mut seen, mut missed) = (0, 0);
    let mut next = subscriber.next_sequence().get();
    loop {
        match subscriber.recv() {
            Ok(Entry::Event(sequence, event)) => {
                assert_eq!(sequence.get(), next, "a gap was not reported");
                assert_eq!(event, next, "each event is at its own position");
                next += 1;
                seen += 1;
            }
            Ok(Entry::Lagged(events)) => {
                assert!(events > 0, "a lag of zero events");
                next += events;
                missed += events;
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    let state = subscriber.state();
    assert_eq!((state.ledger.delivered, state.ledger.dropped.evicted), (seen, missed));
    state.ledger.check().unwrap();
    (seen, missed)
}

#[test]
fn publish_and_close_wake_a_parked_subscriber() {
    // A publish and the close wake a subscriber that is parked or about to park; its ledger
    // balances. Fails when a fence of ORD(sleepers.first) or the check before the park is missing
    // (a deadlock), or when ORD(blocks.tail) is Relaxed on either side.
    model(|| {
        let journal = new(2);
        let subscriber = journal.subscribe(Start::Oldest).unwrap();
        let reader = thread::spawn(move || read_to_the_end(subscriber));
        journal.publish(0).unwrap();
        journal.publish(1).unwrap();
        journal.close();
        let (seen, missed) = reader.join().unwrap();
        assert_eq!(seen + missed, 2);
    });
}

#[test]
fn last_handle_drop_wakes_a_parked_subscriber() {
    // The drop of the last handle closes the journal, and the subscriber sees the end. Fails when a
    // fence of ORD(sleepers.first) or the check before the park is missing, or when the drop does
    // not close: a deadlock.
    model(|| {
        let journal = new(1);
        let subscriber = journal.subscribe(Start::Oldest).unwrap();
        let reader = thread::spawn(move || read_to_the_end(subscriber));
        let other = journal.clone();
        let other = thread::spawn(move || drop(other));
        drop(journal);
        other.join().unwrap();
        assert_eq!(reader.join().unwrap(), (0, 0));
    });
}

#[test]
fn single_writer_wakes_a_parked_subscriber() {
    // As with several writers: a publish of the single writer wakes the subscriber, and so does the
    // writer's drop. Fails when a fence of ORD(sleepers.first) or the check before the park is
    // missing (a deadlock), or when ORD(blocks.tail) is Relaxed on either side.
    model(|| {
        let (mut writer, feed) = Journal::single(2).unwrap();
        let subscriber = feed.subscribe(Start::Oldest).unwrap();
        let reader = thread::spawn(move || read_to_the_end(subscriber));
        writer.publish(0).unwrap();
        writer.publish_batch([1, 2]).unwrap();
        drop(writer);
        let (seen, missed) = reader.join().unwrap();
        assert_eq!(seen + missed, 3);
    });
}

#[test]
fn close_returns_or_delivers_each_publish() {
    // An accepted event is read; a refused event is not. No ordering makes it fail, because the
    // join shows the tail. It fails when the close sets its bit without the claim: the claiming
    // thread then clears the bit again, and the reader never ends.
    model(|| {
        let journal = new(2);
        let subscriber = journal.subscribe(Start::Oldest).unwrap();
        let other = journal.clone();
        let publisher = thread::spawn(move || {
            let first = other.publish(0).is_ok();
            let second = other.publish(1).is_ok();
            assert!(first || !second, "closed is final");
            u64::from(first) + u64::from(second)
        });
        journal.close();
        let accepted = publisher.join().unwrap();
        assert_eq!(read_to_the_end(subscriber), (accepted, 0));
        assert_eq!(journal.state().ledger.refused.closed, 2 - accepted);
        journal.state().ledger.check().unwrap();
    });
}

#[test]
fn subscriber_counts_every_event_since_its_start() {
    // The subscriber sees every event from its start, both history and later events. Fails when
    // ORD(blocks.tail) is Relaxed on either side. Held to two preemptions: 6 s.
    model_with(2, || {
        let journal = new(2);
        journal.publish(0).unwrap();
        let other = journal.clone();
        let reader = thread::spawn(move || {
            let subscriber = other.subscribe(Start::Last(1)).unwrap();
            let first = subscriber.next_sequence().get();
            drop(other);
            let (seen, missed) = read_to_the_end(subscriber);
            assert_eq!(seen + missed, 3 - first, "from {first} on");
        });
        journal.publish(1).unwrap();
        journal.publish(2).unwrap();
        journal.close();
        reader.join().unwrap();
    });
}

#[test]
fn two_publishers_wake_a_parked_subscriber() {
    // Each of two publishers has a separate position, and wakes the subscriber. Fails when:
    // - ORD(blocks.claim) is not Acquire,
    // - ORD(blocks.tail) is Relaxed on either side,
    // - a fence of ORD(sleepers.first) or the check before the park is missing.
    model(|| {
        let journal = new(2);
        let mut subscriber = journal.subscribe(Start::Oldest).unwrap();
        let publishers = [10, 20].map(|event| {
            let journal = journal.clone();
            thread::spawn(move || journal.publish(event).unwrap().get())
        });
        let mut places = [None; 2];
        for _ in 0..2 {
            match subscriber.recv() {
                Ok(Entry::Event(sequence, event)) => places[event as usize / 10 - 1] = Some(sequence.get()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(places, publishers.map(|publisher| Some(publisher.join().unwrap())));
    });
}

#[test]
fn close_wakes_two_parked_subscribers() {
    // The close wakes all parked subscribers, one through the other. Fails when a fence of
    // ORD(sleepers.first) or the check before the park is missing, or when the close does not wake:
    // a deadlock.
    model(|| {
        let journal = new(1);
        let readers = [0, 1].map(|_| {
            let subscriber = journal.subscribe(Start::Oldest).unwrap();
            thread::spawn(move || read_to_the_end(subscriber))
        });
        journal.close();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), (0, 0));
        }
    });
}

#[test]
fn gating_subscriber_receives_every_event() {
    // The publisher waits for the subscriber, which wakes it. Fails when:
    // - a fence of ORD(list.count) or ORD(sleepers.first), or the check before either park, is
    //   missing (a deadlock),
    // - the subscriber does not notify the gates of its new position (a deadlock),
    // - ORD(blocks.tail), or the Acquire of ORD(blocks.state) in `retire`, is Relaxed.
    // Held to two preemptions: 18 s; three pass in minutes.
    model_with(2, || {
        let journal = new(1);
        let subscriber = journal.subscription().start(Start::Oldest).gating().subscribe().unwrap();
        let reader = thread::spawn(move || read_to_the_end(subscriber));
        for event in 0..3 {
            journal.publish(event).unwrap();
        }
        journal.close();
        assert_eq!(reader.join().unwrap(), (3, 0));
    });
}

#[test]
fn new_gating_subscriber_misses_no_publish() {
    // Whatever the publisher does while the gate is set up, the subscriber misses no event from its
    // start. Fails when the heavy fence of ORD(gate.count) is missing, or when the subscriber loads
    // the end of the journal before its gate is set up.
    model(|| {
        let journal = new(1);
        journal.publish(0).unwrap();
        let feed = journal.feed();
        let reader = thread::spawn(move || {
            let mut subscriber = feed.subscription().start(Start::Oldest).gating().subscribe().unwrap();
            let mut next = subscriber.next_sequence().get();
            while next < 3 {
                match subscriber.recv() {
                    Ok(Entry::Event(_, event)) => assert_eq!(event, next),
                    other => panic!("a gating subscriber misses no event: {other:?}"),
                }
                next += 1;
            }
        });
        for event in 1..3 {
            journal.publish(event).unwrap();
        }
        reader.join().unwrap();
    });
}

#[test]
fn new_gating_subscriber_blocks_two_publishers() {
    // One publisher shows the end of the journal. The other has not checked for parked readers yet,
    // and so has no fence from that check; it enters the block in which the subscriber would start.
    // Fails when either fence of ORD(gate.count) is missing (the publisher's: found after minutes),
    // or when the subscriber loads the end of the journal before its gate is set up. Held to two
    // preemptions: 5 s; three take 74.
    model_with(2, || {
        let journal = new(1);
        journal.publish(0).unwrap();
        let (other, feed) = (journal.clone(), journal.feed());
        let reader = thread::spawn(move || {
            let mut subscriber = feed.subscription().start(Start::Oldest).gating().subscribe().unwrap();
            while let Ok(entry) = subscriber.try_recv() {
                assert!(matches!(entry, Entry::Event(..)), "a gating subscriber misses no event");
            }
        });
        let publisher = thread::spawn(move || {
            // The event is refused if the gate is set up.
            let _ = other.try_publish(2);
        });
        let _ = journal.try_publish(1);
        publisher.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn new_gating_subscriber_misses_no_batch() {
    // As above, where the earlier event of the block is part of the same batch. Fails when either
    // fence of ORD(gate.count) is missing, or when a batch checks the gates before it shows the
    // position at which it enters the block.
    model(|| {
        let journal = new(1);
        journal.publish(0).unwrap();
        let feed = journal.feed();
        let reader = thread::spawn(move || {
            let mut subscriber = feed.subscription().start(Start::Oldest).gating().subscribe().unwrap();
            while let Ok(entry) = subscriber.try_recv() {
                assert!(matches!(entry, Entry::Event(..)), "a gating subscriber misses no event");
            }
        });
        journal.publish_batch(vec![1, 2]).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn batch_wakes_a_gating_subscriber_before_it_waits() {
    // The batch wakes the subscriber before it waits for the subscriber. Fails when:
    // - the batch waits first (a deadlock),
    // - a fence of ORD(list.count) or ORD(sleepers.first), or the check before either park, is
    //   missing (a deadlock),
    // - ORD(blocks.tail), or the Acquire of ORD(blocks.state) in `retire`, is Relaxed.
    model(|| {
        let (mut writer, feed) = Journal::single(1).unwrap();
        let subscriber = feed.subscription().start(Start::Oldest).gating().subscribe().unwrap();
        let reader = thread::spawn(move || read_to_the_end(subscriber));
        writer.publish_batch([0, 1, 2]).unwrap();
        drop(writer);
        assert_eq!(reader.join().unwrap(), (3, 0));
    });
}

#[test]
fn dropped_gating_subscriber_releases_the_publisher() {
    // No publisher waits for a dropped subscriber. Fails when the waiter's fence of ORD(list.count)
    // or its check before the park is missing, or when the gate is removed without a notification:
    // a deadlock.
    model(|| {
        let journal = new(1);
        let subscriber = journal.subscription().start(Start::Oldest).gating().subscribe().unwrap();
        let reader = thread::spawn(move || drop(subscriber));
        for event in 0..3 {
            journal.publish(event).unwrap();
        }
        reader.join().unwrap();
    });
}

/// Returns a journal of this capacity, filled until a gating subscriber blocks it, and that
/// subscriber.
fn barred(capacity: usize) -> (Journal<u64>, Subscriber<u64>) {
    let journal = new(capacity);
    let subscriber = journal.subscription().start(Start::Oldest).gating().subscribe().unwrap();
    let filled = (0..).find(|n| journal.try_publish(*n).is_err());
    assert_eq!(filled, Some(2 * capacity as u64));
    (journal, subscriber)
}

/// Reads `events` available events. Each read reports the position that the earlier reads have
/// reached.
fn read(subscriber: &mut Subscriber<u64>, events: u64) {
    for _ in 0..events {
        assert!(matches!(subscriber.try_recv(), Ok(Entry::Event(..))));
    }
}

#[test]
fn free_block_wakes_two_publishers_at_a_gate() {
    // A subscriber that advances wakes one publisher, but the block has room for both: the first
    // publisher wakes the second. Fails when a publisher that got in does not pass the wake-up on,
    // or when a fence of ORD(list.count) is missing: a deadlock.
    model_with(2, || {
        let (journal, mut subscriber) = barred(2);
        let publishers = [10, 11].map(|event| {
            let journal = journal.clone();
            thread::spawn(move || journal.publish(event).unwrap())
        });
        // The third read reports the first two.
        read(&mut subscriber, 3);
        publishers.into_iter().for_each(|publisher| _ = publisher.join().unwrap());
    });
}

#[test]
fn free_slots_wake_two_publishers_at_a_gate() {
    // Each advance makes room for one publisher, whichever is woken. Fails when a publisher that
    // finds no room does not return to the list, or when a fence of ORD(list.count) is missing: a
    // deadlock.
    model_with(2, || {
        let (journal, mut subscriber) = barred(1);
        let publishers = [10, 11].map(|event| {
            let journal = journal.clone();
            thread::spawn(move || journal.publish(event).unwrap())
        });
        // The second read reports the first; the next poll, whatever its result, reports the
        // second.
        read(&mut subscriber, 2);
        assert!(!matches!(subscriber.try_recv(), Ok(Entry::Lagged(_))));
        publishers.into_iter().for_each(|publisher| _ = publisher.join().unwrap());
    });
}

#[test]
fn timed_out_publisher_passes_the_wake_up_on() {
    // One publisher has no time, and may own the wake-up when it gives up. Then it takes the slot,
    // and the subscriber makes another one; or it leaves the slot to the other publisher. Fails
    // when the first publisher makes no attempt after it has left the list: a deadlock.
    model_with(2, || {
        let (journal, mut subscriber) = barred(1);
        let hurried = journal.clone();
        let hurried = thread::spawn(move || hurried.timeout(Duration::ZERO).write(10).is_ok());
        let patient = journal.clone();
        let patient = thread::spawn(move || patient.publish(11).unwrap());
        read(&mut subscriber, 2);
        if hurried.join().unwrap() {
            read(&mut subscriber, 1);
            // This poll reports that read.
            let _ = subscriber.try_recv();
        }
        patient.join().unwrap();
    });
}

#[test]
fn unsubscribe_releases_two_publishers_at_a_gate() {
    // The gate is removed, which makes room for both publishers. Fails when its end wakes no
    // publisher, or when the woken publisher does not pass the wake-up on: a deadlock.
    model_with(2, || {
        let (journal, subscriber) = barred(1);
        let publishers = [10, 11].map(|event| {
            let journal = journal.clone();
            thread::spawn(move || journal.publish(event).unwrap())
        });
        drop(subscriber);
        publishers.into_iter().for_each(|publisher| _ = publisher.join().unwrap());
    });
}

#[test]
fn last_of_two_gates_wakes_the_publisher() {
    // Both subscribers block the publisher, and the last one that advances wakes it. Fails when a
    // subscriber wakes no publisher, or loads the gates before it shows its own position: a
    // deadlock. `store_buffer` has two that advance at the same time.
    model_with(2, || {
        let journal = new(1);
        let mut gates =
            [0, 1].map(|_| journal.subscription().start(Start::Oldest).gating().subscribe().unwrap());
        (0..2).for_each(|event| assert!(journal.try_publish(event).is_ok()));
        let publisher = journal.clone();
        let publisher = thread::spawn(move || publisher.publish(2).unwrap());
        let [one, other] = &mut gates;
        read(one, 2);
        read(other, 2);
        publisher.join().unwrap();
    });
}

#[test]
fn close_releases_a_publisher_at_a_gate() {
    // A close releases a waiting publisher, and returns its event. Fails when the waiter's fence of
    // ORD(list.count) or its check before the park is missing, or when the close does not notify
    // the publishers that wait at the gates: a deadlock.
    model(|| {
        let journal = new(1);
        let _subscriber = journal.subscription().start(Start::Oldest).gating().subscribe().unwrap();
        let other = journal.clone();
        let publisher = thread::spawn(move || {
            for event in 0..3 {
                if let Err(error) = other.publish(event) {
                    assert!(matches!(error, WriteError::Closed(back) if back == event));
                    return event;
                }
            }
            panic!("the gate was open");
        });
        assert!(Sink::<u64>::close_by(&journal, buslane::time::Deadline::NOW).is_done());
        assert!(publisher.join().unwrap() <= 2);
        journal.state().ledger.check().unwrap();
    });
}

#[test]
fn remove_releases_a_publisher_at_a_gate() {
    // A removal ends the wait of the bus's publisher, whose event is refused, and leaves the
    // journal open. Fails when:
    // - the lane has no end,
    // - its seal does not end the wait or wakes no publisher (a deadlock),
    // - the waiter's fence of ORD(list.count) or its check before the park is missing.
    model(|| {
        let (bus, journal) = (Bus::new(), new(1));
        let id = bus.add(journal.clone()).unwrap();
        let _subscriber = journal.subscription().start(Start::Oldest).gating().subscribe().unwrap();
        journal.publish(0).unwrap();
        journal.publish(1).unwrap();
        let mut publisher = bus.publisher();
        let during = thread::spawn(move || publisher.publish(2).unwrap());
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let refused = journal.state().ledger.refused.closed;
        let published = during.join().unwrap();
        assert_eq!((published.accepted, published.refused as u64 >= refused), (0, true));
        assert!(!journal.feed().is_closed(), "the journal stays open");
        journal.state().ledger.check().unwrap();
    });
}

#[test]
fn publish_and_close_wake_a_pending_task() {
    // A publish and the close wake a pending task. Fails when a fence of ORD(sleepers.first) is
    // missing (a deadlock), or when ORD(blocks.tail) is Relaxed on either side.
    model(|| {
        let journal = new(2);
        let mut subscriber = journal.subscribe(Start::Oldest).unwrap();
        let reader = thread::spawn(move || {
            let (task, waker) = Task::new();
            let mut context = Context::from_waker(&waker);
            let mut seen = 0;
            loop {
                match subscriber.poll_recv(&mut context) {
                    Poll::Ready(Ok(Entry::Event(..))) => seen += 1,
                    Poll::Ready(Ok(other)) => panic!("{other:?}"),
                    Poll::Ready(Err(_)) => return seen,
                    Poll::Pending => task.sleep(),
                }
            }
        });
        journal.publish(0).unwrap();
        journal.close();
        assert_eq!(reader.join().unwrap(), 1);
    });
}
