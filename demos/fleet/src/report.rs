//! The report: what arrived, what was sent twice and removed, what was lost and why.

use crate::arrivals::Arrival;
use crate::counts::Counts;
use crate::plan::{Chapter, Trouble};
use crate::request::{Life, name_of};
use demo_support::{Audit, Failure, Mark, Report, Story, Table, grouped, number_of};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is left when everything has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) interrupted: bool,
    pub(crate) chapters: Vec<Chapter>,
    pub(crate) lives: Vec<LifeCounts>,
    pub(crate) arrivals: Vec<Arrival>,
    /// Messages in the stream.
    pub(crate) stored: u64,
    pub(crate) alerts: u64,
    pub(crate) gaps: u64,
    /// Count, median and 99th percentile of the latencies that the aggregator has counted.
    pub(crate) percentiles: HashMap<String, [u64; 3]>,
    /// Whether the last processes ended by themselves, without an error.
    pub(crate) ended_well: bool,
}

/// The counts of a life that is over.
#[derive(Debug)]
pub(crate) struct LifeCounts {
    pub(crate) life: Life,
    pub(crate) counts: Counts,
    /// Whether it was asked to end, and not killed.
    pub(crate) is_asked: bool,
}

/// What happened, and the proof that everything is accounted for.
#[derive(Serialize)]
pub(crate) struct Outcome {
    /// Events that a bus has accepted. Of a killed service, at least that many.
    accepted: u64,
    /// Events in the stream.
    stored: u64,
    /// Events that reached the bus of the aggregator.
    arrived: u64,
    /// Messages that services sent again.
    sent_again: u64,
    /// Of them, those that the server recognized. A killed service may have had more.
    removed_by_server: u64,
    /// Deliveries that the aggregator recognized.
    recognized: u64,
    /// Events that a killed service had accepted, and that were not stored.
    lost: u64,
    /// Requests that found no room in the queue of their service.
    refused: u64,
    alerts: u64,
    gaps: u64,
    interrupted: bool,
    troubles: BTreeMap<String, usize>,
    /// From the publish to the aggregator, troubles included: microseconds.
    delay_p50: u64,
    delay_p99: u64,
    services: Vec<ServiceReport>,
    balanced: bool,
    checks: Audit,
}

/// One service, over all its lives.
#[derive(Debug, Default, Serialize)]
struct ServiceReport {
    name: &'static str,
    lives: u64,
    kills: u64,
    accepted: u64,
    acknowledged: u64,
    arrived: u64,
    sent_again: u64,
    lost: u64,
    latency_p50: u64,
    latency_p99: u64,
}

impl Outcome {
    pub(crate) fn new(finished: &Finished) -> Self {
        let mut checks = Audit::default();
        let arrived = audit_arrivals(&mut checks, finished);
        let mut services: BTreeMap<u32, ServiceReport> = BTreeMap::new();
        let mut outcome = Totals::default();
        for LifeCounts { life, counts, is_asked } in &finished.lives {
            let numbers = arrived.get(life).copied().unwrap_or_default();
            let lost = audit_life(&mut checks, *life, counts, *is_asked, numbers);
            let service = services.entry(life.service).or_default();
            service.name = name_of(life.service);
            service.lives += 1;
            service.kills += u64::from(!is_asked);
            service.accepted += counts.accepted;
            service.acknowledged += counts.acknowledged;
            service.arrived += numbers.count;
            service.sent_again += counts.retried;
            service.lost += lost;
            outcome.duplicates += counts.duplicates;
            outcome.refused += counts.refused;
        }
        for service in services.values_mut() {
            let [count, median, tail] = finished.percentiles.get(service.name).copied().unwrap_or_default();
            checks
                .equal((&format!("{}, in the histogram", service.name), count), ("arrived", service.arrived));
            (service.latency_p50, service.latency_p99) = (median, tail);
        }
        let sent_again: u64 = services.values().map(|service| service.sent_again).sum();
        let removed = outcome.duplicates;
        checks.check(
            removed <= sent_again,
            format!("{removed} recognized by the server, of {sent_again} sent again"),
        );
        checks.check(finished.ended_well, "all processes that were asked to end did so");
        let mut delays: Vec<_> = finished.arrivals.iter().map(|arrival| arrival.delay).collect();
        delays.sort_unstable();
        let delay = |percent: usize| delays.get(delays.len() * percent / 100).copied().unwrap_or_default();
        let sum = |count: fn(&ServiceReport) -> u64| services.values().map(count).sum::<u64>();
        let arrived_count = sum(|service| service.arrived);
        let mut troubles = BTreeMap::new();
        for chapter in &finished.chapters {
            *troubles.entry(words(chapter.trouble).to_owned()).or_default() += 1;
        }
        Self {
            accepted: sum(|service| service.accepted),
            stored: finished.stored,
            arrived: arrived_count,
            sent_again,
            removed_by_server: outcome.duplicates,
            recognized: finished.arrivals.len() as u64 - arrived_count,
            lost: sum(|service| service.lost),
            refused: outcome.refused,
            alerts: finished.alerts,
            gaps: finished.gaps,
            interrupted: finished.interrupted,
            troubles,
            delay_p50: delay(50),
            delay_p99: delay(99),
            services: services.into_values().collect(),
            balanced: checks.is_balanced(),
            checks,
        }
    }

