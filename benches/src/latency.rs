//! The latency of an event: open loop, one way.
//!
//! The publisher sends at fixed times, whether or not earlier events have arrived. The latency runs
//! from the time at which an event was *due* until its handler has it: so a delayed publisher does
//! not hide the delay of later events. Both threads read the same clock, the system's monotonic
//! one, which is the same on all processors; the consumer derives each due time from the event's
//! number. Each figure includes one clock read (about 25 ns).
//!
//! Both threads are pinned, the publisher spins until the next due time, and the route decides how
//! the consumer waits.
//!
//! Idle publishers, where there are any, publish one event each before the first one that is due, and
//! then keep their place without publishing.

use crate::event::{Event, Seed};
use crate::histogram;
use crate::machine::on_consumer;
use crate::route::{Line, Route};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// The number of events before those that are recorded.
const WARM_UP: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(60);

/// The latencies of one run.
#[derive(Clone, Debug)]
pub struct Lateness {
    /// In nanoseconds.
    pub histogram: Histogram<u64>,
    /// Events that were overwritten: none, unless the route is lossy.
    pub lost: u64,
}

/// The consumer's record.
struct Clock {
    base: Instant,
    /// The time at which event 0 would have been due, in nanoseconds after `base`; wraps where that
    /// is before it.
    begin: Arc<AtomicU64>,
    interval: u64,
    /// The first event that is recorded.
    first: u64,
    late: Histogram<u64>,
    handled: u64,
    /// The sum of the handled events, and its expected value while nothing is lost.
    sum: u64,
    intact: bool,
    reports: Sender<(Histogram<u64>, u64, bool)>,
}

impl Clock {
    #[inline(always)]
    fn see(&mut self, event: &Event) {
        let now = nanoseconds(self.base.elapsed());
        let due = self.begin.load(Ordering::Relaxed).wrapping_add(event.seq * self.interval);
        if event.seq >= self.first {
            histogram::record(&mut self.late, Duration::from_nanos(now.saturating_sub(due)));
        }
        self.handled += 1;
        self.sum = self.sum.wrapping_add(event.sum());
        self.intact &= event.sum() == event.seq.wrapping_add(event.last);
        if event.last != 0 {
            let complete = self.handled != event.seq + 1 || self.sum == Event::sum_of(0, self.handled);
            let late = std::mem::replace(&mut self.late, histogram::empty());
            let _ = self.reports.send((late, self.handled, self.intact && complete));
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// Sends `rate` events per second for about `duration`.
///
/// # Panics
/// If an event is lost, duplicated or changed.
pub fn run<R: Route>(route: R, rate: u64, duration: Duration) -> Lateness {
    beside_idle(route, 0, rate, duration)
}

/// Sends `rate` events per second for about `duration`, beside `idle` publishers that have published
/// one event each.
///
/// # Panics
/// If an event is lost, duplicated or changed, or if an event of an idle publisher is not handled.
pub fn beside_idle<R: Route>(route: R, idle: usize, rate: u64, duration: Duration) -> Lateness {
    let interval = 1_000_000_000 / rate;
    let before = idle as u64;
    let events = before + WARM_UP + nanoseconds(duration).div_ceil(interval);
    let (reports, reported) = channel();
    let (base, begin) = (Instant::now(), Arc::<AtomicU64>::default());
    let mut clock = Clock {
        base,
        begin: begin.clone(),
        interval,
        first: before + WARM_UP,
        late: histogram::empty(),
        handled: 0,
        sum: 0,
        intact: true,
        reports,
    };
    let handled = Arc::<AtomicU64>::default();
    let seen = handled.clone();
    let line = on_consumer(|| {
        route.open(1 + idle, move |event| {
            clock.see(event);
            // Only while the idle publishers publish: a store at each event would be measured, too.
            if event.seq < before {
                seen.store(clock.handled, Ordering::Relaxed);
            }
        })
    });
    let Line { consumer: _consumer, senders: mut idle } = line;
    let mut send = idle.pop().expect("one publishes");
    idle.iter_mut().zip(0..).for_each(|(send, seq)| send(Seed::new(seq, false)));
    let patience = Instant::now();
    while handled.load(Ordering::Relaxed) < before {
        assert!(patience.elapsed() < PATIENCE, "the consumer handles what idle publishers have published");
        std::thread::yield_now();
    }
    // Enough time for the consumer to start, and to find that the others are idle.
    let first = nanoseconds(base.elapsed()) + 1_000_000;
    begin.store(first.wrapping_sub(before * interval), Ordering::Relaxed);
    for seq in before..events {
        let due = first + (seq - before) * interval;
        while nanoseconds(base.elapsed()) < due {
            std::hint::spin_loop();
        }
        send(Seed::new(seq, seq + 1 == events));
    }
    let report = reported.recv_timeout(PATIENCE).expect("the consumer sends its report");
    let (histogram, handled, intact) = report;
    assert!(intact, "events were changed");
    assert!(R::LOSSY || handled == events, "{} of {events} events were lost", events - handled);
    Lateness { histogram, lost: events - handled }
}

#[cfg(test)]
mod tests {
    use super::{beside_idle, run};
    use crate::route::lanes::{Queued, Received};
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(3);

    #[test]
    fn events_of_idle_publishers_are_not_recorded() {
        assert_eq!(run(Queued::SPINNING, 100_000, SHORT).histogram.len(), 300);
        assert_eq!(beside_idle(Queued::SPINNING, 70, 100_000, SHORT).histogram.len(), 300);
        assert_eq!(beside_idle(Received::DEFAULT, 1, 100_000, SHORT).histogram.len(), 300);
    }
}
