//! The errors of invalid settings.

use std::error::Error;
use std::fmt;

/// An invalid setting of a [`DockerSource`](crate::DockerSource), returned by
/// [`DockerSourceBuilder::build`](crate::DockerSourceBuilder::build).
///
/// # Examples
/// ```
/// use buslane_docker::{DockerConfigErrorKind, DockerSource};
/// let error = DockerSource::builder().host("ssh://me@server").build().unwrap_err();
/// assert_eq!(error.kind(), DockerConfigErrorKind::Host);
/// assert!(error.to_string().starts_with("the scheme ssh is not supported"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerConfigError(Invalid);

/// The setting that is invalid.
///
/// # Examples
/// ```
/// use buslane_docker::{DockerConfigErrorKind, DockerSource};
/// let error = DockerSource::builder().max_event(0).build().unwrap_err();
/// assert_eq!(error.kind(), DockerConfigErrorKind::MaxEvent);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DockerConfigErrorKind {
    /// The address of the engine, from the setting or from `DOCKER_HOST`, is invalid, or its scheme
    /// is not supported.
    Host,
    /// A filter has an empty name, or one that cannot be applied here.
    Filter,
    /// The limit of a request is zero.
    Timeout,
    /// The longest event is zero or too long.
    MaxEvent,
    /// The number of buffered events is zero.
    Buffer,
    /// The time range ends before it begins, or is out of the range of the engine's clock.
    Range,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    Scheme(String),
    Host,
    NoUnixSockets,
    Tls,
    EmptyFilter,
    /// The key of a filter that only an engine can apply.
    RemoteFilter(String),
    ZeroTimeout,
    MaxEvent {
        limit: usize,
        most: usize,
    },
    ZeroBuffer,
    TimeOutOfRange,
    UntilBeforeSince,
}

impl DockerConfigError {
    /// Returns the setting that is invalid.
    #[must_use]
    pub const fn kind(&self) -> DockerConfigErrorKind {
        match self.0 {
            Invalid::Scheme(_) | Invalid::Host | Invalid::NoUnixSockets | Invalid::Tls => {
                DockerConfigErrorKind::Host
            }
            Invalid::EmptyFilter | Invalid::RemoteFilter(_) => DockerConfigErrorKind::Filter,
            Invalid::ZeroTimeout => DockerConfigErrorKind::Timeout,
            Invalid::MaxEvent { .. } => DockerConfigErrorKind::MaxEvent,
            Invalid::ZeroBuffer => DockerConfigErrorKind::Buffer,
            Invalid::TimeOutOfRange | Invalid::UntilBeforeSince => DockerConfigErrorKind::Range,
        }
    }
}

impl From<Invalid> for DockerConfigError {
    fn from(invalid: Invalid) -> Self {
        Self(invalid)
    }
}

impl fmt::Display for DockerConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Invalid::Scheme(scheme) => {
                write!(f, "the scheme {scheme} is not supported: give unix://, tcp:// or http://")
            }
            Invalid::Host => f.write_str(
                "the engine's address is invalid: give unix:///path, tcp://host:port or http://host:port",
            ),
            Invalid::NoUnixSockets => {
                f.write_str("this system has no Unix sockets: give tcp://host:port or http://host:port")
            }
            Invalid::Tls => f.write_str(
                "DOCKER_TLS_VERIFY asks for TLS, which is not supported: give a Unix socket or a local proxy",
            ),
            Invalid::EmptyFilter => {
                f.write_str("a filter with an empty name or value is invalid: the engine ignores it")
            }
            Invalid::RemoteFilter(key) => {
                write!(f, "the filter {key:?} cannot be applied in this process: only the engine knows it")
            }
            Invalid::ZeroTimeout => f.write_str("timeout 0s is invalid: a request needs more than 0s"),
            Invalid::MaxEvent { limit, most } => {
                write!(f, "longest event of {limit} bytes is invalid: it must be 1 to {most} bytes")
            }
            Invalid::ZeroBuffer => {
                f.write_str("buffer of 0 events is invalid: it must hold at least 1 event")
            }
            Invalid::TimeOutOfRange => {
                f.write_str("the time is invalid: the engine's clock counts from 1970 to 2262")
            }
            Invalid::UntilBeforeSince => {
                f.write_str("the time range is invalid: `until` must not be earlier than `since`")
            }
        }
    }
}

impl Error for DockerConfigError {}
