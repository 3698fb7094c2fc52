//! A monitor that follows an engine, and the queue that calls the handler.

use crate::board::Board;
use crate::token_file::TokenFile;
use buslane::retry::Backoff;
use buslane::source::{Monitor, MonitorSnapshot, Update};
use buslane::stats::Ledger;
use buslane::{Overflow, Queue};
use buslane_docker::{DockerEvent, DockerSource, DockerToken};
use demo_support::Failure;
use serde::Serialize;
use std::sync::Arc;

/// Events between two stores of the token. It is also stored at the end of each connection.
const STORE_EVERY: u64 = 16;
/// Updates that the queue holds. The monitor waits when it is full; the engine does not.
const QUEUE: usize = 1024;

/// A monitor and its queue.
pub(crate) struct Follower {
    monitor: Monitor<DockerToken>,
    queue: Queue<Update<DockerEvent>>,
}

/// A follower that has stopped.
#[derive(Serialize)]
pub(crate) struct Followed {
    pub(crate) monitor: MonitorSnapshot,
    /// The ledger of the queue, which counts updates.
    pub(crate) queue: Ledger,
    /// The position after the last event.
    pub(crate) token: Option<String>,
    /// Whether the stop has waited for everything.
    pub(crate) done: bool,
}

impl Follower {
    /// Begins to follow at the token in the file, if there is one.
    pub(crate) fn start(
        source: DockerSource,
        backoff: Backoff,
        file: Option<&TokenFile>,
        board: &Arc<Board>,
    ) -> Result<Self, Failure> {
        let handler = board.clone();
        let queue = Queue::builder().name("docker-events").capacity(QUEUE).overflow(Overflow::Block);
        let queue = queue
            .spawn(move |update: Update<DockerEvent>| handler.apply(&update))
            .map_err(|error| Failure::setup("cannot start the queue", error))?;
        let mut monitor = Monitor::builder(source).backoff(backoff);
        if let Some(file) = file {
            let path = file.path().to_owned();
            monitor = monitor
                .resume(file.read()?)
                .store_token(STORE_EVERY, move |token| TokenFile::store(&path, token));
        }
        let monitor = monitor
            .spawn(queue.clone())
            .map_err(|error| Failure::setup("cannot start the monitor", error))?;
        Ok(Self { monitor, queue })
    }

    pub(crate) fn monitor(&self) -> &Monitor<DockerToken> {
        &self.monitor
    }

    /// Stops, and handles what was read.
    pub(crate) fn stop(self) -> Followed {
        let stopped = self.monitor.stop();
        let closed = self.queue.close();
        Followed {
            monitor: self.monitor.snapshot(),
            queue: self.queue.state().ledger,
            token: self.monitor.token().map(|token| token.to_string()),
            done: stopped.is_done() && closed.is_done(),
        }
    }
}
