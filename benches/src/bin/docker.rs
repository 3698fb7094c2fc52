//! How fast events of a Docker Engine are decoded and forwarded, next to what `serde_json` needs for
//! the same bytes.
//!
//! ```text
//! cargo run -p benches --profile bench --bin docker -- [--events N] [--rounds N] [--out DIR]
//! ```
//!
//! Each row decodes the same events, reads each of them, and checks the sum of what it has read. The
//! first one reads nothing of an event, and checks the sum of the positions at which the events end. Two
//! rows read from a socket and end in a queue, whose worker reads the event. In `one thread`, this
//! thread reads, decodes and publishes what another one writes. In the whole path, a scripted engine
//! writes one chunk for each event; the source reads and decodes on one thread; the monitor forwards on
//! its own. The contenders take turns, and the median counts. With `--out`, the tables are written as
//! `DIR/docker.md`.

#[path = "compare/machine.rs"]
mod machine;

use benches::statistics::{Estimate, median};
use benches::usage::{Others, Usage};
use buslane::source::Monitor;
use buslane::{Bus, Overflow, Queue};
use buslane_docker::testing::{Answer, Endpoint, ScriptedEngine};
use buslane_docker::{DockerEvent, DockerSource, EventReader};
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const BEGIN: u64 = 1_700_000_000_000_000_000;

