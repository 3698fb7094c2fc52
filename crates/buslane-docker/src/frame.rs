//! Decoding of a stream: JSON values, one after the other, with any white space between them or none.
//!
//! A value may end in the middle of a read, and a read may hold many values. A value that is whole
//! is decoded in place. One that is not whole yet is scanned for its end, each byte once, and then
//! decoded. So no order of arrival makes decoding quadratic.
//!
//! A value that is no event is skipped. One that is longer than the limit is skipped while it
//! arrives, so that memory is bounded. What is no JSON ends the stream, since there is no telling
//! where the next value begins.

use crate::decode::EventSeed;
use crate::error::DockerError;
use crate::event::{DockerEvent, Outline};
use crate::identity::hash;
use crate::parts::Scratch;
use crate::plain;
use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::Deserializer;
use serde_json::error::Category;
use std::sync::Arc;

/// The record separator upstream of each value of `application/json-seq`.
const RECORD_SEPARATOR: u8 = 0x1e;
/// The least room for a read.
const LEAST_ROOM: usize = 16 * 1024;
/// The longest text in place of an event that is kept, in bytes.
const LONGEST_TEXT: usize = 200;
/// The size at which a buffer is kept although a long value made it grow.
const USUAL_SIZE: usize = 256 * 1024;
/// The length at which the texts of events fill a block. Longer blocks hardly cost less for an event, and
/// one event that is kept keeps its whole block.
const BLOCK: usize = 4096;

/// What was decoded.
enum Decoded {
    Event(Outline),
    /// A value that is no event, or one that is too long, and a hash of it. Of one that is too long, the
    /// hash is that of its first bytes.
    Undecodable(DockerError, u64),
}

/// What follows a block of events.
#[derive(Debug)]
pub(crate) enum After {
    /// Perhaps another block.
    Full,
    /// No value is whole.
    Dry,
    /// A value that is no event, or one that is too long, and a hash of it. Of one that is too long, the
    /// hash is that of its first bytes.
    Undecodable(DockerError, u64),
}

pub(crate) struct Decoder {
    /// The longest value, in bytes.
    longest: usize,
    buffer: Vec<u8>,
    /// The bytes of the buffer that were decoded, and the end of those that were read.
    at: usize,
    filled: usize,
    /// The search for the end of the value at `at`, if it was not whole when it was decoded first.
    scan: Option<Scan>,
    /// The hash of the value that is scanned, if it is too long and its bytes are not kept.
    skipped: Option<u64>,
    scratch: Scratch,
    /// The events of the block that is decoded.
    outlines: Vec<Outline>,
}

/// A search for the end of a value.
#[derive(Clone, Copy)]
struct Scan {
    /// The bytes of the buffer that were scanned.
    at: usize,
    /// The number of open objects and arrays.
    depth: usize,
    in_string: bool,
    after_backslash: bool,
    /// Whether the value is a number or a word.
    in_scalar: bool,
}

impl Scan {
    /// Scans to the end of the value or of the bytes. Returns the end of the value.
    fn run(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(byte) = bytes.get(self.at) {
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.after_backslash => self.after_backslash = false,
                    b'\\' => self.after_backslash = true,
                    b'"' => self.in_string = false,
                    _ => continue,
                }
                if self.in_string || self.depth > 0 {
                    continue;
                }
                return Some(self.at);
            }
            if self.depth == 0 && is_scalar(*byte) {
                self.in_scalar = true;
                continue;
            }
            if self.in_scalar {
                // It ends where anything else begins.
                self.at -= 1;
                return Some(self.at);
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ if self.depth == 0 => return Some(self.at),
                _ => {}
            }
        }
        None
    }
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | RECORD_SEPARATOR)
}

/// Returns whether a byte may be part of a number or a word.
fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

