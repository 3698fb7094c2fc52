//! Writes events as lines to any writer, with a sink of one method. A filter and a queue are
//! upstream of it.
//!
//! Run it with `cargo run --example custom_sink`. It prints:
//!
//! ```text
//! warn: disk is almost full
//! warn: disk is full
//! 2 lines written, 1 event filtered
//! ```

use buslane::{Bus, Sink, SinkExt, WriteError};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Writes each event as a line.
struct Lines<W>(Mutex<W>);

// A sink may be called from several threads at once, hence the mutex.
impl<W: Write + Send> Sink<String> for Lines<W> {
    fn write(&self, event: String) -> Result<(), WriteError<String>> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match writeln!(writer, "{event}") {
            Ok(()) => Ok(()),
            // The event is returned, so that a retry upstream can write it again.
            Err(error) => Err(WriteError::Failed { event, source: error.into() }),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new();
    // The last call sees an event first: the filter, then the queue, whose worker thread calls the
    // sink.
    let lines = Lines(Mutex::new(io::stdout()));
    let warnings = lines.queue(1024)?.filter(|event: &String| event.starts_with("warn"));
    bus.add_named("warnings", warnings)?;

    let mut publisher = bus.publisher();
    for event in ["warn: disk is almost full", "info: disk was cleaned", "warn: disk is full"] {
        let published = publisher.publish(event.to_owned())?;
        assert!(published.is_complete());
    }
    assert!(bus.close().is_done());

    let ledger = bus.snapshot().sink("warnings").expect("it was added").state.ledger;
    println!("{} lines written, {} event filtered", ledger.delivered, ledger.filtered);
    Ok(())
}
