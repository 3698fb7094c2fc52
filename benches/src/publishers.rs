//! Several publishers of one stream without a concurrent reader: their throughput, in total and for
//! each.
//!
//! All start at the same time, when the last of them has arrived. A race ends after a time, or, if
//! a number of events is requested, when the first publisher has published its part: so all of them
//! publish for the whole race. Two publishers may be pinned to one processor each; all others run
//! on any processor, and alternate if there are more of them than processors.
//!
//! After each race a reader takes the remaining events, and counts the missed ones. The sum must be
//! the number of published events, and the remaining ones must be the last of each publisher, in
//! order and without a gap.

mod contenders;

use crate::event::{Event, Seed};
use crate::machine::{Padded, pin_consumer, pin_producer, unpinned};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use contenders::{journal, locked, photon, tokio};

/// A contender that several threads publish into, and one thread reads.
pub trait Publishers: Send + Sync + 'static {
    /// Creates the event and publishes it.
    fn publish(&self, seed: Seed);

    /// Reads everything. Called by one thread, while no thread publishes.
    fn drain(&self, see: &mut dyn FnMut(Read));
}

/// The reader's result.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// The next event.
    Event(Event),
    /// The number of overwritten events.
    Lost(u64),
}

/// The processors of the publishers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The producer's processor and the consumer's; for two publishers.
    Pinned,
    /// Any processor.
    Anywhere,
}

/// The result of a race.
#[derive(Clone, Debug)]
pub struct Race {
    /// The time from the arrival of all publishers until the first one ended.
    pub elapsed: Duration,
    /// The number of events of each publisher.
    pub counts: Vec<u64>,
    /// The number of retained events that follow an event of the same publisher, and the number of
    /// those that do not.
    repeats: u64,
    turns: u64,
}

impl Race {
    /// Returns the number of events of all publishers together.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the time between two events.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.events() as f64
    }

    /// Returns the ratio of the smallest count of a publisher to the greatest: 1 is fair.
    #[must_use]
    pub fn least_share(&self) -> f64 {
        let least = self.counts.iter().min().copied().unwrap_or(0);
        let most = self.counts.iter().max().copied().unwrap_or(0);
        least as f64 / most.max(1) as f64
    }

    /// Returns the number of consecutive events of one publisher, among the retained ones: 1 if the
    /// publishers alternate strictly.
    #[must_use]
    pub fn run(&self) -> f64 {
        1.0 + self.repeats as f64 / self.turns.max(1) as f64
    }
}

/// The position of the publisher's index above its number of an event.
const INDEX_SHIFT: u32 = 48;

/// The state that the publishers of a race share.
struct Track<P> {
    contender: P,
    arrived: AtomicUsize,
    /// Checked before each event.
    over: Padded<AtomicBool>,
    /// The number of events after which a publisher ends.
    most: AtomicU64,
}

/// A meter that runs races of publishers, and checks the published events.
pub struct Meter<P> {
    track: Arc<Track<P>>,
    place: Place,
    /// The next number of each publisher.
    next: Vec<u64>,
}

impl<P: Publishers> Meter<P> {
    /// Takes a contender that was not published into, and checks that it works before the first
    /// timed race.
    ///
    /// # Panics
    /// If more than two publishers are to be pinned.
    #[must_use]
    pub fn new(contender: P, publishers: usize, place: Place) -> Self {
        assert!(place == Place::Anywhere || publishers == 2, "only two can be pinned");
        let track = Track {
            contender,
            arrived: AtomicUsize::new(0),
            over: Padded::default(),
            most: AtomicU64::new(0),
        };
        let track = Arc::new(track);
        let mut meter = Self { track, place, next: vec![0; publishers] };
        for events in [1, 2, 3 * crate::CAPACITY as u64 + 5] {
            meter.race_to(events);
        }
        meter
    }

    /// Runs all publishers for a duration.
    ///
    /// # Panics
    /// If an event was lost without a report, duplicated, changed, or out of its publisher's order.
    pub fn race_for(&mut self, duration: Duration) -> Race {
        self.race(u64::MAX, || std::thread::sleep(duration))
    }

    /// Runs all publishers until the first one has published `events` events.
    ///
    /// # Panics
    /// As for [`race_for`](Self::race_for).
    pub fn race_to(&mut self, events: u64) -> Race {
        self.race(events, || {})
    }

