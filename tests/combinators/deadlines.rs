//! Every limit that a caller sets is kept, whatever combinator is between the call and a stuck
//! sink.
//!
//! A close or a flush that waits in this crate stops at its deadline. Slow user code is left to the
//! control thread of a bus, or to the worker of a queue. A combinator that is closed directly calls
//! its sink on the calling thread, and returns when that call returns.

use buslane::retry::Backoff;
use buslane::stats::{CloseReport, Finish, FlushReport};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Queue, Sink, SinkExt, WriteError, noop};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use test_support::GUARD;

const LIMIT: Duration = Duration::from_millis(30);
/// The longest that a call with that limit may take on a busy machine.
const AT_MOST: Duration = Duration::from_secs(10);

/// The method in which a sink is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Write,
    Close,
    Flush,
}

/// A direct sink that is stuck in one of its methods.
#[derive(Clone)]
struct Stuck(In, Arc<Gate>);

impl Stuck {
    fn new(place: In) -> Self {
        Self(place, Arc::new(Gate::closed()))
    }

    fn pass(&self, place: In) {
        if self.0 == place {
            self.1.pass();
        }
    }
}

impl<E> Sink<E> for Stuck {
    fn write(&self, _event: E) -> Result<(), WriteError<E>> {
        self.pass(In::Write);
        Ok(())
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.pass(In::Close);
        CloseReport::done()
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.pass(In::Flush);
    }
}

type Build<S> = fn(S) -> Box<dyn Sink<u32>>;

fn policy() -> Backoff {
    Backoff::new(GUARD, GUARD)
}

/// Returns every combinator around a sink of events, and one of each kind around another
/// combinator.
fn combinators<S>() -> Vec<(&'static str, Build<S>)>
where
    S: Sink<u32> + Sink<Vec<u32>> + Sink<buslane::retry::DeadLetter<u32>> + 'static,
{
    vec![
        ("no combinator", |sink| Box::new(sink)),
        ("arc", |sink| Box::new(Arc::new(sink))),
        ("map", |sink| Box::new(sink.map(|n: &u32| *n))),
        ("filter", |sink| Box::new(sink.filter(|_: &u32| true))),
        ("sample", |sink| Box::new(SinkExt::<u32>::sample(sink, 1))),
        ("rate_limit", |sink| Box::new(SinkExt::<u32>::rate_limit(sink, 1e9, 1000))),
        ("inspect", |sink| Box::new(SinkExt::<u32>::inspect(sink, ()))),
        ("catch_panic", |sink| Box::new(SinkExt::<u32>::catch_panic(sink))),
        ("timeout", |sink| Box::new(SinkExt::<u32>::timeout(sink, GUARD))),
        ("first of a tee", |sink| Box::new(SinkExt::<u32>::tee(sink, noop()))),
        ("second of a tee", |sink| Box::new(noop::<u32>().tee(sink))),
        ("retry", |sink| Box::new(SinkExt::<u32>::retry(sink, policy()))),
        ("dead letters", |sink| Box::new(noop::<u32>().retry(policy()).dead_letters(sink))),
        ("retry by key", |sink| Box::new(SinkExt::<u32>::retry_by_key(sink, |n| *n % 2, policy()))),
        ("batch", |sink| Box::new(SinkExt::<Vec<u32>>::batch(sink, 1))),
        ("batch of a retry", |sink| Box::new(SinkExt::<Vec<u32>>::retry(sink, policy()).batch(1))),
        ("batch in a tee in a filter", |sink| {
            let batch = SinkExt::<Vec<u32>>::batch(sink, 1);
            Box::new(batch.tee(noop()).filter(|_: &u32| true))
        }),
    ]
}

/// Runs the call on its own thread, and panics if it takes far longer than the limit.
#[track_caller]
fn in_time<R: Send + 'static>(what: &str, call: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, result) = mpsc::channel();
    let begun = Instant::now();
    thread::spawn(move || sender.send(call()));
    let result = result.recv_timeout(GUARD).unwrap_or_else(|_| panic!("{what}: the call did not return"));
    assert!(begun.elapsed() < AT_MOST, "{what}: {:?}", begun.elapsed());
    result
}

fn flush(sink: &impl Sink<u32>) -> FlushReport {
    let mut report = FlushReport::default();
    sink.flush_by(Deadline::after(LIMIT), &mut report);
    report
}

#[test]
fn bus_keeps_its_limit_despite_a_stuck_sink() {
    for place in [In::Close, In::Flush] {
        for (name, build) in combinators::<Stuck>() {
            let (stuck, bus) = (Stuck::new(place), Bus::new());
            bus.add(build(stuck.clone())).unwrap();
            let context = format!("{name}, stuck in {place:?}");
            let (flushing, closing) = (bus.clone(), bus.clone());
            let flushed = in_time(&context, move || flushing.flush_timeout(LIMIT));
            assert_eq!(flushed.finish == Finish::Done, place == In::Close, "{context}: {flushed}");
            if place == In::Flush {
                stuck.1.open();
            }
            let closed = in_time(&context, move || closing.close_timeout(LIMIT));
            assert_eq!(closed.finish == Finish::Done, place == In::Flush, "{context}: {closed}");
            stuck.1.open();
        }
    }
}

