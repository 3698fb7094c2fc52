//! The load: clients with one request under way each, sent with the last reply or at fixed times.

use super::pace::Pace;
use super::processor;
use super::protocol::Reply;
use crate::report::{nanoseconds, new_histogram};
use hdrhistogram::Histogram;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Few enough that most of them are there once the service runs for a while.
const KEYS: u64 = 4096;

/// A client: sends a request, waits for the reply, and times it.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    random: Random,
    request: Vec<u8>,
    reply: Vec<u8>,
    tally: ClientTally,
}

/// What a client counted.
#[derive(Debug)]
pub(crate) struct ClientTally {
    /// Nanoseconds of each request for which telemetry was on.
    pub(crate) on: Histogram<u64>,
    /// Nanoseconds of all others.
    pub(crate) off: Histogram<u64>,
    /// Requests for which telemetry was on, and which are in no histogram: they were sent before
    /// the service was warm.
    pub(crate) warm_up: u64,
    /// Replies with another status than 200.
    pub(crate) failed: u64,
    /// The processor time of the client.
    pub(crate) processor: Duration,
}

impl Client {
    pub(crate) fn new(number: u64, stream: TcpStream) -> Self {
        Self {
            stream: BufReader::new(stream),
            random: Random::new(number),
            request: Vec::new(),
            reply: Vec::new(),
            tally: ClientTally::new(),
        }
    }

    /// Sends requests until `stopping`, and waits for the reply to each, or the ledger could not
    /// balance. Latencies count from `warm` on.
    ///
    /// # Errors
    /// Those of the socket, and a reply that is none.
    pub(crate) fn run(
        mut self,
        stopping: &AtomicBool,
        warm: Instant,
        mut pace: Option<Pace>,
    ) -> io::Result<ClientTally> {
        loop {
            self.write_request();
            let due = pace.as_mut().map(|pace| pace.wait(stopping));
            if stopping.load(Ordering::Relaxed) {
                break;
            }
            let start = due.unwrap_or_else(Instant::now);
            let reply = self.ask()?;
            let latency = pace.as_ref().map_or_else(|| start.elapsed(), |pace| pace.since(start));
            match reply.is_recorded {
                true if start < warm => self.tally.warm_up += 1,
                true => self.tally.on.saturating_record(nanoseconds(latency)),
                false => self.tally.off.saturating_record(nanoseconds(latency)),
            }
            self.tally.failed += u64::from(!reply.is_success);
        }
        self.tally.processor = processor::of_thread();
        Ok(self.tally)
    }

    /// Makes up a request: mostly reads, some for missing keys, and one in a hundred that the
    /// service cannot read.
    fn write_request(&mut self) {
        let key = self.random.below(KEYS);
        let request = match self.random.below(100) {
            0 => format!("FETCH key-{key}\n"),
            1..10 => format!("DEL key-{key}\n"),
            10..40 => format!("SET key-{key} {:032x}\n", self.random.next()),
            _ => format!("GET key-{key}\n"),
        };
        self.request.clear();
        self.request.extend_from_slice(request.as_bytes());
    }

    /// Sends the request and waits for its reply.
    fn ask(&mut self) -> io::Result<Reply> {
        self.stream.get_mut().write_all(&self.request)?;
        self.reply.clear();
        if self.stream.read_until(b'\n', &mut self.reply)? == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the service hung up"));
        }
        Reply::parse(&self.reply).ok_or_else(|| {
            io::Error::new(ErrorKind::InvalidData, "the service sent something else than a reply")
        })
    }
}

impl ClientTally {
    pub(crate) fn new() -> Self {
        Self { on: new_histogram(), off: new_histogram(), warm_up: 0, failed: 0, processor: Duration::ZERO }
    }

    /// Takes in what another client counted.
    pub(crate) fn add(&mut self, other: &Self) {
        // Adding fails only between histograms of different bounds.
        let _ = self.on.add(&other.on);
        let _ = self.off.add(&other.off);
        self.warm_up += other.warm_up;
        self.failed += other.failed;
        self.processor += other.processor;
    }
}

/// Numbers that are random enough for load, and the same in every run.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Marsaglia's xorshift.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
