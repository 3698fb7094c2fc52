//! One connection, from its handshake until it breaks.
//!
//! The client of `async_nats` can connect again by itself. It is not used for that: what lay in its
//! buffers is gone then, its flush reports success for it, and what waits in its queue is sent on
//! the new connection after what was lost. So each connection has a client of its own.

use crate::server::Server;
use async_nats::{Client, Event, ServerAddr};
use buslane::time::Pause;
use std::future::{Future, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Locks a mutex. No code of a user runs under one of this crate's.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a connection: whether it is lost, and the last error that the server sent.
#[derive(Debug)]
pub(crate) struct Watch {
    lost: AtomicBool,
    /// Wakes the task of the connection.
    pub(crate) bell: Arc<Notify>,
    /// Wakes the thread that waits for answers.
    pause: Arc<Pause>,
    error: Mutex<Option<String>>,
    /// Subjects to which the server has not permitted to publish, and when.
    forbidden: Mutex<Vec<(String, Instant)>>,
}

/// How long a subject counts as forbidden. Then it is tried again: permissions may change.
const FORBIDDEN: Duration = Duration::from_secs(10);
/// The most forbidden subjects that are known at a time. Messages with others wait for their time-out.
const FORBIDDEN_SUBJECTS: usize = 256;
/// What the server says before the quoted subject. It answers to no message in particular.
const VIOLATION: &str = "Permissions Violation for Publish to \"";

impl Watch {
    pub(crate) fn new(pause: Arc<Pause>, bell: Arc<Notify>) -> Self {
        Self {
            lost: AtomicBool::new(false),
            bell,
            pause,
            error: Mutex::new(None),
            forbidden: Mutex::default(),
        }
    }

    /// Returns whether the server has not permitted to publish to a subject, a short time ago.
    pub(crate) fn forbids(&self, subject: &str) -> bool {
        let mut forbidden = lock(&self.forbidden);
        if !forbidden.is_empty() {
            forbidden.retain(|(_, since)| since.elapsed() < FORBIDDEN);
        }
        forbidden.iter().any(|(known, _)| known == subject)
    }

    fn see_error(&self, text: &str) {
        let quoted = text.split_once(VIOLATION).and_then(|(_, rest)| rest.split_once('"'));
        if let Some((subject, _)) = quoted
            && !self.forbids(subject)
        {
            let mut forbidden = lock(&self.forbidden);
            if forbidden.len() < FORBIDDEN_SUBJECTS {
                forbidden.push((subject.to_owned(), Instant::now()));
            }
        }
    }

    /// Returns whether the connection is lost: what was sent and not answered will not be answered.
    pub(crate) fn is_lost(&self) -> bool {
        // Acquire: pairs with the Release in `lose`.
        self.lost.load(Ordering::Acquire)
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.bell.notify_one();
        self.pause.poke();
    }

    /// Takes the last error that the server or the client reported.
    pub(crate) fn take_error(&self) -> Option<String> {
        lock(&self.error).take()
    }

    fn see(&self, event: Event) {
        match event {
            Event::Disconnected | Event::Closed => self.lose(),
            Event::ServerError(error) => {
                let text = error.to_string();
                self.see_error(&text);
                *lock(&self.error) = Some(text);
            }
            Event::ClientError(error) => *lock(&self.error) = Some(error.to_string()),
            _ => {}
        }
    }
}

/// Messages that may wait for the task of a connection.
const SUBSCRIPTION: usize = 1 << 20;

/// Connects once to the first server that answers.
///
/// The error's text contains no address, which may have a password in it.
pub(crate) async fn open(
    server: &Server,
    addresses: &[ServerAddr],
    watch: &Arc<Watch>,
) -> Result<Client, String> {
    let seen = watch.clone();
    let options = server
        .options
        .clone()
        // Each address once. After a loss the client tries as often, and then ends.
        .max_reconnects(addresses.len())
        // More than the most messages of a window or a request: the client drops what has no room.
        .subscription_capacity(SUBSCRIPTION)
        .reconnect_delay_callback(|_| Duration::ZERO)
        .event_callback(move |event| {
            seen.see(event);
            ready(())
        });
    options.connect(addresses.to_vec()).await.map_err(|error| error.to_string())
}

/// Waits until the connection may be lost: then `is_lost` decides.
pub(crate) fn changed(watch: &Watch) -> impl Future<Output = ()> + '_ {
    watch.bell.notified()
}
