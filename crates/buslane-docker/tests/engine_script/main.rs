//! The scripted engine: it answers as an engine does, and does what a test tells it to.
#![cfg(unix)]

mod client;
mod example;

use buslane_docker::testing::{Answer, Cut, Endpoint, Framing, ScriptedEngine, ScriptedEvent};
use client::{Client, answer};
use std::time::Duration;

fn volume(action: &str, name: &str) -> ScriptedEvent {
    ScriptedEvent::new("volume", action, name).attribute("driver", "local")
}

/// Returns the ids of the events in a body, in order.
fn ids(body: &str) -> Vec<String> {
    let ids = body.split(r#""ID":""#).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    ids.collect()
}

/// Writes a time as a parameter.
fn seconds(time: u64) -> String {
    format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000)
}

#[test]
fn history_is_bounded_and_inclusive() {
    let engine = ScriptedEngine::start().unwrap();
    let first = engine.emit(volume("create", "v0"));
    let times: Vec<_> = (1..300).map(|n| engine.emit(volume("create", &format!("v{n}")))).collect();
    let replay = |parameters: String| {
        let client = Client::follow(&engine, &parameters);
        engine.end();
        ids(&client.body())
    };
    assert_eq!(replay(format!("?since={}", seconds(first))).len(), 256);
    assert_eq!(replay(format!("?since={}", seconds(times[298]))), ["v299"]);
    assert!(replay(format!("?since={}", seconds(times[298] + 1))).is_empty());
    assert!(replay(String::new()).is_empty());
    assert_eq!(engine.events().len(), 300);
}

#[test]
fn until_ends_a_body() {
    let engine = ScriptedEngine::start().unwrap();
    let times: Vec<_> = ["a1", "a2", "a3"].map(|name| engine.emit(volume("create", name))).into();
    let parameters = format!("since={}&until={}", seconds(times[0]), seconds(times[1]));
    let body = Client::ask(&engine, &format!("GET /events?{parameters}")).body();
    assert_eq!(ids(&body), ["a1", "a2"]);
    assert!(body.ends_with("\r\n0\r\n\r\n"), "{body}");

    let later = Client::follow(&engine, &format!("?until={}", seconds(times[2] + 1_000_000_000)));
    engine.emit(volume("create", "a4"));
    engine.advance(Duration::from_secs(1));
    assert_eq!(ids(&later.body()), ["a1", "a2", "a3", "a4"]);
}

