//! The rate from one publisher to one consumer on another processor.
//!
//! The producer's thread and the consumer's are pinned to one processor each, and live as long as
//! the contender. A transfer begins with the first send and ends when the producer sees that the
//! consumer has handled the last event. The consumer reads all four words of each event, sums them,
//! and reports its sum with the last event; the producer checks it. No event may be lost: a
//! producer that finds no room waits, or tries again. The exception are contenders that overwrite
//! unread events, as tokio's broadcast channel always does: for them only delivered events count,
//! and the consumer also adds the sums of the events that were reported as missed.
//!
//! A spinning contender spins on both sides. Most contenders are [routes](crate::route): a spinning
//! one uses the calls that do not wait, and a waiting one the calls that wait, as a user would. The
//! latter are also compared [`anywhere`], without any pinning.

pub mod journal;
mod lanes;
mod peers;
mod sized;

use crate::event::{Event, Seed};
use crate::machine::on_consumer;
use crate::route::{Consumer, Route};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use lanes::{channel, filter_queue_batch, queue_in_slices, ring, sink};
pub use peers::{
    disruptor_in_slices, fanring_batches, kanal_drained, photon, photon_free, rtrb_chunks, rtrb_in_slices,
    tokio, yring_in_slices, yring_windows,
};
pub use sized::sized;

/// A producer, with its consumer running on the other processor.
pub trait Stream {
    /// Sends `count` events, starting with number `first`; the last of them ends the transfer.
    fn send(&mut self, first: u64, count: u64);

    /// Returns the consumer's report.
    fn report(&self) -> &Report;

    /// Returns whether events may be lost, and counted.
    fn is_lossy(&self) -> bool {
        false
    }
}

/// A consumer's report at the end of each transfer.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Report {
    /// The number of ended transfers.
    ended: AtomicU64,
    /// Of the last transfer: events handled, events lost, the sum of all words.
    handled: AtomicU64,
    lost: AtomicU64,
    sum: AtomicU64,
}

/// The consumer's record of one transfer.
struct Counter {
    report: Arc<Report>,
    handled: u64,
    lost: u64,
    sum: u64,
    /// The number of the next event, where events may be lost.
    next: u64,
}

impl Counter {
    fn new(report: &Arc<Report>) -> Self {
        Self { report: report.clone(), handled: 0, lost: 0, sum: 0, next: 0 }
    }

    /// The handler: reads the whole event.
    #[inline(always)]
    fn see(&mut self, event: &Event) {
        self.handled += 1;
        self.sum = self.sum.wrapping_add(event.sum());
        if event.last != 0 {
            self.hand_in();
        }
    }

    /// The handler where events may be lost.
    #[inline(always)]
    fn see_next(&mut self, event: &Event) {
        self.next = event.next;
        self.see(event);
    }

    /// The handler where events may be lost without a report of their number.
    #[inline(always)]
    fn see_behind_gap(&mut self, event: &Event) {
        if event.seq > self.next {
            self.miss(event.seq - self.next);
        }
        self.see_next(event);
    }

    /// Counts the next `events` events as lost.
    fn miss(&mut self, events: u64) {
        self.lost += events;
        self.sum = self.sum.wrapping_add(Event::sum_without_end(self.next, events));
        self.next += events;
    }

    #[cold]
    fn hand_in(&mut self) {
        let report = &*self.report;
        report.handled.store(std::mem::take(&mut self.handled), Ordering::Relaxed);
        report.lost.store(std::mem::take(&mut self.lost), Ordering::Relaxed);
        report.sum.store(std::mem::take(&mut self.sum), Ordering::Relaxed);
        report.ended.fetch_add(1, Ordering::Release);
    }
}

/// Starts a consumer on its processor that calls `take` in a loop; `take` passes the available
/// events to the counter, and returns whether there were any.
fn spin(report: &Arc<Report>, mut take: impl FnMut(&mut Counter) -> bool + Send + 'static) -> Consumer {
    let mut counter = Counter::new(report);
    on_consumer(|| Consumer::spin(move || take(&mut counter)))
}

/// Returns a route with one publisher, and its consumer on the other processor.
#[must_use]
pub fn pinned<R: Route>(route: R) -> impl Stream {
    let report = Arc::default();
    let mut counter = Counter::new(&report);
    let handle =
        move |event: &Event| if R::LOSSY { counter.see_behind_gap(event) } else { counter.see(event) };
    let (consumer, send) = on_consumer(|| route.open(1, handle)).single();
    Singly { lossy: R::LOSSY, ..Singly::new(send, report, Some(consumer)) }
}

/// Returns a route with one publisher, and its consumer on any processor. Call it on a thread that
/// is not pinned.
///
/// # Panics
/// If the route is lossy.
#[must_use]
pub fn anywhere<R: Route>(route: R) -> impl Stream {
    assert!(!R::LOSSY, "only lossless routes are compared without pinning");
    let report = Arc::default();
    let mut counter = Counter::new(&report);
    let (consumer, send) = route.open(1, move |event| counter.see(event)).single();
    Singly::new(send, report, Some(consumer))
}

