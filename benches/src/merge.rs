//! Several publishers into one busy consumer: the throughput, and its processor time.
//!
//! No thread is pinned, and there may be more threads than processors. All publishers start at the
//! same time. When the time is over, each sends one last event, and the stream ends when the consumer
//! has handled all of these. The measured time runs from the first start to that end, and so does the
//! processor time of the whole process: the measuring thread sleeps.
//!
//! All threads on one processor are those of a process that was started with one: see
//! [`elsewhere`](crate::elsewhere). A library that counts the processors once, before its first wait,
//! does not learn of threads that are pinned later.
//!
//! The consumer reads each event in full and checks that the events of each publisher are complete
//! and in order.

use crate::event::{Event, Seed};
use crate::machine::{Padded, anywhere};
use crate::route::Route;
use crate::usage::Usage;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// The position of the publisher's index above its number of an event.
const INDEX_SHIFT: u32 = 48;
/// The number of events of each publisher before the timed part.
const PROOF: u64 = 2 * crate::CAPACITY as u64 + 5;
/// The time without a report after which a consumer counts as gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The time from the first start until everything was handled.
    pub elapsed: Duration,
    /// The number of events of each publisher.
    pub sent: Vec<u64>,
    /// The number of handled events: all.
    pub handled: u64,
    /// The processor time and the sleeps.
    pub usage: Usage,
}

impl Merged {
    /// Returns the time between two handled events, in nanoseconds.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.handled as f64
    }

    /// Returns the processor time per handled event, in nanoseconds.
    #[must_use]
    pub fn cpu_nanoseconds(&self) -> f64 {
        self.usage.cpu as f64 / self.handled as f64
    }

    /// Returns the ratio of the smallest count of a publisher to the greatest: 1 is fair.
    #[must_use]
    pub fn least_share(&self) -> f64 {
        let least = self.sent.iter().min().copied().unwrap_or(0);
        let most = self.sent.iter().max().copied().unwrap_or(0);
        least as f64 / most.max(1) as f64
    }
}

/// The consumer's report after all publishers have ended.
struct Report {
    handled: u64,
    at: Instant,
}

/// The consumer's record.
struct Counter {
    /// The next number of each publisher.
    expected: Vec<u64>,
    handled: u64,
    ended: usize,
    /// The first event that differs from the expected one.
    wrong: Option<Event>,
    reports: Sender<Result<Report, Event>>,
}

impl Counter {
    #[inline(always)]
    fn see(&mut self, event: &Event) {
        let (index, number) = (event.seq >> INDEX_SHIFT, event.seq & ((1 << INDEX_SHIFT) - 1));
        let intact = event.sum() == event.seq.wrapping_add(event.last) && event.last <= 1;
        match self.expected.get_mut(index as usize) {
            Some(expected) if intact && number == *expected => {
                *expected = number + 1;
            }
            _ => self.wrong = self.wrong.or(Some(*event)),
        }
        self.handled += 1;
        if event.last != 0 {
            self.end();
        }
    }

    #[cold]
    fn end(&mut self) {
        self.ended += 1;
        if self.ended.is_multiple_of(self.expected.len()) {
            let report = Report { handled: std::mem::take(&mut self.handled), at: Instant::now() };
            let _ = self.reports.send(self.wrong.map_or(Ok(report), Err));
        }
    }
}

/// Runs `publishers` publishers for `duration`, after a check that they work.
///
/// # Panics
/// If an event is lost, duplicated, changed, or out of its publisher's order. So lossy routes are
/// excluded.
pub fn run<R: Route>(route: R, publishers: usize, duration: Duration) -> Merged {
    anywhere(move || here(route, publishers, duration, || ()))
}

/// Runs publishers that sleep for `pause` after each event.
///
/// # Panics
/// As [`run`].
pub fn paced<R: Route>(route: R, publishers: usize, pause: Duration, duration: Duration) -> Merged {
    anywhere(move || here(route, publishers, duration, move || thread::sleep(pause)))
}

fn here<R: Route>(
    route: R,
    publishers: usize,
    duration: Duration,
    rest: impl Fn() + Copy + Send + 'static,
) -> Merged {
    let (reports, reported) = channel();
    let mut counter = Counter { expected: vec![0; publishers], handled: 0, ended: 0, wrong: None, reports };
    let line = route.open(publishers, move |event| counter.see(event));
    let report = || {
        let report = reported.recv_timeout(PATIENCE).expect("the consumer sends its report");
        report.unwrap_or_else(|event| panic!("lost, duplicated or changed: {event:?}"))
    };
    let (over, barrier) = (Arc::new(Padded(AtomicBool::new(false))), Arc::new(Barrier::new(publishers + 1)));
    let threads: Vec<_> = line
        .senders
        .into_iter()
        .enumerate()
        .map(|(index, mut send)| {
            let (over, barrier) = (over.clone(), barrier.clone());
            let first = (index as u64) << INDEX_SHIFT;
            thread::spawn(move || {
                (0..PROOF).for_each(|number| send(Seed::new(first + number, number + 1 == PROOF)));
                barrier.wait();
                barrier.wait();
                let start = Instant::now();
                let mut next = first + PROOF;
                while !over.0.load(Ordering::Relaxed) {
                    send(Seed::new(next, false));
                    next += 1;
                    rest();
                }
                send(Seed::new(next, true));
                (start, next + 1 - first - PROOF)
            })
        })
        .collect();
    barrier.wait();
    let proof = report();
    assert!(proof.handled == PROOF * publishers as u64, "events lost");
    let before = Usage::now();
    barrier.wait();
    thread::sleep(duration);
    over.0.store(true, Ordering::Relaxed);
    let report = report();
    let usage = Usage::now() - before;
    let runs: Vec<(Instant, u64)> =
        threads.into_iter().map(|thread| thread.join().expect("publishers do not panic")).collect();
    let sent: Vec<u64> = runs.iter().map(|(_, sent)| *sent).collect();
    assert!(report.handled == sent.iter().sum::<u64>(), "events lost");
    let start = runs.iter().map(|(start, _)| *start).min().unwrap_or(report.at);
    Merged { elapsed: report.at - start, sent, handled: report.handled, usage }
}