impl Decoder {
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            longest,
            buffer: Vec::new(),
            at: 0,
            filled: 0,
            scan: None,
            skipped: None,
            scratch: Scratch::default(),
            outlines: Vec::new(),
        }
    }

    /// Returns room for a read.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.at == self.filled {
            self.move_to_front();
            if self.buffer.len() > USUAL_SIZE {
                self.buffer = Vec::new();
            }
        }
        if self.buffer.len() - self.filled < LEAST_ROOM {
            self.move_to_front();
            if self.buffer.len() - self.filled < LEAST_ROOM {
                let size = (self.buffer.len() * 2).max(8 * LEAST_ROOM);
                self.buffer.resize(size, 0);
            }
        }
        &mut self.buffer[self.filled..]
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.at..self.filled, 0);
        if let Some(scan) = &mut self.scan {
            scan.at -= self.at;
        }
        self.filled -= self.at;
        self.at = 0;
    }

    /// Takes in bytes that were read into the room.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    /// Returns the number of bytes for which a read has room before values must be decoded.
    pub(crate) fn has_room(&self) -> bool {
        self.buffer.len() - self.filled >= LEAST_ROOM
    }

    /// Returns whether the stream is inside a value.
    pub(crate) fn is_inside(&self) -> bool {
        self.scan.is_some() || self.buffer[self.at..self.filled].iter().any(|byte| !is_between(*byte))
    }

    /// Decodes events, until their texts fill a block or something else comes. Passes them to `take`.
    ///
    /// # Errors
    /// [`DockerError::Text`] or [`DockerError::Json`] if what follows them is no JSON. There is nothing to
    /// decode after that.
    pub(crate) fn block(&mut self, take: impl FnMut(DockerEvent)) -> Result<After, DockerError> {
        // Also what was decoded in vain.
        self.scratch.block.clear();
        if self.scratch.block.capacity() > USUAL_SIZE {
            self.scratch.block = String::new();
        }
        let after = loop {
            match self.next() {
                Ok(Some(Decoded::Event(outline))) => self.outlines.push(outline),
                Ok(Some(Decoded::Undecodable(error, hash))) => break Ok(After::Undecodable(error, hash)),
                Ok(None) => break Ok(After::Dry),
                Err(error) => break Err(error),
            }
            if self.scratch.block.len() >= BLOCK {
                break Ok(After::Full);
            }
        };
        if !self.outlines.is_empty() {
            let block: Arc<str> = Arc::from(self.scratch.block.as_str());
            self.outlines.drain(..).map(|outline| outline.in_block(&block)).for_each(take);
        }
        after
    }

    /// Decodes the next value, if it is whole.
    ///
    /// # Errors
    /// [`DockerError::Text`] or [`DockerError::Json`] if it is no JSON. There is nothing to decode after that.
    fn next(&mut self) -> Result<Option<Decoded>, DockerError> {
        if self.scan.is_none() {
            while self.at < self.filled && is_between(self.buffer[self.at]) {
                self.at += 1;
            }
            if self.at == self.filled {
                return Ok(None);
            }
            match self.decode()? {
                Some(decoded) => return Ok(Some(decoded)),
                None => {
                    let begin = Scan {
                        at: self.at,
                        depth: 0,
                        in_string: false,
                        after_backslash: false,
                        in_scalar: false,
                    };
                    self.scan = Some(begin);
                }
            }
        }
        self.complete()
    }

    /// Scans for the end of the value at the position, and decodes it when it is whole.
    fn complete(&mut self) -> Result<Option<Decoded>, DockerError> {
        let Some(scan) = &mut self.scan else { return Ok(None) };
        let end = scan.run(&self.buffer[..self.filled]);
        if self.skipped.is_none() && end.unwrap_or(self.filled) - self.at > self.longest {
            self.skipped = Some(hash(&self.buffer[self.at..self.at + self.longest]));
        }
        match (end, self.skipped) {
            (Some(end), Some(hash)) => {
                (self.at, self.skipped, self.scan) = (end, None, None);
                Ok(Some(self.too_long(hash)))
            }
            (Some(_), None) => {
                self.scan = None;
                match self.decode()? {
                    Some(decoded) => Ok(Some(decoded)),
                    // It ends where its braces do, so it lacks something else.
                    None => Err(DockerError::Json),
                }
            }
            (None, skipped) => {
                if skipped.is_some() {
                    self.at = self.filled;
                }
                Ok(None)
            }
        }
    }

    /// Decodes the value at the position. `None` if it is not whole.
    #[inline]
    fn decode(&mut self) -> Result<Option<Decoded>, DockerError> {
        let bytes = &self.buffer[self.at..self.filled];
        if let Some((event, length)) = plain::decode(bytes, &mut self.scratch)
            && length <= self.longest
        {
            self.at += length;
            return Ok(Some(Decoded::Event(event)));
        }
        let mut json = Deserializer::from_slice(bytes);
        let (length, decoded) = match EventSeed(&mut self.scratch).deserialize(&mut json) {
            Ok(event) => (length(json), Decoded::Event(event)),
            Err(error) => match error.classify() {
                Category::Eof => return Ok(None),
                Category::Syntax | Category::Io if ends_in_a_number(bytes) => return Ok(None),
                Category::Syntax | Category::Io => return Err(no_json(bytes)),
                Category::Data => match self.skipped()? {
                    Some(skipped) => skipped,
                    None => return Ok(None),
                },
            },
        };
        let decoded = match length > self.longest {
            true => self.too_long(hash(&self.buffer[self.at..self.at + self.longest])),
            false => decoded,
        };
        self.at += length;
        Ok(Some(decoded))
    }

    /// Returns the length of a value that is no event, and its error.
    #[cold]
    fn skipped(&mut self) -> Result<Option<(usize, Decoded)>, DockerError> {
        let bytes = &self.buffer[self.at..self.filled];
        // What follows may belong to a number or a word that the bytes end with.
        if bytes.iter().all(|byte| is_scalar(*byte)) {
            return Ok(None);
        }
        let mut json = Deserializer::from_slice(bytes);
        match IgnoredAny::deserialize(&mut json) {
            Ok(IgnoredAny) => {
                let error = DockerError::NotAnEvent { message: self.scratch.message.take() };
                let length = length(json);
                Ok(Some((length, Decoded::Undecodable(error, hash(&bytes[..length])))))
            }
            Err(error) if error.is_eof() || ends_in_a_number(bytes) => Ok(None),
            Err(_) => Err(DockerError::Json),
        }
    }

    fn too_long(&self, hash: u64) -> Decoded {
        Decoded::Undecodable(DockerError::EventTooLong { limit: self.longest }, hash)
    }
}

