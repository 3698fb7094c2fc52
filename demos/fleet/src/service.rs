//! A service: handles made-up requests, and publishes one event for each of them.

use crate::counts::{Counts, CountsFile};
use crate::options::Options;
use crate::request::{Life, Request, STREAM, name_of};
use buslane::{Bus, Overflow, Queue};
use buslane_nats::{JetStream, JetStreamStats};
use demo_support::{Dice, Failure, process};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Events that are held while the server is away.
const CAPACITY: usize = 65_536;
/// How far the service may be behind its pace.
const LATE: Duration = Duration::from_millis(100);
/// How long the close may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a service until the process that started it ends, or closes the standard input of this one.
pub(crate) fn run(
    options: &Options,
    url: &str,
    folder: &Path,
    service: u32,
    life: u32,
) -> Result<(), Failure> {
    process::end_with_parent(options.parent)?;
    let life = Life { service, life };
    let cannot = |error| Failure::broken("cannot write the counts", error);
    let mut file = CountsFile::create(folder, life).map_err(cannot)?;
    let (bus, stats) = open(url)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    std::thread::spawn(move || {
        process::wait_for_end();
        over.store(true, Ordering::Relaxed);
    });

    let mut dice = Dice::new(options.seed ^ u64::from(service) << 32 ^ u64::from(life.life));
    let mut publisher = bus.publisher();
    let mut counts = Counts::default();
    let (mut next, step) = (Instant::now(), Duration::from_secs(1).div_f64(options.rate.get() as f64));
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        // After a pause the service continues, and does not make up for what it has missed.
        next = (next + step).max(Instant::now() - LATE);
        counts.attempted = counts.accepted + 1;
        count(&mut counts, &stats);
        file.write(&counts).map_err(cannot)?;
        let request = Request::made_up(life, counts.attempted, &mut dice);
        match publisher.publish(request) {
            Ok(published) if published.accepted == 1 => counts.accepted += 1,
            Ok(_) => counts.refused += 1,
            Err(error) => return Err(Failure::broken("cannot publish", error.to_string())),
        }
    }
    drop(publisher);
    let report = bus.close_timeout(PATIENCE);
    counts.attempted = counts.accepted;
    counts.closed = u64::from(report.is_done() && report.undelivered == 0);
    count(&mut counts, &stats);
    file.write(&counts).map_err(cannot)
}

/// A bus whose events go to the stream.
fn open(url: &str) -> Result<(Bus<Request>, JetStreamStats), Failure> {
    let sink = JetStream::builder(url)
        .stream(STREAM)
        .subject_by(|request: &Request| format!("fleet.{}", name_of(request.life.service)))
        .json()
        .ack_timeout(Duration::from_secs(1))
        .connect_lazy()
        .map_err(|error| Failure::setup("cannot use the server", error))?;
    let stats = sink.stats();
    let queue = Queue::builder().capacity(CAPACITY).overflow(Overflow::Refuse).spawn_sink(sink);
    let queue = queue.map_err(|error| Failure::setup("cannot start a queue", error))?;
    let bus = Bus::new();
    bus.add_named("jetstream", queue).map_err(|error| Failure::setup("cannot add a sink", error))?;
    Ok((bus, stats))
}

fn count(counts: &mut Counts, stats: &JetStreamStats) {
    let sink = stats.read();
    counts.acknowledged = sink.acknowledged;
    counts.duplicates = sink.duplicates;
    counts.retried = sink.retried;
}
