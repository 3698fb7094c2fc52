//! What the server does wrong, and what becomes of the events.

use super::fake::{Failure, Fake, Script};
use super::{numbered, queue, texts};
use buslane::stats::FlushReport;
use buslane::testing::Collect;
use buslane::time::Deadline;
use buslane::{Queue, Sink};
use buslane_nats::{JetStreamBuilder, JetStreamCounts, PublishError, Rejected};
use std::collections::HashSet;
use std::time::Duration;
use test_support::{GUARD, assert_balanced, describe, flush};

/// Writes events into a queue and flushes it.
fn deliver(builder: JetStreamBuilder<String>, events: &[String]) -> (Queue<String>, JetStreamCounts) {
    let sink = builder.connect_lazy().unwrap();
    let stats = sink.stats();
    let queue = queue(sink);
    for event in events {
        queue.write(event.clone()).unwrap();
    }
    flush(&queue);
    (queue, stats.read())
}

/// Checks that every event is stored once, under an id of its own, and counted as delivered.
fn assert_stored_once(fake: &Fake, queue: &Queue<String>, counts: &JetStreamCounts, events: &[String]) {
    let stored = fake.stored();
    let ids: HashSet<_> = stored.iter().map(|stored| stored.id.clone()).collect();
    assert_eq!(ids.len(), events.len());
    let mut payloads = fake.payloads();
    payloads.sort();
    let mut expected = events.to_vec();
    expected.sort();
    assert_eq!(payloads, expected);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.pending), (events.len() as u64, 0));
    assert_eq!((counts.acknowledged, counts.rejected), (events.len() as u64, 0));
    assert_eq!(counts.duplicates, fake.duplicates() as u64);
    assert_eq!(counts.published, events.len() as u64);
}

#[test]
fn events_are_stored_in_order_with_their_headers() {
    let fake = Fake::start([Script::Serve]);
    let events = numbered(1000);
    let builder = texts(&fake)
        .subject_by(|text: &String| format!("texts.{}", text.len()))
        .stream("S")
        .headers(|_, headers| headers.insert("Kind", "text"));
    let (queue, counts) = deliver(builder, &events);
    assert_eq!(fake.payloads(), events);
    assert_stored_once(&fake, &queue, &counts, &events);
    let first = &fake.stored()[0];
    assert_eq!(first.subject, "texts.7");
    for header in [("Kind", "text"), ("Nats-Expected-Stream", "S"), ("Nats-Msg-Id", first.id.as_str())] {
        assert!(first.headers.contains(&(header.0.into(), header.1.into())), "{header:?}");
    }
    assert_eq!((counts.connects, counts.retried, counts.duplicates), (1, 0, 0));
}

#[test]
fn broken_handshakes_are_tried_again() {
    let scripts = [Script::DropAfterInfo, Script::Garbage, Script::RefuseCredentials, Script::Serve];
    let fake = Fake::start(scripts);
    let events = numbered(10);
    let (queue, counts) = deliver(texts(&fake), &events);
    assert_stored_once(&fake, &queue, &counts, &events);
    assert!(fake.connections() >= scripts.len());
}

#[test]
fn connection_lost_in_a_publish_loses_nothing() {
    let fake = Fake::start([Script::DropMidPublish(5), Script::DropMidPublish(1), Script::Serve]);
    let events = numbered(50);
    let (queue, counts) = deliver(texts(&fake), &events);
    assert_stored_once(&fake, &queue, &counts, &events);
    assert!(counts.retried > 0 && counts.lost > 0, "{counts:?}");
}

#[test]
fn lost_acknowledgement_makes_no_second_event() {
    let fake = Fake::start([Script::DropBeforeAck(5), Script::DropBeforeAck(1), Script::Serve]);
    let events = numbered(50);
    let (queue, counts) = deliver(texts(&fake), &events);
    assert_stored_once(&fake, &queue, &counts, &events);
    assert!(counts.duplicates > 0, "{counts:?}");
}

#[test]
fn mute_connection_is_replaced_after_three_timeouts() {
    let fake = Fake::start([Script::Mute, Script::Serve]);
    let events = numbered(20);
    let (queue, counts) = deliver(texts(&fake).ack_timeout(Duration::from_millis(200)), &events);
    assert_stored_once(&fake, &queue, &counts, &events);
    // A machine that is busy may be late with an answer of the second connection, too.
    assert!(counts.replaced >= 1 && counts.connects >= 2 && counts.timed_out >= 60, "{counts:?}");
}

