//! What a reader sees: the newest values, exact lag, seeks, and future positions.

use super::{next, publish_to};
use buslane::error::SubscribeError;
use buslane::ring::blocks::{Look, MAX_READERS, OnLag};
use std::panic::{AssertUnwindSafe, catch_unwind};
use test_support::blocks::{CAPACITIES, new, publish};

#[test]
fn newest_values_up_to_capacity_stay_readable() {
    for capacity in CAPACITIES {
        let (mut writer, source) = new(capacity);
        let (mut one_by_one, mut together) = (source.reader(0).unwrap(), source.reader(0).unwrap());
        assert_eq!(source.capacity(), capacity);
        for end in 1..=5 * capacity as u64 + 200 {
            publish(&mut writer, end - 1);
            let oldest = end.saturating_sub(capacity as u64);
            assert_eq!((source.tail(), source.oldest(), writer.position()), (end, oldest, end));
            together.seek(oldest);
            let mut expected = oldest;
            while together.look() == Look::Values {
                let values = together.values();
                assert!(values.iter().copied().eq(expected..expected + values.len() as u64));
                expected += values.len() as u64;
                together.take_values(values.len());
            }
            assert_eq!((expected, together.look()), (end, Look::Empty), "capacity {capacity}");
            if end % 17 == 0 {
                one_by_one.seek(oldest);
                let read: Vec<_> = std::iter::from_fn(|| next(&mut one_by_one)).collect();
                assert!(read.into_iter().eq(oldest..end), "capacity {capacity}");
            }
        }
    }
}

#[test]
fn lagged_count_is_exact_at_every_position() {
    for capacity in CAPACITIES {
        let (mut writer, source) = new(capacity);
        let kept = (capacity + 2 * source.block_len()) as u64;
        for end in 1..=3 * kept {
            publish(&mut writer, end - 1);
            let oldest = source.oldest();
            for start in [0, end / 3, end / 2, oldest.saturating_sub(1), oldest, end - 1] {
                let mut reader = source.reader(start).unwrap();
                let missed = match reader.look() {
                    Look::Lagged(missed) => missed,
                    look => {
                        assert_eq!(look, Look::Values);
                        assert!(start + kept > end, "older than any block of capacity {capacity}");
                        0
                    }
                };
                assert!(missed == 0 || start + missed == oldest, "{start} and {missed} of {end}");
                assert_eq!(next(&mut reader), Some(start + missed));
                assert_eq!(reader.behind(), end - start - missed - 1);
            }
        }
    }
}

#[test]
fn newest_on_lag_skips_all_kept_values() {
    let (mut writer, source) = new(3);
    let mut reader = source.reader(0).unwrap();
    reader.set_on_lag(OnLag::Newest);
    publish_to(&mut writer, 20);
    assert_eq!((reader.look(), reader.known(), reader.look()), (Look::Lagged(20), 0, Look::Empty));
    publish_to(&mut writer, 21);
    assert_eq!(next(&mut reader), Some(20));
    reader.set_on_lag(OnLag::Oldest);
    publish_to(&mut writer, 40);
    // The reader is in the middle of a block that was overwritten.
    assert_eq!((reader.look(), reader.position()), (Look::Lagged(16), 37));
}

#[test]
fn reader_keeps_its_whole_block() {
    for capacity in CAPACITIES {
        let (mut writer, source) = new(capacity);
        let block = source.block_len() as u64;
        publish_to(&mut writer, 3 * block);
        let mut reader = source.reader(2 * block).unwrap();
        assert_eq!(next(&mut reader), Some(2 * block));
        publish_to(&mut writer, 20 * block + capacity as u64);
        // The values that it has found stay valid until it polls again.
        assert!(reader.values().iter().copied().eq(2 * block + 1..3 * block), "capacity {capacity}");
        assert_eq!(reader.known() as u64, block - 1);
        assert_eq!(reader.look(), Look::Lagged(18 * block - 1));
        assert_eq!(next(&mut reader), Some(20 * block));
        // A seek to its start cannot bring it back, either.
        let mut reader = source.reader(source.oldest()).unwrap();
        let first = next(&mut reader).unwrap();
        let end = writer.position();
        publish_to(&mut writer, end + 10 * block + 2 * capacity as u64);
        reader.seek(first);
        assert_eq!(reader.look(), Look::Lagged(source.oldest() - first));
    }
}

