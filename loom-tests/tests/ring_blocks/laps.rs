//! One writer against one reader, which the writer overtakes by a lap.

use super::{Reading, new, of, publish, publish_to, put_to};
use buslane::ring::blocks::{Look, OnLag};
use loom_tests::{Lives, Steps, model, thread};

/// Publishes `count` values against a reader that polls `looks` times meanwhile.
fn lap(capacity: usize, count: usize, looks: usize) {
    let (lives, (mut writer, source)) = (Lives::new(count), new(capacity));
    let reading = Reading::new(&source, 0, of(&lives));
    let reader = thread::spawn(move || reading.looks(looks));
    publish_to(&mut writer, &lives, count);
    let mut reading = reader.join().unwrap();
    reading.rest(count as u64);
    drop((writer, source, reading));
    lives.assert_all_dropped();
}

#[test]
fn lapped_reader_counts_every_missed_value() {
    model(|| lap(1, 4, 2));
}

#[test]
fn lapped_reader_counts_misses_in_blocks_of_two() {
    model(|| lap(2, 5, 3));
}

#[test]
fn lapped_reader_counts_misses_in_three_blocks() {
    model(|| lap(3, 7, 2));
}

#[test]
fn lapped_reader_reads_plain_values_whole() {
    model(|| {
        let (mut writer, source) = new(1);
        let reading = Reading::new(&source, 0, |position, value: &u64| assert_eq!(position, *value));
        let reader = thread::spawn(move || reading.looks(2));
        (0..3).for_each(|value| publish(&mut writer, value));
        reader.join().unwrap().rest(3);
    });
}

/// Publishes while the reader reads a value in place.
fn lap_in_place(capacity: usize, count: usize, looks: usize) {
    let (lives, steps, (mut writer, source)) = (Lives::new(count), Steps::new(), new(capacity));
    let reading = Reading::new(&source, 0, of(&lives)).by_steps(&steps);
    let reader = thread::spawn(move || reading.looks(looks));
    for end in 1..=count {
        steps.step();
        publish_to(&mut writer, &lives, end);
    }
    let mut reading = reader.join().unwrap();
    reading.rest(count as u64);
    drop((writer, source, reading));
    lives.assert_all_dropped();
}

#[test]
fn lapped_reader_keeps_the_value_it_reads_in_place() {
    model(|| lap_in_place(1, 4, 1));
}

#[test]
fn in_place_reader_keeps_its_value_in_blocks_of_two() {
    model(|| lap_in_place(2, 5, 2));
}

#[test]
fn stalled_reader_gets_its_lag_count_first() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(7), new(2));
        publish_to(&mut writer, &lives, 1);
        let mut reading = Reading::new(&source, 0, of(&lives));
        let reader = thread::spawn(move || {
            let look = reading.look();
            (look, reading)
        });
        publish_to(&mut writer, &lives, 7);
        let (look, mut reading) = reader.join().unwrap();
        if look == Look::Values {
            // The reader is still inside its block, whose second value was overwritten long ago.
            assert_eq!(reading.look(), Look::Lagged(4), "every value that is not retained");
            assert_eq!(reading.reader.position(), source.oldest());
        }
        reading.rest(7);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn stalled_reader_continues_in_an_overwritten_block() {
    // The reader gets the second value of its block, or a lag: in both cases the value lives, and
    // the count is exact.
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(6), new(2));
        publish_to(&mut writer, &lives, 2);
        let mut reading = Reading::new(&source, 0, of(&lives));
        assert_eq!(reading.look(), Look::Values);
        let reader = thread::spawn(move || reading.looks(2));
        publish_to(&mut writer, &lives, 6);
        let mut reading = reader.join().unwrap();
        reading.rest(6);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn writer_shows_values_before_it_retires_a_block() {
    // Nothing is committed while the reader polls, and the reader knows what it has missed.
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(4), new(1));
        publish_to(&mut writer, &lives, 1);
        let reading = Reading::new(&source, 0, of(&lives));
        let reader = thread::spawn(move || reading.looks(2));
        put_to(&mut writer, &lives, 4);
        let mut reading = reader.join().unwrap();
        writer.commit();
        reading.rest(4);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn newest_on_lag_skips_every_overdue_value() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(3), new(1));
        publish_to(&mut writer, &lives, 1);
        let mut reading = Reading::new(&source, 0, of(&lives));
        reading.reader.set_on_lag(OnLag::Newest);
        let reader = thread::spawn(move || {
            if let Look::Lagged(missed) = reading.look() {
                // The writer left the reader's block when it entered the block two numbers later.
                assert!(missed >= 2);
                assert_eq!(reading.reader.known(), 0);
            }
            reading
        });
        publish_to(&mut writer, &lives, 3);
        let mut reading = reader.join().unwrap();
        reading.rest(3);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}
