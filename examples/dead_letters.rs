//! Retries a sink that fails, and collects the events that fail again and again as dead letters.
//!
//! Run it with `cargo run --example dead_letters`. It prints:
//!
//! ```text
//! alice: attempt 1 arrives
//! bob: attempt 1 fails
//! bob: attempt 2 fails
//! bob: attempt 3 arrives
//! carol: attempt 1 fails
//! carol: attempt 2 fails
//! carol: attempt 3 fails
//! dead letter: carol, given up after 3 attempts: the sink failed: no route
//! ```

use buslane::retry::Backoff;
use buslane::{Bus, Channel, SinkExt, sink_fn};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let attempts = Mutex::new(HashMap::new());
    // Fails twice for bob, and always for carol.
    let mail = sink_fn(move |to: &&'static str| {
        let mut attempts = attempts.lock().expect("no attempt panics");
        let attempt = attempts.entry(*to).and_modify(|attempt| *attempt += 1).or_insert(1);
        let fails = *to == "carol" || (*to == "bob" && *attempt <= 2);
        println!("{to}: attempt {attempt} {}", if fails { "fails" } else { "arrives" });
        if fails { Err("no route") } else { Ok(()) }
    });

    let (letters, mut dead) = Channel::lossy(64)?;
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(10)).max_attempts(3);
    // The queue's worker thread waits between attempts, not the publisher.
    let queue = mail.retry(backoff).dead_letters(letters).queue(1024)?;

    let bus = Bus::new();
    bus.add_named("mail", queue)?;
    for to in ["alice", "bob", "carol"] {
        let published = bus.publish(to)?;
        assert!(published.is_complete());
    }
    assert!(bus.close().is_done());

    for letter in dead.drain() {
        println!("dead letter: {}, {letter}", letter.event);
    }
    Ok(())
}
