//! Cycles of buses, queues and combinators that several threads close, flush, query and change
//! concurrently. Every call returns, and its report is correct.

use buslane::error::AddError;
use buslane::sink::Inner;
use buslane::stats::{CloseReport, Disposition, Finish, FlushReport};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink, SinkExt, WriteError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use test_support::{GUARD, Log, limit, wait_for};

const ROUNDS: usize = 100;

/// Far below the limits that the tests set, so that a call that waits until its limit fails the
/// test.
const PROMPTLY: Duration = limit::scaled(Duration::from_secs(10));

type Call<R> = Box<dyn FnOnce() -> R + Send>;
type Link = fn(Bus<u32>) -> Box<dyn Sink<u32>>;

/// The ways in which a bus can be a sink of another bus.
const LINKS: [(&str, Link); 6] = [
    ("itself", |bus| Box::new(bus)),
    ("filter", |bus| Box::new(bus.filter(|_: &u32| true))),
    ("map", |bus| Box::new(bus.map(|n: &u32| *n))),
    ("tee", |bus| Box::new(bus.tee(buslane::noop()))),
    ("queue", |bus| Box::new(bus.queue(8).unwrap())),
    ("queue upstream of a filter", |bus| Box::new(bus.filter(|_: &u32| true).queue(8).unwrap())),
];

/// Returns buses in a ring: each is a sink of the previous bus, and each has its own queue. A bus
/// on its own is added to itself only through a combinator.
fn ring(count: usize, link: Link) -> Vec<Bus<u32>> {
    let buses: Vec<Bus<u32>> = (0..count).map(|_| Bus::new()).collect();
    for (at, bus) in buses.iter().enumerate() {
        let next = bus.add_named("next", link(buses[(at + 1) % count].clone()));
        assert!(next.is_ok() || (count == 1 && next == Err(AddError::Itself)));
        bus.add_named("leaf", Queue::builder().spawn(|_: u32| ()).unwrap()).unwrap();
    }
    buses
}

/// Runs each call on its own thread, all concurrently, and returns the results. Panics if a call
/// takes too long.
#[track_caller]
fn at_once<R: Send + 'static>(what: &str, calls: Vec<Call<R>>) -> Vec<R> {
    let (begin, count) = (Arc::new(Barrier::new(calls.len())), calls.len());
    let (sender, results) = mpsc::channel();
    for call in calls {
        let (begin, sender) = (begin.clone(), sender.clone());
        thread::spawn(move || {
            begin.wait();
            let begun = Instant::now();
            let result = call();
            let _ = sender.send((result, begun.elapsed()));
        });
    }
    let mut returned = Vec::new();
    for _ in 0..count {
        let Ok((result, time)) = results.recv_timeout(GUARD) else { panic!("{what}: a call did not return") };
        assert!(time < PROMPTLY, "{what}: {time:?}");
        returned.push(result);
    }
    returned
}

#[test]
fn concurrent_closes_of_a_ring_of_buses_finish() {
    for (what, link) in LINKS {
        for count in 1..=3 {
            for round in 0..ROUNDS / 5 {
                let buses = ring(count, link);
                let _ = buses[0].publish(1).unwrap();
                let deadline = if round % 2 == 0 { Deadline::NEVER } else { Deadline::after(GUARD) };
                let close = |bus: &Bus<u32>| {
                    let bus = bus.clone();
                    Box::new(move || Sink::close_by(&bus, deadline)) as Call<CloseReport>
                };
                for report in at_once(what, buses.iter().map(close).collect()) {
                    assert!(report.is_done() && report.undelivered == 0, "{what}, {count}: {report}");
                }
                for bus in &buses {
                    assert!(bus.is_closed() && bus.close().is_done());
                }
            }
        }
    }
}

#[test]
fn a_bus_closed_alone_closes_the_whole_ring() {
    for (what, link) in LINKS {
        for count in 1..=3 {
            let buses = ring(count, link);
            let closing = buses[0].clone();
            let reports = at_once(what, vec![Box::new(move || closing.close_timeout(GUARD))]);
            assert!(reports[0].is_done(), "{what}, {count}: {}", reports[0]);
            assert!(buses.iter().all(Bus::is_closed), "{what}");
        }
    }
}

