//! Replays events from a journal: a late subscriber reads history, leaves, and resumes at its
//! position.
//!
//! Run it with `cargo run --example journal_replay`. It prints:
//!
//! ```text
//! first visit: 0 created, 1 renamed
//! resumes at 2
//! second visit: 2 written, 3 removed
//! third visit: 6 missed, 6 event 6, 7 event 7, 8 event 8, 9 event 9
//! ```

use buslane::error::SubscribeError;
use buslane::journal::{Entry, Sequence, Start};
use buslane::{Bus, Journal};

/// Reads all entries from `start`, and returns them as text with the position after the last one.
fn visit(journal: &Journal<String>, start: Start) -> Result<(String, Sequence), SubscribeError> {
    let mut subscriber = journal.subscribe(start)?;
    let mut seen = Vec::new();
    for entry in subscriber.try_iter() {
        seen.push(match entry {
            Entry::Event(sequence, event) => format!("{sequence} {event}"),
            Entry::Lagged(missed) => format!("{missed} missed"),
            other => format!("{other:?}"),
        });
    }
    Ok((seen.join(", "), subscriber.next_sequence()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The journal keeps the newest 4 events of the bus.
    let journal = Journal::new(4)?;
    let bus = Bus::new();
    bus.add_named("history", journal.clone())?;
    let publish =
        |event: &str| bus.publish(event.to_owned()).map(|published| assert!(published.is_complete()));

    // Published before the first subscriber.
    publish("created")?;
    publish("renamed")?;
    let (seen, position) = visit(&journal, Start::Oldest)?;
    println!("first visit: {seen}\nresumes at {position}");

    publish("written")?;
    publish("removed")?;
    let (seen, _) = visit(&journal, Start::At(position))?;
    println!("second visit: {seen}");

    // A subscriber that resumes too late reads how many events were overwritten.
    for number in 4..10 {
        publish(&format!("event {number}"))?;
    }
    let (seen, _) = visit(&journal, Start::At(Sequence::new(0)))?;
    println!("third visit: {seen}");
    Ok(())
}
