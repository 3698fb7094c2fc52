//! The writer of a worker: lines go in, and errors, panics and recoveries of the writer are handled.
//!
//! - Lines are collected and written in large pieces that end with a line, or one by one.
//! - After an error the rest is kept, and written again after a backoff. The worker does not wait
//!   for that: it takes further lines, up to [`MOST_BYTES`]. Above that it refuses them, and its
//!   queue counts them as failed.
//! - With a reopen hook, an error also replaces the writer, before the next attempt. The new writer
//!   gets the line again that the old one had begun, from its beginning.
//! - A panic of the writer costs the line at which it happened, since that line may be the reason. A
//!   panic in a piece of several lines costs none: they are written one by one at the next attempts.
//!   If the writer had taken a part of the lost line, the end of that line is still written, so that the
//!   next one begins a line of its own.
//! - The first error, and then at most one per minute, is reported to stderr. When the writer works
//!   again, the log itself tells how long it did not.

use crate::losses::Counters;
use buslane::BoxError;
use buslane::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lines are written when this number of bytes is waiting, or the batch ends.
const PIECE: usize = 64 * 1024;
/// The bytes of lines that are kept while the writer fails.
pub(crate) const MOST_BYTES: usize = 1 << 20;
/// The longest wait before the next attempt, and the first one.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// The time between two messages on stderr.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// The interruptions in a row after which a write counts as failed.
const MOST_INTERRUPTIONS: u32 = 100;

/// Opens a writer again after an error.
pub(crate) type Reopen<W> = Box<dyn FnMut() -> io::Result<W> + Send>;

/// Turns a text of this crate into a line of the log.
pub(crate) type Notice = fn(&mut Vec<u8>, fmt::Arguments<'_>);

/// The writer, and the lines that it has not written.
pub(crate) struct Output<W> {
    writer: W,
    reopen: Option<Reopen<W>>,
    one_by_one: bool,
    notice: Notice,
    counters: Arc<Counters>,
    /// The bytes of the lines that are not written to their ends.
    bytes: Vec<u8>,
    /// Where the first of them begins, and how far it and those after it are written.
    start: usize,
    written: usize,
    /// Where each of them ends.
    ends: VecDeque<(usize, Origin)>,
    /// The writer panicked in a piece that ended here: up to here, each line is one call.
    suspect: usize,
    /// Whether the last line was taken without its end of line.
    is_open: bool,
    /// Whether the writer got bytes since it was flushed.
    unflushed: bool,
    failure: Option<Failure>,
    backoff: Backoff,
    reports: Reports,
}

/// Which counts a line belongs to: only those of users are in any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    User,
    /// A text of this crate.
    Crate,
    /// What is left of a line at which the writer panicked: its end of line.
    Torn,
}

/// A writer that fails.
#[derive(Debug)]
struct Failure {
    since: Instant,
    attempts: u32,
    /// The attempts since the writer took bytes, which the backoff goes by.
    row: u32,
    next: Instant,
    /// Whether the writer has to be opened again before the next attempt.
    reopen: bool,
    /// The text of the last error.
    text: String,
}

/// The messages on stderr.
#[derive(Debug, Default)]
struct Reports {
    last: Option<Instant>,
    silent: u64,
}

impl<W: Write> Output<W> {
    /// Creates the output of a writer.
    pub(crate) fn new(writer: W, counters: Arc<Counters>, notice: Notice) -> Self {
        Self {
            writer,
            reopen: None,
            one_by_one: false,
            notice,
            counters,
            bytes: Vec::new(),
            start: 0,
            written: 0,
            ends: VecDeque::new(),
            suspect: 0,
            is_open: false,
            unflushed: false,
            failure: None,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            reports: Reports::default(),
        }
    }

    /// Sets the hook that opens the writer again after an error.
    /// A line that is torn at the error is written again, whole, by the new writer.
    pub(crate) fn with_reopen(mut self, reopen: Option<Reopen<W>>) -> Self {
        self.reopen = reopen;
        self
    }

    /// Sets whether each line is one call of the writer.
    pub(crate) fn one_by_one(mut self, one_by_one: bool) -> Self {
        self.one_by_one = one_by_one;
        self
    }

