//! What a report says about the sinks of a bus: what each lost, and which one was slow.

use crate::report::{Report, Table, grouped};
use crate::{Mark, number_of};
use buslane::stats::{Ledger, SinkState};
use serde::Serialize;

/// The share of a lane that makes a sink slow, in percent.
const SLOW: u64 = 50;

/// One sink, with its counters at rest.
#[derive(Clone, Debug, Serialize)]
pub struct SinkReport {
    /// Its name on the bus.
    pub name: String,
    /// Its state after the bus was closed.
    pub state: SinkState,
}

impl SinkReport {
    /// Events, of those published, that the sink did not deliver and no filter kept away.
    #[must_use]
    pub fn lost(&self, published: u64) -> u64 {
        let Ledger { refused, dropped, .. } = self.state.ledger;
        refused.total() + dropped.total() + self.not_offered(published)
    }

    /// Events that were published after the sink had closed.
    fn not_offered(&self, published: u64) -> u64 {
        published.saturating_sub(self.state.ledger.offered)
    }

    /// The reasons of its losses, each with its count.
    fn reasons(&self, published: u64) -> String {
        let Ledger { refused, dropped, .. } = self.state.ledger;
        let reasons = [
            (self.not_offered(published), "published after it closed"),
            (dropped.full, "dropped, no room"),
            (dropped.evicted, "evicted by newer ones"),
            (dropped.receiver_dropped, "unread"),
            (dropped.aborted, "left at the deadline of the close"),
            (dropped.failed, "failed"),
            (dropped.panicked, "lost by a panic"),
            (refused.full, "refused, no room"),
            (refused.timeout, "refused, no room in time"),
            (refused.closed, "refused, closed"),
            (refused.reentrant, "refused, nested too deeply"),
            (refused.failed, "refused by an error"),
        ];
        let reasons = reasons.iter().filter(|(count, _)| *count > 0);
        reasons.map(|(count, why)| format!("{} {why}", grouped(*count))).collect::<Vec<_>>().join(", ")
    }

    /// The largest share of a lane that was in use, in percent.
    fn use_percent(&self) -> u64 {
        (self.state.high_water * 100).checked_div(self.state.capacity).unwrap_or(0)
    }

    /// Adds the lines of the summary: what was lost, and which sink was slow. `events` names what
    /// is published.
    pub fn summarize(sinks: &[Self], report: &mut Report, published: u64, events: &str) {
        let count = number_of(published, events);
        let losses: Vec<_> = sinks.iter().filter(|sink| sink.lost(published) > 0).collect();
        if losses.is_empty() {
            let sinks = number_of(sinks.len() as u64, "sink");
            report.finding(Mark::Good, "lost", format_args!("nothing: {count} published to {sinks}"));
        }
        for sink in losses {
            let (name, lost, reasons) = (&sink.name, sink.lost(published), sink.reasons(published));
            let percent = lost as f64 * 100.0 / published.max(1) as f64;
            let lost = grouped(lost);
            report.finding(
                Mark::Notice,
                "lost",
                format_args!("{name}: {lost} of {count} ({percent:.2} %): {reasons}"),
            );
        }
        let mut slow: Vec<_> = sinks.iter().filter(|sink| sink.use_percent() >= SLOW).collect();
        slow.sort_by_key(|sink| std::cmp::Reverse(sink.use_percent()));
        if slow.is_empty() {
            let most = sinks.iter().map(Self::use_percent).max().unwrap_or(0);
            report.finding(Mark::Good, "slow", format_args!("no sink: peak use of a lane was {most} %"));
        } else {
            let peaks = slow.iter().map(|sink| format!("{} % in {}", sink.use_percent(), sink.name));
            let peaks = peaks.collect::<Vec<_>>().join(", ");
            report.finding(Mark::Notice, "slow", format_args!("peak use of a lane was {peaks}"));
        }
    }

    /// Adds a table with a row for each sink, and the last error of each.
    pub fn tabulate(sinks: &[Self], report: &mut Report) {
        let header = ["sinks", "offered", "delivered", "filtered", "dropped", "refused", "longest backlog"];
        let mut table = Table::new(header);
        for Self { name, state } in sinks {
            let ledger = &state.ledger;
            table.row([
                name.clone(),
                grouped(ledger.offered),
                grouped(ledger.delivered),
                grouped(ledger.filtered),
                grouped(ledger.dropped.total()),
                grouped(ledger.refused.total()),
                format!("{} of {}", grouped(state.high_water), grouped(state.capacity)),
            ]);
        }
        report.table(&table);
        for Self { name, state } in sinks {
            if let Some(error) = &state.last_error {
                report.line(format_args!("last error of {name}: {error}"));
            }
        }
    }
}
