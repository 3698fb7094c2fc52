//! Engines of other versions and kinds, what they are asked for, and silence.

use crate::{
    GUARD, engine, expect, follow, monitor, prepared, source, start, stop_and_expect, volume, volumes,
};
use buslane_docker::testing::{Answer, Endpoint, ScriptedEngine, ScriptedEvent};
use buslane_docker::{Action, Filter, Kind};
use std::time::Duration;

/// The version of a request, and a parameter.
type Asked = (Option<(u16, u16)>, Option<String>);

/// Returns the versions and a parameter of the requests for events.
fn asked(engine: &ScriptedEngine, parameter: &str) -> Vec<Asked> {
    let requests = engine.requests();
    let requests = requests.iter().filter(|request| request.endpoint() == Endpoint::Events);
    requests.map(|request| (request.version(), request.parameter(parameter).map(str::to_owned))).collect()
}

#[test]
fn version_is_negotiated() {
    for (lowest, highest, version) in
        [((1, 12), (1, 41), (1, 41)), ((1, 40), (1, 56), (1, 52)), ((1, 22), (1, 22), (1, 22))]
    {
        let engine = prepared(ScriptedEngine::builder().versions(lowest, highest).start().unwrap());
        let (monitor, seen) = follow(&engine);
        engine.emit(volume("one"));
        stop_and_expect(&monitor, &seen, &["connected", "one"]);
        assert_eq!(asked(&engine, "filters"), [(Some(version), None)]);
    }
}

#[test]
fn engine_without_a_version_is_asked_without_one() {
    let engine = prepared(ScriptedEngine::builder().without_version().start().unwrap());
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    stop_and_expect(&monitor, &seen, &["connected", "one"]);
    assert_eq!(asked(&engine, "filters"), [(None, None)]);
}

#[test]
fn version_is_negotiated_at_each_connection() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.30\r\nContent-Length: 2\r\n\r\nOK";
    engine.answer_next(Endpoint::Ping, Answer::Bytes(head.into()));
    engine.cut();
    expect(&seen, &["connected", "one", "fault", "resumed"]);
    assert!(monitor.stop().is_done());
    let versions: Vec<_> = asked(&engine, "since").into_iter().map(|(version, _)| version).collect();
    assert_eq!(versions, [Some((1, 45)), Some((1, 30))]);
}

/// Starts a monitor, and returns its first error.
fn first_error(engine: &ScriptedEngine) -> String {
    let (monitor, _seen) = start(source(engine));
    test_support::wait_for(|| monitor.snapshot().failures > 0);
    assert!(monitor.stop().is_done());
    monitor.snapshot().last_error.unwrap_or_default()
}

#[test]
fn version_that_is_too_old_or_too_new_is_an_error() {
    let old = ScriptedEngine::builder().versions((1, 12), (1, 21)).start().unwrap();
    let error = "version 1.21 of the engine's API is too old: events need at least 1.22";
    assert_eq!(first_error(&old), error);
    let new = ScriptedEngine::builder().versions((1, 53), (1, 60)).start().unwrap();
    let error = "the engine refused version 1.52 of the API: client version 1.52 is too old. \
                 Minimum supported API version is 1.53";
    assert_eq!(first_error(&new), error);
}

#[test]
fn what_is_no_engine_is_an_error() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>";
    let no_engine = "the answer is not that of an engine: there is no engine at this address";
    for (endpoint, answer, error) in [
        (Endpoint::Ping, Answer::Bytes(page.into()), no_engine),
        (Endpoint::Ping, Answer::Status(404, "page not found".into()), no_engine),
        (Endpoint::Events, Answer::Bytes(page.into()), no_engine),
        (
            Endpoint::Ping,
            Answer::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
            "the answer is not HTTP/1: there is no engine at this address",
        ),
        (
            Endpoint::Events,
            Answer::Status(500, "out of order".into()),
            "the engine answered with 500: out of order",
        ),
        (Endpoint::Info, Answer::Status(400, "bad".into()), "the engine answered with 400: bad"),
    ] {
        let engine = engine();
        engine.answer_always(endpoint, answer);
        assert_eq!(first_error(&engine), error, "{endpoint:?}");
    }
}

