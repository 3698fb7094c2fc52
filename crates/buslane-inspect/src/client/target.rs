//! How a service is named.

use crate::at::At;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The address of a service.
///
/// # Examples
/// ```
/// use buslane_inspect::client::Target;
/// assert_eq!("/run/shop.sock".parse::<Target>()?, Target::Unix("/run/shop.sock".into()));
/// assert_eq!("127.0.0.1:9000".parse::<Target>()?.to_string(), "127.0.0.1:9000");
/// # Ok::<(), buslane_inspect::client::ClientError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

impl Target {
    /// Returns the value of the header `Host`.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp(address) => address.to_string(),
        }
    }
}

impl From<At> for Target {
    fn from(at: At) -> Self {
        match at {
            At::Unix(path) => Self::Unix(path),
            At::Loopback(port) => Self::Tcp((Ipv4Addr::LOCALHOST, port).into()),
        }
    }
}

impl From<&At> for Target {
    fn from(at: &At) -> Self {
        at.clone().into()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}
