//! Publishes numbers into the stream NUMBERS, whatever happens to the server meanwhile.
//!
//! ```text
//! nats-server -js &
//! cargo run -p buslane-nats --example publish -- nats://127.0.0.1:4222 100000
//! ```

use buslane::{Bus, Overflow, Queue};
use buslane_nats::async_nats::{self, jetstream};
use buslane_nats::{JetStream, Server};
use std::error::Error;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "nats://127.0.0.1:4222".into());
    let count: u64 = arguments.next().map_or(Ok(100_000), |count| count.parse())?;
    create_stream(&url)?;

    let sink = JetStream::builder(Server::new(url))
        .stream("NUMBERS")
        .subject_by(|number: &u64| format!("numbers.{}", number % 8))
        .json()
        .strict_order()
        .connect_lazy()?;
    let stats = sink.stats();
    // A full queue makes the publisher wait, so that an outage loses nothing.
    let queue = Queue::builder().capacity(65_536).overflow(Overflow::Block).spawn_sink(sink)?;
    let begun = Instant::now();
    let bus = Bus::new();
    bus.add(queue)?;
    for number in 0..count {
        let _ = bus.publish(number)?;
    }
    let report = bus.close_timeout(Duration::from_secs(60));
    println!("{report} after {:.1?}: {:?}", begun.elapsed(), stats.read());
    Ok(())
}

/// Creates the stream. Its limits are a decision of the user, so the crate does not create any.
fn create_stream(url: &str) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(url).await?);
        let config = jetstream::stream::Config {
            name: "NUMBERS".into(),
            subjects: vec!["numbers.>".into()],
            ..jetstream::stream::Config::default()
        };
        context.get_or_create_stream(config).await?;
        Ok(())
    })
}
