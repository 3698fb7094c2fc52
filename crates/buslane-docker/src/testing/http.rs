//! As much of HTTP as an engine needs.

use super::request::ScriptedRequest;
use std::io::{self, BufRead, Read, Write};

/// The longest head of a request.
const LONGEST_HEAD: u64 = 64 * 1024;

/// Reads the head of a request, and its body, which has no meaning here. `None` when the client has
/// ended the connection, or sends what is no request.
pub(super) fn read_request(reader: &mut impl BufRead) -> Option<ScriptedRequest> {
    let mut head = reader.take(LONGEST_HEAD);
    let mut first = String::new();
    head.read_line(&mut first).ok().filter(|bytes| *bytes > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        head.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?
            }
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => return None,
        }
    }
    io::copy(&mut reader.take(length), &mut io::sink()).ok()?;
    ScriptedRequest::parse(first.trim_end())
}

/// The head of an answer.
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a [(&'a str, String)],
}

impl Head<'_> {
    /// Writes an answer whose body is known. An answer to `HEAD` has the length of the body only.
    pub(super) fn with_body(&self, body: &str, is_head: bool) -> Vec<u8> {
        let mut answer = self.lines();
        answer.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        if !is_head {
            answer.push_str(body);
        }
        answer.into_bytes()
    }

    /// Writes the head of an answer in chunks.
    pub(super) fn with_chunks(&self) -> Vec<u8> {
        format!("{}Transfer-Encoding: chunked\r\n\r\n", self.lines()).into_bytes()
    }

    fn lines(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            500 => "Internal Server Error",
            503 => "Service Unavailable",
            _ => "Scripted",
        };
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("HTTP/1.1 {} {reason}\r\n{}", self.status, headers.collect::<String>())
    }
}

/// Writes, and returns whether the client is still there.
pub(super) fn write(mut stream: impl Write, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_follow_each_other() {
        let mut bytes =
            &b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /info HTTP/1.1\r\n\r\nnonsense\r\n"[..];
        assert_eq!(read_request(&mut bytes).unwrap().target(), "/x");
        assert_eq!(read_request(&mut bytes).unwrap().target(), "/info");
        assert!(read_request(&mut bytes).is_none());
        assert!(
            read_request(&mut &b"no request\r\n\r\n"[..])
                .is_some_and(|request| request.target() == "request")
        );
        assert!(read_request(&mut &b""[..]).is_none());
    }
}
