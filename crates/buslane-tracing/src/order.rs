//! Lines in the order of their time, across the threads that wrote them.
//!
//! A worker drains the lanes of its publishers one after another, so lines of different threads
//! arrive out of order. A [`Sorter`] collects them and returns them sorted by key, which is a time.
//!
//! # What the order is
//!
//! - **Of one thread**: the order in which it wrote, by the sequence in its stamps. A key below an
//!   earlier key of the same thread (a clock that was set back) counts as that earlier key. The lanes
//!   of a thread keep its order also when it moves from the shared lane to its own. But a thread that
//!   ends returns to the shared lane, and its last lines may arrive before earlier ones.
//! - **Of several threads, where the batch ends because all lanes are empty**: a line that was
//!   written before another one began is above it. All lanes were empty when the batch ended. So a
//!   line that is not collected yet was published later than each line that is, and its write had
//!   not ended when theirs began. Only writes that overlap in time may be out of order.
//! - **Where the batch is full and ends in the middle**, some lanes still have lines that are older
//!   than those collected. The lines are kept, for [`PATIENCE`] and up to [`MOST_LINES`]: the next
//!   batches add what is missing. Then the lines are returned whose keys are not above the newest
//!   key of any thread that has lines here: each lane delivers in order, so a thread whose newest
//!   line is old has more old ones.
//! - **With a grace**, each line waits for that duration before it is returned, and for the lines
//!   with smaller keys. Writes that overlap are then in order, too. At most [`MOST_HELD`] lines wait
//!   for it.
//! - **Above these limits** the oldest lines are returned before their time. A line that arrives after
//!   that with a smaller key than one of them is out of order, and counted.

use crate::losses::Counters;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most events of a batch of the crate's own queues. A batch with fewer events ended because all
/// lanes were empty.
pub(crate) const MAX_BATCH: usize = 1024;
/// How long lines are kept after a batch that ended in the middle.
const PATIENCE: Duration = Duration::from_millis(10);
/// The number of lines that are kept after a batch that ended in the middle.
const MOST_LINES: usize = 8192;
/// The number of lines that wait for a grace: 16 MiB of slots.
pub(crate) const MOST_HELD: usize = 64 * 1024;
/// The number of lines that still wait after the oldest ones were returned before their time.
const LEAST_HELD: usize = MOST_HELD / 2;

/// What the order of a line depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    /// The time of the line.
    pub(crate) key: u64,
    /// The number of the thread that wrote it, or 0 if that is unknown.
    pub(crate) thread: u32,
    /// The number of the line among those of its thread; the same number for lines that arrive in
    /// their order. After four billion lines it starts again, where a clock that is set back at that
    /// moment may swap lines.
    pub(crate) sequence: u32,
}

/// Collects lines, or what will become lines, and returns them in the order of their stamps.
#[derive(Debug)]
pub(crate) struct Sorter<T> {
    grace: Duration,
    /// The lines in the order of arrival. Those that were returned are `None`.
    items: Vec<Option<T>>,
    /// Sorted, up to those of the batch that has not ended.
    entries: Vec<Entry>,
    /// The newest key of each thread that has lines here.
    newest: HashMap<u32, u64>,
    /// Whether a line has a smaller key than one of its thread that arrived before it.
    is_inverted: bool,
    /// The number of lines since the last end of a batch.
    batch: usize,
    /// The time since which lines are kept.
    since: Option<Instant>,
    /// The largest key of the lines that were returned before their time, or 0.
    forced: u64,
    counters: Arc<Counters>,
}

/// A line, by its index among the items.
#[derive(Clone, Copy, Debug)]
struct Entry {
    stamp: Stamp,
    item: usize,
    /// When the batch of the line ended; `None` in the batch that has not ended.
    arrived: Option<Instant>,
}

