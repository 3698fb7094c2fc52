//! What a publish costs in the middle of a request: single calls, with cold caches, while the
//! listeners sleep as they do by default.
//!
//! Every other section publishes in a loop, where the publisher's data never leaves its caches. A
//! service publishes one event per request. So here a publisher waits until an event is due, uses
//! other memory as a request does, and times one call. The memory is as large as fits into the
//! interval: see [`Shape::touched`]. An event that is late is not made up for: the next one is due
//! an interval after it.
//!
//! - **A call** is timed by a [`Timer`], whose own cost is subtracted.
//! - **Publishers never wait**: a contender without room refuses or drops the event, and the loss
//!   is counted.
//! - **No thread is pinned**, as in most services. A publisher spins between two events; several
//!   publishers yield, as there may be more of them than processors, and share the rate.
//! - **Processor time besides the publishers'** is that of the process, from the first event to the
//!   last one, less that of the publishers' threads.
//! - **A preempted publisher** is counted by its involuntary context switches, a publisher that
//!   slept by its voluntary ones. Nothing is left out because of them. Several publishers yield, and
//!   the system counts each yield as an involuntary switch, so that nothing can be said of them.
//!
//! Each listener checks every event, the order of each publisher, and the sum of what it received.
//! The number of lost events must be the one that the contender reports, if it counts them.
//!
//! `tracing-appender` and `ticklog` are one per process in a real program, and here: see
//! [`alone`]. Their worker thread serves all listeners.
//!
//! # The cache lines of a publish
//! Counted from the code, for events of 32 bytes, lanes that are neither sealed nor full, and
//! consumers that nap. What only the publisher writes is in its second-level cache, since 256 KiB do
//! not displace it from there. A line that another processor has written since, or read before a
//! store, is remote.
//!
//! | `Publisher::publish` | lines | written by | remote |
//! |---|---|---|---|
//! | the publisher, and the record of each lane | 2, and 1 a lane | the publisher | no |
//! | the version of the list | 1 | a change of the list | after a change |
//! | the end of the ring | 1 a lane | a seal | after a seal |
//! | the mark of a parked consumer | 1 a lane | a consumer that parks | after a park |
//! | the tail, a store | 1 a lane | the publisher; the consumer reads it at each poll | the store is late, the call is not |
//! | the slot, a store | 1 a lane | the publisher; the consumer reads it | no: prefetched 16 slots before |
//! | the head | 1 a lane | the consumer | once a lap: the load waits for it |
//!
//! | `Bus::publish` | lines | written by | remote |
//! |---|---|---|---|
//! | the hazard word of the thread | 1 | the thread | no |
//! | the handle, the bus, the list, its entries | 4, and 1 a sink | a change of the list | after a change |
//! | the fields of the ring, the mark of a parked consumer | 2 a sink | nothing; a consumer that parks | after a park |
//! | the tail, an exchange | 1 a sink | writers; the consumer reads it with a backlog of 16 events | after another writer |
//! | the slot, a load and a store | 1 or 2 a sink | writers; the consumer frees it, and each of its polls ends with a load of the next one | after a poll; otherwise it was prefetched 12 slots before |
//!
//! A locked exchange waits for all stores before it, and all loads after it wait for the exchange. So
//! `Bus::publish` into two to four queues or channels claims in all of them before it writes the first
//! slot: see `src/bus/together.rs`.

pub mod alone;
pub mod contenders;
mod memory;
pub mod peers;
mod tally;
mod timer;

use crate::event::Seed;
use crate::histogram;
use crate::machine::anywhere;
use crate::paired;
use crate::usage::Usage;
use hdrhistogram::Histogram;
use memory::Memory;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tally::INDEX_SHIFT;

pub use tally::{Listener, Tally};
pub use timer::{Source, Timer};

/// The number of events of each publisher before those that are timed.
const WARM_UP: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(60);

