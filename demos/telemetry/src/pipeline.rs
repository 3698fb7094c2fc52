//! The bus and its three sinks, the same for requests and for lines.

use crate::alerts::{self, Alerts};
use crate::json_lines::JsonLines;
use crate::options::Options;
use crate::output::Output;
use crate::report::Report;
use buslane::error::Closed;
use buslane::queue::Handler;
use buslane::stats::{CloseReport, Ledger, SinkState};
use buslane::{Bus, Channel, Published, Queue, Sink, SinkExt};
use demo_support::Failure;
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// The names of the sinks.
pub(crate) const AGGREGATE: &str = "aggregate";
pub(crate) const FILE: &str = "file";
pub(crate) const ALERTS: &str = "alerts";

/// How long the sinks may take to work off what they accepted.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// The bus, its sinks, and what stands behind them.
pub(crate) struct Pipeline<E: Send + 'static> {
    pub(crate) bus: Bus<E>,
    /// Handles of our own: a sink that was cut off is forgotten by the bus, but not by the books.
    sinks: Vec<(&'static str, Arc<dyn Sink<E>>)>,
    alerts: JoinHandle<Alerts<E>>,
    output: Output,
}

/// What the pipeline leaves behind, at rest.
pub(crate) struct Finished<E> {
    pub(crate) close: CloseReport,
    pub(crate) sinks: Vec<SinkBook>,
    pub(crate) alerts: Alerts<E>,
    pub(crate) output: Output,
}

/// What a sink says about itself at the end.
#[derive(Debug)]
pub(crate) struct SinkBook {
    pub(crate) name: &'static str,
    pub(crate) state: SinkState,
    /// Whether it closed on the way, because it overflowed: no publisher is left when the bus is closed.
    pub(crate) was_cut_off: bool,
}

/// What one publisher was told about its events.
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
    /// Takes down what a publish returned.
    pub(crate) fn note<E>(&mut self, answer: Result<Published, Closed<E>>) {
        self.published += 1;
        match answer {
            Ok(published) => {
                // What a full sink drops at once it has accepted, in the words of its ledger.
                self.accepted += published.accepted as u64 + u64::from(published.dropped);
                self.refused += u64::from(published.refused);
            }
            Err(Closed(_)) => self.closed += 1,
        }
    }

    /// Takes in what another publisher was told.
    pub(crate) fn add(&mut self, other: Self) {
        self.published += other.published;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.closed += other.closed;
    }
}

impl<E: Clone + Serialize + Send + 'static> Pipeline<E> {
    /// Starts the three sinks: `aggregator` behind a queue, the file behind another, and a channel that is read by a
    /// thread of its own and gets only events for which `is_alert` is true.
    pub(crate) fn start(
        options: &Options,
        (output, file): (Output, File),
        aggregator: impl Handler<E>,
        is_alert: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let queue = |name| {
            let builder = Queue::builder().name(name).capacity(options.capacity);
            builder.overflow(options.overflow()).wait_strategy(options.wait)
        };
        let cannot_start = |error| Failure::setup("cannot start a sink", error);
        let aggregate = queue(AGGREGATE).spawn_handler(aggregator).map_err(cannot_start)?;
        let file = queue(FILE).spawn_handler(JsonLines::new(file)).map_err(cannot_start)?;
        let channel = Channel::builder().capacity(options.capacity);
        let (channel, receiver) = channel
            .overflow(options.overflow())
            .wait_strategy(options.wait)
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

    /// Closes the bus, lets every sink work off what it accepted, and takes stock.
    pub(crate) fn finish(self) -> Result<Finished<E>, Failure> {
        let close = self.bus.close_timeout(CLOSE_LIMIT);
        let alerts =
            self.alerts.join().map_err(|_| Failure::Broken("the alert thread panicked".to_owned()))?;
        let snapshot = self.bus.snapshot();
        let sinks = self.sinks.iter().map(|(name, sink)| {
            let listed = snapshot.sinks.iter().find(|listed| listed.name == *name);
            let state = listed.map_or_else(|| describe(sink), |listed| listed.state.clone());
            SinkBook { name, was_cut_off: state.ledger.refused.closed > 0, state }
        });
        let sinks = sinks.collect();
        Ok(Finished { close, sinks, alerts, output: self.output })
    }
}

/// What a sink says about itself when it is asked directly.
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

impl<E: fmt::Display> Finished<E> {
    /// Writes what came out of each sink, and what each says about itself.
    pub(crate) fn write_to(&self, report: &mut Report) {
        report.heading("alerts");
        report.block(&self.alerts);
        report.heading("file");
        report.line(&self.output);
        report.heading("sinks");
        self.sinks.iter().for_each(|sink| report.sink(sink));
        report.heading(format_args!("close of the bus: {}", self.close));
    }
}
