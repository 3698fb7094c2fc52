//! What a client reads for as long as it is connected: frames, and tapped events.

use super::output::{LIMIT, Output};
use super::request::TapRequest;
use crate::registry::Inspector;
use crate::tap::{Taken, Tap};
use crate::warnings::Watch;
use serde_json::json;
use std::time::{Duration, Instant};

/// The time between two looks into a tap. Its channel wakes no thread, so that a publish costs what
/// it costs with any channel.
const TAP_EVERY: Duration = Duration::from_millis(20);

/// The bytes that may wait for the client of a tap before events stay in the tap, where those that
/// do not fit are counted.
const TAP_LIMIT: usize = LIMIT / 4;

/// The most bytes of the text of one event.
const EVENT_LIMIT: usize = 64 * 1024;

/// The most events that one turn takes out of a tap, so that other connections get their turn.
const TURN: usize = 1024;

pub(super) enum Source {
    Frames(Box<Frames>),
    Tap(Box<Tapped>),
}

impl Source {
    /// Returns when there may be something to send.
    pub(super) fn due(&self) -> Instant {
        match self {
            Self::Frames(frames) => frames.due,
            Self::Tap(tapped) => tapped.due,
        }
    }

    /// Appends what is due. Returns `false` if the stream has ended.
    pub(super) fn fill(
        &mut self,
        inspector: &Inspector,
        output: &mut Output,
        chunked: bool,
        now: Instant,
    ) -> bool {
        match self {
            Self::Frames(frames) => {
                frames.fill(inspector, output, chunked, now);
                true
            }
            Self::Tap(tapped) => tapped.fill(output, chunked, now),
        }
    }
}

pub(super) struct Frames {
    every: Duration,
    due: Instant,
    watch: Watch,
}

impl Frames {
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, due: now, watch: Watch::new() }
    }

    fn fill(&mut self, inspector: &Inspector, output: &mut Output, chunked: bool, now: Instant) {
        if now < self.due {
            return;
        }
        self.due += self.every;
        if self.due <= now {
            // After a delay, such as a stopped process, frames that are overdue are left out.
            self.due = now + self.every;
        }
        output.push_chunk(&line(inspector, &mut self.watch), chunked);
    }
}

/// Returns a frame as a line of JSON.
pub(super) fn line(inspector: &Inspector, watch: &mut Watch) -> Vec<u8> {
    let mut frame = inspector.frame();
    frame.warnings = watch.observe(&frame);
    // A frame has no map with keys that are not text, which is all that could fail.
    let mut line = serde_json::to_vec(&frame).unwrap_or_default();
    line.push(b'\n');
    line
}

pub(super) struct Tapped {
    tap: Box<dyn Tap>,
    due: Instant,
    /// The events that are still to be sent, if there is a limit.
    left: Option<u64>,
    contains: String,
    /// The lost events that the client knows of.
    lost: u64,
}

impl Tapped {
    /// Begins the stream.
    pub(super) fn new(
        tap: Box<dyn Tap>,
        request: TapRequest,
        output: &mut Output,
        chunked: bool,
        now: Instant,
    ) -> Self {
        let about = json!({"tap": {"bus": request.bus, "sink": tap.sink(), "every": request.every}});
        push(output, &about.to_string(), chunked);
        Self { tap, due: now, left: request.most, contains: request.contains, lost: 0 }
    }

    fn fill(&mut self, output: &mut Output, chunked: bool, now: Instant) -> bool {
        if now < self.due {
            return true;
        }
        self.due = now + TAP_EVERY;
        for _ in 0..TURN {
            if self.left == Some(0) {
                return self.end(output, "most", chunked);
            }
            if output.len() > TAP_LIMIT {
                return true;
            }
            match self.tap.next() {
                Taken::Event(Ok(text)) if text.len() > EVENT_LIMIT => {
                    push(output, &json!({"too_large": text.len()}).to_string(), chunked);
                }
                Taken::Event(Ok(text)) => {
                    if contains(&text, &self.contains) {
                        self.left = self.left.map(|left| left - 1);
                        push(output, &format!("{{\"event\":{text}}}"), chunked);
                    }
                }
                Taken::Event(Err(error)) => push(output, &json!({"error": error}).to_string(), chunked),
                Taken::Nothing => {
                    self.tell_lost(output, chunked);
                    return true;
                }
                Taken::Closed => return self.end(output, "closed", chunked),
                Taken::Gone => return self.end(output, "gone", chunked),
            }
        }
        self.tell_lost(output, chunked);
        // There is more.
        self.due = now;
        true
    }

    fn tell_lost(&mut self, output: &mut Output, chunked: bool) {
        let total = self.tap.lost();
        if total > self.lost {
            let lost = json!({"lost": total - self.lost, "lost_total": total});
            push(output, &lost.to_string(), chunked);
            self.lost = total;
        }
    }

    fn end(&mut self, output: &mut Output, why: &str, chunked: bool) -> bool {
        self.tell_lost(output, chunked);
        push(output, &json!({"end": why}).to_string(), chunked);
        false
    }
}

fn push(output: &mut Output, text: &str, chunked: bool) {
    output.push_chunk(format!("{text}\n").as_bytes(), chunked);
}
/// Returns whether an event has a text: that of the event itself, if it is one, and else its JSON.
fn contains(event: &str, text: &str) -> bool {
    match serde_json::from_str::<String>(event) {
        Ok(event) => event.contains(text),
        Err(_) => event.contains(text),
    }
}
