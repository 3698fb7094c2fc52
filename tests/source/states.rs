//! The states of a monitor, and what each step of a source makes of them.

use crate::{GUARD, Gap, GapReason, ManualClock, SECOND, Script, Seen, backoff, texts, wait_for};
use buslane::retry::Backoff;
use buslane::source::{Monitor, MonitorState, StopReason};
use buslane::time::{Clock, Pause};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn played(script: Script<u32>) -> (Seen, ManualClock, Monitor<u64>) {
    let (seen, clock) = (Seen::new(), ManualClock::hurrying());
    let monitor =
        Monitor::builder(script.clone()).backoff(backoff()).clock(clock.clone()).spawn(seen.clone()).unwrap();
    script.wait_played();
    (seen, clock, monitor)
}

#[test]
fn healthy_connection_resets_the_backoff() {
    let script = Script::new()
        .refuse("one")
        .refuse("two")
        .connect()
        .wait(29 * SECOND)
        .end()
        .connect()
        .wait(30 * SECOND)
        .end()
        .refuse("three")
        .connect();
    let (seen, clock, _monitor) = played(script);
    let ends: Vec<_> = texts(&seen).into_iter().filter(|text| text.starts_with("ended")).collect();
    assert_eq!(ends, ["ended Some(4)", "ended Some(1)"]);
    assert_eq!(clock.passed(), (1 + 2 + 29 + 4 + 30 + 1 + 2) * SECOND);
}

#[test]
fn events_alone_do_not_reset_the_backoff() {
    let (seen, _clock, _monitor) =
        played(Script::new().connect().event(1).end().connect_resumed().event(2).end().connect_resumed());
    assert_eq!(texts(&seen), ["connected", "1", "ended Some(1)", "resumed", "2", "ended Some(2)", "resumed"]);
}

#[test]
fn refused_token_is_dropped_and_reported() {
    let script = Script::new().connect().event(1).end().refuse_token().connect().event(9);
    let (seen, _clock, monitor) = played(script.clone());
    assert_eq!(script.tokens(), [None, Some(1), None]);
    assert_eq!(
        texts(&seen),
        ["connected", "1", "ended Some(1)", "StaleToken None", "connected", "9"],
        "one gap, and no second one for the connection without a token"
    );
    assert_eq!(monitor.token(), Some(2));
}

#[test]
fn second_refused_token_in_a_row_backs_off() {
    let (seen, clock, monitor) =
        played(Script::new().connect().fail_token().connect().event(1).fail_token().refuse_token());
    assert_eq!(
        texts(&seen),
        [
            "connected",
            "the token is unknown Some(0)",
            "StaleToken None",
            "connected",
            "1",
            "the token is unknown Some(1)",
            "StaleToken None",
            "StaleToken None"
        ]
    );
    assert_eq!((clock.passed(), monitor.token()), (3 * SECOND, None));
}

#[test]
fn refused_stored_token_leaves_a_gap() {
    let (script, seen) = (Script::new().refuse_token().connect().event(1), Seen::new());
    let monitor = Monitor::builder(script.clone()).resume(Some(7)).spawn(seen.clone()).unwrap();
    script.wait_played();
    assert_eq!(script.tokens(), [Some(7), None]);
    assert_eq!(texts(&seen), ["StaleToken None", "connected", "1"]);
    assert_eq!(monitor.snapshot().failures, 1);
}

#[test]
fn undecided_connection_is_live_when_it_knows() {
    let script = Script::new().connect_undecided();
    let (seen, _clock, monitor) = played(script.clone());
    assert_eq!((monitor.state(), texts(&seen).len()), (MonitorState::Connecting { attempt: 1 }, 0));
    let script = script.resumed(true).event(1).resumed(false);
    script.wait_played();
    assert_eq!(monitor.state(), MonitorState::Live);
    assert_eq!(texts(&seen), ["resumed", "1"], "the first answer counts");
}

#[test]
fn event_before_the_answer_is_not_resumed() {
    let (script, seen) = (Script::new().connect_undecided().event(1).resumed(true), Seen::new());
    let _monitor = Monitor::builder(script.clone()).resume(Some(7)).spawn(seen.clone()).unwrap();
    script.wait_played();
    assert_eq!(texts(&seen), ["Unproven None", "connected", "1"]);
}

#[test]
fn undecodable_item_does_not_hide_an_unproven_gap() {
    let script = Script::new().connect().event(1).end().connect_undecided().undecodable("garbage");
    let (seen, _clock, _monitor) = played(script.resumed(false).event(2));
    let expected = ["Undecodable Some(1)", "Unproven None", "connected", "2"];
    assert_eq!(texts(&seen)[3..], expected);
}

#[test]
fn gap_of_the_source_replaces_the_unproven_one() {
    let lost = Gap::new(GapReason::HistoryLost).missed(3);
    let script = Script::new().connect().event(1).end().connect_undecided().gap(lost).resumed(false).event(2);
    let (seen, _clock, monitor) = played(script.gap(lost).undecodable("garbage"));
    assert_eq!(
        texts(&seen),
        [
            "connected",
            "1",
            "ended Some(1)",
            "HistoryLost Some(3)",
            "connected",
            "2",
            "HistoryLost Some(3)",
            "Undecodable Some(1)"
        ]
    );
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.gaps, snapshot.undecodable), (3, 1));
    assert_eq!(snapshot.last_error.as_deref(), Some("garbage"));
}