#[test]
fn concurrent_flushes_of_a_ring_of_buses_finish() {
    for (what, link) in LINKS {
        for count in 1..=3 {
            let buses = ring(count, link);
            for _ in 0..ROUNDS / 10 {
                let _ = buses[0].publish(1).unwrap();
                let flush = |bus: &Bus<u32>| {
                    let bus = bus.clone();
                    Box::new(move || bus.flush_timeout(GUARD)) as Call<FlushReport>
                };
                for report in at_once(what, buses.iter().chain(&buses).map(flush).collect()) {
                    assert!(report.is_done(), "{what}, {count}: {report}");
                }
            }
            assert!(buses[0].close().is_done());
        }
    }
}

#[test]
fn reports_of_a_ring_name_the_stuck_sink_once() {
    for (what, link) in LINKS {
        for is_raced in [false, true] {
            let gate = Gate::closed();
            let (one, two) = (Bus::new(), Bus::new());
            one.add_named("two", link(two.clone())).unwrap();
            two.add_named("one", link(one.clone())).unwrap();
            let at = gate.clone();
            let stuck = Queue::builder().spawn(move |_: u32| at.pass()).unwrap();
            two.add_named("stuck", stuck.clone()).unwrap();
            stuck.write(1).unwrap();
            stuck.write(2).unwrap();
            gate.wait_reached(1);
            let limit = limit::scaled(Duration::from_millis(200));
            let close = |bus: &Bus<u32>| {
                let bus = bus.clone();
                Box::new(move || bus.close_timeout(limit)) as Call<CloseReport>
            };
            let reports = if is_raced {
                at_once(what, vec![close(&one), close(&two)])
            } else {
                let mut reports = at_once(what, vec![close(&one)]);
                reports.extend(at_once(what, vec![close(&two)]));
                reports
            };
            for report in reports {
                assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 2), "{what}: {report}");
                assert_eq!(report.unfinished.len(), 1, "{what}: {report}");
                assert!(report.unfinished[0].ends_with("stuck"), "{what}: {report}");
            }
            gate.open();
        }
    }
}

#[test]
fn sink_reached_by_two_paths_is_reported_once() {
    let gate = Gate::closed();
    let (top, left, right) = (Bus::new(), Bus::new(), Bus::new());
    let at = gate.clone();
    let stuck = Queue::builder().spawn(move |_: u32| at.pass()).unwrap();
    left.add_named("stuck", stuck.clone()).unwrap();
    right.add_named("stuck", stuck.clone()).unwrap();
    top.add_named("left", left).unwrap();
    top.add_named("right", right).unwrap();
    stuck.write(1).unwrap();
    gate.wait_reached(1);
    let report = top.close_timeout(Duration::from_millis(50));
    assert_eq!((report.undelivered, report.unfinished), (1, vec![String::from("left/stuck")]));
    gate.open();
}

#[test]
fn concurrent_calls_around_a_ring_end() {
    for (what, link) in LINKS {
        for _ in 0..5 {
            let buses = ring(2, link);
            let extra = buses[1].add(buslane::noop()).unwrap();
            let mut calls: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
            for bus in &buses {
                let [flush, look, publish, close] = std::array::from_fn(|_| bus.clone());
                calls.push(Box::new(move || drop(flush.flush_timeout(GUARD))));
                calls.push(Box::new(move || drop(look.snapshot())));
                calls.push(Box::new(move || {
                    let mut publisher = publish.publisher();
                    while publisher.try_publish(1).is_ok() {
                        thread::yield_now();
                    }
                }));
                calls.push(Box::new(move || drop(close.close_timeout(GUARD))));
            }
            let remove = buses[1].clone();
            calls.push(Box::new(move || assert!(remove.remove(extra).is_ok() || remove.is_closed())));
            drop(buses);
            at_once(what, calls);
        }
    }
}

#[test]
fn queue_feeding_itself_flushes_and_closes_promptly() {
    let (bus, log) = (Bus::new(), Log::new());
    let queue = bus.clone().filter(|n: &u32| *n < 3).map(|n: &u32| n + 1).queue(64).unwrap();
    bus.add_named("again", queue.clone()).unwrap();
    let seen = log.clone();
    bus.add_named("leaf", Queue::builder().spawn(move |n: u32| seen.push(n)).unwrap()).unwrap();
    let _ = bus.publish(0).unwrap();
    wait_for(|| log.entries().len() == 3);
    let (flushing, closing) = (queue.clone(), queue.clone());
    assert!(at_once("flush", vec![Box::new(move || flushing.flush_timeout(GUARD))])[0].is_done());
    assert!(at_once("close", vec![Box::new(move || closing.close_timeout(GUARD))])[0].is_done());
    assert!(bus.is_closed());
    assert_eq!(log.entries(), [0, 1, 2]);
}

