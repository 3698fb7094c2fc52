//! Which subjects and names are valid.

use std::error::Error;
use std::fmt;

/// Why a subject is invalid.
///
/// # Examples
/// ```
/// use buslane_nats::SubjectError;
/// let error = SubjectError::Wildcard;
/// assert!(error.to_string().starts_with("a subject to publish to has no wildcard"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubjectError {
    /// The subject, or a token between two dots, is empty.
    Empty,
    /// A space or a control character is in it.
    Space,
    /// A token is `*` or `>`, and an event has exactly one subject.
    Wildcard,
    /// `>` is not the last token of a filter.
    Inner,
    /// The subject is longer than 4000 bytes, near the server's limit for a line.
    TooLong,
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a subject has no empty token: give text before, between and after the dots",
            Self::Space => "a subject has no spaces and no control characters",
            Self::Wildcard => "a subject to publish to has no wildcard: no token is `*` or `>`",
            Self::Inner => "`>` is the last token of a filter",
            Self::TooLong => "a subject has at most 4000 bytes",
        })
    }
}

impl Error for SubjectError {}

const LONGEST: usize = 4000;

/// Checks a subject to publish to.
pub(crate) fn check(subject: &str) -> Result<(), SubjectError> {
    check_tokens(subject)?;
    if subject.split('.').any(is_wildcard) { Err(SubjectError::Wildcard) } else { Ok(()) }
}

/// Checks a subject that selects messages.
pub(crate) fn check_filter(filter: &str) -> Result<(), SubjectError> {
    check_tokens(filter)?;
    let mut before = filter.rsplit('.').skip(1);
    if before.any(|token| token == ">") { Err(SubjectError::Inner) } else { Ok(()) }
}

/// Returns whether the name of a stream or a consumer is valid.
pub(crate) fn is_name(name: &str) -> bool {
    let is_bad = |letter: char| {
        letter.is_whitespace() || letter.is_control() || matches!(letter, '.' | '*' | '>' | '/' | '\\')
    };
    !name.is_empty() && name.len() <= 255 && !name.chars().any(is_bad)
}

fn is_wildcard(token: &str) -> bool {
    matches!(token, "*" | ">")
}

fn check_tokens(subject: &str) -> Result<(), SubjectError> {
    if subject.len() > LONGEST {
        Err(SubjectError::TooLong)
    } else if subject.split('.').any(str::is_empty) {
        Err(SubjectError::Empty)
    } else if subject.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        Err(SubjectError::Space)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{SubjectError, check, check_filter, is_name};

    #[test]
    fn subject_of_an_event_is_checked() {
        for valid in ["a", "telemetry.host-7.cpu", "a.*b", "a>b.c", "größe.µ"] {
            assert_eq!(check(valid), Ok(()), "{valid}");
        }
        for (subject, error) in [
            ("", SubjectError::Empty),
            (".a", SubjectError::Empty),
            ("a.", SubjectError::Empty),
            ("a..b", SubjectError::Empty),
            ("a b", SubjectError::Space),
            ("a\tb", SubjectError::Space),
            ("a\r\nPUB b 0", SubjectError::Space),
            ("a\0", SubjectError::Space),
            ("a.*.b", SubjectError::Wildcard),
            ("a.>", SubjectError::Wildcard),
            (">", SubjectError::Wildcard),
        ] {
            assert_eq!(check(subject), Err(error), "{subject:?}");
        }
        assert_eq!(check(&"a".repeat(4001)), Err(SubjectError::TooLong));
    }

    #[test]
    fn filter_may_have_wildcards() {
        for valid in ["a", "a.*.b", "a.>", ">", "*"] {
            assert_eq!(check_filter(valid), Ok(()), "{valid}");
        }
        assert_eq!(check_filter("a.>.b"), Err(SubjectError::Inner));
        assert_eq!(check_filter("a. b"), Err(SubjectError::Space));
        assert_eq!(check_filter(""), Err(SubjectError::Empty));
    }

    #[test]
    fn name_is_one_token_without_wildcards() {
        assert!(is_name("TELEMETRY") && is_name("a-b_c9"));
        for name in ["", "a b", "a.b", "a*", ">", "a/b", "a\\b", "a\n"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
