//! The bus and its three sinks, the same for requests and for lines.

use crate::alerts::{self, Alerts};
use crate::json_lines::JsonLines;
use crate::options::Options;
use crate::output::Output;
use buslane::error::{Closed, RecvError};
use buslane::queue::Handler;
use buslane::stats::{CloseReport, Ledger, SinkState};
use buslane::{Bus, Channel, Published, Queue, Sink, SinkExt};
use demo_support::{Failure, Report, SinkReport, grouped};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// The names of the sinks.
pub(crate) const AGGREGATE: &str = "aggregate";
pub(crate) const FILE: &str = "file";
pub(crate) const ALERTS: &str = "alerts";

/// How long the sinks may take to drain what they accepted.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// The bus, its sinks, and what reads from them.
pub(crate) struct Pipeline<E: Send + 'static> {
    pub(crate) bus: Bus<E>,
    /// The bus forgets a sink that overflowed and was closed; its ledger is still read through this
    /// handle.
    sinks: Vec<(&'static str, Arc<dyn Sink<E>>)>,
    alerts: JoinHandle<Alerts<E>>,
    output: Output,
}

/// The pipeline's final state.
pub(crate) struct Finished<E> {
    /// How the bus closed; `None` without a bus.
    pub(crate) close: Option<CloseReport>,
    pub(crate) sinks: Vec<SinkReport>,
    pub(crate) alerts: Alerts<E>,
    pub(crate) output: Output,
}

/// The results of the publishes of one publisher, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// Calls of `publish`.
    pub(crate) published: u64,
    /// Acceptances, over all sinks.
    pub(crate) accepted: u64,
    /// Refusals, over all sinks.
    pub(crate) refused: u64,
    /// Calls that found the bus closed.
    pub(crate) closed: u64,
}

impl Told {
    /// Adds the result of a publish.
    pub(crate) fn note<E>(&mut self, answer: Result<Published, Closed<E>>) {
        self.published += 1;
        match answer {
            Ok(published) => {
                // The ledger of a sink counts an event that it drops at once as accepted.
                self.accepted += published.accepted as u64 + u64::from(published.dropped);
                self.refused += u64::from(published.refused);
            }
            Err(Closed(_)) => self.closed += 1,
        }
    }

    /// Adds the results of another publisher.
    pub(crate) fn add(&mut self, other: Self) {
        self.published += other.published;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.closed += other.closed;
    }
}

impl<E: Clone + Serialize + Send + 'static> Pipeline<E> {
    /// Starts the three sinks: a queue for `aggregator`, a queue for the file, and a channel that
    /// the alert thread reads, which receives only events for which `is_alert` is true.
    pub(crate) fn start(
        options: &Options,
        (output, file): (Output, File),
        aggregator: impl Handler<E>,
        is_alert: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let queue = |name| {
            let builder = Queue::builder().name(name).capacity(options.capacity.get());
            builder.overflow(options.overflow()).wait_strategy(options.wait())
        };
        let cannot_start = |error| Failure::setup("cannot start a sink", error);
        let aggregate = queue(AGGREGATE).spawn_handler(aggregator).map_err(cannot_start)?;
        let file = queue(FILE).spawn_handler(JsonLines::new(file)).map_err(cannot_start)?;
        let channel = Channel::builder().capacity(options.capacity.get());
        let (channel, receiver) = channel
            .overflow(options.overflow())
            .wait_strategy(options.wait())
            .build()
            .map_err(|error| Failure::setup("cannot make a channel", error))?;
        let alerts = Builder::new()
            .name(ALERTS.to_owned())
            .spawn(move || alerts::watch(receiver))
            .map_err(|error| Failure::setup("cannot start the alert thread", error))?;

        let sinks: Vec<(_, Arc<dyn Sink<E>>)> = vec![
            (AGGREGATE, Arc::new(aggregate)),
            (FILE, Arc::new(file)),
            (ALERTS, Arc::new(channel.filter(is_alert))),
        ];
        let bus = Bus::new();
        for (name, sink) in &sinks {
            bus.add_named(name, sink.clone())
                .map_err(|error| Failure::setup(format!("cannot add {name}"), error))?;
        }
        Ok(Self { bus, sinks, alerts, output })
    }

    /// Closes the bus, lets every sink drain what it accepted, and reads the counters.
    pub(crate) fn finish(self) -> Result<Finished<E>, Failure> {
        let close = self.bus.close_timeout(CLOSE_LIMIT);
        let alerts =
            self.alerts.join().map_err(|_| Failure::Broken("the alert thread panicked".to_owned()))?;
        let snapshot = self.bus.snapshot();
        let sinks = self.sinks.iter().map(|(name, sink)| {
            let listed = snapshot.sink(name).map(|listed| listed.state.clone());
            SinkReport { name: (*name).to_owned(), state: listed.unwrap_or_else(|| describe(sink)) }
        });
        let sinks = sinks.collect();
        Ok(Finished { close: Some(close), sinks, alerts, output: self.output })
    }
}

/// The state of a sink that the bus no longer lists.
fn describe<E>(sink: &impl Sink<E>) -> SinkState {
    let mut state = SinkState::default();
    sink.describe(&mut state);
    state
}

impl<E> Finished<E> {
    /// The ledger of a sink.
    pub(crate) fn ledger(&self, name: &str) -> Option<&Ledger> {
        self.sinks.iter().find(|sink| sink.name == name).map(|sink| &sink.state.ledger)
    }
}

impl<E: fmt::Display + Serialize> Finished<E> {
    /// Adds the table of the sinks, and what came out of them.
    pub(crate) fn write_to(&self, report: &mut Report) {
        SinkReport::tabulate(&self.sinks, report);
        let Alerts { count, last, end } = &self.alerts;
        let which = if last.is_empty() { "" } else { "; the last ones:" };
        report.heading(format_args!("alerts: {}{which}", grouped(*count)));
        last.iter().for_each(|event| report.line(event));
        if *end != RecvError::Closed {
            report.line(format_args!("alerts ended early: {end}"));
        }
        report.heading(format_args!("file: {}", self.output));
    }

    /// What came out of the sinks, for the JSON report.
    pub(crate) fn write_json(&self, report: &mut Value, published: u64) {
        report["sinks"] = json!(self.sinks);
        report["lost"] = self.sinks.iter().map(|sink| sink.lost(published)).sum::<u64>().into();
        report["alerts"] = json!({"count": self.alerts.count, "last": self.alerts.last});
        report["file"] = json!(self.output);
        report["close"] = json!(self.close);
    }
}
