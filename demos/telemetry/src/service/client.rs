//! The load: clients with one request under way each, sent with the last reply or at fixed times.

use super::protocol::Reply;
use crate::report::{nanoseconds, new_histogram};
use hdrhistogram::Histogram;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Few enough that most of them are there once the service runs for a while.
const KEYS: u64 = 4096;

/// The longest sleep of a client, which checks between two of them whether it is to stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// The times at which a client's requests are due, whatever became of the earlier ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    next: Instant,
    interval: Duration,
}

impl Pace {
    pub(crate) fn new(first: Instant, interval: Duration) -> Self {
        // A timer of the system may be late by 50 µs, so that it can serve several at once. That
        // would count as latency.
        #[cfg(target_os = "linux")]
        let _ = nix::sys::prctl::set_timerslack(1);
        Self { next: first, interval }
    }

    /// Waits until the next request is due, and returns that time: a past one, if the connection
    /// was still in use.
    fn wait(&mut self, stopping: &AtomicBool) -> Instant {
        let due = self.next;
        self.next += self.interval;
        while !stopping.load(Ordering::Relaxed) {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(LONGEST_SLEEP));
        }
        due
    }
}

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
    /// Replies with another status than 200.
    pub(crate) failed: u64,
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
    /// balance.
    ///
    /// # Errors
    /// Those of the socket, and a reply that is none.
    pub(crate) fn run(mut self, stopping: &AtomicBool, mut pace: Option<Pace>) -> io::Result<ClientTally> {
        loop {
            self.write_request();
            let due = pace.as_mut().map(|pace| pace.wait(stopping));
            if stopping.load(Ordering::Relaxed) {
                break;
            }
            let start = due.unwrap_or_else(Instant::now);
            let reply = self.ask()?;
            let latency = nanoseconds(start.elapsed());
            let histogram = if reply.is_recorded { &mut self.tally.on } else { &mut self.tally.off };
            histogram.saturating_record(latency);
            self.tally.failed += u64::from(!reply.is_success);
        }
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
        Self { on: new_histogram(), off: new_histogram(), failed: 0 }
    }

    /// Takes in what another client counted.
    pub(crate) fn add(&mut self, other: &Self) {
        // Adding fails only between histograms of different bounds.
        let _ = self.on.add(&other.on);
        let _ = self.off.add(&other.off);
        self.failed += other.failed;
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
