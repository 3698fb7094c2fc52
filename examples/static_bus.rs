//! Publishes to a static bus from any thread, without a publisher to pass around.
//!
//! Run it with `cargo run --example static_bus`. It prints:
//!
//! ```text
//! 400 requests, 1000 bytes on average
//! the bus is closed: true
//! ```

use buslane::{Bus, Queue};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

#[derive(Clone, Copy)]
struct Request {
    bytes: u64,
}

static BUS: LazyLock<Bus<Request>> = LazyLock::new(Bus::new);
static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// Records a request, through the cached publisher of this thread.
fn record(bytes: u64) {
    let published = BUS.with_local(|publisher| publisher.publish(Request { bytes }));
    assert!(published.is_ok_and(|published| published.is_complete()));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    {
        // A static is never dropped. The guard closes the bus at the end of this block, also after
        // an error or a panic.
        let _guard = BUS.close_on_drop();
        let queue = Queue::builder().spawn(|request: Request| {
            COUNT.fetch_add(1, Ordering::Relaxed);
            BYTES.fetch_add(request.bytes, Ordering::Relaxed);
        })?;
        BUS.add_named("statistics", queue)?;

        thread::scope(|scope| {
            for bytes in [500, 1000, 1500, 1000] {
                scope.spawn(move || (0..100).for_each(|_| record(bytes)));
            }
        });
    }
    // The close has waited for the queue.
    let (count, bytes) = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    println!("{count} requests, {} bytes on average", bytes / count);
    println!("the bus is closed: {}", BUS.is_closed());
    Ok(())
}