/// A situation to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The number of publishers.
    pub publishers: usize,
    /// The number of listeners.
    pub listeners: usize,
    /// The time between two events of all publishers together.
    pub interval: Duration,
    /// The duration of a slice.
    pub slice: Duration,
}

impl Shape {
    /// Returns the number of bytes that a publisher uses between two events. The time for them is
    /// less than the interval, and they replace the nearest cache in any case.
    #[must_use]
    pub fn touched(&self) -> usize {
        match self.interval.as_micros() {
            0..10 => 64 << 10,
            10..100 => 256 << 10,
            _ => 1 << 20,
        }
    }
}

/// The result of a slice.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The durations of the calls, in nanoseconds, without the timer's own.
    pub calls: Histogram<u64>,
    /// Processor time of all threads but the publishers', in nanoseconds for each event.
    pub besides: f64,
    /// The number of deliveries that were lost, of a thousand.
    pub lost: f64,
    /// The number of involuntary context switches of all publishers.
    pub preempted: f64,
    /// The number of voluntary ones.
    pub slept: f64,
    /// The time between two events of all publishers together, in nanoseconds.
    pub interval: f64,
}

impl Slice {
    /// The names of the figures besides the percentiles.
    pub const FIGURES: [&str; 5] = ["besides", "lost", "preempted", "slept", "interval"];

    /// Returns the figures besides the percentiles.
    #[must_use]
    pub fn figures(&self) -> [f64; 5] {
        [self.besides, self.lost, self.preempted, self.slept, self.interval]
    }
}

impl paired::Contender {
    /// Measures single calls in the middle of requests; `name, p50` and so on are percentiles of a
    /// slice, and the other figures are those of [`Slice::FIGURES`].
    #[must_use]
    pub fn in_place(name: &str, mut sample: impl FnMut() -> Slice + 'static) -> Self {
        let others = Slice::FIGURES.map(|figure| format!("{name}, {figure}"));
        Self::percentiles(vec![name.to_owned()], &others, move || {
            let slice = sample();
            let figures = slice.figures().to_vec();
            (vec![slice.calls], figures)
        })
    }
}

/// A way from publishers to listeners.
pub trait Contender: Copy + Send + 'static {
    /// Opens the way. Each of the senders is for one thread, publishes one event to all listeners
    /// without waiting, and returns the number of deliveries that were refused.
    fn open(self, publishers: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static>;
}

/// An open way.
pub struct Line<P> {
    senders: Vec<P>,
    received: Receiver<Tally>,
    listeners: usize,
    /// Ends the way, and returns the number of lost deliveries that only the way as a whole knows.
    end: Box<dyn FnOnce() -> Option<u64> + Send>,
    counts_losses: bool,
}

impl<P> Line<P> {
    fn new(senders: Vec<P>, reports: Reports, end: impl FnOnce() -> Option<u64> + Send + 'static) -> Self {
        let Reports { listeners, received, .. } = reports;
        Self { senders, received, listeners, end: Box::new(end), counts_losses: true }
    }

    /// Returns a line that does not report what it loses.
    fn uncounted(mut self) -> Self {
        self.counts_losses = false;
        self
    }
}

impl<P> fmt::Debug for Line<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// The source of the listeners, and the destination of their records.
#[derive(Debug)]
pub struct Reports {
    publishers: usize,
    listeners: usize,
    sender: Sender<Tally>,
    received: Receiver<Tally>,
}

impl Reports {
    fn new(publishers: usize, listeners: usize) -> Self {
        let (sender, received) = channel();
        Self { publishers, listeners, sender, received }
    }

    /// Returns the number of listeners.
    #[must_use]
    pub fn count(&self) -> usize {
        self.listeners
    }

    /// Returns all listeners.
    pub fn listeners(&self) -> impl Iterator<Item = Listener> {
        (0..self.listeners).map(|_| Listener::new(self.publishers, self.sender.clone()))
    }
}

