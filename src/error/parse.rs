//! Errors of parsing a setting from text.

use std::error::Error;
use std::fmt;

/// The error of parsing an [`Overflow`](crate::Overflow) or a
/// [`WaitStrategy`](crate::WaitStrategy).
///
/// The error's text lists the valid settings.
///
/// # Examples
/// ```
/// let error = "drop_latest".parse::<buslane::Overflow>().unwrap_err();
/// assert_eq!(error.text(), "drop_latest");
/// assert_eq!(
///     error.to_string(),
///     "overflow policy \"drop_latest\" is invalid: use drop_newest, drop_oldest, refuse, block, block_for:DURATION \
///      or close"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseSettingError {
    text: String,
    setting: &'static str,
    valid: &'static str,
}

impl ParseSettingError {
    pub(crate) fn new(text: &str, setting: &'static str, valid: &'static str) -> Self {
        Self { text: text.to_owned(), setting, valid }
    }

    /// Returns the text that could not be parsed.
    ///
    /// # Examples
    /// ```
    /// let error = "sleep".parse::<buslane::WaitStrategy>().unwrap_err();
    /// assert_eq!(error.text(), "sleep");
    /// ```
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ParseSettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} is invalid: use {}", self.setting, self.text, self.valid)
    }
}

impl Error for ParseSettingError {}

/// Serializes a type as the text that its `Display` writes and its `FromStr` reads.
#[cfg(feature = "serde")]
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
#[cfg(feature = "serde")]
pub(crate) use serde_as_text;
