//! The lines of a file or of standard input, through the same sinks.

mod aggregator;
mod line;
mod source;

use crate::books::Books;
use crate::options::Options;
use crate::output::Output;
use crate::pipeline::{AGGREGATE, Finished, Pipeline, Told};
use crate::report::Report;
use aggregator::{Aggregator, Summary};
use buslane::Bus;
use demo_support::Failure;
use demo_support::Interrupt;
use demo_support::console;
use line::Line;
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
        // No room: then batches are waiting, and whoever takes the next one looks at the flag.
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

/// Prints the report and checks the books.
fn conclude(
    options: &Options,
    input: &str,
    outcome: Outcome,
    finished: &Finished<Line>,
    summary: Option<Summary>,
) -> Result<(), Failure> {
    let mut report = Report::default();
    write_outcome(&mut report, options, input, &outcome);
    if let Some(summary) = &summary {
        report.table("lines", "lines");
        report.row("length in bytes", &summary.lengths, |length| length.to_string());
        report.line(format_args!("bytes: {}", summary.bytes));
    }
    finished.write_to(&mut report);
    let books = audit(options, &outcome, finished, summary);
    books.write_to(&mut report);
    report.print();
    books.verdict()?;
    match outcome.broken {
        Some(error) => Err(Failure::setup(format!("cannot read {input}"), error)),
        None => console::finish(),
    }
}

fn write_outcome(report: &mut Report, options: &Options, input: &str, outcome: &Outcome) {
    let seconds = outcome.elapsed.as_secs_f64();
    report.heading(format_args!(
        "{} lines of {} in {seconds:.3} s{}",
        outcome.read,
        if input == source::STANDARD_INPUT { "standard input" } else { input },
        if outcome.was_interrupted { ", ended by Ctrl-C" } else { "" }
    ));
    report.line(format_args!(
        "each sink: {:?}, {:?}, capacity {}; alerts contain {:?}",
        options.overflow(),
        options.wait,
        options.capacity,
        options.grep
    ));
    if outcome.not_utf8 > 0 {
        report.line(format_args!(
            "{} were not UTF-8, and went on with replacement characters",
            outcome.not_utf8
        ));
    }
    if outcome.cut > 0 {
        report.line(format_args!(
            "{} were cut: they are longer than {} bytes",
            outcome.cut,
            source::LONGEST_LINE
        ));
    }
    if let Some(error) = &outcome.broken {
        report.line(format_args!("reading broke off: {error}"));
    }
}

fn audit(options: &Options, outcome: &Outcome, finished: &Finished<Line>, summary: Option<Summary>) -> Books {
    let mut books = Books::default();
    books.equal(("lines read", outcome.read), ("published", outcome.told.published));
    books.audit(&outcome.told, finished, options.overflow());
    match summary {
        Some(summary) => {
            let delivered = finished.ledger(AGGREGATE).map_or(0, |ledger| ledger.delivered);
            books.equal(
                ("lines in the histogram", summary.lengths.len()),
                ("delivered by aggregate", delivered),
            );
        }
        None => books.check(false, "the aggregator handed in no summary"),
    }
    books
}
