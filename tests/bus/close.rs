//! Closing a bus: which events are handled, what each caller gets back, and what remains at the
//! deadline. Also flushing.

mod cycles;
mod deadlines;
mod flush;
mod last_handle;
mod shared_flush;

use buslane::error::{Closed, RecvError};
use buslane::stats::{CloseReport, Finish, SinkStatus};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Overflow, Queue, Sink, SinkExt, noop, sink_fn};
use std::thread;
use std::time::Duration;
use test_support::bus::{Closable, Route, assert_books, gated, ledger, recorder, sink, took};
use test_support::{GUARD, Log, ends, wait_for};

const SHORT: Duration = Duration::from_millis(20);

/// Returns a bus with one queue, named "queue", whose handler waits at a gate for each event.
fn held_bus() -> (Bus<u32>, Gate, Log<u32>) {
    let (bus, gate, log) = (Bus::new(), Gate::closed(), Log::new());
    let (at, handled) = (gate.clone(), log.clone());
    let queue = Queue::builder().capacity(8).spawn(move |event| {
        at.pass();
        handled.push(event);
    });
    bus.add_named("queue", queue.unwrap()).unwrap();
    (bus, gate, log)
}

#[test]
fn close_drains_accepted_and_returns_later_events() {
    let (bus, gate, log) = held_bus();
    let (called, direct) = recorder();
    bus.add(direct).unwrap();
    let mut routes = Route::all(&bus);
    for (event, route) in (1..).zip(&mut routes) {
        assert_eq!(route.publish(event), Ok(took(2, 0)));
    }
    gate.open();
    let report = bus.close();
    assert!(report.is_done() && report.undelivered == 0, "{report}");
    assert!(bus.is_closed() && !bus.has_sinks() && bus.sink_count() == 0);
    for route in &mut routes {
        assert_eq!(route.publish(9), Err(Closed(9)), "{}", route.name());
    }
    let mut late = bus.publisher();
    assert_eq!(late.publish(9), Err(Closed(9)));
    assert!(late.try_publish(9).is_err_and(|back| back.is_closed() && back.into_event() == 9));
    assert_eq!(bus.with_local(|local| local.publish(9)), Err(Closed(9)));
    let mut handled = log.entries();
    handled.sort_unstable();
    assert_eq!(handled, [1, 2, 3]);
    assert_eq!(called.entries(), [1, 2, 3]);
    assert_eq!((bus.close(), bus.close_timeout(Duration::ZERO)), (report.clone(), report));
    assert_books(&bus);
}

#[test]
fn concurrent_closes_get_one_report() {
    let (bus, gate, log) = held_bus();
    let sick = Closable::new(|_: &u32| (), || panic!("sick"));
    bus.add_named("sick", sick).unwrap();
    let _ = bus.publish(1).unwrap();
    gate.wait_reached(1);
    let closers: Vec<_> = (0..4)
        .map(|_| {
            let bus = bus.clone();
            thread::spawn(move || bus.close_timeout(GUARD))
        })
        .collect();
    wait_for(|| bus.is_closed());
    assert!(closers.iter().all(|closer| !closer.is_finished()), "the handler has not returned");
    gate.open();
    let reports: Vec<_> = closers.into_iter().map(|closer| closer.join().unwrap()).collect();
    assert_eq!(log.entries(), [1]);
    assert!(reports.iter().all(|report| *report == reports[0]));
    assert_eq!((reports[0].finish, bus.close()), (Finish::Done, reports[0].clone()));
    assert_eq!(reports[0].errors, ["sick: its close panicked: sick"]);
}

#[test]
fn close_inside_a_handler_is_pending_then_final() {
    let (bus, reports) = (Bus::new(), Log::new());
    let (weak, log) = (bus.downgrade(), reports.clone());
    let close = move |_: u32| log.push(weak.upgrade().unwrap().close());
    bus.add_named("closes", Queue::builder().spawn(close).unwrap()).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    wait_for(|| reports.entries().len() == 1);
    assert_eq!(reports.entries()[0].finish, Finish::Pending);
    assert_eq!(publisher.publish(2), Err(Closed(2)));
    let report = bus.close();
    assert!(report.is_done() && report.unfinished.is_empty(), "{report}");
    assert_eq!(bus.close(), report);
}

