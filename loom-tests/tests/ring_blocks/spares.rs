//! Blocks that readers hold, give back, and replace by the spares that they bring.

use super::{Reading, new, of, publish_to, put_to};
use buslane::ring::blocks::Look;
use loom_tests::{Lives, model, thread};

/// Two readers, one look each on a thread of its own, against a writer that has published two values and puts more of them.
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
fn two_readers_in_one_block() {
    model(|| two_readers([0, 0], 3));
}

#[test]
fn two_readers_two_spares() {
    model(|| two_readers([0, 1], 4));
}

#[test]
fn two_readers_two_spares_on_one_thread() {
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
fn subscribing_against_publishing() {
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
fn subscribing_while_the_writer_takes_a_spare() {
    // One reader stands in a block that is overwritten. The spare that is taken in may be that of another one, who is just
    // being admitted on another thread.
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
fn a_reader_takes_over_from_one_that_was_dropped() {
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
fn the_last_of_two_readers_gives_the_block_back() {
    // Both stand in the first block, which is left to them, and one of them looks at its value. The writer gets the block from the
    // one that goes last, and empties it.
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
fn a_block_is_given_back_while_the_writer_needs_it() {
    // The reader holds a block that was left to it for its spare. Before it stands in the next one, it gives the first one back:
    // the writer that overwrites that next one finds it.
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
fn stale_values_are_taken_out_of_a_spare_that_a_reader_lets_go_late() {
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