    /// Returns the time for `events` events of all publishers together; publishes about as many.
    pub fn time(&mut self, events: u64) -> Duration {
        let race = self.race_to(events.div_ceil(self.next.len() as u64));
        race.elapsed.mul_f64(events as f64 / race.events() as f64)
    }

    fn race(&mut self, most: u64, wait: impl FnOnce()) -> Race {
        let track = &self.track;
        track.arrived.store(0, Ordering::Relaxed);
        track.over.0.store(false, Ordering::Relaxed);
        track.most.store(most, Ordering::Relaxed);
        let threads: Vec<_> = (0..self.next.len()).map(|index| self.start(index)).collect();
        if most == u64::MAX {
            wait();
            track.over.0.store(true, Ordering::Relaxed);
        }
        let runs: Vec<Run> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| unreachable!("publishers do not panic")))
            .collect();
        let (start, end) = (runs.iter().map(|run| run.start).min(), runs.iter().map(|run| run.end).min());
        let elapsed = end.zip(start).map_or(Duration::ZERO, |(end, start)| end - start);
        let mut race =
            Race { elapsed, counts: runs.iter().map(|run| run.events).collect(), repeats: 0, turns: 0 };
        self.check(&mut race);
        race
    }

    /// Starts a publisher's thread.
    fn start(&self, index: usize) -> JoinHandle<Run> {
        let (track, first, all) = (self.track.clone(), self.next[index], self.next.len());
        let place = self.place;
        let body = move || {
            match (place, index) {
                (Place::Anywhere, _) => {}
                (Place::Pinned, 0) => pin_producer(),
                (Place::Pinned, _) => pin_consumer(),
            }
            track.publish((index as u64) << INDEX_SHIFT | first, all)
        };
        match place {
            Place::Pinned => std::thread::spawn(body),
            Place::Anywhere => unpinned(move || std::thread::spawn(body)),
        }
    }

    /// Reads the remaining events, and compares them with the published ones.
    fn check(&mut self, race: &mut Race) {
        // The smallest number that may come next, for each publisher.
        let mut expected = self.next.clone();
        self.next.iter_mut().zip(&race.counts).for_each(|(next, count)| *next += count);
        let (mut lost, mut events) = (0, 0);
        // Whether events may be missing before the next one, for each publisher.
        let mut gaps = vec![false; expected.len()];
        let mut last = None;
        self.track.contender.drain(&mut |read| match read {
            // A reader may have read events that are older than those it missed.
            Read::Lost(missed) => {
                lost += missed;
                gaps.fill(true);
                last = None;
            }
            Read::Event(event) => {
                assert_eq!(event, Event::new(event.seq), "an event that was never published");
                let index = (event.seq >> INDEX_SHIFT) as usize;
                let number = event.seq & ((1 << INDEX_SHIFT) - 1);
                let gap = std::mem::take(&mut gaps[index]);
                let next = if gap { number.max(expected[index]) } else { expected[index] };
                assert_eq!(number, next, "the next event of publisher {index}");
                expected[index] = number + 1;
                if last.replace(index) == Some(index) {
                    race.repeats += 1;
                } else {
                    race.turns += 1;
                }
                events += 1;
            }
        });
        assert_eq!(lost + events, race.events(), "events read and lost");
        assert!(
            events >= race.events().min(crate::CAPACITY as u64),
            "more events were lost than overwritten"
        );
        for (index, (expected, next)) in expected.iter().zip(&self.next).enumerate() {
            assert!(gaps[index] || expected == next, "the last event of publisher {index}");
        }
    }
}

/// The result of one publisher.
struct Run {
    start: Instant,
    end: Instant,
    events: u64,
}

impl<P: Publishers> Track<P> {
    /// Publishes for the whole race, starting with number `first`.
    #[inline(never)]
    fn publish(&self, first: u64, publishers: usize) -> Run {
        let most = self.most.load(Ordering::Relaxed);
        self.arrived.fetch_add(1, Ordering::Relaxed);
        while self.arrived.load(Ordering::Relaxed) < publishers {
            // There may be fewer processors than publishers.
            std::thread::yield_now();
        }
        let start = Instant::now();
        let mut events = 0;
        while events < most && !self.over.0.load(Ordering::Relaxed) {
            self.contender.publish(Seed::new(first + events, false));
            events += 1;
        }
        let end = Instant::now();
        self.over.0.store(true, Ordering::Relaxed);
        Run { start, end, events }
    }
}

impl<P> fmt::Debug for Meter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("published", &self.next).finish_non_exhaustive()
    }
}
