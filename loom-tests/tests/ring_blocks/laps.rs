//! One writer against one reader, which it overtakes by a lap.

use super::{Reading, new, of, publish, publish_to, put_to};
use buslane::ring::blocks::{Look, OnLag};
use loom_tests::{Lives, Steps, model, thread};

/// The writer publishes `count` values against a reader that takes `looks` looks meanwhile.
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
fn writer_laps_a_reader() {
    model(|| lap(1, 4, 2));
}

#[test]
fn writer_laps_a_reader_of_blocks_of_two() {
    model(|| lap(2, 5, 3));
}

#[test]
fn writer_laps_a_reader_of_three_blocks() {
    model(|| lap(3, 7, 2));
}

#[test]
fn writer_laps_a_reader_of_plain_values() {
    model(|| {
        let (mut writer, source) = new(1);
        let reading = Reading::new(&source, 0, |position, value: &u64| assert_eq!(position, *value));
        let reader = thread::spawn(move || reading.looks(2));
        (0..3).for_each(|value| publish(&mut writer, value));
        reader.join().unwrap().rest(3);
    });
}

/// Others write while a value is looked at where it lies.
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
fn writer_laps_a_reader_that_looks_in_place() {
    model(|| lap_in_place(1, 4, 1));
}

#[test]
fn writer_laps_a_reader_that_looks_in_place_in_blocks_of_two() {
    model(|| lap_in_place(2, 5, 2));
}

#[test]
fn stalled_reader_is_told_first_what_it_has_missed() {
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
            // It is still inside its block, of which there is a second value, and which was overwritten long ago.
            assert_eq!(reading.look(), Look::Lagged(4), "all but what is kept");
            assert_eq!(reading.reader.position(), source.oldest());
        }
        reading.rest(7);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn stalled_reader_goes_on_while_its_block_is_overwritten() {
    // Whether it still gets the second value of its block or is told of a lag: the value lives, and the count is exact.
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
fn values_put_across_blocks_are_shown_before_a_block_is_retired() {
    // Nothing is committed while the reader looks, and the reader knows what it has missed.
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
fn a_reader_that_goes_on_at_the_newest_passes_all_that_is_overdue() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(3), new(1));
        publish_to(&mut writer, &lives, 1);
        let mut reading = Reading::new(&source, 0, of(&lives));
        reading.reader.set_on_lag(OnLag::Newest);
        let reader = thread::spawn(move || {
            if let Look::Lagged(missed) = reading.look() {
                // Its block was left when the one two numbers later was entered.
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
