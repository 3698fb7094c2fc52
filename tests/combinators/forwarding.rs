//! The methods that every combinator forwards to its inner sink.

use crate::describe;
use buslane::error::OutOfMemory;
use buslane::sink::SinkKey;
use buslane::sink::lane::{Internal, Lane, Lanes};
use buslane::stats::{CloseReport, Finish, FlushReport, SinkKind, SinkState};
use buslane::time::Deadline;
use buslane::{Sink, SinkExt, WriteError, noop};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use test_support::{Outcome, lock, outcome};

/// A sink that logs which of its methods were called.
#[derive(Debug, Default)]
struct Probe(Mutex<Vec<String>>);

impl Sink<u64> for Probe {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        lock(&self.0).push(format!("write {event}"));
        Err(WriteError::Reentrant(event))
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        lock(&self.0).push(format!("close {}", deadline.has_passed()));
        CloseReport::timed_out(5)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u64>>, OutOfMemory> {
        lock(&self.0).push("lane".into());
        Err(OutOfMemory::new(9))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }

    fn flush_by(&self, _: Deadline, report: &mut FlushReport) {
        report.note(Finish::TimedOut);
        lock(&self.0).push("flush".into());
    }

    fn abort_now(&self) {
        lock(&self.0).push("abort".into());
    }

    fn end_of_batch(&self) {
        lock(&self.0).push("end of batch".into());
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        lock(&self.0).push("tick".into());
        Some(now)
    }

    fn reports_closed(&self) -> bool {
        lock(&self.0).push("is closed".into());
        true
    }

    fn describe(&self, state: &mut SinkState) {
        state.kind = SinkKind::Custom("probe");
        lock(&self.0).push("describe".into());
    }
}

/// Calls every method through a combinator, and checks that the inner probe was called and that its
/// answer came back.
#[track_caller]
fn assert_hands_on(probe: &Probe, sink: &impl Sink<u64>) {
    assert!(sink.has_lanes());
    assert!(matches!(sink.write(3), Err(WriteError::Reentrant(3))));
    assert_eq!(sink.lane().err(), Some(OutOfMemory::new(9)));
    let report = sink.close_by(Deadline::NOW);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 5));
    let (mut report, now) = (FlushReport::default(), Instant::now());
    sink.abort_now();
    sink.end_of_batch();
    sink.flush_by(Deadline::NOW, &mut report);
    assert_eq!((sink.tick(now), sink.reports_closed()), (Some(now), true));
    assert_eq!((report.finish, describe(sink).kind), (Finish::TimedOut, SinkKind::Custom("probe")));
    let calls = std::mem::take(&mut *lock(&probe.0));
    let expected =
        ["write 3", "lane", "close true", "abort", "end of batch", "flush", "tick", "is closed", "describe"];
    assert_eq!(calls, expected);
}

#[test]
fn every_combinator_forwards_methods_and_has_a_key() {
    let probe = Arc::new(Probe::default());
    let sink = || probe.clone();
    let one_in_one = sink().sample(1);
    let unlimited = sink().rate_limit(1e9, u64::MAX);
    assert_hands_on(&probe, &sink().catch_panic());
    assert_hands_on(&probe, &sink().catch_panic().close_after(3));
    assert_hands_on(&probe, &sink().inspect(()));
    assert_hands_on(&probe, &sink().inspect_fn(|_| ()));
    assert_hands_on(&probe, &one_in_one);
    assert_hands_on(&probe, &unlimited);
    assert_hands_on(&probe, &sink().timeout(Duration::ZERO));
    let keys = [
        sink().key(),
        sink().catch_panic().key(),
        sink().inspect(()).key(),
        one_in_one.key(),
        unlimited.key(),
        sink().timeout(Duration::ZERO).key(),
        sink().tee(sink()).key(),
    ];
    let inner = Some(SinkKey::of(&probe));
    assert_eq!(keys.iter().filter(|key| **key == inner).count(), 1);
    assert!(keys.iter().all(Option::is_some));
    // Zero-sized inspectors still have different keys.
    let inspects = [noop::<u64>().inspect(()), noop::<u64>().inspect(())];
    assert_ne!(inspects[0].key(), inspects[1].key());
    assert_eq!(inspects[0].key(), inspects[0].key());
}

#[test]
fn tee_forwards_every_method_to_both_sides() {
    let probes = [Probe::default(), Probe::default()].map(Arc::new);
    let sink = probes[0].clone().tee(probes[1].clone());
    assert!(sink.has_lanes());
    assert!(matches!(sink.write(3), Err(WriteError::Reentrant(3))));
    assert_eq!(sink.lane().err(), Some(OutOfMemory::new(9)));
    let report = sink.close_by(Deadline::NOW);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 10));
    assert_eq!(report.unfinished, ["first", "second"]);
    let mut report = FlushReport::default();
    sink.abort_now();
    sink.end_of_batch();
    sink.flush_by(Deadline::NOW, &mut report);
    assert!(sink.tick(Instant::now()).is_some() && sink.reports_closed());
    assert_eq!((report.finish, describe(&sink).kind), (Finish::TimedOut, SinkKind::Tee));
    let rest = ["close true", "abort", "end of batch", "flush", "tick", "is closed", "describe"];
    let calls = probes.map(|probe| std::mem::take(&mut *lock(&probe.0)));
    assert_eq!(calls[0].iter().filter(|call| *call != "lane").count(), rest.len() + 1);
    for calls in calls {
        assert_eq!(calls[0], "write 3");
        assert_eq!(calls[calls.len() - rest.len()..], rest);
    }
}

#[test]
fn combinator_on_a_sink_without_lanes_has_none() {
    let sample = noop::<u64>().sample(2);
    let limited = noop::<u64>().rate_limit(1.0, 1);
    let sinks: [&dyn Sink<u64>; 6] = [
        &noop::<u64>().catch_panic(),
        &noop::<u64>().inspect(()),
        &sample,
        &limited,
        &noop::<u64>().tee(noop()),
        &noop::<u64>().timeout(Duration::ZERO),
    ];
    for sink in sinks {
        assert!(!sink.has_lanes() && sink.lane().unwrap().is_none());
        assert_eq!(outcome(sink.write(1)), Outcome::Accepted);
        assert!(sink.close_by(Deadline::NOW).is_done() && sink.close_by(Deadline::NOW).is_done());
    }
}
