//! The close of a queue, and the flush: the events that they wait for, the events that they give
//! up, and the reports.

use crate::{HOUR, held_queue};
use buslane::stats::{CloseReport, DropReason, Finish, SinkStatus};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Overflow, Queue, Sink, SinkExt, WriteError};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use test_support::{
    Drops, Entry, GUARD, Log, Outcome, Tracked, WAYS, Way, assert_balanced, ends, flush, lane, outcome,
    wait_for, waits,
};

#[test]
fn close_handles_accepted_events_and_refuses_the_rest() {
    let (queue, gate, log) = held_queue(8, Overflow::Block);
    let mut entries = WAYS.map(|way| Entry::into(&queue, way));
    entries.iter_mut().for_each(|entry| entry.write(1).unwrap());
    gate.open();
    let report = queue.close();
    assert!(report.is_done() && report.undelivered == 0 && report.unfinished.is_empty(), "{report}");
    assert_eq!(log.entries(), [0, 1, 1]);
    for mut entry in entries.into_iter().chain(WAYS.map(|way| Entry::into(&queue, way))) {
        assert_eq!(outcome(entry.write(2)), Outcome::Closed(2));
    }
    assert_eq!((queue.close(), Sink::close_by(&queue, Deadline::NOW)), (report.clone(), report));
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.offered, ledger.delivered, ledger.refused.closed), (7, 3, 4));
    assert_eq!(queue.state().status, SinkStatus::Drained);
    flush(&queue);
}

#[test]
fn close_leaves_a_stuck_handler_at_the_deadline() {
    for way in WAYS {
        let (gate, dropped) = (Gate::closed(), Log::new());
        let (at, hook) = (gate.clone(), dropped.clone());
        let queue = Queue::builder()
            .capacity(64)
            .on_drop(move |event, reason| hook.push((event, reason)))
            .spawn(move |_: u64| at.pass())
            .unwrap();
        let mut entry = Entry::into(&queue, way);
        (0..4).for_each(|event| entry.write(event).unwrap());
        gate.wait_reached(1);
        let report = queue.close_timeout(Duration::from_millis(1));
        assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 4), "{way:?}");
        assert!(!report.is_done() && report.to_string().contains("4 undelivered"), "{report}");
        // Every caller receives the same report, including a caller with a longer limit.
        assert_eq!((queue.close(), queue.close_timeout(Duration::MAX)), (report.clone(), report));
        assert_eq!(outcome(entry.write(9)), Outcome::Closed(9));
        assert_eq!(queue.state().status, SinkStatus::Closed);
        assert_balanced(&queue.state());
        gate.open();
        wait_for(|| queue.state().status == SinkStatus::Drained);
        assert_eq!(dropped.entries(), [1, 2, 3].map(|event| (event, DropReason::Aborted)), "{way:?}");
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.delivered, ledger.dropped.aborted, ledger.refused.closed), (1, 3, 1));
    }
}

#[test]
fn close_report_excludes_handled_events() {
    for way in WAYS {
        let (queue, gate, log) = held_queue(64, Overflow::Refuse);
        let mut entry = Entry::into(&queue, way);
        (1..=10).for_each(|event| entry.write(event).unwrap());
        gate.permit(10);
        gate.wait_reached(11);
        assert_eq!(log.entries().len(), 10);
        let report = queue.close_timeout(Duration::ZERO);
        assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 1), "{way:?}");
        gate.open();
    }
}

#[test]
fn close_returns_the_event_of_a_blocked_writer() {
    for (overflow, way) in [Overflow::Block, Overflow::BlockFor(HOUR)]
        .into_iter()
        .flat_map(|policy| WAYS.map(|way| (policy, way)))
    {
        let (queue, gate, _) = held_queue(1, overflow);
        let mut entry = Entry::into(&queue, way);
        entry.write(1).unwrap();
        let writer = waits(move || outcome(entry.write(2)));
        let closer = queue.clone();
        let close = thread::spawn(move || closer.close());
        assert_eq!(ends(move || writer.join().unwrap()), Outcome::Closed(2), "{overflow:?}, {way:?}");
        gate.open();
        assert!(close.join().unwrap().is_done());
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.delivered, ledger.refused.closed), (2, 1));
    }
}

