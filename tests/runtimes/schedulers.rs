//! The same tasks under several runtimes: writers that wait for room, readers, cancellations by the
//! thousand.

use buslane::channel::{Kind, SharedReceiver};
use buslane::{Bus, Channel, Publisher, Receiver};
use futures::executor::LocalPool;
use futures::future::{Either, join_all, select};
use futures::task::LocalSpawnExt;
use futures::{Stream, StreamExt, stream};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use test_support::{assert_balanced, ends};

pub(crate) const WRITERS: u64 = 4;
pub(crate) const EVENTS: u64 = 2_000;

/// A small channel with one receiver and one with two on a bus, the publishers and the readers.
pub(crate) struct Scene {
    pub(crate) bus: Bus<(u64, u64)>,
    pub(crate) publishers: Vec<Publisher<(u64, u64)>>,
    pub(crate) receiver: Receiver<(u64, u64)>,
    pub(crate) shared: [SharedReceiver<(u64, u64)>; 2],
}

impl Scene {
    pub(crate) fn new() -> Self {
        let bus = Bus::new();
        let receiver = bus.subscribe_lossless(2).unwrap();
        let (channel, first) = Channel::shared_lossless(2).unwrap();
        bus.add(channel).unwrap();
        let publishers = (0..WRITERS).map(|_| bus.publisher()).collect();
        Self { bus, publishers, shared: [first.clone(), first], receiver }
    }
}

/// Publishes all events of one writer, by turns in three ways.
pub(crate) async fn write(writer: u64, mut publisher: Publisher<(u64, u64)>) {
    for event in 0..EVENTS {
        match event % 2 {
            0 => assert!(publisher.publish_async((writer, event)).await.unwrap().is_complete()),
            _ => {
                // A permit that is given back, and one that is cancelled.
                drop(publisher.reserve().await.unwrap());
                let mut reserve = publisher.reserve();
                let _ = futures::poll!(&mut reserve);
                drop(reserve);
                assert!(publisher.publish_async((writer, event)).await.unwrap().is_complete());
            }
        }
    }
}

/// Reads until the end, and checks that each writer's events arrive in order. Returns their number.
async fn read(events: impl Stream<Item = (u64, u64)>, is_alone: bool) -> u64 {
    let (mut events, mut order) = (pin!(events), Order::new(is_alone));
    while let Some(event) = events.next().await {
        order.check(event);
    }
    order.count
}

/// The events that one receiver has read, by their writers.
pub(crate) struct Order {
    next: [u64; WRITERS as usize],
    is_alone: bool,
    pub(crate) count: u64,
}

impl Order {
    pub(crate) fn new(is_alone: bool) -> Self {
        Self { next: [0; WRITERS as usize], is_alone, count: 0 }
    }

    /// Checks that the writer's events arrive in order, and all of them if this receiver is alone.
    pub(crate) fn check(&mut self, (writer, event): (u64, u64)) {
        let next = &mut self.next[writer as usize];
        assert!(event == *next || !self.is_alone && event > *next, "{writer}: {event} after {next}");
        *next = event + 1;
        self.count += 1;
    }
}

/// Returns the stream that `recv_async` makes, a future for each event.
fn by_futures<K: Kind>(receiver: Receiver<(u64, u64), K>) -> impl Stream<Item = (u64, u64)> {
    stream::unfold(receiver, |mut receiver| async move {
        receiver.recv_async().await.ok().map(|event| (event, receiver))
    })
}

/// Runs the scene: `spawn` starts a task, and returns a future of its end.
async fn play<H: Future>(spawn: impl Fn(std::pin::Pin<Box<dyn Future<Output = u64> + Send>>) -> H)
where
    H::Output: Into<Option<u64>>,
{
    let Scene { bus, publishers, receiver, shared } = Scene::new();
    let writers: Vec<_> = publishers
        .into_iter()
        .zip(0..)
        .map(|(publisher, number)| {
            spawn(Box::pin(async move {
                write(number, publisher).await;
                0
            }))
        })
        .collect();
    let alone = spawn(Box::pin(async move { read(by_futures(receiver), true).await }));
    let [first, second] = shared;
    let together = [
        spawn(Box::pin(async move { read(first, false).await })),
        spawn(Box::pin(async move { read(by_futures(second), false).await })),
    ];
    join_all(writers).await;
    let closed = bus.closed();
    let report = bus.close_async().await;
    assert!(report.is_done(), "{report}");
    closed.await;
    assert_eq!(alone.await.into(), Some(WRITERS * EVENTS));
    let counts = join_all(together).await.into_iter().map(|count| count.into().unwrap_or(0));
    assert_eq!(counts.sum::<u64>(), WRITERS * EVENTS);
    for sink in bus.snapshot().sinks {
        let ledger = assert_balanced(&sink.state);
        assert_eq!((ledger.accepted, ledger.delivered), (WRITERS * EVENTS, WRITERS * EVENTS));
    }
}