#[test]
fn flush_of_a_closed_queue_keeps_no_sink_alive() {
    let (bus, inside) = (Bus::new(), Arc::new(()));
    let alive = Arc::downgrade(&inside);
    let queue = Queue::builder().spawn(|_: u32| {}).unwrap();
    bus.add(queue.clone().filter(move |_| Arc::strong_count(&inside) > 0)).unwrap();
    assert!(queue.close().is_done());
    assert!(bus.flush_timeout(GUARD).is_done());
    drop(bus);
    assert!(alive.upgrade().is_none(), "the queue still owns the sink that the flush visited");
}

/// A sink that is set after construction, with a gate before each flush of it.
struct Later {
    sink: OnceLock<Box<dyn Sink<u32>>>,
    flushing: Gate,
}

impl Later {
    fn new() -> Arc<Self> {
        Arc::new(Self { sink: OnceLock::new(), flushing: Gate::closed() })
    }

    fn sink(&self) -> &dyn Sink<u32> {
        &**self.sink.get().expect("the sink is set")
    }
}

impl Sink<u32> for Later {
    fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
        self.sink().write(event)
    }
    fn offer(&self, event: u32) -> Result<Disposition, WriteError<u32>> {
        self.sink().offer(event)
    }
    fn inner(&self, visit: &mut Inner<'_>) {
        if let Some(sink) = self.sink.get() {
            visit.sink(sink);
        }
    }
    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        if let Some(sink) = self.sink.get() {
            self.flushing.pass();
            sink.flush_by(deadline, report);
        }
    }
}

type Batched = Arc<buslane::sink::Batch<u32, Box<dyn Sink<Vec<u32>>>>>;
type Between = fn(Batched) -> Box<dyn Sink<u32>>;

/// Returns two queues, each with a downstream batch that forwards to the other queue.
fn batches_in_a_ring(overflow: Overflow, between: Between) -> [(Arc<Later>, Queue<u32>, Batched); 2] {
    let ends = [(); 2].map(|()| {
        let later = Later::new();
        (later.clone(), Queue::builder().capacity(2).overflow(overflow).spawn_sink(later).unwrap())
    });
    let batch = |at: usize| {
        let other = ends[1 - at].1.clone();
        let first: Box<dyn Sink<Vec<u32>>> = Box::new(other.map(|batch: &Vec<u32>| batch[0]));
        let batch = Arc::new(first.batch(2));
        assert!(ends[at].0.sink.set(between(batch.clone())).is_ok());
        (ends[at].0.clone(), ends[at].1.clone(), batch)
    };
    [batch(0), batch(1)]
}

#[test]
fn batches_in_a_ring_flush_promptly() {
    let betweens: [(&str, Between); 5] = [
        ("no wrapper", |batch| Box::new(batch)),
        ("filter", |batch| Box::new(batch.filter(|_| true))),
        ("retry", |batch| Box::new(batch.retry(buslane::retry::Backoff::default().max_attempts(1)))),
        ("tee", |batch| Box::new(batch.tee(buslane::sink_fn(|_: &u32| ())))),
        ("bus", |batch| {
            let bus = Bus::new();
            bus.add(batch).unwrap();
            Box::new(bus)
        }),
    ];
    for (what, between) in betweens {
        for overflow in [Overflow::Block, Overflow::Refuse] {
            let ring = batches_in_a_ring(overflow, between);
            // Each batch holds an event, and its worker is about to flush it.
            for (_, queue, batch) in &ring {
                queue.write(1).unwrap();
                wait_for(|| batch.state().depth == 1);
            }
            let flush = |queue: &Queue<u32>| {
                let queue = queue.clone();
                thread::spawn(move || {
                    let begun = Instant::now();
                    (queue.flush_timeout(GUARD), begun.elapsed())
                })
            };
            let flushes: Vec<_> = ring.iter().map(|(_, queue, _)| flush(queue)).collect();
            for (later, ..) in &ring {
                later.flushing.wait_reached(1);
            }
            // Both queues become full before the flushes continue.
            for (_, queue, _) in &ring {
                (2..4).for_each(|event| queue.write(event).unwrap());
            }
            ring.iter().for_each(|(later, ..)| later.flushing.open());
            for flush in flushes {
                let (report, time) = flush.join().unwrap();
                assert!(time < PROMPTLY, "{what}, {overflow:?}: {report} after {time:?}");
            }
            for (_, queue, batch) in &ring {
                assert_eq!(batch.state().ledger.check(), Ok(()), "{what}");
                assert!(queue.close_timeout(GUARD).finish != Finish::TimedOut, "{what}");
            }
        }
    }
}

