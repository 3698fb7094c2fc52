//! Decoding of one event in the form in which engines send it: an object with nothing between its
//! tokens, known fields, strings without escapes, and whole numbers.
//!
//! An event has twenty strings or more, and the generality of a JSON decoder costs more for each of
//! them than its bytes do. So this form is decoded here, eight bytes at a time. Anything else, and
//! everything that is invalid or not whole, is left to the decoder of `decode.rs`, whose result is
//! the same for this form too. Only that decoder says what an error is.

use crate::event::{Outline, Span};
use crate::parts::{Actor, ActorField, Field, Parts, Scratch, append, begin_entry, end_entry};

/// The most digits of a number that fits into 64 bits, whatever they are.
const MOST_DIGITS: usize = 19;

/// Decodes the event that the bytes begin with, and returns its length. `None` if it does not have
/// the usual form, so that the other decoder must decide.
pub(crate) fn decode(bytes: &[u8], scratch: &mut Scratch) -> Option<(Outline, usize)> {
    let Scratch { text, rest, .. } = scratch;
    text.clear();
    rest.clear();
    let (mut cursor, mut parts) = (Cursor { bytes, at: 0 }, Parts::default());
    cursor.expect(b'{')?;
    loop {
        let field = Field::of(cursor.string()?);
        cursor.expect(b':')?;
        match field {
            Field::Kind => parts.kind = Some(append(text, cursor.string()?).ok()?),
            Field::Action => parts.action = Some(append(text, cursor.string()?).ok()?),
            Field::Actor => parts.actor = Some(cursor.actor(text)?),
            Field::Scope => parts.scope = Some(append(rest, cursor.string()?).ok()?),
            Field::Time => parts.time = Some(cursor.number()?),
            Field::TimeNano => parts.nanos = Some(cursor.number()?),
            Field::Status => parts.status = Some(append(rest, cursor.string()?).ok()?),
            Field::Id => parts.id = Some(append(rest, cursor.string()?).ok()?),
            Field::From => parts.from = Some(append(rest, cursor.string()?).ok()?),
            Field::Health => parts.health = Some(append(rest, cursor.string()?).ok()?),
            Field::Message | Field::Other => return None,
        }
        if !cursor.has_another()? {
            break;
        }
    }
    Some((parts.join(scratch).ok()?, cursor.at))
}

/// A position in the bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.bytes.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    /// Returns whether another member of an object follows, or the end of the object.
    #[inline]
    fn has_another(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            b'}' => Some(false),
            _ => None,
        }
    }

    /// Returns a string that has no escapes.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let rest = self.bytes.get(self.at..)?;
        let length = plain_length(rest);
        if rest.get(length) != Some(&b'"') {
            return None;
        }
        self.at += length + 1;
        rest.get(..length)
    }

    #[inline]
    fn number(&mut self) -> Option<i64> {
        let rest = self.bytes.get(self.at..)?;
        let mut number: u64 = 0;
        let mut digits = 0;
        while let Some(digit) =
            rest.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            if digits == MOST_DIGITS {
                return None;
            }
            number = number * 10 + u64::from(digit);
            digits += 1;
        }
        // Neither a leading zero nor a fraction.
        if digits == 0 || (rest[0] == b'0' && digits > 1) || !matches!(rest.get(digits), Some(b',' | b'}')) {
            return None;
        }
        self.at += digits;
        Some(number.try_into().unwrap_or(i64::MAX))
    }

    #[inline]
    fn actor(&mut self, text: &mut Vec<u8>) -> Option<Actor> {
        self.expect(b'{')?;
        let mut actor = Actor::default();
        loop {
            let field = ActorField::of(self.string()?);
            self.expect(b':')?;
            match field {
                ActorField::Id => actor.id = Some(append(text, self.string()?).ok()?),
                ActorField::Attributes => actor.attributes = Some(self.attributes(text)?),
                ActorField::Other => return None,
            }
            if !self.has_another()? {
                return Some(actor);
            }
        }
    }

    #[inline]
    fn attributes(&mut self, text: &mut Vec<u8>) -> Option<Span> {
        self.expect(b'{')?;
        let begin = text.len();
        if self.expect(b'}').is_some() {
            return Some(Span::between(begin, begin));
        }
        loop {
            let head = begin_entry(text);
            let key = append(text, self.string()?).ok()?;
            self.expect(b':')?;
            let value = append(text, self.string()?).ok()?;
            end_entry(text, head, key, value);
            if !self.has_another()? {
                return Some(Span::between(begin, text.len()));
            }
        }
    }
}

