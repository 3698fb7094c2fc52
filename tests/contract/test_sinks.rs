//! The test sinks of `buslane::testing`: each does what it documents, and nothing else.

use buslane::stats::{FlushReport, SinkState};
use buslane::testing::{Collect, FLAKY, Flaky, Gate, Gated, ManualClock, PANICKING, Panicking, Slow};
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink, SinkExt, WriteError};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn describe<E>(sink: &impl Sink<E>) -> SinkState {
    let mut state = SinkState::default();
    sink.describe(&mut state);
    state.ledger.check().unwrap();
    state
}

#[test]
fn collect_clones_share_events_taken_once() {
    let seen = Collect::new();
    let bus = Bus::new();
    bus.add(seen.clone()).unwrap();
    assert!(seen.is_empty());
    for text in ["one", "two"] {
        let _ = bus.publish(text).unwrap();
    }
    assert_eq!((seen.len(), seen.events()), (2, vec!["one", "two"]));
    assert_eq!(seen.clone().taken(), ["one", "two"]);
    assert!(seen.taken().is_empty());
    seen.write("three").unwrap();
    seen.wait_for(1);
    assert_eq!(seen.events(), ["three"]);
}

#[test]
fn collect_counts_controls_and_refuses_when_closed() {
    let seen = Collect::new();
    let queue = seen.clone().queue(64).unwrap();
    queue.write(1).unwrap();
    assert!(queue.flush_timeout(HOUR).is_done());
    assert!(seen.flushes() == 1 && seen.ends_of_batch() >= 1);
    seen.flush_by(Deadline::NOW, &mut FlushReport::default());
    seen.abort_now();
    assert_eq!((seen.flushes(), seen.aborts(), seen.closes()), (2, 1, 0));
    assert!(queue.close_timeout(HOUR).is_done());
    assert!(seen.is_closed() && seen.closes() == 1);
    assert!(matches!(seen.write(2), Err(WriteError::Closed(2))));
    let ledger = describe(&seen).ledger;
    assert_eq!((ledger.offered, ledger.delivered, ledger.refused.closed), (2, 1, 1));
}

/// Returns which of `writes` writes fail.
fn failures(flaky: &Flaky<u64, Collect<u64>>, writes: u64) -> Vec<u64> {
    (0..writes).filter(|n| flaky.write(*n).is_err()).collect()
}

#[test]
fn flaky_failures_are_reproducible_by_seed() {
    let make = |seed| Flaky::new(Collect::new()).failing(50).rate(0.9, seed);
    let flaky = make(7);
    let failed = failures(&flaky, 1000);
    assert!(failed[..50].iter().copied().eq(0..50), "the first fifty");
    assert!((850..950).contains(&failed.len()) && failed.len() as u64 == flaky.failures());
    assert_eq!(flaky.attempts(), 1000);
    assert_eq!(failures(&make(7), 1000), failed);
    assert_ne!(failures(&make(8), 1000), failed);
    let ledger = describe(&flaky).ledger;
    assert_eq!((ledger.offered, ledger.refused.failed), (1000, failed.len() as u64));
}

#[test]
fn flaky_rate_is_clamped_and_nan_never_fails() {
    for (rate, expected) in [(1.0, 100), (7.0, 100), (0.0, 0), (-1.0, 0), (f64::NAN, 0)] {
        assert_eq!(failures(&Flaky::new(Collect::new()).rate(rate, 1), 100).len(), expected, "{rate}");
    }
    let error = Flaky::new(Collect::new()).rate(1.0, 1).write(7).unwrap_err();
    assert!(error.to_string().ends_with(FLAKY) && !error.is_closed());
    assert_eq!(error.into_event(), 7);
}

#[test]
fn flaky_rate_is_the_same_across_threads() {
    let alone = Flaky::new(Collect::new()).rate(0.5, 3);
    let expected = failures(&alone, 400).len();
    let shared = Flaky::new(Collect::new()).rate(0.5, 3);
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| failures(&shared, 100))));
    });
    assert_eq!(shared.failures(), expected as u64);
}

#[test]
fn closed_flaky_sink_returns_closed_before_failing() {
    let flaky = Flaky::new(Collect::new()).rate(1.0, 1);
    assert!(flaky.close_by(Deadline::NOW).is_done());
    assert!(matches!(flaky.write(1), Err(WriteError::Closed(1))));
}

#[test]
fn gate_passes_its_permits_and_counts_waiters() {
    let gate = Gate::closed();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| gate.pass());
        }
        gate.wait_reached(3);
        assert_eq!(gate.waiting(), 3);
        gate.permit(2);
        while gate.waiting() > 1 {
            thread::yield_now();
        }
        assert_eq!((gate.reached(), gate.waiting()), (3, 1));
        gate.clone().open();
    });
    assert_eq!(gate.waiting(), 0);
    gate.pass();
    assert_eq!(gate.reached(), 4);
}