#[test]
fn keyed_retries_in_a_ring_flush_promptly() {
    for overflow in [Overflow::Block, Overflow::Refuse] {
        let ends = [(); 2].map(|()| {
            let later = Later::new();
            (later.clone(), Queue::builder().capacity(2).overflow(overflow).spawn_sink(later).unwrap())
        });
        let wait = Duration::from_millis(1);
        for at in 0..2 {
            // The first attempt fails, so that the retry sets the event aside.
            let failing = FailsOnce(ends[1 - at].1.clone(), AtomicBool::new(true));
            let policy = buslane::retry::Backoff::new(wait, wait);
            // All events but the first end here.
            let sink = failing.retry_by_key(|n: &u32| *n, policy).filter(|n| *n == 1);
            assert!(ends[at].0.sink.set(Box::new(sink)).is_ok());
        }
        for (_, queue) in &ends {
            queue.write(1).unwrap();
        }
        let flush = |queue: &Queue<u32>| {
            let queue = queue.clone();
            thread::spawn(move || {
                let begun = Instant::now();
                (queue.flush_timeout(GUARD), begun.elapsed())
            })
        };
        let flushes: Vec<_> = ends.iter().map(|(_, queue)| flush(queue)).collect();
        for (later, _) in &ends {
            later.flushing.wait_reached(1);
        }
        for (_, queue) in &ends {
            while queue.state().depth < 2 {
                queue.write(2).unwrap();
            }
        }
        ends.iter().for_each(|(later, _)| later.flushing.open());
        for flush in flushes {
            let (report, time) = flush.join().unwrap();
            assert!(time < PROMPTLY, "{overflow:?}: {report} after {time:?}");
        }
        for (_, queue) in &ends {
            let _ = queue.close_timeout(Duration::ZERO);
        }
    }
}

/// A sink whose first write fails.
struct FailsOnce<S>(S, AtomicBool);

impl<S: Sink<u32>> Sink<u32> for FailsOnce<S> {
    fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
        if self.1.swap(false, Ordering::Relaxed) {
            return Err(WriteError::Failed { event, source: "once".into() });
        }
        self.0.write(event)
    }
    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.0);
    }
}

#[test]
fn batch_upstream_of_a_full_queue_is_flushed_whole() {
    for overflow in [Overflow::Block, Overflow::Refuse] {
        for batch_of in [1, 3] {
            let seen = Log::new();
            let into = seen.clone();
            let inner = Queue::builder().capacity(1).overflow(overflow).spawn(move |batch: Vec<u32>| {
                thread::sleep(Duration::from_millis(2));
                into.push(batch);
            });
            let queue = inner.unwrap().batch(batch_of).queue(64).unwrap();
            for round in 0..5 {
                (0..7).for_each(|event| queue.write(event).unwrap());
                let report = queue.flush_timeout(GUARD);
                let handled: usize = seen.entries().iter().map(Vec::len).sum();
                let lost = queue.state().ledger.dropped.failed as usize;
                assert!(report.is_done(), "{overflow:?}, {batch_of}: {report}");
                assert_eq!(handled + lost, 7 * (round + 1), "{overflow:?}, {batch_of}, round {round}");
                assert_eq!(queue.state().ledger.pending, 0);
            }
        }
    }
}

#[test]
fn close_of_queues_in_a_ring_returns() {
    for limit in [Duration::ZERO, GUARD] {
        let ring = batches_in_a_ring(Overflow::Refuse, |batch| Box::new(batch));
        for (later, queue, _) in &ring {
            later.flushing.open();
            (0..2).for_each(|event| drop(queue.write(event)));
        }
        for (_, queue, batch) in &ring {
            let closing = queue.clone();
            let _ =
                at_once("a ring", vec![Box::new(move || closing.close_timeout(limit)) as Call<CloseReport>]);
            wait_for(|| queue.state().ledger.pending == 0 || limit == GUARD);
            assert_eq!(batch.state().ledger.check(), Ok(()));
        }
    }
}
