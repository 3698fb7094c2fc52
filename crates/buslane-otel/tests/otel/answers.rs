//! What each answer of an endpoint, and each fault, does to the events: delivered, tried again, or
//! lost with a reason.

use crate::probe::Probe;
use crate::receiver::{Receiver, Reply, client, exporter, exporter_within, hang_up, unused_address};
use crate::{PATIENCE, SECOND, chain, fates, numbered, numbers, publish_all, scope};
use buslane::testing::{ManualClock, assert_sink_contract};
use buslane::{Sink, SinkExt, WriteError};
use buslane_otel::opentelemetry_sdk::error::OTelSdkError;
use buslane_otel::opentelemetry_sdk::logs::{InMemoryLogExporter, LogExporter};
use buslane_otel::{ExportError, ExportRetry, LogSink, ObservedClient};
use opentelemetry_otlp::{RetryPolicy, WithExportConfig, WithHttpConfig};
use std::future::ready;
use std::time::Duration;
use test_support::assert_balanced;
use test_support::limit::scaled;

#[track_caller]
fn failure<E>(result: Result<(), WriteError<Vec<E>>>) -> (Vec<E>, ExportError) {
    let Err(WriteError::Failed { event, source }) = result else { panic!("the write did not fail") };
    (event, source.downcast_ref::<ExportError>().expect("an export error").clone())
}

#[test]
fn sink_keeps_the_contract() {
    assert_sink_contract(
        || LogSink::new(InMemoryLogExporter::default(), scope(), |_: &Vec<u64>, _| ()),
        |event| vec![vec![event]],
    );
}

#[test]
fn partial_success_counts_rejected_events() {
    let receiver = Receiver::start([Reply::Partial(3, "too old"), Reply::Partial(0, "a warning")]);
    let (chain, clock) = chain(exporter(receiver.address()), 5);
    let state = publish_all(chain, 10);
    assert_eq!(fates(&state), (7, 3));
    assert_eq!((receiver.requests().len(), clock.waits()), (2, 0), "rejected records are not sent again");
    let error = state.last_error.unwrap();
    assert!(error.ends_with("the OTLP endpoint rejected 3 records: too old"), "{error}");
}

#[test]
fn more_rejected_than_sent_counts_all() {
    let receiver = Receiver::start([Reply::Partial(1000, ""), Reply::Partial(-1, "")]);
    let (chain, _) = chain(exporter(receiver.address()), 5);
    assert_eq!(fates(&publish_all(chain, 10)), (5, 5));
}

#[test]
fn final_refusal_is_not_retried() {
    for status in [400, 401, 404, 413, 500, 501] {
        let receiver = Receiver::start([Reply::Status(status)]);
        let (chain, clock) = chain(exporter(receiver.address()), 4);
        let state = publish_all(chain, 8);
        assert_eq!(fates(&state), (4, 4), "{status}");
        assert_eq!((receiver.requests().len(), clock.waits()), (2, 0));
        assert!(state.last_error.unwrap().contains(&format!("answered with {status}")));
        assert_eq!(numbers(&receiver), [4, 5, 6, 7]);
    }
}

#[test]
fn throttling_waits_as_long_as_asked() {
    let replies = [Reply::After(429, "10"), Reply::After(503, "0"), Reply::Accept];
    let receiver = Receiver::start(replies);
    let (chain, clock) = chain(exporter(receiver.address()), 4);
    let state = publish_all(chain, 4);
    assert_eq!(fates(&state), (4, 0));
    assert_eq!((clock.passed(), clock.waits()), (11 * SECOND, 2));
    assert_eq!(state.retries[0].retried, 2);

    let replies = [Reply::After(429, "999999999"), Reply::After(429, "Fri, 31 Dec 1999 23:59:59 GMT")];
    let receiver = Receiver::start(replies);
    let (chain, clock) = self::chain(exporter(receiver.address()), 4);
    assert_eq!(fates(&publish_all(chain, 4)), (4, 0));
    assert_eq!(clock.passed(), 61 * SECOND, "years count as a minute, and a date is ignored");
}

#[test]
fn repeated_throttling_is_bounded_in_all() {
    let receiver = Receiver::start([(); 3].map(|()| Reply::After(429, "40")));
    let (chain, clock) = chain(exporter(receiver.address()), 4);
    assert_eq!(fates(&publish_all(chain, 4)), (0, 4));
    assert_eq!(clock.passed(), 60 * SECOND, "forty seconds, and what is left of a minute");

    // With the default settings, the last attempt is a minute after the first one.
    let receiver = Receiver::start([(); 100].map(|()| Reply::After(503, "45")));
    let clock = ManualClock::hurrying();
    let sink = LogSink::new(exporter(receiver.address()), scope(), numbered);
    let retry = sink.retry(ExportRetry::default()).clock(clock.clone());
    let queue = retry.batch(4).queue(64).unwrap();
    (0..4).for_each(|event| queue.write(event).unwrap());
    assert!(queue.close_timeout(PATIENCE).is_done());
    assert_eq!(fates(&queue.state()), (0, 4));
    assert!(clock.passed() <= 60 * SECOND, "{:?}", clock.passed());
}

#[test]
fn unavailable_endpoint_is_retried_to_the_limit() {
    let receiver = Receiver::start([502, 503, 504].map(Reply::Status));
    let (chain, _) = chain(exporter(receiver.address()), 4);
    let state = publish_all(chain, 8);
    assert_eq!(fates(&state), (4, 4), "three attempts with the first batch, one with the second");
    assert_eq!(receiver.requests().len(), 4);
    assert_eq!(state.retries[0].given_up, 1);
}

