//! One deadline for all sinks: a stuck sink takes no time from the others, and no close or flush
//! exceeds its limit.

use buslane::queue::Handler;
use buslane::retry::Backoff;
use buslane::stats::{CloseReport, Finish, FlushReport};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{BoxError, Bus, Queue, Sink, SinkExt, WriteError, sink_fn};
use std::thread;
use std::time::{Duration, Instant};
use test_support::bus::Closable;
use test_support::{GUARD, Log, limit, wait_for};

/// The limit of the calls under test, and the longest that such a call may take on a busy machine.
const LIMIT: Duration = limit::scaled(Duration::from_secs(1));
const AT_MOST: Duration = limit::scaled(Duration::from_secs(10));

/// A direct sink whose close and flush wait at a gate.
struct Stuck(Gate);

impl<E> Sink<E> for Stuck {
    fn write(&self, _event: E) -> Result<(), WriteError<E>> {
        Ok(())
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.0.pass();
        CloseReport::done()
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.0.pass();
    }
}

/// A handler that logs its calls.
struct Noted(&'static str, Log<String>);

impl<E: std::fmt::Debug> Handler<E> for Noted {
    fn handle(&mut self, event: E) -> Result<(), BoxError> {
        self.1.push(format!("{} {event:?}", self.0));
        Ok(())
    }

    fn flush(&mut self, _deadline: Deadline) -> Result<(), BoxError> {
        self.1.push(format!("{} flushed", self.0));
        Ok(())
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.1.push(format!("{} closed", self.0));
        Ok(())
    }
}

fn noted<E: std::fmt::Debug + Send + 'static>(name: &'static str, log: &Log<String>) -> Queue<E> {
    Queue::builder().spawn_handler(Noted(name, log.clone())).unwrap()
}

/// Returns a queue whose handler waits at a gate for each event.
fn stuck_queue(gate: &Gate) -> Queue<u32> {
    let gate = gate.clone();
    Queue::builder().spawn(move |_: u32| gate.pass()).unwrap()
}

fn closed(name: &str, log: &Log<String>) -> impl Sink<u32> + 'static {
    let (name, log) = (format!("{name} closed"), log.clone());
    Closable::new(|_: &u32| (), move || log.push(name.clone()))
}

/// Returns the result of the call, and panics if the call took longer than `AT_MOST`.
#[track_caller]
fn in_time<R>(call: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let result = call();
    assert!(begun.elapsed() < AT_MOST, "{:?}", begun.elapsed());
    result
}

#[test]
fn close_reaches_every_sink_despite_a_stuck_one() {
    let (bus, gate, log) = (Bus::new(), Gate::closed(), Log::new());
    bus.add_named("stuck queue", stuck_queue(&gate)).unwrap();
    bus.add_named("stuck sink", Stuck(gate.clone())).unwrap();
    bus.add_named("queue", noted("queue", &log)).unwrap();
    bus.add_named("sink", closed("sink", &log)).unwrap();
    let inner = Bus::new();
    inner.add_named("stuck", Stuck(gate.clone())).unwrap();
    inner.add_named("queue", noted("inner", &log)).unwrap();
    bus.add_named("bus", inner).unwrap();
    let _ = bus.publish(1).unwrap();
    gate.wait_reached(1);
    let report = in_time(|| bus.close_timeout(LIMIT));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 1), "{report}");
    assert_eq!(report.unfinished, ["stuck queue", "stuck sink", "bus/stuck"]);
    let mut entries = log.entries();
    entries.sort();
    assert_eq!(entries, ["inner 1", "inner closed", "queue 1", "queue closed", "sink closed"]);
    gate.open();
    assert_eq!(bus.close(), report);
}

#[test]
fn unlimited_close_reaches_sinks_past_a_stuck_one() {
    let (bus, gate, log) = (Bus::new(), Gate::closed(), Log::new());
    bus.add_named("stuck queue", stuck_queue(&gate)).unwrap();
    bus.add_named("stuck sink", Stuck(gate.clone())).unwrap();
    bus.add_named("queue", noted("queue", &log)).unwrap();
    bus.add_named("sink", closed("sink", &log)).unwrap();
    let _ = bus.publish(1).unwrap();
    let closing = bus.clone();
    let closer = thread::spawn(move || Sink::close_by(&closing, Deadline::NEVER));
    wait_for(|| log.entries().len() == 3);
    assert!(!closer.is_finished());
    gate.open();
    let report = closer.join().unwrap();
    assert!(report.is_done(), "{report}");
}

