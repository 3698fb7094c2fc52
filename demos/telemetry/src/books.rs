//! The books: what must be equal at the end, and whether it is.

use crate::pipeline::{ALERTS, FILE, Finished, SinkBook, Told};
use crate::report::Report;
use buslane::Overflow;
use buslane::stats::Ledger;
use demo_support::Failure;
use std::fmt;

/// What must be equal at the end, and whether it is.
#[derive(Debug, Default)]
pub(crate) struct Books(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    holds: bool,
    text: String,
}

impl Books {
    /// Enters a statement that holds or does not.
    pub(crate) fn check(&mut self, holds: bool, text: impl Into<String>) {
        self.0.push(Entry { holds, text: text.into() });
    }

    /// Enters two counts that must be equal.
    pub(crate) fn equal(&mut self, (left, left_count): (&str, u64), (right, right_count): (&str, u64)) {
        let holds = left_count == right_count;
        let sign = if holds { "=" } else { "≠" };
        self.check(holds, format!("{left}: {left_count} {sign} {right_count} {right}"));
    }

    /// Enters everything that does not depend on where the events come from: that each sink was offered what was
    /// published, that its ledger balances, that publishers were told what the ledgers say, that the alert thread read
    /// what its channel delivered, and that the file holds a line for each event that its queue delivered.
    pub(crate) fn audit<E>(&mut self, told: &Told, finished: &Finished<E>, overflow: Overflow) {
        self.equal(("publishes that found the bus closed", told.closed), ("expected", 0));
        for sink in &finished.sinks {
            self.audit_sink(sink, told.published, overflow);
        }
        let sum = |count: fn(&Ledger) -> u64| -> u64 {
            finished.sinks.iter().map(|sink| count(&sink.state.ledger)).sum()
        };
        let accepted = sum(|ledger| ledger.accepted);
        let refused = sum(|ledger| ledger.refused.total());
        self.equal(("publishers were told of acceptances", told.accepted), ("in the ledgers", accepted));
        self.equal(("publishers were told of refusals", told.refused), ("in the ledgers", refused));
        self.audit_readers(finished);
        self.check(finished.close.is_done(), format!("the close of the bus: {}", finished.close));
    }

    fn audit_sink(&mut self, sink: &SinkBook, published: u64, overflow: Overflow) {
        let SinkBook { name, state, was_cut_off } = sink;
        let offered = state.ledger.offered;
        if *was_cut_off && overflow == Overflow::Close && offered <= published {
            // The bus offers nothing more to a sink that overflowed and was cut off.
            let missed = published - offered;
            self.check(
                true,
                format!("published: {published} = {offered} offered to {name} + {missed} after its cut"),
            );
        } else {
            self.equal(("published", published), (&format!("offered to {name}"), offered));
        }
        match state.ledger.check() {
            Ok(()) => self.check(true, format!("the ledger of {name} balances")),
            Err(imbalance) => self.check(false, format!("{name}: {imbalance}")),
        }
        self.equal((&format!("pending in {name}"), state.ledger.pending), ("expected", 0));
    }

    fn audit_readers<E>(&mut self, finished: &Finished<E>) {
        let delivered = |name: &str| finished.ledger(name).map_or(0, |ledger| ledger.delivered);
        self.equal(("alerts read", finished.alerts.count), ("delivered by alerts", delivered(ALERTS)));
        match finished.output.count_lines() {
            Ok(Some(count)) => {
                self.equal(("lines in the file", count.sound), ("delivered by file", delivered(FILE)));
                self.equal(("lines in the file that are no JSON", count.broken), ("expected", 0));
            }
            Ok(None) => self.check(true, "the output is no regular file: its lines are not counted again"),
            Err(error) => self.check(false, format!("the file cannot be read again: {error}")),
        }
    }

    /// Writes all entries into the report.
    pub(crate) fn write_to(&self, report: &mut Report) {
        let wrong = self.0.iter().filter(|entry| !entry.holds).count();
        report.heading(format_args!("books: {} entries, {wrong} wrong", self.0.len()));
        self.0.iter().for_each(|entry| report.line(entry));
    }

    /// Whether everything holds.
    pub(crate) fn verdict(self) -> Result<(), Failure> {
        let wrong: Vec<_> = self.0.into_iter().filter(|entry| !entry.holds).map(|entry| entry.text).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Failure::Books(wrong)) }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}{}", if self.holds { "ok" } else { "WRONG" }, self.text)
    }
}
