//! The small combinators: what each does to an event, on every way into it, and that its books balance.

mod catch_panic;
mod controls;
mod either;
#[expect(clippy::allow_attributes, reason = "an expectation fails in the file that uses every helper")]
#[allow(dead_code, reason = "each file uses some of the helpers")]
#[path = "../support/bus.rs"]
mod fixtures;
mod hands_on;
mod ignore;
mod inspect;
mod limit;
mod limits;
mod rate_limit;
mod sample;
#[expect(clippy::allow_attributes, reason = "an expectation fails in the file that uses every helper")]
#[allow(dead_code, reason = "each file uses some of the helpers")]
#[path = "../support/mod.rs"]
mod support;
mod tee;
mod timeout;

use buslane::{Channel, Overflow, Receiver, Sink, SinkExt};
use support::{describe, entry};

fn channel(capacity: usize, overflow: Overflow) -> (Channel<u64>, Receiver<u64>) {
    Channel::builder().capacity(capacity).overflow(overflow).build().unwrap()
}

#[test]
fn settings_that_cannot_be_are_typed_errors_at_construction() {
    use buslane::error::InvalidConfig::{InvalidRate, ZeroBurst, ZeroSample};
    let sink = buslane::noop::<u64>;
    assert_eq!(sink().sample(0).err(), Some(ZeroSample));
    for rate in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(sink().rate_limit(rate, 1).err(), Some(InvalidRate), "{rate}");
    }
    assert_eq!(sink().rate_limit(1.0, 0).err(), Some(ZeroBurst));
    for error in [ZeroSample, InvalidRate, ZeroBurst] {
        assert!(!error.to_string().is_empty());
    }
    for queue in [sink().limit(0), sink().limit_or_disconnect(0)] {
        assert!(matches!(
            queue,
            Err(buslane::error::SpawnError::Config(buslane::error::InvalidConfig::ZeroCapacity))
        ));
    }
}

/// Events that may go to another thread but not be shared with it.
type Lonely = std::cell::Cell<u64>;

#[test]
fn every_combinator_may_be_shared_between_threads_whatever_the_event() {
    use buslane::sink::Noop;
    fn check<T: Send + Sync>() {}
    check::<buslane::sink::CatchPanic<Lonely, Noop<Lonely>>>();
    check::<buslane::sink::Either<Noop<Lonely>, Channel<Lonely>>>();
    check::<buslane::sink::Inspect<Lonely, Noop<Lonely>, ()>>();
    check::<buslane::sink::RateLimit<Lonely, Noop<Lonely>>>();
    check::<buslane::sink::Sample<Lonely, Noop<Lonely>>>();
    check::<buslane::sink::Tee<Lonely, Noop<Lonely>, Channel<Lonely>>>();
    check::<buslane::sink::Timeout<Lonely, Noop<Lonely>>>();
}

/// Events that nobody can clone.
struct Single;

#[test]
fn only_a_tee_needs_events_that_can_be_cloned() {
    let sink = buslane::noop::<Single>()
        .catch_panic()
        .timeout(std::time::Duration::ZERO)
        .inspect_fn(|_| ())
        .sample(1)
        .and_then(|sink| sink.rate_limit(1.0, 1))
        .unwrap();
    assert!(sink.write(Single).is_ok());
    assert!(format!("{sink:?}").contains("Noop"));
}
