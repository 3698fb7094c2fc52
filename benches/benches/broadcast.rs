//! The cost of calling 10, 100, 1 000 and 10 000 direct sinks with one event: the sizes of
//! go-events' own benchmark, by one publisher, and those of swarmkit's, by up to 64 threads at
//! once.
//!
//! A sink sums its events, and the bench checks the sums. No thread waits or is woken: the figures
//! are those of the walk over the list. There are no peers, because a ring or a channel calls no
//! sink. Each add copies the list of its bus, so 10 000 sinks are spread over fifty buses, which
//! are sinks of one bus.

use benches::event::Event;
use buslane::{Bus, Sink, WriteError};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const OPEN: &str = "the bus is open";
/// The most sinks on one bus.
const MOST: usize = 1_000;

/// A sink that sums its events.
#[derive(Default)]
struct Sum(AtomicU64);

impl Sink<Event> for Sum {
    fn write(&self, event: Event) -> Result<(), WriteError<Event>> {
        self.0.fetch_add(event.sum(), Ordering::Relaxed);
        Ok(())
    }
}

struct Broadcast {
    bus: Bus<Event>,
    sinks: Vec<Arc<Sum>>,
    /// The sum that each sink must have.
    expected: u64,
}

impl Broadcast {
    fn to(count: usize) -> Self {
        let (bus, sinks) = (Bus::new(), Vec::from_iter((0..count).map(|_| Arc::<Sum>::default())));
        let group = if count > MOST { count / 50 } else { count };
        for group in sinks.chunks(group) {
            let inner = if count > MOST { Bus::new() } else { bus.clone() };
            group.iter().for_each(|sink| {
                inner.add(sink.clone()).expect(OPEN);
            });
            if count > MOST {
                bus.add(inner).expect(OPEN);
            }
        }
        Self { bus, sinks, expected: 0 }
    }

    fn check(&mut self, events: impl Iterator<Item = u64>) {
        self.expected = events.fold(self.expected, |sum, seq| sum.wrapping_add(Event::new(seq).sum()));
        let right = |sink: &Arc<Sum>| sink.0.load(Ordering::Relaxed) == self.expected;
        assert!(self.sinks.iter().all(right), "a sink missed an event");
    }

    /// Publishes `events` events on one thread.
    fn alone(&mut self, events: u64) -> Duration {
        let mut publisher = self.bus.publisher();
        let start = Instant::now();
        for seq in 0..events {
            let _ = publisher.publish(Event::new(seq)).expect(OPEN);
        }
        let elapsed = start.elapsed();
        self.check(0..events);
        elapsed
    }

    /// Publishes `events` events on each of `threads` threads at once.
    fn together(&mut self, threads: usize, events: u64) -> Duration {
        let (bus, begin, end) = (&self.bus, &Barrier::new(threads + 1), &Barrier::new(threads + 1));
        let elapsed = thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(move || {
                    begin.wait();
                    for seq in 0..events {
                        let _ = bus.publish(Event::new(seq)).expect(OPEN);
                    }
                    end.wait();
                });
            }
            begin.wait();
            let start = Instant::now();
            end.wait();
            start.elapsed()
        });
        self.check((0..threads).flat_map(|_| 0..events));
        elapsed
    }
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .throughput(Throughput::Elements(1))
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    group
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut alone = group(&mut criterion, "broadcast");
    for sinks in [10, 100, 1_000, 10_000] {
        let mut broadcast = None;
        alone.bench_function(BenchmarkId::from_parameter(sinks), |bencher| {
            let broadcast = broadcast.get_or_insert_with(|| Broadcast::to(sinks));
            bencher.iter_custom(|events| broadcast.alone(events));
        });
    }
    alone.finish();
    let mut together = group(&mut criterion, "broadcast_by_threads");
    for sinks in [10, 100, 1_000, 10_000] {
        let mut broadcast = None;
        for threads in [1, 4, 8, 64] {
            together.bench_function(BenchmarkId::new(format!("{sinks}_sinks"), threads), |bencher| {
                let broadcast = broadcast.get_or_insert_with(|| Broadcast::to(sinks));
                // Each thread publishes its share, so the figure is the time for one event of all
                // threads together.
                bencher.iter_custom(|events| {
                    let share = events.div_ceil(threads as u64);
                    broadcast
                        .together(threads, share)
                        .mul_f64(events as f64 / (share * threads as u64) as f64)
                });
            });
        }
    }
    together.finish();
    criterion.final_summary();
}
