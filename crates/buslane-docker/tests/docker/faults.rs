//! What may be wrong with a stream: its chunks, its end, and what is in it.

use crate::{engine, expect, follow, source, start, stop_and_expect, volume, volumes};
use buslane::source::Update;
use buslane_docker::testing::{Answer, Cut, Endpoint, Framing, ScriptedEvent};
use buslane_docker::{Action, DockerEvent, Kind, Scope};
use std::time::{Duration, SystemTime};

#[test]
fn chunks_are_not_events() {
    for framing in [
        Framing::Lines,
        Framing::CarriageReturns,
        Framing::NoNewlines,
        Framing::SharedChunks,
        Framing::SingleBytes,
    ] {
        let engine = engine();
        engine.set_framing(framing);
        let (monitor, seen) = follow(&engine);
        engine.emit_all(volumes(0..3));
        engine.emit(volume("3"));
        stop_and_expect(&monitor, &seen, &["connected", "0", "1", "2", "3"]);
        assert_eq!(monitor.snapshot().connects, 1, "{framing:?}");
    }
}

#[test]
fn event_that_was_cut_comes_once() {
    for cut in [Cut::MidChunk, Cut::MidObject, Cut::MidCharacter] {
        let engine = engine();
        let (monitor, seen) = follow(&engine);
        engine.emit(volume("one"));
        engine.emit_cut(volume("two").attribute("umlaut", "Übermut"), cut);
        expect(&seen, &["connected", "one", "fault", "resumed", "two"]);
        engine.emit(volume("three"));
        stop_and_expect(&monitor, &seen, &["connected", "one", "fault", "resumed", "two", "three"]);
        let snapshot = monitor.snapshot();
        assert_eq!((snapshot.duplicates, snapshot.gaps, snapshot.undecodable), (1, 0, 0), "{cut:?}");
    }
}

#[test]
fn end_of_a_stream_is_a_disconnect() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    engine.end();
    expect(&seen, &["connected", "one", "end", "resumed"]);
    engine.cut();
    expect(&seen, &["connected", "one", "end", "resumed", "fault", "resumed"]);
    engine.emit(volume("two"));
    stop_and_expect(&monitor, &seen, &["connected", "one", "end", "resumed", "fault", "resumed", "two"]);
}

#[test]
fn value_that_is_no_event_is_counted_and_skipped() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    for garbage in ["{\"Type\":7}\n", "{}", "[1,2]\n", "{\"message\":\"no space left\"}\r\n", "17\n"] {
        engine.send(garbage.as_bytes());
    }
    engine.emit(volume("two"));
    let gap = "Undecodable 1";
    stop_and_expect(&monitor, &seen, &["connected", "one", gap, gap, gap, gap, gap, "two"]);
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.connects, snapshot.undecodable), (1, 5));
}

#[test]
fn message_in_place_of_an_event_is_the_error() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.send(b"{\"cause\":\"x\",\"message\":\"the journal is gone\",\"response\":500}\n");
    expect(&seen, &["connected", "Undecodable 1"]);
    let error = "the engine sent a message in place of an event: the journal is gone";
    assert_eq!(monitor.snapshot().last_error.as_deref(), Some(error));
}

#[test]
fn broken_json_is_a_fault() {
    let no_json = "the engine sent what is no JSON";
    let text = "the engine sent a text in place of an event: error reading events: EOF";
    for (broken, error) in [("error reading events: EOF\n", text), ("{\"Type\":}\n", no_json), ("}", no_json)]
    {
        let engine = engine();
        let (monitor, seen) = follow(&engine);
        engine.emit(volume("one"));
        engine.send(broken.as_bytes());
        expect(&seen, &["connected", "one", "fault", "resumed"]);
        engine.emit(volume("two"));
        stop_and_expect(&monitor, &seen, &["connected", "one", "fault", "resumed", "two"]);
        assert_eq!(monitor.snapshot().last_error.as_deref(), Some(error));
    }
}

#[test]
fn half_an_event_is_a_fault_however_it_ends() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    engine.send(b"{\"Type\":\"volume\",\"Act");
    engine.end();
    expect(&seen, &["connected", "one", "fault", "resumed"]);
    assert!(monitor.stop().is_done());
}

