//! Times of an engine, in nanoseconds since 1970, as the engine writes and reads them.

use std::time::Duration;

const NANOS: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// Reads `seconds[.fraction]`, which is all that an engine accepts.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !is_number(seconds) || !is_number(fraction) || fraction.len() > 20 {
        return None;
    }
    // Digits that are missing count as zeros, and those after the ninth are not read.
    let nanos: u64 = format!("{fraction:0<9}")[..9].parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(NANOS)?.checked_add(nanos)
}

/// Adds a duration, up to the latest time.
pub(super) fn after(time: u64, duration: Duration) -> u64 {
    time.saturating_add(duration.as_nanos().try_into().unwrap_or(u64::MAX))
}

/// Returns the whole seconds of a time.
pub(super) fn seconds(time: u64) -> u64 {
    time / NANOS
}

/// Writes a time as `SystemTime` of `/info` does: RFC 3339 with nanoseconds.
pub(super) fn rfc_3339(time: u64) -> String {
    let (year, month, day) = date(time);
    let (hour, minute, second) = time_of_day(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", time % NANOS)
}

/// Writes a time as the header `Date` does.
pub(super) fn http_date(time: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day) = date(time);
    let (hour, minute, second) = time_of_day(time);
    let name = DAYS[(seconds(time) / DAY % 7) as usize];
    let month = MONTHS[month - 1];
    format!("{name}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn time_of_day(time: u64) -> (u64, u64, u64) {
    let second = seconds(time) % DAY;
    (second / 3600, second / 60 % 60, second % 60)
}

/// Returns the year, the month from 1, and the day of the month.
fn date(time: u64) -> (u64, usize, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut days = seconds(time) / DAY;
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_formats() {
        assert_eq!(rfc_3339(1_700_000_000_000_000_042), "2023-11-14T22:13:20.000000042Z");
        assert_eq!(rfc_3339(951_782_400 * NANOS), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(http_date(784_111_777 * NANOS), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn fractions_have_nine_digits() {
        assert_eq!(parse("7"), Some(7 * NANOS));
        assert_eq!(parse("7.5"), Some(7_500_000_000));
        assert_eq!(parse("7.0000000019"), Some(7_000_000_001));
        for text in ["", ".5", "1h", "-1", "+1", "1.5s", "1.000000000000000000000", "99999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