#[test]
fn closed_gated_sink_returns_the_waiting_event() {
    let (gate, seen) = (Gate::closed(), Collect::new());
    let sink = Arc::new(gate.before(seen.clone()));
    let writer = thread::spawn({
        let sink = sink.clone();
        move || sink.write(7)
    });
    gate.wait_reached(1);
    assert!(sink.close_by(Deadline::NOW).is_done());
    assert!(matches!(writer.join().unwrap(), Err(WriteError::Closed(7))));
    gate.open();
    assert!(matches!(sink.write(8), Err(WriteError::Closed(8))));
    assert!(seen.is_empty() && seen.is_closed());
    assert_eq!(describe(&sink).ledger.refused.closed, 2);
}

#[test]
fn zero_limit_close_ends_gated_and_slow_writes() {
    let (gate, seen, clock) = (Gate::closed(), Collect::new(), ManualClock::new());
    let gated = Queue::builder().spawn_sink(gate.before(seen.clone())).unwrap();
    let slow = Queue::builder().spawn_sink(Slow::new(seen.clone(), HOUR, clock.clone())).unwrap();
    for n in 0..3 {
        gated.write(n).unwrap();
        slow.write(n).unwrap();
    }
    gate.wait_reached(1);
    clock.await_sleepers(1);
    for queue in [gated, slow] {
        let _ = queue.close_timeout(Duration::ZERO);
        while queue.state().ledger.dropped.total() < 3 {
            thread::yield_now();
        }
        let dropped = queue.state().ledger.dropped;
        assert_eq!((dropped.failed, dropped.aborted), (1, 2), "the sink returned the event in progress");
    }
    assert!(seen.is_empty());
}

#[test]
fn slow_sink_delays_by_its_own_clock() {
    let (clock, seen) = (ManualClock::new(), Collect::new());
    let queue = Queue::builder()
        .overflow(Overflow::Refuse)
        .spawn_sink(Slow::new(seen.clone(), HOUR, clock.clone()))
        .unwrap();
    for n in 0..3_u32 {
        queue.write(n).unwrap();
    }
    for n in 1..=3 {
        clock.await_sleepers(1);
        assert_eq!(seen.len(), n - 1);
        clock.advance(HOUR);
        seen.wait_for(n);
    }
    assert_eq!(clock.passed(), 3 * HOUR);
    // A close ends a delay that would otherwise never end.
    let endless = Arc::new(Slow::new(seen, Duration::MAX, ManualClock::new()));
    let writer = thread::spawn({
        let endless = endless.clone();
        move || endless.write(7)
    });
    assert!(endless.close_by(Deadline::NOW).is_done());
    assert!(matches!(writer.join().unwrap(), Err(WriteError::Closed(7))));
}

#[test]
fn panicking_sink_panics_where_configured() {
    let bus = Bus::new();
    bus.add_named("second", Panicking::new().on_event(2)).unwrap();
    bus.add_named("every", Panicking::new().on_every_event()).unwrap();
    bus.add_named("none", Panicking::new()).unwrap();
    bus.add_named("close", Panicking::new().on_close()).unwrap();
    for n in 0..3 {
        let _ = bus.publish(n).unwrap();
    }
    let panicked: Vec<u64> =
        bus.snapshot().sinks.iter().map(|sink| sink.state.ledger.dropped.panicked).collect();
    assert_eq!(panicked, [1, 3, 0, 0]);
    let errors = bus.close().errors;
    assert!(errors.len() == 1 && errors[0].starts_with("close: ") && errors[0].contains(PANICKING));

    let queue = Panicking::<u8>::new().on_drop().queue(1).unwrap();
    let errors = queue.close().errors;
    assert!(errors.len() == 1 && errors[0].contains(PANICKING), "{errors:?}");
    let unwinding = thread::spawn(|| {
        let _sink = Panicking::<u8>::new().on_drop();
        panic!("a first panic");
    });
    assert!(unwinding.join().is_err(), "the panic ends only its own thread");
}

#[test]
fn test_sinks_are_send_and_sync_for_every_event() {
    fn shared<T: Send + Sync>() {}
    type Lonely = std::cell::Cell<u8>;
    type Collecting = Collect<Lonely>;
    shared::<Collecting>();
    shared::<Flaky<Lonely, Collecting>>();
    shared::<Gate>();
    shared::<Gated<Lonely, Collecting>>();
    shared::<Panicking<Lonely>>();
    shared::<Slow<Lonely, Collecting>>();
}

#[test]
fn debug_texts_of_test_sinks_omit_the_events() {
    let seen = Collect::new();
    seen.write("secret").unwrap();
    let texts = [
        format!("{seen:?}"),
        format!("{:?}", Flaky::new(seen.clone())),
        format!("{:?}", Gate::closed().before(seen.clone())),
        format!("{:?}", Slow::new(seen, HOUR, ManualClock::new())),
        format!("{:?}", Panicking::<&str>::new().on_close()),
    ];
    for text in texts {
        assert!(text.len() > 10 && !text.contains("secret"), "{text}");
    }
}
