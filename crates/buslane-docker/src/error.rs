//! The error of a connection to the engine.

use crate::version::ApiVersion;
use std::error::Error;
use std::fmt;
use std::io;

/// The reason why a [`DockerSource`](crate::DockerSource) has no connection, has lost one, or could
/// not decode something.
///
/// It is the error of the monitor's [`Fault`](buslane::source::Fault).
///
/// # Examples
/// ```
/// use buslane_docker::DockerError;
/// let error = DockerError::NotAnEvent { message: None };
/// assert_eq!(error.to_string(), "the engine sent a JSON value that is no event");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DockerError {
    /// The engine cannot be reached, or the connection broke.
    #[non_exhaustive]
    Connection {
        /// The socket or the host.
        address: String,
        /// The kind of the failure. `NotFound` if the socket is not there, `PermissionDenied` if this
        /// process must not use it.
        kind: io::ErrorKind,
    },
    /// The engine did not answer in time.
    Timeout,
    /// What answers is not HTTP/1.
    Protocol,
    /// What answers is HTTP, but no engine.
    NotAnEngine,
    /// The engine refused a request.
    #[non_exhaustive]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The engine's message.
        message: String,
    },
    /// The engine refused the version of the API.
    #[non_exhaustive]
    Version {
        /// The version that was asked for. `None` if it was that of the engine.
        asked: Option<ApiVersion>,
        /// The engine's message.
        message: String,
    },
    /// The engine is too old: its version of the API has no typed events.
    #[non_exhaustive]
    TooOld {
        /// The version of the engine.
        version: ApiVersion,
    },
    /// The token belongs to another engine.
    OtherEngine,
    /// The engine sent a JSON value that is no event.
    NotAnEvent {
        /// What the engine reported in place of an event, such as an error.
        message: Option<String>,
    },
    /// The engine sent an event that is longer than the limit.
    #[non_exhaustive]
    EventTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The engine sent what is no JSON.
    Json,
    /// The engine sent a text in place of an event, as Podman does when it cannot read its events.
    Text {
        /// The beginning of the text.
        message: String,
    },
    /// The engine sent every event until the end that was asked for.
    UntilReached,
    /// The system could not start a thread.
    Thread(io::ErrorKind),
    /// An attempt to connect that was given up has not returned from the system yet.
    StillConnecting,
    /// The monitor was stopped.
    Stopped,
}

impl DockerError {
    /// Converts an error of the HTTP client.
    pub(crate) fn of(error: &ureq::Error, address: &str) -> Self {
        use ureq::Error as Client;
        match error {
            Client::Timeout(_) => Self::Timeout,
            Client::Io(error) => Self::of_io(error, address),
            Client::HostNotFound => Self::connection(io::ErrorKind::NotFound, address),
            Client::Protocol(_) | Client::LargeResponseHeader(..) => Self::Protocol,
            _ => Self::connection(io::ErrorKind::Other, address),
        }
    }

    pub(crate) fn of_io(error: &io::Error, address: &str) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            Some(client) => Self::of(client, address),
            None if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            // What is no body.
            None if error.kind() == io::ErrorKind::InvalidData => Self::Protocol,
            None => Self::connection(error.kind(), address),
        }
    }

    fn connection(kind: io::ErrorKind, address: &str) -> Self {
        Self::Connection { address: address.to_owned(), kind }
    }
}

impl fmt::Display for DockerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { address, kind } => {
                write!(f, "the connection to the engine at {address} failed: {kind}")
            }
            Self::Timeout => f.write_str("the engine did not answer in time"),
            Self::Protocol => f.write_str("the answer is not HTTP/1: there is no engine at this address"),
            Self::NotAnEngine => {
                f.write_str("the answer is not that of an engine: there is no engine at this address")
            }
            Self::Refused { status, message } => write!(f, "the engine answered with {status}: {message}"),
            Self::Version { asked: Some(asked), message } => {
                write!(f, "the engine refused version {asked} of the API: {message}")
            }
            Self::Version { asked: None, message } => {
                write!(f, "the engine refused its own version of the API: {message}")
            }
            Self::TooOld { version } => {
                write!(
                    f,
                    "version {version} of the engine's API is too old: events need at least {OLDEST}",
                    OLDEST = ApiVersion::OLDEST
                )
            }
            Self::OtherEngine => f.write_str("the token belongs to another engine"),
            Self::NotAnEvent { message: None } => {
                f.write_str("the engine sent a JSON value that is no event")
            }
            Self::NotAnEvent { message: Some(message) } => {
                write!(f, "the engine sent a message in place of an event: {message}")
            }
            Self::EventTooLong { limit } => write!(f, "an event is longer than {limit} bytes"),
            Self::Text { message } => {
                write!(f, "the engine sent a text in place of an event: {message}")
            }
            Self::Json => f.write_str("the engine sent what is no JSON"),
            Self::UntilReached => {
                f.write_str("the engine has sent every event until the end that was asked for")
            }
            Self::Thread(kind) => write!(f, "the system could not start a thread: {kind}"),
            Self::StillConnecting => {
                f.write_str("an earlier attempt to connect has not returned from the system yet")
            }
            Self::Stopped => f.write_str("the monitor was stopped"),
        }
    }
}

impl Error for DockerError {}

#[cfg(test)]
mod tests {
    use super::DockerError;
    use std::io::{Error, ErrorKind};

    #[test]
    fn missing_permission_keeps_its_kind() {
        let denied = || Error::from(ErrorKind::PermissionDenied);
        let expected = DockerError::Connection {
            address: "unix:///var/run/docker.sock".to_owned(),
            kind: ErrorKind::PermissionDenied,
        };
        let wrapped = Error::other(ureq::Error::Io(denied()));
        for error in [
            DockerError::of(&ureq::Error::Io(denied()), "unix:///var/run/docker.sock"),
            DockerError::of_io(&denied(), "unix:///var/run/docker.sock"),
            DockerError::of_io(&wrapped, "unix:///var/run/docker.sock"),
        ] {
            assert_eq!(error, expected);
            let text =
                "the connection to the engine at unix:///var/run/docker.sock failed: permission denied";
            assert_eq!(error.to_string(), text);
        }
    }
}
