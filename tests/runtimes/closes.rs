//! A close that a task began, and another caller ends; and a close inside a delivery.

use crate::{by_hand, gated_queue, poll};
use buslane::stats::{CloseReport, Finish};
use buslane::testing::{Collect, Gate};
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink, SinkExt, WriteError, sink_fn};
use std::sync::mpsc;
use std::time::Duration;
use test_support::{GUARD, assert_balanced, block_on, wait_for};

/// A direct sink whose close waits at a gate.
struct Held(Gate);

impl Sink<u64> for Held {
    fn write(&self, _: u64) -> Result<(), WriteError<u64>> {
        Ok(())
    }

    fn close_by(&self, _: Deadline) -> CloseReport {
        self.0.pass();
        CloseReport::done()
    }
}

/// How a stuck direct sink and a queue with a backlog are on a bus.
const PLACES: [&str; 4] = ["held first", "queue first", "in a nested bus", "in a tee"];

fn add(place: &str, bus: &Bus<u64>, held: Held, queue: Queue<u64>) {
    match place {
        "held first" => {
            bus.add_named("held", held).unwrap();
            bus.add(queue).unwrap();
        }
        "queue first" => {
            bus.add(queue).unwrap();
            bus.add_named("held", held).unwrap();
        }
        "in a nested bus" => {
            let inner = Bus::new();
            inner.add_named("held", held).unwrap();
            inner.add(queue).unwrap();
            bus.add(inner).unwrap();
        }
        _ => _ = bus.add_named("held", held.tee(queue)).unwrap(),
    }
}

/// Checks that `begin`, which begins a close without a limit, does not keep a later close with a limit
/// from discarding the backlog.
fn assert_cut_short(begin: impl Fn(&Bus<u64>)) {
    for place in PLACES {
        let bus = Bus::new();
        let closing = Gate::closed();
        let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
        add(place, &bus, Held(closing.clone()), queue.clone());
        (0..5).for_each(|event| assert!(bus.publish(event).unwrap().accepted > 0));
        gate.wait_reached(1);
        begin(&bus);
        closing.wait_reached(1);
        let report = bus.close_timeout(Duration::ZERO);
        assert_eq!(report.finish, Finish::TimedOut, "{place}");
        assert!(report.unfinished.iter().any(|name| name.ends_with("held")), "{place}: {report}");
        gate.open();
        wait_for(|| queue.state().ledger.pending == 0);
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.delivered, ledger.dropped.aborted), (1, 4), "{place}: the backlog is discarded");
        closing.open();
        let last = block_on(bus.close_async());
        if place != "in a tee" {
            assert_eq!(report.undelivered, 5, "{place}");
            assert_eq!((last.finish, last.undelivered), (Finish::TimedOut, 5), "{place}");
        }
    }
}

#[test]
fn dropped_close_is_cut_short_by_a_limit() {
    assert_cut_short(|bus| {
        let (mut close, _, waker) = by_hand(bus.close_async());
        assert!(poll(close.as_mut(), &waker).is_pending());
    });
}

#[test]
fn unlimited_close_is_cut_short_by_a_limit() {
    assert_cut_short(|bus| {
        let bus = bus.clone();
        std::thread::spawn(move || Sink::close_by(&bus, Deadline::NEVER));
    });
}

#[test]
fn close_inside_a_delivery_closes_a_sink_once() {
    for by_task in [false, true] {
        for by_worker in [false, true] {
            let (sender, reports) = mpsc::channel();
            let (bus, direct) = (Bus::new(), Collect::new());
            bus.add(direct.clone()).unwrap();
            let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
            bus.add(queue).unwrap();
            let weak = bus.downgrade();
            let close = move || {
                let bus = weak.upgrade().expect("the bus is open");
                let report = if by_task { block_on(bus.close_async()) } else { bus.close() };
                sender.send(report.finish)
            };
            if by_worker {
                bus.add(Queue::builder().spawn(move |_: u64| close()).unwrap()).unwrap();
            } else {
                bus.add(sink_fn(move |_: &u64| close())).unwrap();
            }
            let _ = bus.publish(1).unwrap();
            let what = format!("by a task: {by_task}, by a worker: {by_worker}");
            assert_eq!(reports.recv_timeout(GUARD), Ok(Finish::Pending), "{what}");
            assert_eq!(direct.closes(), 1, "{what}");
            gate.open();
            assert!(bus.close().is_done(), "{what}");
            assert!(block_on(bus.close_async()).is_done(), "{what}");
            assert_eq!(direct.closes(), 1, "{what}: closed again");
        }
    }
}

#[test]
fn failed_close_inside_a_delivery_is_reported_later() {
    struct Failing;
    impl Sink<u64> for Failing {
        fn write(&self, _: u64) -> Result<(), WriteError<u64>> {
            Ok(())
        }
        fn close_by(&self, _: Deadline) -> CloseReport {
            CloseReport::failed("the disk is full")
        }
    }
    let bus = Bus::new();
    bus.add_named("failing", Failing).unwrap();
    let weak = bus.downgrade();
    let queue = Queue::builder().spawn(move |_: u64| {
        let _ = weak.upgrade().expect("the bus is open").close();
    });
    bus.add(queue.unwrap()).unwrap();
    let _ = bus.publish(1).unwrap();
    wait_for(|| bus.is_closed());
    let report = bus.close();
    assert_eq!(report.errors, ["failing: the disk is full"], "{report}");
}
