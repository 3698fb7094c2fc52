//! What is told as it happens.

use demo_support::console;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Tells what happens, with the time since it was made. Clones share the beginning.
#[derive(Clone)]
pub(crate) struct Story {
    begun: Instant,
    /// The same moment, for those who look at another clock.
    begun_at: SystemTime,
    unheard: Arc<dyn Fn() + Send + Sync>,
}

impl Story {
    /// `unheard` is called when nobody listens any more.
    pub(crate) fn begin(unheard: impl Fn() + Send + Sync + 'static) -> Self {
        Self { begun: Instant::now(), begun_at: SystemTime::now(), unheard: Arc::new(unheard) }
    }

    /// Tells that something happened to somebody.
    pub(crate) fn tell(&self, who: &str, what: fmt::Arguments<'_>) {
        self.line(format_args!("{:>7.3} s  {who:<8} {what}", self.begun.elapsed().as_secs_f64()));
    }

    /// A time as this story counts it, in seconds.
    pub(crate) fn seconds(&self, time: SystemTime) -> f64 {
        time.duration_since(self.begun_at).map_or(0.0, |since| since.as_secs_f64())
    }

    /// Writes a line as it is.
    pub(crate) fn line(&self, text: fmt::Arguments<'_>) {
        if !console::print(format_args!("{text}\n")) {
            (self.unheard)();
        }
    }
}
