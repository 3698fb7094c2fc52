//! Changes on their way to publishers, and threads that switch from the shared lane to private
//! lanes.
//!
//! A change is handed over, replaced before the publisher takes it, or taken during its
//! replacement. All scenarios have three preemptions, except those that state another bound.

use buslane::bus::Removed;
use buslane::{Bus, Overflow};
use loom_tests::channels::{channel, left};
use loom_tests::probe::Probe;
use loom_tests::{model, model_with, thread};

#[test]
fn withdrawn_change_keeps_the_other_sink() {
    // The bus removes a sink whose change the publisher has not taken, or is just taking. The
    // change is withdrawn, and the change for the other sink is handed over again in one step.
    // Every publish reaches the other sink, and none reaches the removed sink after the removal.
    // Fails when:
    // - a lease can be claimed twice,
    // - the mailbox is empty between the old changes and the new,
    // - ORD(handoff.slot) is Relaxed in `replace`.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (stays, mut receiver) = channel(2, Overflow::DropNewest);
        let (goes, mut gone) = channel(2, Overflow::DropNewest);
        let keep_open = goes.clone();
        let id = bus.add(goes).expect("open");
        bus.add(stays).expect("open");
        let during = thread::spawn(move || {
            let accepted = publisher.publish(1).expect("open").accepted;
            (publisher, accepted)
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let at_return = left(&mut gone).len();
        let (mut publisher, accepted) = during.join().unwrap();
        assert_eq!(accepted, 1 + at_return, "no event enters after the removal");
        assert_eq!(publisher.publish(2).expect("open").accepted, 1);
        assert_eq!(left(&mut receiver), [1, 2]);
        assert!(left(&mut gone).is_empty());
        drop(keep_open);
    });
}

#[test]
fn withdrawn_change_calls_the_other_sink_once() {
    // As above, for sinks that are called directly. Fails when a publisher treats a change that it
    // has applied as new: then the remaining sink is called twice.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let ((goes, gone), (stays, kept)) = (Probe::new(), Probe::new());
        let id = bus.add(goes).expect("open");
        bus.add(stays).expect("open");
        let during = thread::spawn(move || {
            let _ = publisher.publish(1).expect("open");
            publisher
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        gone.end();
        assert!(gone.is_dropped());
        let mut publisher = during.join().unwrap();
        assert_eq!(publisher.publish(2).expect("open").accepted, 1);
        assert_eq!(kept.writes(), 2);
    });
}

#[test]
fn publisher_applies_remove_and_add_in_order() {
    // A separate change removes a sink that the publisher has already taken, and another change
    // follows. Fails when the publisher skips changes, or applies them in the wrong order.
    model(|| {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let (first, mut first_reader) = channel(4, Overflow::DropNewest);
        let (second, mut second_reader) = channel(4, Overflow::DropNewest);
        let keep_open = first.clone();
        let id = bus.add(first).expect("open");
        let _ = publisher.publish(0).expect("open");
        let during = thread::spawn(move || {
            let _ = publisher.publish(1).expect("open");
            publisher
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        bus.add(second).expect("open");
        let mut publisher = during.join().unwrap();
        assert_eq!(publisher.publish(2).expect("open").accepted, 1);
        let (first, second) = (left(&mut first_reader), left(&mut second_reader));
        assert!(first == [0] || first == [0, 1]);
        assert!(second.ends_with(&[2]));
        drop(keep_open);
    });
}

#[test]
fn registration_finds_exactly_the_attached_sinks() {
    // A publisher that registers during adds and removals reaches exactly the sinks that are
    // attached afterward. Fails when a registration keeps a path to a sink that was removed
    // meanwhile, or misses a sink that was added. Two preemptions.
    model_with(2, || {
        let bus = Bus::new();
        let (first, mut first_reader) = channel(2, Overflow::DropNewest);
        let (second, mut second_reader) = channel(2, Overflow::DropNewest);
        let keep_open = first.clone();
        let id = bus.add(first).expect("open");
        let other = bus.clone();
        let registers = thread::spawn(move || other.publisher());
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        bus.add(second).expect("open");
        let mut publisher = registers.join().unwrap();
        assert_eq!(publisher.publish(1).expect("open").accepted, 1);
        assert_eq!((left(&mut first_reader), left(&mut second_reader)), (vec![], vec![1]));
        assert_eq!(bus.snapshot().publishers, 1);
        drop(keep_open);
    });
}

#[test]
fn thread_keeps_its_order_when_it_gets_a_lane() {
    // A busy reader reads the thread's events in the shared lane before those in its private lane.
    // Fails when a new lane is scanned at once.
    model(|| {
        let bus = Bus::new();
        let (sink, mut receiver) = channel(4, Overflow::DropNewest);
        bus.add(sink).expect("open");
        let moving = bus.clone();
        let moves = thread::spawn(move || {
            let _ = moving.publish(1).expect("open");
            let _ = moving.publish(2).expect("open");
            let mut publisher = moving.publisher();
            let _ = publisher.publish(3).expect("open");
            publisher
        });
        assert_eq!((receiver.recv(), receiver.recv(), receiver.recv()), (Ok(1), Ok(2), Ok(3)));
        drop(moves.join().unwrap());
    });
}

#[test]
fn new_lane_wakes_a_reader_parked_at_a_gap() {
    // Another thread has claimed a position in the shared lane and not filled it when the new lane
    // is created: the reader that parks meanwhile is woken, and reads all events. Fails (a
    // deadlock) when the filled position does not count as work, or when the new lane is forgotten.
    // Two preemptions.
    model_with(2, || {
        let bus = Bus::new();
        let (sink, mut receiver) = channel(4, Overflow::DropNewest);
        bus.add(sink).expect("open");
        let other = bus.clone();
        let shared = thread::spawn(move || other.publish(1).expect("open").accepted);
        let moving = bus.clone();
        let moves = thread::spawn(move || {
            let mut publisher = moving.publisher();
            let _ = publisher.publish(2).expect("open");
            publisher
        });
        let mut read = [receiver.recv().expect("open"), receiver.recv().expect("open")];
        read.sort_unstable();
        assert_eq!(read, [1, 2]);
        assert_eq!(shared.join().unwrap(), 1);
        drop(moves.join().unwrap());
    });
}
