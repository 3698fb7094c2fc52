//! The server and its client over real sockets: what is answered, what is refused, and that neither
//! a bad request nor a slow reader reaches the service.

mod answers;
mod client;
mod environment;
mod frames;
mod limits;
mod paths;
mod taps;

use buslane::{Bus, Publisher, Queue};
use buslane_inspect::{At, Inspector, Serving};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use test_support::GUARD;

/// A directory for the sockets of one test. Its drop removes it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("inspect-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self) -> At {
        At::Unix(self.socket())
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A connection of either kind.
trait Socket: Read + Write + Send {}

impl<S: Read + Write + Send> Socket for S {}

fn connect(at: &At) -> Box<dyn Socket> {
    match at {
        At::Unix(path) => Box::new(connect_unix(path)),
        At::Loopback(port) => {
            let stream = TcpStream::connect(("127.0.0.1", *port)).unwrap();
            stream.set_read_timeout(Some(GUARD)).unwrap();
            stream.set_write_timeout(Some(GUARD)).unwrap();
            Box::new(stream)
        }
        other => panic!("{other} is of another kind"),
    }
}

fn connect_unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(GUARD)).unwrap();
    stream.set_write_timeout(Some(GUARD)).unwrap();
    stream
}

/// Sends a request and returns everything that comes until the server ends the connection.
fn ask(at: &At, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(at);
    stream.write_all(request.as_ref()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// Asks for a path, with further headers.
fn get_with(at: &At, path: &str, headers: &str) -> String {
    ask(at, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"))
}

fn get(at: &At, path: &str) -> String {
    get_with(at, path, "")
}

/// Returns the status of an answer.
#[track_caller]
fn status(answer: &str) -> u16 {
    let code = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    code.unwrap_or_else(|| panic!("no status: {answer:?}"))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// Returns a bus with a queue that ignores its events.
fn bus() -> Bus<u64> {
    let bus = Bus::new();
    bus.add_named("audit", Queue::builder().spawn(|_: u64| ()).unwrap()).unwrap();
    bus
}

/// Serves a bus as `orders`, with permission to tap, at a port and at a socket.
fn serve(bus: &Bus<u64>, directory: &Directory) -> [Serving; 2] {
    let inspector = Inspector::builder().program("test").tap("orders", bus, |event| format!("order {event}"));
    let inspector = inspector.build();
    [inspector.serve(At::Loopback(0)).unwrap(), inspector.serve(directory.at()).unwrap()]
}

/// Publishes the numbers below a count. Sinks that are full may drop them.
#[track_caller]
fn publish(publisher: &mut Publisher<u64>, count: u64) {
    for event in 0..count {
        let _ = publisher.publish(event).unwrap();
    }
}

/// Publishes events, and checks that the service still handles each one.
#[track_caller]
fn assert_unaffected(bus: &Bus<u64>) {
    let delivered = |bus: &Bus<u64>| bus.snapshot().sink("audit").unwrap().state.ledger.delivered;
    let before = delivered(bus);
    let mut publisher = bus.publisher();
    publish(&mut publisher, 1000);
    assert!(bus.flush_timeout(GUARD).is_done());
    assert_eq!(delivered(bus), before + 1000);
    for sink in bus.snapshot().sinks {
        sink.state.ledger.check().unwrap();
    }
}