impl<T> Sorter<T> {
    /// Creates a sorter that holds each line back for `grace`; zero for none. It counts the lines that
    /// are out of order because too many were kept.
    pub(crate) fn new(grace: Duration, counters: Arc<Counters>) -> Self {
        Self {
            grace,
            items: Vec::new(),
            entries: Vec::new(),
            newest: HashMap::new(),
            is_inverted: false,
            batch: 0,
            since: None,
            forced: 0,
            counters,
        }
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, stamp: Stamp, item: T) {
        match self.entries.last().map(|entry| entry.stamp) {
            // Most lines follow one of the same thread.
            Some(last) if last.thread == stamp.thread && stamp.key >= last.key => {}
            _ => {
                self.note_newest();
                let newest = self.newest.get(&stamp.thread);
                self.is_inverted |= newest.is_some_and(|newest| stamp.key < *newest);
            }
        }
        if stamp.key < self.forced {
            self.counters.add_out_of_order();
        }
        self.entries.push(Entry { stamp, item: self.items.len(), arrived: None });
        self.items.push(Some(item));
        self.batch += 1;
    }

    /// Counts an event of this batch that is no line for the sorter: the queue has counted it, too, and
    /// a batch that it ends early is told from a full one by the number.
    pub(crate) fn skip(&mut self) {
        self.batch += 1;
    }

    /// Records the key of the last line as the newest one of its thread.
    fn note_newest(&mut self) {
        if let Some(Entry { stamp, .. }) = self.entries.last() {
            let newest = self.newest.entry(stamp.thread).or_insert(stamp.key);
            *newest = stamp.key.max(*newest);
        }
    }

    /// Sorts the lines.
    fn sort(&mut self) {
        if std::mem::take(&mut self.is_inverted) {
            self.raise_keys();
        }
        // Stable: lines with equal keys keep the order that they have.
        self.entries.sort_by_key(|entry| entry.stamp.key);
    }

    /// Raises each key below an earlier key of its thread to that key.
    #[cold]
    fn raise_keys(&mut self) {
        self.entries.sort_by_key(|entry| (entry.stamp.thread, entry.stamp.sequence));
        let mut before = Stamp { key: 0, thread: 0, sequence: 0 };
        for Entry { stamp, .. } in &mut self.entries {
            // The number 0 stands for several threads.
            if stamp.thread == before.thread && stamp.thread != 0 {
                stamp.key = stamp.key.max(before.key);
            }
            before = *stamp;
        }
    }

    /// Ends a batch: passes the lines to `emit` that are due.
    pub(crate) fn end_of_batch(&mut self, now: Instant, emit: &mut dyn FnMut(T)) {
        let in_the_middle = std::mem::take(&mut self.batch) >= MAX_BATCH;
        if self.entries.is_empty() {
            return;
        }
        self.note_newest();
        let batch = self.entries.iter_mut().rev().take_while(|entry| entry.arrived.is_none());
        batch.for_each(|entry| entry.arrived = Some(now));
        self.sort();
        let since = *self.since.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        let is_full = self.entries.len() >= MOST_LINES;
        if !self.grace.is_zero() {
            self.emit_graced(now, emit);
            if self.entries.len() > MOST_HELD {
                self.force(self.entries.len() - LEAST_HELD, now, emit);
                self.note_first();
            }
        } else if !in_the_middle {
            self.emit_while(now, |_| true, emit);
        } else if waited >= PATIENCE || is_full {
            let limit = self.newest.values().min().copied().unwrap_or(u64::MAX);
            self.emit_while(now, |entry| entry.stamp.key <= limit, emit);
            if self.entries.len() >= MOST_LINES {
                // A thread whose newest line is old may be silent for long.
                self.force(self.entries.len(), now, emit);
            }
        }
    }

    /// Passes the lines to `emit` that have waited for long enough while no event arrived.
    pub(crate) fn tick(&mut self, now: Instant, emit: &mut dyn FnMut(T)) {
        // Within a batch, lines that are missing may be about to arrive.
        if self.batch > 0 || self.due().is_none_or(|due| now < due) {
            return;
        }
        if self.grace.is_zero() {
            self.emit_while(now, |_| true, emit);
        } else {
            self.emit_graced(now, emit);
        }
    }

