//! What a worker is doing, how many batches it has handled, and how long they took: words that the
//! worker writes, and snapshots read.
//!
//! An event costs neither a store nor a reading of the clock. The worker writes its words once a
//! round, in which it reads each lane once. It reads the clock only in rounds that are *timed*:
//! those that take long, those after a nap, and else as many as cost at most one percent of a busy
//! worker's time.
//!
//! # Since when a worker is inside a call
//! Three sources bound that time from below, and the largest bound counts:
//! - In a timed round of which no event is finished, the first event is in hand since the round began.
//! - A call that is not about an event, such as the end of a batch, begins a timed part of its own.
//! - Otherwise a worker that shows the same round and the same number of finished events to two
//!   snapshots was inside the same call between them.

use crate::sync::{AtomicU64, MODEL, Ordering, add_single_writer};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What a timed round costs in readings of the clock, in nanoseconds: at most five readings.
const READINGS_NS: u64 = 125;

/// The most rounds in a row that are not timed.
const MOST_UNTIMED: u8 = 63;

/// The bits of [`ActivityWords::doing`].
const TIMED: u64 = 1;
const CALL: u64 = 2;
const FINISHED_SHIFT: u32 = 2;
const NUMBER_SHIFT: u32 = 18;

/// A time in [`ActivityWords::doing`] counts units of 64 ns. It wraps after 52 days.
const UNIT_SHIFT: u32 = 6;

/// The words of one worker, beside its counters. They have one writer, which uses plain stores, and
/// publish nothing.
#[derive(Default)]
pub(crate) struct ActivityWords {
    /// 0 between two rounds. Else `TIMED`, `CALL`, the lowest 16 bits of the number of events that
    /// the worker had finished before this round, and a number above them. With `TIMED` the number
    /// is the time at which the round or the call began, else it is that of the round. `CALL`: the
    /// worker is inside user code that is not about one event.
    doing: AtomicU64,
    batches: AtomicU64,
    largest_batch: AtomicU64,
    busy_ns: AtomicU64,
    /// When the timed part of the round began. This word and the next two are of the worker alone,
    /// and are here because its own half is kept small.
    began: AtomicU64,
    /// How long the timed parts of the round took.
    spent: AtomicU64,
    /// The last reading of the clock of the last timed round with events.
    counted_until: AtomicU64,
}

/// What a snapshot saw first of a call that may still be in progress. Allocated when there is one.
#[derive(Default)]
pub(super) struct Seen(Mutex<Option<Box<First>>>);

struct First {
    doing: u64,
    finished: u64,
    at: Instant,
}

/// The work of all workers of a mailbox, or of those that have left it.
#[derive(Clone, Copy, Default)]
pub(super) struct Work {
    pub(super) in_handler_for: Option<Duration>,
    /// The same without the calls that are not about an event: an event has been in hand for this time.
    pub(super) in_hand_for: Option<Duration>,
    pub(super) batches: u64,
    pub(super) largest_batch: u64,
    pub(super) batch_time: Duration,
}

impl Work {
    /// Adds the work of one worker. `finished` reads the number of events that it has finished.
    /// `is_pending`: whether the mailbox has events that are not finished.
    pub(super) fn take_in(
        &mut self,
        (words, seen): (&ActivityWords, &Seen),
        finished: impl Fn() -> u64,
        is_pending: bool,
    ) {
        let get = |word: &AtomicU64| word.load(Ordering::Relaxed);
        self.batches += get(&words.batches);
        self.largest_batch = self.largest_batch.max(get(&words.largest_batch));
        self.batch_time += Duration::from_nanos(get(&words.busy_ns));
        let Some((inside, is_call)) = words.inside_for(seen, is_pending, finished) else { return };
        self.in_handler_for = self.in_handler_for.max(Some(inside));
        if !is_call {
            self.in_hand_for = self.in_hand_for.max(Some(inside));
        }
    }
}

impl ActivityWords {
    /// Returns the time for which the worker has been inside one call of user code, at least, and
    /// whether that call is not about an event.
    fn inside_for(
        &self,
        seen: &Seen,
        is_pending: bool,
        finished: impl Fn() -> u64,
    ) -> Option<(Duration, bool)> {
        let doing = self.doing.load(Ordering::Relaxed);
        let finished = finished();
        let mut seen = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A round that finds nothing is inside no user code. If the round has ended meanwhile, the
        // numbers may belong to different rounds.
        let is_inside = doing != 0 && (doing & CALL != 0 || is_pending);
        if !is_inside || self.doing.load(Ordering::Relaxed) != doing {
            *seen = None;
            return None;
        }
        let is_first = ((doing >> FINISHED_SHIFT) & 0xffff) == (finished & 0xffff);
        let since_begin = if doing & TIMED != 0 && (doing & CALL != 0 || is_first) {
            let units = (clock() >> UNIT_SHIFT).wrapping_sub(doing >> NUMBER_SHIFT);
            (units & (u64::MAX >> NUMBER_SHIFT)) << UNIT_SHIFT
        } else {
            0
        };
        let now = Instant::now();
        let since_seen = match &*seen {
            Some(first) if (first.doing, first.finished) == (doing, finished) => {
                now.saturating_duration_since(first.at)
            }
            _ => {
                *seen = Some(Box::new(First { doing, finished, at: now }));
                Duration::ZERO
            }
        };
        Some((since_seen.max(Duration::from_nanos(since_begin)), doing & CALL != 0))
    }
}

