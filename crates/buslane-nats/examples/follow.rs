//! Follows the stream NUMBERS, and continues where it was when it is started again.
//!
//! ```text
//! cargo run -p buslane-nats --example follow -- nats://127.0.0.1:4222
//! ```

use buslane::Queue;
use buslane::source::Update;
use buslane_nats::JetStreamSource;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "nats://127.0.0.1:4222".into());
    let source = JetStreamSource::builder(url, "NUMBERS", "follower").json().build()?;
    let mut sum = 0_u64;
    let queue = Queue::builder().spawn(move |update: Update<u64>| match update {
        Update::Event(number) => {
            sum = sum.wrapping_add(number);
            if number % 10_000 == 0 {
                println!("{number}, and the sum is {sum}");
            }
        }
        Update::Gap(gap) => println!("{gap}"),
        Update::Connected { resumed } => println!("connected, resumed: {resumed}"),
        Update::Disconnected(end) => println!("{end}"),
        _ => {}
    })?;
    let _monitor = source.monitor().name("numbers").spawn(queue)?;
    loop {
        std::thread::park();
    }
}
