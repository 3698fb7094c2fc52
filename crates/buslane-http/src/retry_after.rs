//! When an endpoint wants to be asked again.

use std::time::{Duration, SystemTime};

/// What `Retry-After` says: a number of seconds, or a date, of which only the wall clock knows how far away it is. `None` for
/// anything else.
pub(crate) fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than there can be are as many as there can be.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::{Duration, SystemTime};

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600);
        let after = |value: &str| parse(value, noon).map(|wait| wait.as_secs());
        assert_eq!(after("120"), Some(120));
        assert_eq!(after(" 0 "), Some(0));
        assert_eq!(after("Thu, 01 Jan 1970 12:00:05 GMT"), Some(5));
        assert_eq!(after("Thursday, 01-Jan-70 12:00:05 GMT"), Some(5));
        assert_eq!(after("Thu Jan  1 11:00:00 1970"), Some(0), "a date that is over");
        assert_eq!(after("99999999999999999999"), Some(u64::MAX), "cut to the most that there can be");
        for nonsense in ["", "-1", "1.5", "soon", "Thu, 41 Jan 1970 12:00:05 GMT"] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
    }
}