#[derive(Debug, Parser)]
#[command(about = "Measures the decoding and forwarding of the events of a Docker Engine.")]
struct Arguments {
    /// The number of events of a sample.
    #[arg(long, default_value_t = 400_000, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    events: u64,
    /// The number of samples of every contender.
    #[arg(long, default_value_t = 7, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    rounds: usize,
    /// Writes the tables into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// An event as a derived implementation decodes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "decoding them is what is measured")]
struct Derived {
    r#type: Option<String>,
    action: Option<String>,
    actor: Option<Actor>,
    #[serde(rename = "scope")]
    scope: Option<String>,
    #[serde(rename = "time")]
    time: Option<i64>,
    #[serde(rename = "timeNano")]
    time_nano: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: Option<String>,
    attributes: Option<HashMap<String, String>>,
}

/// The events, as an engine sends them.
struct Bytes {
    /// The number of events.
    count: u64,
    lines: Vec<u8>,
    /// A whole answer, with one chunk for each event.
    answer: Vec<u8>,
    /// The sum of what a consumer reads.
    sum: u64,
    /// The sum of the positions at which the events end.
    ends: u64,
}

impl Bytes {
    /// Makes the events of containers. Old engines repeat the action, the identifier and the image.
    fn new(count: u64, is_old: bool) -> Self {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (mut lines, mut answer, mut sum, mut ends) = (Vec::new(), head.as_bytes().to_vec(), 0, 0);
        for number in 0..count {
            let (action, id) =
                (["create", "start", "kill", "die"][number as usize % 4], format!("{number:064x}"));
            let old = if is_old {
                format!(r#""status":"{action}","id":"{id}","from":"registry/app:1.4.2","#)
            } else {
                String::new()
            };
            let nanos = BEGIN + number * 1_000_003;
            let seconds = nanos / 1_000_000_000;
            let line = format!(
                "{{{old}\"Type\":\"container\",\"Action\":\"{action}\",\"Actor\":{{\"ID\":\"{id}\",\"Attributes\":\
                 {{\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":\"web\",\"exitCode\":\"0\",\
                 \"image\":\"registry/app:1.4.2\",\"name\":\"shop-web-{number}\"}}}},\"scope\":\"local\",\
                 \"time\":{seconds},\"timeNano\":{nanos}}}\n"
            );
            answer.extend_from_slice(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
            lines.extend_from_slice(line.as_bytes());
            sum += nanos - BEGIN + 64;
            // Without the line feed.
            ends += lines.len() as u64 - 1;
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        Self { count, lines, answer, sum, ends }
    }
}

/// What the worker of a queue has read.
#[derive(Clone, Default)]
struct Read {
    sum: Arc<AtomicU64>,
    count: Arc<AtomicU64>,
}

impl Read {
    /// Makes a queue whose worker reads each event.
    fn queue(&self) -> Queue<DockerEvent> {
        let Self { sum, count } = self.clone();
        // Only the worker writes.
        let handler = move |event: DockerEvent| {
            sum.store(sum.load(Ordering::Relaxed) + value(&event), Ordering::Relaxed);
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
        };
        Queue::builder().capacity(4096).overflow(Overflow::Block).spawn(handler).expect("a queue")
    }

    /// Waits until the worker has read this number of events. `check` runs meanwhile.
    fn wait(&self, events: u64, check: impl Fn()) -> u64 {
        while self.count.load(Ordering::Acquire) < events {
            check();
            thread::sleep(Duration::from_millis(1));
        }
        self.sum.load(Ordering::Relaxed)
    }
}

/// Reads an event: its time, its identifier and its last attribute.
fn value(event: &DockerEvent) -> u64 {
    black_box(event.name());
    event.time_nano().unwrap_or(0) as u64 - BEGIN + event.id().len() as u64
}

/// What a run has read, and what that took.
struct Run {
    sum: u64,
    /// Nanoseconds of the clock, and of all processors.
    time: f64,
    usage: f64,
}

impl Run {
    fn of(run: impl FnOnce() -> u64) -> Self {
        let (begun, before) = (Instant::now(), Usage::now());
        let sum = run();
        Self { sum, time: begun.elapsed().as_nanos() as f64, usage: (Usage::now() - before).cpu as f64 }
    }
}

fn ignored(bytes: &Bytes) -> u64 {
    let mut values = Deserializer::from_slice(&bytes.lines).into_iter::<IgnoredAny>();
    let mut ends = 0;
    while let Some(value) = values.next() {
        value.expect("an event");
        ends += values.byte_offset() as u64;
    }
    ends
}

fn derived(bytes: &Bytes) -> u64 {
    let events = Deserializer::from_slice(&bytes.lines).into_iter::<Derived>();
    let value = |event: Derived| {
        let actor = event.actor.expect("an actor");
        black_box(actor.attributes.and_then(|attributes| attributes.get("name").map(String::len)));
        event.time_nano.expect("a time") as u64 - BEGIN + actor.id.expect("an identifier").len() as u64
    };
    events.map(|event| value(event.expect("an event"))).sum()
}

fn same_type(bytes: &Bytes) -> u64 {
    let events = Deserializer::from_slice(&bytes.lines).into_iter::<DockerEvent>();
    events.map(|event| value(&event.expect("an event"))).sum()
}

fn reader(bytes: &Bytes) -> u64 {
    EventReader::new(&bytes.lines[..]).map(|event| value(&event.expect("an event"))).sum()
}

/// Reads from a socket, decodes and publishes on this thread.
fn one_thread(bytes: &Bytes) -> Run {
    let read = Read::default();
    let bus = Bus::new();
    bus.add(read.queue()).expect("the bus is open");
    let (mut engine, socket) = UnixStream::pair().expect("a pair of sockets");
    thread::scope(|scope| {
        scope.spawn(move || engine.write_all(&bytes.lines).expect("the other side reads"));
        Run::of(|| {
            let mut publisher = bus.publisher();
            for event in EventReader::new(socket) {
                let published = publisher.publish(event.expect("an event")).expect("the bus is open");
                assert!(published.is_complete(), "the queue waits for room");
            }
            read.wait(bytes.count, || {})
        })
    })
}

fn whole(bytes: &Bytes) -> Run {
    let engine = ScriptedEngine::start().expect("a socket");
    engine.answer_next(Endpoint::Events, Answer::Bytes(bytes.answer.clone()));
    let read = Read::default();
    let queue = read.queue();
    let source = DockerSource::builder().socket(engine.socket()).build().expect("a source");
    Run::of(|| {
        let monitor = Monitor::builder(source).spawn_events(queue).expect("a monitor");
        read.wait(bytes.count, || {
            assert_eq!(monitor.snapshot().gaps, 0, "the consumer was too slow: events were evicted");
        })
    })
}

/// What is measured, how, and what it has read then.
type Contender = (&'static str, fn(&Bytes) -> Run, fn(&Bytes) -> u64);

const CONTENDERS: [Contender; 6] = [
    ("serde_json, IgnoredAny", |bytes| Run::of(|| ignored(bytes)), |bytes| bytes.ends),
    ("serde_json, DockerEvent", |bytes| Run::of(|| same_type(bytes)), |bytes| bytes.sum),
    ("serde_json, derived with a map", |bytes| Run::of(|| derived(bytes)), |bytes| bytes.sum),
    ("EventReader", |bytes| Run::of(|| reader(bytes)), |bytes| bytes.sum),
    ("socket to queue, one thread", one_thread, |bytes| bytes.sum),
    ("engine to queue, the whole path", whole, |bytes| bytes.sum),
];

/// The times of one contender, in nanoseconds for an event: by the clock, and of all processors.
#[derive(Clone, Default)]
struct Times {
    time: Vec<f64>,
    usage: Vec<f64>,
}

/// Measures every contender in each round, and writes a table.
fn measure(bytes: &Bytes, api: &str, rounds: usize, into: &mut String) -> fmt::Result {
    let mut all = CONTENDERS.map(|_| Times::default());
    for _ in 0..rounds {
        for (times, (name, run, sum)) in all.iter_mut().zip(CONTENDERS) {
            let run = run(bytes);
            assert_eq!(run.sum, sum(bytes), "{name}");
            times.time.push(run.time / bytes.count as f64);
            times.usage.push(run.usage / bytes.count as f64);
        }
    }
    let size = bytes.lines.len() as f64 / bytes.count as f64;
    let limit = median(&mut all[0].time.clone());
    writeln!(
        into,
        "\n| {size:.0} bytes, {api}, ns an event | median | interval | of all processors | M/s | MB/s | of the first |"
    )?;
    writeln!(into, "|---|{}", "---:|".repeat(6))?;
    for ((name, ..), mut times) in CONTENDERS.into_iter().zip(all) {
        let Some(Estimate { median: time, low, high, .. }) = Estimate::of(&times.time) else { continue };
        let (usage, rate) = (median(&mut times.usage), 1e3 / time);
        writeln!(
            into,
            "| {name} | {time:.0} | {low:.0} to {high:.0} | {usage:.0} | {rate:.2} | {:.0} | {:.2} |",
            size * rate,
            time / limit
        )?;
    }
    Ok(())
}

/// Measures events of both forms, and returns the tables.
fn tables(events: u64, rounds: usize) -> String {
    let others = Others::begin();
    let mut tables = String::new();
    for (is_old, api) in [(false, "API 1.52"), (true, "API 1.41")] {
        let written = measure(&Bytes::new(events, is_old), api, rounds, &mut tables);
        written.expect("writing to a string does not fail");
    }
    let load = others.and_then(Others::end).map_or_else(String::new, |(others, stolen)| {
        format!(" Other processes kept {others:.2} processors busy; the host took {stolen:.2} away.")
    });
    format!(
        "# Docker events: decoding, and from a socket to a queue\n\n{}\n\n{events} events, the median of {rounds} rounds.{load}\n{tables}",
        machine::describe()
    )
}

fn main() -> io::Result<()> {
    let Arguments { events, rounds, out } = Arguments::parse();
    let tables = tables(events, rounds);
    print!("{tables}");
    let Some(directory) = out else { return Ok(()) };
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("docker.md"), tables)
}

#[cfg(test)]
mod tests {
    use super::{CONTENDERS, tables};

    #[test]
    fn every_contender_reads_every_event() {
        // Each run checks the sum of what it has read.
        let tables = tables(2000, 1);
        for (name, ..) in CONTENDERS {
            assert_eq!(tables.matches(&format!("| {name} | ")).count(), 2, "{tables}");
        }
    }
}
