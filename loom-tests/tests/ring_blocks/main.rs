//! The ring of blocks that keeps history: laps, stalled readers, spares, and its close.
//!
//! All scenarios end at three preemptions. Weakened one by one (2026-11-20, at two preemptions), each of these made one fail at least:
//!
//! | weakened in `src/ring/blocks` | caught by, among others |
//! |---|---|
//! | `retire`: Acquire; `unpin`: Release | `spares::a_reader_takes_over_from_one_that_was_dropped` |
//! | `retire`: Release; `pin`: Acquire where it fails; `enter`: Release | `laps::a_reader_that_goes_on_at_the_newest_passes_all_that_is_overdue` |
//! | `pin`: Release | `spares::stale_values_are_taken_out_of_a_spare_that_a_reader_lets_go_late` |
//! | `unpin`: Acquire | `spares::the_last_of_two_readers_gives_the_block_back` |
//! | pins, or the number, not looked at | `writers::a_claim_across_blocks_against_a_reader` |
//! | table: Release, Acquire | `spares::two_readers_in_one_block` |
//! | `Stack::push`: Release; `Stack::take`: Acquire | `spares::subscribing_while_the_writer_takes_a_spare` |
//! | a block given back behind the reader's next pin | `spares::a_block_is_given_back_while_the_writer_needs_it` |
//! | the tail not shown before a block is retired | `laps::values_put_across_blocks_are_shown_before_a_block_is_retired` |
//! | `commit`: Release; `tail_word`: Acquire | `spares::a_reader_takes_over_from_one_that_was_dropped` |
//! | the claim: Acquire, Release | `writers::a_claim_across_blocks` |
//! | `Writer::drop`: Release | `close::close_shows_everything_first` |
//! | `Pen::drop`: Release | `close::the_drop_of_the_last_of_two_writers_shows_what_came_before` |
//! | a reader that brings no spare | `writers::a_claim_across_blocks_against_a_reader` |

mod close;
mod laps;
mod spares;
mod writers;

use buslane::ring::blocks::{Look, Reader, SharedWriter, Source, Writer, ring};
use loom_tests::{Lives, Ordering, Steps, Tracked, thread};

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
