//! The report: what became of every line, and whether the ledger balances.

use crate::copy::Told;
use crate::fan_out::{Finished, Output};
use buslane::stats::SinkSnapshot;
use demo_support::{Audit, Failure, Mark, Report, SinkReport, console, number_of};
use serde_json::json;
use std::io::ErrorKind;

/// What became of every line, and whether the ledger balances.
pub(crate) struct Outcome<'a> {
    told: &'a Told,
    finished: &'a Finished,
    sinks: Vec<SinkReport>,
    audit: Audit,
    failed_outputs: bool,
}

impl<'a> Outcome<'a> {
    /// Checks that each sink was offered every line, that its ledger balances, that each output
    /// received what its queue delivered, and that the counter received every line.
    pub(crate) fn new(told: &'a Told, finished: &'a Finished) -> Self {
        let listed = &finished.snapshot.sinks;
        let sinks =
            listed.iter().map(|sink| SinkReport { name: sink.name.clone(), state: sink.state.clone() });
        let sinks = sinks.collect();
        let mut outcome = Self { told, finished, sinks, audit: Audit::default(), failed_outputs: false };
        let audit = &mut outcome.audit;
        audit.equal(("copies refused", told.refused), ("expected", 0));
        for sink in listed {
            let ledger = &sink.state.ledger;
            audit.equal(("lines read", told.lines), (&format!("offered to {}", sink.name), ledger.offered));
            let imbalance = ledger.check().err().map_or_else(String::new, |error| format!(": {error}"));
            audit.check(imbalance.is_empty(), format!("the ledger of {} balances{imbalance}", sink.name));
        }
        // Both are in the order in which they were added.
        for (output, sink) in finished.outputs.iter().zip(listed) {
            outcome.audit_output(output, sink);
        }
        let audit = &mut outcome.audit;
        let expected = finished.outputs.len() + 1;
        audit.equal(("sinks", listed.len() as u64), ("expected", expected as u64));
        audit.equal(("lines read", told.lines), ("counted", finished.count.lines()));
        audit.equal(("bytes read", told.bytes), ("counted", finished.count.bytes()));
        audit.check(finished.close.is_done(), format!("the close of the bus: {}", finished.close));
        outcome
    }

    fn audit_output(&mut self, Output { name, status }: &Output, sink: &SinkSnapshot) {
        let ledger = &sink.state.ledger;
        match status.error() {
            None => {
                self.audit.equal(
                    (&format!("written to {name}"), status.written()),
                    ("delivered", ledger.delivered),
                );
                let complete = ledger.delivered + ledger.filtered;
                self.audit.equal(
                    (&format!("written to {name}, or filtered"), complete),
                    ("offered", ledger.offered),
                );
            }
            // Its reader has seen enough.
            Some(ErrorKind::BrokenPipe) => {}
            Some(_) => self.failed_outputs = true,
        }
    }

    /// Prints the report on standard error, since standard output is one of the copies.
    pub(crate) fn print(&self, is_json: bool) {
        let (told, finished) = (self.told, self.finished);
        if is_json {
            let outputs = finished.outputs.iter().map(|Output { name, status }| {
                let error = status.error().map(|error| error.to_string());
                json!({"name": name, "written": status.written(), "error": error})
            });
            let report = json!({
                "lines": told.lines,
                "bytes": told.bytes,
                "error": told.unreadable.as_ref().map(ToString::to_string),
                "lost": self.sinks.iter().map(|sink| sink.lost(told.lines)).sum::<u64>(),
                "outputs": outputs.collect::<Vec<_>>(),
                "sinks": self.sinks,
                "close": finished.close,
                "balanced": self.audit.is_balanced(),
                "checks": self.audit,
            });
            return console::print_error(format_args!("{report}\n"));
        }
        let mut report = Report::default();
        report.heading(format_args!(
            "{}, {}, to {} and the counter",
            number_of(told.lines, "line"),
            number_of(told.bytes, "byte"),
            number_of(finished.outputs.len() as u64, "output")
        ));
        if let Some(error) = &told.unreadable {
            report.finding(Mark::Bad, "input", format_args!("reading failed: {error}"));
        }
        SinkReport::summarize(&self.sinks, &mut report, told.lines, "line");
        report.ledger(&self.audit);
        SinkReport::tabulate(&self.sinks, &mut report);
        console::print_error(format_args!("{report}"));
    }

    /// Returns whether every check holds.
    pub(crate) fn is_balanced(&self) -> bool {
        self.audit.is_balanced()
    }

    /// Returns an error if a check failed, the input could not be read, or an output could not be
    /// written. An output that is a closed pipe is no error.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        self.audit.verdict()?;
        match &self.told.unreadable {
            Some(error) => Err(Failure::broken("reading failed", error)),
            None if self.failed_outputs => Err(Failure::Broken("not every line was written".to_owned())),
            None => Ok(()),
        }
    }
}
