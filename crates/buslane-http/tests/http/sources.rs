//! Server-sent events: what a server may answer, and what a monitor makes of it.

use crate::raw::{Raw, read_head};
use crate::tls::{self, AUTHORITY};
use buslane::retry::Backoff;
use buslane::source::{GapReason, Monitor, MonitorState, StopReason, Update};
use buslane::testing::Collect;
use buslane_http::{HttpConfigErrorKind, HttpSource, HttpSourceBuilder, ServerEvent};
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_support::{GUARD, wait_for};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n";

type Seen = Collect<Update<ServerEvent>>;

/// Keeps a connection open until the other side closes it.
fn hold(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]);
}

/// Starts a server that sends each text to one connection, and holds every further one open. Also
/// returns the heads of the requests.
fn server(texts: &[&str]) -> (Raw, Arc<Mutex<Vec<String>>>) {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let into = heads.clone();
    let server = Raw::start(move |mut stream, number| {
        let head = read_head(&mut stream).to_ascii_lowercase();
        into.lock().unwrap().push(head);
        match texts.get(number) {
            Some(text) => drop(stream.write_all(text.as_bytes())),
            None => {
                let _ = stream.write_all(HEAD.as_bytes());
                hold(stream);
            }
        }
    });
    (server, heads)
}

fn source(server: &Raw) -> HttpSourceBuilder {
    HttpSource::builder(&server.url()).direct().timeout(GUARD)
}

fn start(source: HttpSourceBuilder, silence: Duration) -> (Monitor<String>, Seen) {
    let seen = Seen::new();
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(10));
    let monitor = Monitor::builder(source.build().unwrap()).backoff(backoff).silence(silence);
    (monitor.spawn(seen.clone()).unwrap(), seen)
}

/// Returns the data of the events, and the reasons of the gaps.
fn texts(seen: &Seen) -> Vec<String> {
    let text = |update: Update<ServerEvent>| match update {
        Update::Event(event) => Some(event.data),
        Update::Gap(gap) => Some(format!("{:?}", gap.reason)),
        _ => None,
    };
    seen.events().into_iter().filter_map(text).collect()
}

#[test]
fn reconnect_sends_the_last_event_id() {
    let first = format!("{HEAD}id: 1\nevent: add\ndata: one\n\n: ping\n\ndata: two\n\ndata: unfinis");
    let second = format!("{HEAD}id: 3\ndata: three\n\n");
    let (server, heads) = server(&[&first, &second]);
    let (monitor, seen) = start(source(&server).header("X-Key", "secret"), GUARD);
    wait_for(|| monitor.snapshot().connects >= 3);
    let gap = format!("{:?}", GapReason::Unproven);
    assert_eq!(texts(&seen), ["one", "two", &gap, "three", &gap]);
    let heads = heads.lock().unwrap().clone();
    assert!(heads[0].contains("accept: text/event-stream") && heads[0].contains("x-key: secret"));
    assert!(!heads[0].contains("last-event-id") && !heads[0].contains("content-type"));
    assert!(heads[1].contains("last-event-id: 1\r\n") && heads[2].contains("last-event-id: 3\r\n"));
    assert!(monitor.stop_timeout(GUARD).is_done(), "a blocked read is interrupted");
    assert_eq!(monitor.token().as_deref(), Some("3"));
}

#[test]
fn trusted_server_leaves_no_gap() {
    let (server, _heads) = server(&[&format!("{HEAD}id: 1\ndata: one\n\n")]);
    let (monitor, seen) = start(source(&server).assume_resumed(), GUARD);
    wait_for(|| seen.events().contains(&Update::Connected { resumed: true }));
    assert_eq!(texts(&seen), ["one"]);
    assert!(monitor.stop_timeout(GUARD).is_done());
}

#[test]
fn id_that_no_header_can_hold_leaves_a_gap() {
    let (server, heads) = server(&[&format!("{HEAD}id: a\u{1}b\ndata: one\n\n")]);
    let (monitor, seen) = start(source(&server).assume_resumed(), GUARD);
    wait_for(|| seen.events().ends_with(&[Update::Connected { resumed: false }]) && texts(&seen).len() > 1);
    assert_eq!(texts(&seen), ["one".to_owned(), format!("{:?}", GapReason::Unproven)]);
    assert!(!heads.lock().unwrap()[1].contains("last-event-id"));
    assert!(monitor.stop_timeout(GUARD).is_done());
}

#[test]
fn id_without_data_moves_the_token() {
    let long = "x".repeat(100);
    let first = format!("{HEAD}id: 1\ndata: one\n\nid: 2\n\n");
    let second = format!("{HEAD}id: 3\ndata: {long}\n\n");
    let (server, heads) = server(&[&first, &second]);
    let (monitor, _seen) = start(source(&server).max_event(50), GUARD);
    wait_for(|| monitor.snapshot().connects >= 3);
    let heads = heads.lock().unwrap().clone();
    assert!(heads[1].contains("last-event-id: 2\r\n") && heads[2].contains("last-event-id: 3\r\n"));
    assert!(monitor.stop_timeout(GUARD).is_done());
}

