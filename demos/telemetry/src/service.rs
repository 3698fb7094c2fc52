//! The key-value service under load, with telemetry on and off in turns.

mod aggregator;
mod client;
mod connection;
mod load;
mod protocol;
mod sample;
mod store;
mod worker;

use crate::books::Books;
use crate::options::Options;
use crate::output::Output;
use crate::pipeline::{AGGREGATE, Finished, Pipeline};
use crate::report::{Report, duration_text, nanoseconds};
use aggregator::{Aggregator, Summary};
use demo_support::Failure;
use demo_support::Interrupt;
use demo_support::console;
use load::{Load, Outcome};
use sample::{Operation, Sample};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;

/// Runs the service and its clients, and reports.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .map_err(|error| Failure::setup(format!("cannot listen on port {}", options.port), error))?;
    let load = Load::connect(&listener, options)?;
    let output = Output::create(options.output.as_deref())?;
    let (aggregator, summary) = Aggregator::new();
    let slow = nanoseconds(options.slow);
    let is_alert = move |sample: &Sample| sample.is_failure() || u64::from(sample.nanos) >= slow;
    let pipeline = Pipeline::start(options, output, aggregator, is_alert)?;

    let (wake, woken) = mpsc::channel();
    let interrupt = Interrupt::listen(move || {
        // Nobody listens any more: the run is over anyway.
        let _ = wake.send(());
    })?;
    let outcome = load.run(options, &pipeline.bus, &woken)?;
    let finished = pipeline.finish()?;
    conclude(options, &outcome, &finished, summary.try_recv().ok(), interrupt.is_asked())
}

/// Prints the report and checks the books.
fn conclude(
    options: &Options,
    outcome: &Outcome,
    finished: &Finished<Sample>,
    summary: Option<Summary>,
    was_interrupted: bool,
) -> Result<(), Failure> {
    let mut report = Report::default();
    report.heading(format_args!(
        "{} workers, {} connections, {:.1} s in slices of {:?}{}",
        outcome.workers,
        options.connections,
        outcome.elapsed.as_secs_f64(),
        options.slice,
        if was_interrupted { ", ended by Ctrl-C" } else { "" }
    ));
    report.line(format_args!(
        "each sink: {:?}, {:?}, capacity {} per worker",
        options.overflow(),
        options.wait,
        options.capacity
    ));
    write_latencies(&mut report, outcome);
    if let Some(summary) = &summary {
        write_summary(&mut report, summary);
    }
    finished.write_to(&mut report);
    let books = audit(options, outcome, finished, summary);
    books.write_to(&mut report);
    report.print();
    books.verdict()?;
    console::finish()
}

fn write_latencies(report: &mut Report, outcome: &Outcome) {
    report.table("request latency, as the clients saw it", "replies");
    report.row("telemetry on", &outcome.clients.on, duration_text);
    report.row("telemetry off", &outcome.clients.off, duration_text);
    report.line(format_args!("replies with a status of 400 or 404: {}", outcome.clients.failed));
    report.table("what a publish costs its worker", "timed");
    let workers = &outcome.workers_tally;
    report.row("publish into all sinks, timer included", &workers.publish_cost, duration_text);
    report.row("the timer alone", &workers.timer_cost, duration_text);
    report.row("publish, less the timer's p50", &workers.net_cost(), duration_text);
    report.line(format_args!(
        "one publish in {} is timed, and the timer alone before as many others, each after a whole request",
        worker::TIMED_EVERY
    ));
}

fn write_summary(report: &mut Report, summary: &Summary) {
    report.table("service time, from the samples", "samples");
    for operation in Operation::ALL {
        report.row(operation.name(), summary.of(operation), duration_text);
    }
    report.line(format_args!("bytes in and out: {}, failed: {}", summary.bytes, summary.failed));
}

fn audit(
    options: &Options,
    outcome: &Outcome,
    finished: &Finished<Sample>,
    summary: Option<Summary>,
) -> Books {
    let mut books = Books::default();
    let (clients, workers) = (&outcome.clients, &outcome.workers_tally);
    books.equal(("replies with telemetry on", clients.on.len()), ("published", workers.told.published));
    books.equal(
        ("replies with telemetry off", clients.off.len()),
        ("requests not published", workers.unpublished),
    );
    books.audit(&workers.told, finished, options.overflow());
    match summary {
        Some(summary) => {
            let delivered = finished.ledger(AGGREGATE).map_or(0, |ledger| ledger.delivered);
            books.equal(("samples in the histogram", summary.count()), ("delivered by aggregate", delivered));
        }
        None => books.check(false, "the aggregator handed in no summary"),
    }
    books
}
