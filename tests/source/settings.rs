//! Invalid settings are typed errors, and nothing is started.

use crate::{Script, Seen};
use buslane::error::{ConfigErrorKind, SpawnError};
use buslane::retry::Backoff;
use buslane::source::{FileLines, Monitor};
use buslane::testing::Collect;
use buslane::{SinkExt, noop};
use std::time::Duration;
use test_support::invalid;

#[test]
fn invalid_settings_are_typed_errors() {
    let script = Script::<u32>::new();
    let builder = || Monitor::builder(script.clone());
    let zero = Duration::ZERO;
    assert_eq!(invalid(builder().name("a\0b").spawn(Seen::new())), ConfigErrorKind::Name);
    assert_eq!(invalid(builder().silence(zero).spawn(Seen::new())), ConfigErrorKind::Silence);
    assert_eq!(invalid(builder().store_token(0, |_| ()).spawn(Seen::new())), ConfigErrorKind::TokenInterval);
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
