//! The aggregator: follows the stream of all services into a bus of its own.

use crate::arrivals::{Arrival, Reader, Writer};
use crate::options::Options;
use crate::request::{Request, STREAM, name_of, now};
use buslane::source::Update;
use buslane::{Bus, Overflow, Queue};
use buslane_nats::JetStreamSource;
use demo_support::{Failure, process};
use hdrhistogram::Histogram;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Requests of a service that an alert looks at.
const LOOKED_AT: usize = 200;
/// Failed ones among them that raise an alert.
const TOO_MANY: usize = 40;
/// How long the end may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The notes of the aggregator: what it tells the conductor, a line each.
pub(crate) fn notes(folder: &Path) -> PathBuf {
    folder.join("notes")
}

/// The percentiles at the end.
pub(crate) fn percentiles(folder: &Path) -> PathBuf {
    folder.join("percentiles.json")
}

/// Runs the aggregator until the process that started it ends, or closes the standard input of this
/// one.
pub(crate) fn run(options: &Options, url: &str, folder: &Path) -> Result<(), Failure> {
    process::end_with_parent(options.parent)?;
    let cannot = |error| Failure::broken("cannot write what has arrived", error);
    let notes = File::options().create(true).append(true).open(notes(folder)).map_err(cannot)?;
    let notes = Notes(Arc::new(notes));
    let histograms = Histograms::default();
    let bus = listeners(&histograms, &notes)?;

    // What arrived in earlier lives is known, and counts.
    let mut known = HashSet::new();
    for arrival in Reader::new(folder).read().map_err(cannot)? {
        if known.insert((arrival.request.life, arrival.request.number)) {
            histograms.add(&arrival.request);
        }
    }
    let mut writer = Writer::open(folder).map_err(cannot)?;
    let (shown, requests) = (notes.clone(), bus.clone());
    let arrive = move |update: Update<(Request, u64)>| -> Result<(), String> {
        match update {
            Update::Event((request, sequence)) => {
                let delay = now().saturating_sub(request.at);
                writer.add(Arrival { request, sequence, delay }).map_err(|error| error.to_string())?;
                // What was delivered again is written down again, and goes no further.
                if known.insert((request.life, request.number)) {
                    publish(&requests, request).map_err(|failure| failure.to_string())?;
                }
            }
            Update::Gap(gap) => shown.add(format_args!("gap: {gap}")),
            Update::Connected { resumed } => shown.add(format_args!("connected: resumed {resumed}")),
            Update::Disconnected(end) => shown.add(format_args!("disconnected: {end}")),
            _ => {}
        }
        Ok(())
    };
    let sink = Queue::builder().name("arrivals").overflow(Overflow::Block).spawn(arrive);
    let sink = sink.map_err(|error| Failure::setup("cannot start a queue", error))?;
    let source = JetStreamSource::builder(url, STREAM, "aggregator")
        .decode(|message| Ok((serde_json::from_slice(message.payload())?, message.sequence())))
        .ack_wait(Duration::from_secs(1))
        .build()
        .map_err(|error| Failure::setup("cannot use the server", error))?;
    let monitor = source.monitor().name("stream").spawn(sink.clone());
    let monitor = monitor.map_err(|error| Failure::setup("cannot start the monitor", error))?;

    process::wait_for_end();
    let stopped = monitor.stop_timeout(PATIENCE);
    let (read, heard) = (sink.close_timeout(PATIENCE), bus.close_timeout(PATIENCE));
    let text = serde_json::json!(histograms.percentiles());
    std::fs::write(percentiles(folder), text.to_string()).map_err(cannot)?;
    if stopped.is_done() && read.is_done() && heard.is_done() {
        return Ok(());
    }
    Err(Failure::Broken(format!("the end: {stopped}; {read}; {heard}")))
}

