//! The combinators: what each does to an event on every kind of lane, and that its ledger balances.

mod batch;
mod catch_panic;
mod controls;
mod deadlines;
mod forwarding;
mod ignore;
mod inspect;
mod limit;
mod rate_limit;
mod retry;
mod sample;
mod settings;
mod tee;
mod timeout;

use buslane::{Channel, Overflow, Receiver, Sink, SinkExt};
use test_support::{describe, entry, invalid};

fn channel(capacity: usize, overflow: Overflow) -> (Channel<u64>, Receiver<u64>) {
    Channel::builder().capacity(capacity).overflow(overflow).build().unwrap()
}

#[test]
fn invalid_settings_are_typed_errors_of_the_queue() {
    use buslane::error::ConfigErrorKind::{Burst, Capacity, Rate, Sample};
    let sink = buslane::noop::<u64>;
    assert_eq!(invalid(sink().sample(0).queue(1)), Sample);
    for rate in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(invalid(sink().rate_limit(rate, 1).queue(1)), Rate, "{rate}");
    }
    assert_eq!(invalid(sink().rate_limit(1.0, 0).queue(1)), Burst);
    assert_eq!(invalid(sink().queue(0)), Capacity);
}

/// An event type that is `Send` but not `Sync`.
type Lonely = std::cell::Cell<u64>;

#[test]
fn combinators_are_send_and_sync_for_every_event() {
    use buslane::sink::Noop;
    fn check<T: Send + Sync>() {}
    check::<buslane::sink::CatchPanic<Lonely, Noop<Lonely>>>();
    check::<buslane::sink::Inspect<Lonely, Noop<Lonely>, ()>>();
    check::<buslane::sink::RateLimit<Lonely, Noop<Lonely>>>();
    check::<buslane::sink::Sample<Lonely, Noop<Lonely>>>();
    check::<buslane::sink::Tee<Lonely, Noop<Lonely>, Channel<Lonely>>>();
    check::<buslane::sink::Timeout<Lonely, Noop<Lonely>>>();
}

/// An event type that is not `Clone`.
struct Single;

#[test]
fn only_a_tee_needs_events_that_can_be_cloned() {
    let sink = buslane::noop::<Single>()
        .catch_panic()
        .timeout(std::time::Duration::ZERO)
        .inspect_fn(|_| ())
        .sample(1)
        .rate_limit(1.0, 1);
    assert!(sink.write(Single).is_ok());
    assert!(format!("{sink:?}").contains("Noop"));
}
