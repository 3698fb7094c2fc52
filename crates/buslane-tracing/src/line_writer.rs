//! A writer whose lines are written by a worker thread.

mod builder;
mod handler;

pub use builder::{LineOrder, NonBlockingBuilder};

use crate::guard::{BusLog, Guard, Log};
use crate::line::{Budget, INLINE, Line};
use crate::order::Stamp;
use crate::output::to_stderr;
use crate::thread;
use buslane::Published;
use buslane::error::Closed;
use buslane::stats::Ledger;
use std::fmt;
use std::io;
use std::sync::Arc;
use tracing_subscriber::fmt::MakeWriter;

/// Returns a writer that never waits for `writer`, and the guard that flushes and closes it.
///
/// A worker thread writes the lines to `writer`, in the order of their time. It takes the place of
/// the function of the same name in tracing-appender. For settings, see [`NonBlockingBuilder`].
///
/// If the system cannot start the worker thread, that is reported on stderr, and in
/// [`Guard::close`]; all lines are then refused and counted.
/// [`NonBlockingBuilder::build`] returns an error instead.
///
/// # Examples
/// ```
/// let (writer, _guard) = buslane_tracing::non_blocking(std::io::stdout());
/// tracing_subscriber::fmt().with_writer(writer).init();
/// tracing::info!("written by the worker thread");
/// ```
pub fn non_blocking<W: io::Write + Send + 'static>(writer: W) -> (NonBlocking, Guard) {
    NonBlockingBuilder::default().finish(writer)
}

/// A writer that gives each line to a worker thread, and never waits for the inner writer.
///
/// Each call of [`write`](io::Write::write) is one line, which stays whole: it should end with an end
/// of line. Clones write to the same worker. Flushing does nothing: see [`Guard::flush`].
///
/// What a caller does for a line of up to 230 bytes is to copy it into a ring, without a lock, an
/// allocation or a system call. Longer lines are allocated, within a limit for all of them
/// ([`NonBlockingBuilder::long_lines_limit`]).
///
/// # Examples
/// ```
/// use std::io::Write;
/// let (mut writer, _guard) = buslane_tracing::non_blocking(std::io::stdout());
/// writeln!(writer, "a line of {} words", 5)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct NonBlocking(Arc<Shared>);

/// What the clones of a writer share.
struct Shared {
    log: Arc<BusLog<Line>>,
    budget: Arc<Budget>,
    order: LineOrder,
    /// Whether threads get lanes of their own.
    private: bool,
    /// Whether a lost line is an error for the caller.
    strict: bool,
}

/// What the first line after the close writes to stderr.
const LATE: &str = "a line came after the log was closed, and is lost: keep the guard until the end of the program, \
                    with `let _guard = ...` and not with `let _ = ...`";

impl NonBlocking {
    /// Returns a writer with the default settings and its guard, as [`non_blocking`](fn@crate::non_blocking) does.
    ///
    /// It takes the place of the function of the same name in tracing-appender:
    ///
    /// | tracing-appender | here |
    /// |---|---|
    /// | `NonBlocking::new`, `non_blocking` | the same names and arguments |
    /// | the module `non_blocking` | [the same name](mod@crate::non_blocking), with the types below |
    /// | `WorkerGuard` | [`WorkerGuard`](crate::WorkerGuard), another name of [`Guard`] |
    /// | `NonBlockingBuilder` with `lossy`, `buffered_lines_limit`, `thread_name`, `finish` | the same names; the limit is that of each lane, 1024 lines by default |
    /// | `ErrorCounter::dropped_lines` | the same name; losses of every kind are in it |
    ///
    /// # Examples
    /// ```
    /// use buslane_tracing::{NonBlocking, WorkerGuard};
    /// let (writer, _guard): (NonBlocking, WorkerGuard) = NonBlocking::new(std::io::stdout());
    /// tracing_subscriber::fmt().with_writer(writer).init();
    /// ```
    pub fn new<W: io::Write + Send + 'static>(writer: W) -> (Self, Guard) {
        non_blocking(writer)
    }

    fn of(shared: Shared) -> (Self, Guard) {
        let guard = Guard::new(shared.log.clone());
        (Self(Arc::new(shared)), guard)
    }

    /// Returns a builder with the default settings, as [`NonBlockingBuilder::default`] does.
    pub fn builder() -> NonBlockingBuilder {
        NonBlockingBuilder::default()
    }

    /// Returns the ledger of the log, as [`Guard::ledger`] does.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.log.ledger()
    }

    /// Returns a handle to the number of lost lines.
    #[must_use]
    pub fn error_counter(&self) -> ErrorCounter {
        ErrorCounter(self.0.log.clone())
    }

    /// Publishes one line.
    #[inline]
    fn put(&self, bytes: &[u8]) -> io::Result<usize> {
        let shared = &*self.0;
        let Some(_muted) = thread::mute() else {
            shared.log.counters.add_reentrant();
            return Ok(bytes.len());
        };
        if bytes.is_empty() {
            return Ok(0);
        }
        let bus = &shared.log.bus;
        let published = if bytes.len() > INLINE {
            let Some(line) = Line::spilled(bytes, shared.stamp(), &shared.budget) else {
                shared.log.counters.add_oversized();
                return shared.lost(bytes.len(), io::ErrorKind::OutOfMemory);
            };
            let published = if shared.private { thread::publish(bus, line) } else { bus.publish(line) };
            published.map_err(|_| Closed(()))
        } else if shared.private {
            thread::publish_in_place(bus, || Line::new(shared.stamp()), |line| line.fill(bytes))
        } else {
            let mut line = Line::new(shared.stamp());
            line.fill(bytes);
            bus.publish(line).map_err(|_| Closed(()))
        };
        match published {
            Ok(published) if published.accepted > 0 => Ok(bytes.len()),
            other => shared.not_accepted(bytes.len(), other),
        }
    }
}

