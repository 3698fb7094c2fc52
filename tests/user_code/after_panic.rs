//! The reports of a panic in user code, and the state after it: the cases where the table of call
//! sites only checks that everything still works.

use crate::world::{ignore, lock};
use buslane::bus::Removed;
use buslane::error::Closed;
use buslane::queue::Handler;
use buslane::retry::Backoff;
use buslane::stats::{CloseReport, Finish, FlushReport};
use buslane::time::Deadline;
use buslane::{BoxError, Bus, Overflow, Queue, Sink, SinkExt, SinkId, WriteError, noop, sink_fn};
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use test_support::limit;

const GUARD: Duration = limit::scaled(Duration::from_secs(30));

/// An event that calls a function when it is cloned or dropped, once.
struct Calls {
    on_clone: Option<Arc<dyn Fn() + Send + Sync>>,
    on_drop: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Clone for Calls {
    fn clone(&self) -> Self {
        if let Some(call) = &self.on_clone {
            call();
        }
        Self { on_clone: None, on_drop: None }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        if let Some(call) = self.on_drop.take() {
            call();
        }
    }
}

fn told<T: Send + 'static>(
    call: impl Fn() -> T + Send + Sync + 'static,
) -> (Arc<dyn Fn() + Send + Sync>, Receiver<T>) {
    let (sender, told) = channel();
    (Arc::new(move || ignore(sender.send(call()))), told)
}

#[test]
fn removal_in_a_clone_returns_from_inside() {
    let bus = Bus::new();
    let id = bus.add(noop()).unwrap();
    bus.add(noop()).unwrap();
    let of_event = bus.clone();
    let (call, removed) = told(move || of_event.remove(id));
    ignore(bus.publish(Calls { on_clone: Some(call), on_drop: None }));
    assert_eq!(removed.recv_timeout(GUARD), Ok(Ok(Removed::FromInside)));
    assert_eq!(bus.sink_count(), 1);
}

#[test]
fn close_in_a_drop_is_pending_and_final_outside() {
    let bus = Bus::new();
    let queue = Queue::builder().capacity(1).overflow(Overflow::Refuse).spawn(|_: Calls| {}).unwrap();
    bus.add(queue.clone()).unwrap();
    bus.add(queue.clone().filter(|_: &Calls| false)).unwrap();
    let of_event = bus.clone();
    let (call, report) = told(move || of_event.close_timeout(GUARD));
    ignore(bus.publish(Calls { on_clone: None, on_drop: Some(call) }));
    assert_eq!(report.recv_timeout(GUARD).map(|report| report.finish), Ok(Finish::Pending));
    assert!(bus.close_timeout(GUARD).is_done());
}

#[test]
fn removal_on_a_worker_returns_from_inside() {
    // A publisher that waits for room in the queue holds the list for which the removal waits.
    struct Removes(OnceLock<(Bus<u32>, SinkId)>, Sender<Removed>);
    impl Sink<u32> for Removes {
        fn write(&self, _: u32) -> Result<(), WriteError<u32>> {
            Ok(())
        }
        fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
            if let Some((bus, id)) = self.0.get()
                && let Ok(removed) = bus.remove(*id)
            {
                let _ = self.1.send(removed);
            }
        }
    }
    let (sender, removed) = channel();
    let sink = Arc::new(Removes(OnceLock::new(), sender));
    let bus = Bus::new();
    let queue = Queue::builder().capacity(1).overflow(Overflow::Block).spawn_sink(sink.clone()).unwrap();
    bus.add(queue.clone()).unwrap();
    let id = bus.add(noop()).unwrap();
    assert!(sink.0.set((bus.clone(), id)).is_ok());
    assert!(queue.flush_timeout(GUARD).is_done());
    assert_eq!(removed.recv_timeout(GUARD), Ok(Removed::FromInside));
}

