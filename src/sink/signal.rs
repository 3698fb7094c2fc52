//! What the control plane tells a sink apart from events.

use crate::error::ConfigError;
use crate::stats::{FlushReport, Ledgers, SinkState, Weight};
use crate::time::Deadline;
use crate::wait::context::quietly;
use std::time::Instant;

/// What the control plane tells a sink apart from events.
///
/// Sinks that wrap another one hand every signal on to it, also those they don't know.
///
/// # Examples
/// A sink that writes its buffer out when the queue in front has nothing more for it:
/// ```
/// use buslane::{Queue, Sink, WriteError};
/// use buslane::sink::Signal;
/// use std::sync::{Arc, Mutex};
/// #[derive(Default)]
/// struct Lines { buffer: Mutex<String>, file: Mutex<String> }
/// impl Sink<u32> for Lines {
///     fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
///         self.buffer.lock().unwrap().push_str(&format!("{event}\n"));
///         Ok(())
///     }
///     fn signal(&self, signal: &mut Signal<'_>) {
///         if let Signal::EndOfBatch = signal {
///             self.file.lock().unwrap().push_str(&std::mem::take(&mut *self.buffer.lock().unwrap()));
///         }
///     }
/// }
/// let lines = Arc::new(Lines::default());
/// let queue = Queue::builder().spawn_sink(lines.clone())?;
/// queue.write(1)?;
/// queue.write(2)?;
/// assert!(queue.close().is_done());
/// assert_eq!(*lines.file.lock().unwrap(), "1\n2\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Signal<'a> {
    /// Give up waiting at once: a close has run past its deadline.
    Abort,
    /// The worker in front has handed on everything it had: write out buffers.
    EndOfBatch,
    /// Wait, until the deadline, until everything accepted so far was handled, and note in the report how far it came. A wrapper
    /// forwards this very report, or merges a report of its own into it: what is still to be waited for travels in there.
    Flush(Deadline, &'a mut FlushReport),
    /// Time passes. `next` is when the sink wants to be told again at the latest.
    Tick {
        /// The time.
        now: Instant,
        /// When to call again at the latest; a sink only ever makes it earlier.
        next: &'a mut Option<Instant>,
    },
    /// Say, by making it true, whether you take nothing any more.
    IsClosed(&'a mut bool),
    /// Describe yourself.
    Describe(&'a mut SinkState),
    /// Name the ledgers in which events end that were [pending](crate::stats::Disposition::Pending) when you accepted them. Asked by
    /// what stands in front; a sink of your own has nothing to add.
    Ledgers(&'a mut Ledgers),
    /// A batch upstream counts the events of its batches: count them, too. Sent when the batch is made, before its first event; a sink
    /// of your own has nothing to do.
    Weigh(&'a Weight),
    /// Check the settings, yours and those of the sinks inside: the first invalid one is the error. Sent by the call that puts a chain of
    /// sinks to use, before its first event; a sink without settings has nothing to do.
    Validate(&'a mut Result<(), ConfigError>),
}

/// The ledgers of a sink, and of what is behind it.
pub(crate) fn ledgers<E>(sink: &(impl super::Sink<E> + ?Sized)) -> Ledgers {
    let mut ledgers = Ledgers::default();
    quietly(|| sink.signal(&mut Signal::Ledgers(&mut ledgers)));
    ledgers
}

/// Checks the settings of a sink, and of the sinks inside it.
pub(crate) fn validate<E>(sink: &(impl super::Sink<E> + ?Sized)) -> Result<(), ConfigError> {
    let mut result = Ok(());
    quietly(|| sink.signal(&mut Signal::Validate(&mut result)));
    result
}