#[test]
fn bodies_end_as_the_test_decides() {
    let engine = ScriptedEngine::start().unwrap();
    let body = |act: &dyn Fn()| {
        let client = Client::follow(&engine, "");
        act();
        client.body()
    };
    let cut = |cut| {
        let event = volume("create", "data").attribute("note", "größer");
        body(&|| assert!(engine.emit_cut(event.clone(), cut) > 0))
    };
    assert_eq!(body(&|| engine.end()), "0\r\n\r\n");
    assert_eq!(body(&|| engine.cut()), "");
    let half = cut(Cut::MidObject);
    assert!(half.ends_with("\r\n") && half.contains(r#""data""#) && !half.contains("timeNano"), "{half}");
    assert!(!cut(Cut::MidChunk).ends_with("\r\n"));
    let broken = cut(Cut::MidCharacter);
    assert!(broken.ends_with("gr\u{fffd}\r\n"), "{broken}");
    // What was cut has happened.
    assert_eq!(engine.events().len(), 3);
}

#[test]
fn framing_changes_chunks_only() {
    let engine = ScriptedEngine::start().unwrap();
    let events = || [volume("create", "v1"), volume("create", "v2")];
    let mut bodies = Vec::new();
    for framing in [Framing::Lines, Framing::CarriageReturns, Framing::NoNewlines, Framing::SharedChunks] {
        engine.set_framing(framing);
        let client = Client::follow(&engine, "");
        engine.emit_all(events());
        engine.end();
        bodies.push(client.body());
        assert_eq!(ids(&bodies[bodies.len() - 1]), ["v1", "v2"], "{framing:?}");
    }
    let lines = |index: usize| bodies[index].matches("\r\n").count();
    assert_eq!([lines(0), lines(1), lines(2), lines(3)], [6, 8, 6, 4]);
}

#[test]
fn stop_delivers_and_listening_again_keeps_history() {
    let engine = ScriptedEngine::start().unwrap();
    let client = Client::follow(&engine, "");
    let silent = Client::ask(&engine, "GET /_ping");
    let first = engine.emit(volume("create", "v1"));
    engine.stop();
    assert_eq!(ids(&client.body()), ["v1"]);
    drop(silent);
    assert!(!engine.socket().exists() && engine.streams() == 0);
    engine.emit(volume("create", "v2"));
    engine.listen().unwrap();
    let again = Client::follow(&engine, &format!("?since={}", seconds(first)));
    engine.restart().unwrap();
    assert_eq!(ids(&again.body()), ["v1", "v2"]);
    let after = Client::follow(&engine, &format!("?since={}", seconds(first)));
    engine.end();
    assert_eq!(after.body(), "0\r\n\r\n");
}

#[test]
fn seam_repeats_once() {
    let engine = ScriptedEngine::start().unwrap();
    let first = engine.emit_all([volume("create", "v1"), volume("create", "v2"), volume("create", "v3")]);
    engine.repeat_at_seam(2);
    let replay = || {
        let client = Client::follow(&engine, &format!("?since={}", seconds(first - 2_000_000)));
        engine.end();
        ids(&client.body())
    };
    assert_eq!(replay(), ["v1", "v2", "v3", "v2", "v3"]);
    assert_eq!(replay(), ["v1", "v2", "v3"]);
}

#[test]
fn answers_are_normal_or_scripted() {
    let engine = ScriptedEngine::start().unwrap();
    let (status, ping) = answer(&engine, "GET /_ping");
    assert!(
        status == 200 && ping.contains("Api-Version: 1.45\r\n") && ping.ends_with("\r\n\r\nOK"),
        "{ping}"
    );
    assert!(answer(&engine, "HEAD /_ping").1.ends_with("\r\n\r\n"));
    let (_, info) = answer(&engine, "GET /v1.45/info");
    assert!(info.contains(r#""SystemTime":"2023-11-14T22:13:20.000000000Z""#), "{info}");
    for (target, status) in [
        ("/v1.46/info", 400),
        ("/v1.23/events", 400),
        ("/events?since=1h", 400),
        ("/events?since=2&until=1", 400),
        ("/events?filters=x", 400),
        ("/v1.45/containers/json", 404),
    ] {
        assert_eq!(answer(&engine, &format!("GET {target}")).0, status, "{target}");
    }

    engine.answer_next(Endpoint::Events, Answer::Status(500, "no space".into()));
    engine.answer_next(Endpoint::Events, Answer::Bytes(b"SSH-2.0\r\n\r\nrest".into()));
    engine.answer_next(Endpoint::Events, Answer::End);
    assert!(answer(&engine, "GET /events").1.ends_with("{\"message\":\"no space\"}\n"));
    assert_eq!(Client::ask(&engine, "GET /events").body(), "rest");
    engine.answer_always(Endpoint::Ping, Answer::Status(503, String::new()));
    assert_eq!([answer(&engine, "GET /_ping").0, answer(&engine, "GET /_ping").0], [503, 503]);
    engine.answer_normally(Endpoint::Ping);
    assert_eq!(answer(&engine, "GET /_ping").0, 200);
    engine.answer_next(Endpoint::Ping, Answer::Silence);
    let silent = Client::ask(&engine, "GET /_ping");
    engine.wait_requests(Endpoint::Ping, 6);
    drop(silent);
}

#[test]
fn small_buffer_loses_and_counts() {
    let engine = ScriptedEngine::builder().client_buffer(4).start().unwrap();
    let stalled = Client::follow(&engine, "");
    let long = "x".repeat(1000);
    for n in 0..2000 {
        engine.emit(volume("create", &format!("v{n}")).attribute("note", &long));
    }
    let lost = engine.lost();
    assert!(lost > 0 && lost < 2000, "{lost}");
    engine.end();
    assert_eq!(ids(&stalled.body()).len() as u64, 2000 - lost);
}

#[test]
fn podman_deviates() {
    let engine = ScriptedEngine::builder().podman().start().unwrap();
    let first = engine.emit_all([volume("create", "v1")]);
    let mut client = Client::follow(&engine, &format!("?since={}", seconds(first)));
    engine.emit(volume("create", "v0").at(first));
    engine.emit(volume("create", "v2"));
    assert!(client.read_until("\r\n\r\n").contains("Server: Libpod/"));
    engine.cut();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut client.into_inner(), &mut text).unwrap();
    assert_eq!(ids(&text), ["v2"]);
    assert_ne!(answer(&engine, "GET /info").1, answer(&engine, "GET /info").1);
}

#[test]
fn requests_are_recorded() {
    let engine = ScriptedEngine::builder().without_version().start().unwrap();
    assert!(!answer(&engine, "GET /_ping").1.contains("Api-Version"));
    let client = Client::follow(&engine, "?since=7&filters=%7B%7D");
    let requests = engine.requests();
    assert_eq!((requests[1].parameter("since"), requests[1].parameter("filters")), (Some("7"), Some("{}")));
    drop(client);
    engine.wait_streams(0);
    assert_eq!(engine.connections(), 2);
}

#[test]
fn last_clone_removes_the_folder() {
    let engine = ScriptedEngine::start().unwrap();
    let (other, folder) = (engine.clone(), engine.socket().parent().unwrap().to_owned());
    let client = Client::follow(&engine, "");
    drop(engine);
    other.emit(volume("create", "v1"));
    drop(other);
    assert!(!folder.exists());
    drop(client);
}
