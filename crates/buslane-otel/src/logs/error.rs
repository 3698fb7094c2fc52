//! The error of a failed export.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The reason why a [`LogSink`](crate::LogSink) did not deliver events.
///
/// It is the source of the sink's [`WriteError::Failed`](buslane::WriteError::Failed), and its text
/// is the last error in a snapshot. Apart from a message of the exporter or the endpoint, the text
/// contains nothing of an event.
///
/// # Examples
/// ```
/// use buslane_otel::ExportError;
/// assert!(ExportError::Timeout.is_retryable());
/// assert!(!ExportError::Unmapped.is_retryable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportError {
    /// The endpoint answered with a status other than 2xx. Only an
    /// [`ObservedClient`](crate::ObservedClient) reports it.
    #[non_exhaustive]
    Status {
        /// The status of the answer.
        status: u16,
        /// The least time until a retry, by the answer's `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The endpoint accepted the request, and rejected some of its records (partial success). Only
    /// an [`ObservedClient`](crate::ObservedClient) reports it.
    #[non_exhaustive]
    Rejected {
        /// The number of rejected records, at most the number of exported ones.
        records: u64,
        /// The endpoint's message, cut after 200 characters.
        message: String,
    },
    /// The exporter reported that the export did not end in time.
    Timeout,
    /// The exporter failed for another reason; its message, cut after 200 characters. Without an
    /// [`ObservedClient`](crate::ObservedClient), a refusal of the endpoint is such an error, too.
    Exporter(String),
    /// The function that maps events to records panicked.
    Unmapped,
}

impl ExportError {
    /// Returns `true` if a retry may succeed: after 429, 502, 503 and 504, and when the endpoint
    /// gave no answer.
    ///
    /// These are the rules of the OTLP specification. Other refusals, and rejected records, are
    /// final.
    ///
    /// # Examples
    /// ```
    /// use buslane_otel::ExportError;
    /// assert!(ExportError::Exporter("network error".into()).is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 429 | 502..=504),
            Self::Timeout | Self::Exporter(_) => true,
            Self::Rejected { .. } | Self::Unmapped => false,
        }
    }

    /// Returns how long the endpoint asks to wait before a retry, if it did.
    pub(crate) fn asked(&self) -> Duration {
        match self {
            Self::Status { retry_after: Some(wait), .. } => *wait,
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, retry_after } => {
                write!(f, "the OTLP endpoint answered with {status}")?;
                retry_after.map_or(Ok(()), |wait| write!(f, " and asks to retry after {wait:?}"))
            }
            Self::Rejected { records, message } => {
                write!(f, "the OTLP endpoint rejected {records} records: {message}")
            }
            Self::Timeout => f.write_str("the export did not end in time"),
            Self::Exporter(message) => write!(f, "the exporter failed: {message}"),
            Self::Unmapped => f.write_str("the function that maps events to records panicked"),
        }
    }
}

impl Error for ExportError {}

/// Returns at most the first 200 characters of a message.
pub(crate) fn cut(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(200) {
        message.truncate(end);
    }
    message
}
