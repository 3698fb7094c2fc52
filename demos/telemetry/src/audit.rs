//! The checks that do not depend on where the events come from.

use crate::pipeline::{ALERTS, FILE, Finished, Told};
use buslane::Overflow;
use buslane::stats::Ledger;
use demo_support::{Audit, SinkReport};

/// Checks that each sink was offered every published event, that its ledger balances, that the
/// results of the publishes agree with the ledgers, that the alert thread read what its channel
/// delivered, and that the file holds a line for each event that its queue delivered.
pub(crate) fn audit<E>(audit: &mut Audit, told: &Told, finished: &Finished<E>, overflow: Overflow) {
    audit.equal(("publishes that found the bus closed", told.closed), ("expected", 0));
    for sink in &finished.sinks {
        audit_sink(audit, sink, told.published, overflow);
    }
    let sum = |count: fn(&Ledger) -> u64| -> u64 {
        finished.sinks.iter().map(|sink| count(&sink.state.ledger)).sum()
    };
    let accepted = sum(|ledger| ledger.accepted);
    let refused = sum(|ledger| ledger.refused.total());
    audit.equal(("accepted, by the results of publishes", told.accepted), ("in the ledgers", accepted));
    audit.equal(("refused, by the results of publishes", told.refused), ("in the ledgers", refused));
    audit_readers(audit, finished);
    if let Some(close) = &finished.close {
        audit.check(close.is_done(), format!("the close of the bus: {close}"));
    }
}

fn audit_sink(audit: &mut Audit, sink: &SinkReport, published: u64, overflow: Overflow) {
    let SinkReport { name, state } = sink;
    let offered = state.ledger.offered;
    // No publisher is left when the bus is closed, so a refusal by a closed sink means that it
    // overflowed.
    if state.ledger.refused.closed > 0 && overflow == Overflow::Close && offered <= published {
        // The bus offers no further events to a sink that overflowed and was closed.
        let missed = published - offered;
        audit.check(
            true,
            format!("published: {published} = {offered} offered to {name} + {missed} after it closed"),
        );
    } else {
        audit.equal(("published", published), (&format!("offered to {name}"), offered));
    }
    match state.ledger.check() {
        Ok(()) => audit.check(true, format!("the ledger of {name} balances")),
        Err(imbalance) => audit.check(false, format!("{name}: {imbalance}")),
    }
    audit.equal((&format!("pending in {name}"), state.ledger.pending), ("expected", 0));
}

fn audit_readers<E>(audit: &mut Audit, finished: &Finished<E>) {
    let delivered = |name: &str| finished.ledger(name).map_or(0, |ledger| ledger.delivered);
    audit.equal(("alerts read", finished.alerts.count), ("delivered by alerts", delivered(ALERTS)));
    match finished.output.count_lines() {
        Ok(Some(count)) => {
            audit.equal(("lines in the file", count.sound), ("delivered by file", delivered(FILE)));
            audit.equal(("lines in the file that are not JSON", count.broken), ("expected", 0));
        }
        Ok(None) => audit.check(true, "the output is not a regular file: its lines are not counted again"),
        Err(error) => audit.check(false, format!("the file cannot be read again: {error}")),
    }
}
