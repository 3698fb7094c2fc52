//! Why an event was not stored.

use crate::subject::{self, SubjectError};
use async_nats::client::PublishErrorKind;
use std::error::Error;
use std::fmt;

/// The reason why a [`JetStream`](crate::JetStream) did not deliver an event.
///
/// It is in a [`Rejected`](crate::Rejected), and its text is the last error in a snapshot. Apart from
/// a message of the server, the text contains nothing of an event.
///
/// # Examples
/// ```
/// use buslane_nats::{PublishError, SubjectError};
/// assert!(!PublishError::Subject(SubjectError::Empty).is_retryable());
/// assert!(PublishError::NoStream.is_retryable()); // it may be created
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The encoder failed. Its message is omitted, since it may quote the event.
    Unencodable,
    /// The encoder, or another function that reads the event, panicked.
    Panicked,
    /// The subject of the event is invalid.
    Subject(SubjectError),
    /// The message id of the event is empty, longer than 255 bytes, or contains a line break.
    MessageId,
    /// The payload with its headers is larger than the server allows.
    TooLarge,
    /// The server refused the message for good, or its client did not send it.
    #[non_exhaustive]
    Refused {
        /// The server's error code; 0 if there is none, as where the client refused.
        code: u64,
        /// The server's or the client's message.
        message: String,
    },
    /// The server did not store the message, and may do so later: the stream is full, the server has
    /// no resources left, or another reason.
    #[non_exhaustive]
    Unavailable {
        /// The server's error code.
        code: u64,
        /// The server's message.
        message: String,
    },
    /// No stream has the subject, or no server that has JetStream is there.
    NoStream,
    /// There is no connection, with the text of the last failure to connect.
    Disconnected(Option<String>),
    /// The connection broke before the acknowledgement.
    Lost,
    /// No acknowledgement came in time.
    Timeout,
    /// The message before it was not stored, and order is strict.
    OutOfOrder,
}

/// The text where the client finds a subject invalid that is none of this crate's reasons.
const CLIENT_REFUSES: &str = "the client finds its subject or its reply subject invalid";

/// What is said of a message whose subject the server has forbidden.
const FORBIDDEN: &str = "the server does not permit to publish to its subject";

impl PublishError {
    /// Returns that the server does not permit to publish to a subject.
    pub(crate) fn forbidden() -> Self {
        Self::Refused { code: 0, message: FORBIDDEN.to_owned() }
    }

    /// Returns why the client does not send a message. `None` means that the client has ended.
    pub(crate) fn of_client(kind: PublishErrorKind, subject: &str) -> Option<Self> {
        match kind {
            PublishErrorKind::MaxPayloadExceeded => Some(Self::TooLarge),
            PublishErrorKind::Send => None,
            // The subject was checked before. The client has rules of its own, also for the reply.
            PublishErrorKind::InvalidSubject => Some(match subject::check(subject) {
                Err(error) => Self::Subject(error),
                Ok(()) => Self::Refused { code: 0, message: CLIENT_REFUSES.to_owned() },
            }),
        }
    }

    /// Returns `true` if a later attempt with the same event may succeed.
    ///
    /// # Examples
    /// ```
    /// use buslane_nats::PublishError;
    /// assert!(PublishError::Timeout.is_retryable());
    /// assert!(!PublishError::TooLarge.is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unencodable
            | Self::Panicked
            | Self::Subject(_)
            | Self::MessageId
            | Self::TooLarge
            | Self::Refused { .. } => false,
            Self::Unavailable { .. }
            | Self::NoStream
            | Self::Disconnected(_)
            | Self::Lost
            | Self::Timeout
            | Self::OutOfOrder => true,
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unencodable => f.write_str("the event cannot be encoded"),
            Self::Panicked => f.write_str("a function that reads the event panicked"),
            Self::Subject(error) => write!(f, "the subject of the event is invalid: {error}"),
            Self::MessageId => {
                f.write_str("the message id of the event is invalid: it needs 1 to 255 bytes on one line")
            }
            Self::TooLarge => f.write_str("the payload is larger than the server allows"),
            Self::Refused { code: 0, message } => write!(f, "the message was refused: {message}"),
            Self::Refused { code, message } => {
                write!(f, "the server refused the message: {message} ({code})")
            }
            Self::Unavailable { code, message } => {
                write!(f, "the server did not store the message: {message} ({code})")
            }
            Self::NoStream => f.write_str("no stream has the subject, or JetStream is unavailable"),
            Self::Disconnected(None) => f.write_str("there is no connection to the server"),
            Self::Disconnected(Some(error)) => write!(f, "there is no connection to the server: {error}"),
            Self::Lost => f.write_str("the connection broke before the acknowledgement"),
            Self::Timeout => f.write_str("no acknowledgement came in time"),
            Self::OutOfOrder => f.write_str("the message before it was not stored"),
        }
    }
}

impl Error for PublishError {}

#[cfg(test)]
mod tests {
    use super::PublishError;
    use crate::subject::SubjectError;
    use async_nats::client::PublishErrorKind;

    #[test]
    fn refusal_of_the_client_has_its_own_reason() {
        let invalid = |subject| PublishError::of_client(PublishErrorKind::InvalidSubject, subject).unwrap();
        assert_eq!(invalid("a b"), PublishError::Subject(SubjectError::Space));
        assert_eq!(invalid("a..b"), PublishError::Subject(SubjectError::Empty));
        // The subject is none of this crate's reasons.
        let other = invalid("a.b");
        assert!(matches!(other, PublishError::Refused { code: 0, .. }) && !other.is_retryable());
        assert!(other.to_string().starts_with("the message was refused: the client "), "{other}");
    }

    #[test]
    fn client_that_has_ended_refuses_no_message() {
        assert_eq!(PublishError::of_client(PublishErrorKind::Send, "a"), None);
        let too_large = PublishError::of_client(PublishErrorKind::MaxPayloadExceeded, "a");
        assert_eq!(too_large, Some(PublishError::TooLarge));
    }
}
