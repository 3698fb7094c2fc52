//! Bursts with real pauses between them, and a consumer that has parked meanwhile.
//!
//! A burst of 1, 10, 100 or 1000 events is followed by a pause of 10 µs, 100 µs or 1 ms, and so on.
//! Pauses are not timed: the publisher spins through them, starting when the burst was handled. In
//! `burst` the time runs from the first send until the last event was handled; in `burst_publisher`
//! it is the time for which the publisher was busy; both are per event. Threads are pinned. All
//! contenders wait by themselves, except those named `spinning`.

use benches::machine::{pin_producer, processors};
use benches::peer::{Crossbeam, Flume, Kanal, Rtrb, Std, Thingbuf, TokioMpsc};
use benches::route::lanes::{Queued, Received};
use benches::route::others::{Appender, Disruptor};
use benches::route::{Route, spinning, waiting};
use benches::stream::{self, Meter};
use benches::wake;
use buslane::WaitStrategy;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use std::time::Duration;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

const BURSTS: [u64; 4] = [1, 10, 100, 1000];
const PAUSES: [Duration; 3] =
    [Duration::from_micros(10), Duration::from_micros(100), Duration::from_millis(1)];

/// The timed part of a burst.
#[derive(Clone, Copy)]
enum Timed {
    Handled,
    Published,
}

/// Runs the bench of one contender; its meter checks it before and during the measurement.
fn contender<R: Route>(group: &mut Group<'_>, name: &str, timed: Timed, make: impl Fn() -> R) {
    for burst in BURSTS {
        for pause in PAUSES {
            let mut meter = None;
            group.throughput(Throughput::Elements(burst));
            group.bench_function(BenchmarkId::new(name, format!("{burst}/{pause:?}")), |bencher| {
                let meter = meter.get_or_insert_with(|| Meter::new(stream::pinned(make())));
                bencher.iter_custom(|bursts| {
                    let one = |_| {
                        wake::pause(pause);
                        match timed {
                            Timed::Handled => meter.transfer(burst).elapsed,
                            Timed::Published => meter.hand_over(burst),
                        }
                    };
                    (0..bursts).map(one).sum()
                });
            });
        }
    }
}

fn bursts(criterion: &mut Criterion, name: &str, timed: Timed) {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(250));
    contender(&mut group, "buslane/spinning", timed, || Queued::SPINNING);
    contender(&mut group, "buslane/nap", timed, || Queued::DEFAULT);
    contender(&mut group, "buslane/spin_park", timed, || Queued::waiting(WaitStrategy::SpinPark));
    contender(&mut group, "buslane/receiver", timed, || Received::DEFAULT);
    contender(&mut group, "rtrb/spinning", timed, spinning::<Rtrb>);
    contender(&mut group, "disruptor/spinning", timed, || Disruptor);
    contender(&mut group, "crossbeam_channel", timed, waiting::<Crossbeam>);
    contender(&mut group, "kanal", timed, waiting::<Kanal>);
    contender(&mut group, "flume", timed, waiting::<Flume>);
    contender(&mut group, "std", timed, waiting::<Std>);
    contender(&mut group, "thingbuf", timed, waiting::<Thingbuf>);
    contender(&mut group, "tokio_mpsc", timed, waiting::<TokioMpsc>);
    contender(&mut group, "tracing_appender", timed, || Appender);
    group.finish();
}

fn main() {
    if processors().is_none() {
        println!("this bench needs two processors");
        return;
    }
    pin_producer();
    let mut criterion = Criterion::default().configure_from_args();
    bursts(&mut criterion, "burst", Timed::Handled);
    bursts(&mut criterion, "burst_publisher", Timed::Published);
    criterion.final_summary();
}
