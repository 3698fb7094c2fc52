//! The settings of a non-blocking writer.

use super::handler::LineHandler;
use super::{NonBlocking, Shared};
use crate::clock::Clock;
use crate::error::StartError;
use crate::guard::{BusLog, Guard};
use crate::line::{Budget, Line};
use crate::lines::Lines;
use crate::losses::{Attachment, Counters, Losses, probe};
use crate::order::{MAX_BATCH, Sorter};
use crate::output::{Output, Reopen, plain_notice, to_stderr};
use buslane::{Bus, Overflow, Queue};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The order of the lines of different threads. The lines of one thread always keep theirs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum LineOrder {
    /// The order in which they were written, by a counter of the processor
    /// ([`ticks`](buslane::time::ticks)), which takes about 10 ns to read. Lines that were written
    /// within some dozen nanoseconds of each other may be in either order.
    ///
    /// If one line was written before another one began, it comes first, as long as the worker keeps
    /// up. Under constant overload that holds for lines within about 10 ms.
    #[default]
    Time,
    /// The order of this clock, in the same way. Lines with equal times are in the order in which
    /// they reach the worker.
    Clock(Clock),
    /// The order in which they reach the worker, which drains the lanes one after another. Reads no
    /// clock.
    Arrival,
}

impl LineOrder {
    /// Returns the key of a line that is written now.
    #[inline]
    pub(super) fn key(&self) -> u64 {
        match self {
            Self::Time => buslane::time::ticks(),
            Self::Clock(clock) => clock.now().nanos(),
            Self::Arrival => 0,
        }
    }
}

/// The settings of a [`NonBlocking`] writer.
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | 1024 lines in each lane |
/// | [`overflow`](Self::overflow) | [`Overflow::DropNewest`]: a line that finds no room is dropped and counted |
/// | [`long_lines_limit`](Self::long_lines_limit) | 16 MiB |
/// | [`private_lanes`](Self::private_lanes) | yes |
/// | [`order`](Self::order), [`grace`](Self::grace) | [`LineOrder::Time`], none |
/// | [`one_write_per_line`](Self::one_write_per_line) | no |
/// | [`thread_name`](Self::thread_name) | `buslane-writer` |
///
/// # Examples
/// ```
/// use buslane_tracing::NonBlockingBuilder;
/// let (writer, _guard) =
///     NonBlockingBuilder::default().lossy(false).thread_name("access-log").finish(std::io::stdout());
/// tracing_subscriber::fmt().with_writer(writer).init();
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `finish` is called"]
pub struct NonBlockingBuilder {
    name: String,
    capacity: usize,
    overflow: Overflow,
    long_lines: usize,
    private: bool,
    order: LineOrder,
    grace: Duration,
    one_by_one: bool,
}

impl Default for NonBlockingBuilder {
    fn default() -> Self {
        Self {
            name: String::from("buslane-writer"),
            capacity: 1024,
            overflow: Overflow::DropNewest,
            long_lines: 16 << 20,
            private: true,
            order: LineOrder::Time,
            grace: Duration::ZERO,
            one_by_one: false,
        }
    }
}

impl NonBlockingBuilder {
    /// Sets how many lines each lane holds: the lane that threads share, and the lane that a thread
    /// gets of its own.
    ///
    /// A lane takes 256 bytes for each line. A thread gets a lane of its own only after it has
    /// written 16 lines, and at most `max(16, 2 × processors)` threads have one
    /// ([`Bus::with_local`]). So the default takes 256 KiB, and at most 4.25 MiB with 16 such
    /// threads.
    ///
    /// A capacity of 0 is invalid.
    pub fn capacity(mut self, lines: usize) -> Self {
        self.capacity = lines;
        self
    }

    /// Sets how many lines each lane holds, under the name that it has in tracing-appender. See
    /// [`capacity`](Self::capacity) for the memory.
    pub fn buffered_lines_limit(self, lines: usize) -> Self {
        self.capacity(lines)
    }

    /// Sets what happens with a line that finds no room: `true` drops it and counts it, `false` makes
    /// its thread wait for room.
    ///
    /// A thread that waits blocks a runtime for async tasks. Lines are lost even so, and counted, if
    /// the inner writer fails while a mebibyte of lines waits for it. See
    /// [`overflow`](Self::overflow) for more policies.
    pub fn lossy(self, is_lossy: bool) -> Self {
        self.overflow(if is_lossy { Overflow::DropNewest } else { Overflow::Block })
    }

    /// Sets the policy for a line that finds no room.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Sets the limit on the bytes of all lines of more than 230 bytes that wait for the worker. Such
    /// a line is allocated, and refused above the limit.
    pub fn long_lines_limit(mut self, bytes: usize) -> Self {
        self.long_lines = bytes;
        self
    }