    /// Returns whether a line of `bytes` bytes finds room. While the writer works, every line does.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.failure.is_none() || self.waiting() + bytes <= MOST_BYTES
    }

    /// Returns the error of the writer, for a line that finds no room.
    pub(crate) fn error(&self) -> BoxError {
        match &self.failure {
            Some(failure) => format!("the writer failed: {}", failure.text).into(),
            None => "the writer failed".into(),
        }
    }

    /// Adds a line, which has room.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.ends.push_back((self.bytes.len(), Origin::User));
        self.is_open = line.last().is_some_and(|byte| *byte != b'\n');
        if self.waiting() >= PIECE && self.failure.is_none() {
            self.write(Instant::now());
        }
    }

    /// Adds a line with a text of this crate. Returns whether there was room for it.
    pub(crate) fn tell(&mut self, text: fmt::Arguments<'_>) -> bool {
        let room = self.has_room(256);
        if room {
            if std::mem::take(&mut self.is_open) {
                self.bytes.push(b'\n');
            }
            (self.notice)(&mut self.bytes, text);
            self.ends.push_back((self.bytes.len(), Origin::Crate));
        }
        room
    }

    /// Writes the lines and flushes the writer, unless it failed and the wait is not over.
    pub(crate) fn end_of_batch(&mut self, now: Instant) {
        if self.failure.as_ref().is_none_or(|failure| failure.next <= now) {
            self.write_and_flush(now);
        }
    }

    /// Returns when the next attempt is due, if the writer failed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.failure.as_ref().map(|failure| failure.next)
    }

    /// Writes the lines and flushes the writer now, with one attempt.
    ///
    /// # Errors
    /// The error of the writer.
    pub(crate) fn flush(&mut self, now: Instant) -> Result<(), BoxError> {
        if self.write_and_flush(now) { Ok(()) } else { Err(self.error()) }
    }

    /// Gives up the lines that are not written, and returns their number.
    pub(crate) fn give_up(&mut self) -> u64 {
        let lines = self.ends.drain(..).filter(|(_, origin)| *origin == Origin::User).count() as u64;
        self.counters.add_failed(lines);
        self.bytes = Vec::new();
        (self.start, self.written, self.suspect) = (0, 0, 0);
        lines
    }

    fn write_and_flush(&mut self, now: Instant) -> bool {
        let flushed = self.write(now) && self.flush_writer(now);
        // A flush that succeeds again leaves a text.
        flushed && (self.waiting() == 0 || self.write(now) && self.flush_writer(now))
    }

    fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Writes until nothing waits, or the writer fails. Returns whether nothing waits.
    fn write(&mut self, now: Instant) -> bool {
        if !self.reopened(now) {
            return false;
        }
        let (mut interruptions, mut works) = (0, false);
        loop {
            let Some((end, _)) = self.piece() else {
                // Told once nothing waits. A writer that takes a part and fails again has not recovered,
                // and a notice for each part would be more than it takes.
                if works && self.failure.is_some() {
                    self.recovered(now);
                    continue;
                }
                break;
            };
            let (writer, piece) = (&mut self.writer, &self.bytes[self.written..end]);
            match caught(|| writer.write(piece)) {
                Ok(Ok(0)) => return self.failed(now, &io::ErrorKind::WriteZero.into()),
                Ok(Ok(count)) => {
                    (interruptions, works) = (0, true);
                    self.unflushed = true;
                    // A writer that claims more than it got has written it all.
                    self.advance(count.min(end - self.written));
                    if let Some(failure) = &mut self.failure {
                        failure.row = 0;
                    }
                }
                Ok(Err(error))
                    if error.kind() == io::ErrorKind::Interrupted && interruptions < MOST_INTERRUPTIONS =>
                {
                    interruptions += 1;
                }
                Ok(Err(error)) => return self.failed(now, &error),
                Err(text) => {
                    self.note_panic(end);
                    return self.failed(now, &io::Error::other(format!("the writer panicked: {text}")));
                }
            }
        }
        self.compact();
        true
    }

    /// Returns the end of the bytes to write next, which is the end of a line.
    fn piece(&self) -> Option<(usize, Origin)> {
        let one_by_one = self.one_by_one || self.written < self.suspect;
        if one_by_one { self.ends.front().copied() } else { self.ends.back().copied() }
    }

    /// Records that bytes were written, and which lines that completes.
    fn advance(&mut self, bytes: usize) {
        self.written += bytes;
        let mut lines = 0;
        while let Some((end, origin)) = self.ends.front().copied().filter(|(end, _)| *end <= self.written) {
            self.ends.pop_front();
            self.start = end;
            lines += u64::from(origin == Origin::User);
        }
        self.counters.add_written(lines);
    }

    /// Records that the writer panicked in a piece that ends here: gives up the line, if it was only
    /// one, or has the lines written one by one.
    fn note_panic(&mut self, end: usize) {
        let Some((first, origin)) = self.ends.front().copied() else { return };
        if first < end {
            self.suspect = self.suspect.max(end);
            return;
        }
        let is_torn = self.written > self.start;
        let has_end = self.bytes.get(..first).is_some_and(|bytes| bytes.ends_with(b"\n"));
        if origin != Origin::Torn && is_torn && has_end {
            // What the writer has taken of the line would be glued to the next one.
            (self.start, self.written) = (first - 1, first - 1);
            if let Some((_, origin)) = self.ends.front_mut() {
                *origin = Origin::Torn;
            }
        } else {
            self.ends.pop_front();
            (self.start, self.written) = (first, first);
        }
        if origin == Origin::User {
            self.counters.add_panicked();
        }
    }

    /// Frees the bytes of written lines.
    fn compact(&mut self) {
        let start = std::mem::take(&mut self.start);
        self.bytes.drain(..start);
        self.written -= start;
        self.suspect = self.suspect.saturating_sub(start);
        self.ends.iter_mut().for_each(|(end, _)| *end -= start);
        self.bytes.shrink_to(MOST_BYTES);
    }

    /// Flushes the writer, if it got bytes since the last time.
    fn flush_writer(&mut self, now: Instant) -> bool {
        if !self.unflushed {
            return true;
        }
        let mut interruptions = 0;
        loop {
            let writer = &mut self.writer;
            return match caught(|| writer.flush()) {
                Ok(Ok(())) => {
                    self.unflushed = false;
                    self.recovered(now);
                    true
                }
                Ok(Err(error))
                    if error.kind() == io::ErrorKind::Interrupted && interruptions < MOST_INTERRUPTIONS =>
                {
                    interruptions += 1;
                    continue;
                }
                Ok(Err(error)) => self.failed(now, &error),
                Err(text) => {
                    self.failed(now, &io::Error::other(format!("the writer's flush panicked: {text}")))
                }
            };
        }
    }

    /// Opens the writer again if it failed and there is a hook. Returns whether there is a writer.
    fn reopened(&mut self, now: Instant) -> bool {
        let Some(reopen) = &mut self.reopen else { return true };
        if !self.failure.as_ref().is_some_and(|failure| failure.reopen) {
            return true;
        }
        match caught(reopen) {
            Ok(Ok(writer)) => {
                let old = std::mem::replace(&mut self.writer, writer);
                let _ = caught(|| drop(old));
                if let Some(failure) = &mut self.failure {
                    failure.reopen = false;
                }
                self.written = self.start;
                true
            }
            Ok(Err(error)) => self.failed(now, &error),
            Err(text) => self.failed(now, &io::Error::other(format!("the reopen hook panicked: {text}"))),
        }
    }

    /// Records an error, and when the next attempt is due. Returns `false`.
    #[cold]
    fn failed(&mut self, now: Instant, error: &io::Error) -> bool {
        self.compact();
        self.counters.add_error(error.kind());
        self.reports.error(now, error);
        let (since, attempts, row) = self
            .failure
            .as_ref()
            .map_or((now, 0, 0), |failure| (failure.since, failure.attempts, failure.row));
        let (attempts, row) = (attempts.saturating_add(1), row.saturating_add(1));
        let elapsed = now.saturating_duration_since(since);
        let attempt = Attempt::new(row, elapsed, AttemptError::Failed(error));
        let wait = match self.backoff.failure(&(), &attempt) {
            Next::After(wait) => wait,
            _ => LONGEST_WAIT,
        };
        self.failure = Some(Failure {
            since,
            attempts,
            row,
            next: now + wait,
            reopen: self.reopen.is_some(),
            text: error.to_string(),
        });
        false
    }

    /// Tells in the log that the writer works again, if it has failed.
    fn recovered(&mut self, now: Instant) {
        if let Some(Failure { since, attempts, text, .. }) = self.failure.take() {
            let seconds = now.saturating_duration_since(since).as_secs_f64();
            let errors = if attempts == 1 { "error" } else { "errors" };
            self.tell(format_args!(
                "the writer failed for {seconds:.3} s ({attempts} {errors}, the last one: {text})"
            ));
        }
    }
}

