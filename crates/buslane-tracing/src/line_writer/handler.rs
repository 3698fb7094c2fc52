//! The worker's handler of lines.

use crate::line::Line;
use crate::lines::Lines;
use crate::order::Sorter;
use buslane::BoxError;
use buslane::queue::Handler;
use buslane::time::Deadline;
use std::io::Write;
use std::time::Instant;

/// Writes each line as it is.
pub(super) struct LineHandler<W> {
    /// Without it, lines are written in the order of arrival.
    sorter: Option<Sorter<Line>>,
    lines: Lines<W>,
}

impl<W: Write> LineHandler<W> {
    /// Creates the handler, without a sorter for the order of arrival.
    pub(super) fn new(sorter: Option<Sorter<Line>>, lines: Lines<W>) -> Self {
        Self { sorter, lines }
    }

    /// Writes the lines that the sorter passes to its argument.
    fn write(&mut self, call: impl FnOnce(&mut Sorter<Line>, &mut dyn FnMut(Line))) {
        if let Some(sorter) = &mut self.sorter {
            let lines = &mut self.lines;
            call(sorter, &mut |line| lines.write_taken(line.bytes()));
        }
    }
}

impl<W: Write + Send + 'static> Handler<Line> for LineHandler<W> {
    fn handle(&mut self, line: Line) -> Result<(), BoxError> {
        if let Err(error) = self.lines.admit() {
            if let Some(sorter) = &mut self.sorter {
                sorter.skip();
            }
            return Err(error);
        }
        match &mut self.sorter {
            Some(sorter) => sorter.push(line.stamp, line),
            None => self.lines.write_taken(line.bytes()),
        }
        self.lines.count_taken();
        Ok(())
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        let now = Instant::now();
        self.write(|sorter, emit| sorter.end_of_batch(now, emit));
        self.lines.end_of_batch(now);
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Option<Instant> {
        self.write(|sorter, emit| sorter.tick(now, emit));
        let due = self.lines.tick(now);
        [self.sorter.as_ref().and_then(Sorter::due), due].into_iter().flatten().min()
    }

    fn flush(&mut self, _deadline: Deadline) -> Result<(), BoxError> {
        let now = Instant::now();
        self.write(|sorter, emit| sorter.drain(now, emit));
        self.lines.flush(now)
    }

    fn close(&mut self) -> Result<(), BoxError> {
        let now = Instant::now();
        self.write(|sorter, emit| sorter.drain(now, emit));
        self.lines.close(now)
    }
}