/// Returns the number of bytes before the first quote or backslash.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const QUOTES: u64 = ONES * b'"' as u64;
    const BACKSLASHES: u64 = ONES * b'\\' as u64;
    // The lowest of its bits is at a byte that is zero.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
    words.len() * 8 + end
}

#[cfg(test)]
mod tests {
    use super::{decode, plain_length};
    use crate::event::DockerEvent;
    use crate::parts::Scratch;

    fn plain(json: &str) -> Option<DockerEvent> {
        let mut scratch = Scratch::default();
        let (event, length) = decode(json.as_bytes(), &mut scratch)?;
        (length == json.len()).then(|| event.in_block(&scratch.block.into()))
    }

    /// Asserts that both decoders agree, and returns whether the form is the usual one.
    fn agrees(json: &str) -> bool {
        let plain = plain(json);
        if let Some(plain) = &plain {
            let general: DockerEvent = serde_json::from_str(json).unwrap();
            assert_eq!((plain, plain.text()), (&general, general.text()), "{json}");
            let of = |event: &DockerEvent| (event.outline.precision, event.outline.time_nano);
            assert_eq!(of(plain), of(&general), "{json}");
        }
        plain.is_some()
    }

    const USUAL: [&str; 7] = [
        r#"{"Type":"container","Action":"die","Actor":{"ID":"4f2a","Attributes":{"exitCode":"0","name":"web"}},"scope":"local","time":1700000000,"timeNano":1700000000000000001}"#,
        r#"{"status":"die","id":"4f2a","from":"alpine","Type":"container","Action":"die","Actor":{"ID":"4f2a","Attributes":{}},"time":0,"timeNano":0}"#,
        r#"{"status":"tag","id":"4f2a","from":"alpine","time":1700000000}"#,
        r#"{"Type":"container","Action":"health_status","HealthStatus":"healthy","timeNano":9999999999999999999}"#,
        r#"{"Action":"","Action":"später","Actor":{"Attributes":{"":"","ä":"ö"},"ID":"é"}}"#,
        r#"{"Actor":{"ID":"a","ID":"b"},"scope":"neither"}"#,
        "{\"Type\":\"a\tb\u{7f}\"}",
    ];

    #[test]
    fn usual_form_gives_the_event_of_the_other_decoder() {
        for json in USUAL {
            assert!(agrees(json), "{json}");
            let prefixes = (0..json.len()).filter(|end| json.is_char_boundary(*end));
            assert!(prefixes.map(|end| &json[..end]).all(|part| plain(part).is_none()));
        }
    }

    #[test]
    fn every_changed_byte_gives_the_same_or_is_left() {
        for json in USUAL {
            for (at, _) in json.bytes().enumerate().filter(|(_, byte)| byte.is_ascii()) {
                for other in b"\"\\{}[]:,0-1.e \n\0x" {
                    let mut bytes = json.as_bytes().to_vec();
                    bytes[at] = *other;
                    agrees(std::str::from_utf8(&bytes).unwrap());
                }
            }
        }
    }

    #[test]
    fn unusual_forms_are_left_to_the_other_decoder() {
        for json in [
            r#"{"Type": "volume"}"#,
            r#"{"Type":"a\nb"}"#,
            r#"{"Type":null}"#,
            r#"{"Type":"volume","time":-1}"#,
            r#"{"Type":"volume","time":1.5}"#,
            r#"{"Type":"volume","time":1e3}"#,
            r#"{"Type":"volume","time":10000000000000000000}"#,
            r#"{"Type":"volume","time":01}"#,
            r#"{"Type":"volume","Other":"x"}"#,
            r#"{"Type":"volume","Actor":{}}"#,
            r#"{"message":"none"}"#,
            "{}",
            "[]",
            "",
        ] {
            assert!(!agrees(json), "{json}");
        }
        let halves = b"{\"Type\":\"volume\",\"Actor\":{\"Attributes\":{\"\xc3\":\"\xbc\"}}}";
        assert!(decode(halves, &mut Scratch::default()).is_none());
    }

    #[test]
    fn end_of_a_string_is_found_at_each_position() {
        for length in 0..40 {
            for end in [b'"', b'\\'] {
                for before in [b'!', b'#', b'[', b']', b'\0', b'\x80', b'\xff'] {
                    let mut bytes = vec![before; length];
                    assert_eq!(plain_length(&bytes), length);
                    bytes.extend([end, b'"', b'\\', before, before, before, before, before]);
                    assert_eq!(plain_length(&bytes), length);
                }
            }
        }
    }
}