/// Measures a slice.
///
/// # Panics
/// If an event is changed, repeated, out of order, or lost without a report.
#[must_use]
pub fn run<C: Contender>(contender: C, shape: Shape) -> Slice {
    let timer = Timer::get();
    anywhere(move || measure(contender, shape, timer))
}

fn measure<C: Contender>(contender: C, shape: Shape, timer: Timer) -> Slice {
    let Shape { publishers, listeners, .. } = shape;
    let line = contender.open(publishers, Reports::new(publishers, listeners));
    let ready = Arc::new(Barrier::new(publishers + 1));
    let threads: Vec<JoinHandle<Run>> = line
        .senders
        .into_iter()
        .enumerate()
        .map(|(index, send)| {
            let ready = ready.clone();
            thread::spawn(move || publish(index, shape, timer, send, &ready))
        })
        .collect();
    ready.wait();
    let before = Usage::now();
    let runs: Vec<Run> =
        threads.into_iter().map(|thread| thread.join().expect("publishers do not panic")).collect();
    let used = (Usage::now() - before).cpu - runs.iter().map(|run| run.used.cpu).sum::<i64>();

    let dropped = (line.end)().unwrap_or(0);
    let published: Vec<u64> = runs.iter().map(|run| run.published).collect();
    let (mut lost, mut known) = (0, dropped + runs.iter().map(|run| run.refused).sum::<u64>());
    for _ in 0..line.listeners {
        let tally = line.received.recv_timeout(PATIENCE).expect("each listener reports");
        lost += tally.lost(&published).expect("every event is intact and in order");
        known += tally.lagged;
    }
    assert!(!line.counts_losses || lost == known, "{lost} deliveries lost, {known} reported");

    let mut calls = histogram::empty();
    let timed: usize = runs.iter().map(|run| run.calls.len()).sum();
    for ticks in runs.iter().flat_map(|run| &run.calls) {
        calls.saturating_record(timer.nanoseconds(*ticks).max(1));
    }
    let elapsed = runs.iter().map(|run| run.elapsed).max().unwrap_or_default();
    let deliveries = published.iter().sum::<u64>() * listeners as u64;
    let sum = |count: fn(&Run) -> i64| runs.iter().map(count).sum::<i64>() as f64;
    Slice {
        calls,
        besides: used.max(0) as f64 / timed.max(1) as f64,
        lost: lost as f64 * 1_000.0 / deliveries.max(1) as f64,
        preempted: sum(|run| run.used.preemptions),
        slept: sum(|run| run.used.sleeps),
        interval: elapsed.as_nanos() as f64 / timed.max(1) as f64,
    }
}

/// The usage of one thread.
#[derive(Clone, Copy, Debug)]
struct Used {
    /// Processor time in nanoseconds.
    cpu: i64,
    sleeps: i64,
    preemptions: i64,
}

impl Used {
    /// Returns the usage of this thread up to now. Elsewhere than on Linux the system does not
    /// report it, and the figures besides the percentiles mean nothing.
    fn now() -> Self {
        #[cfg(target_os = "linux")]
        let counters = getrusage(UsageWho::RUSAGE_THREAD).expect("the usage of a thread");
        #[cfg(not(target_os = "linux"))]
        let counters = getrusage(UsageWho::RUSAGE_SELF).expect("the usage of a process");
        let nanoseconds = |time: TimeVal| time.num_microseconds() * 1_000;
        Self {
            cpu: nanoseconds(counters.user_time()) + nanoseconds(counters.system_time()),
            sleeps: counters.voluntary_context_switches(),
            preemptions: counters.involuntary_context_switches(),
        }
    }

    fn since(before: Self) -> Self {
        let now = Self::now();
        Self {
            cpu: now.cpu - before.cpu,
            sleeps: now.sleeps - before.sleeps,
            preemptions: now.preemptions - before.preemptions,
        }
    }
}

/// The result of one publisher.
struct Run {
    /// The ticks of each timed call.
    calls: Vec<u64>,
    published: u64,
    refused: u64,
    used: Used,
    elapsed: Duration,
}

