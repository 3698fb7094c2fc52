//! The cost of a publish into a full lane, by overflow policy.
//!
//! One thread; no consumer reads meanwhile. `block` is a publisher's `try_publish`, which does not
//! wait; `stream` measures publishers that wait. `close` is one publish that closes its channel: a
//! fresh channel for each, which is not timed. After each group the ledger must hold what was
//! published. Peers: those that report that they are full, and those that overwrite.

use benches::CAPACITY;
use benches::cost::BLOCK;
use benches::event::Event;
use benches::event::Seed;
use benches::machine::pin_producer;
use benches::peer::{ArrayQueue, Crossbeam, Flume, Kanal, Peer, Rtrb, Std, Thingbuf, TokioMpsc};
use buslane::{Bus, Channel, Overflow, Publisher, Receiver, WaitStrategy};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::hint::black_box;
use std::time::{Duration, Instant};

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// A full lane.
fn full(overflow: Overflow) -> (Publisher<Event>, Receiver<Event>) {
    let builder = Channel::builder().capacity(CAPACITY).overflow(overflow).wait_strategy(WaitStrategy::nap());
    let (channel, receiver) = builder.build().expect(SETTINGS);
    let bus = Bus::new();
    bus.add(channel).expect(OPEN);
    let mut publisher = bus.publisher();
    for seq in 0..CAPACITY as u64 {
        assert_eq!(publisher.publish(Event::new(seq)).expect(OPEN).accepted, 1);
    }
    (publisher, receiver)
}

/// Publishes into a full lane, and checks the ledger.
fn policy(group: &mut Group<'_>, name: &str, overflow: Overflow) {
    let (mut publisher, receiver) = full(overflow);
    let mut published = CAPACITY as u64;
    group.bench_function(format!("buslane/{name}"), |bencher| {
        bencher.iter(|| {
            published += 1;
            black_box(publisher.try_publish(Event::new(published)).is_ok())
        });
    });
    let ledger = receiver.state().ledger;
    let gone = ledger.dropped.full + ledger.dropped.evicted + ledger.refused.total();
    assert_eq!((ledger.offered, gone), (published, published - CAPACITY as u64), "{ledger:?}");
}

/// Times a peer that reports a full ring.
fn refusing<P: Peer>(group: &mut Group<'_>, name: &str) {
    let (mut sender, _receiver) = P::open();
    let mut accepted = 0;
    while P::try_send(&mut sender, Seed::new(accepted, false)) {
        accepted += 1;
    }
    group.bench_function(format!("{name}/refuse"), |bencher| {
        bencher.iter(|| assert!(!P::try_send(&mut sender, black_box(Seed::new(accepted, false)))));
    });
}

fn close(group: &mut Group<'_>) {
    group.bench_function("buslane/close", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let (mut publisher, receiver) = full(Overflow::Close);
                let start = Instant::now();
                let published = publisher.publish(Event::new(BLOCK));
                total += start.elapsed();
                assert!(published.is_ok_and(|published| published.refused == 1));
                drop(receiver);
            }
            total
        });
    });
}

fn main() {
    pin_producer();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("overflow");
    group
        .throughput(Throughput::Elements(1))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    policy(&mut group, "drop_newest", Overflow::DropNewest);
    policy(&mut group, "drop_oldest", Overflow::DropOldest);
    policy(&mut group, "refuse", Overflow::Refuse);
    policy(&mut group, "block", Overflow::Block);
    policy(&mut group, "block_for", Overflow::BlockFor(Duration::from_millis(1)));
    close(&mut group);
    refusing::<Rtrb>(&mut group, "rtrb");
    refusing::<ArrayQueue>(&mut group, "array_queue");
    refusing::<Crossbeam>(&mut group, "crossbeam_channel");
    refusing::<Kanal>(&mut group, "kanal");
    refusing::<Flume>(&mut group, "flume");
    refusing::<Std>(&mut group, "std");
    refusing::<Thingbuf>(&mut group, "thingbuf");
    refusing::<TokioMpsc>(&mut group, "tokio_mpsc");
    let queue = crossbeam_queue::ArrayQueue::new(CAPACITY);
    group.bench_function("array_queue/drop_oldest", |bencher| {
        bencher.iter(|| black_box(queue.force_push(black_box(Event::new(1)))));
    });
    let (sender, _receiver) = tokio::sync::broadcast::channel(CAPACITY);
    group.bench_function("tokio_broadcast/drop_oldest", |bencher| {
        bencher.iter(|| sender.send(black_box(Event::new(1))).expect("there is a receiver"));
    });
    group.finish();
    criterion.final_summary();
}