#[test]
fn write_to_own_full_queue_in_a_flush_is_refused() {
    struct Echo(OnceLock<Queue<u32>>, Sender<bool>);
    impl Sink<u32> for Echo {
        fn write(&self, _: u32) -> Result<(), WriteError<u32>> {
            Ok(())
        }
        fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
            if let Some(queue) = self.0.get() {
                let written: Vec<_> = (0..8).map(|n| queue.write(n)).collect();
                ignore(self.1.send(matches!(written.last(), Some(Err(WriteError::Full(7))))));
            }
        }
    }
    for workers in [1, 2] {
        let (sender, refused) = channel();
        let sink = Arc::new(Echo(OnceLock::new(), sender));
        let builder = Queue::builder().capacity(2).overflow(Overflow::Block).workers(workers);
        let queue = builder.spawn_sink(sink.clone()).unwrap();
        ignore(sink.0.set(queue.clone()));
        assert!(queue.flush_timeout(GUARD).is_done());
        if workers == 1 {
            assert_eq!(refused.recv_timeout(GUARD), Ok(true));
        } else {
            // The other worker may have made room.
            assert!(refused.recv_timeout(GUARD).is_ok());
        }
        assert!(queue.close_timeout(GUARD).is_done());
    }
}

#[test]
fn flush_of_a_batch_from_its_own_sink_is_pending() {
    struct Flushes(OnceLock<Arc<dyn Sink<u32>>>, Sender<Finish>);
    impl Sink<Vec<u32>> for Flushes {
        fn write(&self, _: Vec<u32>) -> Result<(), WriteError<Vec<u32>>> {
            let mut report = FlushReport::default();
            if let Some(batch) = self.0.get() {
                batch.flush_by(Deadline::after(GUARD), &mut report);
            }
            ignore(self.1.send(report.finish));
            Ok(())
        }
    }
    let (sender, finish) = channel();
    let inner = Arc::new(Flushes(OnceLock::new(), sender));
    let batch = Arc::new(inner.clone().batch(2));
    assert!(inner.0.set(batch.clone()).is_ok());
    batch.write(1).unwrap();
    batch.write(2).unwrap();
    assert_eq!(finish.try_recv(), Ok(Finish::Pending));
    assert_eq!(batch.state().ledger.delivered, 2);
}

#[test]
fn tick_repeats_after_a_panic() {
    struct Beats(Sender<u32>, u32);
    impl Handler<u32> for Beats {
        fn handle(&mut self, _: u32) -> Result<(), BoxError> {
            Ok(())
        }
        fn tick(&mut self, now: Instant) -> Option<Instant> {
            self.1 += 1;
            assert!(self.1 % 2 == 1, "every second tick");
            ignore(self.0.send(self.1));
            Some(now + Duration::from_millis(1))
        }
    }
    let (sender, beats) = channel();
    let queue = Queue::builder().spawn_handler(Beats(sender, 0)).unwrap();
    let seen: Vec<_> = (0..3).map(|_| beats.recv_timeout(GUARD)).collect();
    assert_eq!(seen, [Ok(1), Ok(3), Ok(5)]);
    assert!(queue.state().last_error.is_some_and(|text| text.contains("every second tick")));
}

#[test]
fn batch_survives_a_panicking_tick() {
    struct Ticks(AtomicBool, Sender<usize>);
    impl Sink<Vec<u32>> for Ticks {
        fn write(&self, batch: Vec<u32>) -> Result<(), WriteError<Vec<u32>>> {
            ignore(self.1.send(batch.len()));
            Ok(())
        }
        fn tick(&self, _: Instant) -> Option<Instant> {
            assert!(!self.0.swap(false, Ordering::Relaxed), "the first tick after the event");
            None
        }
    }
    let (sender, batches) = channel();
    let inner = Arc::new(Ticks(AtomicBool::new(false), sender));
    let batch = inner.clone().batch(100).age(Duration::from_millis(1));
    let queue = Queue::builder().spawn_sink(batch).unwrap();
    assert!(queue.flush_timeout(GUARD).is_done());
    inner.0.store(true, Ordering::Relaxed);
    queue.write(1).unwrap();
    assert_eq!(batches.recv_timeout(GUARD), Ok(1));
}

#[test]
fn panicking_flush_ends_the_close_of_a_batch() {
    struct Full;
    impl Sink<Vec<u32>> for Full {
        fn write(&self, batch: Vec<u32>) -> Result<(), WriteError<Vec<u32>>> {
            Err(WriteError::Full(batch))
        }
        fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
            panic!("no flush")
        }
    }
    let batch = Full.batch(2);
    batch.write(1).unwrap();
    let reports = [(); 2].map(|()| Sink::<u32>::close_by(&batch, Deadline::after(GUARD)));
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0].undelivered, 1);
    assert_eq!(batch.state().ledger.dropped.aborted, 1);
}

