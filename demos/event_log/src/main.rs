//! Publishes the changes of a directory in a journal, which three subscribers read, each in its own
//! way.
//!
//! ```text
//! cargo run --release -p event_log
//! cargo run --release -p event_log -- --scans 100 --capacity 64 --seed 7
//! cargo run --release -p event_log -- ~/projects --scans 1000 --interval-ms 500
//! ```
//!
//! The directory is scanned repeatedly, and each scan is compared with the one before. What differs
//! is published in a [`buslane::Journal`] that keeps the newest events only:
//!
//! ```text
//! directory ── watcher ──publish──► journal of 256 events
//!                                     ├─► mirror:  from the start; the watcher waits for it
//!                                     ├─► slow:    starts later, with the last 64; reads rarely, and lags
//!                                     └─► roaming: starts last, with all since a time; disconnects, and resumes
//! ```
//!
//! Without a directory to watch, the demo makes one of its own, and creates, changes, renames and
//! removes files in it.
//!
//! At the end everything is proven. The watcher has recorded each event before it was published. A
//! subscriber must have read exactly these: each event from its start once, in order and unchanged,
//! or counted as missed. And the mirror, which knows the directory from events only, must show the
//! directory of the last scan. `--json` prints the story and the report as JSON Lines, the report
//! last.
//!
//! The exit code is 0 when all of that holds, 1 when it does not or standard output is full, and 2
//! when the program could not start. Ctrl-C ends it early, and so does a reader of its output that
//! goes away; what was published until then is proven all the same.

mod audience;
mod directory;
mod event;
mod event_log;
mod mirror;
mod options;
mod picture;
mod playground;
mod record;
mod report;
mod roaming;
mod slow;
mod visit;
mod watcher;
mod witness;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    demo_support::run(|options: &Options| event_log::run(options))
}
