//! What each combinator adds to a publish, in nanoseconds an event, measured as in `publish`.
//!
//! In `lane` the combinator stands in front of a channel, whose lane it gates or stages; `lane/none` is the channel alone.
//! In `direct` it stands around a sink that adds the event up on the publishing thread; `direct/none` is that sink alone.

use benches::cost::{self, Cost, Meter, combinators};
use benches::machine::pin_producer;
use buslane::WaitStrategy;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::time::Duration;

fn contender<C: Cost>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn() -> C) {
    let mut meter = None;
    group.bench_function(name, |bencher| {
        let meter = meter.get_or_insert_with(|| Meter::new(make()));
        bencher.iter_custom(|events| meter.time(events));
    });
}

fn main() {
    pin_producer();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("combinators");
    group
        .throughput(Throughput::Elements(1))
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    contender(&mut group, "lane/none", || cost::lanes(1, WaitStrategy::nap()));
    contender(&mut group, "lane/filter", cost::filtered);
    contender(&mut group, "lane/filter_rejecting", combinators::filter_rejecting);
    contender(&mut group, "lane/map", combinators::map);
    contender(&mut group, "lane/inspect", combinators::inspect);
    contender(&mut group, "lane/sample", combinators::sample);
    contender(&mut group, "lane/rate_limit", combinators::rate_limit);
    contender(&mut group, "lane/timeout", combinators::timeout);
    contender(&mut group, "lane/tee", combinators::tee);
    contender(&mut group, "direct/none", combinators::direct);
    contender(&mut group, "direct/retry", combinators::retry);
    contender(&mut group, "direct/timeout", combinators::direct_timeout);
    contender(&mut group, "direct/catch_panic", combinators::catch_panic);
    group.finish();
    criterion.final_summary();
}
