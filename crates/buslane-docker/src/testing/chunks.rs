//! How events are divided into the chunks of a body.

/// How a [`ScriptedEngine`](crate::testing::ScriptedEngine) divides events into the chunks of a
/// body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// One chunk for each event, which ends with a newline.
    #[default]
    Lines,
    /// One chunk for each event, which ends with a carriage return and a newline.
    CarriageReturns,
    /// One chunk for each event, and nothing between two events.
    NoNewlines,
    /// One chunk for all events of a call or of the history, each with a newline.
    SharedChunks,
    /// One chunk for each byte.
    SingleBytes,
}

/// Where a connection ends inside an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// In a chunk, of which only a half is sent.
    MidChunk,
    /// After a whole chunk, which has half of the object.
    MidObject,
    /// After a whole chunk, which ends inside the first character that has several bytes. Without
    /// such a character it is [`MidObject`](Self::MidObject).
    MidCharacter,
}

/// What ends a body properly.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Returns a chunk. No bytes are no chunk: an empty one would end the body.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

impl Framing {
    /// Returns the chunks of some events, in as many pieces as can be lost separately.
    pub(super) fn pieces(self, events: &[&str]) -> Vec<Vec<u8>> {
        let each = |end: &str| events.iter().map(|event| chunk(format!("{event}{end}").as_bytes())).collect();
        match self {
            Self::Lines => each("\n"),
            Self::CarriageReturns => each("\r\n"),
            Self::NoNewlines => each(""),
            Self::SharedChunks if events.is_empty() => Vec::new(),
            Self::SharedChunks => vec![chunk(format!("{}\n", events.join("\n")).as_bytes())],
            Self::SingleBytes => {
                let bytes =
                    |event: &&str| format!("{event}\n").bytes().flat_map(|byte| chunk(&[byte])).collect();
                events.iter().map(bytes).collect()
            }
        }
    }
}

impl Cut {
    /// Returns what is sent of an event before the cut.
    pub(super) fn piece(self, event: &str) -> Vec<u8> {
        let bytes = event.as_bytes();
        let half = bytes.len() / 2;
        match self {
            Self::MidChunk => {
                let mut chunk = chunk(bytes);
                chunk.truncate(chunk.len() - 2 - half);
                chunk
            }
            Self::MidObject => chunk(&bytes[..half]),
            Self::MidCharacter => {
                let first = bytes.iter().position(|byte| !byte.is_ascii());
                chunk(&bytes[..first.map_or(half, |index| index + 1)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: Vec<Vec<u8>>) -> String {
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn framings_differ_in_chunks_only() {
        assert_eq!(text(Framing::Lines.pieces(&["{}", "[]"])), "3\r\n{}\n\r\n3\r\n[]\n\r\n");
        assert_eq!(text(Framing::CarriageReturns.pieces(&["{}"])), "4\r\n{}\r\n\r\n");
        assert_eq!(text(Framing::NoNewlines.pieces(&["{}", "[]"])), "2\r\n{}\r\n2\r\n[]\r\n");
        assert_eq!(text(Framing::SharedChunks.pieces(&["{}", "[]"])), "6\r\n{}\n[]\n\r\n");
        assert_eq!(text(Framing::SingleBytes.pieces(&["{}"])), "1\r\n{\r\n1\r\n}\r\n1\r\n\n\r\n");
        assert_eq!(text(Framing::SharedChunks.pieces(&[])), "");
    }

    #[test]
    fn cuts_are_inside_an_event() {
        assert_eq!(Cut::MidChunk.piece("123456"), b"6\r\n123");
        assert_eq!(Cut::MidObject.piece("123456"), b"3\r\n123\r\n");
        assert_eq!(Cut::MidCharacter.piece("\"é\""), b"2\r\n\"\xc3\r\n");
        assert_eq!(Cut::MidCharacter.piece("1234"), b"2\r\n12\r\n");
    }
}
