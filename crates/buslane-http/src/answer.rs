//! Lenient parsing of an answer's head: only the status line and the relevant headers reach the
//! client.
//!
//! The status of the endpoint counts, however malformed the rest of its head is. The HTTP client
//! rejects a whole answer for a folded header line, a bad header name, a hundred headers or a
//! length that is not a number. A retry would get the same answer again, without end. So each head
//! is parsed here, leniently, and replaced with a well-formed one.

use crate::budget::Budget;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// The length up to which a head is read to its end. Of a longer head only the status counts, and
/// the connection is not reused.
const LONGEST_HEAD: usize = 64 * 1024;

/// The result of parsing the bytes of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The head is not complete yet.
    Incomplete,
    /// Not HTTP/1.
    Garbage,
    /// An informational answer with its length in bytes. Another answer follows.
    Informational(usize),
    Final(Answer),
}

/// A final answer's head, and how its body is framed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The length of the head in bytes.
    pub(crate) length: usize,
    /// A well-formed head with the same meaning.
    rewritten: Vec<u8>,
    /// Whether the bytes after the head are unusable because the framing is malformed.
    without_body: bool,
}

/// Parses the head at the beginning of these bytes.
pub(crate) fn read(bytes: &[u8]) -> Head {
    let mut lines = Lines { bytes, at: 0 };
    // Empty lines before a status line are skipped, as the client does.
    let first = loop {
        match lines.next() {
            Some([]) => {}
            other => break other,
        }
    };
    let Some(first) = first else {
        let begun = bytes.trim_ascii_start();
        let known = begun.len().min(PREFIX.len());
        return if begun[..known] == PREFIX[..known] { Head::Incomplete } else { Head::Garbage };
    };
    let Some((version, status)) = status_line(first) else { return Head::Garbage };
    let mut fields = Fields::default();
    loop {
        match lines.next() {
            Some([]) => break,
            Some(line) => fields.add(line),
            None if bytes.len() > LONGEST_HEAD => {
                fields = Fields { endless: true, ..Fields::default() };
                break;
            }
            None => return Head::Incomplete,
        }
    }
    if (100..200).contains(&status) && status != SWITCHING_PROTOCOLS && !fields.endless {
        return Head::Informational(lines.at);
    }
    Head::Final(fields.answer(version, status, lines.at))
}

/// Returns `true` if these bytes contain a final status of at least 300: the endpoint needs no more
/// of the body.
pub(crate) fn refuses(mut bytes: &[u8]) -> bool {
    while let Head::Informational(length) = read(bytes) {
        bytes = &bytes[length..];
    }
    let line = Lines { bytes, at: 0 }.next().and_then(status_line);
    line.is_some_and(|(_, status)| status >= 300)
}

const PREFIX: &[u8] = b"HTTP/1.";
/// Informational by its number, but a final answer.
const SWITCHING_PROTOCOLS: u16 = 101;

/// An iterator over lines that end with a line feed, with or without a carriage return before it.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        Some(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]))
    }
}

/// Parses the minor version and the status of a line such as `HTTP/1.1 204 No Content`.
fn status_line(line: &[u8]) -> Option<(u8, u16)> {
    let (version, rest) = line.strip_prefix(PREFIX)?.split_first()?;
    if !version.is_ascii_digit() || !rest.first()?.is_ascii_whitespace() {
        return None;
    }
    let (digits, reason) = rest.trim_ascii_start().split_at_checked(3)?;
    let is_number = digits.iter().all(u8::is_ascii_digit) && digits[0] != b'0';
    let ends = reason.first().is_none_or(u8::is_ascii_whitespace);
    let status = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit.wrapping_sub(b'0')));
    (is_number && ends).then_some((*version, status))
}

/// The relevant headers, each with its folded lines joined.
#[derive(Default)]
struct Fields {
    kept: Vec<(Name, Vec<u8>)>,
    /// Whether a folded line would continue the last of these headers.
    continues: bool,
    /// Whether the head is longer than [`LONGEST_HEAD`].
    endless: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Connection,
    Length,
    RetryAfter,
    Coding,
}

