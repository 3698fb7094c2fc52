//! The throughput from one publisher to one consumer on another processor, in events per second.
//!
//! `benches::stream` documents the method, and why it is fair:
//! - lossless, except tokio, where only the delivered events count,
//! - room for 1024 events,
//! - 32 bytes read in full and summed,
//! - both threads pinned,
//! - both sides spinning, except the rows named `blocking` and `buslane`'s `nap`,
//! - consumers alive for all measurements of a contender,
//! - one contender at a time.
//!
//! An iteration is 16 384 events; iterations follow each other without a pause.
//!
//! On a virtual machine the distance between two processors changes within minutes, and with it
//! everything here: compare rows only together with a ping, as the program `compare` does. This
//! bench prints a ping at its start and its end.

use benches::machine::{Ping, pin_producer, placement, processors};
use benches::merge;
use benches::peer::{
    ArrayQueue, AsyncBroadcast, Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume, JonhooBus, Kanal,
    NexusMpsc, NexusSpsc, Rapidfire, Rtrb, Std, TOGETHER, Thingbuf, TokioMpsc, Waits, Yring,
};
use benches::route::lanes::{Queued, Received, Shared};
use benches::route::others::{Appender, Disruptor, DisruptorMulti};
use benches::route::{Route, spinning, waiting};
use benches::stream::{self, Meter, Stream};
use buslane::WaitStrategy;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use std::time::Duration;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// The number of events of an iteration.
const EVENTS: u64 = 16 * benches::CAPACITY as u64;

/// Runs the bench of one contender; its meter checks it before and during the measurement. The
/// contender's threads end with it.
fn contender<S: Stream>(group: &mut Group<'_>, name: &str, make: impl Fn() -> S) {
    let mut meter = None;
    group.bench_function(name, |bencher| {
        let meter = meter.get_or_insert_with(|| Meter::new(make()));
        bencher.iter_custom(|iterations| {
            let events = iterations * EVENTS;
            meter.transfer(events).time_for(events)
        });
    });
}

fn route<R: Route>(group: &mut Group<'_>, name: &str, make: impl Fn() -> R) {
    contender(group, name, || stream::pinned(make()));
}

/// Runs a peer while both sides spin, and with the peer's own waiting.
fn peer<P: Waits>(group: &mut Group<'_>, name: &str) {
    route(group, name, spinning::<P>);
    route(group, &format!("{name}/blocking"), waiting::<P>);
}

fn settings(group: &mut Group<'_>) {
    group
        .throughput(Throughput::Elements(EVENTS))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
}

fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    settings(&mut group);
    route(&mut group, "buslane/busy_spin", || Queued::SPINNING);
    route(&mut group, "buslane/busy_spin/block", || Queued::waiting(WaitStrategy::BusySpin));
    route(&mut group, "buslane/nap/block", || Queued::DEFAULT);
    route(&mut group, "buslane/receiver/block", || Received::DEFAULT);
    contender(&mut group, "buslane/channel", stream::channel);
    contender(&mut group, "buslane/filter_queue_batch", stream::filter_queue_batch);
    contender(&mut group, "ring_spsc", stream::ring);
    route(&mut group, "rtrb", spinning::<Rtrb>);
    contender(&mut group, "rtrb/chunks", stream::rtrb_chunks);
    route(&mut group, "nexus_queue_spsc", spinning::<NexusSpsc>);
    route(&mut group, "nexus_queue_mpsc", spinning::<NexusMpsc>);
    route(&mut group, "yring", spinning::<Yring>);
    contender(&mut group, "yring/windows", stream::yring_windows);
    peer::<Fanring<EACH>>(&mut group, "fanring");
    contender(&mut group, "fanring/batches", stream::fanring_batches);
    peer::<CrossfireSpsc>(&mut group, "crossfire_spsc");
    peer::<Crossfire>(&mut group, "crossfire_mpsc");
    peer::<Rapidfire>(&mut group, "rapidfire");
    route(&mut group, "disruptor", || Disruptor);
    route(&mut group, "disruptor_multi", || DisruptorMulti);
    contender(&mut group, "photon_ring_bounded", stream::photon);
    peer::<Kanal>(&mut group, "kanal");
    peer::<Crossbeam>(&mut group, "crossbeam_channel");
    peer::<Std>(&mut group, "std");
    peer::<Flume>(&mut group, "flume");
    peer::<Thingbuf>(&mut group, "thingbuf");
    peer::<TokioMpsc>(&mut group, "tokio_mpsc");
    peer::<AsyncBroadcast>(&mut group, "async_broadcast");
    peer::<JonhooBus>(&mut group, "bus");
    route(&mut group, "array_queue", spinning::<ArrayQueue>);
    route(&mut group, "tracing_appender/blocking", || Appender);
    contender(&mut group, "tokio_broadcast/lossy", stream::tokio);
    group.finish();
}

/// Slices of 16 on the publishing side.
fn stream_slices(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream_slices");
    settings(&mut group);
    contender(&mut group, "buslane/16", || stream::queue_in_slices::<16>(WaitStrategy::BusySpin));
    contender(&mut group, "rtrb/16", stream::rtrb_in_slices::<16>);
    contender(&mut group, "yring/16", stream::yring_in_slices::<16>);
    contender(&mut group, "disruptor/16", stream::disruptor_in_slices::<16>);
    group.finish();
}

/// One, two and four publishers into one consumer; no thread is pinned, and all wait by themselves,
/// except disruptor's.
fn merged(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream_publishers");
    group.throughput(Throughput::Elements(1)).sample_size(10).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(1));
    for publishers in [1, 2, 4] {
        merge(&mut group, "buslane/queue", publishers, || Queued::DEFAULT);
        merge(&mut group, "buslane/receiver", publishers, || Received::DEFAULT);
        merge(&mut group, "buslane/bus_publish", publishers, || Shared);
        merge(&mut group, "crossfire", publishers, waiting::<Crossfire>);
        merge(&mut group, "fanring", publishers, waiting::<Fanring<EACH>>);
        merge(&mut group, "fanring_1024_together", publishers, waiting::<Fanring<TOGETHER>>);
        merge(&mut group, "crossbeam_channel", publishers, waiting::<Crossbeam>);
        merge(&mut group, "kanal", publishers, waiting::<Kanal>);
        merge(&mut group, "flume", publishers, waiting::<Flume>);
        merge(&mut group, "thingbuf", publishers, waiting::<Thingbuf>);
        merge(&mut group, "std", publishers, waiting::<Std>);
        merge(&mut group, "tokio_mpsc", publishers, waiting::<TokioMpsc>);
        merge(&mut group, "disruptor_multi", publishers, || DisruptorMulti);
    }
    group.finish();
}

/// Measures one run of 30 ms per sample, whatever criterion requests.
fn merge<R: Route>(group: &mut Group<'_>, name: &str, publishers: usize, make: impl Fn() -> R) {
    group.bench_function(BenchmarkId::new(name, publishers), |bencher| {
        bencher.iter_custom(|events| {
            let merged = merge::run(make(), publishers, Duration::from_millis(30));
            merged.elapsed.mul_f64(events as f64 / merged.handled as f64)
        });
    });
}

fn print_ping() {
    let ping = Ping::new().measure();
    println!("the two processors are {ping:.0} ns apart, one way: {}", placement(ping));
}

fn main() {
    if processors().is_none() {
        println!("this bench needs two processors");
        return;
    }
    pin_producer();
    print_ping();
    let mut criterion = Criterion::default().configure_from_args();
    stream(&mut criterion);
    stream_slices(&mut criterion);
    merged(&mut criterion);
    criterion.final_summary();
    print_ping();
}
