//! The text of responses.

use std::fmt::Write;

/// What every response has: no page of another origin reads it, and no cache keeps it.
const COMMON: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
                      Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n";

/// Why a request is refused: the status, and one line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn response(&self) -> Vec<u8> {
        let body = format!("{}\n", self.text.replace(['\r', '\n'], " "));
        let extra =
            if self.status == 405 { "Allow: GET\r\nConnection: close\r\n" } else { "Connection: close\r\n" };
        complete(self.status, "text/plain; charset=utf-8", extra, body.as_bytes())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

fn head(status: u16, content_type: &str, extra: &str) -> String {
    let mut head = String::with_capacity(512);
    // Writing to a string does not fail.
    let _ = write!(
        head,
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\n{COMMON}{extra}",
        reason(status)
    );
    head
}

/// Returns a response with its whole body. Each line of `extra` ends with CR LF.
pub(super) fn complete(status: u16, content_type: &str, extra: &str, body: &[u8]) -> Vec<u8> {
    let mut response = head(status, content_type, extra);
    let _ = write!(response, "Content-Length: {}\r\n\r\n", body.len());
    let mut response = response.into_bytes();
    response.extend_from_slice(body);
    response
}

/// Returns the head of a response whose lines follow.
pub(super) fn endless(chunked: bool) -> Vec<u8> {
    let extra = if chunked { "Transfer-Encoding: chunked\r\n\r\n" } else { "Connection: close\r\n\r\n" };
    head(200, "application/x-ndjson", extra).into_bytes()
}
