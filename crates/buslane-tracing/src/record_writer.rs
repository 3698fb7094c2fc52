//! Writing the records of a bus as lines, on a worker thread.

mod handler;

use crate::error::StartError;
use crate::format::Format;
use crate::guard::{BusLog, Guard};
use crate::lines::Lines;
use crate::losses::{Attachment, Counters, Losses, probe};
use crate::order::{MAX_BATCH, Sorter};
use crate::output::{Output, Reopen};
use crate::record::Record;
use crate::unpublished::Unpublished;
use buslane::{Bus, Overflow, Queue};
use handler::RecordHandler;
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// A writer of records as lines of [`Text`](crate::Text) or [`Json`](crate::Json), with a worker
/// thread of its own.
///
/// Lines are in the order of their times across threads. The worker joins each event with the spans
/// around it. Errors of the writer, and records that were lost, are reported in the log itself, as
/// for [`non_blocking`](fn@crate::non_blocking).
///
/// | setting | default |
/// |---|---|
/// | [`name`](Self::name) | `buslane-log` |
/// | [`capacity`](Self::capacity) | 1024 records in each lane |
/// | [`overflow`](Self::overflow) | [`Overflow::DropNewest`]: a record that finds no room is dropped and counted |
/// | [`grace`](Self::grace) | none |
/// | [`one_write_per_line`](Self::one_write_per_line) | no |
/// | [`report_unpublished`](Self::report_unpublished) | no layer and no logger |
///
/// # Examples
/// Text on the terminal, and JSON in a file, from the same bus:
/// ```
/// use buslane::Bus;
/// use buslane_tracing::{Json, Record, RecordWriter, Text};
/// use tracing_subscriber::prelude::*;
///
/// let bus: Bus<Record> = Bus::new();
/// let file = std::io::sink(); // std::fs::File::create("service.json")?
/// let _text = RecordWriter::new(Text::new(), std::io::stdout()).name("terminal").start(&bus)?;
/// let _json = RecordWriter::new(Json::new(), file).name("file").start(&bus)?;
/// tracing_subscriber::registry().with(buslane_tracing::layer(&bus).build()).init();
/// tracing::info!(port = 8080, "listening");
/// # Ok::<(), buslane_tracing::StartError>(())
/// ```
#[must_use = "a writer does nothing until `start` is called"]
pub struct RecordWriter<F, W> {
    format: F,
    writer: W,
    reopen: Option<Reopen<W>>,
    name: String,
    capacity: usize,
    overflow: Overflow,
    grace: Duration,
    one_by_one: bool,
    unpublished: Vec<Arc<Counters>>,
}

impl<F: Format, W: Write + Send + 'static> RecordWriter<F, W> {
    /// Returns a writer with the default settings.
    pub fn new(format: F, writer: W) -> Self {
        Self {
            format,
            writer,
            reopen: None,
            name: String::from("buslane-log"),
            capacity: 1024,
            overflow: Overflow::DropNewest,
            grace: Duration::ZERO,
            one_by_one: false,
            unpublished: Vec::new(),
        }
    }

    /// Replaces the format.
    pub fn format<G: Format>(self, format: G) -> RecordWriter<G, W> {
        let Self { format: _, writer, reopen, name, capacity, overflow, grace, one_by_one, unpublished } =
            self;
        RecordWriter { format, writer, reopen, name, capacity, overflow, grace, one_by_one, unpublished }
    }

    /// Sets the name of the worker thread and of the sink on the bus. Each sink of a bus that is to be
    /// told apart needs its own.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets how many records each lane holds. A lane takes 256 bytes for each record.
    ///
    /// A capacity of 0 is invalid.
    pub fn capacity(mut self, records: usize) -> Self {
        self.capacity = records;
        self
    }

    /// Sets the policy for a record that finds no room.
    ///
    /// A policy that waits for room makes the thread that logs wait. In async code it blocks the
    /// runtime.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Holds each line back for this duration before it is written, so that lines whose records were
    /// made at overlapping times are in order, too.
    ///
    /// At most 65 536 records are held back. Above that the oldest ones are written before their time;
    /// [`Guard::lines_out_of_order`] counts what comes too late for its position then.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets whether each line is one call of the inner writer's `write`, as for a socket whose
    /// messages are lines.
    pub fn one_write_per_line(mut self, one_by_one: bool) -> Self {
        self.one_by_one = one_by_one;
        self
    }

    /// Sets a hook that opens the writer again after an error.
    pub fn reopen_with(mut self, open: impl FnMut() -> std::io::Result<W> + Send + 'static) -> Self {
        self.reopen = Some(Box::new(open));
        self
    }

    /// Reports in the log itself how many events a layer or a logger has suppressed, and counts its
    /// suppressed and late events in [`Guard::ledger`], as [`init`](crate::init) does.
    ///
    /// Each further call adds another layer or logger. Several writers can report the same one.
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// use buslane_tracing::{Record, RecordWriter, Text};
    /// use tracing_subscriber::prelude::*;
    ///
    /// let bus: Bus<Record> = Bus::new();
    /// let layer = buslane_tracing::layer(&bus);
    /// let writer = RecordWriter::new(Text::new(), std::io::stdout());
    /// let _guard = writer.report_unpublished(layer.unpublished()).start(&bus)?;
    /// tracing_subscriber::registry().with(layer.build()).init();
    /// # Ok::<(), buslane_tracing::StartError>(())
    /// ```
    pub fn report_unpublished(mut self, unpublished: Unpublished) -> Self {
        let counters = unpublished.into_counters();
        // A layer that is named twice must not count twice.
        if !self.unpublished.iter().any(|known| Arc::ptr_eq(known, &counters)) {
            self.unpublished.push(counters);
        }
        self
    }

    /// Starts the worker thread, adds it to the bus, and returns the guard that closes **the bus**
    /// when it is dropped.
    ///
    /// With several writers on one bus, the first guard that is dropped closes all of them; each is
    /// drained first.
    ///
    /// # Errors
    /// [`StartError`] when a setting is invalid, the bus is closed, or the system has no memory or
    /// thread for the worker.
    pub fn start<const N: usize>(self, bus: &Bus<Record<N>>) -> Result<Guard, StartError> {
        let Self { format, writer, reopen, name, capacity, overflow, grace, one_by_one, unpublished } = self;
        let counters = Arc::new(Counters::with_unpublished(unpublished));
        let output = Output::new(writer, counters.clone(), F::notice);
        let output = output.with_reopen(reopen).one_by_one(one_by_one);
        let attachment = Attachment::default();
        let losses = Losses::new(probe(bus, &attachment));
        // The handler sorts the records, before it joins them.
        let lines = Lines::new(output, losses, counters.clone());
        let sorter = Sorter::new(grace, counters.clone());
        let handler = RecordHandler::<F, W, N>::new(format, sorter, lines);
        let queue = Queue::builder()
            .name(&name)
            .capacity(capacity)
            .overflow(overflow)
            .max_batch(MAX_BATCH)
            .spawn_handler(handler)?;
        let id = bus.add_named(&name, queue.clone())?;
        // It is empty: this is the only one that sets it.
        let _ = attachment.set(id);
        Ok(Guard::new(Arc::new(BusLog { bus: bus.clone(), queue: Ok(queue), counters })))
    }
}

impl<F: fmt::Debug, W> fmt::Debug for RecordWriter<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordWriter")
            .field("format", &self.format)
            .field("name", &self.name)
            .field("capacity", &self.capacity)
            .field("overflow", &self.overflow)
            .field("grace", &self.grace)
            .field("one_by_one", &self.one_by_one)
            .finish_non_exhaustive()
    }
}
