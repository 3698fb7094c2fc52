//! The report at the end: what each part delivered, and whether the ledgers balance.

use crate::feed::Readers;
use crate::requests::{CLASSES, RequestCounts};
use crate::serve::Steps;
use crate::service::Service;
use crate::telemetry::LogReport;
use buslane::stats::{Ledger, SinkState};
use demo_support::{Audit, Failure, Mark, Report, Story, Table, grouped, number_of};
use serde::Serialize;

/// What each part of the service delivered.
#[derive(Serialize)]
pub(crate) struct Outcome {
    requests: RequestCounts,
    audit: AuditReport,
    feed: FeedReport,
    log: LogReport,
    shutdown: Steps,
    balanced: bool,
    checks: Audit,
}

/// What the audit wrote to the database.
#[derive(Serialize)]
struct AuditReport {
    state: SinkState,
    rows: u64,
    transactions: u64,
    failed_transactions: u64,
    error: Option<String>,
}

/// What the clients of the feed read.
#[derive(Serialize)]
struct FeedReport {
    state: SinkState,
    /// Orders that were taken after the feed had ended, because a request took too long.
    unpublished: u64,
    readers: Readers,
}

impl Outcome {
    pub(crate) fn new(service: &Service, shutdown: Steps, log: LogReport) -> Self {
        let progress = service.audit.progress();
        let mut outcome = Self {
            requests: service.requests.counts(),
            audit: AuditReport {
                state: service.audit.state(),
                rows: progress.rows(),
                transactions: progress.batches(),
                failed_transactions: progress.failures(),
                error: progress.error(),
            },
            feed: FeedReport {
                state: service.feed.state(),
                unpublished: service.feed.unpublished(),
                readers: service.feed.readers(),
            },
            log,
            shutdown,
            balanced: false,
            checks: Audit::default(),
        };
        outcome.check_requests();
        outcome.check_orders();
        outcome.check_feed();
        outcome.check_log();
        outcome.balanced = outcome.checks.is_balanced();
        outcome
    }

    fn check_requests(&mut self) {
        let RequestCounts { received, abandoned, .. } = self.requests;
        let settled = self.requests.answers() + abandoned;
        self.checks.equal(("requests received", received), ("answered or abandoned", settled));
    }

    /// Checks that each order that was accepted is in the database and was published, and that no
    /// other one was answered 201.
    fn check_orders(&mut self) {
        let (checks, audit) = (&mut self.checks, &self.audit);
        let ledger = &audit.state.ledger;
        check_ledger(checks, "audit", ledger);
        checks.equal(("orders accepted by the audit", ledger.accepted), ("rows in the database", audit.rows));
        let (created, abandoned) = (self.requests.created, self.requests.abandoned);
        checks.check(
            (created..=created + abandoned + self.requests.answered[3]).contains(&ledger.accepted),
            format!("orders: {created} answered 201, and {} accepted", ledger.accepted),
        );
        let published = self.feed.state.ledger.accepted + self.feed.unpublished;
        checks.equal(("orders accepted by the audit", ledger.accepted), ("published in the feed", published));
    }

    fn check_feed(&mut self) {
        let (checks, feed) = (&mut self.checks, &self.feed);
        check_ledger(checks, "feed", &feed.state.ledger);
        check_ledger(checks, "clients of the feed", &feed.readers.ledger);
        checks.equal(("orders not published", feed.unpublished), ("expected", 0));
    }

    /// Checks that there is a line for each answer, or a counted loss. Without counts of losses, each
    /// must have a line.
    fn check_log(&mut self) {
        let (checks, log) = (&mut self.checks, &self.log);
        if let Some(ledger) = &log.ledger {
            check_ledger(checks, "log", ledger);
            checks.equal(("log lines pending", ledger.pending), ("expected", 0));
        }
        if let Some(trouble) = &log.trouble {
            checks.check(false, trouble.clone());
        }
        let (Some(lines), false) = (log.answers, log.kind == crate::telemetry::Kind::Off) else { return };
        let (answers, lost) = (self.requests.answers(), log.lost.unwrap_or(0));
        checks.check(
            lines <= answers && lines + lost >= answers,
            format!("answers: {answers}, of which {lines} have a log line and at most {lost} were lost"),
        );
    }

    pub(crate) fn print(&self, story: &Story) {
        let mut report = Report::default();
        let RequestCounts { received, created, abandoned, answered } = self.requests;
        report.heading(format_args!(
            "{}, {} taken",
            number_of(received, "request"),
            number_of(created, "order")
        ));
        self.summarize(&mut report);
        report.ledger(&self.checks);
        report.finding(Mark::Neutral, "log", self.log.summary());
        let mut table =
            Table::new(["sinks", "offered", "delivered", "dropped", "refused", "longest backlog"]);
        let mut row = |name: &str, ledger: &Ledger, backlog: String| {
            let counts = [ledger.offered, ledger.delivered, ledger.dropped.total(), ledger.refused.total()];
            let [offered, delivered, dropped, refused] = counts.map(grouped);
            table.row([name.to_owned(), offered, delivered, dropped, refused, backlog]);
        };
        let backlog =
            |state: &SinkState| format!("{} of {}", grouped(state.high_water), grouped(state.capacity));
        row("audit", &self.audit.state.ledger, backlog(&self.audit.state));
        row("feed", &self.feed.state.ledger, String::new());
        row(&number_of(self.feed.readers.clients, "client"), &self.feed.readers.ledger, String::new());
        if let Some(ledger) = &self.log.ledger {
            row("log", ledger, String::new());
        }
        report.table(&table);
        let mut table = Table::new(["answers", "requests"]);
        for (class, count) in CLASSES.iter().zip(answered) {
            table.row([(*class).to_owned(), grouped(count)]);
        }
        table.row(["abandoned by the client".to_owned(), grouped(abandoned)]);
        report.table(&table);
        story.report(self, &report);
    }

    /// Adds a line for each loss, and for each step that was not done in time.
    fn summarize(&self, report: &mut Report) {
        let evicted = self.feed.readers.ledger.dropped.evicted;
        let lost = [
            (
                "orders",
                self.audit.state.ledger.accepted.saturating_sub(self.audit.rows),
                "not in the database",
                Mark::Bad,
            ),
            ("feed", evicted, "evicted before a client read them, and told", Mark::Notice),
            ("log", self.log.lost.unwrap_or(0), "lines lost", Mark::Notice),
        ];
        for (part, count, what, mark) in lost.iter().filter(|(_, count, ..)| *count > 0) {
            report.finding(*mark, "lost", format_args!("{part}: {} {what}", grouped(*count)));
        }
        if lost.iter().all(|(_, count, ..)| *count == 0) {
            report.finding(Mark::Good, "lost", "nothing");
        }
        let late = [
            ("requests without an answer", self.shutdown.answered),
            ("clients that do not read", self.shutdown.hung_up),
            ("orders that cannot be written", self.shutdown.written),
        ];
        for (what, _) in late.iter().filter(|(_, done)| !done) {
            report.finding(Mark::Notice, "late", format_args!("the shutdown did not wait longer for {what}"));
        }
        if let Some(error) = &self.audit.error {
            report.finding(Mark::Bad, "error", format_args!("the database: {error}"));
        }
    }

    /// Returns an error if a check failed.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        self.checks.verdict()
    }
}

fn check_ledger(checks: &mut Audit, name: &str, ledger: &Ledger) {
    checks.check(ledger.check().is_ok(), format!("{name}: {ledger}"));
}
