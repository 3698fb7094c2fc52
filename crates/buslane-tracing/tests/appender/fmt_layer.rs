//! The writer below the layer of tracing-subscriber, as in a program that used tracing-appender.

use crate::{Recorder, balanced, close, log};
use tracing_subscriber::fmt::format::FmtSpan;

#[test]
fn events_of_the_fmt_layer_are_lines() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(log.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(user = 7, "logged in");
        tracing::warn!("disk at {} %", 91);
    });
    close(guard);
    let expected = [" INFO appender::fmt_layer: logged in user=7", " WARN appender::fmt_layer: disk at 91 %"];
    assert_eq!(recorder.lines(), expected);
    assert_eq!(balanced(&log).delivered, 2);
}

#[test]
fn events_of_nested_debug_are_lines() {
    /// Logs while it is formatted.
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            tracing::info!("inner");
            f.write_str("chatty")
        }
    }
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || tracing::info!(value = ?Chatty, "outer"));
    close(guard);
    // The event within an event is left out by tracing itself under a scoped subscriber.
    assert_eq!(recorder.lines().last().unwrap(), " INFO appender::fmt_layer: outer value=chatty");
    assert_eq!(balanced(&log).refused.reentrant, 0);
}
