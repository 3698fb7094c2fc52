//! The ring of blocks that keeps history: laps, stalled readers, spares, and its close.
//!
//! All scenarios end at three preemptions. Weakened one by one (2026-11-20, at two preemptions), each of these made one fail at least:
//!
//! | weakened in `src/ring/blocks` | caught by, among others |
//! |---|---|
//! | `retire`: Acquire; `unpin`: Release | `a_reader_takes_over_from_one_that_was_dropped` |
//! | `retire`: Release; `pin`: Acquire where it fails; `enter`: Release | `a_reader_that_goes_on_at_the_newest_passes_all_that_is_overdue` |
//! | `pin`: Release | `stale_values_are_taken_out_of_a_spare_that_a_reader_lets_go_late` |
//! | `unpin`: Acquire | `the_last_of_two_readers_gives_the_block_back` |
//! | pins, or the number, not looked at | `a_claim_across_blocks_against_a_reader` |
//! | table: Release, Acquire | `two_readers_in_one_block` |
//! | `Stack::push`: Release; `Stack::take`: Acquire | `subscribing_while_the_writer_takes_a_spare` |
//! | a block given back behind the reader's next pin | `a_block_is_given_back_while_the_writer_needs_it` |
//! | the tail not shown before a block is retired | `values_put_across_blocks_are_shown_before_a_block_is_retired` |
//! | `commit`: Release; `tail_word`: Acquire | `a_reader_takes_over_from_one_that_was_dropped` |
//! | the claim: Acquire, Release | `a_claim_across_blocks` |
//! | `Writer::drop`: Release | `close_shows_everything_first` |
//! | `Pen::drop`: Release | `the_drop_of_the_last_of_two_writers_shows_what_came_before` |
//! | a reader that brings no spare | `a_claim_across_blocks_against_a_reader` |

use buslane::ring::blocks::{Look, OnLag, Reader, SharedWriter, Source, Writer, ring};
use loom_tests::{Arc, AtomicUsize, Lives, Ordering, Steps, Tracked, model, thread};

fn new<T: Send + Sync>(capacity: usize) -> (Writer<T>, Source<T>) {
    ring(capacity).expect("a small ring")
}

fn publish<T>(writer: &mut Writer<T>, value: T) {
    let old = writer.put(value);
    writer.commit();
    drop((old, writer.take_stale()));
}

/// A reader that keeps account: each position from its first on is delivered or missed, in order, and a value is the one
/// that was written there.
struct Reading<T, C> {
    reader: Reader<T>,
    check: C,
    start: u64,
    delivered: u64,
    missed: u64,
    /// Before each look, and while a value is looked at where it lies.
    steps: Option<Steps>,
}

impl<T: Send + Sync, C: Fn(u64, &T)> Reading<T, C> {
    fn new(source: &Source<T>, start: u64, check: C) -> Self {
        let reader = source.reader(start).expect("room for a reader");
        Self { reader, check, start, delivered: 0, missed: 0, steps: None }
    }

    /// Others take their turns before each look, and while a value is being looked at.
    fn by_steps(mut self, steps: &Steps) -> Self {
        self.steps = Some(steps.clone());
        self
    }

    /// One look, and the value that it found.
    fn look(&mut self) -> Look {
        if let Some(steps) = &self.steps {
            steps.step();
        }
        let before = self.reader.position();
        let look = self.reader.look();
        match look {
            Look::Values => {
                self.delivered += 1;
                self.reader.take(|position, value| {
                    assert_eq!(position, before);
                    (self.check)(position, value);
                    if let Some(steps) = &self.steps {
                        steps.step();
                        (self.check)(position, value);
                    }
                });
            }
            Look::Lagged(missed) => {
                assert!(missed > 0, "a lag of something");
                self.missed += missed;
            }
            Look::Empty | Look::Closed => {}
        }
        assert_eq!(self.reader.position(), self.start + self.delivered + self.missed);
        look
    }

    fn looks(mut self, count: usize) -> Self {
        for _ in 0..count {
            self.look();
        }
        self
    }

    /// Looks until the ring is closed.
    fn until_closed(&mut self) {
        loop {
            match self.look() {
                Look::Closed => return,
                Look::Empty => thread::yield_now(),
                Look::Values | Look::Lagged(_) => {}
            }
        }
    }

    /// Reads up to the end of the stream; when nobody writes any more.
    fn rest(&mut self, end: u64) {
        while self.reader.position() < end {
            assert!(matches!(self.look(), Look::Values | Look::Lagged(_)));
        }
        assert!(matches!(self.look(), Look::Empty | Look::Closed));
        assert_eq!(self.delivered + self.missed, end - self.start, "delivered and missed");
    }
}

/// Checks that the value at a position is the one with its number, and lives.
fn of(lives: &Lives) -> impl Fn(u64, &Tracked) + Send + use<> {
    let lives = lives.clone();
    move |position, value| {
        assert_eq!(value.id() as u64, position);
        assert!(lives.is_alive(value.id()), "value {position} is there");
    }
}

