//! Settings that are invalid.

use std::error::Error;
use std::fmt;

/// Why a setting of an [`HttpSink`](crate::HttpSink) is invalid.
///
/// No variant holds a URL, a header or a certificate, since each may contain a secret.
///
/// # Examples
/// ```
/// use buslane_http::{HttpConfigError, HttpSink};
/// use std::time::Duration;
/// let sink = HttpSink::<String>::new("https://example.com/events")?;
/// let error = sink.timeout(Duration::ZERO).unwrap_err();
/// assert_eq!(error, HttpConfigError::ZeroTimeout);
/// assert_eq!(error.to_string(), "timeout 0s is invalid: a request needs more than 0s");
/// # Ok::<(), HttpConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpConfigError {
    /// The endpoint is not an absolute `http://` or `https://` URL.
    BadUrl,
    /// The endpoint's URL contains a user or a password, which logs and proxies show. A header is the position for credentials.
    CredentialsInUrl,
    /// HTTP does not allow the header's name or value, or only the client sets this header.
    BadHeader,
    /// The text contains no certificate in PEM format, or an invalid one.
    BadCertificate,
    /// The proxy is not an `http://` or `https://` URL. The value is not kept, since it may contain a password.
    BadProxy {
        /// The source of the value: the environment variable, or `proxy` for the setting.
        setting: &'static str,
    },
    /// The timeout of a request is zero.
    ZeroTimeout,
}

impl fmt::Display for HttpConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl => f.write_str(
                "the endpoint's URL is invalid: give an absolute URL, http://host/path or https://host:port/path",
            ),
            Self::CredentialsInUrl => f.write_str(
                "the endpoint's URL contains credentials: give them in a header, such as Authorization",
            ),
            Self::BadHeader => f.write_str(
                "the header is invalid: give a name and a value that HTTP allows, and none of Connection, \
                 Content-Length, Host and Transfer-Encoding, which the client sets",
            ),
            Self::BadCertificate => {
                f.write_str("the root certificates are invalid: give at least 1 certificate in PEM format")
            }
            Self::BadProxy { setting } => {
                write!(f, "{setting} is invalid: give a proxy as http://host:port or https://host:port")
            }
            Self::ZeroTimeout => f.write_str("timeout 0s is invalid: a request needs more than 0s"),
        }
    }
}

impl Error for HttpConfigError {}