/// The bus of the aggregator, with its listeners.
fn listeners(histograms: &Histograms, notes: &Notes) -> Result<Bus<Request>, Failure> {
    let bus = Bus::new();
    let (recorded, notes) = (histograms.clone(), notes.clone());
    let mut alerts = HashMap::new();
    let sinks = [
        (
            "histogram",
            Queue::builder().overflow(Overflow::Block).spawn(move |request| recorded.add(&request)),
        ),
        (
            "alerts",
            Queue::builder().overflow(Overflow::Block).spawn(move |request: Request| {
                let alert: &mut Alert = alerts.entry(request.life.service).or_default();
                alert.add(&request, &notes);
            }),
        ),
    ];
    for (name, queue) in sinks {
        let queue = queue.map_err(|error| Failure::setup("cannot start a queue", error))?;
        bus.add_named(name, queue).map_err(|error| Failure::setup("cannot add a sink", error))?;
    }
    Ok(bus)
}

fn publish(bus: &Bus<Request>, request: Request) -> Result<(), Failure> {
    let published =
        bus.publish(request).map_err(|error| Failure::broken("cannot publish", error.to_string()))?;
    if published.is_complete() { Ok(()) } else { Err(Failure::Broken("a listener has no room".into())) }
}

/// The latencies of all services.
#[derive(Clone, Debug, Default)]
struct Histograms(Arc<Mutex<HashMap<&'static str, Histogram<u64>>>>);

impl Histograms {
    fn add(&self, request: &Request) {
        let mut histograms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = histograms.entry(name_of(request.life.service));
        let histogram = histogram.or_insert_with(|| Histogram::new(3).expect("three digits are valid"));
        histogram.saturating_record(u64::from(request.micros));
    }

    /// Returns count, median and 99th percentile of each service, in microseconds.
    fn percentiles(&self) -> HashMap<&'static str, [u64; 3]> {
        let histograms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |histogram: &Histogram<u64>| {
            [histogram.len(), histogram.value_at_quantile(0.5), histogram.value_at_quantile(0.99)]
        };
        histograms.iter().map(|(name, histogram)| (*name, row(histogram))).collect()
    }
}

/// Whether too many of the last requests of a service failed.
#[derive(Debug, Default)]
struct Alert {
    last: VecDeque<bool>,
    failed: usize,
    is_raised: bool,
}

impl Alert {
    fn add(&mut self, request: &Request, notes: &Notes) {
        self.last.push_back(request.failed);
        self.failed += usize::from(request.failed);
        if self.last.len() > LOOKED_AT {
            self.failed -= usize::from(self.last.pop_front().unwrap_or_default());
        }
        let name = name_of(request.life.service);
        if !self.is_raised && self.failed >= TOO_MANY {
            self.is_raised = true;
            notes.add(format_args!("alert: {name}: {} of the last {LOOKED_AT} requests failed", self.failed));
        } else if self.is_raised && self.failed < TOO_MANY / 2 {
            self.is_raised = false;
            notes.add(format_args!("calm: {name}: its requests succeed again"));
        }
    }
}

/// A file of lines.
#[derive(Clone, Debug)]
struct Notes(Arc<File>);

impl Notes {
    fn add(&self, note: std::fmt::Arguments<'_>) {
        // The story lacks a line then; what is proven is in other files.
        let _: io::Result<()> = (&*self.0).write_all(format!("{note}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{Alert, LOOKED_AT, Notes, TOO_MANY};
    use crate::request::{Life, Request};
    use demo_support::Folder;
    use std::fs::File;
    use std::sync::Arc;

    #[test]
    fn alert_is_raised_once_and_ends() {
        let folder = Folder::new();
        let notes = Notes(Arc::new(File::create(folder.file("notes")).unwrap()));
        let mut alert = Alert::default();
        let mut add = |failed, count: usize| {
            let life = Life { service: 1, life: 0 };
            for number in 1..=count as u64 {
                alert.add(&Request { life, number, at: 0, micros: 1, failed }, &notes);
            }
            String::from_utf8(folder.read("notes")).unwrap().lines().count()
        };
        assert_eq!(add(true, TOO_MANY - 1), 0);
        assert_eq!(add(true, 1), 1);
        assert_eq!(add(true, 50), 1);
        // The failed requests leave the ones that are looked at.
        assert_eq!(add(false, LOOKED_AT), 2);
        assert_eq!(add(true, TOO_MANY), 3);
    }
}