/// Returns nanoseconds since the first call in this process.
fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The batches that have ended since they were last published.
#[derive(Default)]
pub(crate) struct Batches {
    count: u32,
    largest: u32,
}

impl Batches {
    /// Counts a batch of this many events.
    pub(crate) fn count(&mut self, events: usize) {
        self.count += 1;
        self.largest = self.largest.max(u32::try_from(events).unwrap_or(u32::MAX));
    }
}

/// The worker's side: which of its rounds are timed.
///
/// In a model it does nothing: the words order nothing, and would only add states to explore.
pub(crate) struct Rounds {
    number: u32,
    /// The lowest bits of the number of events that the worker has finished.
    finished: u16,
    /// The next rounds that are not timed.
    untimed: u8,
    /// The rounds with events since the last timed one.
    skipped: u8,
    /// Whether the wait strategy naps or parks when the lanes are dry. Then a reading of the clock
    /// after it costs nothing that matters.
    naps: bool,
    is_timed: bool,
}

impl Rounds {
    pub(crate) fn new(naps: bool, words: &ActivityWords) -> Self {
        if !MODEL {
            words.counted_until.store(clock(), Ordering::Relaxed);
        }
        Self { number: 0, finished: 0, untimed: 0, skipped: 0, naps, is_timed: false }
    }

    /// Begins a round.
    #[inline]
    pub(crate) fn begin(&mut self, words: &ActivityWords) {
        if MODEL {
            return;
        }
        self.is_timed = self.untimed == 0;
        words.spent.store(0, Ordering::Relaxed);
        self.untimed = self.untimed.saturating_sub(1);
        self.enter(words, 0);
    }

    /// Ends the part of the round that reads lanes.
    #[inline]
    pub(crate) fn scanned(&mut self, words: &ActivityWords, events: usize) {
        if MODEL {
            return;
        }
        if events > 0 {
            self.leave(words);
        } else if self.is_timed {
            self.is_timed = false;
            // A worker that naps is timed after each nap. One that spins is not slowed down.
            self.untimed = if self.naps { 0 } else { MOST_UNTIMED };
        }
    }

    /// Begins a call of user code that is not about one event.
    #[inline]
    pub(crate) fn call(&mut self, words: &ActivityWords) {
        if !MODEL {
            self.enter(words, CALL);
        }
    }

    /// Begins such a call outside a round.
    pub(crate) fn call_alone(&mut self, words: &ActivityWords) {
        if !MODEL {
            self.is_timed = true;
            self.enter(words, CALL);
        }
    }

    /// Ends a call.
    #[inline]
    pub(crate) fn called(&self, words: &ActivityWords) {
        if !MODEL {
            self.leave(words);
        }
    }

    /// Records that the worker is inside no user code.
    #[inline]
    pub(crate) fn rest(&mut self, words: &ActivityWords) {
        if !MODEL {
            words.doing.store(0, Ordering::Relaxed);
        }
    }

    /// Ends a round in which this many events were handled, and publishes the batches that have
    /// ended.
    #[inline]
    pub(crate) fn end(&mut self, words: &ActivityWords, events: usize, batches: &mut Batches) {
        if MODEL {
            return;
        }
        if events > 0 {
            // Only the lowest bits are kept.
            self.finished = self.finished.wrapping_add(events as u16);
            self.account(words);
        }
        let Batches { count, largest } = std::mem::take(batches);
        if count > 0 {
            add_single_writer(&words.batches, count.into());
            if u64::from(largest) > words.largest_batch.load(Ordering::Relaxed) {
                words.largest_batch.store(largest.into(), Ordering::Relaxed);
            }
        }
        self.rest(words);
    }

    #[inline]
    fn enter(&mut self, words: &ActivityWords, call: u64) {
        let number = if self.is_timed {
            let now = clock();
            words.began.store(now, Ordering::Relaxed);
            ((now >> UNIT_SHIFT) << NUMBER_SHIFT) | TIMED
        } else {
            self.number = self.number.wrapping_add(1);
            u64::from(self.number) << NUMBER_SHIFT
        };
        let finished = u64::from(self.finished) << FINISHED_SHIFT;
        words.doing.store(number | finished | call, Ordering::Relaxed);
    }

    #[inline]
    fn leave(&self, words: &ActivityWords) {
        if self.is_timed {
            let now = clock();
            let spent = now.saturating_sub(words.began.load(Ordering::Relaxed));
            add_single_writer(&words.spent, spent);
            words.began.store(now, Ordering::Relaxed);
        }
    }

