//! A position in a followed file, and its text form.

use std::fmt;
use std::fs::Metadata;
use std::num::ParseIntError;
use std::str::FromStr;

/// A position in a followed file: which file, and how far into it.
///
/// Its text form is for storing it.
///
/// # Examples
/// ```
/// use buslane::source::FilePosition;
/// let position: FilePosition = "2049:131:42".parse()?;
/// assert_eq!(position.offset(), 42);
/// assert_eq!(position.to_string(), "2049:131:42");
/// assert!("42".parse::<FilePosition>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FilePosition {
    device: u64,
    inode: u64,
    pub(super) offset: u64,
}

impl FilePosition {
    /// Returns the number of bytes before the position.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::FilePosition;
    /// assert_eq!("0:0:7".parse::<FilePosition>()?.offset(), 7);
    /// # Ok::<(), buslane::source::ParsePositionError>(())
    /// ```
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn of(metadata: &Metadata, offset: u64) -> Self {
        #[cfg(unix)]
        let (device, inode) = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let (device, inode) = {
            let _ = metadata;
            (0, 0)
        };
        Self { device, inode, offset }
    }

    /// Returns another position in the same file.
    pub(super) fn at(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.device, self.inode, self.offset)
    }
}

/// The error of parsing a [`FilePosition`].
///
/// # Examples
/// ```
/// use buslane::source::FilePosition;
/// let error = "7:8".parse::<FilePosition>().unwrap_err();
/// assert_eq!(error.to_string(), "a position is three numbers, such as 2049:131:42");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsePositionError(());

impl fmt::Display for ParsePositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is three numbers, such as 2049:131:42")
    }
}

impl std::error::Error for ParsePositionError {}

impl From<ParseIntError> for ParsePositionError {
    fn from(_: ParseIntError) -> Self {
        Self(())
    }
}

impl FromStr for FilePosition {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        let [device, inode, offset] = parts[..] else { return Err(ParsePositionError(())) };
        Ok(Self { device: device.parse()?, inode: inode.parse()?, offset: offset.parse()? })
    }
}