impl Fields {
    fn add(&mut self, line: &[u8]) {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            // RFC 9112, 5.2: a folded line continues the value before it, after a space.
            if self.continues
                && let Some((_, value)) = self.kept.last_mut()
            {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            return;
        }
        self.continues = false;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        let known = [
            (&b"connection"[..], Name::Connection),
            (b"content-length", Name::Length),
            (b"retry-after", Name::RetryAfter),
            (b"transfer-encoding", Name::Coding),
        ];
        if let Some((_, kind)) = known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
            self.kept.push((*kind, value.to_vec()));
            self.continues = true;
        }
    }

    /// Returns the comma-separated members of all headers with this name.
    fn members(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let values = self.kept.iter().filter(move |(kept, _)| *kept == name);
        values.flat_map(|(_, value)| value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
    }

    /// Returns how the body is framed, or `None` if the framing headers are malformed.
    fn framing(&self) -> Option<Framing> {
        if self.endless {
            return None;
        }
        let codings: Vec<_> = self.members(Name::Coding).filter(|coding| !coding.is_empty()).collect();
        match codings[..] {
            [] => {}
            [coding] if coding.eq_ignore_ascii_case(b"chunked") => return Some(Framing::Chunked),
            _ => return None,
        }
        let mut lengths = self.members(Name::Length);
        let Some(first) = lengths.next() else { return Some(Framing::UntilClose) };
        let is_number = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(first).ok().filter(|_| is_number)?.parse().ok()?;
        lengths.all(|other| other == first).then_some(Framing::Length(length))
    }

    fn answer(self, version: u8, status: u16, length: usize) -> Answer {
        let minor = if version == b'0' { 0 } else { 1 };
        let mut rewritten = format!("HTTP/1.{minor} {status} \r\n").into_bytes();
        let mut push = |name: &str, value: &[u8]| {
            rewritten.extend_from_slice(name.as_bytes());
            rewritten.extend_from_slice(value);
            rewritten.extend_from_slice(b"\r\n");
        };
        let retry_after = self.kept.iter().find(|(name, value)| *name == Name::RetryAfter && is_text(value));
        if let Some((_, value)) = retry_after {
            push("Retry-After: ", value);
        }
        let has =
            |token: &[u8]| self.members(Name::Connection).any(|member| member.eq_ignore_ascii_case(token));
        let framing = self.framing();
        // RFC 9112, 6.3: a coding together with a length is an error of the sender, and the
        // connection ends after the answer.
        let both = framing == Some(Framing::Chunked) && self.members(Name::Length).next().is_some();
        if framing.is_none() || both || has(b"close") {
            push("Connection: ", b"close");
        } else if has(b"keep-alive") {
            push("Connection: ", b"keep-alive");
        }
        match framing {
            Some(Framing::Chunked) => push("Transfer-Encoding: ", b"chunked"),
            Some(Framing::Length(length)) => push("Content-Length: ", length.to_string().as_bytes()),
            Some(Framing::UntilClose) => {}
            None => push("Content-Length: ", b"0"),
        }
        rewritten.extend_from_slice(b"\r\n");
        Answer { status, length, rewritten, without_body: framing.is_none() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Chunked,
    Length(u64),
    UntilClose,
}

/// Returns `true` if these bytes can be the value of a header.
fn is_text(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| (b' '..=b'~').contains(byte))
}

/// Wraps a connection in [`Answers`].
#[derive(Debug)]
pub(crate) struct ReadAnswers;

impl<In: Transport> Connector<In> for ReadAnswers {
    type Out = Answers<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Answers { inner, expects_head: true }))
    }
}

/// A connection that rewrites the head of each answer into one that the client can parse, above
/// TLS.
#[derive(Debug)]
pub(crate) struct Answers<T> {
    inner: T,
    /// Whether the next bytes belong to the head of an answer.
    expects_head: bool,
}

impl<T: Transport> Answers<T> {
    /// Rewrites the head in the buffer. Returns `false` while the head is incomplete and must not
    /// reach the client.
    fn rewrite(&mut self) -> bool {
        loop {
            let buffers = self.inner.buffers();
            match read(buffers.input()) {
                Head::Incomplete => return false,
                Head::Garbage => break,
                Head::Informational(length) => buffers.input_consume(length),
                Head::Final(answer) => {
                    let all = buffers.input().len();
                    let begun = if answer.without_body { all } else { answer.length };
                    let rest = buffers.input()[begun..].to_vec();
                    buffers.input_consume(all);
                    // A head with bare line feeds grows, and a full buffer has no room for that.
                    if buffers.input_append_buf().len() < answer.rewritten.len() + rest.len() {
                        append(buffers, &without_body(answer.status));
                    } else {
                        append(buffers, &answer.rewritten);
                        append(buffers, &rest);
                    }
                    break;
                }
            }
        }
        self.expects_head = false;
        true
    }
}

