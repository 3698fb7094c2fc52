//! The chunks of an HTTP body, as they arrive.
//!
//! An engine puts each event into one chunk. So the framing is removed in place, in the buffer that the
//! events are decoded in, at the price of one move of the bytes.

use std::io::{self, ErrorKind};

/// The longest hexadecimal number of a chunk's length.
const MOST_DIGITS: u32 = 16;

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The length of a chunk, with the digits until now.
    Length { length: u64, digits: u32 },
    /// What may follow the length, up to the end of the line.
    Extension { length: u64 },
    /// The line feed after a length.
    LengthEnd { length: u64 },
    /// The rest of a chunk.
    Data { left: u64 },
    /// The carriage return after a chunk.
    DataEnd,
    /// The line feed after a chunk.
    DataLineEnd,
    /// The body has ended. Trailers may follow, and are of no interest.
    Over,
}

/// The framing of a body, between two reads.
#[derive(Debug)]
pub(crate) struct Chunks(Part);

const LENGTH: Part = Part::Length { length: 0, digits: 0 };

fn broken() -> io::Error {
    ErrorKind::InvalidData.into()
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self(LENGTH)
    }

    /// Returns whether the body has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.0 == Part::Over
    }

    /// Removes the framing from the bytes that were read next, and returns how many are left of them, at
    /// the beginning.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] if they are no chunks.
    pub(crate) fn strip(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (mut at, mut kept) = (0, 0);
        while let Some(byte) = bytes.get(at).copied() {
            if let Part::Data { left } = self.0 {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                bytes.copy_within(at..at + length, kept);
                (at, kept) = (at + length, kept + length);
                let left = left - length as u64;
                self.0 = if left == 0 { Part::DataEnd } else { Part::Data { left } };
                continue;
            }
            at += 1;
            self.0 = match (self.0, byte) {
                (Part::Length { length, digits }, _) if byte.is_ascii_hexdigit() && digits < MOST_DIGITS => {
                    let digit = char::from(byte).to_digit(16).unwrap_or(0);
                    Part::Length { length: length << 4 | u64::from(digit), digits: digits + 1 }
                }
                (Part::Length { digits: 0, .. }, _) => return Err(broken()),
                (Part::Length { length, .. } | Part::Extension { length }, b'\r') => {
                    Part::LengthEnd { length }
                }
                (Part::Length { length, .. }, b';' | b' ' | b'\t') => Part::Extension { length },
                (Part::Extension { length }, _) if byte != b'\n' => Part::Extension { length },
                (Part::LengthEnd { length: 0 }, b'\n') => Part::Over,
                (Part::LengthEnd { length }, b'\n') => Part::Data { left: length },
                (Part::DataEnd, b'\r') => Part::DataLineEnd,
                (Part::DataLineEnd, b'\n') => LENGTH,
                (Part::Over, _) => return Ok(kept),
                _ => return Err(broken()),
            };
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    /// Strips a body in pieces. Returns what is left of it, and whether it has ended.
    fn in_pieces(body: &[u8], piece: usize) -> Option<(Vec<u8>, bool)> {
        let (mut chunks, mut all) = (Chunks::new(), Vec::new());
        for bytes in body.chunks(piece) {
            let mut bytes = bytes.to_vec();
            let kept = chunks.strip(&mut bytes).ok()?;
            all.extend_from_slice(&bytes[..kept]);
        }
        Some((all, chunks.is_over()))
    }

    /// Strips a body in pieces of each size, with the same result.
    fn stripped(body: impl AsRef<[u8]>) -> Option<(String, bool)> {
        let body = body.as_ref();
        let whole = in_pieces(body, body.len());
        (1..body.len()).for_each(|piece| assert_eq!(in_pieces(body, piece), whole, "by {piece}"));
        whole.map(|(text, is_over)| (String::from_utf8(text).unwrap(), is_over))
    }

    #[test]
    fn framing_is_removed_wherever_a_read_ends() {
        let body = "1\r\na\r\n0B\r\nbcdefghijkl\r\n3;name=\"value\"\r\n\r\n}\r\n0\r\n\r\n";
        assert_eq!(stripped(body), Some(("abcdefghijkl\r\n}".into(), true)));
        assert_eq!(stripped("1  \r\na\r\n0\r\nTrailer: 5\r\n\r\n"), Some(("a".into(), true)));
        assert_eq!(stripped("0\r\n"), Some((String::new(), true)), "an engine may end after the last length");
    }

    #[test]
    fn body_without_a_last_chunk_has_not_ended() {
        for body in ["1", "1\r", "1\r\n", "1\r\na", "1\r\na\r", "1\r\na\r\n", "1\r\na\r\n0", "1\r\na\r\n0\r"]
        {
            assert!(stripped(body).is_some_and(|(_, is_over)| !is_over), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        let long = format!("{}\r\n", "1".repeat(17));
        for body in ["\r\n", "g\r\n", "-1\r\n", "1\n", "1\ra", "1\r\nab", "1\r\na\n", "1;a\n", long.as_str()]
        {
            assert_eq!(stripped(body), None, "{body:?}");
        }
    }

    #[test]
    fn longest_chunk_does_not_overflow() {
        assert_eq!(stripped("ffffffffffffffff\r\nabc"), Some(("abc".into(), false)));
    }
}
