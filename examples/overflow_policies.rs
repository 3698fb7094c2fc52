//! Publishes five events to channels with room for two, one channel for each overflow policy.
//!
//! The sixth policy, `Overflow::Block`, waits for the reader: see the example `channel_loop`.
//!
//! Run it with `cargo run --example overflow_policies`. It prints:
//!
//! ```text
//! DropNewest: reads [1, 2], dropped 3, refused 0
//! DropOldest: reads [4, 5], dropped 3, refused 0
//! Refuse: reads [1, 2], dropped 0, refused 3
//! BlockFor(1ms): reads [1, 2], dropped 0, refused 3
//! Close: reads [1, 2], dropped 0, refused 1
//! ```

use buslane::{Bus, Channel, Overflow};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policies = [
        Overflow::DropNewest, // the default
        Overflow::DropOldest,
        Overflow::Refuse,
        Overflow::BlockFor(Duration::from_millis(1)),
        Overflow::Close, // closes the channel, so that later events are not offered to it
    ];
    for policy in policies {
        let bus = Bus::new();
        let (channel, mut receiver) = Channel::builder().capacity(2).overflow(policy).build()?;
        bus.add(channel)?;

        let mut publisher = bus.publisher();
        for event in 1..=5 {
            let published = publisher.publish(event)?;
            if event <= 2 {
                assert!(published.is_complete(), "there is room for two events");
            }
        }

        let read: Vec<u32> = receiver.drain().collect();
        // The ledger counts every loss with its reason. Here the sums are enough.
        let ledger = receiver.state().ledger;
        let (dropped, refused) = (ledger.dropped.total(), ledger.refused.total());
        println!("{policy:?}: reads {read:?}, dropped {dropped}, refused {refused}");
    }
    Ok(())
}
