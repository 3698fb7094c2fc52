//! Many asynchronous tasks into one: the throughput, and its processor time.
//!
//! All tasks run on one runtime with few worker threads, none of them pinned. The tasks send until
//! the time is over, and then each sends one last event; the run ends when the receiving task has
//! handled all of these. The receiving task reads each event in full. It checks the sum of all
//! events, and the order of each task's events where the contender keeps it.

mod contenders;

use crate::event::{Event, Seed};
use crate::machine::anywhere;
use crate::merge::Merged;
use crate::usage::Usage;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

pub use contenders::{
    AsyncBroadcast, BusPublish, Crossfire, Fanring, FanringTogether, Flume, Kanal, OwnPublisher,
    PublishAsync, Rapidfire, TokioMpsc, WithLocal,
};

/// A path for events from several tasks to one.
pub trait Tasks: 'static {
    /// The sending half of a task.
    type Sender: Send + 'static;
    /// The receiving half.
    type Receiver: Send + 'static;

    /// Whether the events of a task keep their order.
    const ORDERED: bool = true;

    /// Returns a sending half for each task, and the receiving half.
    fn open(tasks: usize) -> (Vec<Self::Sender>, Self::Receiver);

    /// Creates the event and sends it; waits for room without blocking the thread.
    fn send(sender: &mut Self::Sender, seed: Seed) -> impl Future<Output = ()> + Send;

    /// Waits for an event. Returns `None` when all sending halves are dropped.
    fn recv(receiver: &mut Self::Receiver) -> impl Future<Output = Option<Event>> + Send;
}

/// The position of the task's index above its number of an event.
const INDEX_SHIFT: u32 = 48;

/// The receiving task's record.
struct Counter {
    /// The next number of each task, if the contender keeps the order.
    expected: Option<Vec<u64>>,
    handled: u64,
    sum: u64,
    /// The first event that differs from the expected one.
    wrong: Option<Event>,
}

impl Counter {
    #[inline(always)]
    fn see(&mut self, event: &Event) {
        self.handled += 1;
        self.sum = self.sum.wrapping_add(event.sum());
        if let Some(all) = &mut self.expected {
            let (index, number) = (event.seq >> INDEX_SHIFT, event.seq & ((1 << INDEX_SHIFT) - 1));
            match all.get_mut(index as usize) {
                Some(expected) if *expected == number => *expected += 1,
                _ => self.wrong = self.wrong.or(Some(*event)),
            }
        }
    }
}

/// Runs `tasks` tasks on `workers` worker threads for `duration`.
///
/// # Panics
/// If an event is lost, duplicated or changed, or out of its task's order where the contender keeps
/// it.
#[must_use]
pub fn run<T: Tasks>(tasks: usize, workers: usize, duration: Duration) -> Merged {
    anywhere(move || here::<T>(tasks, workers, duration))
}

fn here<T: Tasks>(tasks: usize, workers: usize, duration: Duration) -> Merged {
    let runtime = Builder::new_multi_thread().worker_threads(workers).build().expect("a runtime");
    let over = Arc::new(AtomicBool::new(false));
    let (senders, mut receiver) = T::open(tasks);
    let expected = T::ORDERED.then(|| vec![0; tasks]);
    let (before, start) = (Usage::now(), Instant::now());
    let reading = runtime.spawn(async move {
        let mut counter = Counter { expected, handled: 0, sum: 0, wrong: None };
        while let Some(event) = T::recv(&mut receiver).await {
            counter.see(&event);
        }
        (counter, Instant::now())
    });
    let sending: Vec<_> = senders
        .into_iter()
        .enumerate()
        .map(|(index, mut sender)| {
            let over = over.clone();
            runtime.spawn(async move {
                let first = (index as u64) << INDEX_SHIFT;
                let mut next = first;
                while !over.load(Ordering::Relaxed) {
                    T::send(&mut sender, Seed::new(next, false)).await;
                    next += 1;
                }
                T::send(&mut sender, Seed::new(next, true)).await;
                (first, next + 1 - first)
            })
        })
        .collect();
    std::thread::sleep(duration);
    over.store(true, Ordering::Relaxed);
    let (mut sent, mut sum) = (Vec::with_capacity(tasks), 0_u64);
    for task in sending {
        let (first, count) = runtime.block_on(task).expect("tasks do not panic");
        sum = sum.wrapping_add(Event::sum_of(first, count));
        sent.push(count);
    }
    let (counter, end) = runtime.block_on(reading).expect("tasks do not panic");
    let usage = Usage::now() - before;
    assert!(counter.wrong.is_none(), "out of order: {:?}", counter.wrong);
    assert_eq!((counter.handled, counter.sum), (sent.iter().sum(), sum), "events and their sum");
    Merged { elapsed: end - start, sent, handled: counter.handled, usage }
}

#[cfg(test)]
mod tests {
    use super::{
        AsyncBroadcast, BusPublish, Crossfire, Fanring, FanringTogether, Flume, Kanal, OwnPublisher,
        PublishAsync, Rapidfire, Tasks, TokioMpsc, WithLocal, run,
    };
    use std::time::Duration;

    #[test]
    fn tasks_carry_every_event() {
        fn check<T: Tasks>() {
            let merged = run::<T>(5, 2, Duration::from_millis(5));
            assert!(merged.sent.len() == 5 && merged.handled >= 5);
        }
        check::<OwnPublisher>();
        check::<PublishAsync>();
        check::<WithLocal>();
        check::<BusPublish>();
        check::<TokioMpsc>();
        check::<Flume>();
        check::<Kanal>();
        check::<Crossfire>();
        check::<Rapidfire>();
        check::<Fanring>();
        check::<FanringTogether>();
        check::<AsyncBroadcast>();
    }
}