#[test]
fn reader_can_start_at_a_future_position() {
    let (mut writer, source) = new(3);
    let (mut soon, mut never) = (source.reader(10).unwrap(), source.reader(u64::MAX).unwrap());
    for end in 1..=10 {
        publish_to(&mut writer, end);
        assert_eq!((soon.look(), soon.behind(), soon.position()), (Look::Empty, 0, 10));
    }
    publish_to(&mut writer, 12);
    assert_eq!(
        (soon.behind(), next(&mut soon), next(&mut soon), next(&mut soon)),
        (2, Some(10), Some(11), None)
    );
    assert_eq!((never.look(), never.known(), never.behind()), (Look::Empty, 0, 0));
    writer.close();
    assert_eq!((soon.look(), never.look()), (Look::Closed, Look::Closed));
}

#[test]
fn seek_counts_nothing_as_missed() {
    let (mut writer, source) = new(4);
    let mut reader = source.reader(0).unwrap();
    publish_to(&mut writer, 6);
    for position in [5, 2, 3, 2, 4, 5] {
        reader.seek(position);
        assert_eq!((reader.position(), reader.known()), (position, 0));
        assert_eq!(next(&mut reader), Some(position));
    }
    reader.seek(9);
    assert_eq!(reader.look(), Look::Empty);
    publish_to(&mut writer, 10);
    assert_eq!((next(&mut reader), reader.look()), (Some(9), Look::Empty));
    reader.seek(0);
    assert_eq!((reader.look(), next(&mut reader)), (Look::Lagged(6), Some(6)));
}

#[test]
fn reader_lends_no_values_before_its_first_look() {
    // Tests each position within a block: the reader looks the position up only where there is a
    // block.
    let (mut writer, source) = new(100);
    publish_to(&mut writer, 70);
    for position in 0..140 {
        let mut reader = source.reader(position).unwrap();
        assert_eq!(reader.values(), [0; 0]);
        reader.take_values(0);
        let _ = reader.look();
        assert_eq!(reader.values().first(), (position..70).next().as_ref());
    }
}

#[test]
#[should_panic(expected = "no value is known: call look first")]
fn take_without_a_look_panics() {
    let (mut writer, source) = new(1);
    publish(&mut writer, 0);
    source.reader(0).unwrap().take(|_, _| ());
}

#[test]
#[should_panic(expected = "too few values are known: call look first")]
fn skip_past_the_known_values_panics() {
    let (mut writer, source) = new(2);
    publish_to(&mut writer, 1);
    let mut reader = source.reader(0).unwrap();
    assert_eq!(reader.look(), Look::Values);
    reader.take_values(2);
}

#[test]
fn unwinding_take_consumes_its_value() {
    let (mut writer, source) = new(3);
    publish_to(&mut writer, 2);
    let mut reader = source.reader(0).unwrap();
    assert_eq!(reader.look(), Look::Values);
    assert!(catch_unwind(AssertUnwindSafe(|| reader.take(|_, value| assert_eq!(*value, 7)))).is_err());
    assert_eq!(next(&mut reader), Some(1));
}

#[test]
fn one_reader_more_than_the_maximum_is_refused() {
    let (mut writer, source) = new(1);
    publish(&mut writer, 0);
    let mut readers: Vec<_> = (0..MAX_READERS).map(|_| source.reader(0).unwrap()).collect();
    let refused = || source.reader(0).err() == Some(SubscribeError::TooManyReaders { most: MAX_READERS });
    assert!(refused() && source.readers() == MAX_READERS);
    assert!(readers.iter_mut().all(|reader| reader.look() == Look::Values));
    publish_to(&mut writer, 5);
    assert!(readers.iter_mut().all(|reader| *reader.values() == [0]));
    assert!(readers.iter_mut().all(|reader| reader.look() == Look::Lagged(4) && next(reader) == Some(4)));
    publish_to(&mut writer, 9);
    readers.pop();
    readers.push(source.reader(8).unwrap());
    assert!(refused() && next(&mut readers[MAX_READERS - 1]) == Some(8));
}
