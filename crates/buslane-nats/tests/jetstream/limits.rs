//! The limits of a batch and of what is in flight, as the server sees them.
//!
//! The events are written into the sink itself. So a batch ends by the limit that a test sets, and not
//! because a queue upstream has no more events.

use super::fake::{Fake, Script};
use super::{numbered, quick, texts};
use buslane::Sink;
use buslane::stats::FlushReport;
use buslane::time::Deadline;
use buslane_nats::JetStream;
use std::time::{Duration, Instant};
use test_support::{GUARD, wait_for};

const HOUR: Duration = Duration::from_secs(3600);

fn write(sink: &JetStream<String>, events: &[String]) {
    events.iter().for_each(|event| sink.write(event.clone()).unwrap());
}

fn flush(sink: &JetStream<String>) {
    sink.flush_by(Deadline::after(GUARD), &mut FlushReport::default());
}

#[test]
fn window_bounds_messages_without_an_answer() {
    let fake = Fake::start([Script::Mute]);
    let settings = texts(&fake).window(8).ack_timeout(Duration::from_millis(200));
    // The first time-out is the last, so nothing is sent again.
    let sink = settings.retry(quick().max_attempts(1)).connect_lazy().unwrap();
    sink.wait_connected(GUARD).unwrap();
    write(&sink, &numbered(100));
    flush(&sink);
    let counts = sink.stats().read();
    assert_eq!((counts.published, counts.retried, counts.timed_out), (8, 0, 8));
    assert_eq!(counts.rejected, 100);
    wait_for(|| fake.received() >= 8);
    assert_eq!((fake.received(), fake.payloads()), (8, numbered(8)));
}

#[test]
fn batch_is_sent_at_its_number_of_events() {
    let fake = Fake::start([Script::Serve]);
    let sink = texts(&fake).batch(4).connect_lazy().unwrap();
    let events = numbered(11);
    write(&sink, &events);
    // A write that completes a batch returns when the server has acknowledged it.
    assert_eq!(fake.payloads(), events[..8]);
    flush(&sink);
    assert_eq!(fake.payloads(), events);
}

#[test]
fn batch_is_sent_at_its_bytes() {
    let fake = Fake::start([Script::Serve]);
    let sink = texts(&fake).batch_bytes(1000).connect_lazy().unwrap();
    let events: Vec<_> = (0..10).map(|number| format!("{number:0400}")).collect();
    write(&sink, &events);
    // Two of these payloads have room in a batch, at most.
    let stored = fake.payloads();
    assert!((8..10).contains(&stored.len()), "{}", stored.len());
    assert_eq!(stored, events[..stored.len()]);
    flush(&sink);
    assert_eq!(fake.payloads(), events);
}

#[test]
fn batch_is_sent_at_its_age() {
    let fake = Fake::start([Script::Serve]);
    let sink = texts(&fake).age(HOUR).connect_lazy().unwrap();
    write(&sink, &numbered(3));
    // What the worker of a queue does. The age begins with the first tick.
    let now = Instant::now();
    assert_eq!(sink.tick(now), Some(now + HOUR));
    sink.tick(now + HOUR - Duration::from_secs(1));
    assert_eq!(fake.received(), 0);
    sink.tick(now + HOUR);
    assert_eq!(fake.payloads(), numbered(3));
}
