//! The errors of invalid settings.

use crate::subject::SubjectError;
use buslane::error::ConfigError;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// An invalid setting of a [`JetStream`](crate::JetStream) or a
/// [`JetStreamSource`](crate::JetStreamSource).
///
/// Its text contains no password and no token.
///
/// # Examples
/// ```
/// use buslane_nats::{JetStream, NatsConfigErrorKind};
/// let error = JetStream::<u32>::builder("http://localhost").connect_lazy().unwrap_err();
/// assert_eq!(error.kind(), NatsConfigErrorKind::Url);
/// assert_eq!(error.to_string(), "the scheme http is not supported: give nats://host:port or tls://host:port");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NatsConfigError(Invalid);

/// The setting that is invalid.
///
/// # Examples
/// ```
/// use buslane_nats::{JetStream, NatsConfigErrorKind};
/// let error = JetStream::<u32>::builder("nats://localhost").subject("numbers").connect_lazy().unwrap_err();
/// assert_eq!(error.kind(), NatsConfigErrorKind::Encoder); // how an event becomes a payload
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NatsConfigErrorKind {
    /// The address of the server.
    Url,
    /// The subject or the filter.
    Subject,
    /// How an event becomes a payload is missing.
    Encoder,
    /// The name of a stream or a consumer.
    Name,
    /// A number of messages or bytes.
    Limit,
    /// A duration.
    Duration,
    /// A retry policy or a backoff.
    Retry,
    /// The system cannot start the thread of the runtime.
    Runtime,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Invalid {
    Scheme(String),
    Url,
    Subject(SubjectError),
    NoSubject,
    NoEncoder,
    Name(&'static str),
    Zero(&'static str),
    TooMany { what: &'static str, value: u64, most: u64 },
    ZeroDuration(&'static str),
    TooShort { what: &'static str, value: Duration, least: Duration },
    Retry(String),
    Runtime(io::ErrorKind),
}

impl NatsConfigError {
    /// Returns the setting that is invalid.
    #[must_use]
    pub const fn kind(&self) -> NatsConfigErrorKind {
        match self.0 {
            Invalid::Scheme(_) | Invalid::Url => NatsConfigErrorKind::Url,
            Invalid::Subject(_) | Invalid::NoSubject => NatsConfigErrorKind::Subject,
            Invalid::NoEncoder => NatsConfigErrorKind::Encoder,
            Invalid::Name(_) => NatsConfigErrorKind::Name,
            Invalid::Zero(_) | Invalid::TooMany { .. } => NatsConfigErrorKind::Limit,
            Invalid::ZeroDuration(_) | Invalid::TooShort { .. } => NatsConfigErrorKind::Duration,
            Invalid::Retry(_) => NatsConfigErrorKind::Retry,
            Invalid::Runtime(_) => NatsConfigErrorKind::Runtime,
        }
    }
}

impl From<Invalid> for NatsConfigError {
    fn from(invalid: Invalid) -> Self {
        Self(invalid)
    }
}

impl From<ConfigError> for Invalid {
    fn from(error: ConfigError) -> Self {
        Self::Retry(error.to_string())
    }
}

impl fmt::Display for NatsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Invalid::Scheme(scheme) => {
                write!(f, "the scheme {scheme} is not supported: give nats://host:port or tls://host:port")
            }
            Invalid::Url => {
                f.write_str("the server's address is invalid: give nats://host:port or tls://host:port")
            }
            Invalid::Subject(error) => write!(f, "the subject is invalid: {error}"),
            Invalid::NoSubject => f.write_str("the subject is missing: give `subject` or `subject_by`"),
            Invalid::NoEncoder => f.write_str("the encoding is missing: give `json` or `encode`"),
            Invalid::Name(what) => write!(
                f,
                "the name of the {what} is invalid: it needs 1 to 255 bytes without spaces, dots, slashes and wildcards"
            ),
            Invalid::Zero(what) => write!(f, "{what} of 0 is invalid: it must be at least 1"),
            Invalid::TooMany { what, value, most } => {
                write!(f, "{what} of {value} is invalid: it must be at most {most}")
            }
            Invalid::ZeroDuration(what) => write!(f, "{what} 0s is invalid: it must be more than 0s"),
            Invalid::TooShort { what, value, least } => {
                write!(f, "{what} {value:?} is invalid: it must be at least {least:?}")
            }
            Invalid::Retry(error) => write!(f, "the retry policy is invalid: {error}"),
            Invalid::Runtime(kind) => write!(f, "the thread of the runtime cannot be started: {kind}"),
        }
    }
}

impl Error for NatsConfigError {}