#[test]
fn silence_is_checked_and_ends_a_dead_connection() {
    let (seen, _clock, monitor) =
        played(Script::new().connect().silent().event(1).silent().gone("no answer"));
    assert_eq!(texts(&seen), ["connected", "1", "no answer Some(1)"]);
    assert_eq!(monitor.snapshot().failures, 1);
}

#[test]
fn panics_of_the_source_are_faults() {
    let (seen, _clock, monitor) =
        played(Script::new().panic().connect().event(1).panic().connect_resumed().event(2));
    assert_eq!(
        texts(&seen),
        ["connected", "1", "the source panicked: the script panics as planned Some(2)", "resumed", "2"]
    );
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.source_panics, snapshot.failures, snapshot.attempts), (2, 2, 3));
}

#[test]
fn limits_of_the_backoff_end_the_monitor() {
    let gives_up = |backoff, script: Script<u32>| {
        let seen = Seen::new();
        let monitor = Monitor::builder(script)
            .backoff(backoff)
            .clock(ManualClock::hurrying())
            .spawn(seen.clone())
            .unwrap();
        let reason = StopReason::GaveUp("no route".into());
        wait_for(|| monitor.state() == MonitorState::Stopped(reason.clone()));
        assert!(monitor.wait_live(GUARD).is_err());
        assert_eq!(texts(&seen).last().map(String::as_str), Some("no route None"));
        monitor.snapshot().attempts
    };
    let refusing = || (0..9).fold(Script::new(), |script, _| script.refuse("no route"));
    assert_eq!(gives_up(backoff().max_attempts(3), refusing()), 3);
    // After 1 and 3 seconds; the fourth attempt would be after 7.
    assert_eq!(gives_up(backoff().max_elapsed(5 * SECOND), refusing()), 3);
    let healthy = Script::new().refuse("no route").connect().wait(60 * SECOND).end();
    let healthy = healthy.refuse("no route").refuse("no route");
    assert_eq!(gives_up(backoff().max_attempts(3), healthy), 4);
}

#[test]
fn wait_live_returns_at_a_connection_or_an_end() {
    let script = Script::<u32>::new();
    let monitor = Monitor::builder(script.clone()).spawn(Seen::new()).unwrap();
    let error = monitor.wait_live(SECOND / 1000).unwrap_err();
    assert_eq!(error.state, MonitorState::Connecting { attempt: 1 });
    let other = monitor.clone();
    let waiting = test_support::waits(move || other.wait_live(GUARD));
    let _script = script.connect();
    assert_eq!(waiting.join().unwrap(), Ok(()));
    assert!(monitor.stop_timeout(GUARD).is_done());
    let error = monitor.wait_live(GUARD).unwrap_err();
    assert_eq!(error.to_string(), "the source is not live: stopped: as requested");
}

#[test]
fn snapshot_shows_how_long_the_state_lasts() {
    let (script, clock) = (Script::new().connect().event(1), ManualClock::new());
    let monitor = Monitor::builder(script.clone()).clock(clock.clone()).spawn(Seen::new()).unwrap();
    script.wait_played();
    clock.advance(7 * SECOND);
    let snapshot = monitor.snapshot();
    assert_eq!((&snapshot.state, snapshot.state_for), (&MonitorState::Live, 7 * SECOND));
    assert_eq!(
        snapshot.to_string(),
        "monitor live (for 7.0s); 1 attempts, 1 connects, 0 failures; 1 events, 1 forwarded"
    );
}

/// A clock that panics once in each of its calls.
#[derive(Debug)]
struct Panicking {
    clock: ManualClock,
    now: AtomicBool,
    wait: AtomicBool,
}

impl Clock for Panicking {
    fn now(&self) -> Instant {
        assert!(!self.now.swap(false, Ordering::Relaxed), "the clock has stopped");
        self.clock.now()
    }

    fn wait_until(&self, moment: Instant, pause: &Arc<Pause>) {
        assert!(!self.wait.swap(false, Ordering::Relaxed), "the clock has stopped");
        self.clock.wait_until(moment, pause);
    }
}

#[test]
fn clock_of_the_system_replaces_one_that_panics() {
    for (now, wait) in [(true, false), (false, true), (true, true)] {
        let clock = Panicking {
            clock: ManualClock::hurrying(),
            now: AtomicBool::new(now),
            wait: AtomicBool::new(wait),
        };
        let (script, seen) = (Script::new().refuse("no route").connect().event(1), Seen::new());
        // The wait that fails is one by the clock of the system.
        let short = Duration::from_millis(1);
        let monitor = Monitor::builder(script.clone()).backoff(Backoff::new(short, short)).clock(clock);
        let monitor = monitor.spawn(seen.clone()).unwrap();
        script.wait_played();
        assert_eq!(texts(&seen), ["connected", "1"]);
        assert!(monitor.stop_timeout(GUARD).is_done());
        let snapshot = monitor.snapshot();
        assert_eq!((snapshot.source_panics, snapshot.failures, snapshot.attempts), (0, 1, 2));
    }
}
