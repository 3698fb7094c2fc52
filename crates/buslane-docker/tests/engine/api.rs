//! Requests to the engine, without the library under test.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use test_support::GUARD;

/// An answer of the engine.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends a request. Its answer ends with the connection, because it is one of HTTP/1.0.
pub(crate) fn request(socket: &Path, line: &str, media_type: &str, body: &[u8]) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(GUARD))?;
    let head = format!(
        "{line} HTTP/1.0\r\nHost: engine\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in {text:?}")))?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    Ok(Answer { status, body })
}

/// Sends a request with a body of JSON, which must succeed.
#[track_caller]
pub(crate) fn done(socket: &Path, line: &str, json: &str) -> String {
    let answer = request(socket, line, "application/json", json.as_bytes()).unwrap();
    assert!((200..300).contains(&answer.status), "{line}: {answer:?}");
    answer.body
}

/// Creates a volume, the cheapest event of an engine.
#[track_caller]
pub(crate) fn create_volume(socket: &Path, name: &str) {
    done(socket, "POST /volumes/create", &format!(r#"{{"Name":"{name}"}}"#));
}

/// Removes a volume.
#[track_caller]
pub(crate) fn remove_volume(socket: &Path, name: &str) {
    done(socket, &format!("DELETE /volumes/{name}"), "");
}