    /// Adds the time of a round with events. A timed round stands for those before it that were not
    /// timed, and all of them for no more time than has passed.
    #[inline]
    fn account(&mut self, words: &ActivityWords) {
        if !self.is_timed {
            self.skipped = self.skipped.saturating_add(1);
            return;
        }
        let get = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (now, spent) = (get(&words.began), get(&words.spent));
        let passed = now.saturating_sub(get(&words.counted_until));
        let estimate = spent.saturating_mul(u64::from(self.skipped) + 1);
        add_single_writer(&words.busy_ns, estimate.min(passed.max(spent)));
        words.counted_until.store(now, Ordering::Relaxed);
        self.skipped = 0;
        let untimed = READINGS_NS * 100 / spent.max(1);
        self.untimed = u8::try_from(untimed).unwrap_or(u8::MAX).min(MOST_UNTIMED);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::{ActivityWords, Batches, MOST_UNTIMED, Rounds, Seen, Work};
    use crate::sync::Ordering;
    use std::cell::Cell;
    use std::time::Duration;

    /// The words of a worker, and the number of events that it has finished.
    #[derive(Default)]
    struct Counters {
        words: ActivityWords,
        seen: Seen,
        finished: Cell<u64>,
    }

    fn idle(naps: bool) -> (Counters, Rounds) {
        let counters = Counters::default();
        let rounds = Rounds::new(naps, &counters.words);
        (counters, rounds)
    }

    fn work(counters: &Counters, is_pending: bool) -> Work {
        let mut work = Work::default();
        work.take_in((&counters.words, &counters.seen), || counters.finished.get(), is_pending);
        work
    }

    #[test]
    fn first_event_of_a_timed_round_is_in_hand() {
        let (counters, mut rounds) = idle(true);
        assert_eq!(work(&counters, true).in_handler_for, None);
        rounds.begin(&counters.words);
        assert_eq!(work(&counters, false).in_handler_for, None, "the round may find nothing");
        let first = work(&counters, true).in_handler_for.expect("an event is in hand");
        assert!(first > Duration::ZERO, "the round began before the snapshot");
        counters.finished.set(1);
        let second = work(&counters, true).in_handler_for;
        assert_eq!(second, Some(Duration::ZERO), "another event, for an unknown time");
        assert!(work(&counters, true).in_handler_for > second, "the same event as before");
        rounds.scanned(&counters.words, 1);
        rounds.end(&counters.words, 1, &mut Batches::default());
        assert_eq!(work(&counters, true).in_handler_for, None);
    }

    #[test]
    fn end_of_a_batch_counts_as_inside() {
        let (counters, mut rounds) = idle(true);
        rounds.begin(&counters.words);
        counters.finished.set(1);
        rounds.scanned(&counters.words, 1);
        rounds.call(&counters.words);
        assert!(work(&counters, false).in_handler_for > Some(Duration::ZERO));
        rounds.called(&counters.words);
        let mut batches = Batches::default();
        batches.count(1);
        rounds.end(&counters.words, 1, &mut batches);
        let work = work(&counters, false);
        assert_eq!((work.in_handler_for, work.batches, work.largest_batch), (None, 1, 1));
        assert!(work.batch_time > Duration::ZERO);
    }

    #[test]
    fn short_rounds_are_seldom_timed() {
        let (counters, mut rounds) = idle(false);
        let timed = |rounds: &mut Rounds, events: usize| {
            rounds.begin(&counters.words);
            let is_timed = rounds.is_timed;
            rounds.scanned(&counters.words, events);
            rounds.end(&counters.words, events, &mut Batches::default());
            is_timed
        };
        assert!(timed(&mut rounds, 0));
        let count = (0..MOST_UNTIMED).filter(|_| timed(&mut rounds, 0)).count();
        assert_eq!(count, 0, "a worker that spins reads no clock for a while");
        assert!(timed(&mut rounds, 1));
        counters.words.spent.store(1_000_000, Ordering::Relaxed);
        rounds.account(&counters.words);
        assert_eq!(rounds.untimed, 0, "a long round is followed by a timed one");
    }

    #[test]
    fn estimate_is_at_most_the_time_that_passed() {
        let (counters, mut rounds) = idle(true);
        let words = &counters.words;
        let mut end = |now, spent| {
            (rounds.is_timed, rounds.skipped) = (true, 9);
            words.began.store(now, Ordering::Relaxed);
            words.spent.store(spent, Ordering::Relaxed);
            rounds.account(words);
            words.busy_ns.load(Ordering::Relaxed)
        };
        words.counted_until.store(1000, Ordering::Relaxed);
        assert_eq!(end(1500, 10), 100, "ten rounds like the timed one");
        assert_eq!(end(2100, 500), 700, "no more than the 600 ns since the last timed round");
    }
}
