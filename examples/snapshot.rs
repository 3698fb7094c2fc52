//! Reads a snapshot of a bus: for each sink its status, its depth, and a ledger of every event.
//!
//! `println!("{snapshot}")` prints all of it. Here some of its fields are printed one by one.
//!
//! Run it with `cargo run --example snapshot`. It prints:
//!
//! ```text
//! audit: open, 0 of 8 events pending
//!   offered 6 = accepted 6 + refused 0
//!   accepted 6 = delivered 4 + dropped 2 (failed 2, full 0) + pending 0
//!   last error: negative
//! slow: open, 4 of 4 events pending
//!   offered 6 = accepted 6 + refused 0
//!   accepted 6 = delivered 0 + dropped 2 (failed 0, full 2) + pending 4
//! ```

use buslane::{Bus, Channel, Queue};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new();
    let audit = Queue::builder().capacity(8);
    let audit = audit.spawn(|number: i32| if number < 0 { Err("negative") } else { Ok(()) })?;
    bus.add_named("audit", audit.clone())?;
    // The receiver of this channel never reads, so the channel fills up.
    let (slow, _receiver) = Channel::lossy(4)?;
    bus.add_named("slow", slow)?;

    let mut lost = 0;
    for number in [1, -2, 3, -4, 5, 6] {
        lost += bus.publish(number)?.dropped;
    }
    assert_eq!(lost, 2, "the result of a publish counts the events that were dropped");
    // Waits until the worker thread has handled every accepted event.
    assert!(audit.flush_timeout(Duration::from_secs(10)).is_done());

    for sink in bus.snapshot().sinks {
        let state = &sink.state;
        println!("{}: {}, {} of {} events pending", sink.name, state.status, state.depth, state.capacity);

        let ledger = &state.ledger;
        let (offered, accepted, refused) = (ledger.offered, ledger.accepted, ledger.refused.total());
        println!("  offered {offered} = accepted {accepted} + refused {refused}");
        let (delivered, dropped, pending) = (ledger.delivered, ledger.dropped, ledger.pending);
        let reasons = format!("failed {}, full {}", dropped.failed, dropped.full);
        let dropped = dropped.total();
        println!(
            "  accepted {accepted} = delivered {delivered} + dropped {dropped} ({reasons}) + pending {pending}"
        );
        if let Some(error) = &state.last_error {
            println!("  last error: {error}");
        }
        ledger.check()?; // the equations above hold whenever the sink is at rest
    }
    Ok(())
}
