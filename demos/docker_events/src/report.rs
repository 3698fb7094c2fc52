//! The report: what was shown, what is missing and where, and the proof of it.

use crate::board::Shown;
use crate::containers::Containers;
use crate::follower::Followed;
use crate::record::{Comparison, Sent};
use crate::token_file::TokenFile;
use demo_support::{Audit, Failure, Mark, Report, Story, Table, grouped, number_of};
use serde::Serialize;

/// Rows of the table of containers.
const ROWS: usize = 40;

/// What was shown, what is missing and where, and the proof of it.
#[derive(Serialize)]
pub(crate) struct Outcome {
    shown: u64,
    gaps: u64,
    connects: u64,
    resumed: u64,
    containers: u64,
    kinds: Containers,
    /// With a scripted engine: what it sent, and what became of it.
    sent: Option<SentReport>,
    interrupted: bool,
    monitors: Vec<Followed>,
    balanced: bool,
    checks: Audit,
}

#[derive(Clone, Copy, Serialize)]
struct SentReport {
    total: u64,
    shown: u64,
    at_gaps: u64,
    left: u64,
}

impl Outcome {
    /// Checks that everything that was read was shown once, that the table and the file agree with
    /// it, and that nothing of what a scripted engine sent is missing without a gap.
    pub(crate) fn new(
        monitors: Vec<Followed>,
        shown: &Shown,
        file: Option<&TokenFile>,
        sent: Option<&[Sent]>,
        interrupted: bool,
    ) -> Self {
        let mut checks = Audit::default();
        for (number, followed) in monitors.iter().enumerate() {
            audit_monitor(&mut checks, &format!("monitor {}", number + 1), followed);
        }
        let forwarded = monitors.iter().map(|followed| followed.monitor.forwarded).sum();
        checks.equal(("events, forwarded", forwarded), ("shown", shown.record.events));
        checks.equal(("events, shown twice", shown.record.repeated), ("expected", 0));
        checks.equal(("events, in the table", shown.containers.events()), ("shown", shown.record.events));
        let container = shown.containers.kinds.get("container").copied().unwrap_or(0);
        checks.equal(
            ("events, in rows of containers", shown.containers.events_in_rows()),
            ("of containers", container),
        );
        if let (Some(file), Some(last)) = (file, monitors.last()) {
            // After a stale token, the file keeps it until there is a new one.
            let is_stale = last.token.is_none() && shown.record.stale > 0;
            checks
                .check(is_stale || file.text() == last.token, "the file has the position of the last event");
        }
        let sent = sent.map(|sent| {
            let comparison = shown.record.compare(sent);
            audit_comparison(&mut checks, &comparison, shown.record.events, interrupted);
            let Comparison { shown, covered, left, .. } = comparison;
            SentReport { total: sent.len() as u64, shown, at_gaps: covered, left }
        });
        if let Some(SentReport { total, shown, at_gaps, left }) = sent {
            checks.equal(("sent", total), ("shown, at gaps or left", shown + at_gaps + left));
        }
        Self {
            shown: shown.record.events,
            gaps: shown.record.gaps,
            connects: shown.connects,
            resumed: shown.resumed,
            containers: shown.containers.len(),
            kinds: shown.containers.clone(),
            sent,
            interrupted,
            monitors,
            balanced: checks.is_balanced(),
            checks,
        }
    }

    pub(crate) fn print(&self, containers: &Containers, story: &Story) {
        let mut report = Report::default();
        let end = if self.interrupted { ", ended early" } else { "" };
        let connections = number_of(self.connects, "connection");
        report.heading(format_args!("report: {} over {connections}{end}", number_of(self.shown, "event")));
        let gaps = number_of(self.gaps, "gap");
        let resumed = format!("{} continued without a loss", grouped(self.resumed));
        report.finding(
            Mark::good_if(self.gaps == 0, Mark::Notice),
            "gaps",
            format_args!("{gaps}; {resumed}"),
        );
        if let Some(SentReport { total, shown, at_gaps, left }) = self.sent {
            let sum = format!("{} shown + {} at gaps", grouped(shown), grouped(at_gaps));
            let left = if left > 0 { format!(" + {} left", grouped(left)) } else { String::new() };
            report.finding(Mark::Neutral, "sent", format_args!("{} = {sum}{left}", grouped(total)));
        }
        report.ledger(&self.checks);
        if containers.len() > 0 {
            report.table(&containers.table(ROWS));
        }
        let header =
            ["monitors", "connects", "failures", "events", "forwarded", "duplicates", "undecodable", "gaps"];
        let mut table = Table::new(header);
        for (number, Followed { monitor, .. }) in self.monitors.iter().enumerate() {
            let counts = [
                monitor.connects,
                monitor.failures,
                monitor.events,
                monitor.forwarded,
                monitor.duplicates,
                monitor.undecodable,
                monitor.gaps,
            ];
            let [connects, failures, events, forwarded, duplicates, undecodable, gaps] = counts.map(grouped);
            let name = (number + 1).to_string();
            table.row([name, connects, failures, events, forwarded, duplicates, undecodable, gaps]);
        }
        report.table(&table);
        story.report(self, &report);
    }

    /// Returns an error if a check failed.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        self.checks.verdict()
    }
}

fn audit_monitor(checks: &mut Audit, name: &str, followed: &Followed) {
    let Followed { monitor, queue, done, .. } = followed;
    checks.equal((&format!("{name}, events read"), monitor.events), ("forwarded", monitor.forwarded));
    let failures = monitor.store_failures + monitor.source_panics;
    checks.equal((&format!("{name}, failures to store, and panics"), failures), ("expected", 0));
    checks.check(*done, format!("{name}: its stop has waited for everything"));
    checks.check(queue.check().is_ok(), format!("{name}, queue: {queue}"));
    checks.equal((&format!("{name}, updates accepted"), queue.accepted), ("handled", queue.delivered));
}

fn audit_comparison(checks: &mut Audit, comparison: &Comparison, shown: u64, interrupted: bool) {
    let Comparison { lost, unknown, miscounted, left, .. } = *comparison;
    checks.equal(("sent, missing without a gap", lost), ("expected", 0));
    checks.equal(("shown, and not sent in this order", unknown), ("expected", 0));
    checks.equal(("gaps with a wrong number", miscounted), ("expected", 0));
    checks.equal(("shown", shown), ("sent and shown", comparison.shown));
    if !interrupted {
        checks.equal(("sent, and not read at the end", left), ("expected", 0));
    }
}
