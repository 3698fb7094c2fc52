//! Decoding of server-sent events: bytes to lines, lines to fields, fields to events.
//!
//! The rules are those of the event stream format of HTML: a line ends with a line feed, a carriage
//! return, or both; an empty line ends an event; an event without data is none; bytes that are not
//! UTF-8 are replaced. An event that the end of the stream interrupts is none either.

use std::time::Duration;

/// An event that a server sent.
///
/// # Examples
/// ```
/// use buslane_http::ServerEvent;
/// fn handle(event: &ServerEvent) {
///     println!("{} {}: {}", event.id, event.kind, event.data);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerEvent {
    /// The last id that the server sent, with this event or before it. Empty if there is none.
    pub id: String,
    /// The type of the event: `message`, unless the server sent another one.
    pub kind: String,
    /// The data; its lines are separated by line feeds.
    pub data: String,
}

/// What was decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Event(ServerEvent),
    /// An event that is longer than the limit, and was dropped; with the last id, as in an event.
    TooLong(String),
    /// Another id, which came without data.
    Id(String),
    /// The time that the server wants a client to wait before it connects again.
    Retry(Duration),
}

pub(crate) struct Decoder {
    /// The longest line and the longest data, in bytes.
    longest: usize,
    buffer: Vec<u8>,
    /// The number of bytes of the buffer that were decoded.
    at: usize,
    /// Whether the first line was decoded, which may begin with a byte order mark.
    has_begun: bool,
    /// Whether a line feed belongs to the carriage return before it.
    after_return: bool,
    /// Whether the rest of the line is skipped.
    skips_line: bool,
    id: String,
    /// Whether the id is new since the last empty line.
    is_new_id: bool,
    kind: String,
    data: String,
    has_data: bool,
    is_too_long: bool,
}

impl Decoder {
    /// Creates a decoder for a stream that continues after the event with this id.
    pub(crate) fn new(id: String, longest: usize) -> Self {
        Self {
            longest,
            buffer: Vec::new(),
            at: 0,
            has_begun: false,
            after_return: false,
            skips_line: false,
            id,
            is_new_id: false,
            kind: String::new(),
            data: String::new(),
            has_data: false,
            is_too_long: false,
        }
    }

    /// Adds bytes that were read.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns what the bytes that were read contain next.
    pub(crate) fn next(&mut self) -> Option<Decoded> {
        loop {
            // Decided by the next byte, which may not be there yet.
            if self.after_return && self.at < self.buffer.len() {
                self.after_return = false;
                self.at += usize::from(self.buffer[self.at] == b'\n');
            }
            let rest = &self.buffer[self.at..];
            let Some(len) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                if rest.len() > self.longest {
                    // The start of the line is not kept, so that memory is bounded.
                    self.skip_line();
                    self.at = self.buffer.len();
                }
                return None;
            };
            let end = self.at + len;
            if len > self.longest {
                self.skip_line();
            }
            self.after_return = self.buffer[end] == b'\r';
            let line = String::from_utf8_lossy(&self.buffer[self.at..end]).into_owned();
            self.at = end + 1;
            let is_first = !std::mem::replace(&mut self.has_begun, true);
            let line = if is_first { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
            if std::mem::take(&mut self.skips_line) {
                continue;
            }
            let decoded = if line.is_empty() { self.end_event() } else { self.field(line) };
            if decoded.is_some() {
                return decoded;
            }
        }
    }

    /// Skips the rest of a line that is too long. Its event is too long with it, unless the line is
    /// a comment.
    fn skip_line(&mut self) {
        let rest = &self.buffer[self.at..];
        let mark = if self.has_begun { None } else { rest.strip_prefix("\u{feff}".as_bytes()) };
        let is_comment = mark.unwrap_or(rest).starts_with(b":");
        // Otherwise the start of the line has decided.
        if !std::mem::replace(&mut self.skips_line, true) && !is_comment {
            self.is_too_long = true;
        }
    }

