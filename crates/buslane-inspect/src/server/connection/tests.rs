//! The times that a connection has, on a clock of the test.

use super::{Connection, IDLE_TIME, LINGER_TIME, Life, REQUEST_TIME, STUCK_TIME};
use crate::registry::Inspector;
use crate::server::socket::Stream;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A connection whose time is a variable, and its client.
struct Scene {
    client: UnixStream,
    connection: Connection,
    inspector: Inspector,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        let now = Instant::now();
        let stream = Stream::Unix(mio::net::UnixStream::from_std(server));
        let connection = Connection::new(stream, false, now);
        Self { client, connection, inspector: Inspector::new(), now }
    }

    fn request(&mut self, request: &str) {
        self.client.write_all(request.as_bytes()).unwrap();
        self.connection.readable = true;
    }

    /// Lets time pass, and then the connection do what it can. Returns whether it still exists.
    fn after(&mut self, time: Duration) -> bool {
        self.now += time;
        self.connection.advance(&self.inspector, self.now) == Life::Open
    }

    /// Takes what the client has been sent until now.
    fn received(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.client.read_to_end(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => drop(read.unwrap()),
        }
        String::from_utf8(bytes).unwrap()
    }
}

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn rare_frames_do_not_end_their_stream() {
    let mut scene = Scene::new();
    let every = Duration::from_secs(60);
    scene.request("GET /snapshots?every=60000 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(scene.after(MOMENT));
    assert_eq!(scene.received().matches("\"version\"").count(), 1);
    for _ in 0..3 {
        assert!(scene.after(every - MOMENT));
        assert_eq!(scene.received(), "");
        assert!(scene.after(MOMENT));
        assert_eq!(scene.received().matches("\"version\"").count(), 1);
    }
}

#[test]
fn stream_of_a_client_that_was_idle_before_goes_on() {
    let mut scene = Scene::new();
    scene.request("GET /snapshot HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(scene.after(MOMENT));
    assert!(scene.after(IDLE_TIME - MOMENT));
    scene.request("GET /snapshots HTTP/1.1\r\nHost: h\r\n\r\n");
    scene.connection.writable = false;
    assert!(scene.after(Duration::ZERO));
    scene.connection.writable = true;
    assert!(scene.after(MOMENT));
    assert_eq!(scene.received().matches("\"version\"").count(), 2);
}

#[test]
fn stream_ends_when_its_client_reads_nothing() {
    let mut scene = Scene::new();
    scene.request("GET /snapshots?every=60000 HTTP/1.1\r\nHost: h\r\n\r\n");
    scene.connection.writable = false;
    assert!(scene.after(Duration::ZERO));
    assert_eq!(scene.connection.due(), scene.now + STUCK_TIME);
    assert!(scene.after(STUCK_TIME - MOMENT));
    assert!(!scene.after(MOMENT));
}

#[test]
fn response_ends_when_its_client_reads_nothing() {
    let mut scene = Scene::new();
    scene.request("GET /snapshot HTTP/1.1\r\nHost: h\r\n\r\n");
    scene.connection.writable = false;
    assert!(scene.after(Duration::ZERO));
    assert!(scene.after(REQUEST_TIME - MOMENT));
    assert!(!scene.after(MOMENT));
}

#[test]
fn request_that_does_not_arrive_is_refused() {
    let mut scene = Scene::new();
    // Time without a request does not count.
    assert!(scene.after(IDLE_TIME / 2));
    scene.request("GET /snap");
    assert!(scene.after(Duration::ZERO));
    assert!(scene.after(REQUEST_TIME - MOMENT));
    assert_eq!(scene.received(), "");
    assert!(scene.after(MOMENT));
    assert!(scene.received().starts_with("HTTP/1.1 408 "));
    assert!(!scene.after(LINGER_TIME));
}

#[test]
fn idle_connection_ends() {
    let mut scene = Scene::new();
    assert!(scene.after(IDLE_TIME - MOMENT));
    assert!(!scene.after(MOMENT));
}
