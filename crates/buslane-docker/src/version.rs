//! The version of the engine's API.

use std::fmt;
use std::str::FromStr;

/// A version of the engine's API, such as 1.41.
///
/// # Examples
/// ```
/// use buslane_docker::ApiVersion;
/// let version: ApiVersion = "1.41".parse()?;
/// assert!(version < ApiVersion::new(1, 52));
/// assert_eq!(version.to_string(), "1.41");
/// assert!("latest".parse::<ApiVersion>().is_err());
/// # Ok::<(), buslane_docker::ParseVersionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The newest version whose events this crate knows. A newer engine is asked for this one.
    pub const NEWEST: Self = Self::new(1, 52);
    /// The oldest version whose events have a type and an action.
    pub const OLDEST: Self = Self::new(1, 22);

    /// Makes a version.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Returns the version to ask an engine for.
    pub(crate) fn negotiated(self) -> Self {
        self.min(Self::NEWEST)
    }
}

impl FromStr for ApiVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let (major, minor) = text.trim().split_once('.').ok_or(ParseVersionError(()))?;
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_number).ok_or(ParseVersionError(()))
        };
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The error of a text that is no version of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseVersionError(());

impl fmt::Display for ParseVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the version is invalid: give two numbers, such as 1.41")
    }
}

impl std::error::Error for ParseVersionError {}
