//! Invalid settings are typed errors, and nothing is started.

use crate::{GUARD, ManualClock, SECOND, Script, Seen};
use buslane::error::{ConfigError, ConfigErrorKind, SpawnError};
use buslane::retry::Backoff;
use buslane::source::{
    Disconnected, Fault, FileLines, FilePosition, Gap, GapReason, Monitor, MonitorState, Session, Source,
    StopReason, StopReport, Update,
};
use buslane::testing::{Collect, ScriptConnection};
use buslane::{SinkExt, noop};
use serde_json::{from_value, json, to_value};
use std::fmt::Error;
use std::time::Duration;
use test_support::invalid;

#[test]
fn invalid_settings_are_typed_errors() {
    let script = Script::<u32>::new();
    let builder = || Monitor::builder(script.clone());
    let zero = Duration::ZERO;
    assert_eq!(invalid(builder().name("a\0b").spawn(Seen::new())), ConfigErrorKind::Name);
    assert_eq!(invalid(builder().silence(zero).spawn(Seen::new())), ConfigErrorKind::Silence);
    assert_eq!(
        invalid(builder().store_token(0, |_| Ok::<_, Error>(())).spawn(Seen::new())),
        ConfigErrorKind::TokenInterval
    );
    let backoff = Backoff::new(zero, zero);
    assert_eq!(invalid(builder().backoff(backoff).spawn(Seen::new())), ConfigErrorKind::Backoff);
    assert_eq!(invalid(builder().spawn_events(noop().sample(0))), ConfigErrorKind::Sample);
    assert_eq!(script.tokens(), [], "no monitor was started");
}

#[test]
fn source_checks_its_own_settings() {
    let lines = || FileLines::new("/nowhere");
    for source in [lines().poll_interval(Duration::ZERO), lines().max_line(0)] {
        let error = Monitor::builder(source).spawn_events(Collect::new()).unwrap_err();
        assert!(matches!(error, SpawnError::Config(error) if error.kind() == ConfigErrorKind::Other));
    }
}

/// A source that panics when it is asked whether its settings are valid.
struct Panicking;

impl Source for Panicking {
    type Event = u32;
    type Token = u64;
    type Connection = ScriptConnection<u32>;

    fn connect(&mut self, _: Option<&u64>, _: &Session) -> Result<ScriptConnection<u32>, Fault> {
        unreachable!("no monitor was started")
    }

    fn validate(&self) -> Result<(), ConfigError> {
        panic!("the settings are odd")
    }
}

#[test]
fn panic_of_the_validation_is_a_typed_error() {
    let error = Monitor::builder(Panicking).spawn_events(Collect::new()).unwrap_err();
    let SpawnError::Config(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), ConfigErrorKind::Other);
    assert_eq!(error.to_string(), "the source panicked in `validate`: it must return an error instead");
}

#[test]
fn extreme_durations_are_valid() {
    for long in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_nanos(1)] {
        let script = Script::<u32>::new().refuse("no route").connect().wait(long).end();
        let monitor = Monitor::builder(script.clone())
            .backoff(Backoff::new(long, long))
            .healthy_after(long)
            .silence(long)
            .clock(ManualClock::hurrying())
            .spawn(Seen::new())
            .unwrap();
        script.wait_played();
        assert!(monitor.stop_timeout(long.max(GUARD)).is_done());
    }
}

#[test]
fn updates_and_reports_serialize_under_their_names() {
    let gap = Update::<u32>::Gap(Gap::new(GapReason::HistoryLost).missed(3));
    let value = json!({ "gap": { "reason": "history_lost", "missed": 3 } });
    assert_eq!((to_value(&gap).unwrap(), from_value::<Update<u32>>(value.clone()).unwrap()), (value, gap));
    let value = json!({ "disconnected": { "error": "reset", "retry_after": null } });
    let update: Update<u32> = from_value(value.clone()).unwrap();
    let Update::Disconnected(Disconnected { error, .. }) = &update else { panic!("{update:?}") };
    assert_eq!((error.as_deref(), to_value(&update).unwrap()), (Some("reset"), value));
    assert_eq!(to_value(Update::Event(7)).unwrap(), json!({ "event": 7 }));

    let state = MonitorState::Waiting { failures: 2, retry_in: SECOND, error: "no route".into() };
    let value =
        json!({ "waiting": { "failures": 2, "retry_in": { "secs": 1, "nanos": 0 }, "error": "no route" } });
    assert_eq!(
        (to_value(&state).unwrap(), from_value::<MonitorState>(value.clone()).unwrap()),
        (value, state)
    );
    let report: StopReport = from_value(json!({ "reason": "requested", "undelivered": 1 })).unwrap();
    assert_eq!((report.reason, report.undelivered), (Some(StopReason::Requested), 1));
    let position: FilePosition = "1:2:3".parse().unwrap();
    assert_eq!(to_value(position).unwrap(), json!({ "device": 1, "inode": 2, "offset": 3 }));

    let monitor = Monitor::builder(Script::<u32>::new()).spawn(Seen::new()).unwrap();
    assert!(monitor.stop_timeout(GUARD).is_done());
    let value = to_value(monitor.snapshot()).unwrap();
    assert_eq!((&value["state"], &value["forwarded"]), (&json!({ "stopped": "requested" }), &json!(0)));
}