/// Returns the error of what is no JSON.
#[cold]
fn no_json(bytes: &[u8]) -> DockerError {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_TEXT)]);
    match text.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        true => DockerError::Text { message: text.trim_end().to_owned() },
        false => DockerError::Json,
    }
}

/// Returns whether the bytes end where a digit has to follow. A value that is not whole then counts
/// as broken for `serde_json`, which skips a number without asking whether more of it may come.
fn ends_in_a_number(bytes: &[u8]) -> bool {
    matches!(bytes.last(), Some(b'.' | b'-' | b'+' | b'e' | b'E'))
}

/// Returns the number of bytes that were decoded.
fn length(json: Deserializer<serde_json::de::SliceRead<'_>>) -> usize {
    json.into_iter::<IgnoredAny>().byte_offset()
}

#[cfg(test)]
mod tests {
    use super::{After, BLOCK, Decoder};
    use crate::error::DockerError;

    /// Decodes a stream in pieces. The result of a piece of text is what each value became.
    fn in_pieces(stream: &[u8], piece: usize) -> Vec<String> {
        let (mut decoder, mut all) = (Decoder::new(100), Vec::new());
        for bytes in stream.chunks(piece) {
            decoder.room()[..bytes.len()].copy_from_slice(bytes);
            decoder.filled(bytes.len());
            loop {
                match decoder.block(|event| all.push(event.to_string())) {
                    Ok(After::Dry) => break,
                    Ok(After::Full) => {}
                    Ok(After::Undecodable(DockerError::EventTooLong { .. }, _)) => {
                        all.push("too long".into());
                    }
                    Ok(After::Undecodable(..)) => all.push("skipped".into()),
                    Err(_) => {
                        all.push("broken".into());
                        return all;
                    }
                }
            }
        }
        if decoder.is_inside() {
            all.push("inside".into());
        }
        all
    }

    /// Decodes a stream in pieces of each size, with the same result.
    fn decoded(stream: impl AsRef<[u8]>) -> Vec<String> {
        let stream = stream.as_ref();
        let whole = in_pieces(stream, stream.len());
        for piece in 1..stream.len() {
            assert_eq!(whole, in_pieces(stream, piece), "{:?} by {piece}", String::from_utf8_lossy(stream));
        }
        whole
    }

    const ONE: &str = r#"{"Type":"volume","Action":"mount","Actor":{"ID":"a"}}"#;

