//! Clocks, and the text of a time.

use buslane_tracing::{Clock, ManualTime, Timestamp};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn dates_are_those_of_the_calendar() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00.000001Z"),
        (951_782_400, "2000-02-29T00:00:00.000001Z"),
        (951_868_799, "2000-02-29T23:59:59.000001Z"),
        (951_868_800, "2000-03-01T00:00:00.000001Z"),
        (1_709_164_800, "2024-02-29T00:00:00.000001Z"),
        (1_735_689_599, "2024-12-31T23:59:59.000001Z"),
        (1_735_689_600, "2025-01-01T00:00:00.000001Z"),
        (4_107_542_399, "2100-02-28T23:59:59.000001Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000001Z"),
    ] {
        assert_eq!(Timestamp::from_nanos(seconds * 1_000_000_000 + 1999).to_string(), expected);
    }
    assert!(Timestamp::from_nanos(u64::MAX).to_string().starts_with("2554-07-21T23:34:33.709551"));
}

#[test]
fn every_day_follows_the_one_before_it() {
    let date = |day: u64| {
        let text = Timestamp::from_nanos(day * 86_400_000_000_000 + 1).to_string();
        let numbers: Vec<u64> = text[..10].split('-').map(|number| number.parse().unwrap()).collect();
        (numbers[0], numbers[1], numbers[2])
    };
    let length = |year: u64, month: u64| match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    // Until the year 2500.
    for day in 0..193_000 {
        let (year, month, last) = date(day);
        let next = match () {
            () if last < length(year, month) => (year, month, last + 1),
            () if month < 12 => (year, month + 1, 1),
            () => (year + 1, 1, 1),
        };
        assert_eq!(date(day + 1), next);
    }
}

#[test]
fn timestamps_convert_to_and_from_system_times() {
    let time = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let stamp = Timestamp::from(time);
    assert_eq!((stamp.nanos(), SystemTime::from(stamp)), (1_700_000_000_123_456_789, time));
    assert!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)).is_none());
}

#[test]
fn clocks_agree_within_their_resolution() {
    let (system, coarse) = (Clock::System.now(), Clock::Coarse.now());
    assert!(system.nanos().abs_diff(coarse.nanos()) < 1_000_000_000, "{system} {coarse}");
    assert!(Clock::None.now().is_none());
    let time = ManualTime::new(Timestamp::from_nanos(7));
    let clock = Clock::Manual(time.clone());
    time.advance(Duration::from_nanos(3));
    assert_eq!((clock.now(), time.get()), (Timestamp::from_nanos(10), clock.now()));
}
