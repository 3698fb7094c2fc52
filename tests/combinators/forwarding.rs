//! What every combinator hands on to the sink behind it.

use crate::describe;
use buslane::error::OutOfMemory;
use buslane::sink::{Lane, Signal, SinkKey};
use buslane::stats::{CloseReport, Finish, FlushReport};
use buslane::time::Deadline;
use buslane::{Sink, SinkExt, WriteError, noop};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use test_support::{Outcome, lock, outcome};

/// Writes down which of its methods was called.
#[derive(Debug, Default)]
struct Probe(Mutex<Vec<String>>);

impl Sink<u64> for Probe {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        lock(&self.0).push(format!("write {event}"));
        Err(WriteError::Reentrant(event))
    }

    fn close(&self, deadline: Deadline) -> CloseReport {
        lock(&self.0).push(format!("close {}", deadline.is_over()));
        CloseReport::timed_out(5)
    }

    fn lane(&self) -> Result<Option<Lane<u64>>, OutOfMemory> {
        lock(&self.0).push("lane".into());
        Err(OutOfMemory::new(9))
    }

    fn has_lanes(&self) -> bool {
        true
    }

    fn signal(&self, signal: &mut Signal<'_>) {
        let name = match signal {
            Signal::Abort => "abort",
            Signal::EndOfBatch => "end of batch",
            Signal::Flush(_, report) => {
                report.note(Finish::TimedOut);
                "flush"
            }
            Signal::Tick { now, next } => {
                **next = Some(*now);
                "tick"
            }
            Signal::IsClosed(closed) => {
                **closed = true;
                "is closed"
            }
            Signal::Describe(state) => {
                state.kind = "probe";
                "describe"
            }
            _ => "another",
        };
        lock(&self.0).push(name.into());
    }
}

/// Calls every method through a combinator, and checks that the probe behind it was reached and answered.
#[track_caller]
fn assert_hands_on(probe: &Probe, sink: &impl Sink<u64>) {
    assert!(sink.has_lanes());
    assert!(matches!(sink.write(3), Err(WriteError::Reentrant(3))));
    assert_eq!(sink.lane().err(), Some(OutOfMemory::new(9)));
    let report = sink.close(Deadline::NOW);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 5));
    let (mut report, mut next, now) = (FlushReport::default(), None, Instant::now());
    let mut closed = false;
    sink.signal(&mut Signal::Abort);
    sink.signal(&mut Signal::EndOfBatch);
    sink.signal(&mut Signal::Flush(Deadline::NOW, &mut report));
    sink.signal(&mut Signal::Tick { now, next: &mut next });
    sink.signal(&mut Signal::IsClosed(&mut closed));
    assert_eq!((report.finish, next, closed), (Finish::TimedOut, Some(now), true));
    assert!(["probe", "tee"].contains(&describe(sink).kind));
    let calls = std::mem::take(&mut *lock(&probe.0));
    let expected =
        ["write 3", "lane", "close true", "abort", "end of batch", "flush", "tick", "is closed", "describe"];
    assert_eq!(calls, expected);
}

#[test]
fn every_combinator_hands_every_method_on_and_is_told_from_others() {
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
    let inner = Some(SinkKey::of(&*probe));
    assert_eq!(keys.iter().filter(|key| **key == inner).count(), 1);
    assert!(keys.iter().all(Option::is_some));
    // Inspectors without a size are still told apart.
    let inspects = [noop::<u64>().inspect(()), noop::<u64>().inspect(())];
    assert_ne!(inspects[0].key(), inspects[1].key());
    assert_eq!(inspects[0].key(), inspects[0].key());
}

#[test]
fn a_tee_hands_every_method_on_to_both_sides() {
    let probes = [Probe::default(), Probe::default()].map(Arc::new);
    let sink = probes[0].clone().tee(probes[1].clone());
    assert!(sink.has_lanes());
    assert!(matches!(sink.write(3), Err(WriteError::Reentrant(3))));
    assert_eq!(sink.lane().err(), Some(OutOfMemory::new(9)));
    let report = sink.close(Deadline::NOW);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 10));
    assert_eq!(report.unfinished, ["first", "second"]);
    let (mut report, mut next, mut closed) = (FlushReport::default(), None, false);
    sink.signal(&mut Signal::Abort);
    sink.signal(&mut Signal::EndOfBatch);
    sink.signal(&mut Signal::Flush(Deadline::NOW, &mut report));
    sink.signal(&mut Signal::Tick { now: Instant::now(), next: &mut next });
    sink.signal(&mut Signal::IsClosed(&mut closed));
    assert!(report.finish == Finish::TimedOut && next.is_some() && closed);
    assert_eq!(describe(&sink).kind, "tee");
    let rest = ["close true", "abort", "end of batch", "flush", "tick", "is closed", "describe"];
    let calls = probes.map(|probe| std::mem::take(&mut *lock(&probe.0)));
    assert_eq!(calls[0].iter().filter(|call| *call != "lane").count(), rest.len() + 1);
    for calls in calls {
        assert_eq!(calls[0], "write 3");
        assert_eq!(calls[calls.len() - rest.len()..], rest);
    }
}

#[test]
fn a_combinator_in_front_of_a_sink_without_lanes_has_none() {
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
        assert!(sink.close(Deadline::NOW).is_done() && sink.close(Deadline::NOW).is_done());
    }
}
