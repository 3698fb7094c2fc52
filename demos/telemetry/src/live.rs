//! The live line on a terminal.

use indicatif::ProgressBar;
use std::time::{Duration, Instant};

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(200);

/// A line on standard error that is written anew a few times a second; nothing at all where that is
/// not a terminal.
#[derive(Debug)]
pub(crate) struct Live {
    line: ProgressBar,
    next: Option<Instant>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self { line: ProgressBar::new_spinner(), next: None }
    }

    /// Writes the line anew if it is time to; returns when it will be next. `None` if there is no
    /// terminal.
    pub(crate) fn show(&mut self, now: Instant, text: impl FnOnce() -> String) -> Option<Instant> {
        if self.line.is_hidden() {
            return None;
        }
        if self.next.is_none_or(|next| now >= next) {
            self.line.set_message(text());
            self.line.tick();
            self.next = Some(now + INTERVAL);
        }
        self.next
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.line.finish_and_clear();
    }
}
