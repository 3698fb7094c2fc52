//! The connection of a sink, kept open by a task: it connects, reads the answers, and connects
//! again with backoff until the sink is closed.

use crate::acks::{Acks, parse_reply};
use crate::answer;
use crate::config::Invalid;
use crate::connect::{self, Watch, changed, lock};
use crate::counters::{Counters, add};
use crate::runtime::Runtime;
use crate::server::Server;
use async_nats::connection::State;
use async_nats::{Client, ServerAddr, Subscriber};
use buslane::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
use buslane::time::{Deadline, Pause};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;

/// A connection that lasted this long is no failure: the backoff begins anew.
const HEALTHY: Duration = Duration::from_secs(5);
/// How often the state of the client is polled, in case that its event was dropped.
const POLL: Duration = Duration::from_millis(500);
/// The most answers that are read at once.
const CHUNK: usize = 256;

/// An open connection.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) client: Client,
    /// The beginning of every reply subject.
    pub(crate) inbox: String,
    pub(crate) watch: Arc<Watch>,
}

/// A connection that is kept open.
pub(crate) struct Link {
    shared: Arc<Shared>,
    runtime: Runtime,
}

struct Shared {
    server: Server,
    addresses: Vec<ServerAddr>,
    acks: Arc<Acks>,
    pause: Arc<Pause>,
    counters: Arc<Counters>,
    bell: Arc<Notify>,
    state: Mutex<LinkState>,
}

#[derive(Default)]
struct LinkState {
    open: Option<Open>,
    error: Option<String>,
    is_closed: bool,
}

impl Link {
    /// Starts the task. It never fails or waits because of the network.
    pub(crate) fn start(
        server: Server,
        acks: Arc<Acks>,
        pause: Arc<Pause>,
        counters: Arc<Counters>,
    ) -> Result<Self, Invalid> {
        let addresses = server.addresses()?;
        let runtime = Runtime::start(&server)?;
        let bell = Arc::new(Notify::new());
        let state = Mutex::default();
        let shared = Arc::new(Shared { server, addresses, acks, pause, counters, bell, state });
        runtime.handle().spawn(keep_open(shared.clone()));
        Ok(Self { shared, runtime })
    }

    /// Waits for a connection. `None` means that the deadline has passed, or that the pause is
    /// interrupted.
    pub(crate) fn wait_open(&self, deadline: Deadline) -> Option<Open> {
        let mut open = None;
        self.shared.pause.wait(deadline, || {
            open = self.open();
            open.is_some()
        });
        open
    }

    fn open(&self) -> Option<Open> {
        lock(&self.shared.state).open.clone().filter(|open| !open.watch.is_lost())
    }

    /// Returns why there is no connection, or the last error that the server sent.
    pub(crate) fn error(&self) -> Option<String> {
        lock(&self.shared.state).error.clone()
    }

    /// Ends the connection for good.
    pub(crate) fn end(&self) {
        let open = {
            let mut state = lock(&self.shared.state);
            state.is_closed = true;
            state.open.take()
        };
        drop(open);
        self.shared.bell.notify_one();
        self.runtime.end();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    /// Puts an open connection to use.
    fn opened(&self, open: Open) {
        add(&self.counters.connects, 1);
        {
            let mut state = lock(&self.state);
            if !state.is_closed {
                state.open = Some(open);
            }
            state.error = None;
        }
        self.pause.poke();
    }

    fn failed(&self, error: Option<String>) {
        let open = {
            let mut state = lock(&self.state);
            if error.is_some() {
                state.error = error;
            }
            state.open.take()
        };
        drop(open);
        self.pause.poke();
    }
}

async fn keep_open(shared: Arc<Shared>) {
    let mut failures: u32 = 0;
    while !shared.is_closed() {
        let begun = Instant::now();
        let watch = Arc::new(Watch::new(shared.pause.clone(), shared.bell.clone()));
        let error = match connect::open(&shared.server, &shared.addresses, &watch).await {
            Ok(client) => serve(&shared, client, &watch).await,
            Err(error) => Some(error),
        };
        shared.failed(error);
        failures = if begun.elapsed() >= HEALTHY { 1 } else { failures.saturating_add(1) };
        let end = Instant::now() + wait_after(&shared.server.reconnect, failures);
        // The bell may ring for a connection that is over.
        while !shared.is_closed() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || timeout(left, shared.bell.notified()).await.is_err() {
                break;
            }
        }
    }
}

/// Returns the wait after a number of failures in a row.
fn wait_after(backoff: &Backoff, failures: u32) -> Duration {
    let attempt = Attempt::new(failures, Duration::ZERO, AttemptError::Timeout);
    match RetryPolicy::<()>::failure(backoff, &(), &attempt) {
        Next::After(wait) => wait,
        _ => backoff.window(failures),
    }
}

/// Reads the answers of a connection until it is lost or replaced, or the sink is closed. Returns
/// the reason, if it is known.
async fn serve(shared: &Shared, client: Client, watch: &Arc<Watch>) -> Option<String> {
    let inbox = client.new_inbox();
    let replies: Subscriber = match client.subscribe(format!("{inbox}.>")).await {
        Ok(replies) => replies,
        Err(error) => return Some(error.to_string()),
    };
    let mut replies = replies.ready_chunks(CHUNK);
    shared.opened(Open { client: client.clone(), inbox, watch: watch.clone() });
    loop {
        let read = {
            let bell = pin!(changed(watch));
            match timeout(POLL, select(replies.next(), bell)).await {
                Ok(Either::Left((messages, _))) => Some(messages),
                Ok(Either::Right(_)) | Err(_) => None,
            }
        };
        if let Some(messages) = read {
            let Some(messages) = messages else {
                watch.lose();
                return watch.take_error();
            };
            for message in messages {
                if let (Some((flight, index)), Some(answer)) =
                    (parse_reply(&message.subject), answer::read(&message))
                {
                    shared.acks.answer(flight, index, answer);
                }
            }
        }
        if watch.is_lost() || client.connection_state() == State::Disconnected || shared.is_closed() {
            // Also where only the poll has found it.
            watch.lose();
            return watch.take_error();
        }
        if let Some(error) = watch.take_error() {
            lock(&shared.state).error = Some(error);
        }
    }
}
