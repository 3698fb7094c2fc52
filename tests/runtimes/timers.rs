//! `select` and timeouts by the thousand, under several runtimes: each event is read once, whatever was
//! cancelled meanwhile.

use crate::schedulers::{EVENTS, Order, Scene, WRITERS, write};
use buslane::channel::SharedReceiver;
use buslane::error::RecvError;
use buslane::{Publisher, Receiver};
use futures::executor::LocalPool;
use futures::future::{Either, join_all, select};
use futures::task::LocalSpawnExt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use test_support::{assert_balanced, ends};

type Event = (u64, u64);
type Outcome = Result<Event, RecvError>;

/// The limit of each wait that may time out.
const LIMIT: Duration = Duration::from_millis(1);
/// How long a task sometimes neither reads nor publishes, so that others reach their limits.
const PAUSE: Duration = Duration::from_millis(3);
/// Events of a reader between its pauses. Publishers pause more often, so that readers become idle.
const TURN: u64 = 64;
/// Timeouts of each kind: a thousand together.
const EACH: u64 = 334;

/// What a runtime has for limits.
trait Timers {
    fn sleep(limit: Duration) -> impl Future<Output = ()> + Send;

    /// Returns `None` after the limit.
    fn timeout<F: Future<Output: Send> + Send>(
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send;

    /// Returns what the first or the second future is ready with, or `None` after the limit.
    fn select<F: Future<Output = Outcome> + Send>(
        limit: Duration,
        first: F,
        second: impl Future<Output = Outcome> + Send,
    ) -> impl Future<Output = Option<Either<Outcome, Outcome>>> + Send;
}

struct Tokio;

impl Timers for Tokio {
    async fn sleep(limit: Duration) {
        tokio::time::sleep(limit).await;
    }

    async fn timeout<F: Future<Output: Send> + Send>(limit: Duration, future: F) -> Option<F::Output> {
        tokio::time::timeout(limit, future).await.ok()
    }

    async fn select<F: Future<Output = Outcome> + Send>(
        limit: Duration,
        first: F,
        second: impl Future<Output = Outcome> + Send,
    ) -> Option<Either<Outcome, Outcome>> {
        tokio::select! {
            outcome = first => Some(Either::Left(outcome)),
            outcome = second => Some(Either::Right(outcome)),
            () = tokio::time::sleep(limit) => None,
        }
    }
}

struct Smol;

impl Timers for Smol {
    async fn sleep(limit: Duration) {
        smol::Timer::after(limit).await;
    }

    async fn timeout<F: Future<Output: Send> + Send>(limit: Duration, future: F) -> Option<F::Output> {
        let timer = async {
            smol::Timer::after(limit).await;
            None
        };
        smol::future::or(async { Some(future.await) }, timer).await
    }

    async fn select<F: Future<Output = Outcome> + Send>(
        limit: Duration,
        first: F,
        second: impl Future<Output = Outcome> + Send,
    ) -> Option<Either<Outcome, Outcome>> {
        let (first, second) = (pin!(first), pin!(second));
        match select(select(first, second), smol::Timer::after(limit)).await {
            Either::Left((Either::Left((outcome, _)), _)) => Some(Either::Left(outcome)),
            Either::Left((Either::Right((outcome, _)), _)) => Some(Either::Right(outcome)),
            Either::Right(_) => None,
        }
    }
}

/// The waits that have timed out.
#[derive(Debug, Default)]
struct TimedOut {
    reservations: AtomicU64,
    reads: AtomicU64,
    selects: AtomicU64,
}

impl TimedOut {
    fn are_enough(&self) -> bool {
        let each = [&self.reservations, &self.reads, &self.selects];
        each.iter().all(|count| count.load(Ordering::Relaxed) >= EACH)
    }
}

fn count_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Publishes until enough waits have timed out. Returns the number of events.
async fn publish<T: Timers>(writer: u64, mut publisher: Publisher<Event>, timed_out: Arc<TimedOut>) -> u64 {
    let mut event = 0;
    while !timed_out.are_enough() {
        match T::timeout(LIMIT, publisher.reserve()).await {
            Some(permit) => drop(permit.unwrap()),
            None => count_one(&timed_out.reservations),
        }
        assert!(publisher.publish_async((writer, event)).await.unwrap().is_complete());
        event += 1;
        if event % (TURN / 8) == 0 {
            T::sleep(PAUSE).await;
        }
    }
    event
}

/// Reads with a limit until the end. Returns the number of events.
async fn read<T: Timers>(mut receiver: SharedReceiver<Event>, timed_out: Arc<TimedOut>) -> u64 {
    let mut order = Order::new(false);
    loop {
        match T::timeout(LIMIT, receiver.recv_async()).await {
            Some(Ok(event)) => order.check(event),
            Some(Err(_)) => return order.count,
            None => {
                count_one(&timed_out.reads);
                continue;
            }
        }
        if order.count.is_multiple_of(TURN) {
            T::sleep(PAUSE).await;
        }
    }
}

/// Reads from two receivers with a limit until the end of both. Returns the number of events of each.
async fn read_two<T: Timers>(
    mut receiver: Receiver<Event>,
    mut shared: SharedReceiver<Event>,
    timed_out: Arc<TimedOut>,
) -> [u64; 2] {
    let mut orders = [Order::new(true), Order::new(false)];
    loop {
        match T::select(LIMIT, receiver.recv_async(), shared.recv_async()).await {
            Some(Either::Left(Ok(event))) => orders[0].check(event),
            Some(Either::Right(Ok(event))) => orders[1].check(event),
            Some(Either::Left(Err(_)) | Either::Right(Err(_))) => break,
            None => {
                count_one(&timed_out.selects);
                continue;
            }
        }
        if (orders[0].count + orders[1].count).is_multiple_of(TURN) {
            T::sleep(PAUSE).await;
        }
    }
    // The bus has closed both.
    while let Ok(event) = receiver.recv_async().await {
        orders[0].check(event);
    }
    while let Ok(event) = shared.recv_async().await {
        orders[1].check(event);
    }
    orders.map(|order| order.count)
}

/// Runs publishers and readers until enough waits have timed out: `spawn` starts a task, and returns a
/// future of its end.
async fn play<T: Timers + 'static, H: Future<Output = [u64; 2]>>(
    spawn: impl Fn(Pin<Box<dyn Future<Output = [u64; 2]> + Send>>) -> H,
) {
    let Scene { bus, publishers, receiver, shared: [first, second] } = Scene::new();
    let timed_out = Arc::new(TimedOut::default());
    let publishing: Vec<_> = publishers
        .into_iter()
        .zip(0..)
        .map(|(publisher, writer)| {
            let publish = publish::<T>(writer, publisher, timed_out.clone());
            spawn(Box::pin(async { [publish.await, 0] }))
        })
        .collect();
    let reading = read::<T>(second, timed_out.clone());
    let reading = spawn(Box::pin(async { [0, reading.await] }));
    let reading_two = spawn(Box::pin(read_two::<T>(receiver, first, timed_out.clone())));
    let published = join_all(publishing).await.into_iter().map(|[count, _]| count).sum::<u64>();
    assert!(bus.close_async().await.is_done());
    let ([_, second], [alone, first]) = (reading.await, reading_two.await);
    println!("{published} events, {timed_out:?}");
    assert_eq!((alone, first + second), (published, published));
    for sink in bus.snapshot().sinks {
        let ledger = assert_balanced(&sink.state);
        assert_eq!((ledger.accepted, ledger.delivered), (published, published));
    }
}

