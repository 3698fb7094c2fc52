//! The threads that serve requests, and publish a sample of each.

use super::connection::{Connection, Progress};
use super::processor;
use super::protocol::{Request, write_reply};
use super::sample::Sample;
use super::store::{self, Store};
use crate::peers::Tap;
use crate::pipeline::Told;
use crate::report::{nanoseconds, new_histogram};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One publish in this many is timed: reading the clock around each one would cost more than the
/// publish.
///
/// Single publishes, not a block of them: each one here is between system calls, and a block would
/// find warm caches and measure another publish. The cost of the timer, which then weighs more, is
/// measured at the same position in as many other requests.
pub(crate) const TIMED_EVERY: u64 = 64;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    store: Store,
    /// Whether requests are recorded.
    pub(crate) telemetry: AtomicBool,
    started: Instant,
}

impl Shared {
    pub(crate) fn new(telemetry: bool) -> Self {
        Self { store: Store::default(), telemetry: AtomicBool::new(telemetry), started: Instant::now() }
    }
}

/// A thread that serves some of the connections, with a publishing half of its own.
pub(crate) struct Worker<'a> {
    number: u32,
    shared: &'a Shared,
    tap: Tap<Sample>,
    poll: Poll,
    connections: Vec<Option<Connection>>,
    tally: WorkerTally,
}

/// What a worker counted.
#[derive(Debug)]
pub(crate) struct WorkerTally {
    /// What the publisher was told.
    pub(crate) told: Told,
    /// Requests that were answered while telemetry was off.
    pub(crate) unpublished: u64,
    /// Nanoseconds from a reading of the clock before a publish to one after it.
    pub(crate) publish_cost: Histogram<u64>,
    /// Nanoseconds from a reading of the clock before a publish to the next, with nothing between
    /// them.
    pub(crate) timer_cost: Histogram<u64>,
    /// The processor time of the worker.
    pub(crate) processor: Duration,
}

impl<'a> Worker<'a> {
    /// Takes over connections.
    ///
    /// # Errors
    /// When the system has no more room for what waits for sockets.
    pub(crate) fn new(
        number: u32,
        shared: &'a Shared,
        tap: Tap<Sample>,
        streams: Vec<std::net::TcpStream>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(streams.len());
        for stream in streams {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let token = Token(connections.len());
            poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            connections.push(Some(Connection::new(stream)));
        }
        Ok(Self { number, shared, tap, poll, connections, tally: WorkerTally::new() })
    }

    /// Serves until every client has hung up.
    ///
    /// # Errors
    /// Those of waiting for sockets.
    pub(crate) fn serve(mut self) -> io::Result<WorkerTally> {
        let mut events = Events::with_capacity(self.connections.len().max(1));
        while self.connections.iter().any(Option::is_some) {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                self.advance(event.token());
            }
        }
        self.tally.processor = processor::of_thread();
        Ok(self.tally)
    }

    /// Serves a connection as far as it goes now. One that broke is given up: its client will say
    /// what it misses.
    fn advance(&mut self, Token(index): Token) {
        let Some(mut connection) = self.connections[index].take() else { return };
        let progress = connection.advance(|line, output| self.answer(line, output));
        if matches!(progress, Ok(Progress::Open)) {
            self.connections[index] = Some(connection);
        }
    }

    /// Answers a request, and publishes a sample of it while telemetry is on.
    fn answer(&mut self, line: &[u8], output: &mut Vec<u8>) {
        // Without telemetry the clock is not read either: its cost belongs to telemetry.
        let is_recorded = self.shared.telemetry.load(Ordering::Relaxed);
        let started = (is_recorded && !self.tap.is_nothing()).then(Instant::now);
        let length = output.len();
        let request = Request::parse(line);
        let (status, value) = self.shared.store.execute(request);
        write_reply(output, status, is_recorded, value.as_deref().unwrap_or_default());
        let Some(start) = started else {
            let count = &mut self.tally;
            *(if is_recorded { &mut count.told.published } else { &mut count.unpublished }) += 1;
            return;
        };
        self.publish(Sample {
            at_micros: start.duration_since(self.shared.started).as_micros() as u64,
            key_hash: store::hash(request.key()),
            nanos: u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX),
            bytes: (line.len() + output.len() - length) as u32,
            worker: self.number,
            status: status as u16,
            operation: request.operation(),
        });
    }

    fn publish(&mut self, sample: Sample) {
        let tally = &mut self.tally;
        let place = tally.told.published % TIMED_EVERY;
        if place == TIMED_EVERY / 2 {
            let start = Instant::now();
            tally.timer_cost.saturating_record(nanoseconds(start.elapsed()));
        }
        if place == 0 {
            let start = Instant::now();
            self.tap.publish(sample, &mut tally.told);
            tally.publish_cost.saturating_record(nanoseconds(start.elapsed()));
        } else {
            self.tap.publish(sample, &mut tally.told);
        }
    }
}

impl WorkerTally {
    pub(crate) fn new() -> Self {
        Self {
            told: Told::default(),
            unpublished: 0,
            publish_cost: new_histogram(),
            timer_cost: new_histogram(),
            processor: Duration::ZERO,
        }
    }

    /// What a publish costs without the timer: each time less the timer's median.
    pub(crate) fn net_cost(&self) -> Histogram<u64> {
        let (mut net, timer) = (new_histogram(), self.timer_cost.value_at_quantile(0.5));
        for step in self.publish_cost.iter_recorded() {
            let cost = step.value_iterated_to().saturating_sub(timer);
            net.saturating_record_n(cost, step.count_at_value());
        }
        net
    }

    /// Takes in what another worker counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.told.add(other.told);
        self.unpublished += other.unpublished;
        self.processor += other.processor;
        // Adding fails only between histograms of different bounds.
        let _ = self.publish_cost.add(&other.publish_cost);
        let _ = self.timer_cost.add(&other.timer_cost);
    }
}
