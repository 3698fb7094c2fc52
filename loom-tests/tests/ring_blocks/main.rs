//! The ring of blocks that retains history: laps, stalled readers, spares, and its close.
//!
//! All scenarios complete at three preemptions. Each of these orderings and steps was weakened
//! (2026-11-20, at two preemptions), which made at least one scenario fail:
//!
//! | weakened in `src/ring/blocks` | caught by, among others |
//! |---|---|
//! | `retire`: Acquire; `unpin`: Release | `spares::reader_replaces_a_dropped_reader` |
//! | `retire`: Release; `pin`: Acquire on failure; `enter`: Release | `laps::newest_on_lag_skips_every_overdue_value` |
//! | `pin`: Release | `spares::writer_drops_stale_values_of_a_late_spare` |
//! | `unpin`: Acquire | `spares::last_of_two_readers_returns_the_block` |
//! | pins, or the number, not checked | `writers::claim_across_blocks_is_exact_for_a_reader` |
//! | table: Release, Acquire | `spares::two_readers_share_one_block` |
//! | `Stack::push`: Release; `Stack::take`: Acquire | `spares::writer_takes_the_spare_of_a_new_subscriber` |
//! | a block returned after the reader's next pin | `spares::reader_returns_its_block_before_the_next_pin` |
//! | the tail not shown before a block is retired | `laps::writer_shows_values_before_it_retires_a_block` |
//! | `commit`: Release; `tail_word`: Acquire | `spares::reader_replaces_a_dropped_reader` |
//! | the claim: Acquire, Release | `writers::claim_across_blocks_keeps_every_value` |
//! | `Writer::drop`: Release | `close::close_follows_every_uncommitted_value` |
//! | `Pen::drop`: Release | `close::drop_of_the_last_writer_publishes_earlier_stores` |
//! | a reader that brings no spare | `writers::claim_across_blocks_is_exact_for_a_reader` |

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

/// A reader that checks its account: each position from its first on is delivered or missed, in
/// order, and each value is the one written at its position.
struct Reading<T, C> {
    reader: Reader<T>,
    check: C,
    start: u64,
    delivered: u64,
    missed: u64,
    /// The steps before each poll, and during the read of a value in place.
    steps: Option<Steps>,
}

impl<T: Send + Sync, C: Fn(u64, &T)> Reading<T, C> {
    fn new(source: &Source<T>, start: u64, check: C) -> Self {
        let reader = source.reader(start).expect("room for a reader");
        Self { reader, check, start, delivered: 0, missed: 0, steps: None }
    }

    /// Marks a step before each poll, and during the read of a value.
    fn by_steps(mut self, steps: &Steps) -> Self {
        self.steps = Some(steps.clone());
        self
    }

    /// Polls once, and reads the value that the poll found.
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
                assert!(missed > 0, "a lag of zero values");
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

    /// Polls until the ring is closed.
    fn until_closed(&mut self) {
        loop {
            match self.look() {
                Look::Closed => return,
                Look::Empty => thread::yield_now(),
                Look::Values | Look::Lagged(_) => {}
            }
        }
    }

    /// Reads to the end of the stream, after all writers are done.
    fn rest(&mut self, end: u64) {
        while self.reader.position() < end {
            assert!(matches!(self.look(), Look::Values | Look::Lagged(_)));
        }
        assert!(matches!(self.look(), Look::Empty | Look::Closed));
        assert_eq!(self.delivered + self.missed, end - self.start, "delivered and missed");
    }
}

/// Returns a check that the value at a position has that number, and lives.
fn of(lives: &Lives) -> impl Fn(u64, &Tracked) + Send + use<> {
    let lives = lives.clone();
    move |position, value| {
        assert_eq!(value.id() as u64, position);
        assert!(lives.is_alive(value.id()), "value {position} is alive");
    }
}

/// Publishes values up to `end` (exclusive), starting at the writer's position.
fn publish_to(writer: &mut Writer<Tracked>, lives: &Lives, end: usize) {
    for id in writer.position() as usize..end {
        publish(writer, lives.value(id));
    }
}

/// Puts values up to `end` (exclusive), starting at the writer's position, and commits nothing.
fn put_to(writer: &mut Writer<Tracked>, lives: &Lives, end: usize) {
    for id in writer.position() as usize..end {
        drop((writer.put(lives.value(id)), writer.take_stale()));
    }
}

/// Puts the values `ids` in one claim and shows them together. Returns `false` if the ring is
/// closed.
fn publish_shared(writer: &SharedWriter<Tracked>, lives: &Lives, ids: &[usize]) -> bool {
    let Some(mut claim) = writer.claim() else { return false };
    let old: Vec<_> = ids.iter().map(|id| (claim.put(lives.value(*id)), claim.take_stale())).collect();
    drop(claim);
    drop(old);
    true
}

/// The value at each position: all readers see the same one. The words add no order to the code
/// under test.
#[derive(Clone)]
struct Seen(std::sync::Arc<Vec<std::sync::atomic::AtomicUsize>>);

impl Seen {
    const UNSEEN: usize = usize::MAX;

    fn new(count: usize) -> Self {
        Self(std::sync::Arc::new((0..count).map(|_| Self::UNSEEN.into()).collect()))
    }

    /// Returns a check that a value lives, and is the one that other readers saw at its position.
    fn check(&self, lives: &Lives) -> impl Fn(u64, &Tracked) + Send + use<> {
        let (seen, lives) = (self.clone(), lives.clone());
        move |position, value| {
            assert!(lives.is_alive(value.id()), "value {} is alive", value.id());
            let before = seen.0[position as usize].swap(value.id(), Ordering::Relaxed);
            assert!(before == Self::UNSEEN || before == value.id(), "one order for all");
        }
    }

    /// Returns the values in the order of their positions, without the positions that no reader
    /// saw.
    fn order(&self) -> Vec<usize> {
        self.0.iter().map(|id| id.load(Ordering::Relaxed)).filter(|id| *id != Self::UNSEEN).collect()
    }
}
