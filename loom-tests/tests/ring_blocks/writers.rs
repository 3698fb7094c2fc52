//! Writers that share a ring: claims, and one order for all readers.

use super::{Reading, Seen, new, publish_shared};
use buslane::ring::blocks::SharedWriter;
use loom_tests::{Lives, Steps, model, thread};

/// Runs two writers that alternate, each claim with the given values, and a reader that polls
/// `looks` times on a third thread. Returns the values read, in order.
fn shared(capacity: usize, claims: [&'static [&'static [usize]]; 2], looks: usize) -> Vec<usize> {
    let count = claims.iter().flat_map(|claims| claims.iter()).map(|ids| ids.len()).sum();
    let (lives, seen, steps) = (Lives::new(count), Seen::new(count), Steps::new());
    let (writer, source) = new(capacity);
    let writer = SharedWriter::from(writer);
    let mut reading = Reading::new(&source, 0, seen.check(&lives)).by_steps(&steps);
    let write = |claims: &'static [&'static [usize]]| {
        let (writer, lives, steps) = (writer.clone(), lives.clone(), steps.clone());
        move || {
            for ids in claims {
                steps.step();
                assert!(publish_shared(&writer, &lives, ids));
            }
        }
    };
    let other = thread::spawn(write(claims[1]));
    let own = write(claims[0]);
    if looks > 0 {
        let reader = thread::spawn(move || reading.looks(looks));
        own();
        reading = reader.join().unwrap();
    } else {
        own();
    }
    other.join().unwrap();
    reading.rest(count as u64);
    drop((writer, own, source, reading));
    lives.assert_all_dropped();
    seen.order()
}

#[test]
fn two_writers_keep_their_own_last_value() {
    model(|| {
        let order = shared(1, [&[&[0], &[1]], &[&[2], &[3]]], 0);
        assert!(order == [1] || order == [3], "the last value of either writer: {order:?}");
    });
}

#[test]
fn two_writers_keep_their_order_in_one_block() {
    model(|| {
        let order = shared(2, [&[&[0], &[1]], &[&[2], &[3]]], 0);
        let place = |id| order.iter().position(|other| *other == id);
        assert!(place(0) < place(1) && place(2) < place(3), "the order of each writer: {order:?}");
    });
}

#[test]
fn two_writers_show_whole_values_to_a_reader() {
    model(|| {
        shared(1, [&[&[0]], &[&[1]]], 2);
    });
}
#[test]
fn values_of_one_claim_stay_adjacent() {
    model(|| {
        let order = shared(2, [&[&[0, 1]], &[&[2]]], 1);
        assert!(order == [0, 1, 2] || order == [2, 0, 1], "{order:?}");
    });
}

#[test]
fn claim_across_blocks_keeps_every_value() {
    model(|| {
        shared(1, [&[&[0, 1, 3]], &[&[2]]], 0);
    });
}

#[test]
fn claim_across_blocks_is_exact_for_a_reader() {
    model(|| {
        shared(1, [&[&[0, 1]], &[&[2]]], 1);
    });
}

#[test]
fn two_readers_agree_on_the_order_of_two_writers() {
    model(|| {
        let (lives, seen, (writer, source)) = (Lives::new(2), Seen::new(2), new(2));
        let writer = SharedWriter::from(writer);
        let mut first = Reading::new(&source, 0, seen.check(&lives));
        let second = Reading::new(&source, 0, seen.check(&lives));
        let second = thread::spawn(move || second.looks(2));
        let (other, values) = (writer.clone(), lives.clone());
        let other = thread::spawn(move || assert!(publish_shared(&other, &values, &[1])));
        assert!(publish_shared(&writer, &lives, &[0]));
        let _ = first.look();
        other.join().unwrap();
        let mut second = second.join().unwrap();
        first.rest(2);
        second.rest(2);
        assert_eq!(seen.order().len(), 2);
        drop((writer, source, first, second));
        lives.assert_all_dropped();
    });
}
