//! The worker's side of a log of lines: output and losses together.
//!
//! A [`Handler`](buslane::queue::Handler) of this crate owns one [`Lines`], and a
//! [`Sorter`](crate::order::Sorter) if its lines have an order. All calls are made by the queue's
//! worker thread:
//!
//! 1. In `handle`: [`admit`](Lines::admit), then [`write_taken`](Lines::write_taken) or a push into
//!    the sorter, then [`count_taken`](Lines::count_taken).
//! 2. In each other call: what the sorter returns goes to [`write_taken`](Lines::write_taken), then
//!    the call of the same name here.

use crate::losses::{Counters, Losses};
use crate::output::Output;
use crate::thread::mute_worker;
use buslane::BoxError;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

/// Lines on their way to a writer.
#[derive(Debug)]
pub(crate) struct Lines<W> {
    output: Output<W>,
    losses: Losses,
    counters: Arc<Counters>,
}

impl<W: Write> Lines<W> {
    /// Creates the worker's side.
    pub(crate) fn new(output: Output<W>, losses: Losses, counters: Arc<Counters>) -> Self {
        Self { output, losses, counters }
    }

    /// Admits one more line. The handler then calls [`count_taken`](Self::count_taken), and
    /// [`write_taken`](Self::write_taken) when the line is due.
    ///
    /// # Errors
    /// The error of the writer, if it fails and the memory for lines is used up. The line is lost.
    pub(crate) fn admit(&self) -> Result<(), BoxError> {
        if self.output.has_room(0) { Ok(()) } else { Err(self.output.error()) }
    }

    /// Counts an admitted line. This is the last step for the line before its handler returns: until
    /// then, the queue counts it as pending.
    pub(crate) fn count_taken(&self) {
        self.counters.add_taken();
    }

    /// Writes an admitted line, with its end of line.
    pub(crate) fn write_taken(&mut self, line: &[u8]) {
        self.output.line(line);
    }

    /// Ends a batch: writes the lines, and flushes the writer.
    pub(crate) fn end_of_batch(&mut self, now: Instant) {
        self.losses.note_flow(now);
        self.write(now);
    }

    /// Does what is due, and returns when to call again.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Instant> {
        mute_worker();
        self.write(now);
        [self.output.due(), self.losses.due()].into_iter().flatten().min()
    }

    /// Writes all lines, and flushes the writer.
    ///
    /// # Errors
    /// The error of the writer.
    pub(crate) fn flush(&mut self, now: Instant) -> Result<(), BoxError> {
        let all_told = self.tell();
        self.output.flush(now)?;
        if !all_told {
            // Now there is room.
            self.tell();
            self.output.flush(now)?;
        }
        Ok(())
    }

    /// Writes all lines and flushes the writer for the last time. What cannot be written is given up
    /// and counted.
    ///
    /// # Errors
    /// The error of the writer, with the number of lines that were given up.
    pub(crate) fn close(&mut self, now: Instant) -> Result<(), BoxError> {
        let flushed = self.flush(now);
        let lost = self.output.give_up();
        flushed.map_err(|error| if lost > 0 { format!("{error}; {lost} lines lost").into() } else { error })
    }

    fn write(&mut self, now: Instant) {
        let (losses, output) = (&mut self.losses, &mut self.output);
        losses.tell_when_due(now, &self.counters, |text| output.tell(text));
        self.output.end_of_batch(now);
    }

    fn tell(&mut self) -> bool {
        let (losses, output) = (&mut self.losses, &mut self.output);
        losses.tell(&self.counters, |text| output.tell(text))
    }
}
