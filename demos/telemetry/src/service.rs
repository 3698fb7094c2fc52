//! The key-value service under load, with telemetry on and off in turns.

mod aggregator;
mod client;
mod connection;
mod load;
mod offer;
mod pace;
mod processor;
mod protocol;
mod sample;
mod store;
mod worker;

use crate::audit;
use crate::options::{Options, Telemetry};
use crate::output::Output;
use crate::peers::{Carrier, Peer, Tap};
use crate::pipeline::{AGGREGATE, Finished, Pipeline};
use crate::report::{add_row, duration_text, histogram_json, histogram_table, nanoseconds};
use aggregator::{Aggregator, Summary};
use demo_support::{Audit, Failure, Interrupt, Mark, Report, SinkReport, console, grouped};
use load::{Load, Outcome, Plan};
use offer::Offer;
use sample::{Operation, Sample};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

/// Runs the service and its clients, and reports.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .map_err(|error| Failure::setup(format!("cannot listen on port {}", options.port), error))?;
    let carrier = options.carrier()?;
    let load = Load::connect(&listener, options)?;
    let output = Output::create(options.output.as_deref())?;
    let (aggregator, summary) = Aggregator::new();
    let slow = nanoseconds(options.slow);
    let is_alert = move |sample: &Sample| sample.is_failure() || u64::from(sample.nanos) >= slow;
    let workers = load.workers();
    let (route, taps) = if carrier == Carrier::Buslane {
        let pipeline = Pipeline::start(options, output, aggregator, is_alert)?;
        let taps = Tap::of_bus(&pipeline.bus, workers);
        (Route::Bus(pipeline), taps)
    } else {
        let shape = (workers, options.capacity.get());
        let (peer, taps) = Peer::start(carrier, shape, output, aggregator, is_alert)?;
        (Route::Peer(peer), taps)
    };

    let (wake, woken) = mpsc::channel();
    let interrupt = Interrupt::listen(move || {
        // Without a receiver the run is over already.
        let _ = wake.send(());
    })?;
    let offer = match options.load() {
        Some(load) => Some(Offer::new(load, &listener, options, &woken)?),
        None => None,
    };
    // A user who asked for the end meanwhile gets it.
    let time = if interrupt.is_asked() { Duration::ZERO } else { options.seconds };
    let interval = offer.map(|offer| offer.interval());
    let plan = Plan { time, telemetry: options.telemetry(), interval };
    let outcome = load.run(&plan, taps, &woken)?;
    let finished = match route {
        Route::Bus(pipeline) => pipeline.finish()?,
        Route::Peer(peer) => peer.finish()?,
    };
    let run = Run { carrier, offer, outcome, was_interrupted: interrupt.is_asked() };
    conclude(options, &run, &finished, summary.try_recv().ok())
}

/// What carries the samples of this run.
enum Route {
    Bus(Pipeline<Sample>),
    Peer(Peer<Sample>),
}

/// A run of the service.
struct Run {
    carrier: Carrier,
    offer: Option<Offer>,
    outcome: Outcome,
    was_interrupted: bool,
}

/// Checks the counters and prints the report.
fn conclude(
    options: &Options,
    run: &Run,
    finished: &Finished<Sample>,
    summary: Option<Summary>,
) -> Result<(), Failure> {
    let outcome = &run.outcome;
    let audit = audit(options, outcome, finished, summary.as_ref());
    if options.json {
        let json = json(options, run, finished, summary.as_ref(), &audit);
        console::print(format_args!("{json}\n"));
    } else {
        let mut report = Report::default();
        report.heading(format_args!(
            "{} workers, {} connections, {:.1} s with telemetry on{}{}{}",
            outcome.workers,
            options.connections,
            outcome.elapsed.as_secs_f64(),
            match options.telemetry() {
                Telemetry::InTurns(slice) => format!(" and off for {slice:?} each"),
                Telemetry::Off | Telemetry::On => String::new(),
            },
            run.offer.map_or_else(String::new, |offer| format!(", {offer}")),
            if run.was_interrupted { ", ended by Ctrl-C" } else { "" }
        ));
        SinkReport::summarize(&finished.sinks, &mut report, outcome.workers_tally.told.published, "sample");
        if run.carrier != Carrier::Buslane {
            report.finding(Mark::Neutral, "bus", format_args!("{} in its place", run.carrier.name()));
        }
        for (line, about) in cost(options, run).iter().zip(["cost", "", ""]) {
            report.finding(Mark::Neutral, about, line);
        }
        report.ledger(&audit);
        write_latencies(&mut report, outcome);
        if let Some(summary) = &summary {
            write_summary(&mut report, summary);
        }
        finished.write_to(&mut report);
        if run.carrier == Carrier::Buslane {
            report.line(format_args!(
                "each sink: overflow {}, wait {}, capacity {} per worker",
                options.overflow(),
                options.wait(),
                options.capacity
            ));
        }
        console::print(format_args!("{report}"));
    }
    audit.verdict()?;
    console::finish()
}