#[test]
fn a_close_from_inside_a_direct_sink_is_pending() {
    for which in 0..3 {
        let bus = Bus::new();
        let (weak, reports) = (bus.downgrade(), Log::new());
        let log = reports.clone();
        let (called, after) = recorder();
        bus.add(sink_fn(move |_: &u32| log.push(weak.upgrade().unwrap().close().finish))).unwrap();
        bus.add(after).unwrap();
        let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
        let published = route.publish(1).unwrap();
        assert_eq!(reports.entries(), [Finish::Pending]);
        assert_eq!(published, took(1, 1), "{}: a closed bus calls no further sink", route.name());
        assert_eq!(called.entries(), [0; 0]);
        assert_eq!(route.publish(2), Err(Closed(2)));
        assert!(bus.close().is_done());
    }
}

#[test]
fn close_at_its_deadline_names_the_stuck_handler() {
    let (bus, gate, log) = held_bus();
    let (inner, inner_gate, _) = held_bus();
    bus.add_named("inner", inner).unwrap();
    bus.add_named("fine", noop()).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish_batch([1, 2, 3]), Ok(took(9, 0)));
    gate.wait_reached(1);
    inner_gate.wait_reached(1);
    let report = bus.close_timeout(SHORT);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 6));
    assert_eq!(report.unfinished, ["queue", "inner/queue"]);
    assert_eq!(report.to_string(), "timed out; 6 undelivered; unfinished: queue, inner/queue");
    assert_eq!(bus.close(), report, "a second close returns the same report");
    assert_eq!(sink(&bus, "queue").state.status, SinkStatus::Closed);
    gate.open();
    inner_gate.open();
    wait_for(|| sink(&bus, "queue").state.status == SinkStatus::Drained);
    let ledger = ledger(&bus, "queue");
    assert_eq!((ledger.delivered, ledger.dropped.aborted), (1, 2));
    assert_eq!((log.entries(), bus.close()), (vec![1], report));
}

#[test]
fn close_at_its_deadline_names_the_stuck_direct_sink() {
    for which in 0..3 {
        let (bus, gate) = (Bus::new(), Gate::closed());
        let (called, direct) = gated(&gate);
        bus.add_named("stuck", direct).unwrap();
        let publishing = bus.clone();
        let publisher = thread::spawn(move || {
            let mut route = Route::all(&publishing).into_iter().nth(which).unwrap();
            (route.publish(1), route.name())
        });
        gate.wait_reached(1);
        let report = bus.close_timeout(SHORT);
        gate.open();
        let (published, name) = publisher.join().unwrap();
        assert_eq!(
            (report.finish, report.unfinished),
            (Finish::TimedOut, vec![String::from("stuck")]),
            "{name}"
        );
        assert_eq!((published, called.entries()), (Ok(took(1, 0)), vec![1]));
    }
}

#[test]
fn close_waits_for_the_direct_call_in_progress() {
    for which in 0..3 {
        let (bus, gate) = (Bus::new(), Gate::closed());
        let (called, direct) = gated(&gate);
        let (after, later) = recorder();
        bus.add(direct).unwrap();
        bus.add(later).unwrap();
        let (publishing, closing, log) = (bus.clone(), bus.clone(), called.clone());
        let publisher = thread::spawn(move || {
            let mut route = Route::all(&publishing).into_iter().nth(which).unwrap();
            (route.publish(1).unwrap(), route.name())
        });
        gate.wait_reached(1);
        let closer = thread::spawn(move || (closing.close_timeout(GUARD), log.entries()));
        wait_for(|| bus.is_closed());
        assert!(!closer.is_finished(), "the close waits for the call in progress");
        gate.open();
        let (report, called) = closer.join().unwrap();
        let (published, name) = publisher.join().unwrap();
        assert!(report.is_done(), "{report}");
        assert_eq!(called, [1], "{name}: the close returned before the call in progress ended");
        assert_eq!((published.accepted + published.refused as usize, published.dropped), (2, 0));
        assert_eq!(published.accepted, 1 + after.entries().len());
    }
}

#[test]
fn close_closes_sinks_in_insertion_order() {
    let (bus, order) = (Bus::<u32>::new(), Log::new());
    let closable = |name: &'static str| {
        let order = order.clone();
        Closable::new(|_: &u32| (), move || order.push(name))
    };
    for name in ["first", "second", "third", "removed", "fourth"] {
        let id = bus.add_named(name, closable(name)).unwrap();
        if name == "removed" {
            bus.remove(id).unwrap();
        }
    }
    bus.add_named("filtered", closable("filtered").filter(|_: &u32| true)).unwrap();
    bus.add_named("queued", closable("queued").queue(8).unwrap()).unwrap();
    let inner = Bus::new();
    inner.add(closable("nested")).unwrap();
    bus.add(inner).unwrap();
    assert!(bus.close().is_done());
    assert!(bus.close().is_done());
    assert_eq!(order.entries(), ["first", "second", "third", "fourth", "filtered", "queued", "nested"]);
}

