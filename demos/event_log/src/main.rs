//! What happens in a directory goes into a journal, and three subscribers come to read it, each in its own way.
//!
//! ```text
//! cargo run --release -p event_log
//! cargo run --release -p event_log -- --looks 100 --capacity 64 --seed 7
//! cargo run --release -p event_log -- ~/projects --looks 1000 --interval-ms 500
//! ```
//!
//! The directory is walked again and again, and each walk is compared with the one before. What differs is published in a
//! [`buslane::Journal`] that keeps the newest events only:
//!
//! ```text
//! directory ── watcher ──publish──► journal of 256 events
//!                                     ├─► mirror:  from the start; the watcher waits for it
//!                                     ├─► slow:    comes later, for the last 64; reads seldom, and lags
//!                                     └─► roaming: comes last, for all since a time; loses its connection, and comes back
//! ```
//!
//! Without a directory to watch, the demo makes one of its own, and creates, changes, renames and removes files in it.
//!
//! At the end everything is proven. The watcher has noted each event before it was published. What a subscriber read must be
//! just that: each event from where it began once, in order and unchanged, or counted as missed. And the mirror, which knows
//! the directory from events only, must have a picture of it that is right.
//!
//! The program ends with 0 when all of that holds, 1 when not or when standard output is full, and 2 when it could not start. Ctrl-C ends it
//! early, and so does a reader of its output that goes away; what was published until then is proven all the same.

mod audience;
mod books;
mod dice;
mod directory;
mod event;
mod event_log;
mod mirror;
mod options;
mod picture;
mod playground;
mod record;
mod roaming;
mod slow;
mod story;
mod visit;
mod watcher;
mod witness;

use clap::Parser;
use options::Options;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match event_log::run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told if standard error is gone.
            let _ = writeln!(std::io::stderr(), "event_log: {failure}");
            failure.exit_code()
        }
    }
}
