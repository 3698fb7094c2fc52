//! Whether a connection continues the last one: proofs, gaps and duplicates.

use crate::{
    Seen, engine, expect, follow, monitor, prepared, source, start, stop_and_expect, volume, volumes,
};
use buslane::source::{Monitor, MonitorState, Update};
use buslane_docker::testing::{Answer, Endpoint, ScriptedEngine};
use buslane_docker::{DockerSourceBuilder, DockerToken};
use std::time::{Duration, SystemTime};
use test_support::GUARD;

/// A wait for a proof that never comes.
const SHORT: Duration = Duration::from_millis(20);

fn hasty(engine: &ScriptedEngine) -> DockerSourceBuilder {
    source(engine).proof_wait(SHORT)
}

/// Names the events of a range.
fn names(before: &[&str], numbers: std::ops::Range<u32>) -> Vec<String> {
    before.iter().map(|name| (*name).to_owned()).chain(numbers.map(|number| number.to_string())).collect()
}

/// Follows an engine until it has shown the volumes below `count`.
fn after(count: u32) -> (ScriptedEngine, Monitor<DockerToken>, Seen) {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit_all(volumes(0..count));
    expect(&seen, &names(&["connected"], 0..count));
    (engine, monitor, seen)
}

#[test]
fn what_happens_while_away_comes_in_order() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit_all(volumes(0..5));
    expect(&seen, &["connected", "0", "1", "2", "3", "4"]);
    engine.stop();
    engine.emit_all(volumes(5..100));
    engine.listen().unwrap();
    let expected = names(&["connected", "0", "1", "2", "3", "4", "fault", "resumed"], 5..100);
    stop_and_expect(&monitor, &seen, &expected);
    assert_eq!(monitor.snapshot().duplicates, 5);
}

#[test]
fn first_connection_loses_nothing_while_it_opens() {
    let engine = engine();
    engine.hold(Endpoint::Events);
    let (monitor, seen) = start(source(&engine));
    engine.wait_requests(Endpoint::Events, 1);
    engine.emit_all(volumes(0..3));
    engine.release(Endpoint::Events);
    engine.wait_streams(1);
    engine.emit(volume("3"));
    stop_and_expect(&monitor, &seen, &names(&["connected"], 0..4));
}

#[test]
fn attempt_that_failed_is_no_beginning() {
    let engine = engine();
    engine.answer_next(Endpoint::Events, Answer::Silence);
    let (monitor, seen) = start(source(&engine));
    engine.wait_requests(Endpoint::Events, 1);
    engine.emit_all(volumes(0..3));
    engine.cut();
    engine.stop();
    engine.listen().unwrap();
    // The first attempt never was a connection, so the second one begins anew.
    engine.wait_streams(1);
    engine.emit_all(volumes(3..5));
    stop_and_expect(&monitor, &seen, &["connected", "3", "4"]);
    let since: Vec<bool> = engine
        .requests()
        .iter()
        .filter(|request| request.endpoint() == Endpoint::Events)
        .map(|request| request.parameter("since").is_some())
        .collect();
    assert_eq!(since, [true, true]);
}

#[test]
fn more_than_the_history_is_a_gap() {
    let engine = engine();
    let (monitor, seen) = start(hasty(&engine));
    engine.wait_streams(1);
    engine.emit_all(volumes(0..5));
    expect(&seen, &names(&["connected"], 0..5));
    engine.stop();
    engine.emit_all(volumes(5..305));
    engine.listen().unwrap();
    let before = ["connected", "0", "1", "2", "3", "4", "fault", "HistoryLost", "connected"];
    stop_and_expect(&monitor, &seen, &names(&before, 49..305));
}

#[test]
fn whole_history_but_one_is_no_gap() {
    let (engine, monitor, seen) = after(5);
    engine.stop();
    engine.emit_all(volumes(5..260));
    engine.listen().unwrap();
    let before = ["connected", "0", "1", "2", "3", "4", "fault", "resumed"];
    stop_and_expect(&monitor, &seen, &names(&before, 5..260));
}

