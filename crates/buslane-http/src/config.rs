//! The errors of invalid settings.

use std::error::Error;
use std::fmt;

/// An invalid setting of an [`HttpSink`](crate::HttpSink), returned by
/// [`HttpSinkBuilder::build`](crate::HttpSinkBuilder::build).
///
/// The error contains no URL, header or certificate, since each may contain a secret.
///
/// # Examples
/// ```
/// use buslane_http::{HttpConfigErrorKind, HttpSink};
/// use std::time::Duration;
/// let sink = HttpSink::<String>::builder("https://example.com/events").timeout(Duration::ZERO);
/// let error = sink.build().unwrap_err();
/// assert_eq!(error.kind(), HttpConfigErrorKind::Timeout);
/// assert_eq!(error.to_string(), "timeout 0s is invalid: a request needs more than 0s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpConfigError(Invalid);

/// The setting that is invalid.
///
/// # Examples
/// ```
/// use buslane_http::{HttpConfigErrorKind, HttpSink};
/// let error = HttpSink::<String>::new("/events").unwrap_err();
/// assert_eq!(error.kind(), HttpConfigErrorKind::Url);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpConfigErrorKind {
    /// The endpoint is not an absolute `http://` or `https://` URL.
    Url,
    /// The endpoint's URL contains a user or a password, which logs and proxies may reveal. Pass
    /// credentials in a header.
    Credentials,
    /// HTTP does not allow the header's name or value, or only the HTTP client sets this header.
    Header,
    /// The root certificates contain no certificate in PEM format, or an invalid one.
    Certificate,
    /// The proxy is not an `http://` or `https://` URL. The error text names its source: the
    /// environment variable, or `proxy` for the setting.
    Proxy,
    /// The timeout of a request is zero.
    Timeout,
    /// The longest event of a source is zero.
    MaxEvent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    Url,
    CredentialsInUrl,
    Header,
    Certificate,
    /// The value is not kept, since it may contain a password.
    Proxy {
        setting: &'static str,
    },
    ZeroTimeout,
    ZeroMaxEvent,
}

impl HttpConfigError {
    /// Returns the setting that is invalid.
    ///
    /// # Examples
    /// ```
    /// use buslane_http::{HttpConfigErrorKind, HttpSink};
    /// let error = HttpSink::<String>::new("https://me:secret@example.com/").unwrap_err();
    /// assert_eq!(error.kind(), HttpConfigErrorKind::Credentials);
    /// ```
    #[must_use]
    pub const fn kind(&self) -> HttpConfigErrorKind {
        match self.0 {
            Invalid::Url => HttpConfigErrorKind::Url,
            Invalid::CredentialsInUrl => HttpConfigErrorKind::Credentials,
            Invalid::Header => HttpConfigErrorKind::Header,
            Invalid::Certificate => HttpConfigErrorKind::Certificate,
            Invalid::Proxy { .. } => HttpConfigErrorKind::Proxy,
            Invalid::ZeroTimeout => HttpConfigErrorKind::Timeout,
            Invalid::ZeroMaxEvent => HttpConfigErrorKind::MaxEvent,
        }
    }
}

impl From<Invalid> for HttpConfigError {
    fn from(invalid: Invalid) -> Self {
        Self(invalid)
    }
}

impl fmt::Display for HttpConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Invalid::Url => f.write_str(
                "the endpoint's URL is invalid: give an absolute URL, http://host/path or https://host:port/path",
            ),
            Invalid::CredentialsInUrl => f.write_str(
                "the endpoint's URL contains credentials: pass them in a header, such as Authorization",
            ),
            Invalid::Header => f.write_str(
                "the header is invalid: give a name and a value that HTTP allows, and none of Connection, \
                 Content-Length, Host and Transfer-Encoding, which the client sets",
            ),
            Invalid::Certificate => {
                f.write_str("the root certificates are invalid: give at least 1 certificate in PEM format")
            }
            Invalid::Proxy { setting } => {
                write!(f, "{setting} is invalid: give a proxy URL, http://host:port or https://host:port")
            }
            Invalid::ZeroTimeout => f.write_str("timeout 0s is invalid: a request needs more than 0s"),
            Invalid::ZeroMaxEvent => {
                f.write_str("longest event of 0 bytes is invalid: it must be at least 1 byte")
            }
        }
    }
}

impl Error for HttpConfigError {}