#[test]
fn huge_object_is_skipped_in_bounded_memory() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    let begin = br#"{"Type":"volume","Action":""#;
    engine.send(&[&begin[..], &vec![b'x'; 100 << 20], b"\"}\n"].concat());
    engine.emit(volume("two"));
    stop_and_expect(&monitor, &seen, &["connected", "one", "Undecodable 1", "two"]);
    let error = "an event is longer than 1048576 bytes";
    assert_eq!(monitor.snapshot().last_error.as_deref(), Some(error));
}

#[test]
fn limit_of_an_event_is_a_setting() {
    let engine = engine();
    let (monitor, seen) = start(source(&engine).max_event(200));
    engine.wait_streams(1);
    engine.emit(volume("one").attribute("label", "x".repeat(200)));
    engine.emit(volume("two"));
    stop_and_expect(&monitor, &seen, &["connected", "Undecodable 1", "two"]);
}

#[test]
fn event_that_is_too_long_is_reported_once() {
    let engine = engine();
    let (monitor, seen) = start(source(&engine).max_event(200));
    engine.wait_streams(1);
    for name in ["one", "two"] {
        engine.emit(volume(name));
        engine.emit(volume(name).attribute("label", "x".repeat(200)));
    }
    let before = ["connected", "one", "Undecodable 1", "two", "Undecodable 1"];
    expect(&seen, &before);
    for _ in 0..2 {
        let updates = seen.len();
        engine.cut();
        seen.wait_for(updates + 2);
    }
    engine.emit(volume("three"));
    let after = ["fault", "resumed", "fault", "resumed", "three"];
    stop_and_expect(&monitor, &seen, &[&before[..], &after].concat());
    assert_eq!(monitor.snapshot().undecodable, 2);
}

#[test]
fn unknown_kinds_actions_and_fields_are_kept() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(ScriptedEvent::new("machine", "levitate: 3 m", "m1").scope("galaxy"));
    engine.send(
        br#"{"Type":"container","Action":"health_status","HealthStatus":"unhealthy","Actor":{"ID":"c1",
        "Attributes":{"a":null},"Extra":[{}]},"scope":"swarm","time":7,"timeNano":null,"new":{"x":[1]}}"#,
    );
    engine.send(br#"{"status":"start","id":"c2","from":"alpine","time":1.5}"#);
    seen.wait_for(4);
    assert!(monitor.stop().is_done());
    let events: Vec<DockerEvent> = seen.events().into_iter().filter_map(Update::into_event).collect();
    let [machine, health, old] = &events[..] else { panic!("{events:?}") };
    assert_eq!((machine.kind(), machine.action()), (Kind::Other("machine"), Action::Other("levitate")));
    assert_eq!((machine.action_data(), machine.scope()), (Some("3 m"), None));
    assert_eq!((health.action(), health.action_data()), (Action::HealthStatus, Some("unhealthy")));
    assert_eq!((health.scope(), health.time_nano()), (Some(Scope::Swarm), Some(7_000_000_000)));
    assert!(health.attributes().eq([("a", "")]));
    assert_eq!((old.kind(), old.action(), old.id()), (Kind::Other(""), Action::Start, "c2"));
    assert_eq!((old.image(), old.time_nano()), (Some("alpine"), Some(1_000_000_000)));
}

#[test]
fn silent_or_broken_info_prevents_no_connection() {
    let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    for answer in [Answer::Silence, Answer::End, Answer::Bytes(broken)] {
        let engine = engine();
        engine.answer_always(Endpoint::Info, answer);
        let (monitor, seen) =
            start(source(&engine).timeout(Duration::from_millis(300)).since(SystemTime::UNIX_EPOCH));
        engine.wait_streams(1);
        engine.emit(volume("one"));
        stop_and_expect(&monitor, &seen, &["connected", "before", "one"]);
    }
}

#[test]
fn refused_request_is_tried_again() {
    for endpoint in [Endpoint::Ping, Endpoint::Events] {
        let engine = engine();
        for status in [500, 503, 403] {
            engine.answer_next(endpoint, Answer::Status(status, "out of order".into()));
        }
        engine.answer_next(endpoint, Answer::End);
        let (monitor, seen) = follow(&engine);
        engine.emit(volume("one"));
        stop_and_expect(&monitor, &seen, &["connected", "one"]);
        let snapshot = monitor.snapshot();
        assert_eq!((snapshot.attempts, snapshot.connects, snapshot.gaps), (5, 1, 0));
    }
}
