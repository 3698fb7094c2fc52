//! The loop over all connections.

use super::connection::{Connection, Life};
use super::socket::{Listener, Stream};
use crate::registry::Inspector;
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(super) const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
const FIRST: usize = 2;

/// The most connections that are served.
const MOST: usize = 32;

/// The most connections beyond them that are told so. Further ones are closed at once.
const SURPLUS: usize = 16;

/// The time after which an accept is tried again that failed for lack of resources.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The most connections that are accepted before others are served.
const ACCEPTS: usize = 64;

pub(super) struct Server {
    poll: Poll,
    listener: Listener,
    inspector: Inspector,
    stop: Arc<AtomicBool>,
    /// By token: in the order in which they were accepted.
    connections: BTreeMap<usize, Connection>,
    next: usize,
    /// When to accept again after a failure.
    accept_again: Option<Instant>,
}

impl Server {
    pub(super) fn new(
        poll: Poll,
        mut listener: Listener,
        inspector: Inspector,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        listener.register(poll.registry(), LISTENER)?;
        let connections = BTreeMap::new();
        Ok(Self { poll, listener, inspector, stop, connections, next: FIRST, accept_again: None })
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(64);
        while !self.stop.load(Ordering::Acquire) {
            let timeout = self.due().map(|due| due.saturating_duration_since(Instant::now()));
            if let Err(error) = self.poll.poll(&mut events, timeout) {
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                // Nothing can be awaited any more. The clients see the end of their connections.
                return;
            }
            let mut accept = self.accept_again.is_some_and(|again| again <= Instant::now());
            for event in &events {
                if event.token() == LISTENER {
                    accept = true;
                } else if let Some(connection) = self.connections.get_mut(&event.token().0) {
                    connection.readable |= event.is_readable() || event.is_read_closed();
                    connection.writable |= event.is_writable();
                }
            }
            if accept {
                self.accept();
            }
            self.advance();
        }
    }

    /// Returns when the next connection has to be advanced.
    fn due(&self) -> Option<Instant> {
        self.connections.values().map(Connection::due).chain(self.accept_again).min()
    }

    fn accept(&mut self) {
        self.accept_again = None;
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok(stream) => self.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    // Such as too many open files. The event does not come again by itself.
                    self.accept_again = Some(Instant::now() + ACCEPT_AGAIN);
                    return;
                }
            }
        }
        // More may wait, but the connections that are there are served first.
        self.accept_again = Some(Instant::now());
    }

    fn admit(&mut self, mut stream: Stream) {
        let surplus = self.connections.values().filter(|connection| connection.surplus).count();
        let mut is_surplus = false;
        if self.connections.len() - surplus >= MOST {
            // A request may have come that makes a connection busy, and not idle.
            self.advance();
        }
        let surplus = self.connections.values().filter(|connection| connection.surplus).count();
        if self.connections.len() - surplus >= MOST {
            let idle = self.connections.iter().filter(|(_, connection)| !connection.surplus);
            let idle = idle.filter_map(|(token, connection)| Some((connection.idle_since()?, *token)));
            match idle.min() {
                Some((_, token)) => self.end(token),
                None if surplus < SURPLUS => is_surplus = true,
                None => return,
            }
        }
        let token = self.next;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(stream.source(), Token(token), interest).is_ok() {
            self.next += 1;
            self.connections.insert(token, Connection::new(stream, is_surplus, Instant::now()));
        }
    }

    fn advance(&mut self) {
        let mut ended = Vec::new();
        for (token, connection) in &mut self.connections {
            if connection.advance(&self.inspector, Instant::now()) == Life::Ended {
                ended.push(*token);
            }
        }
        ended.into_iter().for_each(|token| self.end(token));
    }

    fn end(&mut self, token: usize) {
        if let Some(mut connection) = self.connections.remove(&token) {
            // The close of the socket does the same; an error changes nothing.
            let _ = self.poll.registry().deregister(connection.stream.source());
        }
    }
}
