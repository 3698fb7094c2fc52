//! Why a request came to nothing.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why an [`HttpSink`](crate::HttpSink) did not deliver an event; the source of its
/// [`WriteError::Failed`](buslane::WriteError::Failed).
///
/// # Examples
/// ```
/// use buslane::{Sink, WriteError};
/// use buslane_http::{HttpError, HttpSink};
/// let unreachable = HttpSink::new("http://127.0.0.1:9/")?;
/// if let Err(WriteError::Failed { event, source }) = unreachable.write("push") {
///     let error = source.downcast_ref::<HttpError>().expect("an HTTP sink fails with nothing else");
///     assert_eq!((event, error.is_retryable(), error.status()), ("push", true, None));
/// }
/// # Ok::<(), buslane_http::HttpConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// The endpoint answered, and not with a 2xx.
    #[non_exhaustive]
    Status {
        /// The answer's status.
        status: u16,
        /// When to try again at the earliest, by the answer's `Retry-After`, from when it came.
        retry_after: Option<Duration>,
    },
    /// The proxy did not open a way to the endpoint.
    #[non_exhaustive]
    Proxy {
        /// What the proxy answered with.
        status: u16,
    },
    /// The request was not over in time.
    Timeout,
    /// The endpoint cannot be reached, or the connection broke.
    Connection(io::ErrorKind),
    /// No secure connection could be made; what the TLS library says.
    Tls(String),
    /// What the endpoint answered does not begin with a status line of HTTP/1.
    Protocol,
    /// The event cannot be written as JSON. The serializer's message is left out, since it may
    /// quote the event.
    Unserializable,
}

impl HttpError {
    /// Whether the same request may succeed later: after 408, 429, 5xx, and when there was no
    /// answer with a status.
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

    /// How long the endpoint wants to be left alone, if it said so; zero when that time is over.
    ///
    /// # Examples
    /// ``` no_run
    /// use buslane::{Sink, WriteError};
    /// use buslane_http::{HttpError, HttpSink};
    /// let sink = HttpSink::new("https://example.com/events")?;
    /// if let Err(WriteError::Failed { source, .. }) = sink.write("push")
    ///     && let Some(wait) = source.downcast_ref::<HttpError>().and_then(HttpError::retry_after)
    /// {
    ///     println!("the endpoint wants to be left alone for {wait:?}");
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

    /// The answer's status, if there was an answer.
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

    /// What the client says, without what could be somebody's secret.
    pub(crate) fn of(error: ureq::Error) -> Self {
        use ureq::Error as Client;
        match error {
            Client::Timeout(_) => Self::Timeout,
            Client::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            // What rustls says in the midst of reading.
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
                write!(f, "the endpoint answered with {status}, and wants to be left alone for {after:?}")
            }
            Self::Proxy { status } => write!(f, "the proxy answered with {status}"),
            Self::Timeout => f.write_str("the endpoint did not answer in time"),
            Self::Connection(kind) => write!(f, "the connection to the endpoint failed: {kind}"),
            Self::Tls(text) => write!(f, "no secure connection to the endpoint: {text}"),
            Self::Protocol => f.write_str("what the endpoint answered is not HTTP"),
            Self::Unserializable => f.write_str("the event cannot be written as JSON"),
        }
    }
}

impl Error for HttpError {}

/// How a proxy's refusal travels through the client.
#[derive(Debug)]
pub(crate) struct ProxyRefused(pub(crate) u16);

impl fmt::Display for ProxyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy answered with {}", self.0)
    }
}

impl Error for ProxyRefused {}