#[test]
fn flush_waits_for_accepted_events_until_its_limit() {
    for (way, unbounded) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let gate = Gate::closed();
        let at = gate.clone();
        let builder = Queue::builder().capacity(4);
        let builder = if unbounded { builder.unbounded() } else { builder };
        let queue = builder.spawn(move |_: u64| at.pass()).unwrap();
        let mut entry = Entry::into(&queue, way);
        assert!(queue.flush_timeout(GUARD).is_done(), "nothing to wait for");
        (0..3).for_each(|event| entry.write(event).unwrap());
        gate.permit(2);
        gate.wait_reached(3);
        let report = queue.flush_timeout(Duration::from_millis(1));
        assert_eq!(report.finish, Finish::TimedOut, "{way:?}, unbounded {unbounded}");
        assert_eq!(queue.flush_timeout(Duration::ZERO).finish, Finish::TimedOut);
        gate.open();
        flush(&queue);
        assert_eq!(assert_balanced(&queue.state()).delivered, 3);
    }
}

#[test]
fn close_and_flush_do_not_wait_inside_a_delivery() {
    let (sender, reports) = mpsc::channel();
    let own = Arc::new(Mutex::new(None::<Queue<u64>>));
    let handle = own.clone();
    let queue = Queue::builder()
        .spawn(move |_| {
            let queue = handle.lock().unwrap().clone().unwrap();
            sender.send((queue.flush_timeout(HOUR).finish, queue.close_timeout(HOUR).finish)).unwrap();
        })
        .unwrap();
    *own.lock().unwrap() = Some(queue.clone());
    queue.write(1).unwrap();
    assert_eq!(reports.recv_timeout(GUARD), Ok((Finish::Pending, Finish::Pending)));
    // A caller outside the delivery can wait for the close that continues in the background.
    assert_eq!(queue.close(), CloseReport::done());
    own.lock().unwrap().take();
}

#[test]
fn last_handle_drop_handles_accepted_events() {
    let (drops, log) = (Drops::default(), Log::new());
    let handled = log.clone();
    let queue = Queue::builder().spawn(move |event: Tracked| handled.push(event.id)).unwrap();
    let mut entry = lane(&queue);
    let other = queue.clone();
    drop(queue);
    for id in 0..10 {
        assert!(entry.push(drops.track(id), Deadline::NEVER).is_ok());
    }
    drop(other);
    assert!(matches!(
        entry.push(drops.track(10), Deadline::NEVER),
        Err(WriteError::Closed(Tracked { id: 10, .. }))
    ));
    wait_for(|| drops.ids().len() == 11);
    assert_eq!(log.entries(), (0..10).collect::<Vec<_>>());
    assert_eq!(drops.ids(), (0..=10).collect::<Vec<_>>());
}

#[test]
fn last_handle_drop_aborts_no_event() {
    let (queue, gate, log) = held_queue(8, Overflow::Refuse);
    (1..=3).for_each(|event| queue.write(event).unwrap());
    ends(move || drop(queue));
    assert!(log.entries().is_empty());
    gate.open();
    wait_for(|| log.entries() == [0, 1, 2, 3]);
}

#[test]
fn worker_can_drop_the_last_handle_of_its_queue() {
    let (drops, (sender, ended)) = (Drops::default(), mpsc::channel::<()>());
    let own = Arc::new(Mutex::new(None::<Queue<Tracked>>));
    let handle = own.clone();
    let queue = Queue::builder()
        .spawn(move |_| {
            let _dropped_with_the_handler = &sender;
            drop(handle.lock().unwrap().take());
        })
        .unwrap();
    let mut entry = lane(&queue);
    *own.lock().unwrap() = Some(queue);
    for id in 0..3 {
        let _ = entry.push(drops.track(id), Deadline::NEVER);
    }
    assert_eq!(ended.recv_timeout(GUARD), Err(mpsc::RecvTimeoutError::Disconnected));
    wait_for(|| drops.ids() == [0, 1, 2]);
}

