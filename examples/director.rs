//! Keeps two replicas in step through a director: one fails for a while, the other comes late.
//!
//! Run it with `cargo run --example director`. It prints:
//!
//! ```text
//! early pulls a state, in which x is None
//! early fails at packet 1, attempt 1
//! late pulls a state, in which x is Some(1)
//! early, late have acknowledged y
//! ```

use buslane::director::{Delivery, Director, Node, Packet, Roster};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type State = Arc<Mutex<BTreeMap<&'static str, u32>>>;

/// A replica of a map, with the map from which it pulls its state.
struct Replica {
    state: State,
    source: State,
    fails: bool,
}

impl Node<(&'static str, u32)> for Replica {
    fn deliver(&mut self, packet: &Packet<(&'static str, u32)>) -> Delivery {
        if std::mem::take(&mut self.fails) {
            println!("{} fails at packet {}, attempt {}", packet.member(), packet.id(), packet.attempt());
            return Delivery::Retry(Some(Duration::from_millis(10))); // the same packet comes again
        }
        self.state.lock().unwrap().extend(packet.events().iter().map(|event| event.event));
        Delivery::Done
    }

    fn joined(&mut self, _roster: &Roster, packet: &Packet<(&'static str, u32)>) -> Delivery {
        let pulled = self.source.lock().unwrap().clone();
        println!("{} pulls a state, in which x is {:?}", packet.member(), pulled.get("x"));
        *self.state.lock().unwrap() = pulled;
        Delivery::Done
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (director, limit) = (Director::new()?, Duration::from_secs(60));
    let (early, late) = (State::default(), State::default());
    let replica = |state: &State, source: &State, fails| {
        let (state, source) = (state.clone(), source.clone());
        Replica { state, source, fails }
    };
    let _early = director.join("early", replica(&early, &State::default(), true))?;
    let (mut writer, _unread) = director.join_manual("writer")?;
    assert!(writer.broadcast_acked(("x", 1), limit)?.is_complete());
    let _late = director.join("late", replica(&late, &early, false))?;
    let acks = writer.broadcast_acked(("y", 2), limit)?;
    println!("{} have acknowledged y", acks.acked.join(", "));
    assert_eq!(*early.lock().unwrap(), *late.lock().unwrap());
    Ok(())
}