impl Shared {
    /// Returns the stamp of a line that is written now.
    #[inline(always)]
    fn stamp(&self) -> Stamp {
        let (thread, sequence) = thread::number_and_sequence();
        Stamp { key: self.order.key(), thread, sequence }
    }

    /// Returns the outcome for a line that no queue has accepted for long.
    #[cold]
    fn not_accepted(&self, bytes: usize, published: Result<Published, Closed<()>>) -> io::Result<usize> {
        match published {
            Ok(Published { refused: 0, dropped, .. }) if dropped > 0 => Ok(bytes),
            Ok(Published { refused, .. }) if refused > 0 => self.lost(bytes, io::ErrorKind::WouldBlock),
            // The bus is closed, or the queue has closed itself and left the bus.
            _ => {
                if self.log.counters.add_late() && self.log.queue.is_ok() {
                    to_stderr(format_args!("{LATE}"));
                }
                self.lost(bytes, io::ErrorKind::BrokenPipe)
            }
        }
    }

    /// Returns the outcome for a line that is lost and counted.
    fn lost(&self, bytes: usize, kind: io::ErrorKind) -> io::Result<usize> {
        if self.strict { Err(kind.into()) } else { Ok(bytes) }
    }
}

impl io::Write for &NonBlocking {
    /// Gives one line to the worker.
    ///
    /// # Errors
    /// None if the [overflow policy](NonBlockingBuilder::overflow) drops lines: they are counted. With
    /// another policy, the kind says why the line is lost: `WouldBlock` for a line that was refused
    /// or waited in vain, `OutOfMemory` for a long line above the limit, and `BrokenPipe` after the
    /// close.
    #[inline]
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Formats the whole line first: the pieces of `writeln!` would be lines by themselves.
    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        if let Some(text) = args.as_str() {
            return self.put(text.as_bytes()).map(drop);
        }
        let mut text = String::new();
        fmt::Write::write_fmt(&mut text, args).map_err(io::Error::other)?;
        self.put(text.as_bytes()).map(drop)
    }
}

impl io::Write for NonBlocking {
    /// Gives one line to the worker, as for `&NonBlocking`.
    #[inline]
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        (&*self).write_fmt(args)
    }
}

impl<'a> MakeWriter<'a> for NonBlocking {
    // A clone would be a read-modify-write of a count that all threads share, for each event.
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl fmt::Debug for NonBlocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonBlocking").field("order", &self.0.order).finish_non_exhaustive()
    }
}

/// The number of lines that were lost, for a check from time to time.
///
/// [`NonBlocking::ledger`] has them by reason.
#[derive(Clone)]
pub struct ErrorCounter(Arc<BusLog<Line>>);

impl ErrorCounter {
    /// Returns the number of lines that were lost, for whatever reason.
    ///
    /// # Examples
    /// ```
    /// let (writer, _guard) = buslane_tracing::non_blocking(std::io::sink());
    /// assert_eq!(writer.error_counter().dropped_lines(), 0);
    /// ```
    #[must_use]
    pub fn dropped_lines(&self) -> usize {
        let ledger = self.0.ledger();
        usize::try_from(ledger.dropped.total() + ledger.refused.total()).unwrap_or(usize::MAX)
    }
}

impl fmt::Debug for ErrorCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ErrorCounter").field(&self.dropped_lines()).finish()
    }
}
