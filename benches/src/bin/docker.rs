//! How fast events of a Docker Engine are decoded and forwarded, next to what `serde_json` needs for
//! the same bytes.
//!
//! ```text
//! cargo run --release -p benches --bin docker
//! ```
//!
//! Each row decodes the same events, reads each of them, and checks the sum of what it has read. The
//! whole way is: a scripted engine writes one chunk for each event into a socket; the source reads
//! and decodes on one thread; the monitor forwards on its own; a queue's worker reads the event. The
//! contenders take turns, and the median counts.

use benches::statistics::median;
use benches::usage::Usage;
use buslane::source::Monitor;
use buslane::{Overflow, Queue};
use buslane_docker::testing::{Answer, Endpoint, ScriptedEngine};
use buslane_docker::{DockerEvent, DockerSource, EventReader};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const EVENTS: u64 = 400_000;
const ROUNDS: usize = 7;
const BEGIN: u64 = 1_700_000_000_000_000_000;

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
    lines: Vec<u8>,
    /// A whole answer, with one chunk for each event.
    answer: Vec<u8>,
    /// The sum of what a consumer reads.
    sum: u64,
}

impl Bytes {
    /// Makes the events of containers. Old engines repeat the action, the identifier and the image.
    fn new(is_old: bool) -> Self {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (mut lines, mut answer, mut sum) = (Vec::new(), head.as_bytes().to_vec(), 0);
        for number in 0..EVENTS {
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
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        Self { lines, answer, sum }
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
    let values = Deserializer::from_slice(&bytes.lines).into_iter::<IgnoredAny>();
    assert_eq!(values.filter(|value| value.is_ok()).count() as u64, EVENTS);
    bytes.sum
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

fn whole(bytes: &Bytes) -> Run {
    let engine = ScriptedEngine::start().expect("a socket");
    engine.answer_next(Endpoint::Events, Answer::Bytes(bytes.answer.clone()));
    let (sum, count) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (into, counted) = (sum.clone(), count.clone());
    // Only the worker writes.
    let handler = move |event: DockerEvent| {
        into.store(into.load(Ordering::Relaxed) + value(&event), Ordering::Relaxed);
        counted.store(counted.load(Ordering::Relaxed) + 1, Ordering::Release);
    };
    let queue = Queue::builder().capacity(4096).overflow(Overflow::Block).spawn(handler).expect("a queue");
    let source = DockerSource::builder().socket(engine.socket()).build().expect("a source");
    Run::of(|| {
        let monitor = Monitor::builder(source).spawn_events(queue).expect("a monitor");
        while count.load(Ordering::Acquire) < EVENTS {
            assert_eq!(monitor.snapshot().gaps, 0, "the consumer was too slow: events were evicted");
            thread::sleep(Duration::from_millis(1));
        }
        sum.load(Ordering::Relaxed)
    })
}

/// What is measured, and how.
type Contender = (&'static str, fn(&Bytes) -> Run);

fn main() {
    let contenders: [Contender; 5] = [
        ("serde_json, IgnoredAny", |bytes| Run::of(|| ignored(bytes))),
        ("serde_json, DockerEvent", |bytes| Run::of(|| same_type(bytes))),
        ("serde_json, derived with a map", |bytes| Run::of(|| derived(bytes))),
        ("EventReader", |bytes| Run::of(|| reader(bytes))),
        ("engine to queue, over a socket", whole),
    ];
    for is_old in [false, true] {
        let bytes = Bytes::new(is_old);
        let size = bytes.lines.len() as f64 / EVENTS as f64;
        println!("{} events of {size:.0} bytes, {}", EVENTS, if is_old { "API 1.41" } else { "API 1.52" });
        let mut times = contenders.map(|_| Vec::new());
        let mut usages = contenders.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for ((times, usages), (name, run)) in times.iter_mut().zip(&mut usages).zip(&contenders) {
                let run = run(&bytes);
                assert_eq!(run.sum, bytes.sum, "{name}");
                times.push(run.time / EVENTS as f64);
                usages.push(run.usage / EVENTS as f64);
            }
        }
        let limit = median(&mut times[0].clone());
        for (((name, _), times), usages) in contenders.iter().zip(&mut times).zip(&mut usages) {
            let (time, usage) = (median(times), median(usages));
            println!(
                "{name:32} {time:6.0} ns an event ({usage:5.0} of processors), {:5.2} M/s, {:5.0} MB/s, {:4.2} of the first",
                1e3 / time,
                size * 1e3 / time,
                time / limit
            );
        }
    }
}
