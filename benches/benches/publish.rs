//! The cost of a publish for the publishing thread, in nanoseconds per event: single-threaded,
//! consumer awake, always room.
//!
//! `benches::cost` documents the method, and why it is fair. All contenders have room for 1024
//! events, carry the same 32 bytes, and are drained and checked between two timed blocks of 512.
//! Peers are called through their cheapest call that does not wait. The channels of `buslane` have
//! the lanes that queues have. `Nap` represents all strategies that need no fence instruction in a
//! publish, `SpinPark` those that do.
//!
//! Cache misses on lines that a consumer on another processor has touched do not show here, but in
//! `stream`.

use benches::cost::{self, bench, moved};
use benches::event::Payload;
use benches::machine::pin_producer;
use benches::peer::{
    ArrayQueue, BareRing, Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume, Kanal, NexusMpsc,
    NexusSpsc, Rapidfire, Rtrb, Std, Thingbuf, TokioMpsc, Yring,
};
use buslane::WaitStrategy;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::sync::Arc;
use std::time::Duration;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn settings(group: &mut Group<'_>) {
    group
        .throughput(Throughput::Elements(1))
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    settings(&mut group);
    bench(&mut group, "base", cost::base);
    for channels in [0, 1, 2, 4, 16] {
        let name = format!("buslane/nap/{channels}");
        bench(&mut group, &name, || cost::lanes(channels, WaitStrategy::nap()));
    }
    for channels in [1, 16] {
        let name = format!("buslane/spin_park/{channels}");
        bench(&mut group, &name, || cost::lanes(channels, WaitStrategy::SpinPark));
    }
    bench(&mut group, "buslane/poll/1", || cost::lanes(1, WaitStrategy::poll()));
    bench(&mut group, "buslane/filter/1", cost::filtered);
    bench(&mut group, "buslane/with_local/1", cost::local);
    bench(&mut group, "buslane/bus_publish/1", || cost::bus_shared(1));
    bench(&mut group, "ring_spsc", cost::peer::<BareRing>);
    bench(&mut group, "rtrb", cost::peer::<Rtrb>);
    bench(&mut group, "nexus_queue_spsc", cost::peer::<NexusSpsc>);
    bench(&mut group, "nexus_queue_mpsc", cost::peer::<NexusMpsc>);
    bench(&mut group, "yring", cost::peer::<Yring>);
    bench(&mut group, "fanring", cost::peer::<Fanring<EACH>>);
    bench(&mut group, "crossfire_spsc", cost::peer::<CrossfireSpsc>);
    bench(&mut group, "crossfire_mpsc", cost::peer::<Crossfire>);
    bench(&mut group, "rapidfire", cost::peer::<Rapidfire>);
    bench(&mut group, "disruptor", || cost::disruptor(1));
    bench(&mut group, "disruptor_multi", cost::disruptor_multi);
    bench(&mut group, "photon_ring", || cost::photon(1));
    bench(&mut group, "photon_ring_bounded", || cost::photon_bounded(1));
    bench(&mut group, "kanal", cost::peer::<Kanal>);
    bench(&mut group, "array_queue", cost::peer::<ArrayQueue>);
    bench(&mut group, "crossbeam_channel", cost::peer::<Crossbeam>);
    bench(&mut group, "std", cost::peer::<Std>);
    bench(&mut group, "flume", cost::peer::<Flume>);
    bench(&mut group, "thingbuf", cost::peer::<Thingbuf>);
    bench(&mut group, "tokio_mpsc", cost::peer::<TokioMpsc>);
    bench(&mut group, "tokio_broadcast", || cost::tokio(1));
    bench(&mut group, "async_broadcast", || cost::async_broadcast(1));
    bench(&mut group, "bus", || cost::bus(1));
    bench(&mut group, "tracing_appender", cost::appender);
    group.finish();
}

/// Slices, per event; the figure includes the creation of the slice.
fn publish_slices(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish_slices");
    settings(&mut group);
    bench(&mut group, "buslane/16", cost::lanes_in_slices::<16>);
    bench(&mut group, "buslane/64", cost::lanes_in_slices::<64>);
    bench(&mut group, "rtrb/16", cost::rtrb_in_slices::<16>);
    bench(&mut group, "rtrb/64", cost::rtrb_in_slices::<64>);
    bench(&mut group, "yring/16", cost::yring_in_slices::<16>);
    bench(&mut group, "yring/64", cost::yring_in_slices::<64>);
    bench(&mut group, "photon_ring/16", cost::photon_in_slices::<16>);
    bench(&mut group, "photon_ring/64", cost::photon_in_slices::<64>);
    bench(&mut group, "disruptor/16", cost::disruptor_in_slices::<16>);
    bench(&mut group, "disruptor/64", cost::disruptor_in_slices::<64>);
    group.finish();
}

/// Payloads of other sizes, created before the timed part and moved in; the figure includes the
/// move.
fn publish_sizes<E: Payload>(criterion: &mut Criterion, size: &str) {
    let mut group = criterion.benchmark_group(format!("publish_size/{size}"));
    settings(&mut group);
    bench(&mut group, "buslane", moved::lane::<E>);
    bench(&mut group, "rtrb", moved::rtrb::<E>);
    bench(&mut group, "crossbeam_channel", moved::crossbeam::<E>);
    bench(&mut group, "tokio_broadcast", || moved::tokio::<E>(1));
    group.finish();
}

fn main() {
    pin_producer();
    let mut criterion = Criterion::default().configure_from_args();
    publish(&mut criterion);
    publish_slices(&mut criterion);
    publish_sizes::<[u64; 1]>(&mut criterion, "8");
    publish_sizes::<[u64; 4]>(&mut criterion, "32");
    publish_sizes::<[u64; 8]>(&mut criterion, "64");
    publish_sizes::<[u64; 32]>(&mut criterion, "256");
    publish_sizes::<Arc<[u8]>>(&mut criterion, "arc");
    criterion.final_summary();
}
