//! The cost of sending one event to 1, 4, 16 and 64 consumers: nanoseconds per event, on the
//! publishing thread.
//!
//! As in `publish`, everything happens on one thread, and the consumers are drained and checked
//! between two timed blocks. There are two designs. One has a lane or channel for each consumer, so
//! its cost grows with their number: `buslane`, and the peers without a fan-out, in a loop over an
//! array of known length. The other has one ring that all consumers read, and its cost does not
//! grow: tokio's broadcast, async-broadcast, bus, photon-ring. The latter pay on the reading side;
//! tokio's and photon-ring's lose events of slow consumers, which no row here shows.

use benches::cost::{self, Cost, Meter};
use benches::machine::pin_producer;
use benches::peer::{BareRing, Crossbeam, Rtrb};
use buslane::WaitStrategy;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use std::time::Duration;

fn contender<C: Cost>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    consumers: usize,
    make: impl Fn() -> C,
) {
    let mut meter = None;
    group.bench_function(BenchmarkId::new(name, consumers), |bencher| {
        let meter = meter.get_or_insert_with(|| Meter::new(make()));
        bencher.iter_custom(|events| meter.time(events));
    });
}

fn fan_out<const N: usize>(group: &mut BenchmarkGroup<'_, WallTime>) {
    contender(group, "buslane", N, || cost::lanes(N, WaitStrategy::nap()));
    contender(group, "buslane_spin_park", N, || cost::lanes(N, WaitStrategy::SpinPark));
    contender(group, "ring_spsc", N, cost::peers::<BareRing, N>);
    contender(group, "rtrb", N, cost::peers::<Rtrb, N>);
    contender(group, "crossbeam_channel", N, cost::peers::<Crossbeam, N>);
    contender(group, "tokio_broadcast", N, || cost::tokio(N));
    contender(group, "async_broadcast", N, || cost::async_broadcast(N));
    contender(group, "bus", N, || cost::bus(N));
    contender(group, "photon_ring", N, || cost::photon(N));
    contender(group, "photon_ring_bounded", N, || cost::photon_bounded(N));
}

fn main() {
    pin_producer();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("fan_out");
    group
        .throughput(Throughput::Elements(1))
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    fan_out::<1>(&mut group);
    fan_out::<4>(&mut group);
    fan_out::<16>(&mut group);
    fan_out::<64>(&mut group);
    group.finish();
    criterion.final_summary();
}