#[test]
fn full_or_absent_stream_is_tried_again() {
    for failure in [Failure::Full, Failure::NoStream] {
        let fake = Fake::start([Script::Fail(30, failure)]);
        let events = numbered(20);
        let (queue, counts) = deliver(texts(&fake), &events);
        assert_stored_once(&fake, &queue, &counts, &events);
        assert_eq!((counts.refused, counts.timed_out, counts.connects), (30, 0, 1));
    }
}

#[test]
fn strict_order_survives_a_refusal_in_the_middle() {
    for script in [Script::FailAt(40, Failure::Full), Script::DropMidPublish(40), Script::DropBeforeAck(40)] {
        let fake = Fake::start([script, Script::Serve]);
        let events = numbered(200);
        let (queue, counts) = deliver(texts(&fake).strict_order(), &events);
        assert_stored_once(&fake, &queue, &counts, &events);
        assert_eq!(fake.payloads(), events, "{script:?}");
    }
}

#[test]
fn strict_order_continues_after_a_rejected_event() {
    let fake = Fake::start([Script::FailAt(7, Failure::Refused)]);
    let rejected = Collect::new();
    let events = numbered(100);
    let sink = texts(&fake).strict_order().dead_letters(rejected.clone()).connect_lazy().unwrap();
    let queue = queue(sink);
    events.iter().for_each(|event| queue.write(event.clone()).unwrap());
    flush(&queue);
    let mut expected = events.clone();
    expected.remove(6);
    assert_eq!(fake.payloads(), expected);
    assert_eq!(rejected.len(), 1);
}

#[test]
fn what_cannot_be_stored_goes_to_the_dead_letters() {
    let fake = Fake::start([Script::FailAt(2, Failure::Refused)]);
    let rejected = Collect::<Rejected<String>>::new();
    let builder = texts(&fake)
        .subject_by(|text: &String| if text == "bad" { "a b".to_owned() } else { "texts".to_owned() })
        .dead_letters(rejected.clone());
    let events = ["one", "refused", "bad", &"x".repeat(2000), "two"].map(str::to_owned);
    let (queue, counts) = deliver(builder, &events);
    assert_eq!(fake.payloads(), ["one", "two"]);
    let letters = rejected.events();
    let errors: Vec<_> = letters.iter().map(|letter| (letter.event.len(), letter.error.clone())).collect();
    assert!(errors.contains(&(2000, PublishError::TooLarge)), "{errors:?}");
    assert!(errors.iter().any(|(_, error)| matches!(error, PublishError::Subject(_))), "{errors:?}");
    assert!(errors.iter().any(|(_, error)| matches!(error, PublishError::Refused { code: 10060, .. })));
    assert_eq!((counts.rejected, counts.acknowledged, counts.letters_lost), (3, 2, 0));
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.failed), (2, 3));
    assert!(queue.state().last_error.is_some());
}

#[test]
fn policy_that_gives_up_counts_the_events() {
    let fake = Fake::start([Script::Fail(usize::MAX, Failure::Full)]);
    let rejected = Collect::<Rejected<String>>::new();
    let builder = texts(&fake).retry(super::quick().max_attempts(3)).dead_letters(rejected.clone());
    let (queue, counts) = deliver(builder, &numbered(4));
    assert_eq!(rejected.events().iter().map(|letter| letter.event.clone()).collect::<Vec<_>>(), numbered(4));
    assert!(
        rejected.events().iter().all(|letter| letter.error.is_retryable() && !letter.message_id.is_empty())
    );
    assert_eq!((counts.rejected, counts.acknowledged), (4, 0));
    assert_eq!(assert_balanced(&queue.state()).dropped.failed, 4);
}

#[test]
fn ids_last_through_a_flush_that_times_out() {
    let fake = Fake::start([Script::Mute, Script::Serve]);
    let sink = texts(&fake).ack_timeout(Duration::from_millis(50)).connect_lazy().unwrap();
    let events = numbered(10);
    events.iter().for_each(|event| sink.write(event.clone()).unwrap());
    let flush = |limit| {
        let mut report = FlushReport::default();
        sink.flush_by(Deadline::after(limit), &mut report);
        report.is_done()
    };
    // Each of these writes returns what is not acknowledged, and the batch keeps it.
    while fake.received() < 20 {
        assert!(!flush(Duration::from_millis(5)));
    }
    assert!(flush(GUARD));
    assert_eq!(fake.payloads(), events);
    let counts = sink.stats().read();
    assert_eq!((counts.published, counts.acknowledged, counts.duplicates), (10, 10, 10));
    assert_eq!(assert_balanced(&describe(&sink)).delivered, 10);
}
