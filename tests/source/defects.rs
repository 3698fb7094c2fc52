//! The defects of Swarm's `EventsMonitor`, each under its number in the list of the seed systems.

use crate::{GUARD, ManualClock, SECOND, Script, Seen, backoff, connected, gap, texts, wait_for};
use buslane::source::{GapReason, Monitor, MonitorState, StopReason, Update};
use buslane::testing::{Collect, Gate};
use buslane::{Sink, WriteError};
use std::sync::{Arc, Weak};
use std::thread;
use test_support::ends;

/// Starts a monitor of the script by a clock that does not let it wait.
fn watch(script: &Script<u32>, seen: &Seen) -> Monitor<u64> {
    let builder = Monitor::builder(script.clone()).backoff(backoff()).clock(ManualClock::hurrying());
    builder.spawn(seen.clone()).unwrap()
}

#[test]
fn e17_start_never_waits_for_a_reader_of_errors() {
    // The seed's start sent its error to a channel that no thread read yet, and blocked forever.
    let script = Script::new();
    let hanging = script.clone();
    let monitor = ends(move || Monitor::builder(hanging).spawn(Seen::new()).unwrap());
    script.wait_connects(1);
    assert_eq!(monitor.state(), MonitorState::Connecting { attempt: 1 });
    assert!(monitor.stop_timeout(GUARD).is_done());

    let script = Script::new().refuse("no route").connect().event(7);
    let seen = Seen::new();
    let monitor = watch(&script, &seen);
    monitor.wait_live(GUARD).unwrap();
    script.wait_played();
    assert_eq!(texts(&seen), ["connected", "7"]);
    assert_eq!(monitor.snapshot().last_error.as_deref(), Some("no route"));
}

#[test]
fn e18_one_connection_is_live_and_stop_is_idempotent() {
    // Several monitors of one engine ran at once, a stop could reach the wrong one, and a second
    // stop panicked.
    let mut script = Script::new();
    for n in 0..50 {
        script = script.connect().event(n).end();
    }
    let monitor = Monitor::builder(script.clone())
        .clock(ManualClock::hurrying())
        .spawn_events(Collect::<u32>::new())
        .unwrap();
    script.wait_played();
    assert_eq!((script.most_open(), script.tokens().len()), (1, 51));
    thread::scope(|scope| {
        for _ in 0..4 {
            let monitor = monitor.clone();
            scope.spawn(move || assert!(monitor.stop_timeout(GUARD).is_done()));
        }
    });
    let first = monitor.stop_timeout(GUARD);
    assert_eq!((first.forwarded, &first), (50, &monitor.stop_timeout(GUARD)));
    assert_eq!(script.open(), 0);
}

/// A sink that refuses every event, and whose drop a test can see.
struct Refusing(#[expect(dead_code, reason = "its count is the point")] Arc<()>);

impl Sink<u32> for Refusing {
    fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
        Err(WriteError::Full(event))
    }
}

#[test]
fn e19_nothing_is_left_after_an_error_or_a_stop() {
    // The decoder's thread stayed blocked after an error of the handler, a stop, or bad input.
    for script in [
        Script::new().connect().event(1),
        Script::new().connect().undecodable("not JSON").event(1),
        Script::new().connect().fail("broken pipe"),
        Script::new().connect().panic(),
        Script::new().refuse("no route"),
    ] {
        let alive = Arc::new(());
        let kept: Weak<()> = Arc::downgrade(&alive);
        let monitor = Monitor::builder(script.clone())
            .clock(ManualClock::hurrying())
            .spawn_events(Refusing(alive))
            .unwrap();
        script.wait_played();
        assert!(monitor.stop_timeout(GUARD).is_done());
        assert_eq!((script.open(), kept.upgrade()), (0, None), "{script:?}");
    }
}

#[test]
fn e20_stop_ends_the_backoff_without_another_connect() {
    // The wait could not be interrupted, and one more connection was made after it.
    let (script, clock) = (Script::<u32>::new().refuse("no route").connect(), ManualClock::new());
    let monitor =
        Monitor::builder(script.clone()).backoff(backoff()).clock(clock.clone()).spawn(Seen::new()).unwrap();
    clock.await_sleepers(1);
    let waiting = MonitorState::Waiting { failures: 1, retry_in: SECOND, error: "no route".into() };
    assert_eq!(monitor.state(), waiting);
    assert!(monitor.stop_timeout(GUARD).is_done());
    clock.advance(60 * SECOND);
    assert_eq!(script.tokens(), [None]);
    assert_eq!(monitor.state(), MonitorState::Stopped(StopReason::Requested));
}