    #[test]
    fn number_in_an_unknown_field_may_be_cut_anywhere() {
        let stream = r#"{"Type":"volume","odd":[17.0,-1,1e5,2E-7,3e+1],"Action":"mount","Actor":{"ID":"a"}}"#;
        assert_eq!(decoded(stream), ["volume mount a"]);
        assert_eq!(decoded(r#"{"Type":7,"odd":[17.0,-1,1e5]}"#), ["skipped"]);
        assert_eq!(decoded(r#"{"odd":[17.]}{"odd":-"#), ["broken"]);
    }

    #[test]
    fn values_need_nothing_between_them() {
        let stream = format!("{ONE}{ONE}\n{ONE}\r\n\u{1e}{ONE}\n \t{ONE}");
        assert_eq!(decoded(stream), ["volume mount a"; 5]);
        assert_eq!(decoded(" \n"), [""; 0]);
        assert_eq!(decoded(&ONE[..20]), ["inside"]);
    }

    #[test]
    fn braces_and_quotes_in_strings_end_nothing() {
        let stream = r#"{"Type":"volume","Action":"{\"}]\\","Actor":{"ID":"ä\u0000"}}{"Type":"image"}"#;
        assert_eq!(decoded(stream), ["volume {\"}]\\ ä\0", "image  "]);
    }

    #[test]
    fn values_that_are_no_events_are_skipped() {
        let stream =
            format!("{{}}{ONE}[{ONE}]{ONE}\"x{{\" {{\"Type\":7}}{ONE}{{\"Type\":{{\"a\":[]}}}} null {ONE}");
        let (skipped, one) = ("skipped", "volume mount a");
        let expected = [skipped, one, skipped, one, skipped, skipped, one, skipped, skipped, one];
        assert_eq!(decoded(stream), expected);
    }

    #[test]
    fn number_is_whole_when_something_follows() {
        let one = "volume mount a";
        assert_eq!(
            decoded(format!("1.41 {ONE}-1e+5{ONE}true\n{ONE}")),
            ["skipped", one, "skipped", one, "skipped", one]
        );
        assert_eq!(decoded("1.41"), ["inside"]);
        assert_eq!(decoded("7,"), ["skipped", "broken"]);
        assert_eq!(decoded(format!("7\"{{\"{ONE}")), ["skipped", "skipped", one]);
        assert_eq!(decoded(format!("{}{ONE}", "7".repeat(101))), ["too long", one]);
    }

    #[test]
    fn text_that_is_no_utf_8_is_skipped() {
        for broken in [&b"\xff"[..], b"\xc3", br"\ud800"] {
            let bytes = [b"{\"Type\":\"", broken, b"\"} ", ONE.as_bytes()].concat();
            assert_eq!(decoded(bytes), ["skipped", "volume mount a"], "{broken:?}");
        }
        let halves = b"{\"Type\":\"volume\",\"Actor\":{\"Attributes\":{\"\xc3\":\"\xbc\"}}}";
        assert_eq!(decoded(halves), ["skipped"], "two strings that are one character");
    }

    #[test]
    fn value_beyond_the_limit_is_skipped() {
        let long = format!(r#"{{"Type":"volume","Action":"{}"}}"#, "}".repeat(100));
        assert_eq!(decoded(format!("{ONE}{long}{ONE}")), ["volume mount a", "too long", "volume mount a"]);
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        assert_eq!(decoded(format!("{deep}{ONE}")), ["too long", "volume mount a"]);
    }

    #[test]
    fn broken_json_ends_the_stream() {
        for broken in ["{\"Type\":}", "nonsense", "{]", "}", "{\"Type\" \"volume\"}"] {
            assert_eq!(decoded(format!("{ONE}{broken} {ONE}")), ["volume mount a", "broken"], "{broken}");
        }
    }

    #[test]
    fn memory_of_a_long_value_is_bounded() {
        let mut decoder = Decoder::new(1 << 16);
        let (mut feed, mut results) = (
            |bytes: &[u8]| {
                let room = decoder.room();
                let length = bytes.len().min(room.len());
                room[..length].copy_from_slice(&bytes[..length]);
                decoder.filled(length);
                let next = decoder.block(|event| panic!("{event}"));
                (decoder.buffer.len().max(decoder.scratch.block.capacity()), next)
            },
            Vec::new(),
        );
        results.push(feed(br#"{"Type":""#));
        results.extend((0..10_000).map(|_| feed(&[b'x'; 10_000])));
        results.push(feed(br#""}"#));
        assert!(results.iter().all(|(size, _)| *size <= 1 << 18));
        let ends = results.iter().filter(|(_, next)| matches!(next, Ok(After::Undecodable(..)))).count();
        assert_eq!(ends, 1);
        assert!(results.iter().all(|(_, next)| next.is_ok()));
    }

    #[test]
    fn texts_of_events_share_a_block_of_bounded_length() {
        let (mut decoder, mut events) = (Decoder::new(1 << 16), Vec::new());
        for _ in 0..20 {
            for _ in 0..50 {
                let room = decoder.room();
                room[..ONE.len()].copy_from_slice(ONE.as_bytes());
                decoder.filled(ONE.len());
            }
            while !matches!(decoder.block(|event| events.push(event)), Ok(After::Dry)) {}
        }
        let blocks: std::collections::HashSet<_> =
            events.iter().map(|event| event.block().as_ptr()).collect();
        assert_eq!((events.len(), blocks.len()), (1000, 20), "at least one for each read");
        assert!(events.iter().all(|event| event.to_string() == "volume mount a"));
        let text = events[0].text().len();
        assert!(events.iter().all(|event| event.block().len() < BLOCK + text));
        assert!(
            events.iter().all(|event| event.detached() == *event && event.detached().block().len() == text)
        );
    }
}
