//! The clients of the nodes: a thread for each node writes to it, at a steady rate.

use crate::change::{Change, Write};
use crate::client::{Client, RequestError};
use crate::wire::answer;
use demo_support::{Dice, Failure};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a client waits for an answer.
const LIMIT: Duration = Duration::from_millis(300);
/// The longest sleep before the settings are checked again.
const NAP: Duration = Duration::from_millis(5);

/// Keys of each kind. Few, so that nodes change the same ones.
const KEYS: usize = 40;

/// The clients of all nodes.
#[derive(Default)]
pub(crate) struct Writers {
    settings: Arc<Settings>,
    threads: Vec<JoinHandle<Written>>,
}

/// What the conductor changes while the clients write.
#[derive(Default)]
struct Settings {
    /// The URL of each node, absent while it has none.
    urls: Vec<Mutex<Option<String>>>,
    is_over: AtomicBool,
}

/// What one client, or all of them, achieved.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The changes that a node acknowledged.
    pub(crate) acknowledged: Vec<Change>,
    /// Writes that the hub did not accept because a healthy node lagged.
    pub(crate) held_back: u64,
    /// Other writes without a success. The node may have executed them, or may still do so.
    pub(crate) unknown: u64,
}

impl Writers {
    /// Starts a client for each of `nodes`, which together write `rate` times in a second.
    pub(crate) fn start(seed: u64, nodes: usize, rate: u64) -> Result<Self, Failure> {
        let urls = (0..nodes).map(|_| Mutex::default()).collect();
        let settings = Arc::new(Settings { urls, ..Settings::default() });
        let interval = Duration::from_secs(nodes as u64).div_f64(rate as f64);
        // Dropped after a failure, they end the threads that were started.
        let mut writers = Self { settings, threads: Vec::new() };
        for node in 0..nodes {
            // Each client has numbers of its own.
            let dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(node as u64));
            let writer = Writer { node, dice, settings: writers.settings.clone(), client: Client::new() };
            let thread = std::thread::Builder::new().name(format!("client {node}"));
            let thread = thread.spawn(move || writer.run(interval));
            writers.threads.push(thread.map_err(|error| Failure::setup("cannot start a client", error))?);
        }
        Ok(writers)
    }

    /// Changes where a node is, or that it is nowhere.
    pub(crate) fn set_url(&self, node: usize, url: Option<String>) {
        *self.settings.url(node) = url;
    }

    /// Ends all clients, and returns what they achieved.
    pub(crate) fn finish(mut self) -> Written {
        self.settings.is_over.store(true, Ordering::Relaxed);
        let mut sum = Written::default();
        for thread in self.threads.drain(..) {
            let written = thread.join().unwrap_or_default();
            sum.acknowledged.extend(written.acknowledged);
            sum.held_back += written.held_back;
            sum.unknown += written.unknown;
        }
        sum
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.settings.is_over.store(true, Ordering::Relaxed);
    }
}

impl Settings {
    fn url(&self, node: usize) -> std::sync::MutexGuard<'_, Option<String>> {
        self.urls[node].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client of one node.
struct Writer {
    node: usize,
    dice: Dice,
    settings: Arc<Settings>,
    client: Client,
}

impl Writer {
    fn run(mut self, interval: Duration) -> Written {
        let mut written = Written::default();
        let mut due = Instant::now();
        while !self.settings.is_over.load(Ordering::Relaxed) {
            let left = due.saturating_duration_since(Instant::now());
            let url = self.settings.url(self.node).clone().filter(|_| left.is_zero());
            let Some(url) = url else {
                std::thread::sleep(if left.is_zero() { NAP } else { left.min(NAP) });
                continue;
            };
            let write = self.next_write();
            match self.client.ask(&format!("{url}/write"), &write, LIMIT) {
                Ok(change) => written.acknowledged.push(change),
                Err(RequestError::Status(answer::SLOW_DOWN)) => written.held_back += 1,
                Err(_) => written.unknown += 1,
            }
            // Time that was lost is not made up for.
            due = (due + interval).max(Instant::now().checked_sub(interval).unwrap_or(due));
        }
        written
    }

    fn next_write(&mut self) -> Write {
        let key = self.dice.below(KEYS);
        match self.dice.below(10) {
            0 => Write::Remove { key: format!("text-{key}") },
            1..5 => Write::Set { key: format!("text-{key}"), text: self.dice.below(100_000).to_string() },
            _ => Write::Add { key: format!("sum-{key}"), amount: self.dice.below(199) as i64 - 99 },
        }
    }
}
