//! The report: what became of every event, and whether the ledger balances.

use crate::delivery::Delivery;
use crate::endpoint::Received;
use buslane::stats::{CloseReport, Ledger, RetryState, Snapshot};
use demo_support::{Audit, Failure, Mark, Report, SinkReport, Story, Table, grouped, number_of};
use serde::Serialize;

/// What became of every event, and whether the ledger balances.
#[derive(Serialize)]
pub(crate) struct Outcome {
    published: u64,
    interrupted: bool,
    lost: u64,
    close: CloseReport,
    endpoints: Vec<EndpointReport>,
    sinks: Vec<SinkReport>,
    balanced: bool,
    checks: Audit,
}

/// One endpoint, and the batches on the way to it.
#[derive(Serialize)]
struct EndpointReport {
    name: &'static str,
    /// Events that arrived, each counted once.
    received: u64,
    /// Events that arrived again, after the answer to their first arrival was lost.
    repeated: u64,
    dead_letters: u64,
    /// The ledger of the batches, counted in events.
    batches: Ledger,
}

impl Outcome {
    pub(crate) fn new(published: u64, interrupted: bool, close: CloseReport, snapshot: &Snapshot) -> Self {
        let sinks = snapshot.sinks.iter();
        let sinks = sinks.map(|sink| SinkReport { name: sink.name.clone(), state: sink.state.clone() });
        let sinks: Vec<_> = sinks.collect();
        let lost = sinks.iter().map(|sink| sink.lost(published)).sum();
        let (endpoints, checks) = (Vec::new(), Audit::default());
        Self { published, interrupted, lost, close, endpoints, sinks, balanced: true, checks }
    }

    fn balance(&mut self, name: &str, what: &str, ledger: &Ledger) {
        self.checks.check(ledger.check().is_ok(), format!("{name}, {what}: {ledger}"));
        self.checks.equal((&format!("{name}, pending in the {what}"), ledger.pending), ("expected", 0));
    }

    /// Checks the counters of one endpoint and of the sinks on the way to it.
    pub(crate) fn audit(&mut self, name: &'static str, delivery: &Delivery, received: &Received) {
        let listed = self.sinks.iter().find(|sink| sink.name == name);
        let queue = listed.map(|sink| sink.state.ledger).unwrap_or_default();
        let batches = delivery.batches.state().ledger;
        self.checks.equal((&format!("{name}, published"), self.published), ("offered", queue.offered));
        self.balance(name, "queue", &queue);
        self.balance(name, "batches", &batches);
        // The ledger of the queue also counts what happened to each event downstream.
        self.checks.equal(
            (&format!("{name}, delivered by the queue"), queue.delivered),
            ("delivered in batches", batches.delivered),
        );
        self.checks.equal(
            (&format!("{name}, failed in the queue"), queue.dropped.failed),
            ("failed in batches", batches.dropped.failed),
        );

        let dead = delivery.dead_letters();
        let dead_letters = dead.len() as u64;
        // If only a part of a batch is given up, its dead letter holds that part.
        self.checks.equal(
            (&format!("{name}, events in dead letters"), dead_letters),
            ("failed in batches", batches.dropped.failed),
        );
        // When an answer is lost, the event arrived although its sender gave it up.
        let dead_and_received = dead.intersection(&received.ids).count() as u64;
        let expected = batches.delivered + dead_and_received;
        let count = received.ids.len() as u64;
        // Events that the deadline of the close cut short may or may not have arrived.
        let unknown = batches.dropped.total().saturating_sub(dead_letters);
        let what = format!(
            "{name}: {count} received = {} delivered + {dead_and_received} in dead letters that had arrived \
             ({} received twice, {unknown} unknown after the close)",
            batches.delivered, received.repeated
        );
        self.checks.check((expected..=expected + unknown).contains(&count), what);
        self.balanced = self.checks.is_balanced();
        let repeated = received.repeated;
        self.endpoints.push(EndpointReport { name, received: count, repeated, dead_letters, batches });
    }

    pub(crate) fn print(&self, story: &Story) {
        let mut report = Report::default();
        report.heading(format_args!(
            "{} published to {}{}",
            number_of(self.published, "event"),
            number_of(self.endpoints.len() as u64, "endpoint"),
            if self.interrupted { ", ended by Ctrl-C" } else { "" }
        ));
        SinkReport::summarize(&self.sinks, &mut report, self.published, "event");
        for (endpoint, sink) in self.endpoints.iter().zip(&self.sinks) {
            for RetryState { retried, given_up, .. } in &sink.state.retries {
                if *retried == 0 && *given_up == 0 {
                    continue;
                }
                let (retried, given_up) = (number_of(*retried, "repeated attempt"), grouped(*given_up));
                let letters = number_of(endpoint.dead_letters, "event");
                report.finding(
                    Mark::Notice,
                    "retries",
                    format_args!(
                        "{}: {retried}, {given_up} batches given up, with {letters} in dead letters",
                        endpoint.name
                    ),
                );
            }
        }
        report.ledger(&self.checks);
        SinkReport::tabulate(&self.sinks, &mut report);
        let mut table = Table::new(["endpoints", "received", "received twice", "in dead letters"]);
        for EndpointReport { name, received, repeated, dead_letters, .. } in &self.endpoints {
            let cells = [*received, *repeated, *dead_letters].map(grouped);
            let [received, repeated, dead_letters] = cells;
            table.row([(*name).to_owned(), received, repeated, dead_letters]);
        }
        report.table(&table);
        story.report(self, &report);
    }

    /// Returns an error if a check failed.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        self.checks.verdict()
    }
}
