//! How many events a second go from one publisher to one consumer on another processor.
//!
//! How it is measured, and why that is fair, is told in `benches::stream`: lossless (but for tokio, where only what got
//! through counts), room for 1024 events, 32 bytes read in full and summed, both threads pinned, both sides spinning
//! (but for the rows named `blocking` and for `buslane`'s `nap`), consumers alive over all measurements of a contender,
//! one contender at a time. An iteration is 16 384 events; iterations follow each other without a pause.
//!
//! On a virtual machine the distance between two processors changes within minutes, and with it everything here: compare
//! rows only with a ping beside them, as the program `ratios` does. This bench prints one at its start and its end.

use benches::machine::{Ping, pin_producer, placement, processors};
use benches::stream::{self, Meter, Stream};
use buslane::WaitStrategy;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::time::Duration;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// How many events make an iteration.
const EVENTS: u64 = 16 * benches::CAPACITY as u64;

/// Benches one contender; its meter proves it first, and checks it all along. Its threads end with it.
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
    contender(&mut group, "buslane/busy_spin", || stream::queue_trying(WaitStrategy::BusySpin));
    contender(&mut group, "buslane/busy_spin/block", || stream::queue(WaitStrategy::BusySpin));
    contender(&mut group, "buslane/nap/block", || stream::queue(WaitStrategy::nap()));
    contender(&mut group, "buslane/channel", stream::channel);
    contender(&mut group, "buslane/filter_queue_batch", stream::filter_queue_batch);
    contender(&mut group, "ring_spsc", stream::ring);
    contender(&mut group, "rtrb", stream::rtrb);
    contender(&mut group, "rtrb/chunks", stream::rtrb_chunks);
    contender(&mut group, "disruptor", stream::disruptor);
    contender(&mut group, "photon_ring_bounded", stream::photon);
    contender(&mut group, "kanal", stream::kanal);
    contender(&mut group, "kanal/blocking", stream::kanal_blocking);
    contender(&mut group, "crossbeam_channel", stream::crossbeam);
    contender(&mut group, "crossbeam_channel/blocking", stream::crossbeam_blocking);
    contender(&mut group, "tokio_broadcast/lossy", stream::tokio);
    group.finish();
}

/// Slices of 16 on the publishing side.
fn stream_slices(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream_slices");
    settings(&mut group);
    contender(&mut group, "buslane/16", || stream::queue_in_slices::<16>(WaitStrategy::BusySpin));
    contender(&mut group, "rtrb/16", stream::rtrb_in_slices::<16>);
    contender(&mut group, "disruptor/16", stream::disruptor_in_slices::<16>);
    group.finish();
}

fn print_ping() {
    let ping = Ping::new().measure();
    println!("the two processors are {ping:.0} ns apart, one way: {}", placement(ping));
}

fn main() {
    if processors().is_none() {
        println!("two processors are needed");
        return;
    }
    pin_producer();
    print_ping();
    let mut criterion = Criterion::default().configure_from_args();
    stream(&mut criterion);
    stream_slices(&mut criterion);
    criterion.final_summary();
    print_ping();
}