impl<W> fmt::Debug for Output<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.bytes.len() - self.written;
        f.debug_struct("Output")
            .field("waiting", &waiting)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl Reports {
    /// Reports an error to stderr, at most once per interval.
    fn error(&mut self, now: Instant, error: &io::Error) {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < REPORT_INTERVAL) {
            self.silent += 1;
            return;
        }
        self.last = Some(now);
        match std::mem::take(&mut self.silent) {
            0 => to_stderr(format_args!("the writer of the log failed: {error}")),
            more => to_stderr(format_args!(
                "the writer of the log failed: {error} ({more} errors before this one)"
            )),
        }
    }
}

/// Writes a message of this crate to stderr. A failure of stderr is ignored: there is no further
/// channel to report it to.
pub(crate) fn to_stderr(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "buslane-tracing: {text}");
}

/// Calls the writer, and returns the text of its panic.
fn caught<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    // The writer's own state may be broken by the panic. It is used again, as a file or socket is
    // sound after a failed call; a writer that is not panics again, and is called ever more rarely.
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        // The drop of a payload may panic, too.
        std::mem::forget(payload);
        text.unwrap_or_else(|| "no text".to_owned())
    })
}

/// The line of a text of this crate in a log of plain lines.
pub(crate) fn plain_notice(line: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    // Writing into a vector fails only if the text's own `Display` does, which leaves the line cut.
    let _ = writeln!(line, "buslane: {text}");
}
