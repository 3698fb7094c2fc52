//! The audit: every order that was accepted reaches the database, in batches that a task writes.
//!
//! The channel is lossless: when it is full, an order waits for room. It is the *task* of the request
//! that waits, never the thread of the runtime, and at the limit the order is refused.

use crate::database::{Database, Row};
use crate::orders::Order;
use buslane::error::{AddError, BuildError};
use buslane::stats::{SinkState, Snapshot};
use buslane::{Bus, Channel, Receiver};
use futures_util::StreamExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::error;

/// The most rows of a transaction.
const BATCH: usize = 256;
/// The pauses after a transaction that failed: the first one, doubled each time, up to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Takes orders for the database.
#[derive(Debug)]
pub(crate) struct Audit {
    channel: Channel<Entry>,
    /// Shows the channel in snapshots. Orders are written to the channel itself, which returns an
    /// order that it refuses.
    bus: Bus<Entry>,
    patience: Duration,
    durable: bool,
    progress: Arc<Progress>,
}

/// An order on its way to the database.
#[derive(Debug)]
struct Entry {
    row: Row,
    /// Told after the commit, for a request that waits for it.
    committed: Option<oneshot::Sender<()>>,
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There was no room in time.
    Full,
    /// The shutdown has begun.
    Closed,
}

/// What the writing task has done up to now.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    rows: AtomicU64,
    batches: AtomicU64,
    failures: AtomicU64,
    /// The error of the last transaction, if it failed.
    error: Mutex<Option<String>>,
}

impl Audit {
    /// Creates an audit with room for `capacity` orders, and the task's end of it.
    pub(crate) fn new(
        capacity: usize,
        patience: Duration,
        durable: bool,
    ) -> Result<(Self, Writer), BuildError> {
        let (channel, receiver) = Channel::lossless(capacity)?;
        let progress = Arc::new(Progress::default());
        let audit = Self { channel, bus: Bus::new(), patience, durable, progress: progress.clone() };
        Ok((audit, Writer { receiver, progress }))
    }

    /// Shows the channel on the bus of the audit.
    pub(crate) fn register(&self) -> Result<(), AddError> {
        self.bus.add_named("audit", self.channel.clone()).map(drop)
    }

    /// Hands an order to the audit, and waits for room if it must. Returns the commit to wait for, if
    /// the settings demand it.
    ///
    /// Cancel safe: an order is accepted in the moment in which this returns, or not at all.
    pub(crate) async fn record(&self, order: Order) -> Result<Option<oneshot::Receiver<()>>, Refused> {
        let (committed, commit) = self.durable.then(oneshot::channel).unzip();
        let entry = Entry { row: Row { order, at: SystemTime::now() }, committed };
        match timeout(self.patience, self.channel.write_async(entry)).await {
            Ok(Ok(())) => Ok(commit),
            Ok(Err(_)) => Err(Refused::Closed),
            Err(_) => Err(Refused::Full),
        }
    }

    /// Accepts no further orders. The task writes those that were accepted, and ends.
    pub(crate) fn close(&self) {
        self.channel.close();
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.bus.snapshot()
    }

    pub(crate) fn state(&self) -> SinkState {
        self.channel.state()
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Progress {
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(crate) fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The error of the last transaction, if it failed.
    pub(crate) fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn written(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.set_error(None);
    }

    fn failed(&self, error: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.set_error(Some(error));
    }

    fn set_error(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

/// The task's end of the audit.
#[derive(Debug)]
pub(crate) struct Writer {
    receiver: Receiver<Entry>,
    progress: Arc<Progress>,
}

impl Writer {
    /// Writes batches until the audit is closed and empty.
    ///
    /// A transaction that fails is repeated, and meanwhile the channel fills and refuses. So a
    /// database that stays broken costs answers, but no order that was accepted; only the end of the
    /// task does, at the limit of the shutdown.
    pub(crate) async fn run(self, mut database: Database) {
        let Self { receiver, progress } = self;
        // What has arrived until the last transaction ended is the next batch.
        let mut batches = receiver.ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            let rows = batch.iter().map(|entry| entry.row).collect();
            database = write(&progress, database, rows).await;
            for committed in batch.into_iter().filter_map(|entry| entry.committed) {
                // A client that is gone does not wait for it.
                let _ = committed.send(());
            }
        }
    }
}

/// Writes one batch, however often that takes.
async fn write(progress: &Progress, mut database: Database, rows: Vec<Row>) -> Database {
    let (mut pause, longest) = PAUSES;
    let rows = Arc::new(rows);
    loop {
        let batch = rows.clone();
        // SQLite blocks, so it has a thread of the pool for that.
        let write = move || {
            let result = database.write(&batch);
            (database, result)
        };
        let result;
        (database, result) = match tokio::task::spawn_blocking(write).await {
            Ok(written) => written,
            // The database went with the thread: only a panic or the end of the runtime does that.
            Err(panic) => std::panic::resume_unwind(Box::new(panic)),
        };
        match result {
            Ok(()) => {
                progress.written(rows.len());
                return database;
            }
            Err(cause) => {
                error!(rows = rows.len(), %cause, "cannot write a batch");
                progress.failed(cause.to_string());
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}