#[test]
fn bad_answers_are_transient_faults() {
    let broken = [
        "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Not here</p>",
        "HTTP/1.1 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "",
    ];
    let (server, _heads) = server(&broken);
    let (monitor, seen) = start(source(&server), GUARD);
    monitor.wait_live(GUARD).unwrap();
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.failures, snapshot.connects), (broken.len() as u64, 1));
    assert!(texts(&seen).is_empty());
    assert!(monitor.stop_timeout(GUARD).is_done());
}

#[test]
fn cut_body_ends_a_connection_with_an_error() {
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (server, _heads) = server(&[&format!("{chunked}b\r\ndata: one\n\n\r\nff\r\ndata: tw")]);
    let (monitor, seen) = start(source(&server), GUARD);
    wait_for(|| monitor.snapshot().connects >= 2);
    assert_eq!(texts(&seen), ["one".to_owned(), format!("{:?}", GapReason::Unproven)]);
    assert!(monitor.snapshot().last_error.is_some());
    assert!(monitor.stop_timeout(GUARD).is_done());
}

#[test]
fn silence_ends_a_connection() {
    let (server, _heads) = server(&[]);
    let (monitor, _seen) = start(source(&server), Duration::from_millis(20));
    wait_for(|| monitor.snapshot().connects >= 2);
    assert!(monitor.snapshot().failures >= 1);
    assert!(monitor.stop_timeout(GUARD).is_done());
}

#[test]
fn status_204_stops_the_monitor() {
    let (server, _heads) = server(&["HTTP/1.1 204 No Content\r\n\r\n"]);
    let (monitor, _seen) = start(source(&server), GUARD);
    wait_for(|| matches!(monitor.state(), MonitorState::Stopped(StopReason::Fatal(_))));
    assert_eq!(server.connections(), 1);
}

#[test]
fn too_long_event_leaves_a_gap() {
    let text = format!("{HEAD}data: {}\n\ndata: short\n\n", "x".repeat(100));
    let (server, _heads) = server(&[&text]);
    let (monitor, seen) = start(source(&server).max_event(50), GUARD);
    wait_for(|| monitor.snapshot().connects >= 2);
    assert_eq!(texts(&seen)[..2], [format!("{:?}", GapReason::Undecodable), "short".to_owned()]);
    assert!(monitor.stop_timeout(GUARD).is_done());
}

#[test]
fn stop_interrupts_the_wait_for_an_answer() {
    let server = Raw::start(|mut stream, _| {
        let _ = read_head(&mut stream);
        hold(stream);
    });
    let (monitor, _seen) = start(source(&server), GUARD);
    wait_for(|| server.connections() == 1);
    assert!(monitor.stop_timeout(GUARD / 2).is_done());
    assert_eq!(server.connections(), 1);
}

#[test]
fn stream_over_tls_is_read_and_stopped() {
    let (closed, is_closed) = channel();
    let address = tls::serve(move |session| {
        let mut line = String::from("-");
        while !line.trim().is_empty() {
            line.clear();
            session.read_line(&mut line)?;
        }
        let stream = session.get_mut();
        stream.write_all(format!("{HEAD}id: 1\ndata: one\n\n").as_bytes())?;
        stream.flush()?;
        // Until the other side closes the connection, with or without the notice of TLS.
        let _ = stream.read(&mut [0]);
        closed.send(()).unwrap();
        Ok(())
    });
    let url = format!("https://{address}/");
    let source = HttpSource::builder(&url).direct().timeout(GUARD).root_certificates(AUTHORITY);
    let (monitor, seen) = start(source, GUARD);
    wait_for(|| !texts(&seen).is_empty());
    assert_eq!((texts(&seen), monitor.token().as_deref()), (vec!["one".to_owned()], Some("1")));
    // The monitor is blocked in a read of the session.
    assert!(monitor.stop_timeout(GUARD / 2).is_done());
    is_closed.recv_timeout(GUARD).unwrap();
    assert_eq!(monitor.snapshot().failures, 0);
}

#[test]
fn invalid_settings_are_typed_errors() {
    let kind = |builder: HttpSourceBuilder| builder.build().unwrap_err().kind();
    assert_eq!(kind(HttpSource::builder("ssh://host/")), HttpConfigErrorKind::Url);
    let builder = || HttpSource::builder("http://host/").direct();
    assert_eq!(kind(builder().timeout(Duration::ZERO)), HttpConfigErrorKind::Timeout);
    assert_eq!(kind(builder().max_event(0)), HttpConfigErrorKind::MaxEvent);
    assert_eq!(kind(builder().header("Host", "other")), HttpConfigErrorKind::Header);
    assert_eq!(kind(builder().root_certificates(b"none")), HttpConfigErrorKind::Certificate);
    assert_eq!(kind(builder().proxy("socks5://proxy")), HttpConfigErrorKind::Proxy);
}
