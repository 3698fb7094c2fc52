//! The cost of a publisher that is made, used once and dropped, with one channel or four.
//!
//! One thread makes and drops the producers of a block of 64 events, which is timed, and then drains
//! all receivers and compares every event with the published one, which is not timed. So there is
//! always room, and no consumer is woken.
//!
//! - `buslane/publisher`: `Bus::publisher`, a publish, the drop. The bus passes the lanes of one
//!   publisher to the next one.
//! - `buslane/without_kept_lanes`: the same on a bus that keeps no lanes, so that each publisher
//!   makes its own.
//! - `buslane/bus`: `Bus::publish`, which needs no publisher.
//!
//! The peers: a clone of the sender of each channel, a send, the drop. tokio's broadcast has one
//! sender for all receivers. Rings with one producer are not here: their producer has no successor.

use benches::CAPACITY;
use benches::event::Event;
use benches::machine::pin_producer;
use buslane::{Bus, Receiver};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::time::{Duration, Instant};

const BLOCK: u64 = 64;
const OPEN: &str = "the receivers are there";

/// Times `publish` with each event, and passes what `drain` takes out of each receiver to the check.
fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    receivers: usize,
    mut publish: impl FnMut(Event),
    mut drain: impl FnMut(usize) -> Option<Event>,
) {
    let mut next = 0;
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let (mut left, mut total) = (iterations, Duration::ZERO);
            while left > 0 {
                let block = next..next + left.min(BLOCK);
                let start = Instant::now();
                block.clone().for_each(|seq| publish(Event::new(seq)));
                total += start.elapsed();
                for receiver in 0..receivers {
                    let mut seen = 0;
                    while let Some(event) = drain(receiver) {
                        assert_eq!(
                            event.sum(),
                            Event::new(block.start + seen).sum(),
                            "{name}: an event changed"
                        );
                        seen += 1;
                    }
                    assert_eq!(seen, block.end - block.start, "{name}: an event is missing");
                }
                left -= block.end - block.start;
                next = block.end;
            }
            total
        });
    });
}

fn on_bus(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    channels: usize,
    bus: &Bus<Event>,
    publish: impl Fn(&Bus<Event>, Event) -> usize,
) {
    let mut receivers: Vec<Receiver<Event>> =
        (0..channels).map(|_| bus.subscribe_lossy(CAPACITY).expect(OPEN)).collect();
    bench(
        group,
        name,
        channels,
        |event| assert_eq!(publish(bus, event), channels),
        |receiver| receivers[receiver].try_recv().ok(),
    );
}

/// A peer with a channel for each receiver.
fn senders<S: Clone, R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    channels: usize,
    make: impl Fn() -> (S, R),
    send: impl Fn(&S, Event),
    receive: impl Fn(&mut R) -> Option<Event>,
) {
    let (senders, mut receivers): (Vec<S>, Vec<R>) = (0..channels).map(|_| make()).unzip();
    bench(
        group,
        name,
        channels,
        |event| senders.iter().for_each(|sender| send(&sender.clone(), event)),
        |receiver| receive(&mut receivers[receiver]),
    );
}

fn main() {
    pin_producer();
    let mut criterion = Criterion::default().configure_from_args();
    for channels in [1, 4] {
        let mut group = criterion.benchmark_group(format!("short_lived/{channels}"));
        group
            .throughput(Throughput::Elements(1))
            .sample_size(20)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(600));
        let by_publisher = |bus: &Bus<Event>, event| bus.publisher().publish(event).expect(OPEN).accepted;
        on_bus(&mut group, "buslane/publisher", channels, &Bus::new(), by_publisher);
        let none = Bus::builder().kept_publishers(0).build();
        on_bus(&mut group, "buslane/without_kept_lanes", channels, &none, by_publisher);
        on_bus(&mut group, "buslane/bus", channels, &Bus::new(), |bus, event| {
            bus.publish(event).expect(OPEN).accepted
        });
        senders(
            &mut group,
            "crossbeam",
            channels,
            || crossbeam_channel::bounded(CAPACITY),
            |sender, event| sender.try_send(event).expect(OPEN),
            |receiver| receiver.try_recv().ok(),
        );
        senders(
            &mut group,
            "std",
            channels,
            || std::sync::mpsc::sync_channel(CAPACITY),
            |sender, event| sender.try_send(event).expect(OPEN),
            |receiver| receiver.try_recv().ok(),
        );
        senders(
            &mut group,
            "flume",
            channels,
            || flume::bounded(CAPACITY),
            |sender, event| sender.try_send(event).expect(OPEN),
            |receiver| receiver.try_recv().ok(),
        );
        senders(
            &mut group,
            "tokio_mpsc",
            channels,
            || tokio::sync::mpsc::channel(CAPACITY),
            |sender, event| sender.try_send(event).expect(OPEN),
            |receiver| receiver.try_recv().ok(),
        );
        let (sender, first) = tokio::sync::broadcast::channel(CAPACITY);
        let mut receivers = vec![first];
        receivers.resize_with(channels, || sender.subscribe());
        bench(
            &mut group,
            "tokio_broadcast",
            channels,
            |event| assert_eq!(sender.clone().send(event).expect(OPEN), channels),
            |receiver| receivers[receiver].try_recv().ok(),
        );
        group.finish();
    }
    criterion.final_summary();
}
