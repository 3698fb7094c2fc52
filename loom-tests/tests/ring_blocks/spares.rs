//! Blocks that readers hold, return, and replace with the spares that they bring.

use super::{Reading, new, of, publish_to, put_to};
use buslane::ring::blocks::Look;
use loom_tests::{Lives, model, thread};

/// Runs two readers, with one poll each on separate threads, against a writer that has published
/// two values and puts more.
fn two_readers(positions: [u64; 2], end: usize) {
    let (lives, (mut writer, source)) = (Lives::new(end), new(1));
    publish_to(&mut writer, &lives, 2);
    let readers = positions.map(|position| {
        let reading = Reading::new(&source, position, of(&lives));
        thread::spawn(move || reading.looks(1))
    });
    put_to(&mut writer, &lives, end);
    let mut readings = readers.map(|reader| reader.join().unwrap());
    writer.commit();
    readings.iter_mut().for_each(|reading| reading.rest(end as u64));
    drop((writer, source, readings));
    lives.assert_all_dropped();
}

#[test]
fn two_readers_share_one_block() {
    model(|| two_readers([0, 0], 3));
}

#[test]
fn two_readers_provide_two_spare_blocks() {
    model(|| two_readers([0, 1], 4));
}

#[test]
fn two_readers_on_one_thread_provide_two_spares() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(4), new(1));
        publish_to(&mut writer, &lives, 2);
        let readings = [0, 1].map(|position| Reading::new(&source, position, of(&lives)));
        let readers = thread::spawn(move || readings.map(|reading| reading.looks(1)));
        publish_to(&mut writer, &lives, 4);
        let mut readings = readers.join().unwrap();
        readings.iter_mut().for_each(|reading| reading.rest(4));
        drop((writer, source, readings));
        lives.assert_all_dropped();
    });
}

#[test]
fn new_subscriber_counts_exactly_during_publishes() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(4), new(1));
        publish_to(&mut writer, &lives, 1);
        let (values, from) = (lives.clone(), source.clone());
        let reader = thread::spawn(move || Reading::new(&from, from.oldest(), of(&values)).looks(1));
        publish_to(&mut writer, &lives, 4);
        let mut reading = reader.join().unwrap();
        reading.rest(4);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn writer_takes_the_spare_of_a_new_subscriber() {
    // The block of one reader is overwritten. The writer may take the spare of another reader,
    // which is just being admitted on another thread.
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(3), new(1));
        publish_to(&mut writer, &lives, 1);
        let first = Reading::new(&source, 0, of(&lives)).looks(1);
        let (values, from) = (lives.clone(), source.clone());
        let second = thread::spawn(move || Reading::new(&from, 0, of(&values)).looks(1));
        publish_to(&mut writer, &lives, 3);
        let mut readings = [first, second.join().unwrap()];
        readings.iter_mut().for_each(|reading| reading.rest(3));
        drop((writer, source, readings));
        lives.assert_all_dropped();
    });
}

#[test]
fn reader_replaces_a_dropped_reader() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(3), new(1));
        publish_to(&mut writer, &lives, 1);
        let first = Reading::new(&source, 0, of(&lives));
        let (values, from) = (lives.clone(), source.clone());
        let reader = thread::spawn(move || {
            drop(first.looks(1));
            Reading::new(&from, from.oldest(), of(&values)).looks(1)
        });
        publish_to(&mut writer, &lives, 3);
        let mut reading = reader.join().unwrap();
        reading.rest(3);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn last_of_two_readers_returns_the_block() {
    // Both readers are in the first block, which is left to them, and one of them reads its value.
    // The last reader that leaves returns the block to the writer, which empties it.
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(4), new(1));
        publish_to(&mut writer, &lives, 1);
        let [mut first, mut second] = [(); 2].map(|()| source.reader(0).expect("room for a reader"));
        assert_eq!((first.look(), second.look()), (Look::Values, Look::Values));
        publish_to(&mut writer, &lives, 3);
        let check = of(&lives);
        let first = thread::spawn(move || {
            first.take(check);
            drop(first);
        });
        drop(second);
        publish_to(&mut writer, &lives, 4);
        first.join().unwrap();
        drop((writer, source));
        lives.assert_all_dropped();
    });
}

#[test]
fn reader_returns_its_block_before_the_next_pin() {
    // The reader holds a block that was left to it in exchange for its spare. It returns that block
    // before it pins the next one: the writer that overwrites the next one finds it.
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(6), new(1));
        publish_to(&mut writer, &lives, 1);
        let reading = Reading::new(&source, 0, of(&lives)).looks(1);
        publish_to(&mut writer, &lives, 4);
        let reader = thread::spawn(move || reading.looks(2));
        publish_to(&mut writer, &lives, 6);
        let mut reading = reader.join().unwrap();
        reading.rest(6);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn writer_drops_stale_values_of_a_late_spare() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(7), new(2));
        publish_to(&mut writer, &lives, 2);
        let reading = Reading::new(&source, 0, of(&lives)).looks(1);
        publish_to(&mut writer, &lives, 4);
        let reader = thread::spawn(move || reading.looks(2));
        publish_to(&mut writer, &lives, 7);
        let mut reading = reader.join().unwrap();
        reading.rest(7);
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}
