//! The lines of a file or of standard input, through the same sinks.

mod aggregator;
mod line;
mod source;

use crate::audit;
use crate::options::Options;
use crate::output::Output;
use crate::pipeline::{AGGREGATE, Finished, Pipeline, Told};
use crate::report::{add_row, histogram_json, histogram_table};
use aggregator::{Aggregator, Summary};
use buslane::Bus;
use demo_support::{Audit, Failure, Interrupt, Mark, Report, SinkReport, console, grouped, number_of};
use line::Line;
use serde_json::{Value, json};
use source::{Batch, Message, Source};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How many batches the reading thread may be ahead.
const BATCHES_AHEAD: usize = 4;

/// What was read and published.
#[derive(Debug, Default)]
struct Outcome {
    read: u64,
    not_utf8: u64,
    cut: u64,
    told: Told,
    elapsed: Duration,
    /// Why reading ended before the end.
    broken: Option<std::io::Error>,
    was_interrupted: bool,
}

/// Publishes the lines, and reports.
pub(crate) fn run(options: &Options, input: &str) -> Result<(), Failure> {
    let source = Source::open(input, options.output.as_deref())?;
    let output = Output::create(options.output.as_deref())?;
    let (aggregator, summary) = Aggregator::new();
    let wanted = options.grep.clone();
    let is_alert = move |line: &Line| line.text.contains(&wanted);
    let pipeline = Pipeline::start(options, output, aggregator, is_alert)?;

    let (sender, messages) = mpsc::sync_channel(BATCHES_AHEAD);
    let waker = sender.clone();
    let interrupt = Interrupt::listen(move || {
        // Without room, batches are waiting, and the publisher checks the flag with the next one.
        let _ = waker.try_send(Message::Wake);
    })?;
    // Not joined: a read of a terminal or a pipe may never return, and cannot be called off.
    source.read_on_a_thread(sender)?;
    let outcome = publish(&pipeline.bus, &messages, &interrupt);
    let finished = pipeline.finish()?;
    conclude(options, input, outcome, &finished, summary.try_recv().ok())
}

/// Publishes what the reading thread sends, until the end or until the user asks for it.
fn publish(bus: &Bus<Line>, messages: &Receiver<Message>, interrupt: &Interrupt) -> Outcome {
    let (mut outcome, mut publisher, start) = (Outcome::default(), bus.publisher(), Instant::now());
    while !interrupt.is_asked() {
        match messages.recv() {
            Ok(Message::Batch(Batch { lines, read, not_utf8, cut })) => {
                outcome.read += read;
                outcome.not_utf8 += not_utf8;
                outcome.cut += cut;
                lines.into_iter().for_each(|line| outcome.told.note(publisher.publish(line)));
            }
            Ok(Message::Wake) => {}
            Ok(Message::Broken(error)) => {
                outcome.broken = Some(error);
                break;
            }
            Ok(Message::End) | Err(_) => break,
        }
    }
    outcome.was_interrupted = interrupt.is_asked();
    outcome.elapsed = start.elapsed();
    outcome
}

/// Checks the counters and prints the report.
fn conclude(
    options: &Options,
    input: &str,
    outcome: Outcome,
    finished: &Finished<Line>,
    summary: Option<Summary>,
) -> Result<(), Failure> {
    let audit = audit(options, &outcome, finished, summary.as_ref());
    if options.json {
        let json = json(options, input, &outcome, finished, summary.as_ref(), &audit);
        console::print(format_args!("{json}\n"));
    } else {
        let mut report = Report::default();
        write_outcome(&mut report, input, &outcome);
        SinkReport::summarize(&finished.sinks, &mut report, outcome.told.published, "line");
        report.ledger(&audit);
        if let Some(summary) = &summary {
            let mut table = histogram_table("lines", "lines");
            add_row(&mut table, "length in bytes", &summary.lengths, grouped);
            report.table(&table);
            report.line(number_of(summary.bytes, "byte"));
        }
        finished.write_to(&mut report);
        report.line(format_args!(
            "each sink: overflow {}, wait {}, capacity {}; alerts contain {:?}",
            options.overflow(),
            options.wait(),
            options.capacity,
            options.grep
        ));
        console::print(format_args!("{report}"));
    }
    audit.verdict()?;
    match outcome.broken {
        Some(error) => Err(Failure::setup(format!("cannot read {input}"), error)),
        None => console::finish(),
    }
}

fn write_outcome(report: &mut Report, input: &str, outcome: &Outcome) {
    report.heading(format_args!(
        "{} of {} in {:.3} s{}",
        number_of(outcome.read, "line"),
        if input == source::STANDARD_INPUT { "standard input" } else { input },
        outcome.elapsed.as_secs_f64(),
        if outcome.was_interrupted { ", ended by Ctrl-C" } else { "" }
    ));
    if let Some(error) = &outcome.broken {
        report.finding(Mark::Bad, "input", format_args!("reading failed: {error}"));
    }
    if outcome.not_utf8 > 0 {
        let lines = number_of(outcome.not_utf8, "line");
        report.finding(Mark::Notice, "input", format_args!("{lines} with replacements: not UTF-8"));
    }
    if outcome.cut > 0 {
        let (cuts, longest) = (number_of(outcome.cut, "cut"), grouped(source::LONGEST_LINE as u64));
        report.finding(Mark::Notice, "input", format_args!("{cuts} in lines of more than {longest} bytes"));
    }
}

/// The report as one JSON document.
fn json(
    options: &Options,
    input: &str,
    outcome: &Outcome,
    finished: &Finished<Line>,
    summary: Option<&Summary>,
    audit: &Audit,
) -> Value {
    let mut report = json!({
        "mode": "lines",
        "input": input,
        "seconds": outcome.elapsed.as_secs_f64(),
        "interrupted": outcome.was_interrupted,
        "error": outcome.broken.as_ref().map(ToString::to_string),
        "overflow": options.overflow(),
        "wait": options.wait(),
        "capacity": options.capacity,
        "read": outcome.read,
        "not_utf8": outcome.not_utf8,
        "cut": outcome.cut,
        "published": outcome.told.published,
        "bytes": summary.map(|summary| summary.bytes),
        "lengths": summary.map(|summary| histogram_json(&summary.lengths)),
        "balanced": audit.is_balanced(),
        "checks": audit,
    });
    finished.write_json(&mut report, outcome.told.published);
    report
}

fn audit(
    options: &Options,
    outcome: &Outcome,
    finished: &Finished<Line>,
    summary: Option<&Summary>,
) -> Audit {
    let mut audit = Audit::default();
    audit.equal(("lines read", outcome.read), ("published", outcome.told.published));
    audit::audit(&mut audit, &outcome.told, finished, options.overflow());
    match summary {
        Some(summary) => {
            let delivered = finished.ledger(AGGREGATE).map_or(0, |ledger| ledger.delivered);
            audit.equal(
                ("lines in the histogram", summary.lengths.len()),
                ("delivered by aggregate", delivered),
            );
        }
        None => audit.check(false, "the aggregator returned no summary"),
    }
    audit
}
