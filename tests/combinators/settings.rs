//! Invalid settings: the call that puts a chain to use reports them, and an unchecked sink refuses
//! every event.

use buslane::error::{AddError, ConfigError, ConfigErrorKind, SpawnError};
use buslane::retry::{Attempt, Backoff, Next, RetryPolicy};
use buslane::sink::lane::Lanes;
use buslane::stats::SinkState;
use buslane::{Bus, Channel, Queue, Sink, SinkExt, WriteError, noop};
use std::sync::Arc;
use std::time::Duration;
use test_support::{assert_balanced, invalid};

type Boxed = Arc<dyn Sink<u32>>;

/// Returns one sink for each setting, with an invalid value of it.
fn sinks() -> Vec<(Boxed, ConfigErrorKind)> {
    let retry = || noop::<u32>().retry(Backoff::default().factor(0.0));
    vec![
        (Arc::new(noop().batch(0)), ConfigErrorKind::BatchSize),
        (Arc::new(noop().batch(1).bytes(0, |_: &u32| 1)), ConfigErrorKind::BatchBytes),
        (Arc::new(noop().batch(1).age(Duration::ZERO)), ConfigErrorKind::BatchAge),
        (Arc::new(noop().sample(0)), ConfigErrorKind::Sample),
        (Arc::new(noop().rate_limit(f64::NAN, 1)), ConfigErrorKind::Rate),
        (Arc::new(noop().rate_limit(1.0, 0)), ConfigErrorKind::Burst),
        (Arc::new(retry()), ConfigErrorKind::Factor),
        (
            Arc::new(noop().retry_by_key(|n: &u32| *n, Backoff::default()).capacity(0)),
            ConfigErrorKind::Capacity,
        ),
    ]
}

#[test]
fn bus_and_queue_report_invalid_settings() {
    for (sink, kind) in sinks() {
        let bus = Bus::new();
        let refused = bus.add(sink.clone());
        assert!(matches!(refused, Err(AddError::Config(error)) if error.kind() == kind), "{kind:?}");
        assert!(!bus.has_sinks());
        assert_eq!(invalid(bus.add_named("name", sink.clone())), kind);
        assert_eq!(invalid(sink.clone().queue(8)), kind);
        assert_eq!(invalid(Queue::builder().workers(2).spawn_each_sink(|_| sink.clone())), kind);
    }
}

#[test]
fn chain_reports_settings_of_its_inner_sinks() {
    for (sink, kind) in sinks() {
        let inner = sink.clone();
        let chains: [Boxed; 8] = [
            Arc::new(inner.clone().filter(|_: &u32| true)),
            Arc::new(inner.clone().map(|n: &u32| *n)),
            Arc::new(inner.clone().inspect_fn(|_: &u32| ())),
            Arc::new(noop().tee(inner.clone())),
            Arc::new(inner.clone().tee(noop())),
            Arc::new(inner.clone().timeout(Duration::ZERO).catch_panic()),
            Arc::new(inner.clone().sample(1).rate_limit(1e9, 8)),
            Arc::new(inner.retry(Backoff::default())),
        ];
        for (at, chain) in chains.into_iter().enumerate() {
            assert_eq!(invalid(chain.queue(8)), kind, "chain {at}");
        }
    }
}

#[test]
fn unchecked_sink_refuses_every_event() {
    for (sink, kind) in sinks() {
        let Err(WriteError::Failed { event: 7, source }) = sink.write(7) else {
            panic!("{kind:?}: the sink accepted an event")
        };
        let error = source.downcast_ref::<ConfigError>().expect("the source is the configuration error");
        assert_eq!(error.kind(), kind);
        assert!(sink.lane().is_ok_and(|lane| lane.is_none()) && !sink.has_lanes(), "{kind:?}");
        let mut state = SinkState::default();
        sink.describe(&mut state);
        assert_balanced(&state);
        assert_eq!((state.ledger.offered, state.ledger.refused.failed), (1, 1), "{kind:?}");
    }
}

#[test]
fn invalid_stage_over_a_channel_has_no_lane() {
    let (channel, _receiver) = Channel::<u32>::lossy(8).unwrap();
    let stage = channel.sample(0);
    assert!(stage.lane().unwrap().is_none() && !stage.has_lanes());
    assert!(stage.write(1).is_err());
}

#[test]
fn replaced_setting_is_not_validated() {
    let batch = noop::<Vec<u32>>().batch(1).age(Duration::ZERO).age(Duration::from_secs(1));
    assert!(batch.queue(8).is_ok());
    let backoff = Backoff::default().jitter(7.0).max_attempts(0).jitter(0.5).max_attempts(3);
    assert!(backoff.validate().is_ok());
    let keyed = noop().retry_by_key(|n: &u32| *n, backoff).capacity(0).capacity(8);
    assert!(keyed.queue(8).is_ok());
}

#[test]
fn policy_that_panics_in_validate_is_an_error() {
    struct Panics;
    impl<E> RetryPolicy<E> for Panics {
        fn failure(&self, _event: &E, _attempt: &Attempt<'_>) -> Next {
            Next::GiveUp
        }
        fn validate(&self) -> Result<(), ConfigError> {
            panic!("panic requested by the test")
        }
    }
    let refused = noop::<u32>().retry(Panics).queue(8);
    assert!(matches!(&refused, Err(SpawnError::Config(error)) if error.kind() == ConfigErrorKind::Other));
    assert!(refused.is_err_and(|error| error.to_string().contains("validate")));
}
