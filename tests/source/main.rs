//! Monitors: the state machine with scripted sources and a clock that the test moves, and followed
//! files.

mod defects;
mod file;
mod settings;
mod sinks;
mod states;
mod stopping;
mod tokens;

use buslane::retry::Backoff;
use buslane::source::{Gap, GapReason, Update};
use buslane::testing::{Collect, ManualClock, Script};
use std::time::Duration;
use test_support::{GUARD, wait_for};

const SECOND: Duration = Duration::from_secs(1);

/// What a monitor of a script forwards.
type Seen = Collect<Update<u32>>;

/// Waits of 1, 2, 4 ... seconds, up to a minute.
fn backoff() -> Backoff {
    Backoff::new(SECOND, 60 * SECOND).jitter(0.0)
}

fn connected() -> Update<u32> {
    Update::Connected { resumed: false }
}

fn gap(reason: GapReason) -> Update<u32> {
    Update::Gap(Gap::new(reason))
}

/// Returns what was forwarded, as short texts.
fn texts(seen: &Seen) -> Vec<String> {
    seen.events().iter().map(text).collect()
}

fn text(update: &Update<u32>) -> String {
    match update {
        Update::Event(event) => event.to_string(),
        Update::Connected { resumed } => String::from(if *resumed { "resumed" } else { "connected" }),
        Update::Gap(gap) => format!("{:?} {:?}", gap.reason, gap.missed),
        Update::Disconnected(end) => {
            format!(
                "{} {:?}",
                end.error.as_deref().unwrap_or("ended"),
                end.retry_after.map(|wait| wait.as_secs())
            )
        }
        _ => String::from("unknown"),
    }
}