#[test]
fn restart_of_the_engine_is_a_gap() {
    for properly in [false, true] {
        let builder = ScriptedEngine::builder();
        let builder = if properly { builder.stops_properly() } else { builder };
        let engine = prepared(builder.start().unwrap());
        let (monitor, seen) = start(hasty(&engine));
        engine.wait_streams(1);
        engine.emit(volume("one"));
        expect(&seen, &["connected", "one"]);
        engine.restart().unwrap();
        engine.wait_streams(1);
        engine.emit(volume("two"));
        let end = if properly { "end" } else { "fault" };
        stop_and_expect(&monitor, &seen, &["connected", "one", end, "HistoryLost", "connected", "two"]);
    }
}

#[test]
fn nothing_seen_proves_nothing() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    expect(&seen, &["connected"]);
    engine.stop();
    engine.emit(volume("one"));
    engine.listen().unwrap();
    stop_and_expect(&monitor, &seen, &["connected", "fault", "Unproven", "connected", "one"]);
}

#[test]
fn event_that_comes_twice_at_the_seam_is_a_duplicate() {
    let (engine, monitor, seen) = after(3);
    engine.stop();
    engine.emit_all(volumes(3..6));
    engine.repeat_at_seam(2);
    engine.listen().unwrap();
    engine.wait_streams(1);
    engine.emit(volume("6"));
    stop_and_expect(&monitor, &seen, &names(&["connected", "0", "1", "2", "fault", "resumed"], 3..7));
    assert_eq!(monitor.snapshot().duplicates, 5);
}

#[test]
fn times_out_of_order_lose_nothing() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    let now = engine.now();
    let stamps = [5, 3, 9, 1, 7, 2].map(|offset| now + offset * 1_000_000);
    for (stamp, name) in stamps.iter().zip(["0", "1", "2", "3", "4", "5"]) {
        engine.emit(volume(name).at(*stamp));
    }
    expect(&seen, &names(&["connected"], 0..6));
    engine.cut();
    let before = ["connected", "0", "1", "2", "3", "4", "5", "fault", "resumed"];
    expect(&seen, &before);
    engine.emit(volume("6"));
    stop_and_expect(&monitor, &seen, &names(&before, 6..7));
}

#[test]
fn clock_that_is_set_back_loses_nothing() {
    let (engine, monitor, seen) = after(3);
    engine.set_time(engine.now() - 3_600_000_000_000);
    engine.emit_all(volumes(3..5));
    expect(&seen, &names(&["connected"], 0..5));
    engine.cut();
    let before = ["connected", "0", "1", "2", "3", "4", "fault", "resumed"];
    expect(&seen, &before);
    engine.emit_all(volumes(5..7));
    stop_and_expect(&monitor, &seen, &names(&before, 5..7));
    assert_eq!(monitor.snapshot().gaps, 0);
}

/// Follows an engine until an event, and returns the token of the end.
fn token_after(engine: &ScriptedEngine, name: &str) -> DockerToken {
    let (monitor, seen) = follow(engine);
    engine.emit(volume(name));
    stop_and_expect(&monitor, &seen, &["connected", name]);
    let token = monitor.token().unwrap();
    engine.wait_streams(0);
    assert_eq!(token.to_string().parse(), Ok(token.clone()));
    token
}

#[test]
fn later_process_continues_at_the_token() {
    let engine = engine();
    let token = token_after(&engine, "one").to_string();
    engine.emit(volume("two"));
    let seen = crate::Seen::new();
    let resumed = monitor(source(&engine)).resume(token.parse().ok()).spawn(seen.clone()).unwrap();
    engine.wait_streams(1);
    engine.emit(volume("three"));
    stop_and_expect(&resumed, &seen, &["resumed", "two", "three"]);
    assert_eq!(resumed.snapshot().duplicates, 1);
}

#[test]
fn more_events_than_a_token_holds_come_once() {
    let engine = engine();
    let (first, seen) = follow(&engine);
    engine.emit_all(volumes(0..150));
    stop_and_expect(&first, &seen, &names(&["connected"], 0..150));
    engine.wait_streams(0);
    let token = first.token().unwrap().to_string();
    let seen = crate::Seen::new();
    let resumed = monitor(source(&engine)).resume(token.parse().ok()).spawn(seen.clone()).unwrap();
    engine.wait_streams(1);
    engine.emit(volume("150"));
    stop_and_expect(&resumed, &seen, &["resumed", "150"]);
}

