//! The load: connections that place orders and read them back, each on a thread of its own.

use super::client::{Client, get, post};
use super::pace::Pace;
use hdrhistogram::Histogram;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// The time after which a read is an error: the service hangs.
const HANG: Duration = Duration::from_secs(20);
/// The latencies that are told apart, in nanoseconds; a longer one counts as the longest.
const LONGEST: u64 = 60_000_000_000;

/// A load that is running.
#[derive(Debug)]
pub(crate) struct Load {
    window: Arc<Window>,
    threads: Vec<JoinHandle<io::Result<Tally>>>,
}

/// When latencies begin to count, and when the load ends. Both are unknown at first.
#[derive(Debug, Default)]
struct Window {
    begin: OnceLock<Instant>,
    end: OnceLock<Instant>,
}

impl Window {
    fn counts(&self, due: Instant) -> bool {
        self.begin.get().is_some_and(|begin| due >= *begin)
    }

    fn has_ended(&self, due: Instant) -> bool {
        self.end.get().is_some_and(|end| due >= *end)
    }
}

/// What a connection saw.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Latencies in nanoseconds, of the requests that were due while latencies counted.
    pub(crate) latencies: Histogram<u64>,
    /// Answers with another status than the request should have.
    pub(crate) wrong: u64,
}

impl Tally {
    fn new() -> Self {
        // The bounds are valid: see the documentation of `hdrhistogram`.
        let mut latencies = Histogram::new_with_max(LONGEST, 3).expect("valid bounds");
        latencies.auto(false);
        Self { latencies, wrong: 0 }
    }

    fn add(&mut self, other: &Self) {
        self.latencies += &other.latencies;
        self.wrong += other.wrong;
    }
}

impl Load {
    /// Connects, and starts to send: at this rate over all connections, or each connection its next
    /// request with the answer to the last one.
    pub(crate) fn start(address: SocketAddr, connections: usize, rate: Option<f64>) -> io::Result<Self> {
        let mut load = Self { window: Arc::default(), threads: Vec::new() };
        let clients: Vec<_> =
            (0..connections).map(|_| Client::connect(address, HANG)).collect::<Result<_, _>>()?;
        // The requests of all connections are due at equal distances.
        let distance = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let begin = Instant::now();
        for (number, client) in clients.into_iter().enumerate() {
            let count = u32::try_from(connections).unwrap_or(u32::MAX);
            let first = begin + distance.unwrap_or_default() * u32::try_from(number).unwrap_or(0);
            let interval = distance.map(|distance| distance * count);
            let window = load.window.clone();
            let run =
                move || Connection { client, tally: Tally::new(), last: None }.run(first, interval, &window);
            load.threads.push(Builder::new().name(format!("client {number}")).spawn(run)?);
        }
        Ok(load)
    }

    /// Latencies count from now on.
    pub(crate) fn count(&self) -> Instant {
        *self.window.begin.get_or_init(Instant::now)
    }

    /// The last requests are due now. Those that are late are sent all the same: without them, a
    /// service that stalls at the end would look fast.
    pub(crate) fn end(&self) -> Instant {
        *self.window.end.get_or_init(Instant::now)
    }

    /// Waits for the last answers, and returns what all connections saw.
    pub(crate) fn finish(mut self) -> io::Result<Tally> {
        self.end();
        let mut sum = Tally::new();
        for thread in std::mem::take(&mut self.threads) {
            sum.add(&thread.join().map_err(|_| io::Error::other("a client panicked"))??);
        }
        Ok(sum)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

/// One connection, and what it saw.
struct Connection {
    client: Client,
    tally: Tally,
    /// The order to read back.
    last: Option<u64>,
}

impl Connection {
    fn run(mut self, first: Instant, interval: Option<Duration>, window: &Window) -> io::Result<Tally> {
        let order = post("/orders", r#"{"item":"bolt","quantity":1}"#);
        let mut pace = Pace::new(first, interval);
        loop {
            let due = pace.wait();
            if window.has_ended(due) {
                return Ok(self.tally);
            }
            match self.last.take() {
                None => self.place(&order)?,
                Some(id) => self.read_back(id)?,
            }
            if window.counts(due) {
                let latency = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.tally.latencies.saturating_record(latency);
            }
        }
    }

    fn place(&mut self, order: &str) -> io::Result<()> {
        let answer = self.client.request(order)?;
        if answer.status == 201 {
            self.last = id(&answer.body);
        } else {
            self.tally.wrong += 1;
        }
        Ok(())
    }

    fn read_back(&mut self, id: u64) -> io::Result<()> {
        let answer = self.client.request(&get(&format!("/orders/{id}")))?;
        self.tally.wrong += u64::from(answer.status != 200);
        Ok(())
    }
}

/// The number of an order in an answer.
fn id(body: &[u8]) -> Option<u64> {
    let order: serde_json::Value = serde_json::from_slice(body).ok()?;
    order["id"].as_u64()
}
