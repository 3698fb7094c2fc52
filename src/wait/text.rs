//! Durations as text: a number and a unit.

use std::fmt;
use std::time::Duration;

/// The units, with their nanoseconds.
const UNITS: [(&str, u128); 4] = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];

/// A duration as a whole number of the largest unit that divides it: `250ms`, `2s`. [`parse`] reads
/// it back exactly.
pub(crate) struct Text(pub(crate) Duration);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let whole = UNITS.iter().rev().find(|(_, unit)| nanos.is_multiple_of(*unit));
        let (name, unit) = whole.copied().unwrap_or(UNITS[0]);
        write!(f, "{}{name}", nanos / unit)
    }
}

/// Parses a whole number with the unit `ns`, `us`, `ms` or `s`. Returns `None` for other text, and
/// for a value above `Duration::MAX`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, name) = text.split_at(end);
    let (_, unit) = UNITS.iter().find(|(known, _)| *known == name)?;
    let nanos = number.parse::<u128>().ok()?.checked_mul(*unit)?;
    let second = UNITS[3].1;
    // The rest is less than a second, which fits.
    Some(Duration::new(u64::try_from(nanos / second).ok()?, (nanos % second) as u32))
}

/// Splits a text at the first colon into its name, with `_` for `-`, and the rest.
pub(crate) fn split(text: &str) -> (String, Option<&str>) {
    let (name, rest) = match text.split_once(':') {
        Some((name, rest)) => (name, Some(rest)),
        None => (text, None),
    };
    (name.replace('-', "_"), rest)
}

/// Parses two durations with a comma between them.
pub(crate) fn parse_two(text: &str) -> Option<(Duration, Duration)> {
    let (one, other) = text.split_once(',')?;
    Some((parse(one)?, parse(other)?))
}

#[cfg(test)]
mod tests {
    use super::{Text, parse};
    use std::time::Duration;

    #[test]
    fn durations_round_trip() {
        let nanosecond = Duration::from_nanos(1);
        for duration in
            [Duration::ZERO, nanosecond, Duration::from_millis(1500), Duration::from_secs(60), Duration::MAX]
        {
            assert_eq!(parse(&Text(duration).to_string()), Some(duration));
        }
        assert_eq!(Text(Duration::from_millis(1500)).to_string(), "1500ms");
        for text in ["", "1", "ms", "-1ms", "1.5s", "1 ms", "1m", "99999999999999999999s", "1ms "] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
