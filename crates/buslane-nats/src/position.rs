//! A position in a stream, and its text form.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A position in a JetStream stream: which stream, and the sequence of the last event before it.
///
/// A stream that was deleted and made again has the same name and other positions. The text form is
/// for storing a position.
///
/// # Examples
/// ```
/// use buslane_nats::StreamPosition;
/// let position: StreamPosition = "1764547200000000000:42".parse()?;
/// assert_eq!(position.sequence(), 42);
/// assert_eq!(position.to_string(), "1764547200000000000:42");
/// assert!("42".parse::<StreamPosition>().is_err());
/// # Ok::<(), buslane_nats::ParsePositionError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StreamPosition {
    /// When the stream was made, in nanoseconds since 1970: its identity.
    pub(crate) created: i64,
    pub(crate) sequence: u64,
    /// The number of deliveries to this process until here. It orders acknowledgements, and is
    /// unknown to another process.
    pub(crate) deliveries: u64,
}

impl StreamPosition {
    /// Returns the sequence in the stream of the last event before the position.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl PartialEq for StreamPosition {
    fn eq(&self, other: &Self) -> bool {
        (self.created, self.sequence) == (other.created, other.sequence)
    }
}

impl Eq for StreamPosition {}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.created, self.sequence)
    }
}

/// The error of parsing a [`StreamPosition`].
///
/// # Examples
/// ```
/// use buslane_nats::StreamPosition;
/// let error = "7".parse::<StreamPosition>().unwrap_err();
/// assert_eq!(error.to_string(), "a position is two numbers, such as 1764547200000000000:42");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsePositionError(());

impl fmt::Display for ParsePositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is two numbers, such as 1764547200000000000:42")
    }
}

impl Error for ParsePositionError {}

impl FromStr for StreamPosition {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.trim().split_once(':').ok_or(ParsePositionError(()))?;
        match (parts.0.parse(), parts.1.parse()) {
            (Ok(created), Ok(sequence)) => Ok(Self { created, sequence, deliveries: 0 }),
            _ => Err(ParsePositionError(())),
        }
    }
}