/// Publishes values up to `end` (exclusive), from the writer's position on.
fn publish_to(writer: &mut Writer<Tracked>, lives: &Lives, end: usize) {
    for id in writer.position() as usize..end {
        publish(writer, lives.value(id));
    }
}

/// Puts values up to `end` (exclusive), from the writer's position on, and commits nothing.
fn put_to(writer: &mut Writer<Tracked>, lives: &Lives, end: usize) {
    for id in writer.position() as usize..end {
        drop((writer.put(lives.value(id)), writer.take_stale()));
    }
}

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

/// A writer of its own claim: puts the values `ids` and shows them together; `false` when the ring is closed.
fn publish_shared(writer: &SharedWriter<Tracked>, lives: &Lives, ids: &[usize]) -> bool {
    let Some(mut claim) = writer.claim() else { return false };
    let old: Vec<_> = ids.iter().map(|id| (claim.put(lives.value(*id)), claim.take_stale())).collect();
    drop(claim);
    drop(old);
    true
}

/// Which value lies where: all readers see the same one. The words add no order to what is tested.
#[derive(Clone)]
struct Seen(std::sync::Arc<Vec<std::sync::atomic::AtomicUsize>>);

impl Seen {
    const NOBODY: usize = usize::MAX;

    fn new(count: usize) -> Self {
        Self(std::sync::Arc::new((0..count).map(|_| Self::NOBODY.into()).collect()))
    }

    /// A check that a value lives, and is the one that others saw there.
    fn check(&self, lives: &Lives) -> impl Fn(u64, &Tracked) + Send + use<> {
        let (seen, lives) = (self.clone(), lives.clone());
        move |position, value| {
            assert!(lives.is_alive(value.id()), "value {} is there", value.id());
            let before = seen.0[position as usize].swap(value.id(), Ordering::Relaxed);
            assert!(before == Self::NOBODY || before == value.id(), "one order for all");
        }
    }

    /// The values in the order of their positions, without those that nobody saw.
    fn order(&self) -> Vec<usize> {
        self.0.iter().map(|id| id.load(Ordering::Relaxed)).filter(|id| *id != Self::NOBODY).collect()
    }
}

/// Two writers by turns, each claim with the values given, and a reader that looks `looks` times on a third thread; in what
/// order the values lie that were read.
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
fn two_writers() {
    model(|| {
        let order = shared(1, [&[&[0], &[1]], &[&[2], &[3]]], 0);
        assert!(order == [1] || order == [3], "the last one of either: {order:?}");
    });
}

#[test]
fn two_writers_in_one_block() {
    model(|| {
        let order = shared(2, [&[&[0], &[1]], &[&[2], &[3]]], 0);
        let place = |id| order.iter().position(|other| *other == id);
        assert!(place(0) < place(1) && place(2) < place(3), "the order of each: {order:?}");
    });
}

#[test]
fn two_writers_and_a_reader() {
    model(|| {
        shared(1, [&[&[0]], &[&[1]]], 2);
    });
}
#[test]
fn values_of_one_claim_stay_together() {
    model(|| {
        let order = shared(2, [&[&[0, 1]], &[&[2]]], 1);
        assert!(order == [0, 1, 2] || order == [2, 0, 1], "{order:?}");
    });
}

#[test]
fn a_claim_across_blocks() {
    model(|| {
        shared(1, [&[&[0, 1, 3]], &[&[2]]], 0);
    });
}

#[test]
fn a_claim_across_blocks_against_a_reader() {
    model(|| {
        shared(1, [&[&[0, 1]], &[&[2]]], 1);
    });
}

#[test]
fn two_readers_see_two_writers_in_one_order() {
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

#[test]
fn close_shows_everything_first() {
    model(|| {
        let (lives, (mut writer, source)) = (Lives::new(3), new(2));
        let mut reading = Reading::new(&source, 0, of(&lives));
        let values = lives.clone();
        let writer = thread::spawn(move || {
            publish_to(&mut writer, &values, 1);
            // Across the end of a block, and not committed.
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
fn the_last_of_two_writers_closes() {
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
fn close_against_a_second_shared_writer() {
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
        assert!(accepted[0] || !accepted[1], "closed for good");
        assert_eq!(accepted.into_iter().filter(|accepted| *accepted).count() as u64, end);
        assert_eq!((source.tail(), reading.delivered + reading.missed), (end, end));
        drop((writer, source, reading));
        lives.assert_all_dropped();
    });
}

#[test]
fn one_of_two_closes_closes() {
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

/// Whoever sees the ring closed sees what `writers` did before.
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
fn the_close_of_the_only_writer_shows_what_came_before() {
    model(|| close_shows_what_came_before(|writer| [writer], Writer::close));
}

#[test]
fn the_close_of_a_shared_writer_shows_what_came_before() {
    model(|| {
        close_shows_what_came_before(|writer| [SharedWriter::from(writer)], |writer| assert!(writer.close()))
    });
}

#[test]
fn the_drop_of_the_last_of_two_writers_shows_what_came_before() {
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