    /// Passes all lines to `emit`.
    pub(crate) fn drain(&mut self, now: Instant, emit: &mut dyn FnMut(T)) {
        self.sort();
        self.emit_while(now, |_| true, emit);
    }

    /// Returns when the lines that are kept are due, if no batch ends before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let wait = if self.grace.is_zero() { PATIENCE } else { self.grace };
        // A grace beyond the end of time is one without an end: a flush and a close pass the lines.
        self.since.and_then(|since| since.checked_add(wait))
    }

    fn emit_graced(&mut self, now: Instant, emit: &mut dyn FnMut(T)) {
        let grace = self.grace;
        let is_due = |at: Instant| now.saturating_duration_since(at) >= grace;
        self.emit_while(now, |entry| entry.arrived.is_some_and(is_due), emit);
        self.note_first();
    }

    /// Notes that the lines that are held wait for the first one.
    fn note_first(&mut self) {
        self.since = self.entries.first().and_then(|entry| entry.arrived);
    }

    /// Passes the first lines to `emit` before their time.
    #[cold]
    fn force(&mut self, count: usize, now: Instant, emit: &mut dyn FnMut(T)) {
        // The lines are sorted.
        let last = count.checked_sub(1).and_then(|last| self.entries.get(last));
        self.forced = self.forced.max(last.map_or(0, |entry| entry.stamp.key));
        self.emit_first(count, now, emit);
    }

    /// Passes lines to `emit`, in order, up to the first one that is not due.
    fn emit_while(&mut self, now: Instant, is_due: impl Fn(&Entry) -> bool, emit: &mut dyn FnMut(T)) {
        let due = self.entries.iter().take_while(|entry| is_due(entry)).count();
        self.emit_first(due, now, emit);
    }

    /// Passes the first lines to `emit`.
    fn emit_first(&mut self, count: usize, now: Instant, emit: &mut dyn FnMut(T)) {
        if count == 0 {
            return;
        }
        self.since = None;
        for entry in self.entries.drain(..count) {
            if let Some(item) = self.items[entry.item].take() {
                emit(item);
            }
        }
        if self.entries.is_empty() {
            self.newest.clear();
            self.items.clear();
            self.items.shrink_to(MOST_LINES);
            return;
        }
        self.since = Some(now);
        // With a grace, most lines stay: moving them each time would cost more than the lines that go.
        if self.grace.is_zero() || self.items.len() > 2 * self.entries.len() {
            self.compact();
        }
    }

    /// Moves the lines that are kept to the beginning, and forgets threads that have none.
    fn compact(&mut self) {
        self.newest.clear();
        let mut rest = Vec::with_capacity(self.entries.len());
        for entry in &mut self.entries {
            rest.push(self.items[entry.item].take());
            entry.item = rest.len() - 1;
            // The lines are sorted: the last one of a thread has its newest key.
            self.newest.insert(entry.stamp.thread, entry.stamp.key);
        }
        self.items = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::{LEAST_HELD, MAX_BATCH, MOST_HELD, PATIENCE, Sorter, Stamp};
    use crate::losses::Counters;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// A sorter with its time, and the keys of the lines that it has returned.
    struct Bench {
        sorter: Sorter<u64>,
        now: Instant,
        keys: Vec<u64>,
        /// The number of lines of all threads, which is their sequence, too.
        lines: u32,
        counters: Arc<Counters>,
    }

    impl Bench {
        fn new(grace: Duration) -> Self {
            let counters = Arc::<Counters>::default();
            let sorter = Sorter::new(grace, counters.clone());
            Self { sorter, now: Instant::now(), keys: Vec::new(), lines: 0, counters }
        }

        fn push(&mut self, thread: u32, keys: impl IntoIterator<Item = u64>) {
            for key in keys {
                self.lines += 1;
                self.push_as(thread, self.lines, key);
            }
        }

        fn push_as(&mut self, thread: u32, sequence: u32, key: u64) {
            self.sorter.push(Stamp { key, thread, sequence }, key);
        }

        /// Calls the sorter, and returns the keys of the lines that it returned.
        fn call(&mut self, call: impl FnOnce(&mut Sorter<u64>, Instant, &mut dyn FnMut(u64))) -> Vec<u64> {
            let keys = &mut self.keys;
            call(&mut self.sorter, self.now, &mut |key| keys.push(key));
            std::mem::take(keys)
        }

        fn end_of_batch(&mut self) -> Vec<u64> {
            self.call(Sorter::end_of_batch)
        }

        fn tick(&mut self) -> Vec<u64> {
            self.call(Sorter::tick)
        }
    }

    const FULL: u64 = MAX_BATCH as u64;

    fn range(first: u64, count: u64) -> Vec<u64> {
        (first..first + count).collect()
    }

    #[test]
    fn short_batch_is_returned_in_order() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(1, [10, 12, 14]);
        bench.push(2, [11, 13]);
        assert_eq!(bench.end_of_batch(), [10, 11, 12, 13, 14]);
        assert_eq!(bench.sorter.due(), None);
    }

    #[test]
    fn full_batch_waits_for_older_lines() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(1, range(100, FULL));
        assert_eq!(bench.end_of_batch(), []);
        assert_eq!(bench.sorter.due(), Some(bench.now + PATIENCE));
        bench.push(2, range(0, 100));
        assert_eq!(bench.end_of_batch(), range(0, FULL + 100));
    }

    #[test]
    fn overload_returns_what_no_thread_precedes() {
        let mut bench = Bench::new(Duration::ZERO);
        // The second thread has a long backlog: its older lines come first, in several batches.
        bench.push(1, [500, 5000]);
        bench.push(2, range(0, FULL - 2));
        assert_eq!(bench.end_of_batch(), []);
        bench.now += PATIENCE;
        bench.push(2, range(FULL, FULL));
        let returned = bench.end_of_batch();
        assert_eq!(returned.last(), Some(&(2 * FULL - 1)));
        assert!(returned.is_sorted() && returned.contains(&500));
        // The line of the first thread waits for the rest of the second one.
        bench.push(2, range(2 * FULL, 10));
        assert_eq!(bench.end_of_batch(), [range(2 * FULL, 10), vec![5000]].concat());
    }

    #[test]
    fn full_batch_of_one_thread_waits_briefly() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(1, range(0, FULL));
        assert_eq!(bench.end_of_batch(), []);
        assert_eq!(bench.tick(), []);
        bench.now += PATIENCE;
        assert_eq!(bench.tick(), range(0, FULL));
        assert_eq!(bench.sorter.due(), None);
    }

    #[test]
    fn tick_within_a_batch_returns_nothing() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(1, range(0, FULL));
        assert_eq!(bench.end_of_batch(), []);
        bench.push(1, [FULL]);
        bench.now += PATIENCE;
        assert_eq!(bench.tick(), []);
        assert_eq!(bench.end_of_batch(), range(0, FULL + 1));
    }

    #[test]
    fn grace_holds_each_line_and_those_after_it() {
        let grace = Duration::from_millis(5);
        let mut bench = Bench::new(grace);
        bench.push(1, [10, 30]);
        assert_eq!(bench.end_of_batch(), []);
        bench.now += grace / 2;
        bench.push(2, [20]);
        assert_eq!(bench.end_of_batch(), []);
        assert_eq!(bench.sorter.due(), Some(bench.now + grace / 2));
        bench.now += grace / 2;
        // The line of 30 has waited for long enough, and still comes after that of 20.
        assert_eq!(bench.tick(), [10]);
        bench.now += grace / 2;
        assert_eq!(bench.tick(), [20, 30]);
        assert_eq!(bench.sorter.due(), None);
    }

    #[test]
    fn key_below_an_earlier_one_counts_as_that() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(1, [20, 10]);
        bench.push(2, [15]);
        bench.push(1, [12]);
        assert_eq!(bench.end_of_batch(), [15, 20, 10, 12]);
    }

    #[test]
    fn line_that_arrives_too_early_waits_for_its_turn() {
        // The last line of an ending thread is in another lane.
        let mut bench = Bench::new(Duration::ZERO);
        bench.push_as(1, 3, 30);
        bench.push_as(1, 1, 10);
        bench.push_as(1, 2, 20);
        bench.push_as(2, 1, 15);
        assert_eq!(bench.end_of_batch(), [10, 15, 20, 30]);
    }

    #[test]
    fn skipped_event_counts_for_a_full_batch() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(1, range(100, FULL - 1));
        bench.sorter.skip();
        assert_eq!(bench.end_of_batch(), []);
        bench.push(2, range(0, 100));
        assert_eq!(bench.end_of_batch(), range(0, FULL + 99));
    }

    #[test]
    fn drain_in_a_batch_keeps_its_count() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(1, range(100, 600));
        assert_eq!(bench.call(Sorter::drain), range(100, 600));
        bench.push(1, range(700, FULL - 600));
        assert_eq!(bench.end_of_batch(), []);
    }

    #[test]
    fn grace_without_an_end_is_never_due() {
        let mut bench = Bench::new(Duration::MAX);
        bench.push(1, [10]);
        assert_eq!(bench.end_of_batch(), []);
        assert_eq!((bench.sorter.due(), bench.tick()), (None, vec![]));
        assert_eq!(bench.call(Sorter::drain), [10]);
    }

    #[test]
    fn grace_holds_a_bounded_number_of_lines() {
        let mut bench = Bench::new(Duration::MAX);
        let mut returned = Vec::new();
        let most = MOST_HELD as u64;
        for first in (0..most).step_by(MAX_BATCH) {
            bench.push(1, range(1000 + first, FULL));
            returned.append(&mut bench.end_of_batch());
        }
        assert_eq!(returned, []);
        bench.push(1, [1000 + most]);
        returned.append(&mut bench.end_of_batch());
        // The oldest lines were returned before their time.
        assert_eq!(bench.sorter.entries.len(), LEAST_HELD);
        assert!(bench.sorter.items.len() <= 2 * LEAST_HELD);
        let count = most + 1 - LEAST_HELD as u64;
        assert_eq!(returned, range(1000, count));
        // Two lines come too late for their position, and are not lost.
        bench.push(2, [10, 20, 1000 + count, 3000 + most]);
        returned.append(&mut bench.end_of_batch());
        assert_eq!(bench.counters.out_of_order(), 2);
        returned.append(&mut bench.call(Sorter::drain));
        assert_eq!(returned.len() as u64, most + 5);
        let late = [&[10, 20][..], &range(1000 + count, 1)[..], &range(1000 + count, 1)[..]].concat();
        assert_eq!(returned[count as usize..][..4], late);
    }

    #[test]
    fn order_below_the_limits_is_not_counted() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(1, range(100, FULL));
        assert_eq!(bench.end_of_batch(), []);
        bench.push(2, range(0, 10));
        assert_eq!(bench.end_of_batch(), [range(0, 10), range(100, FULL)].concat());
        assert_eq!(bench.counters.out_of_order(), 0);
    }

    #[test]
    fn grace_returns_lines_of_several_batches_once() {
        let grace = Duration::from_millis(5);
        let mut bench = Bench::new(grace);
        let mut returned = Vec::new();
        for round in 0..50 {
            bench.push(1 + round % 3, range(u64::from(round) * 10, 10));
            returned.append(&mut bench.end_of_batch());
            bench.now += grace / 3;
        }
        returned.append(&mut bench.call(Sorter::drain));
        assert_eq!(returned, range(0, 500));
    }

    #[test]
    fn unknown_threads_are_sorted_by_key_only() {
        let mut bench = Bench::new(Duration::ZERO);
        bench.push(0, [20, 10]);
        assert_eq!(bench.end_of_batch(), [10, 20]);
    }
}