/// A contender that sends single events. The sending half is dropped first, so that a waiting
/// consumer is released.
struct Singly<S> {
    send: S,
    report: Arc<Report>,
    lossy: bool,
    _consumer: Option<Consumer>,
}

impl<S: FnMut(Seed)> Singly<S> {
    fn new(send: S, report: Arc<Report>, consumer: Option<Consumer>) -> Self {
        Self { send, report, lossy: false, _consumer: consumer }
    }
}

impl<S: FnMut(Seed)> Stream for Singly<S> {
    #[inline(always)]
    fn send(&mut self, first: u64, count: u64) {
        let last = first + count - 1;
        // One call for all of them, so that the compiler has no reason not to inline it into the
        // loop.
        for seq in first..=last {
            (self.send)(Seed::new(seq, seq == last));
        }
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn is_lossy(&self) -> bool {
        self.lossy
    }
}

/// A contender that sends slices of up to `N` events.
struct InSlices<const N: usize, S> {
    send: S,
    report: Arc<Report>,
    _consumer: Option<Consumer>,
}

impl<const N: usize, S: FnMut(&[Event])> Stream for InSlices<N, S> {
    #[inline(always)]
    fn send(&mut self, first: u64, count: u64) {
        let (mut next, end) = (first, first + count);
        while next < end {
            let mut slice: [Event; N] = std::array::from_fn(|index| Event::new(next + index as u64));
            let length = (end - next).min(N as u64) as usize;
            next += length as u64;
            if next == end {
                slice[length - 1] = slice[length - 1].ending();
            }
            (self.send)(&slice[..length]);
        }
    }

    fn report(&self) -> &Report {
        &self.report
    }
}

/// The result of a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Transferred {
    /// The time from the first send until the consumer had handled the last event.
    pub elapsed: Duration,
    /// The number of handled events: all, unless the contender is lossy.
    pub handled: u64,
}

impl Transferred {
    /// Returns the time for `events` events at this rate, where only handled events count.
    #[must_use]
    pub fn time_for(&self, events: u64) -> Duration {
        self.elapsed.mul_f64(events as f64 / self.handled as f64)
    }
}

/// A meter that transfers events and checks the handled ones.
pub struct Meter<S> {
    stream: S,
    next: u64,
    transfers: u64,
}

/// The time without a report after which a consumer counts as gone.
const PATIENCE: Duration = Duration::from_secs(60);

impl<S: Stream> Meter<S> {
    /// Takes a contender that has sent nothing yet, and checks that it works before the first timed
    /// transfer.
    #[must_use]
    pub fn new(stream: S) -> Self {
        let mut meter = Self { stream, next: 0, transfers: 0 };
        for events in [1, 2, 5 * crate::CAPACITY as u64 + 3] {
            meter.transfer(events);
        }
        meter
    }

    /// Sends `events` events and waits until the consumer has handled them.
    ///
    /// # Panics
    /// If an event was lost, duplicated or changed, or if the consumer is gone.
    #[inline(never)]
    pub fn transfer(&mut self, events: u64) -> Transferred {
        let start = Instant::now();
        self.stream.send(self.next, events);
        let handled = self.settle(events);
        Transferred { elapsed: start.elapsed(), handled }
    }

    /// Waits until the consumer has handled `events` more events, and checks its report.
    fn settle(&mut self, events: u64) -> u64 {
        self.transfers += 1;
        self.wait();
        let report = self.stream.report();
        let (handled, lost) = (report.handled.load(Ordering::Relaxed), report.lost.load(Ordering::Relaxed));
        assert_eq!(handled + lost, events, "events handled and lost");
        assert!(lost == 0 || self.stream.is_lossy(), "events lost");
        // The sum of the handled events and of the lost ones; the latter must be exactly the
        // unhandled ones.
        let sum = report.sum.load(Ordering::Relaxed);
        assert_eq!(sum, Event::sum_of(self.next, events), "the sum of {events} events");
        self.next += events;
        handled
    }

    /// Sends `events` events and returns how long the publisher was busy; then waits until the
    /// consumer has handled them.
    ///
    /// # Panics
    /// As for [`transfer`](Self::transfer).
    pub fn hand_over(&mut self, events: u64) -> Duration {
        let start = Instant::now();
        self.stream.send(self.next, events);
        let elapsed = start.elapsed();
        self.settle(events);
        elapsed
    }

    /// Waits for the consumer's report; the end of each transfer is the start of the next.
    fn wait(&self) {
        let ended = &self.stream.report().ended;
        let (mut looks, start) = (0_u64, Instant::now());
        while ended.load(Ordering::Acquire) != self.transfers {
            std::hint::spin_loop();
            looks += 1;
            assert!(
                !looks.is_multiple_of(1 << 20) || start.elapsed() < PATIENCE,
                "the consumer does not send its report"
            );
        }
    }
}

impl<S> fmt::Debug for Meter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("sent", &self.next).finish_non_exhaustive()
    }
}