#[test]
fn close_reaches_the_last_of_many_stuck_sinks() {
    let (bus, gate, log) = (Bus::<u32>::new(), Gate::closed(), Log::new());
    for _ in 0..20 {
        bus.add_named("stuck", Stuck(gate.clone())).unwrap();
    }
    bus.add_named("sink", closed("sink", &log)).unwrap();
    let report = in_time(|| bus.close_timeout(LIMIT));
    assert_eq!((report.unfinished.len(), gate.reached()), (20, 20), "{report}");
    assert_eq!(log.entries(), ["sink closed"]);
    gate.open();
}

#[test]
fn publish_in_progress_delays_no_later_close() {
    let (bus, gate, log) = (Bus::new(), Gate::closed(), Log::new());
    let at = gate.clone();
    bus.add_named("stuck", sink_fn(move |_: &u32| at.pass())).unwrap();
    bus.add_named("queue", noted("queue", &log)).unwrap();
    bus.add_named("sink", closed("sink", &log)).unwrap();
    let publishing = bus.clone();
    let publisher = thread::spawn(move || publishing.publish(1));
    gate.wait_reached(1);
    let report = in_time(|| bus.close_timeout(LIMIT));
    assert_eq!((report.finish, report.unfinished), (Finish::TimedOut, vec![String::from("stuck")]));
    let mut entries = log.entries();
    entries.sort();
    assert_eq!(entries, ["queue closed", "sink closed"]);
    gate.open();
    assert!(publisher.join().unwrap().is_ok());
}

#[test]
fn close_keeps_the_order_of_insertion() {
    let (bus, log) = (Bus::new(), Log::new());
    bus.add(closed("first", &log)).unwrap();
    bus.add(noted("second", &log)).unwrap();
    bus.add(closed("third", &log)).unwrap();
    assert!(bus.close().is_done());
    assert_eq!(log.entries(), ["first closed", "second closed", "third closed"]);
}

#[test]
fn flush_reaches_every_sink_despite_a_stuck_one() {
    let (bus, gate, log) = (Bus::new(), Gate::closed(), Log::new());
    bus.add_named("stuck queue", stuck_queue(&gate)).unwrap();
    bus.add_named("queue", noted("queue", &log)).unwrap();
    bus.add_named("stuck sink", Stuck(gate.clone())).unwrap();
    let inner = Bus::new();
    inner.add_named("queue", noted("inner", &log)).unwrap();
    bus.add_named("bus", inner.queue(8).unwrap()).unwrap();
    let _ = bus.publish(1).unwrap();
    gate.wait_reached(1);
    let report = in_time(|| bus.flush_timeout(LIMIT));
    assert_eq!(report.finish, Finish::TimedOut);
    assert_eq!(report.unfinished, ["stuck queue", "stuck sink"]);
    let mut entries = log.entries();
    entries.sort();
    assert_eq!(entries, ["inner 1", "inner flushed", "queue 1", "queue flushed"]);
    gate.open();
    assert!(bus.flush_timeout(GUARD).is_done());
}

#[test]
fn every_combinator_of_two_sinks_reaches_the_second() {
    type Make = fn(&Gate, &Log<String>) -> Box<dyn Sink<u32>>;
    let makes: [(&str, Make); 5] = [
        ("two direct sinks", |gate, log| Box::new(Stuck(gate.clone()).tee(closed("other", log)))),
        ("a direct sink and a queue", |gate, log| Box::new(Stuck(gate.clone()).tee(noted("other", log)))),
        ("a queue and a direct sink", |gate, log| {
            let queue = stuck_queue(gate);
            queue.write(1).unwrap();
            gate.wait_reached(1);
            Box::new(queue.tee(closed("other", log)))
        }),
        ("two queues", |gate, log| {
            let queue = stuck_queue(gate);
            queue.write(1).unwrap();
            gate.wait_reached(1);
            Box::new(queue.tee(noted("other", log)))
        }),
        ("dead letters", |gate, log| {
            let letters = noted("other", log);
            Box::new(Stuck(gate.clone()).retry(Backoff::default()).dead_letters(letters))
        }),
    ];
    // Side by side: each waits for its limit.
    thread::scope(|scope| {
        for (what, make) in makes {
            for is_flush in [false, true] {
                scope.spawn(move || {
                    let (bus, gate, log) = (Bus::new(), Gate::closed(), Log::new());
                    bus.add_named("both", make(&gate, &log)).unwrap();
                    let other = || log.entries().iter().any(|entry| entry.starts_with("other "));
                    let finish = if is_flush {
                        in_time(|| bus.flush_timeout(LIMIT)).finish
                    } else {
                        in_time(|| bus.close_timeout(LIMIT)).finish
                    };
                    assert_eq!(finish, Finish::TimedOut, "{what}");
                    // In these two cases the second sink is direct: it logs nothing on a flush.
                    let is_silent =
                        is_flush && matches!(what, "two direct sinks" | "a queue and a direct sink");
                    assert_eq!(other(), !is_silent, "{what}, flush: {is_flush}");
                    gate.open();
                });
            }
        }
    });
}

