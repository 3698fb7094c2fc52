//! Reports what happens while it happens, as text or as JSON Lines.

use crate::style::dimmed;
use crate::{Mark, Report, console};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Prints what happens, with the time since the start. Clones share the start.
#[derive(Clone)]
pub struct Story {
    start: Instant,
    /// The same moment on the other clock.
    started_at: SystemTime,
    is_json: bool,
    unread: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Story").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Story {
    /// Starts now. Calls `unread` whenever standard output accepts no further text.
    pub fn start(is_json: bool, unread: impl Fn() + Send + Sync + 'static) -> Self {
        Self { start: Instant::now(), started_at: SystemTime::now(), is_json, unread: Arc::new(unread) }
    }

    /// Prints what happened, and to which part of the program.
    pub fn tell(&self, part: &str, what: fmt::Arguments<'_>) {
        self.tell_as(Mark::Neutral, part, what);
    }

    /// The same, in the color of `mark`.
    pub fn tell_as(&self, mark: Mark, part: &str, what: fmt::Arguments<'_>) {
        let seconds = self.start.elapsed().as_secs_f64();
        if self.is_json {
            return self.json("event", json!({"seconds": seconds, "part": part, "text": what.to_string()}));
        }
        let time = dimmed(format!("{seconds:>7.3} s"));
        self.print(format_args!("{time}  {part:<9} {}\n", mark.paint(what)));
    }

    /// Prints a line of text; nothing in a stream of JSON.
    pub fn note(&self, text: fmt::Arguments<'_>) {
        if !self.is_json {
            self.print(format_args!("{text}\n"));
        }
    }

    /// Prints the report: as the last line of a stream of JSON, or as text after an empty line.
    pub fn report(&self, json: &impl Serialize, report: &Report) {
        if self.is_json {
            self.json("report", json!(json));
        } else {
            self.print(format_args!("\n{report}"));
        }
    }

    /// Returns a time as seconds since the start.
    #[must_use]
    pub fn seconds(&self, time: SystemTime) -> f64 {
        time.duration_since(self.started_at).map_or(0.0, |since| since.as_secs_f64())
    }

    fn json(&self, kind: &str, mut fields: Value) {
        fields["type"] = kind.into();
        self.print(format_args!("{fields}\n"));
    }

    fn print(&self, text: fmt::Arguments<'_>) {
        if !console::print(text) {
            (self.unread)();
        }
    }
}