#[test]
fn aborted_events_are_dropped_exactly_once() {
    let (drops, gate) = (Drops::default(), Gate::closed());
    let at = gate.clone();
    let queue = Queue::builder().spawn(move |_: Tracked| at.pass()).unwrap();
    let mut entries = WAYS.map(|way| Entry::into(&queue, way));
    for id in 0..10 {
        assert!(entries[id as usize % 2].write(drops.track(id)).is_ok());
    }
    gate.wait_reached(1);
    assert_eq!(queue.close_timeout(Duration::ZERO).undelivered, 10);
    gate.open();
    wait_for(|| queue.state().status == SinkStatus::Drained);
    assert_eq!(drops.ids(), (0..10).collect::<Vec<_>>());
    assert_eq!(assert_balanced(&queue.state()).dropped.aborted, 9);
}

#[test]
fn flush_and_close_reach_the_downstream_queue() {
    let (inner, gate, log) = held_queue(8, Overflow::Refuse);
    let behind = inner.clone();
    let outer = inner.queue(8).unwrap();
    outer.write(1).unwrap();
    // The outer worker has forwarded its event, and the inner worker is stuck: the flush is not
    // done.
    wait_for(|| behind.state().ledger.offered == 2);
    assert_eq!(outer.flush_timeout(Duration::from_millis(50)).finish, Finish::TimedOut);
    gate.open();
    flush(&outer);
    assert_eq!(log.entries(), [0, 1]);
    assert_eq!(outer.state().last_error.filter(|text| text.contains("pending")), None);
    outer.write(2).unwrap();
    let report = outer.close();
    assert!(report.is_done(), "{report}");
    assert_eq!(log.entries(), [0, 1, 2]);
    assert_eq!(behind.state().status, SinkStatus::Drained);
}

#[test]
fn close_passes_its_limit_to_the_downstream_sink() {
    /// A handler that reports the deadline of its close.
    struct Closing(mpsc::Sender<Deadline>);
    impl Sink<u64> for Closing {
        fn write(&self, _: u64) -> Result<(), WriteError<u64>> {
            Ok(())
        }
        fn close_by(&self, deadline: Deadline) -> CloseReport {
            self.0.send(deadline).unwrap();
            CloseReport::failed("a file that cannot be closed")
        }
    }
    let (sender, deadlines) = mpsc::channel();
    let queue = Closing(sender).queue(8).unwrap();
    let report = queue.close_timeout(Duration::MAX);
    assert_eq!(report.errors, ["a file that cannot be closed"]);
    assert!(!report.is_done() && report.finish == Finish::Done, "{report}");
    assert_eq!(queue.state().last_error.as_deref(), Some("a file that cannot be closed"));
    assert_eq!(deadlines.recv_timeout(GUARD), Ok(Deadline::NEVER));
    // Without a limit from the caller, the default limit applies.
    let (sender, deadlines) = mpsc::channel();
    drop(Closing(sender).queue(8).unwrap());
    assert!(deadlines.recv_timeout(GUARD).unwrap().remaining().is_some());
}

#[test]
fn concurrent_closes_and_writes_agree_on_acceptance() {
    for round in 0..100 {
        let log = Log::new();
        let handled = log.clone();
        let queue = Queue::builder()
            .capacity(2)
            .overflow(Overflow::Block)
            .spawn(move |event| handled.push(event))
            .unwrap();
        let writers = [Way::Private, Way::Shared, Way::Shared].map(|way| {
            let mut entry = Entry::into(&queue, way);
            thread::spawn(move || {
                (0..u64::MAX).take_while(|event| entry.write(*event).is_ok()).count() as u64
            })
        });
        wait_for(|| queue.state().ledger.delivered >= round % 7);
        let closers = [queue.clone(), queue.clone()].map(|queue| thread::spawn(move || queue.close()));
        let [first, second] = closers.map(|closer| closer.join().unwrap());
        assert!(first.is_done() && first == second, "{first}");
        let accepted: u64 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.accepted, ledger.delivered, ledger.refused.closed), (accepted, accepted, 3));
        assert_eq!(log.entries().len() as u64, accepted);
    }
}
