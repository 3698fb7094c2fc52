//! Measures the stream: events a second by window and payload, latency, processor time.

use crate::options::Options;
use crate::request::{STREAM, now};
use crate::server::{self, Server};
use buslane::source::Update;
use buslane::{Bus, Overflow, Publisher, Queue};
use buslane_nats::{JetStream, JetStreamSource};
use demo_support::{Failure, Folder, Interrupt, Report, Story, Table, console, grouped};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SUBJECT: &str = "fleet.measured";
/// How long each row is measured.
const SLICE: Duration = Duration::from_secs(2);
/// How long a close may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events a second of the rows of latency.
const PACES: [u32; 2] = [1000, 10_000];

/// A row: as many events as the stream takes.
#[derive(Debug, Serialize)]
struct Throughput {
    window: usize,
    payload: usize,
    events_per_second: u64,
    /// Microseconds of processor time for an event, of this process and of the server.
    own_micros: Option<f64>,
    server_micros: Option<f64>,
}

/// A row: one event at a time, at a fixed pace.
#[derive(Debug, Serialize)]
struct Latency {
    per_second: u32,
    /// From the publish on a bus to the handler of another one, in microseconds.
    p50: u64,
    p99: u64,
    max: u64,
}

#[derive(Debug, Serialize)]
struct Measured {
    throughput: Vec<Throughput>,
    latency: Vec<Latency>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (_interrupt, story, _alarm) = Interrupt::with_story(options.json)?;
    if !server::is_there() {
        story.tell("fleet", format_args!("there is no nats-server in the path: nothing is measured"));
        return console::finish();
    }
    let folder = Folder::create().map_err(|error| Failure::setup("cannot create a folder", error))?;
    let mut server = Server::start(Path::new(folder.path()))?;
    let mut measured = Measured { throughput: Vec::new(), latency: Vec::new() };
    for payload in [100, 1000] {
        for window in [1, 64, 1024, 4096] {
            measured.throughput.push(throughput(&mut server, window, payload)?);
        }
    }
    for pace in PACES {
        measured.latency.push(latency(&server, pace)?);
    }
    print(&story, &measured);
    console::finish()
}

/// Opens a bus whose events go to the stream.
fn open(server: &Server, window: usize) -> Result<Bus<Vec<u8>>, Failure> {
    let sink = JetStream::builder(server.url())
        .stream(STREAM)
        .subject(SUBJECT)
        .encode(|event: &Vec<u8>, payload| {
            payload.extend_from_slice(event);
            Ok(())
        })
        .window(window)
        .batch(window)
        .connect_lazy()
        .map_err(|error| Failure::setup("cannot use the server", error))?;
    sink.wait_connected(PATIENCE).map_err(|error| Failure::setup("cannot connect", error))?;
    let queue = Queue::builder().capacity(16_384).overflow(Overflow::Block).spawn_sink(sink);
    let bus = Bus::new();
    bus.add_named("jetstream", queue.map_err(|error| Failure::setup("cannot start a queue", error))?)
        .map_err(|error| Failure::setup("cannot add a sink", error))?;
    Ok(bus)
}

fn publish(publisher: &mut Publisher<Vec<u8>>, event: Vec<u8>) -> Result<(), Failure> {
    let published =
        publisher.publish(event).map_err(|error| Failure::broken("cannot publish", error.to_string()))?;
    if published.is_complete() { Ok(()) } else { Err(Failure::Broken("the queue is closed".into())) }
}

