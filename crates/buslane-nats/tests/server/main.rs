//! The sink and the source against a real server: Debian's `nats-server`, started by `bash .ci/nats`.
//!
//! Every event is numbered, so each test knows what must be in the stream. The figures that the tests
//! print are no assertions.
#![cfg(target_os = "linux")]

mod admin;
mod daemon;
mod outages;
mod reading;
mod refusals;

use admin::Admin;
use buslane::retry::Backoff;
use buslane::{Overflow, Queue};
use buslane_nats::{JetStream, JetStreamBuilder, JetStreamSource, JetStreamSourceBuilder, Server};
use daemon::Daemon;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use test_support::limit::scaled;

/// The time limit of a step.
pub(crate) const LIMIT: Duration = scaled(Duration::from_secs(60));

/// Prints a figure, past the capture of what tests print.
pub(crate) fn report(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "nats: {what}");
}

/// Waits for another process. The test needs its processor meanwhile.
#[track_caller]
pub(crate) fn wait_for(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "the condition did not hold within {LIMIT:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A server with a stream of this test's own, which has the subjects `NAME.>`.
pub(crate) struct Setup {
    pub(crate) daemon: Daemon,
    pub(crate) admin: Admin,
    pub(crate) stream: String,
}

impl Setup {
    /// Starts a server, or returns `None` with a notice why this machine has none.
    pub(crate) fn start() -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let daemon = Daemon::start("")?;
        let admin = Admin::connect(daemon.url());
        let stream = format!("S{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        admin.create(admin.config(&stream));
        Some(Self { daemon, admin, stream })
    }

    /// Returns the settings of a sink of numbers.
    pub(crate) fn sink(&self) -> JetStreamBuilder<u64> {
        let prefix = self.stream.clone();
        numbers(self.daemon.url())
            .subject_by(move |number: &u64| format!("{prefix}.{}", number % 8))
            .stream(&self.stream)
    }

    /// Returns the settings of a source of numbers.
    pub(crate) fn source(&self, consumer: &str) -> JetStreamSourceBuilder<u64> {
        JetStreamSource::builder(self.daemon.url(), &self.stream, consumer)
            .json()
            .ack_wait(Duration::from_secs(1))
    }

    /// Returns the numbers in the stream, in its order.
    pub(crate) fn stored(&self) -> Vec<u64> {
        self.admin.read(&self.stream)
    }
}

pub(crate) fn numbers(url: &str) -> JetStreamBuilder<u64> {
    let quick = || Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
    JetStream::builder(Server::new(url).reconnect(quick())).json().retry(quick())
}

/// Returns a queue that lets publishers wait while the server is away.
pub(crate) fn patient(sink: JetStream<u64>) -> Queue<u64> {
    Queue::builder().capacity(16_384).overflow(Overflow::Block).spawn_sink(sink).unwrap()
}

/// Checks that the numbers are stored once each. Returns how many are not in order.
#[track_caller]
pub(crate) fn assert_each_once(stored: &[u64], count: u64) -> usize {
    let mut sorted = stored.to_vec();
    sorted.sort_unstable();
    let missing = (0..count).filter(|number| sorted.binary_search(number).is_err()).count();
    sorted.dedup();
    assert_eq!((missing, stored.len() - sorted.len()), (0, 0), "missing, and stored twice");
    assert_eq!(stored.len() as u64, count);
    stored.windows(2).filter(|pair| pair[0] > pair[1]).count()
}
