//! The sink and the settings of the source, against a scripted server. `bash .ci/nats` has the tests
//! against a real one.

mod ending;
mod fake;
mod faults;
mod limits;
mod policies;
mod settings;

use buslane::Queue;
use buslane::retry::Backoff;
use buslane_nats::{JetStream, JetStreamBuilder, Server};
use fake::Fake;
use std::time::Duration;

/// Waits that are short, because the server is on this machine.
pub(crate) fn quick() -> Backoff {
    Backoff::new(Duration::from_millis(1), Duration::from_millis(20))
}

/// Returns the settings of a sink of texts for a scripted server.
pub(crate) fn texts(fake: &Fake) -> JetStreamBuilder<String> {
    texts_at(fake.url())
}

pub(crate) fn texts_at(url: &str) -> JetStreamBuilder<String> {
    JetStream::builder(Server::new(url).reconnect(quick()))
        .subject("texts.all")
        .encode(|text: &String, payload| {
            payload.extend_from_slice(text.as_bytes());
            Ok(())
        })
        .retry(quick())
}

/// Returns the texts of some events.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("event {number}")).collect()
}

/// Returns a queue upstream of a sink that holds everything that a test writes.
pub(crate) fn queue(sink: JetStream<String>) -> Queue<String> {
    Queue::builder().capacity(4096).spawn_sink(sink).unwrap()
}