#[test]
fn malformed_answer_of_success_delivers() {
    let receiver = Receiver::start([Reply::Bytes(b"\xff\xff\xff"), Reply::Bytes(b"<html>")]);
    let (chain, _) = chain(exporter(receiver.address()), 4);
    assert_eq!(fates(&publish_all(chain, 8)), (8, 0));
}

#[test]
fn silent_endpoint_times_out_and_is_retried() {
    let receiver = Receiver::start([Reply::Hang]);
    // Long enough for the second request on a busy machine, or the third.
    let (chain, _) = chain(exporter_within(receiver.address(), scaled(SECOND)), 4);
    let state = publish_all(chain, 4);
    assert_eq!(fates(&state), (4, 0));
    assert!(state.retries[0].retried >= 1);
}

#[test]
fn refused_connection_is_counted_and_told() {
    let (chain, clock) = chain(exporter(unused_address()), 4);
    let state = publish_all(chain, 8);
    assert_eq!(fates(&state), (0, 8));
    assert_eq!((clock.waits(), state.retries[0].given_up), (4, 2));
    assert!(state.last_error.unwrap().contains("the exporter failed"));
}

#[test]
fn receiver_that_comes_back_gets_the_events() {
    let (address, closed) = hang_up(2);
    let sink = LogSink::new(exporter(address), scope(), crate::numbered);
    for _ in 0..2 {
        let (batch, error) = failure(sink.write(vec![1, 2]));
        assert_eq!((batch, error.is_retryable()), (vec![1, 2], true));
    }
    closed.join().unwrap();
    let (_, error) = failure(sink.write(vec![1, 2]));
    assert!(error.is_retryable());
    let receiver = Receiver::at(address, []);
    sink.write(vec![1, 2]).unwrap();
    assert_eq!(numbers(&receiver), [1, 2]);
}

#[test]
fn events_that_cannot_be_mapped_are_left_out() {
    let map = |event: &u64, entry: &mut buslane_otel::LogEntry<'_>| {
        assert!(!event.is_multiple_of(3), "a multiple of three");
        crate::numbered(event, entry);
    };
    let receiver = Receiver::start([Reply::Status(503), Reply::Accept, Reply::Partial(1, "")]);
    let sink = LogSink::new(exporter(receiver.address()), scope(), map);
    let events: Vec<u64> = (0..8).collect();
    let (batch, error) = failure(sink.write(events.clone()));
    assert_eq!((batch, error.is_retryable()), (events.clone(), true), "a failed export returns all events");
    assert_eq!(failure(sink.write(events.clone())), (vec![0, 3, 6], ExportError::Unmapped));
    let (batch, error) = failure(sink.write(events));
    assert_eq!(batch, [0, 3, 6, 7], "one record was rejected, too");
    assert!(matches!(error, ExportError::Rejected { records: 1, .. }), "{error}");
    assert_eq!(failure(sink.write(vec![3])), (vec![3], ExportError::Unmapped));
    assert_eq!(receiver.requests().len(), 3, "a batch without records sends no request");
}

#[test]
fn unobserved_client_hides_the_answers() {
    let replies = [Reply::Status(400), Reply::Partial(3, ""), Reply::Accept];
    let receiver = Receiver::start(replies);
    let endpoint = format!("http://{}/v1/logs", receiver.address());
    let builder = opentelemetry_otlp::LogExporter::builder().with_http().with_endpoint(endpoint);
    let builder = builder.with_retry_policy(RetryPolicy::disabled());
    let exporter = builder.with_http_client(client(PATIENCE)).build().unwrap();
    let (chain, clock) = chain(exporter, 4);
    assert_eq!(fates(&publish_all(chain, 4)), (4, 0), "the refusal is retried, and the rejection unknown");
    assert_eq!((clock.waits(), receiver.requests().len()), (1, 2));
}

#[test]
fn last_answer_to_a_retrying_exporter_counts() {
    let receiver = Receiver::start([Reply::Status(503), Reply::Partial(1, "old")]);
    let endpoint = format!("http://{}/v1/logs", receiver.address());
    let builder = opentelemetry_otlp::LogExporter::builder().with_http().with_endpoint(endpoint);
    let policy = RetryPolicy::default().with_initial_delay(Duration::ZERO).with_max_jitter(Duration::ZERO);
    let builder = builder.with_retry_policy(policy).with_timeout(PATIENCE);
    let exporter = builder.with_http_client(ObservedClient::new(client(PATIENCE))).build().unwrap();
    let (chain, clock) = chain(exporter, 4);
    assert_eq!(fates(&publish_all(chain, 4)), (3, 1));
    assert_eq!((clock.waits(), receiver.requests().len()), (0, 2));
}

#[test]
fn errors_of_the_exporter_keep_their_kind() {
    fn sink(error: impl Fn() -> OTelSdkError + Send + Sync) -> LogSink<u64, impl LogExporter> {
        LogSink::new(Probe(move |_| ready(Err(error()))), scope(), crate::numbered)
    }
    let timeout = sink(|| OTelSdkError::Timeout(Duration::from_secs(1)));
    assert_eq!(failure(timeout.write(vec![1])).1, ExportError::Timeout);
    let long = sink(|| OTelSdkError::InternalFailure("x".repeat(1000)));
    assert_eq!(failure(long.write(vec![1])).1, ExportError::Exporter("x".repeat(200)));
    let ended = sink(|| OTelSdkError::AlreadyShutdown);
    assert!(ended.write(vec![1]).is_err_and(|error| error.is_closed()));
    assert!(ended.reports_closed());
}

#[test]
fn panic_of_the_exporter_loses_one_batch() {
    let exporter = Probe(|records: usize| {
        assert_ne!(records, 4, "a batch of four");
        ready(Ok(()))
    });
    let (chain, _) = chain(exporter, 4);
    let state = publish_all(chain, 10);
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.delivered, ledger.dropped.panicked), (2, 8));
}