#[test]
fn close_reports_failed_sinks_and_closes_the_rest() {
    struct Failing;
    impl Sink<u32> for Failing {
        fn write(&self, _event: u32) -> Result<(), buslane::WriteError<u32>> {
            Ok(())
        }
        fn close_by(&self, _deadline: buslane::time::Deadline) -> CloseReport {
            CloseReport::failed("the disk is full")
        }
    }
    let bus = Bus::<u32>::new();
    let closed = Log::new();
    let log = closed.clone();
    bus.add_named("panics", Closable::new(|_: &u32| (), || panic!("at the end"))).unwrap();
    bus.add_named("fails", Failing).unwrap();
    bus.add_named("good", Closable::new(|_: &u32| (), move || log.push(()))).unwrap();
    let report = bus.close();
    assert_eq!(report.finish, Finish::Done);
    assert!(!report.is_done());
    assert_eq!(report.errors, ["panics: its close panicked: at the end", "fails: the disk is full"]);
    assert_eq!(closed.entries(), [()]);
}

#[test]
fn close_returns_the_event_of_a_blocked_publisher() {
    for which in 0..3 {
        for filtered in [false, true] {
            let bus = Bus::new();
            // The bus calls this sink before the publisher waits. It refuses the event, so that no
            // sink has accepted the second event.
            let reached = Log::new();
            let seen = reached.clone();
            bus.add(sink_fn(move |event: &u32| {
                seen.push(*event);
                Err::<(), _>("refused by the test")
            }))
            .unwrap();
            let (channel, mut receiver) =
                Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
            if filtered {
                bus.add_named("channel", channel.filter(|_: &u32| true)).unwrap();
            } else {
                bus.add_named("channel", channel).unwrap();
            }
            let publishing = bus.clone();
            let publisher = thread::spawn(move || {
                let mut route = Route::all(&publishing).into_iter().nth(which).unwrap();
                (route.publish(1), route.publish(2))
            });
            wait_for(|| reached.entries().len() == 2);
            let report = bus.close();
            assert!(report.is_done(), "{report}");
            assert_eq!(publisher.join().unwrap(), (Ok(took(1, 1)), Err(Closed(2))));
            assert_eq!(receiver.recv(), Ok(1));
            assert_eq!(receiver.recv(), Err(RecvError::Closed));
            assert_books(&bus);
        }
    }
}

#[test]
fn close_waits_for_sinks_downstream_of_a_queue() {
    for bus_behind in [false, true] {
        let (bus, behind) = (Bus::new(), Log::new());
        let log = behind.clone();
        let last = Queue::builder().spawn(move |event: u32| log.push(event)).unwrap();
        if bus_behind {
            let inner = Bus::new();
            inner.add(last.clone()).unwrap();
            bus.add(inner.queue(8).unwrap()).unwrap();
        } else {
            bus.add(last.clone().queue(8).unwrap()).unwrap();
        }
        let mut publisher = bus.publisher();
        assert_eq!(publisher.publish_batch([1, 2, 3]), Ok(took(3, 0)));
        let report = bus.close();
        assert!(report.is_done(), "downstream is a bus: {bus_behind}: {report}");
        assert_eq!(behind.entries(), [1, 2, 3], "downstream is a bus: {bus_behind}");
        assert_eq!(last.state().status, SinkStatus::Drained);
        assert_eq!(bus.close(), report);
    }
}

#[test]
fn a_close_does_not_wait_for_the_reader_of_a_channel() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish_batch([1, 2, 3]).unwrap();
    let report = ends(move || bus.close_timeout(GUARD));
    assert!(report.is_done() && report.undelivered == 0, "{report}");
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn close_handles_events_accepted_while_it_runs() {
    for _ in 0..50 {
        let (bus, count) = (Bus::new(), Log::new());
        let log = count.clone();
        bus.add(
            Queue::builder().overflow(Overflow::Refuse).spawn(move |event: u32| log.push(event)).unwrap(),
        )
        .unwrap();
        let publishers: Vec<_> = (0..3)
            .map(|which| {
                let bus = bus.clone();
                thread::spawn(move || {
                    let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
                    let mut accepted = 0;
                    while let Ok(published) = route.publish(1) {
                        accepted += published.accepted;
                    }
                    accepted
                })
            })
            .collect();
        wait_for(|| count.entries().len() > 10);
        assert!(bus.close().is_done());
        let promised: usize = publishers.into_iter().map(|publisher| publisher.join().unwrap()).sum();
        assert_eq!(count.entries().len(), promised);
        assert_books(&bus);
    }
}
