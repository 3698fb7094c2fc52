//! Invalid settings, each with a typed error before any thread is started.

use buslane::retry::{Backoff, Breaker};
use buslane_nats::{
    JetStream, JetStreamBuilder, JetStreamSource, JetStreamSourceBuilder, NatsConfigErrorKind, Server,
};
use std::time::Duration;

fn sink() -> JetStreamBuilder<u32> {
    JetStream::builder("nats://127.0.0.1:9").subject("numbers").json()
}

fn source() -> JetStreamSourceBuilder<u32> {
    JetStreamSource::builder("nats://127.0.0.1:9", "NUMBERS", "sum").json()
}

#[test]
fn setting_of_a_sink_is_checked() {
    let kind = |builder: JetStreamBuilder<u32>| {
        let error = builder.connect_lazy().unwrap_err();
        assert!(error.to_string().contains("invalid") || error.to_string().contains("missing"), "{error}");
        error.kind()
    };
    assert!(sink().connect_lazy().is_ok());
    for subject in ["", "a b", "a.*", "a.>", "a..b", "a\r\nb"] {
        assert_eq!(kind(sink().subject(subject)), NatsConfigErrorKind::Subject, "{subject:?}");
    }
    let bare = || JetStream::<u32>::builder("nats://127.0.0.1:9");
    assert_eq!(kind(bare().json()), NatsConfigErrorKind::Subject);
    assert_eq!(kind(bare().subject("numbers")), NatsConfigErrorKind::Encoder);
    assert_eq!(kind(sink().stream("a b")), NatsConfigErrorKind::Name);
    assert_eq!(kind(sink().batch(0)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(sink().batch_bytes(0)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(sink().window(0)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(sink().window(1 << 20)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(sink().age(Duration::ZERO)), NatsConfigErrorKind::Duration);
    assert_eq!(kind(sink().ack_timeout(Duration::ZERO)), NatsConfigErrorKind::Duration);
    assert_eq!(kind(sink().retry(Backoff::default().max_attempts(0))), NatsConfigErrorKind::Retry);
    assert_eq!(kind(sink().retry(Breaker::new(0, Duration::from_secs(1)))), NatsConfigErrorKind::Retry);
}

#[test]
fn address_of_a_server_is_checked() {
    for url in ["", "not a url", "nats://", "nats://a b", "nats://host:port", "http//host"] {
        let error = JetStream::<u32>::builder(url).subject("a").json().connect_lazy().unwrap_err();
        assert_eq!(error.kind(), NatsConfigErrorKind::Url, "{url:?}");
        let error = JetStreamSource::<u32>::builder(url, "S", "c").json().build().unwrap_err();
        assert_eq!(error.kind(), NatsConfigErrorKind::Url, "{url:?}");
    }
    let server = Server::new("nats://127.0.0.1").reconnect(Backoff::default().jitter(2.0));
    let error = JetStream::<u32>::builder(server).subject("a").json().connect_lazy().unwrap_err();
    assert_eq!(error.kind(), NatsConfigErrorKind::Retry);
}

#[test]
fn setting_of_a_source_is_checked() {
    let kind = |builder: JetStreamSourceBuilder<u32>| builder.build().unwrap_err().kind();
    assert!(source().build().is_ok());
    assert!(source().filter("numbers.*.>").build().is_ok());
    for filter in ["", "a b", "a.>.b"] {
        assert_eq!(kind(source().filter(filter)), NatsConfigErrorKind::Subject, "{filter:?}");
    }
    let named = |stream: &str, consumer: &str| {
        JetStreamSource::builder("nats://127.0.0.1:9", stream, consumer).json()
    };
    assert_eq!(kind(named("a.b", "c")), NatsConfigErrorKind::Name);
    assert_eq!(kind(named("S", "")), NatsConfigErrorKind::Name);
    let bare = JetStreamSource::<u32>::builder("nats://127.0.0.1:9", "S", "c");
    assert_eq!(bare.build().unwrap_err().kind(), NatsConfigErrorKind::Encoder);
    assert_eq!(kind(source().fetch(0)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(source().fetch(5000)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(source().max_pending(0)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(source().acknowledge_every(0)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(source().acknowledge_every(2049)), NatsConfigErrorKind::Limit);
    assert_eq!(kind(source().ack_wait(Duration::from_millis(10))), NatsConfigErrorKind::Duration);
}