#[test]
fn queue_keeps_its_limit_despite_a_stuck_sink() {
    for place in [In::Write, In::Close, In::Flush] {
        for (name, build) in combinators::<Stuck>() {
            if name == "dead letters" && place == In::Write {
                continue; // No dead letter is sent.
            }
            let stuck = Stuck::new(place);
            let queue = build(stuck.clone()).queue(8).unwrap();
            let context = format!("{name}, stuck in {place:?}");
            if place == In::Write {
                queue.write(1).unwrap();
                stuck.1.wait_reached(1);
            }
            let (flushing, closing) = (queue.clone(), queue.clone());
            let flushed = in_time(&context, move || flushing.flush_timeout(LIMIT));
            assert_eq!(flushed.finish == Finish::Done, place == In::Close, "{context}: {flushed}");
            if place == In::Flush {
                stuck.1.open();
            }
            let closed = in_time(&context, move || closing.close_timeout(LIMIT));
            assert_eq!(closed.finish == Finish::Done, place == In::Flush, "{context}: {closed}");
            stuck.1.open();
        }
    }
}

/// A queue whose worker is stuck in a handler while another event waits.
#[derive(Clone)]
struct StuckQueue<T: Send + 'static>(Queue<T>);

impl<T: Send + 'static> StuckQueue<T> {
    fn new(gate: &Arc<Gate>, events: [T; 2]) -> Self {
        let passing = gate.clone();
        let queue = Queue::builder().spawn(move |_: T| passing.pass()).unwrap();
        events.into_iter().for_each(|event| assert!(queue.write(event).is_ok()));
        gate.wait_reached(1);
        Self(queue)
    }
}

#[test]
fn direct_calls_keep_limits_despite_a_stuck_queue() {
    // Side by side: each call waits, and the drop of each sink does.
    thread::scope(|scope| {
        for closes in [false, true] {
            for (name, build) in combinators::<Mapped>() {
                scope.spawn(move || {
                    let gate = Arc::new(Gate::closed());
                    let sink = build(Mapped(StuckQueue::new(&gate, [1, 2])));
                    let context = format!("{name}, closes: {closes}");
                    let finish = if closes {
                        in_time(&context, move || sink.close_by(Deadline::after(LIMIT))).finish
                    } else {
                        in_time(&context, move || flush(&sink)).finish
                    };
                    assert!(finish > Finish::Done, "{context}: {finish}");
                    gate.open();
                });
            }
        }
    });
}

/// Accepts every event type that a combinator produces.
struct Mapped(StuckQueue<u32>);

macro_rules! takes {
    ($($event:ty),+) => {$(
        impl Sink<$event> for Mapped {
            fn write(&self, event: $event) -> Result<(), WriteError<$event>> {
                self.0.0.write(1).map_err(|error| error.map_event(|_| event))
            }
            fn inner(&self, visit: &mut buslane::sink::Inner<'_>) {
                visit.sink(&self.0.0);
            }
        }
    )+};
}

takes!(u32, Vec<u32>, buslane::retry::DeadLetter<u32>);

#[test]
fn direct_calls_keep_limits_despite_a_stuck_write() {
    for closes in [false, true] {
        for (name, build) in combinators::<Stuck>() {
            if name == "dead letters" {
                continue; // No dead letter is sent.
            }
            let stuck = Stuck::new(In::Write);
            let sink: Arc<dyn Sink<u32>> = Arc::from(build(stuck.clone()));
            let context = format!("{name}, closes: {closes}");
            let writing = sink.clone();
            let writer = thread::spawn(move || writing.write(1));
            stuck.1.wait_reached(1);
            if closes {
                let _ = in_time(&context, move || sink.close_by(Deadline::after(LIMIT)));
            } else {
                let _ = in_time(&context, move || flush(&sink));
            }
            stuck.1.open();
            assert!(writer.join().unwrap().is_ok(), "{context}");
        }
    }
}

#[test]
fn direct_calls_wait_for_a_slow_sink() {
    for place in [In::Close, In::Flush] {
        for (name, build) in combinators::<Stuck>() {
            let stuck = Stuck::new(place);
            let sink = build(stuck.clone());
            let context = format!("{name}, stuck in {place:?}");
            let (sender, returned) = mpsc::channel();
            let call = thread::spawn(move || {
                let finish = if place == In::Close {
                    sink.close_by(Deadline::after(LIMIT)).finish
                } else {
                    flush(&sink).finish
                };
                sender.send(finish)
            });
            stuck.1.wait_reached(1);
            assert!(returned.try_recv().is_err(), "{context}: the call returned while the sink was in use");
            stuck.1.open();
            let finish = returned.recv_timeout(GUARD);
            assert_eq!(finish, Ok(Finish::Done), "{context}");
            assert!(call.join().unwrap().is_ok());
        }
    }
}