/// Returns a head that has only the status and ends the connection.
fn without_body(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} \r\nConnection: close\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// Appends bytes to the buffer, which must have room for them.
fn append(buffers: &mut dyn Buffers, bytes: &[u8]) {
    buffers.input_append_buf()[..bytes.len()].copy_from_slice(bytes);
    buffers.input_appended(bytes.len());
}

impl<T: Transport> Transport for Answers<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.expects_head = true;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if !self.expects_head {
            return self.inner.await_input(timeout);
        }
        let budget = Budget::new(timeout);
        loop {
            let has_more = self.inner.await_input(budget.rest()?)?;
            if self.rewrite() {
                return Ok(true);
            }
            if !has_more {
                // An incomplete head is no answer.
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Head, LONGEST_HEAD, read, refuses};

    fn rewritten(head: &str) -> String {
        let Head::Final(Answer { rewritten, length, .. }) = read(head.as_bytes()) else { panic!("{head:?}") };
        assert_eq!(length, head.len());
        String::from_utf8(rewritten).unwrap()
    }

    #[test]
    fn rewrite_keeps_the_relevant_headers() {
        let head = "HTTP/1.1 503 Busy\r\nDate: now\r\nRetry-After: 7\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(rewritten(head), "HTTP/1.1 503 \r\nRetry-After: 7\r\nContent-Length: 12\r\n\r\n");
        let head = "HTTP/1.0 200\nconnection: Foo, KEEP-ALIVE\nTransfer-Encoding: Chunked\n\n";
        assert_eq!(
            rewritten(head),
            "HTTP/1.0 200 \r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn any_white_space_separates_a_status_line() {
        for head in ["HTTP/1.1 \u{c}201 X\r\n\r\n", "HTTP/1.1\t201\r\n\r\n", "HTTP/1.1  201 \r\n\r\n"] {
            let Head::Final(answer) = read(head.as_bytes()) else { panic!("{head:?}") };
            assert_eq!(answer.status, 201, "{head:?}");
        }
    }

    #[test]
    fn folded_line_continues_its_value() {
        let date = "HTTP/1.1 429 X\r\nX-A: 1\r\n 2\r\nRetry-After:\r\n Thu, 01 Jan\r\n\t1970 12:00:05 GMT\r\n \r\n\r\n";
        assert!(
            rewritten(date).contains("Retry-After:  Thu, 01 Jan 1970 12:00:05 GMT "),
            "{}",
            rewritten(date)
        );
    }

    #[test]
    fn malformed_framing_ends_the_connection() {
        for line in [
            "Content-Length: -1",
            "Content-Length: ",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: gzip, chunked",
        ] {
            let head = format!("HTTP/1.1 200 X\r\n{line}\r\n\r\n");
            assert_eq!(
                rewritten(&head),
                "HTTP/1.1 200 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                "{line}"
            );
        }
        let same = "HTTP/1.1 200 X\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(rewritten(same), "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n");
    }

    #[test]
    fn read_recognizes_incomplete_and_garbage_heads() {
        assert_eq!(read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1"), Head::Informational(25));
        for incomplete in ["", "\r\n", "H", "HTTP/1.", "HTTP/1.1 200 X\r\nA: b\r\n", "HTTP/1.1 200 X\r\n\r"] {
            assert_eq!(read(incomplete.as_bytes()), Head::Incomplete, "{incomplete:?}");
        }
        for garbage in
            ["SSH-2.0", "HTTP/2 200\r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 099 X\r\n", "HTTP/1.1 2000\r\n", "x"]
        {
            assert_eq!(read(garbage.as_bytes()), Head::Garbage, "{garbage:?}");
        }
    }

    #[test]
    fn endless_head_still_yields_its_status() {
        let head = format!("HTTP/1.1 400 X\r\nA: {}", "a".repeat(LONGEST_HEAD));
        let Head::Final(answer) = read(head.as_bytes()) else { panic!("no answer") };
        assert_eq!((answer.status, answer.without_body), (400, true));
    }

    #[test]
    fn only_a_final_status_from_300_refuses() {
        assert!(refuses(b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 413 X\r\n"));
        assert!(refuses(b"HTTP/1.1 307 X\r\nLocation"));
        for bytes in ["", "HTTP/1.1 413", "HTTP/1.1 200 X\r\n", "HTTP/1.1 100 X\r\n\r\n", "\u{16}\u{3}\u{1}"]
        {
            assert!(!refuses(bytes.as_bytes()), "{bytes:?}");
        }
    }
}
