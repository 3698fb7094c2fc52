//! Publishes two events to a queue and to a channel.
//!
//! Run it with `cargo run --example hello`. It prints:
//!
//! ```text
//! queue: hello
//! queue: world
//! channel: hello
//! channel: world
//! ```

use buslane::{Bus, Queue};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new();

    // A queue calls a closure on a worker thread of its own.
    let queue = Queue::builder().spawn(|event: &str| println!("queue: {event}"))?;
    bus.add_named("printer", queue)?;

    // A channel is read by one of your own threads or tasks.
    let mut receiver = bus.subscribe_lossy(16)?;

    // Each publishing thread has a publisher of its own.
    let mut publisher = bus.publisher();
    for event in ["hello", "world"] {
        let published = publisher.publish(event)?;
        assert!(published.is_complete(), "a sink dropped or refused an event: {published}");
    }

    // Closing waits until the queue has handled every accepted event.
    let report = bus.close();
    assert!(report.is_done(), "{report}");

    // What a channel accepted stays readable after the close.
    for event in receiver.iter() {
        println!("channel: {event}");
    }
    Ok(())
}