#[test]
fn tasks_share_one_thread_of_tokio() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(|task| {
            let task = tokio::spawn(task);
            async { task.await.ok() }
        }));
    });
}

#[test]
fn tasks_move_between_threads_of_tokio() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap();
        runtime.block_on(play(|task| {
            let task = tokio::spawn(task);
            async { task.await.ok() }
        }));
    });
}

#[test]
fn tasks_stay_in_a_local_set_of_tokio() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio::task::LocalSet::new().block_on(
            &runtime,
            play(|task| {
                let task = tokio::task::spawn_local(task);
                async { task.await.ok() }
            }),
        );
    });
}

#[test]
fn tasks_run_on_smol() {
    ends(|| {
        smol::block_on(play(|task| {
            let task = smol::spawn(task);
            async { Some(task.await) }
        }))
    });
}

#[test]
fn tasks_run_in_a_local_pool() {
    ends(|| {
        let mut pool = LocalPool::new();
        let spawner = pool.spawner();
        pool.run_until(play(|task| {
            let task = spawner.spawn_local_with_handle(task).unwrap();
            async { Some(task.await) }
        }));
    });
}

#[test]
fn timeouts_by_the_thousand_lose_no_event() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let Scene { bus, publishers, mut receiver, shared: [mut first, mut second] } = Scene::new();
            let writers: Vec<_> = publishers
                .into_iter()
                .zip(0..)
                .map(|(publisher, number)| tokio::spawn(write(number, publisher)))
                .collect();
            let ending = tokio::spawn(async move {
                for writer in writers {
                    writer.await.unwrap();
                }
                assert!(bus.close_async().await.is_done());
            });
            let (mut alone, mut together, mut timeouts) = (0, 0, 0);
            let mut open = [true; 3];
            while open != [false; 3] {
                tokio::select! {
                    event = receiver.recv_async(), if open[0] => match event {
                        Ok(_) => alone += 1,
                        Err(_) => open[0] = false,
                    },
                    event = first.recv_async(), if open[1] => match event {
                        Ok(_) => together += 1,
                        Err(_) => open[1] = false,
                    },
                    event = second.recv_async(), if open[2] => match event {
                        Ok(_) => together += 1,
                        Err(_) => open[2] = false,
                    },
                    () = tokio::time::sleep(Duration::from_nanos(1)) => timeouts += 1,
                    () = tokio::task::yield_now() => timeouts += 1,
                }
            }
            ending.await.unwrap();
            assert_eq!((alone, together), (WRITERS * EVENTS, WRITERS * EVENTS));
            assert!(timeouts > 0);
        });
    });
}

#[test]
fn cancelled_permits_by_the_thousand_lose_no_event() {
    ends(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let Scene { bus, mut publishers, receiver, shared: [first, second] } = Scene::new();
            drop(second);
            let mut publisher = publishers.remove(0);
            let others: Vec<_> = publishers
                .into_iter()
                .zip(1..)
                .map(|(publisher, number)| tokio::spawn(write(number, publisher)))
                .collect();
            let readers = [
                tokio::spawn(async move { read(by_futures(receiver), false).await }),
                tokio::spawn(async move { read(by_futures(first), false).await }),
            ];
            let mut published = [0; 2];
            for event in 0..20_000 {
                let permit = match select(pin!(publisher.reserve()), pin!(tokio::task::yield_now())).await {
                    Either::Left((permit, _)) => permit.unwrap(),
                    Either::Right(_) => continue,
                };
                // The private lane keeps its room; the shared one may have been filled by others.
                let outcome = permit.publish((0, event)).unwrap();
                assert!(outcome.accepted >= 1);
                published[0] += 1;
                published[1] += outcome.accepted as u64 - 1;
            }
            drop(publisher);
            for other in others {
                other.await.unwrap();
            }
            assert!(bus.close_async().await.is_done());
            for (reader, published) in readers.into_iter().zip(published) {
                assert_eq!(reader.await.unwrap(), (WRITERS - 1) * EVENTS + published);
            }
        });
    });
}
