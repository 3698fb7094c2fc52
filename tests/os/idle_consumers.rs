//! Every kind of consumer, under every wait strategy that may sleep, uses almost no processor time
//! in silence.
//!
//! All consumers of the table wait at the same time in a child process, each on separate threads.
//! The test reads the processor time of each thread from that thread's own clock. So neither a
//! loaded machine nor the other rows of the table matter. The measured silence is the only sleep.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "a system call that the standard library does not offer")]

use buslane::channel::SharedReceiver;
use buslane::error::RecvTimeoutError;
use buslane::journal::Entry;
use buslane::sink::lane::Lanes;
use buslane::{Channel, Journal, Overflow, Queue, Receiver, Sink, SinkExt, Subscriber, WaitStrategy, noop};
use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use test_support::{limit, process};

/// The duration of the silence.
const SILENCE: Duration = Duration::from_millis(1500);
/// A generous bound for the time that the slowest strategy of the table needs to park.
const SETTLED: Duration = Duration::from_millis(400);
/// A limit that never ends a wait of this test.
const LONG: Duration = Duration::from_secs(3600);
/// The exit status of the child process; the harness itself exits with 0 or 101.
const PASSED: i32 = 40;

/// Ends the consumers of one row.
type Stop = Box<dyn FnOnce()>;

/// Returns the threads of this process.
fn threads() -> BTreeSet<i32> {
    let tasks = fs::read_dir("/proc/self/task").expect("the list of threads");
    tasks.map(|task| task.unwrap().file_name().to_string_lossy().parse().unwrap()).collect()
}

/// Returns the processor time that a thread of this process has used.
fn processor_time(thread: i32) -> Duration {
    // The kernel's encoding of "the scheduler's clock of one thread".
    let clock: libc::clockid_t = (!thread << 3) | 6;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the duration of the call.
    let done = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(done, 0, "the clock of thread {thread}");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on a minimal executor, which parks until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// How a thread reads until the stream ends.
#[derive(Clone, Copy, Debug)]
enum Way {
    Blocking,
    Timed,
    Batches,
    Future,
    /// Polls a future once and abandons it; then the thread blocks.
    BlockingAfterPoll,
    TimedAfterPoll,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::Blocking,
        Self::Timed,
        Self::Batches,
        Self::Future,
        Self::BlockingAfterPoll,
        Self::TimedAfterPoll,
    ];
}

fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn read(mut receiver: Receiver<u64>, way: Way) {
    let mut batch = Vec::new();
    loop {
        let ended = match way {
            Way::Blocking => receiver.recv().is_err(),
            Way::Timed => receiver.recv_timeout(LONG).is_err(),
            Way::Batches => receiver.recv_batch(&mut batch, 4).is_err(),
            Way::Future => block_on(receiver.recv_async()).is_err(),
            Way::BlockingAfterPoll => {
                receiver.poll_recv(&mut nobody()).is_pending() && receiver.recv().is_err()
            }
            Way::TimedAfterPoll => {
                receiver.poll_recv(&mut nobody()).is_pending() && receiver.recv_timeout(LONG).is_err()
            }
        };
        if ended || matches!(receiver.try_recv(), Err(buslane::error::TryRecvError::Closed)) {
            return;
        }
    }
}

fn read_shared(mut receiver: SharedReceiver<u64>, way: Way) {
    loop {
        let ended = match way {
            Way::Blocking | Way::Batches => receiver.recv().is_err(),
            Way::Timed => receiver.recv_timeout(LONG).is_err(),
            Way::Future => block_on(receiver.recv_async()).is_err(),
            Way::BlockingAfterPoll => {
                receiver.poll_recv(&mut nobody()).is_pending() && receiver.recv().is_err()
            }
            Way::TimedAfterPoll => {
                receiver.poll_recv(&mut nobody()).is_pending() && receiver.recv_timeout(LONG).is_err()
            }
        };
        if ended || matches!(receiver.try_recv(), Err(buslane::error::TryRecvError::Closed)) {
            return;
        }
    }
}

