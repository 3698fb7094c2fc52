//! Why a connection could not be opened, or ended.

use crate::error::BoxError;
use std::error::Error;
use std::fmt;
use std::io;

/// The reason why a connection could not be opened, or ended.
///
/// An [`io::Error`] becomes a transient fault, so `?` works in a source.
///
/// # Examples
/// ```
/// use buslane::source::Fault;
/// use std::io;
/// let refused = Fault::from(io::Error::other("no route"));
/// assert!(matches!(refused, Fault::Transient(_)));
/// assert_eq!(refused.to_string(), "no route");
/// assert!(matches!(Fault::fatal("the scheme ssh is not supported"), Fault::Fatal(_)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Another attempt may succeed. The monitor connects again after its backoff.
    Transient(BoxError),
    /// The other side does not know the token any longer. The monitor drops the token, reports a
    /// [`Gap`](crate::source::Gap), and connects without a token.
    StaleToken(BoxError),
    /// No attempt can succeed. The monitor stops.
    Fatal(BoxError),
}

impl Fault {
    /// Makes a fault after which another attempt may succeed.
    ///
    /// # Examples
    /// ```
    /// let fault = buslane::source::Fault::transient("status 503");
    /// assert_eq!(fault.to_string(), "status 503");
    /// ```
    pub fn transient(error: impl Into<BoxError>) -> Self {
        Self::Transient(error.into())
    }

    /// Makes a fault for a token that the other side does not know any longer.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Fault;
    /// assert!(matches!(Fault::stale_token("revision 7 is compacted"), Fault::StaleToken(_)));
    /// ```
    pub fn stale_token(error: impl Into<BoxError>) -> Self {
        Self::StaleToken(error.into())
    }

    /// Makes a fault after which no attempt can succeed.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Fault;
    /// assert!(matches!(Fault::fatal("the URL has no host"), Fault::Fatal(_)));
    /// ```
    pub fn fatal(error: impl Into<BoxError>) -> Self {
        Self::Fatal(error.into())
    }

    /// Returns the error itself.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Fault;
    /// use std::io;
    /// let fault = Fault::from(io::Error::from(io::ErrorKind::NotFound));
    /// let missing = fault.error().downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::NotFound);
    /// assert!(missing);
    /// ```
    #[must_use]
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        match self {
            Self::Transient(error) | Self::StaleToken(error) | Self::Fatal(error) => &**error,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Transient(error.into())
    }
}

impl From<BoxError> for Fault {
    fn from(error: BoxError) -> Self {
        Self::Transient(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.error(), f)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text is that of the error itself, so the chain continues after it.
        self.error().source()
    }
}
