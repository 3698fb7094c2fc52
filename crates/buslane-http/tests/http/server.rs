//! A scripted HTTP server on loopback, which can also misbehave.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use test_support::{GUARD, lock, wait_for};

/// The scripted reply to a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This status, with an empty body.
    Status(u16),
    /// This status, with these header lines and an empty body.
    WithHeader(u16, String),
    /// 200, with a body of `n` bytes.
    Large(usize),
    /// The first half of an answer, then a close of the connection.
    HangUpHalfway,
    /// No answer, only a close of the connection.
    HangUp,
    /// Something that is not HTTP.
    Garbage,
    /// No answer until the client closes the connection.
    Silence,
}

/// A request that the server has read.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The method and the path.
    pub(crate) line: String,
    /// The header values by lower-case name.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
    /// The number of the request's connection.
    pub(crate) connection: usize,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<Request>>,
}

/// A server that sends the scripted replies, and then 200 to every further request.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        lock(&shared.replies).extend(replies);
        let server = shared.clone();
        // The thread ends with the test process.
        thread::spawn(move || {
            for (number, connection) in listener.incoming().enumerate() {
                let (server, Ok(connection)) = (server.clone(), connection) else { continue };
                thread::spawn(move || serve(&server, &connection, number));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the requests until now.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.body).collect()
    }

    /// Waits until at least `count` requests have arrived.
    pub(crate) fn await_requests(&self, count: usize) {
        wait_for(|| lock(&self.shared.requests).len() >= count);
    }
}

fn serve(server: &Shared, mut connection: &TcpStream, number: usize) {
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader, number) {
        lock(&server.requests).push(request);
        let reply = lock(&server.replies).pop_front().unwrap_or(Reply::Status(200));
        let (answer, goes_on) = match reply {
            Reply::Status(status) => (head(status, "", 0), true),
            Reply::WithHeader(status, lines) => (head(status, &lines, 0), true),
            Reply::Large(length) => (head(200, "", length) + &"x".repeat(length), true),
            Reply::HangUpHalfway => (head(200, "", 1000) + "half of it", false),
            Reply::HangUp => (String::new(), false),
            Reply::Garbage => (String::from("\u{1}\u{2} what is this \r\n\r\n"), false),
            Reply::Silence => {
                // Waits until the client closes the connection.
                let _ = connection.set_read_timeout(Some(GUARD));
                let _ = reader.read(&mut [0]);
                return;
            }
        };
        if connection.write_all(answer.as_bytes()).is_err() || !goes_on {
            return;
        }
    }
}

fn head(status: u16, lines: &str, length: usize) -> String {
    let length = if status == 204 { String::new() } else { format!("Content-Length: {length}\r\n") };
    format!("HTTP/1.1 {status} Scripted\r\n{lines}{length}\r\n")
}

fn read(reader: &mut BufReader<&TcpStream>, connection: usize) -> Option<Request> {
    let mut line = String::new();
    let mut headers = HashMap::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, headers, body: String::from_utf8(body).unwrap(), connection })
}
