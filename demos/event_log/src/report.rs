//! The report: what each subscriber saw or missed, and the proof of it.

use crate::mirror::Mirror;
use crate::visit::Visit;
use crate::watcher::Notes;
use buslane::stats::{Ledger, SubscriberState};
use demo_support::{Audit, Failure, Mark, Report, Story, Table, grouped, number_of};
use serde::Serialize;

/// What each subscriber saw or missed, and the proof of it.
#[derive(Default, Serialize)]
pub(crate) struct Outcome {
    published: u64,
    interrupted: bool,
    /// Events that a subscriber missed, over all subscribers.
    lost: u64,
    /// Attempts to publish that found the mirror too far behind.
    waits: u64,
    subscribers: Vec<SubscriberReport>,
    journal: Ledger,
    balanced: bool,
    checks: Audit,
}

/// One subscriber, over all its connections.
#[derive(Serialize)]
struct SubscriberReport {
    name: &'static str,
    from: u64,
    seen: u64,
    missed: u64,
    /// Events from before the time that the subscriber asked for.
    before_start: u64,
    /// Ranges of positions without a gap.
    ranges: usize,
    connections: Vec<SubscriberState>,
}

impl Outcome {
    /// Checks that the journal accepted what the watcher recorded, in that order, and nothing else;
    /// that each subscriber saw every event or counted it as missed; and that the mirror shows the
    /// directory.
    pub(crate) fn new(
        notes: &Notes,
        journal: Ledger,
        interrupted: bool,
        mirror: &Mirror,
        visits: Vec<Visit>,
    ) -> Self {
        let (published, waits) = (notes.record.len(), notes.refused);
        let mut outcome = Self { published, interrupted, waits, journal, ..Self::default() };
        outcome.audit_journal(notes);
        outcome.audit_mirror(notes, mirror);
        visits.into_iter().for_each(|visit| outcome.audit_visit(notes, visit));
        outcome.balanced = outcome.checks.is_balanced();
        outcome
    }

    fn audit_journal(&mut self, notes: &Notes) {
        let (checks, ledger) = (&mut self.checks, &self.journal);
        checks.check(ledger.check().is_ok(), format!("journal: {ledger}"));
        checks.equal(("journal, recorded by the watcher", notes.record.len()), ("accepted", ledger.accepted));
        checks.equal(("journal, refused publishes", notes.refused), ("refused", ledger.refused.total()));
        checks.equal(("journal, events out of order", notes.misplaced), ("expected", 0));
    }

    /// Checks the mirror, which knows the directory from events alone, against the last scan.
    fn audit_mirror(&mut self, notes: &Notes, mirror: &Mirror) {
        self.checks.equal(("mirror, impossible events", mirror.impossible), ("expected", 0));
        self.checks.check(
            mirror.shows(&notes.picture),
            format!("mirror: shows {} entries, and the directory {}", mirror.len(), notes.picture.len()),
        );
    }

    fn audit_visit(&mut self, notes: &Notes, visit: Visit) {
        let Visit { name, begin, since, witness, connections } = visit;
        let (seen, missed, end) = (witness.seen_count(), witness.missed_count(), notes.record.len());
        self.lost += missed;
        let checks = &mut self.checks;
        let before_start = witness.prove(&notes.record, begin, since).unwrap_or_else(|wrong| {
            checks.check(false, format!("{name}: {wrong}"));
            0
        });
        checks.check(
            begin + seen + missed + before_start == end,
            format!(
                "{name}: {begin} before its first event + {seen} seen + {missed} missed + {before_start} before its start = {end}"
            ),
        );
        let mut sum = Ledger::default();
        for connection in &connections {
            checks.check(connection.ledger.check().is_ok(), connection.to_string());
            sum += connection.ledger;
        }
        checks.equal((&format!("{name}, delivered"), sum.delivered), ("seen", seen));
        checks.equal((&format!("{name}, evicted"), sum.dropped.evicted), ("missed", missed));
        checks.equal((&format!("{name}, filtered"), sum.filtered), ("before start", before_start));
        let ranges = witness.spans.iter().filter(|span| span.is_seen()).count();
        let report = SubscriberReport { name, from: begin, seen, missed, before_start, ranges, connections };
        self.subscribers.push(report);
    }

    pub(crate) fn print(&self, story: &Story) {
        let mut report = Report::default();
        report.heading(format_args!(
            "{} published to {}{}",
            number_of(self.published, "event"),
            number_of(self.subscribers.len() as u64, "subscriber"),
            if self.interrupted { ", ended early" } else { "" }
        ));
        if self.lost == 0 {
            report.finding(Mark::Good, "lost", "nothing: every subscriber saw all of its events");
        }
        for SubscriberReport { name, seen, missed, .. } in &self.subscribers {
            if *missed > 0 {
                let (all, missed) = (number_of(seen + missed, "event"), grouped(*missed));
                report.finding(
                    Mark::Notice,
                    "lost",
                    format_args!("{name}: missed {missed} of {all}, overwritten before it read them"),
                );
            }
        }
        if self.waits == 0 {
            report.finding(Mark::Good, "slow", "the watcher never waited for the mirror");
        } else {
            let waits = number_of(self.waits, "time");
            report.finding(
                Mark::Notice,
                "slow",
                format_args!(
                    "the watcher timed out {waits} while it waited for the mirror, and published again"
                ),
            );
        }
        report.ledger(&self.checks);
        let header = ["subscribers", "from event", "seen", "missed", "before start", "ranges", "connections"];
        let mut table = Table::new(header);
        for subscriber in &self.subscribers {
            let SubscriberReport { name, from, seen, missed, before_start, ranges, connections } = subscriber;
            let [ranges, connections] = [*ranges, connections.len()].map(|count| count as u64);
            let [from, seen, missed, before_start, ranges, connections] =
                [*from, *seen, *missed, *before_start, ranges, connections].map(grouped);
            table.row([(*name).to_owned(), from, seen, missed, before_start, ranges, connections]);
        }
        report.table(&table);
        story.report(self, &report);
    }

    /// Returns an error if a check failed.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        self.checks.verdict()
    }
}