/// Publishes for a slice.
fn publish(
    index: usize,
    shape: Shape,
    timer: Timer,
    mut send: impl FnMut(Seed) -> u64,
    ready: &Barrier,
) -> Run {
    let mut memory = Memory::new(shape.touched());
    let interval = shape.interval * u32::try_from(shape.publishers).unwrap_or(u32::MAX);
    let most = (shape.slice.as_nanos() / interval.as_nanos().max(1)) as usize;
    // The pages exist before the first call: a page fault takes longer than any of them.
    let mut calls = vec![u64::MAX; most];
    calls.clear();
    let first = (index as u64) << INDEX_SHIFT;
    let (mut published, mut refused) = (0, 0);
    for _ in 0..WARM_UP {
        refused += send(Seed::new(first + published, false));
        published += 1;
    }
    ready.wait();
    let (before, start) = (Used::now(), Instant::now());
    let interval = timer.ticks(interval);
    // Publishers do not start their requests at the same time.
    let mut due = timer.start() + interval * (index as u64 + 1) / shape.publishers as u64;
    while calls.len() < most && start.elapsed() < shape.slice {
        memory.touch();
        while timer.start() < due {
            if shape.publishers > 1 {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        let seed = Seed::new(first + published, false);
        let begin = timer.start();
        let answer = send(seed);
        calls.push(timer.stop(begin));
        refused += answer;
        published += 1;
        due = begin + interval;
    }
    Run { calls, published, refused, used: Used::since(before), elapsed: start.elapsed() }
}

#[cfg(test)]
mod tests {
    use super::alone::Alone;
    use super::{Contender, Shape, contenders, peers, run};
    use crate::peer::{Crossbeam, Kanal, Std};
    use std::time::Duration;

    const SHAPE: Shape = Shape {
        publishers: 2,
        listeners: 3,
        interval: Duration::from_micros(20),
        slice: Duration::from_millis(4),
    };

    /// Runs two small slices; they check what every listener received.
    fn check(contender: impl Contender) {
        for shape in [SHAPE, Shape { publishers: 1, listeners: 1, ..SHAPE }] {
            let slice = run(contender, shape);
            assert!(!slice.calls.is_empty() && slice.calls.len() <= 200, "{slice:?}");
            assert!((0.0..1000.0).contains(&slice.lost), "{slice:?}");
            assert!(slice.interval >= 15_000.0, "{slice:?}");
        }
    }

    #[test]
    fn buslane_sums_are_complete() {
        check(contenders::Queued);
        check(contenders::Shared);
        check(contenders::Local);
        check(contenders::Channels);
        check(contenders::Journaled);
    }

    #[test]
    fn peer_sums_are_complete() {
        check(peers::channels::<Crossbeam>());
        check(peers::channels::<Kanal>());
        check(peers::channels::<Std>());
        check(peers::Crossfire);
        check(peers::Broadcast);
        check(peers::Polled);
        check(peers::Appender);
    }

    #[test]
    fn ticklog_sums_are_complete() {
        // There can be one per process.
        let slice = run(peers::Ticklog, SHAPE);
        assert!(!slice.calls.is_empty() && slice.lost < 1000.0, "{slice:?}");
    }

    #[test]
    fn touched_memory_grows_with_the_interval() {
        let touched = |micros| Shape { interval: Duration::from_micros(micros), ..SHAPE }.touched();
        assert_eq!([2, 20, 200].map(touched), [64 << 10, 256 << 10, 1 << 20]);
    }

    #[test]
    fn slice_travels_as_text() {
        let slice = run(contenders::Queued, SHAPE);
        let text = Alone::text(&slice);
        let read = Alone::read(&text).expect("the same slice");
        assert_eq!((read.calls.len(), read.figures()), (slice.calls.len(), slice.figures()));
        assert_eq!(read.calls.value_at_quantile(0.5), slice.calls.value_at_quantile(0.5));
        assert!(Alone::read("no figures").is_none() && Alone::read("").is_none());
    }
}
