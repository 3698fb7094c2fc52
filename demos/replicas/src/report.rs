//! The report: whether all nodes have the same data, what was sent again, and what was lost and
//! mended.

use crate::change::Vector;
use crate::hub::Traffic;
use crate::plan::{Chapter, Trouble};
use crate::record::Record;
use crate::state::State;
use crate::wire::{Counts, Status};
use crate::writers::Written;
use buslane::director::DirectorReport;
use demo_support::{Audit, Failure, Mark, Report, Story, Table, grouped, number_of};
use serde::Serialize;

/// What is left when everything has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) interrupted: bool,
    pub(crate) chapters: Vec<Chapter>,
    pub(crate) written: Written,
    pub(crate) record: Record,
    pub(crate) nodes: Vec<Ended>,
    pub(crate) director: DirectorReport,
}

/// What is left of a node.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) name: &'static str,
    pub(crate) status: Status,
    pub(crate) state: State,
    /// What the hub counted over all its lives.
    pub(crate) traffic: Traffic,
    /// The same for the last one.
    pub(crate) last: Traffic,
    /// Whether its process ended by itself, without an error.
    pub(crate) ended_well: bool,
}

/// What happened, and the proof that all nodes have the same data.
#[derive(Serialize)]
pub(crate) struct Outcome {
    /// Changes that the hub accepted.
    accepted: u64,
    /// Those that a node acknowledged to its client.
    acknowledged: u64,
    /// Writes whose outcome their clients do not know.
    unknown: u64,
    /// Writes that were not accepted, to let a healthy node catch up.
    held_back: u64,
    interrupted: bool,
    crashes: usize,
    pauses: usize,
    stalls: usize,
    /// The digest of the data of all nodes, if it is the same.
    digest: Option<String>,
    sums: usize,
    texts: usize,
    nodes: Vec<NodeReport>,
    director: DirectorReport,
    balanced: bool,
    checks: Audit,
}

/// One node.
#[derive(Serialize)]
struct NodeReport {
    name: &'static str,
    digest: String,
    /// What the hub counted, over all lives of the node.
    traffic: Traffic,
    /// What the last life of the node counted.
    counts: Counts,
}

impl Outcome {
    /// Checks that all nodes have exactly the data that the accepted changes result in, that no
    /// acknowledged change is missing, and that the nodes' counts are those of the hub.
    pub(crate) fn new(finished: Finished) -> Self {
        let Finished { interrupted, chapters, written, record, nodes, director } = finished;
        let of = |kind| chapters.iter().filter(|chapter| chapter.trouble == kind).count();
        let view = record.expected();
        let mut checks = Audit::default();
        audit_writes(&mut checks, &record, &written);
        let accepted = record.accepted();
        for node in &nodes {
            checks.check(
                node.state.view() == view,
                format!("{}: has the data of the accepted changes", node.name),
            );
            audit_node(&mut checks, node, &accepted);
        }
        let digests: Vec<_> = nodes.iter().map(|node| node.status.digest).collect();
        let is_same = digests.windows(2).all(|pair| pair[0] == pair[1]);
        checks.check(is_same, format!("the digests of all nodes are equal: {digests:x?}"));
        let text = |digest: &u64| format!("{digest:016x}");
        let row = |node: &Ended| {
            let Ended { name, status, traffic, .. } = node;
            NodeReport { name, digest: text(&status.digest), traffic: *traffic, counts: status.counts }
        };
        Self {
            accepted: record.len(),
            acknowledged: written.acknowledged.len() as u64,
            unknown: written.unknown,
            held_back: written.held_back,
            interrupted,
            crashes: of(Trouble::Crash),
            pauses: of(Trouble::Pause),
            stalls: of(Trouble::Stall),
            digest: digests.first().filter(|_| is_same).map(text),
            sums: view.sums.len(),
            texts: view.texts.len(),
            nodes: nodes.iter().map(row).collect(),
            director,
            balanced: checks.is_balanced(),
            checks,
        }
    }

