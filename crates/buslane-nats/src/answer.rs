//! The server's answer to a publish, and what it means for the message.

use crate::error::PublishError;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{Message, StatusCode};

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The message is stored: now, or before under the same id.
    Stored { duplicate: bool },
    /// It is not stored.
    Failed(PublishError),
}

/// Reads an answer. `None` means that it is no answer to a publish: the message stays unanswered.
pub(crate) fn read(message: &Message) -> Option<Answer> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Some(Answer::Failed(PublishError::NoStream));
    }
    Some(match serde_json::from_slice(&message.payload).ok()? {
        Response::Ok(PublishAck { duplicate, .. }) => Answer::Stored { duplicate },
        Response::Err { error } => {
            // The text of the error ends with its codes.
            let text = error.to_string();
            let message = text.split(" (code ").next().unwrap_or_default().to_owned();
            Answer::Failed(classify(error.code(), error.error_code(), message))
        }
    })
}

/// Decides by the codes of an error whether a later attempt may succeed.
///
/// The server uses the codes of HTTP: what is wrong with the message is 400, what is wrong with the
/// server or the stream at this moment is 429 or 5xx.
fn classify(status: usize, code: ErrorCode, message: String) -> PublishError {
    match code {
        ErrorCode::STREAM_WRONG_LAST_MESSAGE_ID => return PublishError::OutOfOrder,
        ErrorCode::STREAM_NOT_FOUND => return PublishError::NoStream,
        // A first copy of the message is being stored; the account is full, which the server of a
        // cluster calls a bad request.
        ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => {
            return PublishError::Unavailable { code: code.0, message };
        }
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            return PublishError::TooLarge;
        }
        _ => {}
    }
    match status {
        400..=403 | 405..=428 => PublishError::Refused { code: code.0, message },
        _ => PublishError::Unavailable { code: code.0, message },
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, read};
    use crate::error::PublishError;
    use async_nats::{Message, StatusCode};

    fn message(payload: &str, status: Option<StatusCode>) -> Message {
        Message {
            subject: "_INBOX.1.0".into(),
            reply: None,
            payload: payload.to_owned().into(),
            headers: None,
            status,
            description: None,
            length: payload.len(),
        }
    }

    fn error(status: u16, code: u64, text: &str) -> String {
        format!(
            r#"{{"error":{{"code":{status},"err_code":{code},"description":"{text}"}},"stream":"S","seq":0}}"#
        )
    }

    #[test]
    fn acknowledgement_is_the_only_success() {
        let stored = |payload: &str| read(&message(payload, None));
        assert_eq!(stored(r#"{"stream":"S","seq":7}"#), Some(Answer::Stored { duplicate: false }));
        let again = r#"{"stream":"S","domain":"d","seq":7,"duplicate":true,"new field":[1]}"#;
        assert_eq!(stored(again), Some(Answer::Stored { duplicate: true }));
        for malformed in ["", "{}", "+OK", "null", "{\"seq\":7", "[]", "\u{0}"] {
            assert_eq!(stored(malformed), None, "{malformed:?}");
        }
        let nothing = message("", Some(StatusCode::NO_RESPONDERS));
        assert_eq!(read(&nothing), Some(Answer::Failed(PublishError::NoStream)));
    }

    #[test]
    fn errors_are_told_apart_by_their_codes() {
        let failed = |status, code, text| match read(&message(&error(status, code, text), None)) {
            Some(Answer::Failed(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(404, 10059, "stream not found"), PublishError::NoStream);
        assert_eq!(failed(400, 10070, "wrong last msg ID: x"), PublishError::OutOfOrder);
        assert_eq!(failed(400, 10054, "message size exceeds maximum allowed"), PublishError::TooLarge);
        let text = |text: &str| text.to_owned();
        for (status, code, message) in [
            (503, 10077, "maximum messages exceeded"),
            (503, 10023, "insufficient resources"),
            (429, 10167, "too many requests"),
            (503, 10008, "JetStream system temporarily unavailable"),
            (409, 10158, "duplicate message id is in process"),
        ] {
            let expected = PublishError::Unavailable { code, message: text(message) };
            assert_eq!(failed(status, code, message), expected);
            assert!(expected.is_retryable());
        }
        for (status, code, message) in
            [(400, 10060, "expected stream does not match"), (400, 10109, "sealed")]
        {
            let expected = PublishError::Refused { code, message: text(message) };
            assert_eq!(failed(status, code, message), expected);
            assert!(!expected.is_retryable());
        }
    }
}
