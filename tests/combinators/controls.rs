//! Every control reaches every inner sink of every wrapper, and a panic of one inner sink keeps it
//! from no other.

use buslane::retry::{Backoff, DeadLetter};
use buslane::sink::Inner;
use buslane::sink::lane::Lanes;
use buslane::stats::{CloseReport, FlushReport, SinkState};
use buslane::testing::{Flaky, Gate, Slow};
use buslane::time::{Deadline, SystemClock};
use buslane::{Bus, Channel, Overflow, Sink, SinkExt, WriteError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A sink that logs its controls, and panics in each of them if `panics` is set.
#[derive(Clone, Default)]
struct Probe {
    calls: Arc<Mutex<Vec<&'static str>>>,
    panics: bool,
}

impl Probe {
    fn panicking() -> Self {
        Self { panics: true, ..Self::default() }
    }

    fn note(&self, call: &'static str) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        assert!(!self.panics, "a faulty sink");
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<E> Sink<E> for Probe {
    fn write(&self, _event: E) -> Result<(), WriteError<E>> {
        Ok(())
    }

    fn close_by(&self, _: Deadline) -> CloseReport {
        self.note("close");
        CloseReport::done()
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.note("flush");
    }

    fn abort_now(&self) {
        self.note("abort");
    }

    fn end_of_batch(&self) {
        self.note("end of batch");
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        self.note("tick");
        Some(now)
    }

    fn reports_closed(&self) -> bool {
        self.note("is closed");
        true
    }

    fn describe(&self, _: &mut SinkState) {
        self.note("describe");
    }
}

type Control = (&'static str, fn(&dyn Sink<u32>));

/// The limit of a close and a flush.
const LIMIT: Duration = Duration::from_secs(30);

/// All controls. The close comes last, because it changes how the others behave.
const CONTROLS: [Control; 7] = [
    ("tick", |sink| _ = sink.tick(Instant::now())),
    ("end of batch", |sink| sink.end_of_batch()),
    ("flush", |sink| sink.flush_by(Deadline::after(LIMIT), &mut FlushReport::default())),
    ("is closed", |sink| _ = sink.reports_closed()),
    ("describe", |sink| sink.describe(&mut SinkState::default())),
    ("abort", |sink| sink.abort_now()),
    ("close", |sink| drop(sink.close_by(Deadline::after(LIMIT)))),
];

/// A user-defined wrapper that names its inner sink and forwards events.
struct Forwarding<S>(S);

impl<E, S: Sink<E>> Sink<E> for Forwarding<S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.0.write(event)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink::<E>(&self.0);
    }
}

/// A user-defined fan-out.
struct FanOut<S>(Vec<S>);

impl<E: Clone, S: Sink<E>> Sink<E> for FanOut<S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.0.iter().try_for_each(|sink| sink.write(event.clone()))
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        self.0.iter().for_each(|sink| visit.sink::<E>(sink));
    }
}

type Build = fn(Probe, Probe) -> Box<dyn Sink<u32>>;

/// A wrapper, and the controls that it answers itself.
struct Wrapper {
    name: &'static str,
    build: Build,
    keeps: &'static [&'static str],
}

const fn wrapper(name: &'static str, build: Build) -> Wrapper {
    Wrapper { name, build, keeps: &[] }
}

/// Every wrapper of one sink.
const WRAPPERS: [Wrapper; 20] = [
    wrapper("a reference", |sink, _| Box::new(&*Box::leak(Box::new(sink)))),
    wrapper("a box", |sink, _| Box::new(Box::new(sink))),
    wrapper("a box of any sink", |sink, _| Box::new(Box::new(sink) as Box<dyn Sink<u32>>)),
    wrapper("an arc", |sink, _| Box::new(Arc::new(sink))),
    wrapper("an arc of any sink", |sink, _| Box::new(Arc::new(sink) as Arc<dyn Sink<u32>>)),
    wrapper("filter", |sink, _| Box::new(sink.filter(|_: &u32| true))),
    wrapper("map", |sink, _| Box::new(SinkExt::<u32>::map(sink, |n: &u32| *n))),
    wrapper("sample", |sink, _| Box::new(SinkExt::<u32>::sample(sink, 2))),
    wrapper("rate limit", |sink, _| Box::new(SinkExt::<u32>::rate_limit(sink, 1.0, 1))),
    wrapper("inspect", |sink, _| Box::new(SinkExt::<u32>::inspect(sink, ()))),
    wrapper("inspect by a closure", |sink, _| Box::new(sink.inspect_fn(|_: &u32| ()))),
    wrapper("timeout", |sink, _| Box::new(SinkExt::<u32>::timeout(sink, Duration::ZERO))),
    wrapper("catch panic", |sink, _| Box::new(SinkExt::<u32>::catch_panic(sink))),
    wrapper("retry", |sink, _| Box::new(SinkExt::<u32>::retry(sink, Backoff::default()))),
    wrapper("retry by key", |sink, _| Box::new(sink.retry_by_key(|n: &u32| *n, Backoff::default()))),
    wrapper("slow", |sink, _| Box::new(Slow::new(sink, Duration::ZERO, SystemClock))),
    wrapper("flaky", |sink, _| Box::new(Flaky::new(sink))),
    wrapper("gated", |sink, _| Box::new(Gate::closed().before(sink))),
    wrapper("a user-defined wrapper", |sink, _| Box::new(Forwarding(sink))),
    // The batch describes itself, because it counts events and its inner sink counts batches.
    Wrapper {
        name: "batch",
        build: |sink, _| Box::new(SinkExt::<u32>::batch(sink, 2)),
        keeps: &["describe"],
    },
];

