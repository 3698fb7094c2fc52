//! The cost that each combinator adds to a publish, in nanoseconds per event, measured as in
//! `publish`.
//!
//! In `lane` the combinator is upstream of a channel, whose lane it filters or stages; `lane/none` is
//! the channel alone. In `direct` it wraps a sink that sums the events on the publishing thread;
//! `direct/none` is that sink alone.

use benches::cost::{self, bench, combinators};
use benches::machine::pin_producer;
use buslane::WaitStrategy;
use criterion::{Criterion, Throughput};
use std::time::Duration;

fn main() {
    pin_producer();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("combinators");
    group
        .throughput(Throughput::Elements(1))
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    bench(&mut group, "lane/none", || cost::lanes(1, WaitStrategy::nap()));
    bench(&mut group, "lane/filter", cost::filtered);
    bench(&mut group, "lane/filter_rejecting", combinators::filter_rejecting);
    bench(&mut group, "lane/map", combinators::map);
    bench(&mut group, "lane/inspect", combinators::inspect);
    bench(&mut group, "lane/sample", combinators::sample);
    bench(&mut group, "lane/rate_limit", combinators::rate_limit);
    bench(&mut group, "lane/timeout", combinators::timeout);
    bench(&mut group, "lane/tee", combinators::tee);
    bench(&mut group, "direct/none", combinators::direct);
    bench(&mut group, "direct/retry", combinators::retry);
    bench(&mut group, "direct/retry_by_key", combinators::retry_by_key);
    bench(&mut group, "direct/batch_64", combinators::batch);
    bench(&mut group, "direct/timeout", combinators::direct_timeout);
    bench(&mut group, "direct/catch_panic", combinators::catch_panic);
    group.finish();
    criterion.final_summary();
}
