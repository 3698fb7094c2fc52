//! The engine's time, as its answers contain it.

use std::time::SystemTime;

const SECOND: i64 = 1_000_000_000;

/// Parses a time in the form of RFC 3339 with a fraction, `2026-11-30T16:08:34.123456789Z`, into
/// nanoseconds since 1970.
pub(crate) fn rfc_3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let mut parts = date.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|digit: char| !digit.is_ascii_digit())?;
            (&rest[..end.min(9)], &rest[end..])
        }
        None => ("", rest),
    };
    let nanos = number(&format!("{fraction:0<9}"))?;
    let offset = match zone.strip_prefix(['+', '-']) {
        Some(zone) => {
            let (hours, minutes) = zone.split_once(':')?;
            let offset = number(hours)? * 3600 + number(minutes)? * 60;
            if rest.contains('-') { -offset } else { offset }
        }
        None => matches!(zone, "Z" | "z").then_some(0)?,
    };
    (days(year, month, day)? * 86400 + seconds(time)? - offset).checked_mul(SECOND)?.checked_add(nanos)
}

/// Parses the date of an HTTP answer, `Mon, 30 Nov 2026 16:08:34 GMT`, into nanoseconds since 1970.
pub(crate) fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let (day, month, year) = (number(parts.next()?)?, parts.next()?, number(parts.next()?)?);
    let time = seconds(parts.next()?)?;
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    (parts.next()? == "GMT").then_some(())?;
    (days(year, month, day)? * 86400 + time).checked_mul(SECOND)
}

fn number(digits: &str) -> Option<i64> {
    let is_number =
        !digits.is_empty() && digits.len() < 10 && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Returns the seconds of `16:08:34`. A leap second is the one after.
fn seconds(time: &str) -> Option<i64> {
    let mut parts = time.split(':').map(number);
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let is_valid = hours < 24 && minutes < 60 && seconds <= 60 && parts.next().is_none();
    is_valid.then_some(hours * 3600 + minutes * 60 + seconds)
}

/// Returns the days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=2262).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March, so that a leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 153 days in each five months; day 0 of year 0 is 719 468 days before 1970.
    Some(year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468)
}

/// Returns the time of this machine, in nanoseconds since 1970, which serves for an engine that does
/// not say its time.
pub(crate) fn time_here() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since_1970.as_nanos().try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{http_date, rfc_3339};

    #[test]
    fn times_of_answers_are_parsed() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-11-14T22:13:20.000000001Z", 1_700_000_000_000_000_001),
            ("2023-11-14T22:13:20.5Z", 1_700_000_000_500_000_000),
            ("2023-11-14T23:43:20.5+01:30", 1_700_000_000_500_000_000),
            ("2023-11-14T12:13:20-10:00", 1_700_000_000_000_000_000),
            ("2024-02-29T12:00:00.1234567891Z", 1_709_208_000_123_456_789),
            ("2000-03-01T00:00:00Z", 951_868_800_000_000_000),
        ] {
            assert_eq!(rfc_3339(text), Some(nanos), "{text}");
        }
        assert_eq!(http_date("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000_000_000_000));
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-13-14T22:13:20Z",
            "2023-11-14T22:13Z",
            "9999-01-01T00:00:00Z",
            "2023-11-14T22:13:20.Z5",
            "2023-11-14T22:13:20+1",
            "2023-11-14T25:13:20Z",
            "2023-11-14T22:13:20.5",
            "ä023-11-14T22:13:20Z",
        ] {
            assert_eq!(rfc_3339(text), None, "{text}");
        }
        for text in ["", "Tue, 14 Nov 2023", "14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:20 CET"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