#[test]
fn token_of_another_engine_is_stale() {
    let engine = engine();
    let token = token_after(&engine, "one");
    engine.set_id("another");
    let seen = crate::Seen::new();
    let resumed = monitor(source(&engine)).resume(Some(token)).spawn(seen.clone()).unwrap();
    engine.wait_streams(1);
    engine.emit(volume("two"));
    stop_and_expect(&resumed, &seen, &["StaleToken", "connected", "two"]);
    let error = "the token belongs to another engine";
    assert_eq!(resumed.snapshot().last_error.as_deref(), Some(error));
    assert_eq!(resumed.token().unwrap().engine(), Some("another"));
}

#[test]
fn engine_that_was_replaced_is_a_gap() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    engine.stop();
    engine.clear_history();
    engine.set_id("another");
    engine.listen().unwrap();
    engine.wait_streams(1);
    engine.emit(volume("two"));
    stop_and_expect(&monitor, &seen, &["connected", "one", "fault", "StaleToken", "connected", "two"]);
}

#[test]
fn token_without_events_continues_where_it_began() {
    let engine = engine();
    let (first, seen) = follow(&engine);
    test_support::wait_for(|| first.token().is_some());
    stop_and_expect(&first, &seen, &["connected"]);
    let token = first.token();
    assert!(token.is_some());
    engine.emit(volume("one"));
    let seen = crate::Seen::new();
    let resumed = monitor(source(&engine)).resume(token).spawn(seen.clone()).unwrap();
    stop_and_expect(&resumed, &seen, &["Unproven", "connected", "one"]);
}

#[test]
fn forged_token_is_not_believed() {
    let engine = engine();
    let token = r#"{"version":1,"engine":null,"since":"0.000000000","seen":[[1,"0000000000000000"]]}"#;
    let seen = crate::Seen::new();
    let resumed = monitor(hasty(&engine)).resume(token.parse().ok()).spawn(seen.clone()).unwrap();
    stop_and_expect(&resumed, &seen, &["HistoryLost", "connected", "before"]);
}

#[test]
fn history_from_a_time_is_a_setting() {
    let engine = engine();
    let begin = std::time::UNIX_EPOCH;
    let (monitor, seen) = start(source(&engine).since(begin));
    engine.wait_streams(1);
    engine.emit(volume("one"));
    stop_and_expect(&monitor, &seen, &["connected", "before", "one"]);
}

#[test]
fn monitor_ends_at_the_end_that_was_asked_for() {
    let engine = engine();
    let until = std::time::UNIX_EPOCH + Duration::from_nanos(engine.now() + 10_000_000);
    let (monitor, seen) = start(source(&engine).until(until));
    engine.wait_streams(1);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    engine.advance(Duration::from_millis(10));
    test_support::wait_for(|| {
        // The engine's clock moves only when the test moves it, so another attempt may be needed.
        matches!(monitor.state(), buslane::source::MonitorState::Stopped(_))
    });
    let reason = monitor.stop().reason.unwrap().to_string();
    assert!(reason.contains("until the end that was asked for"), "{reason}");
    let events: Vec<_> = seen.events().into_iter().filter_map(Update::into_event).collect();
    assert_eq!(events.len(), 1);
}

#[track_caller]
fn wait_for_the_end(monitor: &Monitor<DockerToken>) {
    test_support::wait_for(|| matches!(monitor.state(), MonitorState::Stopped(_)));
    let reason = monitor.stop().reason.unwrap().to_string();
    assert!(reason.contains("until the end that was asked for"), "{reason}");
}

