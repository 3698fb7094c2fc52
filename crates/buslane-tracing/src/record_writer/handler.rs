//! The worker's handler of records: order, spans, format.
//!
//! - A new span is known as soon as its record arrives. Its record was published before those of the
//!   events in it, and a batch ends when all lanes are empty. So when the events of the batch become
//!   lines, their spans are known, although the lanes of other threads may be drained first.
//! - Everything else happens in the order of time: the lines of events, the later values of spans and
//!   their closes.

use crate::format::Format;
use crate::lines::Lines;
use crate::order::Sorter;
use crate::record::{Kind, Record};
use crate::spans::SpanTable;
use buslane::BoxError;
use buslane::queue::Handler;
use buslane::time::Deadline;
use std::io::Write;
use std::time::Instant;

/// Writes each event as a line.
pub(super) struct RecordHandler<F, W, const N: usize> {
    sorter: Sorter<Record<N>>,
    work: Work<F, W>,
}

/// What happens with the records in their order.
struct Work<F, W> {
    spans: SpanTable,
    format: F,
    lines: Lines<W>,
    /// The line that is being made.
    line: String,
}

impl<F: Format, W: Write, const N: usize> RecordHandler<F, W, N> {
    pub(super) fn new(format: F, sorter: Sorter<Record<N>>, lines: Lines<W>) -> Self {
        let work = Work { spans: SpanTable::default(), format, lines, line: String::new() };
        Self { sorter, work }
    }

    fn drain(&mut self, now: Instant) {
        let work = &mut self.work;
        self.sorter.drain(now, &mut |record| work.next(&record));
    }
}

impl<F: Format, W: Write> Work<F, W> {
    /// Handles the record that is the next one in the order of time.
    fn next<const N: usize>(&mut self, record: &Record<N>) {
        if record.kind() == Kind::Event {
            let scope = self.spans.scope(record.span().map_or(0, u64::from), record.timestamp());
            self.line.clear();
            self.format.line(record, &scope, &mut self.line);
            self.lines.write_taken(self.line.as_bytes());
        } else {
            self.spans.apply(record, &F::value);
        }
    }
}

impl<F: Format, W: Write + Send + 'static, const N: usize> Handler<Record<N>> for RecordHandler<F, W, N> {
    fn handle(&mut self, record: Record<N>) -> Result<(), BoxError> {
        let work = &mut self.work;
        let is_event = match record.kind() {
            Kind::NewSpan => {
                work.spans.apply(&record, &F::value);
                self.sorter.skip();
                return Ok(());
            }
            kind => kind == Kind::Event,
        };
        if is_event {
            work.lines.admit().inspect_err(|_| self.sorter.skip())?;
        }
        self.sorter.push(record.stamp(), record);
        if is_event {
            work.lines.count_taken();
        }
        Ok(())
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        let (now, work) = (Instant::now(), &mut self.work);
        self.sorter.end_of_batch(now, &mut |record| work.next(&record));
        work.lines.end_of_batch(now);
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Option<Instant> {
        let work = &mut self.work;
        self.sorter.tick(now, &mut |record| work.next(&record));
        let due = work.lines.tick(now);
        [self.sorter.due(), due].into_iter().flatten().min()
    }

    fn flush(&mut self, _deadline: Deadline) -> Result<(), BoxError> {
        let now = Instant::now();
        self.drain(now);
        self.work.lines.flush(now)
    }

    fn close(&mut self) -> Result<(), BoxError> {
        let now = Instant::now();
        self.drain(now);
        self.work.lines.close(now)
    }
}
