//! What a push or a pop of a ring returns.

use std::fmt;

/// The reason why a push failed, with the value.
///
/// # Examples
/// ```
/// use buslane::ring::mpmc::{PushError, Ring};
/// let ring = Ring::new(1)?;
/// assert!(ring.push("a").is_ok());
/// assert_eq!(ring.push("b"), Err(PushError::Full("b")));
/// ring.close();
/// assert_eq!(ring.push("b"), Err(PushError::Closed("b")));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// The ring holds `capacity` values.
    Full(T),
    /// The ring is closed.
    Closed(T),
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// The result of a pop.
///
/// # Examples
/// ```
/// use buslane::ring::mpmc::{Pop, Ring};
/// let ring = Ring::new(1)?;
/// assert_eq!(ring.pop(), Pop::Empty);
/// assert!(ring.push("a").is_ok());
/// assert_eq!(ring.pop(), Pop::Value("a"));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pop<T> {
    /// The oldest value.
    Value(T),
    /// The ring is empty.
    Empty,
    /// The oldest position is claimed, but its producer has not filled it yet. A pop finds the
    /// value once it is filled.
    Pending,
}
