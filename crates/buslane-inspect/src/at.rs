//! Where a service answers: a Unix socket, or a port of the loopback interface.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The environment variable that [`serve_from_env`](crate::serve_from_env) reads.
pub const VARIABLE: &str = "BUSLANE_INSPECT";

/// The address at which a service is inspected.
///
/// A Unix socket has the mode 0600, so that only its owner can connect. A port of the loopback
/// interface is open to every user of the machine.
///
/// # Examples
/// ```
/// use buslane_inspect::At;
/// assert_eq!("127.0.0.1:9000".parse::<At>()?, At::Loopback(9000));
/// assert_eq!("unix:/run/shop.sock".parse::<At>()?, At::Unix("/run/shop.sock".into()));
/// assert_eq!("unix".parse::<At>()?, At::default_unix());
/// assert!("0.0.0.0:9000".parse::<At>().is_err());
/// # Ok::<(), buslane_inspect::error::ParseAtError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum At {
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// A TCP port at 127.0.0.1; 0 takes any free port.
    Loopback(u16),
}

impl At {
    /// Returns the default path of this process: `$XDG_RUNTIME_DIR/buslane/<pid>.sock`, or
    /// `/tmp/buslane-<uid>/<pid>.sock` where that variable is not set.
    ///
    /// # Examples
    /// ```
    /// let at = buslane_inspect::At::default_unix();
    /// assert!(at.to_string().ends_with(&format!("/{}.sock", std::process::id())));
    /// ```
    #[must_use]
    pub fn default_unix() -> Self {
        Self::Unix(default_directory().join(format!("{}.sock", std::process::id())))
    }
}

/// Returns the directory in which services of this user have their sockets by default.
pub(crate) fn default_directory() -> PathBuf {
    match runtime_directory() {
        Some(runtime) => runtime.join("buslane"),
        None => temporary_directory(),
    }
}

/// Returns every directory in which a service of this user may have its socket by default. A
/// service that was started without `XDG_RUNTIME_DIR` uses another one than this program.
pub(crate) fn default_directories() -> Vec<PathBuf> {
    let mut directories = vec![default_directory()];
    if !directories.contains(&temporary_directory()) {
        directories.push(temporary_directory());
    }
    directories
}

fn runtime_directory() -> Option<PathBuf> {
    // The specification of the variable says that a relative path is to be ignored.
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())
}

fn temporary_directory() -> PathBuf {
    Path::new("/tmp").join(format!("buslane-{}", rustix::process::geteuid().as_raw()))
}

/// Parses the value of [`VARIABLE`].
pub(crate) fn from_value(value: OsString) -> Result<At, ParseAtError> {
    // Another path would be served if bytes that are no UTF-8 were replaced.
    value.into_string().map_err(|value| ParseAtError(value.to_string_lossy().into_owned()))?.parse()
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Loopback(port) => write!(f, "127.0.0.1:{port}"),
        }
    }
}

/// The error for a text that names no address for a server.
///
/// # Examples
/// ```
/// let error = "everywhere".parse::<buslane_inspect::At>().unwrap_err();
/// assert_eq!(error.to_string(), "address \"everywhere\" is invalid: it must be unix, unix:/path or 127.0.0.1:port");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseAtError(String);

impl fmt::Display for ParseAtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {:?} is invalid: it must be unix, unix:/path or 127.0.0.1:port", self.0)
    }
}

impl std::error::Error for ParseAtError {}

/// Parses `unix`, `unix:/path`, or `127.0.0.1:port`.
impl FromStr for At {
    type Err = ParseAtError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || ParseAtError(text.to_owned());
        if text == "unix" {
            return Ok(Self::default_unix());
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(invalid()) };
        }
        let address: SocketAddr = match text.strip_prefix("localhost:") {
            Some(port) => (Ipv4Addr::LOCALHOST, port.parse().map_err(|_| invalid())?).into(),
            None => text.parse().map_err(|_| invalid())?,
        };
        if address.ip() == Ipv4Addr::LOCALHOST { Ok(Self::Loopback(address.port())) } else { Err(invalid()) }
    }
}