#[test]
fn panicking_sink_drop_affects_no_other_caller() {
    struct Bomb(Arc<AtomicU32>);
    impl Sink<u32> for Bomb {
        fn write(&self, _: u32) -> Result<(), WriteError<u32>> {
            Ok(())
        }
        fn close_by(&self, _: Deadline) -> CloseReport {
            CloseReport::done()
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("a sink's drop");
        }
    }
    let drops = Arc::new(AtomicU32::new(0));
    let strangers: [fn(&Bus<u32>); 5] = [
        |bus| ignore(bus.snapshot()),
        |bus| ignore(bus.add(noop())),
        |bus| ignore(bus.publisher()),
        |bus| ignore(bus.close()),
        |_| {},
    ];
    for (at, stranger) in strangers.into_iter().enumerate() {
        let bus = Bus::new();
        let bombs: Vec<_> = (0..2).map(|_| bus.add(Bomb(drops.clone())).unwrap()).collect();
        let weak = bus.downgrade();
        bus.add(sink_fn(move |_: &u32| {
            let bus = weak.upgrade();
            bombs.iter().for_each(|id| ignore(bus.as_ref().map(|bus| bus.remove(*id))));
        }))
        .unwrap();
        let _ = bus.publish(1).unwrap();
        stranger(&bus);
        drop(bus);
        assert_eq!(drops.load(Ordering::Relaxed), 2 * (at as u32 + 1), "both are dropped, in either order");
    }
}

#[test]
fn panicking_error_affects_no_publisher() {
    #[derive(Debug)]
    struct Bomb;
    impl std::fmt::Display for Bomb {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("an error's text")
        }
    }
    impl std::error::Error for Bomb {}
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("an error's drop");
        }
    }
    let bus = Bus::new();
    bus.add(sink_fn(|_: &u32| Err::<(), _>(Bomb))).unwrap();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    assert_eq!(bus.publish(1).map(|published| published.refused), Ok(1));
    assert_eq!(bus.publisher().publish(2).map(|published| published.refused), Ok(1));
    assert_eq!(receiver.drain().sum::<u32>(), 3, "both events arrived");
    assert!(bus.close().is_done());
}

/// A key whose comparison or hash panics on request.
#[derive(Clone)]
struct Key(u32, Arc<AtomicBool>, bool);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(self.2 || !self.1.load(Ordering::Relaxed), "hash");
        0_u8.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        assert!(!self.2 || !self.1.load(Ordering::Relaxed), "eq");
        self.0 == other.0
    }
}

impl Eq for Key {}