#[test]
fn engine_that_does_not_answer_is_given_up() {
    for endpoint in [Endpoint::Ping, Endpoint::Events] {
        let engine = engine();
        engine.answer_next(endpoint, Answer::Silence);
        let (monitor, seen) = start(source(&engine).timeout(Duration::from_millis(300)));
        engine.wait_streams(1);
        engine.emit(volume("one"));
        stop_and_expect(&monitor, &seen, &["connected", "one"]);
        let error = monitor.snapshot().last_error;
        assert_eq!(error.as_deref(), Some("the engine did not answer in time"), "{endpoint:?}");
    }
}

#[test]
fn proxy_that_refuses_info_is_no_obstacle() {
    let engine = engine();
    engine.answer_always(Endpoint::Info, Answer::Status(403, "forbidden".into()));
    engine.advance(Duration::from_secs(2));
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    engine.cut();
    expect(&seen, &["connected", "one", "fault", "resumed"]);
    stop_and_expect(&monitor, &seen, &["connected", "one", "fault", "resumed"]);
    assert_eq!(monitor.token().unwrap().engine(), None);
}

#[test]
fn podman_is_followed_across_a_restart() {
    let engine = prepared(ScriptedEngine::builder().podman().start().unwrap());
    let (monitor, seen) = follow(&engine);
    // It sends nothing before the first event, and the connection does not wait for one.
    expect(&seen, &["connected"]);
    engine.emit_all(volumes(0..3));
    expect(&seen, &["connected", "0", "1", "2"]);
    engine.stop();
    engine.emit(volume("3"));
    engine.listen().unwrap();
    engine.wait_streams(1);
    engine.emit(volume("4"));
    stop_and_expect(&monitor, &seen, &["connected", "0", "1", "2", "fault", "resumed", "3", "4"]);
    assert_eq!(monitor.token().unwrap().engine(), None, "podman makes another one for each answer");
}

fn containers() -> [ScriptedEvent; 4] {
    let container = |action: &str| ScriptedEvent::new("container", action, action).attribute("tier", "front");
    [container("start"), volume("one"), container("top"), container("die")]
}

fn wanted() -> Filter {
    Filter::new().kind(Kind::Container).action(Action::Start).action(Action::Die).label("tier")
}

#[test]
fn filter_is_applied_by_the_engine() {
    let engine = engine();
    let (monitor, seen) = start(source(&engine).filter(wanted()));
    engine.wait_streams(1);
    engine.emit_all(containers());
    stop_and_expect(&monitor, &seen, &["connected", "start", "die"]);
    let filter = r#"{"event":["start","die"],"label":["tier"],"type":["container"]}"#;
    assert_eq!(asked(&engine, "filters"), [(Some((1, 45)), Some(filter.to_owned()))]);
}

#[test]
fn podman_is_not_asked_for_actions() {
    let engine = prepared(ScriptedEngine::builder().podman().start().unwrap());
    let (monitor, seen) = start(source(&engine).filter(wanted()));
    engine.wait_streams(1);
    engine.emit_all(containers());
    stop_and_expect(&monitor, &seen, &["connected", "start", "die"]);
    let filter = r#"{"label":["tier"],"type":["container"]}"#;
    assert_eq!(asked(&engine, "filters")[0].1.as_deref(), Some(filter));
}

#[test]
fn filter_here_proves_with_other_events() {
    let engine = engine();
    let (monitor, seen) = start(source(&engine).filter(wanted()).filter_here());
    engine.wait_streams(1);
    engine.emit_all(containers());
    engine.emit_all(volumes(0..300));
    expect(&seen, &["connected", "start", "die"]);
    engine.emit(ScriptedEvent::new("container", "die", "again").attribute("tier", ""));
    expect(&seen, &["connected", "start", "die", "again"]);
    engine.emit_all(volumes(300..555));
    engine.cut();
    expect(&seen, &["connected", "start", "die", "again", "fault", "resumed"]);
    assert!(monitor.stop().is_done());
    assert_eq!(asked(&engine, "filters"), [(Some((1, 45)), None), (Some((1, 45)), None)]);
}

#[test]
fn silence_is_checked_by_a_ping() {
    let engine = engine();
    let seen = crate::Seen::new();
    let silent = monitor(source(&engine)).silence(Duration::from_millis(20)).spawn(seen.clone()).unwrap();
    engine.wait_streams(1);
    engine.wait_requests(Endpoint::Ping, 4);
    expect(&seen, &["connected"]);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    engine.answer_next(Endpoint::Ping, Answer::End);
    expect(&seen, &["connected", "one", "fault", "resumed"]);
    assert!(silent.stop_timeout(GUARD).is_done());
    assert_eq!(silent.snapshot().connects, 2);
}
