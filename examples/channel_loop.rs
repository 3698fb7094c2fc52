//! Reads a channel in a loop on a separate thread, while two threads publish.
//!
//! The channel is lossless: a publisher whose lane is full blocks until the reader makes room.
//!
//! Run it with `cargo run --example channel_loop`. It prints:
//!
//! ```text
//! sensor 0: 1000 readings in order
//! sensor 1: 1000 readings in order
//! ```

use buslane::{Bus, Channel, Overflow};
use std::thread;

#[derive(Clone, Copy)]
struct Reading {
    sensor: usize,
    number: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new();
    let (channel, mut receiver) = Channel::builder().capacity(64).overflow(Overflow::Block).build()?;
    bus.add_named("readings", channel)?;

    let reader = thread::spawn(move || {
        let mut counts = [0; 2];
        // The loop ends when the bus is closed and every accepted event was read.
        for Reading { sensor, number } in receiver.iter() {
            assert_eq!(number, counts[sensor], "the events of one publisher arrive in order");
            counts[sensor] += 1;
        }
        counts
    });

    thread::scope(|scope| {
        for sensor in 0..2 {
            let mut publisher = bus.publisher();
            scope.spawn(move || {
                for number in 0..1000 {
                    let published = publisher.publish(Reading { sensor, number });
                    assert!(published.is_ok_and(|published| published.is_complete()));
                }
            });
        }
    });

    let _ = bus.close();
    let counts = reader.join().expect("the reader does not panic");
    for (sensor, count) in counts.iter().enumerate() {
        println!("sensor {sensor}: {count} readings in order");
    }
    Ok(())
}