    pub(crate) fn print(&self, story: &Story) {
        let mut report = Report::default();
        report.heading(format_args!(
            "{} of {}: {}, {}, {}{}",
            number_of(self.accepted, "change"),
            number_of(self.nodes.len() as u64, "node"),
            match self.crashes {
                1 => "1 crash".to_owned(),
                crashes => format!("{crashes} crashes"),
            },
            number_of(self.pauses as u64, "pause"),
            number_of(self.stalls as u64, "stall"),
            if self.interrupted { ", ended early" } else { "" }
        ));
        match &self.digest {
            Some(digest) => report.finding(
                Mark::Good,
                "data",
                format_args!(
                    "the same in all nodes: {} sums and {} texts, digest {digest}",
                    self.sums, self.texts
                ),
            ),
            None => report.finding(Mark::Bad, "data", "not the same in all nodes"),
        }
        self.find_repeats(&mut report);
        self.find_losses(&mut report);
        report.finding(
            Mark::good_if(self.unknown == 0, Mark::Notice),
            "writes",
            format_args!(
                "{} acknowledged, all of them in the data; {} with an outcome that the client does not know",
                grouped(self.acknowledged),
                grouped(self.unknown)
            ),
        );
        report.ledger(&self.checks);
        let header = [
            "nodes",
            "joined",
            "packets",
            "events",
            "sent again",
            "recognized",
            "lost by lag",
            "state pulls",
        ];
        let mut table = Table::new(header);
        for NodeReport { name, traffic, counts, .. } in &self.nodes {
            let pulls = counts.pulls_at_start + counts.pulls_after_loss;
            let Traffic { joins, packets, events, sent_again, lost, .. } = *traffic;
            let cells = [joins, packets, events, sent_again, counts.repeated, lost, pulls].map(grouped);
            let [joins, packets, events, sent_again, repeated, lost, pulls] = cells;
            table.row([(*name).to_owned(), joins, packets, events, sent_again, repeated, lost, pulls]);
        }
        report.table(&table);
        report.line("recognized and pulls: by the last process of the node");
        story.report(self, &report);
    }

    fn find_repeats(&self, report: &mut Report) {
        let sum = |count: fn(&NodeReport) -> u64| self.nodes.iter().map(count).sum::<u64>();
        let packets = sum(|node| node.traffic.sent_again);
        if packets == 0 {
            return report.finding(Mark::Good, "re-sent", "nothing");
        }
        let events = sum(|node| node.traffic.events_again);
        let repeated = sum(|node| node.counts.repeated);
        report.finding(
            Mark::Notice,
            "re-sent",
            format_args!(
                "{} with {}; {} arrived although an earlier attempt had, and were recognized by their ids",
                number_of(packets, "packet"),
                number_of(events, "event"),
                grouped(repeated)
            ),
        );
    }

    fn find_losses(&self, report: &mut Report) {
        let lossy = self.nodes.iter().filter(|node| node.traffic.lost > 0);
        let losses = lossy.map(|NodeReport { name, traffic, .. }| {
            let (lost, pulls) = (grouped(traffic.lost), number_of(traffic.mended, "pull"));
            format!("{name} missed {lost} events, mended by {pulls} of its peers' data")
        });
        let losses: Vec<_> = losses.collect();
        if losses.is_empty() {
            report.finding(Mark::Good, "lag", "no node lost events");
        } else {
            report.finding(Mark::Notice, "lag", losses.join("; "));
        }
    }

    /// Returns an error if a check failed.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        self.checks.verdict()
    }
}

fn audit_writes(checks: &mut Audit, record: &Record, written: &Written) {
    let acknowledged = written.acknowledged.len() as u64;
    let found = written.acknowledged.iter().filter(|change| record.find(change)).count() as u64;
    checks.equal(("acknowledged to clients", acknowledged), ("accepted by the hub", found));
    let (accepted, most) = (record.len(), acknowledged + written.unknown);
    checks.check(
        accepted <= most,
        format!(
            "{accepted} changes accepted, of {acknowledged} acknowledged and {} unknown",
            written.unknown
        ),
    );
}

fn audit_node(checks: &mut Audit, node: &Ended, accepted: &Vector) {
    let Ended { name, status, last, ended_well, .. } = node;
    let counts = &status.counts;
    checks.check(status.vector == *accepted, format!("{name}: includes the accepted changes of each node"));
    checks.equal((&format!("{name}, changes after a missing one"), counts.too_early), ("expected", 0));
    let included = status.vector.values().sum();
    checks.equal(
        (&format!("{name}, made, applied or pulled"), counts.own + counts.applied + counts.pulled),
        ("included", included),
    );
    checks.equal(
        (&format!("{name}, packets taken"), counts.packets),
        ("acknowledged to the director", last.packets),
    );
    checks.equal(
        (&format!("{name}, events taken"), counts.applied + counts.covered + counts.marks),
        ("acknowledged to the director", last.events),
    );
    checks.check(*ended_well, format!("{name}: its process ended by itself"));
}