/// Publishes as much as the stream takes.
fn throughput(server: &mut Server, window: usize, payload: usize) -> Result<Throughput, Failure> {
    let bus = open(server, window)?;
    let id = server.process()?.id();
    let mut publisher = bus.publisher();
    let before = (processor_time(std::process::id()), processor_time(id));
    let begin = Instant::now();
    let mut events = 0_u64;
    while begin.elapsed() < SLICE {
        publish(&mut publisher, vec![b'.'; payload])?;
        events += 1;
    }
    drop(publisher);
    // Closed means acknowledged, so the time of what was held back is part of the rate.
    let report = bus.close_timeout(PATIENCE);
    if report.undelivered > 0 {
        return Err(Failure::Broken(format!("the close left events: {report}")));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let after = (processor_time(std::process::id()), processor_time(id));
    let micros = |before: Option<Duration>, after: Option<Duration>| {
        Some((after? - before?).as_secs_f64() * 1e6 / events as f64)
    };
    Ok(Throughput {
        window,
        payload,
        events_per_second: (events as f64 / seconds) as u64,
        own_micros: micros(before.0, after.0),
        server_micros: micros(before.1, after.1),
    })
}

/// Publishes at a pace, and reads from the stream in the same process.
fn latency(server: &Server, per_second: u32) -> Result<Latency, Failure> {
    let source = JetStreamSource::builder(server.url(), STREAM, format!("measured-{per_second}"))
        .filter(SUBJECT)
        .only_new()
        .decode(|message| {
            let at: [u8; 8] =
                message.payload().get(..8).and_then(|at| at.try_into().ok()).unwrap_or_default();
            Ok(u64::from_le_bytes(at))
        })
        .build()
        .map_err(|error| Failure::setup("cannot use the server", error))?;
    let count = u64::from(per_second) * SLICE.as_secs();
    let (sender, receiver) = mpsc::channel();
    let (mut histogram, mut left) = (Histogram::<u64>::new(3).expect("three digits are valid"), count);
    let queue = Queue::builder().overflow(Overflow::Block).spawn(move |update: Update<u64>| {
        let Update::Event(at) = update else { return };
        histogram.saturating_record(now().saturating_sub(at));
        left = left.saturating_sub(1);
        if left == 0 {
            let _ = sender.send(histogram.clone());
        }
    });
    let queue = queue.map_err(|error| Failure::setup("cannot start a queue", error))?;
    let monitor = source.monitor().spawn(queue);
    let monitor = monitor.map_err(|error| Failure::setup("cannot start the monitor", error))?;
    monitor.wait_live(PATIENCE).map_err(|error| Failure::broken("cannot connect", error))?;
    let bus = open(server, 4096)?;
    let mut publisher = bus.publisher();
    let (start, step) = (Instant::now(), Duration::from_secs(1) / per_second);
    for index in 0..u32::try_from(count).unwrap_or(u32::MAX) {
        std::thread::sleep((start + step * index).saturating_duration_since(Instant::now()));
        let mut event = vec![b'.'; 100];
        event[..8].copy_from_slice(&now().to_le_bytes());
        publish(&mut publisher, event)?;
    }
    let histogram = receiver.recv_timeout(PATIENCE);
    let histogram = histogram.map_err(|error| Failure::broken("not all events arrived", error))?;
    let quantile = |quantile| histogram.value_at_quantile(quantile);
    Ok(Latency { per_second, p50: quantile(0.5), p99: quantile(0.99), max: histogram.max() })
}

/// Returns the processor time of a process, where the system tells it (Linux).
fn processor_time(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name, which may contain spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    // A tick is a hundredth of a second on every Linux that this runs on.
    Some(Duration::from_millis((user + system) * 10))
}

fn print(story: &Story, measured: &Measured) {
    let mut report = Report::default();
    report.heading(format_args!("One process, one server, on this machine"));
    let header = ["window", "payload, bytes", "events/s", "this process, µs", "server, µs"];
    let mut table = Table::new(header);
    let micros = |micros: Option<f64>| micros.map_or_else(|| "–".to_owned(), |micros| format!("{micros:.1}"));
    for row in &measured.throughput {
        table.row([
            row.window.to_string(),
            row.payload.to_string(),
            grouped(row.events_per_second),
            micros(row.own_micros),
            micros(row.server_micros),
        ]);
    }
    report.table(&table);
    let mut table = Table::new(["events/s", "p50, µs", "p99, µs", "max, µs"]);
    for Latency { per_second, p50, p99, max } in &measured.latency {
        table.row([grouped((*per_second).into()), grouped(*p50), grouped(*p99), grouped(*max)]);
    }
    report.table(&table);
    report.line("latency: from the publish on one bus to the handler of another, through the stream");
    story.report(measured, &report);
}