fn read_journal(mut subscriber: Subscriber<u64>, way: Way) {
    let lasts = |entry: Result<Entry<u64>, RecvTimeoutError>| entry.is_ok();
    loop {
        let goes_on = match way {
            Way::Blocking => subscriber.recv().is_ok(),
            Way::Timed => lasts(subscriber.recv_timeout(LONG)),
            Way::Batches => subscriber.recv_slice().is_ok(),
            Way::Future => block_on(subscriber.recv_async()).is_ok(),
            Way::BlockingAfterPoll => match subscriber.poll_recv(&mut nobody()) {
                Poll::Pending => subscriber.recv().is_ok(),
                Poll::Ready(entry) => entry.is_ok(),
            },
            Way::TimedAfterPoll => match subscriber.poll_recv(&mut nobody()) {
                Poll::Pending => lasts(subscriber.recv_timeout(LONG)),
                Poll::Ready(entry) => entry.is_ok(),
            },
        };
        if !goes_on {
            return;
        }
    }
}

/// Starts a receiver of a channel, with one event through its shared lane and one through a private
/// lane.
fn receiver(wait: WaitStrategy, way: Way, overflow: Option<Overflow>) -> Stop {
    let builder = Channel::builder().wait_strategy(wait);
    let (channel, receiver) = match overflow {
        None => builder.unbounded().build(),
        Some(overflow) => builder.overflow(overflow).build(),
    }
    .unwrap();
    let mut lane = channel.lane().unwrap().unwrap();
    assert!(channel.write(1).is_ok() && lane.push(2, buslane::time::Deadline::NOW).is_ok());
    let reader = thread::spawn(move || read(receiver, way));
    Box::new(move || {
        drop(lane);
        channel.close();
        reader.join().unwrap();
    })
}

/// Starts three readers of one channel.
fn shared_receivers(wait: WaitStrategy, way: Way, unbounded: bool) -> Stop {
    let builder = Channel::builder().wait_strategy(wait);
    let builder = if unbounded { builder.unbounded() } else { builder };
    let (channel, receiver) = builder.build_shared().unwrap();
    (0..4).for_each(|n| assert!(channel.write(n).is_ok()));
    let receivers = [receiver.clone(), receiver.clone(), receiver];
    let readers = receivers.map(|receiver| thread::spawn(move || read_shared(receiver, way)));
    Box::new(move || {
        channel.close();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    })
}

fn subscriber(wait: WaitStrategy, way: Way, gating: bool) -> Stop {
    let journal = Journal::new(64).unwrap();
    let subscription = journal.subscription().wait_strategy(wait).filter(|n| n % 2 == 0);
    let subscription = if gating { subscription.gating() } else { subscription };
    let subscriber = subscription.subscribe().unwrap();
    (0..100).for_each(|n| assert!(journal.try_publish(n).is_ok() || gating));
    let reader = thread::spawn(move || read_journal(subscriber, way));
    Box::new(move || {
        journal.close();
        reader.join().unwrap();
    })
}

/// Returns the stop of a queue that has handled an event.
fn queue(queue: Queue<u64>) -> Stop {
    (0..20).for_each(|n| assert!(queue.write(n).is_ok()));
    let mut lane = queue.lane().unwrap().unwrap();
    (0..20).for_each(|n| assert!(lane.push(n, buslane::time::Deadline::NOW).is_ok()));
    assert!(queue.flush_timeout(limit::scaled(Duration::from_secs(30))).is_done());
    Box::new(move || {
        drop(lane);
        assert!(queue.close().is_done());
    })
}

