//! The endpoint's answer to the export that this thread has just made, and the partial success in
//! it.

use super::error::cut;
use std::cell::Cell;
use std::time::Duration;

/// What an endpoint answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The number of records that the endpoint rejected although it accepted the request.
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

thread_local! {
    // An exporter reports only success or failure, and a text. The client below it leaves the
    // answer here: a worker polls its export on its own thread.
    static LAST: Cell<Option<Answer>> = const { Cell::new(None) };
}

/// Keeps the answer of an export for the code that began it, or forgets the previous one.
pub(crate) fn keep(answer: Option<Answer>) {
    // During the destruction of the thread's locals no export is waiting.
    let _ = LAST.try_with(|last| last.set(answer));
}

/// Takes the answer of the last export on this thread.
pub(crate) fn take() -> Option<Answer> {
    LAST.try_with(Cell::take).ok().flatten()
}

/// Returns whether a status means that the endpoint accepted the request.
pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Reads the number of rejected records and the message from the body of an answer: a protobuf
/// `ExportLogsServiceResponse`. A malformed body rejects nothing, since the status is a success.
pub(crate) fn partial_success(body: &[u8]) -> (u64, String) {
    let mut partial = (0, String::new());
    let mut response = Fields(body);
    while let Some(field) = response.next() {
        let (1, Value::Bytes(message)) = field else { continue };
        let mut fields = Fields(message);
        while let Some(field) = fields.next() {
            match field {
                // The number is a signed one on the wire; a negative one is invalid.
                (1, Value::Number(number)) => partial.0 = u64::try_from(number.cast_signed()).unwrap_or(0),
                (2, Value::Bytes(text)) => partial.1 = cut(String::from_utf8_lossy(text).into_owned()),
                _ => {}
            }
        }
    }
    partial
}

/// The value of a field.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A fixed number, which this reader skips.
    Fixed,
}

/// A reader of the fields of a protobuf message, which ends at the first malformed one.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.bytes(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Reads a variable-length number of at most ten bytes.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            // The highest bits of a tenth byte do not fit, and are not part of a valid number.
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::partial_success;
    use opentelemetry_proto::tonic::collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceResponse,
    };
    use prost::Message;

    fn encoded(rejected: i64, message: &str) -> Vec<u8> {
        let partial =
            ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: message.into() };
        ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    }

    #[test]
    fn partial_success_is_read_as_it_was_encoded() {
        for (rejected, message) in [(0, ""), (1, "too old"), (300, "é"), (i64::MAX, ""), (0, "a warning")] {
            let expected = (rejected.cast_unsigned(), message.to_owned());
            assert_eq!(partial_success(&encoded(rejected, message)), expected);
        }
        assert_eq!(partial_success(&encoded(-1, "")), (0, String::new()));
        assert_eq!(partial_success(&[]), (0, String::new()));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let mut body = vec![0x18, 0x96, 0x01, 0x25, 1, 2, 3, 4, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 0x32, 2, 1, 1];
        body.extend(encoded(7, "old"));
        assert_eq!(partial_success(&body), (7, "old".to_owned()));
    }

    #[test]
    fn malformed_body_never_panics() {
        let whole = encoded(1000, "the message");
        for end in 0..whole.len() {
            let _ = partial_success(&whole[..end]);
        }
        for bytes in
            [&[0xff_u8; 20][..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f], &[0x0f], b"{\"partialSuccess\":{}}"]
        {
            assert_eq!(partial_success(bytes), (0, String::new()));
        }
    }

    #[test]
    fn long_message_is_cut_between_characters() {
        let (_, message) = partial_success(&encoded(1, &"é".repeat(1000)));
        assert_eq!(message, "é".repeat(200));
    }
}
