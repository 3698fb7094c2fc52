//! Two tasks publish, and wait for room without blocking their thread, on which a third one reads.
//!
//! Run it with `cargo run --example async_publisher`. It prints:
//!
//! ```text
//! 110 readings, the sum is 9800
//! the bus is closed: done
//! ```

use buslane::{Bus, Publisher, Receiver};
use futures::executor::block_on;
use futures::join;

/// Publishes readings. Each is taken only when every sink has room for it.
async fn measure(mut publisher: Publisher<u32>) {
    for reading in 0..50 {
        // Cancel safe: dropped in a `select!`, it has published nothing.
        let permit = publisher.reserve().await.expect("the bus is open");
        let published = permit.publish(4 * reading).expect("the permit has room");
        assert!(published.is_complete());
        if reading % 10 == 0 {
            // The same in one step, for an event that is there already.
            let published = publisher.publish_async(0).await.expect("the bus is open");
            assert!(published.is_complete());
        }
    }
}

/// Adds the readings up until the bus is closed.
async fn add_up(mut readings: Receiver<u32>) {
    let (mut count, mut sum) = (0, 0);
    while let Ok(reading) = readings.recv_async().await {
        (count, sum) = (count + 1, sum + reading);
    }
    println!("{count} readings, the sum is {sum}");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new();
    // Lossless: a thread that publishes into a full channel would block.
    let readings = bus.subscribe_lossless(4)?;
    let publishers = (bus.publisher(), bus.publisher());
    let publish = async {
        join!(measure(publishers.0), measure(publishers.1));
        bus.close_async().await
    };
    let (report, ()) = block_on(async { join!(publish, add_up(readings)) });
    println!("the bus is closed: {report}");
    Ok(())
}