fn time(nanoseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

#[test]
fn end_before_the_beginning_ends_the_monitor() {
    let engine = engine();
    let (monitor, _) = start(source(&engine).until(time(engine.now() - 1_000_000_000)));
    wait_for_the_end(&monitor);
    assert!(engine.requests().iter().all(|request| request.endpoint() != Endpoint::Events));
}

#[test]
fn range_in_the_past_is_replayed_and_ends() {
    let engine = engine();
    let begin = engine.now();
    let at = |number: u64| begin + number * 1_000_000;
    for number in 0..5 {
        engine.emit(volume(&number.to_string()).at(at(number)));
    }
    engine.set_time(at(10));
    let (monitor, seen) = start(source(&engine).since(time(at(1))).until(time(at(3))));
    wait_for_the_end(&monitor);
    // The last update tells the end.
    expect(&seen, &["connected", "1", "2", "3", "fault"]);
    let Some(Update::Disconnected(end)) = seen.events().pop() else { panic!("no end") };
    assert!(end.error.is_some_and(|error| error.contains("until the end")) && end.retry_after.is_none());
    assert_eq!(monitor.snapshot().gaps, 0);
}

#[test]
fn last_event_after_the_end_ends_the_monitor() {
    let engine = engine();
    let end = engine.now() + 10_000_000;
    let (monitor, seen) = start(source(&engine).margin(Duration::ZERO).until(time(end)));
    engine.wait_streams(1);
    engine.emit(volume("one").at(end + 1));
    expect(&seen, &["connected", "one"]);
    engine.advance(Duration::from_millis(20));
    wait_for_the_end(&monitor);
}

#[test]
fn engine_that_ignores_the_end_is_left() {
    let engine = engine();
    // The engine's clock does not move, so that it does not end the stream.
    let (monitor, seen) = start(source(&engine).until(time(engine.now() + 1_000_000)));
    wait_for_the_end(&monitor);
    assert_eq!(seen.events().into_iter().filter_map(Update::into_event).count(), 0);
}

#[test]
fn longest_wait_for_a_proof_is_a_wait() {
    let engine = engine();
    let (monitor, seen) = start(source(&engine).proof_wait(Duration::MAX));
    engine.wait_streams(1);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    for _ in 0..20 {
        let updates = seen.len();
        engine.cut();
        seen.wait_for(updates + 2);
    }
    assert!(monitor.stop_timeout(GUARD).is_done());
    assert_eq!(monitor.snapshot().gaps, 0);
}

#[test]
fn memory_of_held_events_is_bounded() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    engine.stop();
    engine.clear_history();
    engine.emit_all(volumes(0..40).map(|event| event.attribute("label", "x".repeat(1_000_000))));
    engine.listen().unwrap();
    let before = ["connected", "one", "fault", "HistoryLost", "connected"];
    stop_and_expect(&monitor, &seen, &names(&before, 0..40));
}

#[test]
fn stream_that_ends_before_an_event_denies_nothing() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    let empty = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n";
    engine.answer_next(Endpoint::Events, Answer::Bytes(empty.to_vec()));
    engine.cut();
    engine.wait_requests(Endpoint::Events, 3);
    engine.wait_streams(1);
    engine.emit(volume("two"));
    stop_and_expect(&monitor, &seen, &["connected", "one", "fault", "resumed", "two"]);
    assert_eq!(monitor.snapshot().gaps, 0);
}

#[test]
fn events_that_a_gap_has_covered_stay_away() {
    let engine = engine();
    let (monitor, seen) = start(hasty(&engine));
    engine.wait_streams(1);
    engine.emit(volume("0"));
    expect(&seen, &["connected", "0"]);
    engine.stop();
    // The replay ends at the first event that is too old, so none of these is in it.
    engine.set_time(engine.now() - 3_000_000_000);
    engine.emit_all(volumes(1..5));
    engine.listen().unwrap();
    let before = ["connected", "0", "fault", "HistoryLost", "connected"];
    expect(&seen, &before);
    engine.emit(volume("5"));
    expect(&seen, &names(&before, 5..6));
    // The next replay has all of them.
    engine.end();
    let before = ["connected", "0", "fault", "HistoryLost", "connected", "5", "end", "resumed"];
    expect(&seen, &before);
    engine.emit(volume("6"));
    stop_and_expect(&monitor, &seen, &names(&before, 6..7));
}
