//! What is told as it happens.

use demo_support::console;
use std::fmt;
use std::time::Instant;

/// Tells what happens, with the time since it was made. Copies share the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Story {
    begun: Instant,
}

impl Story {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    /// Tells that something happened to somebody.
    pub(crate) fn tell(self, who: &str, what: fmt::Arguments<'_>) {
        self.line(format_args!("{:>7.3} s  {who:<9} {what}", self.begun.elapsed().as_secs_f64()));
    }

    /// Writes a line as it is.
    pub(crate) fn line(self, text: fmt::Arguments<'_>) {
        // The notifications go on when nobody listens any more.
        console::print(format_args!("{text}\n"));
    }
}