#[test]
fn e21_reconnect_resumes_or_reports_a_gap() {
    // Events between two connections were lost without a sign, and an overlap came twice.
    let script = Script::new()
        .connect()
        .event(1)
        .event(2)
        .fail("reset")
        .connect_resumed()
        .duplicate()
        .event(3)
        .end()
        .connect()
        .event(5);
    let seen = Seen::new();
    let monitor = watch(&script, &seen);
    script.wait_played();
    assert_eq!(script.tokens(), [None, Some(2), Some(4)]);
    let expected = [
        "connected",
        "1",
        "2",
        "reset Some(1)",
        "resumed",
        "3",
        "ended Some(2)",
        "Unproven None",
        "connected",
        "5",
    ];
    assert_eq!(texts(&seen), expected);
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.duplicates, snapshot.gaps, snapshot.events), (1, 1, 4));
}

#[test]
fn e22_clean_end_waits_longer_each_time() {
    // A clean end was followed by a connect without a wait.
    let mut script = Script::<u32>::new();
    for _ in 0..5 {
        script = script.connect().end();
    }
    let clock = ManualClock::hurrying();
    let _monitor =
        Monitor::builder(script.clone()).backoff(backoff()).clock(clock.clone()).spawn(Seen::new()).unwrap();
    script.wait_played();
    assert_eq!((clock.passed(), clock.waits()), ((1 + 2 + 4 + 8 + 16) * SECOND, 5));
}

#[test]
fn e23_failing_sink_does_not_end_the_stream() {
    // An error of the handler tore the stream down, and a slow handler blocked the stop.
    let (gate, seen) = (Gate::closed(), Collect::new());
    let script = Script::new().connect().event(1).event(2);
    let monitor = Monitor::builder(script.clone()).spawn_events(gate.before(seen.clone())).unwrap();
    gate.wait_reached(1);
    let report = monitor.stop_timeout(SECOND / 1000);
    assert_eq!((report.is_done(), report.undelivered, report.reason), (false, 1, None));
    gate.open();
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(seen.events(), [1], "the event that was read is delivered, and no further one is read");

    let script = Script::new().connect().event(1).event(2).event(3);
    let monitor = Monitor::builder(script.clone()).spawn_events(Refusing(Arc::new(()))).unwrap();
    script.wait_played();
    assert_eq!((script.open(), script.tokens().len()), (1, 1), "the same connection");
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.events, snapshot.refused, snapshot.forwarded), (3, 3, 0));
    assert_eq!(snapshot.last_error.as_deref(), Some("the sink is full"));
}

#[test]
fn e24_every_end_has_a_reason_and_a_last_update() {
    // A stream of errors that was closed without a value ended the monitoring silently.
    let cases = [
        (Script::new().connect().fail("reset"), StopReason::GaveUp("reset".into()), "reset None"),
        (
            Script::new().connect().end(),
            StopReason::GaveUp("the source ended the connection".into()),
            "the source ended the connection None",
        ),
        (Script::new().refuse_for_good("bad URL"), StopReason::Fatal("bad URL".into()), "bad URL None"),
        (
            Script::new().connect().panic(),
            StopReason::GaveUp("the source panicked: the script panics as planned".into()),
            "the source panicked: the script panics as planned None",
        ),
    ];
    for (script, reason, last) in cases {
        let seen = Seen::new();
        let once = backoff().max_attempts(1);
        let monitor = Monitor::builder(script.clone()).backoff(once).spawn(seen.clone()).unwrap();
        wait_for(|| monitor.state() == MonitorState::Stopped(reason.clone()));
        assert_eq!(texts(&seen).last().map(String::as_str), Some(last));
        assert_eq!(script.open(), 0);
    }
    // Without a limit, no end of a connection is the end of the monitor.
    let mut script = Script::new();
    for _ in 0..100 {
        script = script.connect().end();
    }
    let seen = Seen::new();
    let monitor =
        Monitor::builder(script.clone()).clock(ManualClock::hurrying()).spawn(seen.clone()).unwrap();
    script.wait_played();
    assert!(monitor.stop_timeout(GUARD).is_done());
    let (first, rest) = (seen.events(), seen.events().split_off(2));
    assert_eq!(first[0], connected());
    assert_eq!(rest.iter().filter(|update| **update == gap(GapReason::Unproven)).count(), 99);
    assert!(matches!(rest.last(), Some(Update::Disconnected(end)) if end.retry_after.is_none()));
}
