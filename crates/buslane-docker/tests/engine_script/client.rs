//! A client below HTTP: what the engine writes is seen as it is.

use buslane_docker::testing::ScriptedEngine;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use test_support::GUARD;

/// A connection to an engine.
pub(crate) struct Client(UnixStream);

impl Client {
    /// Sends a request, and reads nothing.
    pub(crate) fn ask(engine: &ScriptedEngine, request: &str) -> Self {
        let mut stream = UnixStream::connect(engine.socket()).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: engine\r\n\r\n").unwrap();
        Self(stream)
    }

    /// Follows the events, and waits until the engine knows.
    pub(crate) fn follow(engine: &ScriptedEngine, parameters: &str) -> Self {
        let before = engine.streams();
        let client = Self::ask(engine, &format!("GET /events{parameters}"));
        engine.wait_streams(before + 1);
        client
    }

    /// Reads until this text has come.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let (mut bytes, mut byte) = (Vec::new(), [0]);
        while !bytes.ends_with(end.as_bytes()) {
            assert_eq!(
                self.0.read(&mut byte).unwrap(),
                1,
                "no {end:?} in {}",
                String::from_utf8_lossy(&bytes)
            );
            bytes.push(byte[0]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the connection.
    pub(crate) fn into_inner(self) -> UnixStream {
        self.0
    }

    /// Reads the body up to the end of the connection, with its chunks as they are.
    pub(crate) fn body(mut self) -> String {
        self.read_until("\r\n\r\n");
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Sends a request with a short answer, and returns its status and its whole text.
pub(crate) fn answer(engine: &ScriptedEngine, request: &str) -> (u16, String) {
    let mut client = Client::ask(engine, request);
    let head = client.read_until("\r\n\r\n");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; if request.starts_with("HEAD") { 0 } else { length }];
    client.0.read_exact(&mut body).unwrap();
    (status, head + &String::from_utf8(body).unwrap())
}
