//! Publishes two events to a queue and to a channel. The README shows this code.
//!
//! Run it with `cargo run --example hello`. It prints:
//!
//! ```text
//! queue: hello
//! queue: world
//! done
//! channel: hello
//! channel: world
//! ```

use buslane::{Bus, Queue};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new();
    // A queue calls a closure on a worker thread; a channel is read by your own thread or task.
    bus.add_named("printer", Queue::builder().spawn(|event: &str| println!("queue: {event}"))?)?;
    let mut receiver = bus.subscribe_lossy(16)?;

    let mut publisher = bus.publisher(); // one for each publishing thread
    for event in ["hello", "world"] {
        assert!(publisher.publish(event)?.is_complete()); // no sink dropped or refused it
    }
    println!("{}", bus.close()); // waits until the queue has handled every accepted event
    for event in receiver.iter() {
        println!("channel: {event}"); // what a channel accepted stays readable
    }
    Ok(())
}