#[test]
fn direct_close_of_a_tee_reaches_both_sinks() {
    let (gate, log) = (Gate::closed(), Log::new());
    let queue = stuck_queue(&gate);
    queue.write(1).unwrap();
    gate.wait_reached(1);
    let tee = queue.tee(noted("other", &log));
    let mut flushed = FlushReport::default();
    in_time(|| tee.flush_by(Deadline::after(LIMIT), &mut flushed));
    assert_eq!(flushed.finish, Finish::TimedOut);
    let report = in_time(|| tee.close_by(Deadline::after(LIMIT)));
    assert_eq!(report.unfinished, ["first"], "{report}");
    assert_eq!(log.entries(), ["other flushed", "other closed"]);
    gate.open();
}

#[test]
fn last_handle_does_not_wait_for_a_stuck_close() {
    let (bus, gate, log) = (Bus::<u32>::new(), Gate::closed(), Log::new());
    bus.add_named("stuck", Stuck(gate.clone())).unwrap();
    bus.add_named("queue", noted("queue", &log)).unwrap();
    bus.add_named("sink", closed("sink", &log)).unwrap();
    in_time(|| drop(bus));
    let mut entries = log.entries();
    entries.sort();
    assert_eq!(entries, ["queue closed", "sink closed"]);
    gate.open();
}

#[test]
fn close_inside_a_sinks_close_is_pending() {
    let (bus, log) = (Bus::<u32>::new(), Log::new());
    let (weak, reports) = (bus.downgrade(), log.clone());
    let close = move || {
        let bus = weak.upgrade().unwrap();
        reports.push((bus.close().finish, bus.flush_timeout(GUARD).finish));
    };
    bus.add(Closable::new(|_: &u32| (), close)).unwrap();
    let report = in_time(|| bus.close());
    assert!(report.is_done(), "{report}");
    assert_eq!(log.entries()[0].0, Finish::Pending);
}

#[test]
fn short_flush_does_not_shorten_a_longer_one() {
    struct Flushes(Gate, Log<Deadline>);
    impl Handler<u32> for Flushes {
        fn handle(&mut self, _event: u32) -> Result<(), BoxError> {
            Ok(())
        }
        fn flush(&mut self, deadline: Deadline) -> Result<(), BoxError> {
            self.1.push(deadline);
            self.0.pass();
            if deadline.has_passed() { Err("too late".into()) } else { Ok(()) }
        }
    }
    for hurried_first in [true, false] {
        let (gate, log) = (Gate::closed(), Log::new());
        let queue = Queue::builder().spawn_handler(Flushes(gate.clone(), log.clone())).unwrap();
        // A flush that is in progress while the other flushes wait.
        let flush = |limit| {
            let queue = queue.clone();
            thread::spawn(move || queue.flush_timeout(limit))
        };
        let first = flush(GUARD);
        gate.wait_reached(1);
        let (hurried, patient) = if hurried_first {
            let hurried = flush(LIMIT);
            (hurried, flush(GUARD))
        } else {
            let patient = flush(GUARD);
            (flush(LIMIT), patient)
        };
        let report = hurried.join().unwrap();
        assert_eq!(report.finish, Finish::TimedOut);
        gate.open();
        for report in [first.join().unwrap(), patient.join().unwrap()] {
            assert!(report.is_done(), "hurried first: {hurried_first}: {report}");
        }
        let now = Deadline::after(LIMIT);
        assert!(log.entries().iter().all(|deadline| deadline.min(now) == now), "{:?}", log.entries());
    }
}

#[test]
fn queue_owning_a_bus_reports_its_stuck_sinks() {
    let (gate, log) = (Gate::closed(), Log::new());
    let (inner, outer) = (Bus::new(), Bus::new());
    inner.add_named("stuck", stuck_queue(&gate)).unwrap();
    inner.add_named("queue", noted("queue", &log)).unwrap();
    let queue = inner.queue(8).unwrap();
    outer.add_named("before", queue).unwrap();
    let _ = outer.publish(1).unwrap();
    gate.wait_reached(1);
    let report = in_time(|| outer.close_timeout(LIMIT));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 1), "{report}");
    assert_eq!(report.unfinished, ["before/stuck"]);
    assert_eq!(log.entries(), ["queue 1", "queue closed"]);
    gate.open();
}
