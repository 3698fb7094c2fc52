//! Awaits events in a task, while a thread publishes them. Any executor works: this one is
//! `pollster`.
//!
//! Run it with `cargo run --example async_receiver`. It prints:
//!
//! ```text
//! order 1 is paid
//! order 2 is paid
//! order 3 is paid
//! the bus is closed
//! ```

use buslane::{Bus, Receiver};
use std::thread;

/// Handles orders until the bus is closed and every accepted order was handled.
async fn handle(mut orders: Receiver<u32>) {
    // The future is cancel safe: dropped in a `select!`, it loses no event.
    while let Ok(order) = orders.recv_async().await {
        println!("order {order} is paid");
    }
    println!("the bus is closed");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new();
    let orders = bus.subscribe_lossy(16)?;

    let shop = thread::spawn(move || {
        for order in 1..=3 {
            // Never blocks: the channel drops and counts events for which it has no room.
            let published = bus.publish(order).expect("the bus is open");
            assert!(published.is_complete());
        }
        bus.close()
    });

    pollster::block_on(handle(orders));
    let report = shop.join().expect("the shop does not panic");
    assert!(report.is_done(), "{report}");
    Ok(())
}
