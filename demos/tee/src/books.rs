//! The books: what must be equal at the end, and whether it is.

use crate::copy::Told;
use crate::fan_out::{Finished, Output};
use buslane::stats::SinkSnapshot;
use demo_support::Failure;
use std::fmt;
use std::io::ErrorKind;

/// What must be equal at the end, and whether it is.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// What each sink says about itself.
    sinks: Vec<String>,
    entries: Vec<(bool, String)>,
    failed_outputs: bool,
}

impl Books {
    /// Enters that each sink was offered every line, that its ledger balances, that each output was handed what its
    /// queue delivered, and that the counter saw everything.
    pub(crate) fn of(told: &Told, finished: &Finished) -> Self {
        let mut books = Self::default();
        let lines = told.lines;
        books.equal(("copies refused", told.refused), ("expected", 0));
        for sink in &finished.snapshot.sinks {
            books.sinks.push(sink.to_string());
            let ledger = &sink.state.ledger;
            books.equal(("lines read", lines), (&format!("offered to {}", sink.name), ledger.offered));
            let imbalance = ledger.check().err().map_or_else(String::new, |error| format!(": {error}"));
            books.check(imbalance.is_empty(), format!("the ledger of {} balances{imbalance}", sink.name));
        }
        // They stand in one order.
        for (output, sink) in finished.outputs.iter().zip(&finished.snapshot.sinks) {
            books.output(output, sink);
        }
        let counted = finished.outputs.len() + 1;
        books.equal(("sinks", finished.snapshot.sinks.len() as u64), ("expected", counted as u64));
        books.equal(("lines read", lines), ("counted", finished.count.lines()));
        books.equal(("bytes read", told.bytes), ("counted", finished.count.bytes()));
        books.check(finished.close.is_done(), format!("the close of the bus: {}", finished.close));
        books
    }

    fn output(&mut self, Output { name, status }: &Output, sink: &SinkSnapshot) {
        let ledger = &sink.state.ledger;
        match status.error() {
            None => {
                self.equal(
                    (&format!("written to {name}"), status.written()),
                    ("delivered", ledger.delivered),
                );
                let complete = ledger.delivered + ledger.filtered;
                self.equal(
                    (&format!("written to {name}, or filtered"), complete),
                    ("offered", ledger.offered),
                );
            }
            // Whoever read it has seen enough.
            Some(ErrorKind::BrokenPipe) => {}
            Some(_) => self.failed_outputs = true,
        }
    }

    fn check(&mut self, holds: bool, text: String) {
        self.entries.push((holds, text));
    }

    fn equal(&mut self, (left, left_count): (&str, u64), (right, right_count): (&str, u64)) {
        let holds = left_count == right_count;
        let sign = if holds { "=" } else { "≠" };
        self.check(holds, format!("{left}: {left_count} {sign} {right_count} {right}"));
    }

    /// Whether an output could not be written, other than a pipe that was closed.
    pub(crate) fn has_failed_outputs(&self) -> bool {
        self.failed_outputs
    }

    /// An error with everything that does not hold.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let wrong: Vec<_> =
            self.entries.iter().filter(|(holds, _)| !holds).map(|(_, text)| text.as_str()).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::Broken(format!("the books are wrong: {}", wrong.join("; "))))
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sinks")?;
        self.sinks.iter().try_for_each(|sink| writeln!(f, "  {sink}"))?;
        writeln!(f, "books")?;
        for (holds, text) in &self.entries {
            writeln!(f, "  {} {text}", if *holds { "ok   " } else { "WRONG" })?;
        }
        Ok(())
    }
}