#[test]
fn panicking_key_costs_only_its_event() {
    for in_eq in [false, true] {
        let (panics, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (of_key, into) = (panics.clone(), seen.clone());
        let fails = Arc::new(AtomicBool::new(true));
        let failing = fails.clone();
        let sink = sink_fn(move |n: &u32| {
            if failing.load(Ordering::Relaxed) {
                return Err("no route");
            }
            lock(&into).push(*n);
            Ok(())
        });
        let policy = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        let retry = sink.retry_by_key(move |n: &u32| Key(*n % 2, of_key.clone(), in_eq), policy);
        assert!(retry.write(1).is_ok());
        panics.store(true, Ordering::Relaxed);
        assert!(matches!(retry.write(2), Err(WriteError::Failed { event: 2, .. })), "in eq: {in_eq}");
        panics.store(false, Ordering::Relaxed);
        for n in [2, 3, 4, 5] {
            assert!(retry.write(n).is_ok());
        }
        fails.store(false, Ordering::Relaxed);
        let report = Sink::<u32>::close_by(&retry, Deadline::after(GUARD));
        assert!(report.is_done(), "{report}");
        let mut by_key = lock(&seen).clone();
        by_key.sort_by_key(|n| n % 2);
        assert_eq!(by_key, [2, 4, 1, 3, 5], "in order for each key, of one hash");
    }
}

#[test]
fn publisher_continues_after_panicking_clones() {
    #[derive(Debug)]
    struct Picky(u32);
    impl Clone for Picky {
        fn clone(&self) -> Self {
            assert!(self.0 != 13);
            Self(self.0)
        }
    }
    let bus = Bus::new();
    let (mut one, mut other) = (bus.subscribe_lossy(2).unwrap(), bus.subscribe_lossy(2).unwrap());
    let mut publisher = bus.publisher();
    for round in 0..3 {
        // The first event is already in one lane when the clone panics. The last one meets a full
        // lane, on the slow path.
        (0..round).for_each(|n| ignore(publisher.publish(Picky(n))));
        assert!(catch_unwind(AssertUnwindSafe(|| publisher.publish(Picky(13)))).is_err());
        ignore((one.drain().count(), other.drain().count()));
        assert!(publisher.publish(Picky(1)).is_ok_and(|published| published.accepted == 2));
        ignore((one.drain().count(), other.drain().count()));
    }
    assert!(bus.close().is_done());
    assert!(matches!(publisher.publish(Picky(1)), Err(Closed(Picky(1)))));
}

#[test]
fn formatter_can_call_the_bus() {
    struct Asks<'a>(&'a Bus<u32>, usize);
    impl Write for Asks<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.1 += text.len();
            ignore(self.0.snapshot());
            Ok(())
        }
    }
    let bus = Bus::<u32>::new();
    let mut asks = Asks(&bus, 0);
    write!(asks, "{bus:?}").unwrap();
    assert!(asks.1 > 0);
}

#[test]
fn equal_hash_keys_keep_order_under_contention() {
    const EVENTS: u32 = 200;
    const THREADS: u32 = 4;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (into, calls) = (seen.clone(), AtomicU32::new(0));
    let sink = sink_fn(move |event: &(u32, u32)| {
        if calls.fetch_add(1, Ordering::Relaxed) % 3 != 2 {
            return Err("busy");
        }
        lock(&into).push(*event);
        Ok(())
    });
    let policy = Backoff::new(Duration::from_nanos(1), Duration::from_nanos(1));
    let quiet = Arc::new(AtomicBool::new(false));
    let key = move |event: &(u32, u32)| Key(event.0, quiet.clone(), false);
    let retry = Arc::new(sink.retry_by_key(key, policy).capacity(8));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let retry = &retry;
            scope.spawn(move || {
                for n in 0..EVENTS {
                    let mut event = (thread, n);
                    while let Err(error) = retry.write(event) {
                        event = error.into_event();
                        retry.tick(Instant::now());
                    }
                }
            });
        }
    });
    assert!(retry.close_by(Deadline::after(GUARD)).is_done());
    let seen = lock(&seen);
    assert_eq!(seen.len(), (THREADS * EVENTS) as usize);
    for thread in 0..THREADS {
        let of_one = seen.iter().filter(|(key, _)| *key == thread).map(|(_, n)| *n);
        assert!(of_one.eq(0..EVENTS), "the events of each key in order");
    }
}

#[test]
fn waits_inside_close_or_flush_end_at_the_limit() {
    struct Blocks(Bus<u32>);
    impl Sink<u32> for Blocks {
        fn write(&self, _: u32) -> Result<(), WriteError<u32>> {
            Ok(())
        }
        fn close_by(&self, _: Deadline) -> CloseReport {
            ignore(self.0.publish(1));
            CloseReport::done()
        }
        fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
            ignore(self.0.publish(1));
        }
    }
    const LIMIT: Duration = Duration::from_millis(20);
    let full = Bus::new();
    let (channel, _receiver) =
        buslane::Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    full.add(channel).unwrap();
    let _ = full.publish(1).unwrap();
    let (direct, queued) = (Bus::new(), Bus::new());
    direct.add(Blocks(full.clone())).unwrap();
    queued.add(Queue::builder().spawn_sink(Blocks(full.clone())).unwrap()).unwrap();
    // Each publish would wait forever.
    for bus in [direct, queued] {
        ignore(bus.flush_timeout(LIMIT));
        ignore(bus.close_timeout(LIMIT));
        drop(bus);
    }
}
