//! Closes and drops, during an outage and on threads of a runtime.

use super::fake::{Fake, Script};
use super::{numbered, queue, texts, texts_at};
use buslane::retry::Breaker;
use buslane::{Bus, Sink, SinkExt};
use buslane_nats::{JetStream, PublishError, Server};
use std::time::Duration;
use test_support::bus::{ledger, sink as sink_of};
use test_support::{assert_balanced, ends, flush, wait_for};

/// An address at which no process listens.
const NOWHERE: &str = "nats://127.0.0.1:9";

#[test]
fn close_drains_what_was_accepted() {
    let fake = Fake::start([Script::Serve]);
    let queue = queue(texts(&fake).connect_lazy().unwrap());
    let events = numbered(500);
    events.iter().for_each(|event| queue.write(event.clone()).unwrap());
    let report = queue.close();
    assert!(report.is_done(), "{report}");
    assert_eq!(fake.payloads(), events);
}

#[test]
fn close_during_an_outage_ends_and_counts_the_rest() {
    let deaf = Fake::start([Script::Deaf]);
    for url in [NOWHERE, deaf.url()] {
        let url = url.to_owned();
        ends(move || {
            let bus = Bus::new();
            bus.add_named("jetstream", queue(texts_at(&url).connect_lazy().unwrap())).unwrap();
            numbered(100).into_iter().for_each(|event| {
                let _ = bus.publish(event).unwrap();
            });
            let report = bus.close_timeout(Duration::from_millis(50));
            assert_eq!(report.unfinished, ["jetstream"]);
            // The worker counts what it had in a batch when the abort has ended its wait.
            wait_for(|| sink_of(&bus, "jetstream").state.ledger.dropped.aborted == 100);
            assert_eq!(ledger(&bus, "jetstream").pending, 0);
        });
    }
}

#[test]
fn events_wait_for_a_server_that_comes_later() {
    // The address of a server that has ended: another process may get it, but not as a NATS server.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let sink = texts_at(&format!("nats://{address}")).connect_lazy().unwrap();
    let stats = sink.stats();
    let queue = queue(sink);
    queue.write("early".to_owned()).unwrap();
    assert!(!queue.flush_timeout(Duration::from_millis(20)).is_done());
    assert_eq!(queue.state().ledger.pending, 1);
    assert_eq!(stats.read().published, 0);
    drop(queue);
}

#[test]
fn wrong_credentials_are_an_error_with_a_text() {
    let fake = Fake::start([Script::RefuseCredentials]);
    let sink = texts(&fake).connect_lazy().unwrap();
    // A connect may be between two attempts at the limit: the text of the last one stays.
    wait_for(|| match sink.wait_connected(Duration::from_millis(20)) {
        Err(PublishError::Disconnected(Some(text))) => text.contains("authorization violation"),
        other => panic!("{other:?}"),
    });
    let state = test_support::describe(&sink);
    assert!(state.last_error.is_some_and(|text| text.contains("authorization violation")));
}

#[test]
fn breaker_opens_during_an_outage_and_closes_after_it() {
    let fake = Fake::start([Script::DropAfterInfo, Script::DropAfterInfo, Script::Serve]);
    let breaker = Breaker::new(2, Duration::from_millis(10));
    let queue =
        queue(texts(&fake).retry(breaker).ack_timeout(Duration::from_millis(5)).connect_lazy().unwrap());
    queue.write("event".to_owned()).unwrap();
    flush(&queue);
    assert_eq!(fake.payloads(), ["event"]);
}

#[test]
fn sink_works_and_ends_on_threads_of_a_runtime() {
    let fake = Fake::start([Script::Serve]);
    let url = fake.url().to_owned();
    ends(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.block_on(async {
            // A runtime of its own, ended inside of another one.
            let own = texts_at(&url).batch(1).connect_lazy().unwrap();
            own.write("own".to_owned()).unwrap();
            drop(own);
            // The runtime that this future is on.
            let server = Server::new(url.clone()).runtime(handle);
            let shared = JetStream::builder(server)
                .subject("texts")
                .encode(|text: &String, payload| {
                    payload.extend_from_slice(text.as_bytes());
                    Ok(())
                })
                .connect_lazy()
                .unwrap();
            let queue = shared.queue(8).unwrap();
            queue.write("shared".to_owned()).unwrap();
            assert!(tokio::task::spawn_blocking(move || queue.close().is_done()).await.unwrap());
        });
    });
    assert_eq!(fake.payloads(), ["own", "shared"]);
}

#[test]
fn write_after_close_gives_the_event_back() {
    let fake = Fake::start([Script::Serve]);
    let sink = texts(&fake).connect_lazy().unwrap();
    sink.write("one".to_owned()).unwrap();
    assert!(sink.close_by(buslane::time::Deadline::after(test_support::GUARD)).is_done());
    assert_eq!(fake.payloads(), ["one"]);
    let error = sink.write("late".to_owned()).unwrap_err();
    assert!(error.is_closed() && error.into_event() == "late");
    assert_eq!(assert_balanced(&test_support::describe(&sink)).delivered, 1);
}
