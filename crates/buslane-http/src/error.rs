//! The error of a failed request.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// The reason why an [`HttpSink`](crate::HttpSink) did not deliver an event.
///
/// It is the source of the sink's [`WriteError::Failed`](buslane::WriteError::Failed).
///
/// # Examples
/// ```
/// use buslane::{Sink, WriteError};
/// use buslane_http::{HttpError, HttpSink};
/// let unreachable = HttpSink::new("http://127.0.0.1:9/")?;
/// if let Err(WriteError::Failed { event, source }) = unreachable.write("push") {
///     let error = source.downcast_ref::<HttpError>().expect("the source is an HttpError");
///     assert_eq!((event, error.is_retryable(), error.status()), ("push", true, None));
/// }
/// # Ok::<(), buslane_http::HttpConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// The endpoint answered with a status other than 2xx.
    #[non_exhaustive]
    Status {
        /// The status of the answer.
        status: u16,
        /// The least time until a retry, from the arrival of the answer, by its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The proxy refused the tunnel to the endpoint.
    #[non_exhaustive]
    Proxy {
        /// The status of the proxy's answer.
        status: u16,
    },
    /// The request did not finish in time.
    Timeout,
    /// The endpoint cannot be reached, or the connection broke.
    Connection(io::ErrorKind),
    /// The TLS connection failed, with the TLS library's message.
    Tls(String),
    /// The answer of the endpoint does not begin with an HTTP/1 status line.
    Protocol,
    /// The event cannot be written as JSON. The serializer's message is omitted, since it may quote
    /// the event.
    Unserializable,
}

impl HttpError {
    /// Returns `true` if a retry may succeed: after 408, 429 and 5xx, and when a request got no
    /// status.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::HttpError;
    /// assert!(HttpError::Timeout.is_retryable());
    /// assert!(!HttpError::Unserializable.is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } | Self::Proxy { status } => matches!(status, 408 | 429 | 500..=599),
            Self::Timeout | Self::Connection(_) | Self::Tls(_) | Self::Protocol => true,
            Self::Unserializable => false,
        }
    }

    /// Returns how long the endpoint asks to wait before a retry, if it sent `Retry-After`.
    ///
    /// The time is zero if the endpoint gave a date in the past.
    ///
    /// # Examples
    /// ``` no_run
    /// use buslane::{Sink, WriteError};
    /// use buslane_http::{HttpError, HttpSink};
    /// let sink = HttpSink::new("https://example.com/events")?;
    /// if let Err(WriteError::Failed { source, .. }) = sink.write("push")
    ///     && let Some(wait) = source.downcast_ref::<HttpError>().and_then(HttpError::retry_after)
    /// {
    ///     println!("the endpoint asks to retry after {wait:?}");
    /// }
    /// # Ok::<(), buslane_http::HttpConfigError>(())
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the status of the endpoint's answer, if there was an answer.
    ///
    /// # Examples
    /// ``` no_run
    /// use buslane::{Sink, WriteError};
    /// use buslane_http::{HttpError, HttpSink};
    /// let sink = HttpSink::new("https://example.com/events")?;
    /// if let Err(WriteError::Failed { source, .. }) = sink.write("push")
    ///     && let Some(status) = source.downcast_ref::<HttpError>().and_then(HttpError::status)
    /// {
    ///     println!("the endpoint answered with {status}");
    /// }
    /// # Ok::<(), buslane_http::HttpConfigError>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Converts an error of the HTTP client, without any text that may contain a secret.
    pub(crate) fn of(error: ureq::Error) -> Self {
        use ureq::Error as Client;
        match error {
            Client::Timeout(_) => Self::Timeout,
            Client::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            // An error of rustls during a read.
            Client::Io(error) if error.kind() == io::ErrorKind::InvalidData && error.get_ref().is_some() => {
                Self::Tls(error.to_string())
            }
            Client::Io(error) => Self::Connection(error.kind()),
            Client::HostNotFound => Self::Connection(io::ErrorKind::NotFound),
            Client::Rustls(error) => Self::Tls(error.to_string()),
            Client::Tls(text) => Self::Tls(text.to_owned()),
            Client::Protocol(_) | Client::LargeResponseHeader(..) => Self::Protocol,
            Client::Other(error) => match error.downcast_ref() {
                Some(ProxyRefused(status)) => Self::Proxy { status: *status },
                None => Self::Connection(io::ErrorKind::Other),
            },
            _ => Self::Connection(io::ErrorKind::Other),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, retry_after: None } => write!(f, "the endpoint answered with {status}"),
            Self::Status { status, retry_after: Some(after) } => {
                write!(f, "the endpoint answered with {status} and asks to retry after {after:?}")
            }
            Self::Proxy { status } => write!(f, "the proxy answered with {status}"),
            Self::Timeout => f.write_str("the endpoint did not answer in time"),
            Self::Connection(kind) => write!(f, "the connection to the endpoint failed: {kind}"),
            Self::Tls(text) => write!(f, "the TLS connection to the endpoint failed: {text}"),
            Self::Protocol => f.write_str("the endpoint's answer is not HTTP/1"),
            Self::Unserializable => f.write_str("the event cannot be written as JSON"),
        }
    }
}

impl Error for HttpError {}

/// The error that carries a proxy's refusal through the HTTP client.
#[derive(Debug)]
pub(crate) struct ProxyRefused(pub(crate) u16);

impl fmt::Display for ProxyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy answered with {}", self.0)
    }
}

impl Error for ProxyRefused {}
