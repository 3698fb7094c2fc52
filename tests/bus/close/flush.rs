//! A flush waits until events are handled, however many stages downstream of the bus, and names
//! each sink that was not done in time.

use super::{SHORT, held_bus};
use buslane::queue::Handler;
use buslane::stats::Finish;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{BoxError, Bus, Channel, Overflow, Queue, Sink, SinkExt, sink_fn};
use std::thread;
use test_support::bus::{Route, flush_bus, recorder, took};
use test_support::{GUARD, Log, ends};

/// Returns a queue whose handler waits at a gate for each event and then logs it.
fn held_queue(overflow: Overflow, unbounded: bool) -> (Queue<u32>, Gate, Log<u32>) {
    let (gate, log) = (Gate::closed(), Log::new());
    let (at, handled) = (gate.clone(), log.clone());
    let builder = Queue::builder().capacity(64).overflow(overflow);
    let builder = if unbounded { builder.unbounded() } else { builder };
    let queue = builder.spawn(move |event| {
        at.pass();
        handled.push(event);
    });
    (queue.unwrap(), gate, log)
}

#[test]
fn flush_waits_for_handlers_through_every_wrapper() {
    type Wrap = fn(Queue<u32>) -> Box<dyn Sink<u32>>;
    let wraps: [(&str, Wrap); 6] = [
        ("itself", |queue| Box::new(queue)),
        ("filter", |queue| Box::new(queue.filter(|_: &u32| true))),
        ("map", |queue| Box::new(queue.map(|event: &u32| *event))),
        ("bus", |queue| {
            let bus = Bus::new();
            bus.add_named("inside", queue).unwrap();
            Box::new(bus)
        }),
        ("queue", |queue| Box::new(queue.queue(64).unwrap())),
        ("queue upstream of a bus", |queue| {
            let bus = Bus::new();
            bus.add_named("inside", queue.filter(|_: &u32| true)).unwrap();
            Box::new(bus.queue(64).unwrap())
        }),
    ];
    for (what, wrap) in wraps {
        for which in 0..3 {
            let (queue, gate, log) = held_queue(Overflow::Refuse, false);
            let bus = Bus::new();
            bus.add_named("held", wrap(queue)).unwrap();
            let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
            for event in 1..=2 {
                assert_eq!(route.publish(event), Ok(took(1, 0)));
            }
            gate.wait_reached(1);
            let report = bus.flush_timeout(SHORT);
            assert_eq!(report.finish, Finish::TimedOut, "{what}: the handler has not returned");
            assert!(report.unfinished[0].starts_with("held"), "{what}: {report}");
            let (flushing, at_end) = (bus.clone(), log.clone());
            let flusher = thread::spawn(move || (flushing.flush_timeout(GUARD), at_end.entries()));
            gate.permit(1);
            gate.wait_reached(2);
            assert!(!flusher.is_finished(), "{what}: one event is not handled yet");
            gate.permit(1);
            let (report, handled) = flusher.join().unwrap();
            assert!(report.is_done(), "{what}: {report}");
            assert_eq!(handled, [1, 2], "{what}");
            gate.open();
        }
    }
}

#[test]
fn flush_waits_for_the_event_being_handled() {
    let kinds = [(Overflow::DropOldest, false), (Overflow::Block, false), (Overflow::DropNewest, true)];
    for (overflow, unbounded) in kinds {
        for which in 0..3 {
            let (queue, gate, log) = held_queue(overflow, unbounded);
            let bus = Bus::new();
            bus.add_named("held", queue).unwrap();
            let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
            assert_eq!(route.publish(1), Ok(took(1, 0)));
            gate.wait_reached(1);
            let report = bus.flush_timeout(SHORT);
            assert_eq!(
                report.finish,
                Finish::TimedOut,
                "{overflow:?}, unbounded {unbounded}: the handler has not returned"
            );
            assert_eq!(report.unfinished, ["held"]);
            gate.open();
            flush_bus(&bus);
            assert_eq!(log.entries(), [1]);
        }
    }
}

#[test]
fn flush_ignores_events_published_after_it_began() {
    let (bus, gate, log) = held_bus();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    gate.wait_reached(1);
    let flushing = bus.clone();
    let flusher = thread::spawn(move || flushing.flush_timeout(GUARD));
    gate.permit(1);
    assert!(flusher.join().unwrap().is_done());
    let _ = publisher.publish(2).unwrap();
    gate.wait_reached(2);
    assert_eq!(publisher.flush_timeout(SHORT).unfinished, ["queue"]);
    assert_eq!(log.entries(), [1]);
    gate.open();
    assert!(publisher.flush_timeout(GUARD).is_done());
    assert_eq!(log.entries(), [1, 2]);
}

#[test]
fn a_flush_inside_a_delivery_does_not_wait() {
    let seen = ends(|| {
        let (bus, log) = (Bus::new(), Log::new());
        for direct in [true, false] {
            let (weak, seen) = (bus.downgrade(), log.clone());
            let flush = move || seen.push(weak.upgrade().unwrap().flush_timeout(GUARD).finish);
            if direct {
                bus.add(sink_fn(move |_: &u32| flush())).unwrap();
            } else {
                bus.add(Queue::builder().spawn(move |_: u32| flush()).unwrap()).unwrap();
            }
        }
        for mut route in Route::all(&bus) {
            let _ = route.publish(1).unwrap();
        }
        flush_bus(&bus);
        log.entries()
    });
    assert_eq!(seen, [Finish::Pending; 6]);
}

#[test]
fn flush_reports_an_unread_channel_as_unfinished() {
    let bus = Bus::new();
    let (channel, mut receiver) = Channel::lossy(8).unwrap();
    bus.add_named("unread", channel).unwrap();
    let (_called, direct) = recorder();
    bus.add(direct).unwrap();
    flush_bus(&bus);
    let _ = bus.publish(1).unwrap();
    assert_eq!(bus.flush_timeout(SHORT).unfinished, ["unread"]);
    let flushing = bus.clone();
    let flusher = thread::spawn(move || flushing.flush_timeout(GUARD));
    assert_eq!(receiver.recv(), Ok(1));
    assert!(flusher.join().unwrap().is_done());
    let _ = bus.publish(2).unwrap();
    drop(receiver);
    flush_bus(&bus);
    assert!(bus.close().is_done());
    flush_bus(&bus);
}

#[test]
fn a_flush_reaches_the_handler_of_each_queue() {
    struct Buffered {
        held: Vec<u32>,
        out: Log<Vec<u32>>,
    }
    impl Handler<u32> for Buffered {
        fn handle(&mut self, event: u32) -> Result<(), BoxError> {
            self.held.push(event);
            Ok(())
        }
        fn flush(&mut self, _deadline: Deadline) -> Result<(), BoxError> {
            self.out.push(std::mem::take(&mut self.held));
            Ok(())
        }
    }
    let (bus, out) = (Bus::new(), Log::new());
    let handler = Buffered { held: Vec::new(), out: out.clone() };
    bus.add(Queue::builder().spawn_handler(handler).unwrap().filter(|_: &u32| true)).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish_batch([1, 2, 3]).unwrap();
    flush_bus(&bus);
    assert_eq!(out.entries(), [[1, 2, 3]]);
}
