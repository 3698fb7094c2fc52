//! The guard of a log: it flushes the log on demand, and closes it at the end of its scope.

use crate::losses::Counters;
use crate::thread::is_muted;
use buslane::stats::{CloseReport, FlushReport, Ledger};
use buslane::{Bus, Queue};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The limit of the close when a guard is dropped.
const DROP_LIMIT: Duration = Duration::from_secs(5);
/// The limit of the flush when a thread panics.
const PANIC_LIMIT: Duration = Duration::from_secs(1);

/// Flushes a log on demand, and closes it when it is dropped.
///
/// Keep it until the end of `main`: `let (writer, _guard) = ...`, not `let (writer, _) = ...`, which
/// drops it at once. The first line that comes after the close is reported on stderr, and all of
/// them are counted.
///
/// A drop closes with a limit of five seconds. [`close`](Self::close) takes another limit, and
/// returns a report. `std::process::exit`, an abort and a signal drop no guard: call `close` first.
///
/// # Examples
/// ```
/// use std::io::Write;
/// use std::time::Duration;
/// let (mut writer, guard) = buslane_tracing::non_blocking(std::io::sink());
/// writer.write_all(b"a line\n")?;
/// assert!(guard.flush(Duration::from_secs(60)).is_done());
/// assert_eq!(guard.ledger().delivered, 1);
/// let report = guard.close(Duration::from_secs(60));
/// assert!(report.is_done(), "{report}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "the log closes when the guard is dropped: `let _guard = ...` keeps it until the end of the scope"]
pub struct Guard {
    log: Arc<dyn Log>,
    closed: bool,
}

/// The guard under the name that it has in tracing-appender.
///
/// A program that names the type compiles unchanged. What differs: the drop waits for five seconds at
/// most instead of one, and lines that it leaves behind are counted.
///
/// # Examples
/// ```
/// use buslane_tracing::WorkerGuard;
/// struct Logging { _guard: WorkerGuard }
/// let (_writer, _guard) = buslane_tracing::non_blocking(std::io::sink());
/// let logging = Logging { _guard };
/// # drop(logging);
/// ```
pub type WorkerGuard = Guard;

impl Guard {
    /// Creates the guard of a log.
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, closed: false }
    }

    /// Waits until every line that was accepted before this call is written and the writer has
    /// flushed.
    ///
    /// The report contains the error of the writer, if it fails. On a thread that the log itself
    /// uses, the call does not wait.
    pub fn flush(&self, limit: Duration) -> FlushReport {
        self.log.flush(limit)
    }

    /// Closes the log: accepts no further lines, and waits until all accepted ones are written, the
    /// writer has flushed, and it is dropped.
    ///
    /// When the limit passes first, the backlog is discarded.
    /// [`CloseReport::undelivered`] counts the lines that were accepted over the life of the log and are
    /// not written: for lack of time, or because the writer failed or panicked. What the overflow
    /// policy has dropped is not among them.
    pub fn close(mut self, limit: Duration) -> CloseReport {
        self.closed = true;
        self.log.close(limit)
    }

    /// Returns the ledger of the log: the lines that were offered to it, and what became of them.
    ///
    /// | count | lines |
    /// |---|---|
    /// | `delivered` | written: the writer has taken them to their ends |
    /// | `pending` | accepted, and not yet written |
    /// | `dropped.full`, `refused.full` | that found no room: in the queue, or in the memory for long lines |
    /// | `dropped.failed` | that the writer failed to write |
    /// | `dropped.panicked` | at which the writer panicked |
    /// | `dropped.aborted` | discarded by a close whose limit had passed |
    /// | `refused.reentrant` | written by a worker of this crate, or while a line was being published on the same thread |
    /// | `refused.closed` | that came after the close |
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.log.ledger()
    }

    /// Returns how often the writer failed, by kind of error.
    #[must_use]
    pub fn writer_errors(&self) -> Vec<(io::ErrorKind, u64)> {
        self.log.counters().errors()
    }

    /// Returns how many lines are not in the order of their time, because more lines waited than the
    /// log keeps to sort them: 65 536 with a [grace](crate::NonBlockingBuilder::grace), and 8192 without
    /// one. None of them is lost.
    #[must_use]
    pub fn lines_out_of_order(&self) -> u64 {
        self.log.counters().out_of_order()
    }

    /// Flushes the log whenever a thread panics, with a limit of one second.
    ///
    /// The hook comes after the current panic hook, which it calls first. It also runs for panics
    /// that are caught. A program with `panic = "abort"` so keeps its last lines. The hook does
    /// nothing once the guard is closed or dropped.
    pub fn flush_on_panic(self) -> Self {
        // On a panicking thread, the hook must not be replaced.
        if !std::thread::panicking() {
            let (log, previous) = (Arc::downgrade(&self.log), std::panic::take_hook());
            std::panic::set_hook(Box::new(move |info| {
                previous(info);
                // A panic of the writer is on the worker, which must not wait for itself.
                if let Some(log) = log.upgrade().filter(|_| !is_muted()) {
                    let _ = log.flush(PANIC_LIMIT);
                }
            }));
        }
        self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.closed {
            let _ = self.log.close(DROP_LIMIT);
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// A log, whatever the type of its events.
pub(crate) trait Log: Send + Sync {
    fn flush(&self, limit: Duration) -> FlushReport;
    fn close(&self, limit: Duration) -> CloseReport;
    fn ledger(&self) -> Ledger;
    fn counters(&self) -> &Counters;
}

/// A bus with a queue that writes the log.
pub(crate) struct BusLog<E: Send + 'static> {
    pub(crate) bus: Bus<E>,
    /// The queue, or why it could not be started.
    pub(crate) queue: Result<Queue<E>, String>,
    pub(crate) counters: Arc<Counters>,
}

impl<E: Clone + Send + 'static> Log for BusLog<E> {
    fn flush(&self, limit: Duration) -> FlushReport {
        let mut report = self.bus.flush_timeout(limit);
        report.errors.extend(self.queue.as_ref().err().cloned());
        report
    }

    fn close(&self, limit: Duration) -> CloseReport {
        let mut report = self.bus.close_timeout(limit);
        report.undelivered += self.counters.unwritten();
        if let Ok(queue) = &self.queue {
            // The queue counts the lines that the worker has not taken: the writer failed, and the memory
            // for lines was used up.
            let dropped = queue.state().ledger.dropped;
            report.undelivered += dropped.failed + dropped.panicked;
        }
        report.errors.extend(self.queue.as_ref().err().cloned());
        report
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = self.queue.as_ref().map(|queue| queue.state().ledger).unwrap_or_default();
        self.counters.add_to(&mut ledger);
        ledger
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}