    pub(crate) fn print(&self, story: &Story) {
        let mut report = Report::default();
        let troubles: u64 = self.troubles.values().map(|count| *count as u64).sum();
        report.heading(format_args!(
            "{} of {}, {}{}",
            number_of(self.accepted, "event"),
            number_of(self.services.len() as u64, "service"),
            number_of(troubles, "trouble"),
            if self.interrupted { ", ended early" } else { "" }
        ));
        report.finding(
            Mark::good_if(self.arrived == self.stored, Mark::Bad),
            "arrived",
            format_args!("{} of {} stored ones", grouped(self.arrived), grouped(self.stored)),
        );
        report.finding(
            Mark::Neutral,
            "twice",
            format_args!(
                "{} sent again, of which the server had {}; {} delivered again, and recognized",
                grouped(self.sent_again),
                grouped(self.removed_by_server),
                grouped(self.recognized)
            ),
        );
        let lossy = self.services.iter().filter(|service| service.lost > 0);
        let losses: Vec<_> = lossy
            .map(|ServiceReport { name, lost, kills, .. }| {
                format!("{name} lost {} with {}", number_of(*lost, "event"), number_of(*kills, "kill"))
            })
            .collect();
        let text = if losses.is_empty() { "nothing".to_owned() } else { losses.join("; ") };
        report.finding(Mark::good_if(losses.is_empty(), Mark::Notice), "lost", text);
        report.finding(
            Mark::Neutral,
            "delay",
            format_args!(
                "{:.1} ms at the median and {:.0} ms at p99, troubles included",
                self.delay_p50 as f64 / 1e3,
                self.delay_p99 as f64 / 1e3
            ),
        );
        report.ledger(&self.checks);
        let mut table = Table::new([
            "services",
            "lives",
            "kills",
            "accepted",
            "acknowledged",
            "arrived",
            "sent again",
            "lost",
            "p50 µs",
            "p99 µs",
        ]);
        for service in &self.services {
            let ServiceReport { lives, kills, accepted, acknowledged, arrived, sent_again, lost, .. } =
                service;
            let cells = [*lives, *kills, *accepted, *acknowledged, *arrived, *sent_again, *lost];
            let [lives, kills, accepted, acknowledged, arrived, sent_again, lost] = cells.map(grouped);
            let [p50, p99] = [service.latency_p50, service.latency_p99].map(grouped);
            let name = service.name.to_owned();
            table.row([name, lives, kills, accepted, acknowledged, arrived, sent_again, lost, p50, p99]);
        }
        report.table(&table);
        report.line("accepted and acknowledged: of a killed life, as last written down");
        story.report(self, &report);
    }

    /// Returns an error if a check failed.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        self.checks.verdict()
    }
}

#[derive(Default)]
struct Totals {
    duplicates: u64,
    refused: u64,
}

/// The numbers of a life that have arrived.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    count: u64,
    last: u64,
}

/// Checks that each event is in the stream once, and that each message of the stream has arrived.
fn audit_arrivals(checks: &mut Audit, finished: &Finished) -> HashMap<Life, Numbers> {
    let mut sequences = HashMap::new();
    let mut stored_twice = 0;
    let mut arrived: HashMap<Life, Numbers> = HashMap::new();
    for Arrival { request, sequence, .. } in &finished.arrivals {
        match sequences.insert((request.life, request.number), *sequence) {
            None => {
                let numbers = arrived.entry(request.life).or_default();
                numbers.count += 1;
                numbers.last = numbers.last.max(request.number);
            }
            Some(before) => stored_twice += u64::from(before != *sequence),
        }
    }
    checks.equal(("events that are stored twice", stored_twice), ("expected", 0));
    let places: HashSet<_> = sequences.values().collect();
    checks.equal(("places in the stream that arrived", places.len() as u64), ("stored", finished.stored));
    checks.equal(("events that arrived", sequences.len() as u64), ("stored", finished.stored));
    checks.equal(("gaps that were told", finished.gaps), ("expected", 0));
    arrived
}

/// Checks one life, and returns how many events it had accepted that are not stored.
fn audit_life(checks: &mut Audit, life: Life, counts: &Counts, is_asked: bool, numbers: Numbers) -> u64 {
    let name = format!("{}, life {}", name_of(life.service), life.life);
    let Numbers { count, last } = numbers;
    if is_asked {
        checks.equal((&format!("{name}: arrived"), count), ("accepted", counts.accepted));
        checks.equal((&format!("{name}: acknowledged"), counts.acknowledged), ("accepted", counts.accepted));
        checks.check(counts.closed == 1, format!("{name}: its close left nothing"));
    } else {
        let acknowledged = counts.acknowledged;
        checks.check(acknowledged <= count, format!("{name}: {count} arrived, {acknowledged} acknowledged"));
    }
    // A service sends in order, and again from the first one that was not acknowledged. So what is
    // stored has no hole, and what a kill has lost are the last ones.
    checks.equal((&format!("{name}: the last number"), last), ("arrived", count));
    let (most, attempted) = (last, counts.attempted);
    checks.check(most <= attempted, format!("{name}: the last number {most} of {attempted} published"));
    counts.accepted.saturating_sub(count)
}

fn words(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Crash => "crash",
        Trouble::Pause => "pause",
        Trouble::Restart => "restart",
        Trouble::ServerCrash => "server crash",
        Trouble::CrashInOutage => "crash in an outage",
        Trouble::ServerPause => "server pause",
        Trouble::AggregatorCrash => "aggregator crash",
    }
}
