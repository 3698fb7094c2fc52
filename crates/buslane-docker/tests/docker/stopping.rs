//! A stop ends what the source waits for.

use crate::{GUARD, engine, expect, follow, monitor, source, start, volume};
use buslane::source::StopReason;
use buslane_docker::DockerSource;
use buslane_docker::testing::{Answer, Endpoint};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;
use test_support::wait_for;

#[test]
fn stop_ends_a_request_without_an_answer() {
    for endpoint in [Endpoint::Ping, Endpoint::Info, Endpoint::Events] {
        let engine = engine();
        engine.answer_always(endpoint, Answer::Silence);
        let (monitor, seen) = start(source(&engine));
        engine.wait_requests(endpoint, 1);
        let report = monitor.stop_timeout(GUARD);
        assert!(report.is_done() && report.reason == Some(StopReason::Requested), "{endpoint:?}: {report}");
        expect(&seen, &["end"]);
    }
}

#[test]
fn stop_ends_a_read_and_a_ping() {
    let engine = engine();
    let (silent, seen) = follow(&engine);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    assert!(silent.stop_timeout(GUARD).is_done());
    engine.wait_streams(0);

    engine.answer_next(Endpoint::Other, Answer::Silence);
    let seen = crate::Seen::new();
    let pinging = monitor(source(&engine)).silence(Duration::from_millis(1)).spawn(seen.clone()).unwrap();
    engine.wait_streams(1);
    engine.answer_always(Endpoint::Ping, Answer::Silence);
    let pings = engine.requests().iter().filter(|request| request.endpoint() == Endpoint::Ping).count();
    engine.wait_requests(Endpoint::Ping, pings + 1);
    assert!(pinging.stop_timeout(GUARD).is_done());
    engine.wait_streams(0);
}

#[test]
fn stop_ends_the_wait_for_a_proof() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    engine.emit(volume("one"));
    expect(&seen, &["connected", "one"]);
    engine.restart().unwrap();
    engine.wait_streams(1);
    engine.emit(volume("two"));
    // It is held, and read again by a later process.
    assert!(monitor.stop_timeout(GUARD).is_done());
    expect(&seen, &["connected", "one", "fault", "end"]);
}

#[test]
fn stop_ends_a_connect_that_the_system_holds() {
    let folder = std::env::temp_dir().join(format!("buslane-docker-held-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("full.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    // Fills the queue of connections, so that the next connect waits for one to be accepted. The
    // threads end with the listener.
    let (sender, connected) = std::sync::mpsc::channel();
    for _ in 0..5000 {
        let (sender, path) = (sender.clone(), path.clone());
        let attempt = std::thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || sender.send(UnixStream::connect(path)));
        let Ok(_thread) = attempt else { break };
        if connected.recv_timeout(Duration::from_millis(300)).is_err() {
            break;
        }
    }
    let source = DockerSource::builder().socket(&path).timeout(Duration::from_millis(20));
    let (held, _seen) = start(source);
    wait_for(|| held.snapshot().failures > 1);
    let error = held.snapshot().last_error.unwrap_or_default();
    assert!(
        [
            "an earlier attempt to connect has not returned from the system yet",
            "the engine did not answer in time"
        ]
        .contains(&error.as_str()),
        "{error}"
    );
    assert!(held.stop_timeout(GUARD).is_done());
    drop(listener);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn drop_of_the_handle_stops_the_source() {
    let engine = engine();
    let (monitor, seen) = follow(&engine);
    expect(&seen, &["connected"]);
    assert!(monitor.wait_live(GUARD).is_ok());
    drop(monitor);
    engine.wait_streams(0);
    expect(&seen, &["connected", "end"]);
}
