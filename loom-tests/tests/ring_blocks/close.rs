//! The end of a ring: earlier writes are shown first, and exactly one close is the first.

use super::{Reading, Seen, new, of, publish_shared, publish_to, put_to};
use buslane::ring::blocks::{SharedWriter, Writer};
use loom_tests::{Arc, AtomicUsize, Lives, Ordering, Steps, model, thread};

#[test]
fn close_follows_every_uncommitted_value() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(3), new(2));
        let mut reading = Reading::new(&source, 0, of(&lives));
        let values = lives.clone();
        let writer = thread::spawn(move || {
            publish_to(&mut writer, &values, 1);
            // The values cross the end of a block, and are not committed.
            put_to(&mut writer, &values, 3);
            writer.close();
        });
        reading.until_closed();
        assert_eq!(reading.delivered, 3);
        writer.join().unwrap();
        drop((source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn last_of_two_writers_closes_the_ring() {
    model(|| {
        let (lives, seen, (writer, source)) = (Lives::new(2), Seen::new(2), new(2));
        let writer = SharedWriter::from(writer);
        let mut reading = Reading::new(&source, 0, seen.check(&lives));
        let (other, values) = (writer.clone(), lives.clone());
        let other = thread::spawn(move || assert!(publish_shared(&other, &values, &[1])));
        assert!(publish_shared(&writer, &lives, &[0]));
        drop(writer);
        reading.until_closed();
        assert_eq!(reading.delivered, 2);
        other.join().unwrap();
        drop((source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn close_refuses_later_claims_of_a_shared_writer() {
    model(|| {
        let (lives, seen, steps) = (Lives::new(2), Seen::new(2), Steps::new());
        let (writer, source) = new(1);
        let writer = SharedWriter::from(writer);
        let mut reading = Reading::new(&source, 0, seen.check(&lives));
        let (other, values, turns) = (writer.clone(), lives.clone(), steps.clone());
        let other = thread::spawn(move || {
            [0, 1].map(|id| {
                turns.step();
                publish_shared(&other, &values, &[id])
            })
        });
        steps.step();
        assert!(writer.close(), "open until then");
        assert!(!writer.close());
        let end = source.tail();
        reading.until_closed();
        let accepted = other.join().unwrap();
        assert!(accepted[0] || !accepted[1], "the close is final");
        assert_eq!(accepted.into_iter().filter(|accepted| *accepted).count() as u64, end);
        assert_eq!((source.tail(), reading.delivered + reading.missed), (end, end));
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn one_of_two_closes_closes_the_ring() {
    model(|| {
        let (steps, (writer, source)) = (Steps::new(), new::<u64>(1));
        let writer = SharedWriter::from(writer);
        let (other, turns) = (writer.clone(), steps.clone());
        let other = thread::spawn(move || {
            turns.step();
            other.close()
        });
        steps.step();
        assert!(writer.close() != other.join().unwrap());
        assert!(source.is_closed());
    });
}

/// A reader that sees the ring closed sees the earlier stores of `writers`.
fn close_shows_what_came_before<W: Send + 'static, const N: usize>(
    writers: impl FnOnce(Writer<u64>) -> [W; N],
    close: impl Fn(W) + Copy + Send + 'static,
) {
    let (done, steps, (writer, source)) = (Arc::new(AtomicUsize::new(0)), Steps::new(), new(1));
    let writers = writers(writer).map(|writer| {
        let (done, steps) = (done.clone(), steps.clone());
        thread::spawn(move || {
            done.fetch_add(1, Ordering::Relaxed);
            steps.step();
            close(writer);
        })
    });
    steps.step();
    if source.is_closed() {
        assert_eq!(done.load(Ordering::Relaxed), N);
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(source.is_closed());
}

#[test]
fn close_of_the_only_writer_publishes_earlier_stores() {
    model(|| close_shows_what_came_before(|writer| [writer], Writer::close));
}

#[test]
fn close_of_a_shared_writer_publishes_earlier_stores() {
    model(|| {
        close_shows_what_came_before(|writer| [SharedWriter::from(writer)], |writer| assert!(writer.close()))
    });
}

#[test]
fn drop_of_the_last_writer_publishes_earlier_stores() {
    model(|| {
        close_shows_what_came_before(
            |writer| {
                let writer = SharedWriter::from(writer);
                [writer.clone(), writer]
            },
            drop,
        );
    });
}