#[test]
fn timeouts_lose_no_event_on_one_thread() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play::<Tokio, _>(|task| {
            let task = tokio::spawn(task);
            async { task.await.unwrap() }
        }));
    });
}

#[test]
fn timeouts_lose_no_event_on_threads() {
    ends(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap();
        runtime.block_on(play::<Tokio, _>(|task| {
            let task = tokio::spawn(task);
            async { task.await.unwrap() }
        }));
    });
}

#[test]
fn timeouts_lose_no_event_in_a_local_set() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let play = play::<Tokio, _>(|task| {
            let task = tokio::task::spawn_local(task);
            async { task.await.unwrap() }
        });
        tokio::task::LocalSet::new().block_on(&runtime, play);
    });
}

#[test]
fn timeouts_lose_no_event_on_smol() {
    ends(|| smol::block_on(play::<Smol, _>(smol::spawn)));
}

/// Publishes and reads by a `select` of two receivers, which cancels the other read for each event.
async fn select_each<H: Future<Output = u64>>(
    spawn: impl Fn(Pin<Box<dyn Future<Output = u64> + Send>>) -> H,
) {
    let Scene { bus, publishers, mut receiver, shared: [mut shared, second] } = Scene::new();
    drop(second);
    let writing: Vec<_> = publishers
        .into_iter()
        .zip(0..)
        .map(|(publisher, writer)| {
            spawn(Box::pin(async move {
                write(writer, publisher).await;
                0
            }))
        })
        .collect();
    let reading = spawn(Box::pin(async move {
        let (mut alone, mut other) = (Order::new(true), Order::new(true));
        let mut cancelled = 0;
        loop {
            let (order, outcome) = {
                let (one, two) = (pin!(receiver.recv_async()), pin!(shared.recv_async()));
                // The second read is polled first in every other turn.
                if cancelled % 2 == 0 {
                    match select(one, two).await {
                        Either::Left((outcome, _)) => (&mut alone, outcome),
                        Either::Right((outcome, _)) => (&mut other, outcome),
                    }
                } else {
                    match select(two, one).await {
                        Either::Left((outcome, _)) => (&mut other, outcome),
                        Either::Right((outcome, _)) => (&mut alone, outcome),
                    }
                }
            };
            match outcome {
                Ok(event) => order.check(event),
                Err(_) => break,
            }
            cancelled += 1;
        }
        while let Ok(event) = receiver.recv_async().await {
            alone.check(event);
        }
        while let Ok(event) = shared.recv_async().await {
            other.check(event);
        }
        assert_eq!((alone.count, other.count), (WRITERS * EVENTS, WRITERS * EVENTS));
        cancelled
    }));
    join_all(writing).await;
    assert!(bus.close_async().await.is_done());
    assert!(reading.await >= EVENTS);
}

#[test]
fn select_of_two_receivers_loses_no_event() {
    ends(|| {
        let mut pool = LocalPool::new();
        let spawner = pool.spawner();
        pool.run_until(select_each(|task| spawner.spawn_local_with_handle(task).unwrap()));
    });
}
