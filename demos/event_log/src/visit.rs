//! What a subscriber should see, and what it recorded.

use crate::event::Event;
use crate::witness::Witness;
use buslane::Subscriber;
use buslane::error::SubscribeError;
use buslane::journal::Entry;
use buslane::stats::SubscriberState;
use demo_support::Failure;
use std::thread::{Builder, JoinHandle};
use std::time::SystemTime;

/// What a subscriber should see, and what it recorded.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) name: &'static str,
    /// The sequence of its first event.
    pub(crate) begin: u64,
    /// It reads nothing earlier.
    pub(crate) since: Option<SystemTime>,
    /// What it read.
    pub(crate) witness: Witness,
    /// The journal's state of each of its connections, at the end of the connection.
    pub(crate) connections: Vec<SubscriberState>,
}

impl Visit {
    pub(crate) fn new(name: &'static str, begin: u64) -> Self {
        Self { name, begin, since: None, witness: Witness::default(), connections: Vec::new() }
    }

    /// Records what `subscriber` has just read, and returns how many events it missed.
    pub(crate) fn note(&mut self, entry: &Entry<Event>, subscriber: &Subscriber<Event>) -> u64 {
        match entry {
            Entry::Event(sequence, event) => self.witness.saw(*sequence, event),
            Entry::Lagged(count) => {
                self.witness.missed(*count, subscriber.next_sequence());
                return *count;
            }
            // Not recorded, so the proof fails.
            _ => {}
        }
        0
    }

    /// The failure to subscribe.
    pub(crate) fn cannot_begin(&self, error: SubscribeError) -> Failure {
        Failure::broken(format!("{} cannot subscribe", self.name), error)
    }

    /// Ends a connection.
    pub(crate) fn disconnect(&mut self, subscriber: Subscriber<Event>) {
        self.connections.push(subscriber.state());
    }

    /// Reads on a thread of its own.
    pub(crate) fn on_a_thread<R: Send + 'static>(
        self,
        read: impl FnOnce(Self) -> R + Send + 'static,
    ) -> Result<JoinHandle<R>, Failure> {
        let name = self.name;
        Builder::new()
            .name(name.to_owned())
            .spawn(move || read(self))
            .map_err(|error| Failure::broken(format!("cannot start the thread of {name}"), error))
    }
}