/// What telemetry cost: what the clients saw, and what a publish took.
fn cost(options: &Options, run: &Run) -> Vec<String> {
    let (clients, workers) = (&run.outcome.clients, &run.outcome.workers_tally);
    let publish = duration_text(workers.net_cost().value_at_quantile(0.5));
    if options.telemetry() == Telemetry::On {
        return vec![format!("a publish takes {publish} (p50); telemetry was on all the time")];
    }
    if clients.on.is_empty() || clients.off.is_empty() {
        return vec![format!("a publish takes {publish} (p50); the run was too short to compare latencies")];
    }
    let compare = |name: &str, quantile: f64| {
        let [on, off] = [&clients.on, &clients.off].map(|latencies| latencies.value_at_quantile(quantile));
        let percent = (on as f64 / off as f64 - 1.0) * 100.0;
        let (on, off) = (duration_text(on), duration_text(off));
        format!("{name} latency {on} with telemetry, {off} without ({percent:+.1} %)")
    };
    let mut lines = vec![format!("{}; a publish takes {publish} (p50)", compare("p50", 0.5))];
    if run.offer.is_some() {
        lines.extend([compare("p99", 0.99), compare("p99.9", 0.999)]);
    }
    lines
}

fn write_latencies(report: &mut Report, outcome: &Outcome) {
    let (clients, workers) = (&outcome.clients, &outcome.workers_tally);
    let mut table = histogram_table("request latency at the clients", "replies");
    add_row(&mut table, "telemetry on", &clients.on, duration_text);
    add_row(&mut table, "telemetry off", &clients.off, duration_text);
    report.table(&table);
    report.line(format_args!("replies with status 400 or 404: {}", grouped(clients.failed)));
    let mut table = histogram_table("cost of a publish for its worker", "timed");
    add_row(&mut table, "publish into all sinks, with the timer", &workers.publish_cost, duration_text);
    add_row(&mut table, "timer alone", &workers.timer_cost, duration_text);
    add_row(&mut table, "publish, less the p50 of the timer", &workers.net_cost(), duration_text);
    report.table(&table);
    report.line(format_args!("one publish in {} is timed", worker::TIMED_EVERY));
}

fn write_summary(report: &mut Report, summary: &Summary) {
    let mut table = histogram_table("service time, from the samples", "samples");
    for operation in Operation::ALL {
        add_row(&mut table, operation.name(), summary.of(operation), duration_text);
    }
    report.table(&table);
    let (bytes, failed) = (grouped(summary.bytes), grouped(summary.failed));
    report.line(format_args!("bytes in and out: {bytes}; failed requests: {failed}"));
}

/// The report as one JSON document; durations are in nanoseconds.
fn json(
    options: &Options,
    run: &Run,
    finished: &Finished<Sample>,
    summary: Option<&Summary>,
    audit: &Audit,
) -> Value {
    let outcome = &run.outcome;
    let (clients, workers) = (&outcome.clients, &outcome.workers_tally);
    let service_time = summary.map(|summary| {
        let times = Operation::ALL.map(|operation| (operation.name(), histogram_json(summary.of(operation))));
        std::collections::BTreeMap::from(times)
    });
    let mut report = json!({
        "mode": "service",
        "bus": run.carrier,
        "load": run.offer,
        "workers": outcome.workers,
        "connections": options.connections,
        "seconds": outcome.elapsed.as_secs_f64(),
        "interrupted": run.was_interrupted,
        "overflow": options.overflow(),
        "wait": options.wait(),
        "capacity": options.capacity,
        "published": workers.told.published,
        "latency": {"telemetry_on": histogram_json(&clients.on), "telemetry_off": histogram_json(&clients.off)},
        "warm_up": clients.warm_up,
        "processor_time": outcome.processor,
        "failed_replies": clients.failed,
        "publish": histogram_json(&workers.net_cost()),
        "publish_with_timer": histogram_json(&workers.publish_cost),
        "timer": histogram_json(&workers.timer_cost),
        "service_time": service_time,
        "balanced": audit.is_balanced(),
        "checks": audit,
    });
    finished.write_json(&mut report, workers.told.published);
    report
}

fn audit(
    options: &Options,
    outcome: &Outcome,
    finished: &Finished<Sample>,
    summary: Option<&Summary>,
) -> Audit {
    let mut audit = Audit::default();
    let (clients, workers) = (&outcome.clients, &outcome.workers_tally);
    let replies = clients.on.len() + clients.warm_up;
    audit.equal(("replies with telemetry on", replies), ("published", workers.told.published));
    audit.equal(
        ("replies with telemetry off", clients.off.len()),
        ("requests not published", workers.unpublished),
    );
    audit::audit(&mut audit, &workers.told, finished, options.overflow());
    match summary {
        Some(summary) => {
            let delivered = finished.ledger(AGGREGATE).map_or(0, |ledger| ledger.delivered);
            audit.equal(("samples in the histogram", summary.count()), ("delivered by aggregate", delivered));
        }
        None => audit.check(false, "the aggregator returned no summary"),
    }
    audit
}