    fn field(&mut self, line: &str) -> Option<Decoded> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                if self.data.len() + value.len() > self.longest {
                    self.is_too_long = true;
                    self.data.clear();
                }
                if !self.is_too_long {
                    if self.has_data {
                        self.data.push('\n');
                    }
                    self.data.push_str(value);
                }
                self.has_data = true;
            }
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') => {
                self.is_new_id |= self.id != value;
                value.clone_into(&mut self.id);
            }
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Some(Decoded::Retry(Duration::from_millis(value.parse().unwrap_or(u64::MAX))));
            }
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Decoded> {
        let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
        let has_data = std::mem::take(&mut self.has_data);
        let is_new_id = std::mem::take(&mut self.is_new_id);
        if std::mem::take(&mut self.is_too_long) {
            return Some(Decoded::TooLong(self.id.clone()));
        }
        if !has_data {
            return is_new_id.then(|| Decoded::Id(self.id.clone()));
        }
        let kind = if kind.is_empty() { String::from("message") } else { kind };
        Some(Decoded::Event(ServerEvent { id: self.id.clone(), kind, data }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoded, Decoder, ServerEvent};
    use std::time::Duration;

    fn event(id: &str, kind: &str, data: &str) -> Decoded {
        Decoded::Event(ServerEvent { id: id.into(), kind: kind.into(), data: data.into() })
    }

    /// Decodes a stream whole, byte by byte, and in each two parts, with the same result.
    fn decoded(stream: impl AsRef<[u8]>) -> Vec<Decoded> {
        let stream = stream.as_ref();
        let decode = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut decoder, mut all) = (Decoder::new(String::new(), 40), Vec::new());
            for piece in pieces {
                decoder.feed(piece);
                while let Some(next) = decoder.next() {
                    all.push(next);
                }
            }
            all
        };
        let (whole, bytes) = (decode(&mut [stream].into_iter()), decode(&mut stream.chunks(1)));
        assert_eq!(whole, bytes, "{:?}", String::from_utf8_lossy(stream));
        for at in 0..stream.len() {
            let (first, second) = stream.split_at(at);
            let parts = decode(&mut [first, second].into_iter());
            assert_eq!(whole, parts, "{:?} at {at}", String::from_utf8_lossy(stream));
        }
        whole
    }

    #[test]
    fn fields_and_line_ends_follow_the_format() {
        assert_eq!(decoded("data: one\n\ndata: two\r\n\r\ndata: three\r\r").len(), 3);
        assert_eq!(
            decoded("data:one\ndata: two\ndata\ndata:  x\n\n"),
            [event("", "message", "one\ntwo\n\n x")]
        );
        let stream = "\u{feff}id: 7\nevent: add\ndata: a\n\ndata: b\n\nid\ndata: c\n\n";
        let expected = [event("7", "add", "a"), event("7", "message", "b"), event("", "message", "c")];
        assert_eq!(decoded(stream), expected);
        assert_eq!(decoded(": ping\n\nevent: add\n\nfoo: bar\nid: 1\0\n\n"), []);
        assert_eq!(decoded("data\n\n"), [event("", "message", "")]);
        assert_eq!(decoded("data: unfinished\n"), []);
        assert_eq!(decoded(b"data: \xff\n\n"), [event("", "message", "\u{fffd}")]);
    }

    #[test]
    fn retry_is_a_number_of_milliseconds() {
        assert_eq!(decoded("retry: 1500\n"), [Decoded::Retry(Duration::from_millis(1500))]);
        assert_eq!(decoded("retry: 1.5\nretry\nretry: -1\n"), []);
        let longest = Decoded::Retry(Duration::from_millis(u64::MAX));
        assert_eq!(decoded("retry: 99999999999999999999\n"), [longest]);
    }

    #[test]
    fn line_feed_is_part_of_one_return_in_all_segmentations() {
        let stream = b"data: a\r\n\ndata: b\n\n";
        let expected = [event("", "message", "a"), event("", "message", "b")];
        assert_eq!(decoded(stream), expected);
        for cuts in 0..1_u32 << (stream.len() - 1) {
            let (mut decoder, mut all) = (Decoder::new(String::new(), 40), Vec::new());
            let mut begun = 0;
            for end in 1..=stream.len() {
                if end == stream.len() || cuts & (1 << (end - 1)) != 0 {
                    decoder.feed(&stream[begun..end]);
                    all.extend(std::iter::from_fn(|| decoder.next()));
                    begun = end;
                }
            }
            assert_eq!(all, expected, "{cuts:b}");
        }
    }

    #[test]
    fn id_without_data_is_kept() {
        let id = |id: &str| Decoded::Id(id.into());
        assert_eq!(decoded("id: 7\n\nid: 7\n\nid\n\n"), [id("7"), id("")]);
        assert_eq!(decoded("id: 7\ndata: a\n\nid: 7\n\n"), [event("7", "message", "a")]);
        let long = "x".repeat(50);
        let expected = [Decoded::TooLong("7".into()), Decoded::TooLong("7".into())];
        assert_eq!(decoded(format!("id: 7\ndata: {long}\n\nid: 8\0\ndata: {long}\n\n")), expected);
    }

    #[test]
    fn long_comment_belongs_to_no_event() {
        let long = "x".repeat(120);
        let stream = format!("\u{feff}:{long}\ndata: a\n: {long}\n\ndata: b\n\n");
        assert_eq!(decoded(stream), [event("", "message", "a"), event("", "message", "b")]);
    }

    #[test]
    fn event_beyond_the_limit_is_dropped() {
        let (long, part) = ("x".repeat(50), "y".repeat(20));
        let stream =
            format!("data: {long}\n\ndata: ok\n\ndata: {part}\ndata: {part}\ndata: y\n\ndata: ok\n\n");
        let too_long = || Decoded::TooLong(String::new());
        let expected = [too_long(), event("", "message", "ok"), too_long(), event("", "message", "ok")];
        assert_eq!(decoded(stream), expected);
    }
}