/// Returns all consumers with this wait strategy, by name.
fn consumers(wait: WaitStrategy) -> Vec<(String, Box<dyn FnOnce() -> Stop>)> {
    let mut rows: Vec<(String, Box<dyn FnOnce() -> Stop>)> = Vec::new();
    let mut row =
        |name: String, make: Box<dyn FnOnce() -> Stop>| rows.push((format!("{name}, {wait:?}"), make));
    for way in Way::ALL {
        row(format!("receiver, {way:?}"), Box::new(move || receiver(wait, way, Some(Overflow::Block))));
        row(format!("shared receivers, {way:?}"), Box::new(move || shared_receivers(wait, way, false)));
        row(format!("subscriber, {way:?}"), Box::new(move || subscriber(wait, way, false)));
    }
    for way in [Way::Blocking, Way::BlockingAfterPoll] {
        row(format!("unbounded receiver, {way:?}"), Box::new(move || receiver(wait, way, None)));
        row(
            format!("evicting receiver, {way:?}"),
            Box::new(move || receiver(wait, way, Some(Overflow::DropOldest))),
        );
        row(
            format!("unbounded shared receivers, {way:?}"),
            Box::new(move || shared_receivers(wait, way, true)),
        );
        row(format!("gating subscriber, {way:?}"), Box::new(move || subscriber(wait, way, true)));
    }
    let builder = move || Queue::builder().wait_strategy(wait);
    row("worker".into(), Box::new(move || queue(builder().spawn(|_: u64| {}).unwrap())));
    row(
        "several workers".into(),
        Box::new(move || queue(builder().workers(3).spawn_each(|_| |_: u64| {}).unwrap())),
    );
    row(
        "several workers, unbounded".into(),
        Box::new(move || queue(builder().unbounded().workers(3).spawn_each(|_| |_: u64| {}).unwrap())),
    );
    row(
        "several workers, evicting".into(),
        Box::new(move || {
            let builder = builder().overflow(Overflow::DropOldest).workers(2);
            queue(builder.spawn_each(|_| |_: u64| {}).unwrap())
        }),
    );
    row(
        "workers ordered by a key".into(),
        Box::new(move || {
            let builder = builder().workers(3).ordered_by(|n: &u64| *n);
            queue(builder.spawn_each(|_| |_: u64| {}).unwrap())
        }),
    );
    row(
        "worker with a batch".into(),
        Box::new(move || {
            let batch = noop::<Vec<u64>>().batch(4).age(Duration::from_millis(5));
            queue(builder().spawn_sink(batch).unwrap())
        }),
    );
    row(
        "several workers with a batch".into(),
        Box::new(move || {
            let batch = noop::<Vec<u64>>().batch(4).age(Duration::from_millis(5));
            queue(builder().workers(2).spawn_sink(batch).unwrap())
        }),
    );
    rows
}

/// The most processor time, in percent, that one thread with this strategy may use in silence.
fn bound(wait: WaitStrategy) -> f64 {
    match wait {
        // The figure that the strategy's documentation states.
        WaitStrategy::Poll { .. } => 1.0,
        _ => 0.3,
    }
}

#[test]
fn idle_consumers_use_no_processor_time() {
    let _alone = super::alone();
    // The threads of a row are known only if no other test starts threads.
    let Some(child) = process::in_child(module_path!(), "idle_consumers_use_no_processor_time") else {
        measure_idle_consumers();
        std::process::exit(PASSED);
    };
    let text = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.code(), Some(PASSED), "{text}");
}

fn measure_idle_consumers() {
    let strategies = [
        WaitStrategy::nap(),
        WaitStrategy::Nap { nap: Duration::from_millis(1), park_after: Duration::ZERO },
        WaitStrategy::SpinPark,
        WaitStrategy::Park,
        WaitStrategy::poll(),
        WaitStrategy::Poll { busy: Duration::from_micros(1), idle: Duration::from_millis(20) },
    ];
    let mut rows = Vec::new();
    let mut stops = Vec::new();
    for wait in strategies {
        for (name, make) in consumers(wait) {
            let before = threads();
            stops.push(make());
            let mine: Vec<i32> = threads().difference(&before).copied().collect();
            assert!(!mine.is_empty(), "{name}: no thread");
            rows.push((name, bound(wait), mine));
        }
    }
    // Consumers go through the steps of their strategies in real time, and no event marks the last
    // step.
    thread::sleep(SETTLED);
    let used = |rows: &[(String, f64, Vec<i32>)]| -> Vec<Vec<Duration>> {
        rows.iter().map(|(_, _, threads)| threads.iter().map(|id| processor_time(*id)).collect()).collect()
    };
    let (before, begun) = (used(&rows), Instant::now());
    // The silence whose processor time is measured.
    thread::sleep(SILENCE);
    let (after, silence) = (used(&rows), begun.elapsed());
    let mut restless = Vec::new();
    for ((name, bound, _), (before, after)) in rows.iter().zip(before.iter().zip(&after)) {
        for (before, after) in before.iter().zip(after) {
            let percent = 100.0 * (*after - *before).as_secs_f64() / silence.as_secs_f64();
            if percent > *bound {
                restless.push(format!("{name}: {percent:.2} % of a processor, {bound} % allowed"));
            }
        }
    }
    stops.into_iter().for_each(|stop| stop());
    assert!(restless.is_empty(), "{} threads:\n{}", restless.len(), restless.join("\n"));
}
