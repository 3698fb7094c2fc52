//! Why a service cannot be inspected, on either side.

use crate::at::At;
use std::path::PathBuf;
use std::{fmt, io};

pub use crate::at::ParseAtError;

/// The error of a server that cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The environment variable has an invalid value.
    Address(ParseAtError),
    /// A live service answers at the address.
    Taken(At),
    /// The path exists, and is not a socket. It is not touched.
    NotASocket(PathBuf),
    /// The socket or its directory belongs to another user, or other users may write to it.
    Insecure {
        /// The socket or the directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The system refuses the socket or the thread.
    Io {
        /// The address.
        at: At,
        /// The error of the system.
        source: io::Error,
    },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Taken(at) => write!(f, "cannot serve at {at}: another service answers there"),
            Self::NotASocket(path) => {
                write!(f, "cannot serve at {}: the path exists and is not a socket", path.display())
            }
            Self::Insecure { path, reason } => write!(f, "cannot serve at {}: {reason}", path.display()),
            Self::Io { at, source } => write!(f, "cannot serve at {at}: {source}"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<ParseAtError> for ServeError {
    fn from(error: ParseAtError) -> Self {
        Self::Address(error)
    }
}

/// The error of a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// No service answers there.
    NoService(String),
    /// The socket or its directory belongs to another user.
    Denied(String),
    /// What answers there is not a service that can be inspected.
    NotAService(String),
    /// The service writes a newer version of the format than this crate reads.
    TooNew(u32),
    /// The service refused the request, with this status and reason.
    Status(u16, String),
    /// The text names no target.
    Invalid(String),
    /// The connection failed.
    Io(io::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoService(target) => write!(f, "no service answers at {target}"),
            Self::Denied(target) => write!(f, "permission denied: {target} belongs to another user"),
            Self::NotAService(reason) => write!(f, "the answer is not that of a buslane service: {reason}"),
            Self::TooNew(version) => write!(
                f,
                "the service writes version {version} of the format, and this program reads version {}: update it",
                crate::frame::VERSION
            ),
            Self::Status(status, reason) => write!(f, "the service refused the request ({status}): {reason}"),
            Self::Invalid(text) => write!(
                f,
                "target {text:?} is invalid: it must be a process id, the path of a socket or 127.0.0.1:port"
            ),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
