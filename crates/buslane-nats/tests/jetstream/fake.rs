//! A scripted NATS server with one stream, which can also misbehave.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use test_support::lock;

/// What the server does on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// It stores what is published.
    Serve,
    /// It closes the connection after its first line.
    DropAfterInfo,
    /// It sends what is no NATS.
    Garbage,
    /// It refuses the credentials.
    RefuseCredentials,
    /// It closes the connection after half of the payload of the n-th message.
    DropMidPublish(usize),
    /// It stores, and closes the connection before the acknowledgement of the n-th message.
    DropBeforeAck(usize),
    /// It stores, and acknowledges nothing.
    Mute,
    /// It stores nothing, and acknowledges nothing.
    Deaf,
    /// It answers the first n messages with an error, and stores the rest.
    Fail(usize, Failure),
    /// It answers the n-th message with an error, and stores the rest.
    FailAt(usize, Failure),
}

/// An error of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The stream is full.
    Full,
    /// No stream has the subject.
    NoStream,
    /// The message is refused for good.
    Refused,
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) payload: String,
    pub(crate) headers: Vec<(String, String)>,
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    stream: Mutex<Stream>,
}

#[derive(Default)]
struct Stream {
    stored: Vec<Stored>,
    ids: HashSet<String>,
    /// Messages that were acknowledged as duplicates.
    duplicates: usize,
    connections: usize,
    /// Messages that were received, also those that were not stored.
    received: usize,
}

pub(crate) struct Fake {
    url: String,
    shared: Arc<Shared>,
}

impl Fake {
    /// Starts a server that plays one script for each connection, the last one for all later ones.
    pub(crate) fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        lock(&shared.scripts).extend(scripts);
        let server = shared.clone();
        // The thread ends with the test process.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (server, Ok(connection)) = (server.clone(), connection) else { continue };
                let script = {
                    let mut scripts = lock(&server.scripts);
                    if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().copied() }
                };
                lock(&server.stream).connections += 1;
                // An error ends the connection, as it does in the script.
                thread::spawn(move || serve(&server, &connection, script.unwrap_or(Script::Serve)));
            }
        });
        Self { url, shared }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn stored(&self) -> Vec<Stored> {
        lock(&self.shared.stream).stored.clone()
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        self.stored().into_iter().map(|stored| stored.payload).collect()
    }

    pub(crate) fn duplicates(&self) -> usize {
        lock(&self.shared.stream).duplicates
    }

    pub(crate) fn connections(&self) -> usize {
        lock(&self.shared.stream).connections
    }

    pub(crate) fn received(&self) -> usize {
        lock(&self.shared.stream).received
    }
}

fn serve(server: &Shared, connection: &TcpStream, script: Script) -> std::io::Result<()> {
    let mut writer = connection;
    if script == Script::Garbage {
        return writer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    writer.write_all(
        b"INFO {\"server_id\":\"F\",\"version\":\"2.9.10\",\"proto\":1,\"headers\":true,\"max_payload\":1000,\
          \"jetstream\":true}\r\n",
    )?;
    if script == Script::DropAfterInfo {
        return Ok(());
    }
    let mut reader = BufReader::new(connection);
    let mut inboxes = HashMap::new();
    let mut published = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["CONNECT", ..] if script == Script::RefuseCredentials => {
                return writer.write_all(b"-ERR 'Authorization Violation'\r\n");
            }
            ["PING"] => writer.write_all(b"PONG\r\n")?,
            ["SUB", subject, number] => {
                inboxes.insert(subject.trim_end_matches('>').to_owned(), number.to_owned());
            }
            ["HPUB", subject, reply, head, total] => {
                published += 1;
                let (head, total): (usize, usize) = (head.parse().unwrap(), total.parse().unwrap());
                if script == Script::DropMidPublish(published) {
                    return reader.read_exact(&mut vec![0; total / 2]);
                }
                let mut body = vec![0; total + 2];
                reader.read_exact(&mut body)?;
                let message = read(subject, &body[..head], &body[head..total]);
                let Some(answer) = answer(server, message, script, published) else { continue };
                if script == Script::DropBeforeAck(published) {
                    return Ok(());
                }
                let inbox = inboxes.iter().find(|(prefix, _)| reply.starts_with(prefix.as_str()));
                let Some((_, number)) = inbox else { continue };
                writer.write_all(&match answer {
                    Answer::Json(json) => {
                        format!("MSG {reply} {number} {}\r\n{json}\r\n", json.len()).into_bytes()
                    }
                    Answer::NoResponders => {
                        format!("HMSG {reply} {number} 16 16\r\nNATS/1.0 503\r\n\r\n\r\n").into_bytes()
                    }
                })?;
            }
            _ => {}
        }
    }
}

enum Answer {
    Json(String),
    NoResponders,
}

/// Stores a message as the script demands, and returns the answer, if there is one.
fn answer(
    server: &Shared,
    message: (Stored, Option<String>),
    script: Script,
    published: usize,
) -> Option<Answer> {
    let mut stream = lock(&server.stream);
    stream.received += 1;
    let failure = match script {
        Script::Deaf => return None,
        Script::Fail(first, failure) if published <= first => Some(failure),
        Script::FailAt(at, failure) if published == at => Some(failure),
        _ => None,
    };
    let error = |status: u16, code: u16, text: &str| {
        let json = format!(r#"{{"error":{{"code":{status},"err_code":{code},"description":"{text}"}}}}"#);
        Some(Answer::Json(json))
    };
    match failure {
        Some(Failure::Full) => return error(503, 10077, "maximum messages exceeded"),
        Some(Failure::Refused) => return error(400, 10060, "expected stream does not match"),
        Some(Failure::NoStream) => return Some(Answer::NoResponders),
        None => {}
    }
    let (stored, expected_last) = message;
    if stream.ids.contains(&stored.id) {
        stream.duplicates += usize::from(script != Script::Mute);
        let json = format!(r#"{{"stream":"S","seq":{},"duplicate":true}}"#, stream.stored.len());
        return (script != Script::Mute).then_some(Answer::Json(json));
    }
    if expected_last.is_some_and(|expected| stream.stored.last().is_none_or(|last| last.id != expected)) {
        return error(400, 10070, "wrong last msg ID: other");
    }
    stream.ids.insert(stored.id.clone());
    stream.stored.push(stored);
    let json = format!(r#"{{"stream":"S","seq":{}}}"#, stream.stored.len());
    (script != Script::Mute).then_some(Answer::Json(json))
}

/// Reads a message, and the id that it names as the one before it.
fn read(subject: &str, head: &[u8], payload: &[u8]) -> (Stored, Option<String>) {
    let head = String::from_utf8_lossy(head);
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let (id, expected) = (header("Nats-Msg-Id").unwrap_or_default(), header("Nats-Expected-Last-Msg-Id"));
    let payload = String::from_utf8_lossy(payload).into_owned();
    (Stored { id, subject: subject.to_owned(), payload, headers }, expected)
}