/// Every wrapper of two sinks.
const FAN_OUTS: [Wrapper; 5] = [
    wrapper("tee", |one, other| Box::new(SinkExt::<u32>::tee(one, other))),
    wrapper("a user-defined fan-out", |one, other| Box::new(FanOut(vec![one, other]))),
    // Dead letters are not part of the state of the retry that they come from. They are aborted after
    // they are closed: see `retry::close`.
    Wrapper {
        name: "retry with dead letters",
        build: |one, other| {
            Box::new(SinkExt::<u32>::retry(one, Backoff::default()).dead_letters(Letters(other)))
        },
        keeps: &["is closed", "describe", "abort"],
    },
    Wrapper {
        name: "retry by key with dead letters",
        build: |one, other| {
            let retry = one.retry_by_key(|n: &u32| *n, Backoff::default());
            Box::new(retry.dead_letters(Letters(other)))
        },
        keeps: &["is closed", "describe", "abort"],
    },
    // A bus is open until it is closed, and its snapshot names each sink.
    Wrapper {
        name: "bus",
        build: |one, other| {
            let bus = Bus::new();
            bus.add(one).unwrap();
            bus.add(other).unwrap();
            Box::new(bus)
        },
        keeps: &["is closed", "describe"],
    },
];

struct Letters(Probe);

impl Sink<DeadLetter<u32>> for Letters {
    fn write(&self, letter: DeadLetter<u32>) -> Result<(), WriteError<DeadLetter<u32>>> {
        self.0.write(letter)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink::<DeadLetter<u32>>(&self.0);
    }
}

#[test]
fn every_wrapper_forwards_every_control() {
    for Wrapper { name, build, keeps } in WRAPPERS {
        let probe = Probe::default();
        let sink = build(probe.clone(), Probe::default());
        probe.take();
        for (control, call) in CONTROLS {
            call(&*sink);
            let expected: &[&str] = if keeps.contains(&control) { &[] } else { &[control] };
            assert_eq!(probe.take(), expected, "{control} through {name}");
        }
    }
}

#[test]
fn every_control_reaches_every_sink_of_a_fan_out() {
    for Wrapper { name, build, keeps } in FAN_OUTS {
        for (first_panics, second_panics) in [(false, false), (true, false), (false, true)] {
            let probe = |panics| if panics { Probe::panicking() } else { Probe::default() };
            let probes = [probe(first_panics), probe(second_panics)];
            let sink = build(probes[0].clone(), probes[1].clone());
            for (control, call) in CONTROLS {
                call(&*sink);
                let [first, second] = [0, 1].map(|at| probes[at].take());
                let context = format!("{control} through {name}, {first_panics} {second_panics}");
                if control == "is closed" && first_panics {
                    // A sink that panics counts as open, so no other sink need be asked.
                } else if keeps.contains(&control) {
                    assert!(second.is_empty(), "{context}: {second:?}");
                } else {
                    // The state also reports whether all sinks are closed.
                    assert!(first.starts_with(&[control]) && second.starts_with(&[control]), "{context}");
                }
            }
        }
    }
}

#[test]
fn fan_out_of_a_user_answers_for_all_of_its_sinks() {
    let channels = [8, 8].map(|capacity| Channel::lossy(capacity).unwrap());
    let [(one, mut of_one), (other, of_other)] = channels;
    let sink = FanOut(vec![one, other]);
    sink.write(1).unwrap();
    drop(of_other);
    assert!(!sink.reports_closed(), "one of the sinks is open");
    let mut report = FlushReport::default();
    sink.flush_by(Deadline::NOW, &mut report);
    assert_eq!(report.unfinished, ["sink 1"], "{report}");
    assert_eq!(of_one.recv(), Ok(1));
    assert!(sink.close_by(Deadline::NOW).is_done() && sink.reports_closed());
    assert!(sink.write(2).is_err_and(|error| error.is_closed()));
}

#[test]
fn panic_of_the_only_inner_sink_reaches_the_caller() {
    let sink = Forwarding(Probe::panicking());
    for (control, call) in CONTROLS {
        let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&sink)));
        assert!(called.is_err(), "{control}");
    }
}

#[test]
fn wrapper_lanes_seal_and_wait_like_the_inner_lane() {
    for overflow in [Overflow::DropNewest, Overflow::Block] {
        let channel = || Channel::<u32>::builder().capacity(8).overflow(overflow).build().unwrap();
        let ((one, _of_one), (other, _of_other)) = (channel(), channel());
        let sinks: [(&str, Box<dyn Sink<u32>>); 10] = [
            ("itself", Box::new(one.clone())),
            ("arc", Box::new(Arc::new(one.clone()))),
            ("filter", Box::new(one.clone().filter(|_: &u32| true))),
            ("map", Box::new(one.clone().map(|n: &u32| *n))),
            ("sample", Box::new(one.clone().sample(2))),
            ("rate limit", Box::new(one.clone().rate_limit(1.0, 1))),
            ("inspect", Box::new(one.clone().inspect(()))),
            ("timeout", Box::new(one.clone().timeout(Duration::ZERO))),
            ("catch panic", Box::new(one.clone().catch_panic())),
            ("tee", Box::new(one.clone().tee(other))),
        ];
        for (name, sink) in sinks {
            let lane = sink.lane().unwrap().expect(name);
            assert!(sink.has_lanes() && lane.sealer().is_some(), "{name}");
            assert_eq!(lane.may_wait(), overflow == Overflow::Block, "{name}");
        }
        let wrapped = Forwarding(one);
        assert!(!Lanes::<u32>::has_lanes(&wrapped) && Lanes::<u32>::lane(&wrapped).unwrap().is_none());
    }
}