    /// Sets whether threads that write often get lanes of their own. Without them, all threads share
    /// one lane: that takes less memory, and is slower, above all with several threads.
    pub fn private_lanes(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Sets the order of the lines of different threads.
    pub fn order(mut self, order: LineOrder) -> Self {
        self.order = order;
        self
    }

    /// Holds each line back for this duration before it is written, so that lines whose writes
    /// overlap in time are in order, too.
    ///
    /// At most 65 536 lines are held back. Above that the oldest ones are written before their time;
    /// [`Guard::lines_out_of_order`] counts the lines that come too late for their position then.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets whether each line is one call of the inner writer's `write`, as for a socket whose
    /// messages are lines. By default lines are written together, in pieces of up to about 64 KiB.
    pub fn one_write_per_line(mut self, one_by_one: bool) -> Self {
        self.one_by_one = one_by_one;
        self
    }

    /// Sets the name of the worker thread.
    pub fn thread_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Starts the worker thread. If that fails, reports it on stderr and returns a writer that
    /// refuses and counts all lines.
    pub fn finish<W: io::Write + Send + 'static>(self, writer: W) -> (NonBlocking, Guard) {
        let parts = Parts::new(self);
        let queue = parts.start(writer, None).map_err(|error| {
            to_stderr(format_args!("no line is written: {error}"));
            let _ = parts.bus.close();
            error.to_string()
        });
        parts.finish(queue)
    }

    /// Starts the worker thread.
    ///
    /// # Errors
    /// [`StartError`] if a setting is invalid, or the system has no memory or thread for the worker.
    ///
    /// # Examples
    /// ```
    /// let (writer, _guard) = buslane_tracing::NonBlockingBuilder::default().build(std::io::stdout())?;
    /// # drop(writer);
    /// # Ok::<(), buslane_tracing::StartError>(())
    /// ```
    pub fn build<W: io::Write + Send + 'static>(self, writer: W) -> Result<(NonBlocking, Guard), StartError> {
        let parts = Parts::new(self);
        let queue = parts.start(writer, None)?;
        Ok(parts.finish(Ok(queue)))
    }

    /// Starts the worker thread with the writer that `open` returns, and opens it again after an
    /// error of the writer, between attempts to write.
    ///
    /// This is for a file whose directory may vanish, or a socket whose peer may restart. The new
    /// writer gets the line again at which the old one failed.
    ///
    /// # Errors
    /// [`StartError`], also with the first error of `open`.
    ///
    /// # Examples
    /// ```
    /// use std::fs::{File, create_dir_all};
    /// # let directory = std::env::temp_dir().join(format!("buslane-tracing-doc-{}", std::process::id()));
    /// # let remove = directory.clone();
    /// let open = move || {
    ///     create_dir_all(&directory)?;
    ///     File::options().append(true).create(true).open(directory.join("app.log"))
    /// };
    /// let (writer, guard) = buslane_tracing::NonBlockingBuilder::default().build_reopening(open)?;
    /// # drop((writer, guard));
    /// # let _ = std::fs::remove_dir_all(remove);
    /// # Ok::<(), buslane_tracing::StartError>(())
    /// ```
    pub fn build_reopening<W, F>(self, mut open: F) -> Result<(NonBlocking, Guard), StartError>
    where
        W: io::Write + Send + 'static,
        F: FnMut() -> io::Result<W> + Send + 'static,
    {
        let writer = open().map_err(StartError::Open)?;
        let parts = Parts::new(self);
        let queue = parts.start(writer, Some(Box::new(open)))?;
        Ok(parts.finish(Ok(queue)))
    }
}

/// A writer in the making.
struct Parts {
    settings: NonBlockingBuilder,
    bus: Bus<Line>,
    counters: Arc<Counters>,
}

impl Parts {
    fn new(settings: NonBlockingBuilder) -> Self {
        Self { settings, bus: Bus::new(), counters: Arc::default() }
    }

    /// Starts the worker.
    fn start<W: io::Write + Send + 'static>(
        &self,
        writer: W,
        reopen: Option<Reopen<W>>,
    ) -> Result<Queue<Line>, StartError> {
        let settings = &self.settings;
        let output = Output::new(writer, self.counters.clone(), plain_notice);
        let output = output.with_reopen(reopen).one_by_one(settings.one_by_one);
        let sorter = match settings.order {
            LineOrder::Arrival => None,
            LineOrder::Time | LineOrder::Clock(_) => Some(Sorter::new(settings.grace, self.counters.clone())),
        };
        let attachment = Attachment::default();
        let losses = Losses::new(probe(&self.bus, &attachment));
        let lines = Lines::new(output, losses, self.counters.clone());
        let queue = Queue::builder()
            .name(&settings.name)
            .capacity(settings.capacity)
            .overflow(settings.overflow)
            .max_batch(MAX_BATCH)
            .spawn_handler(LineHandler::new(sorter, lines))?;
        let id = self.bus.add_named(&settings.name, queue.clone())?;
        // It is empty: this is the only one that sets it.
        let _ = attachment.set(id);
        Ok(queue)
    }

    fn finish(self, queue: Result<Queue<Line>, String>) -> (NonBlocking, Guard) {
        let Self { settings, bus, counters } = self;
        let NonBlockingBuilder { overflow, long_lines, private, order, .. } = settings;
        NonBlocking::of(Shared {
            log: Arc::new(BusLog { bus, queue, counters }),
            budget: Arc::new(Budget::new(long_lines)),
            order,
            private,
            strict: !matches!(overflow, Overflow::DropNewest | Overflow::DropOldest),
        })
    }
}
