//! What a subscriber was to see, and what it leaves behind.

use crate::event::Event;
use crate::witness::Witness;
use buslane::Subscriber;
use buslane::error::SubscribeError;
use buslane::journal::Entry;
use buslane::stats::SubscriberState;
use demo_support::Failure;
use std::fmt;
use std::thread::{Builder, JoinHandle};
use std::time::SystemTime;

/// What a subscriber was to see, and what it leaves behind.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) name: &'static str,
    /// The first place that concerns it.
    pub(crate) begin: u64,
    /// It wants nothing earlier.
    pub(crate) since: Option<SystemTime>,
    /// What it says that it read.
    pub(crate) witness: Witness,
    /// What the journal said about each of its connections when it ended.
    pub(crate) connections: Vec<SubscriberState>,
}

impl Visit {
    pub(crate) fn new(name: &'static str, begin: u64) -> Self {
        Self { name, begin, since: None, witness: Witness::default(), connections: Vec::new() }
    }

    /// Takes down what `subscriber` has just read; how many events it was told to have missed.
    pub(crate) fn note(&mut self, entry: &Entry<Event>, subscriber: &Subscriber<Event>) -> u64 {
        match entry {
            Entry::Event(sequence, event) => self.witness.saw(*sequence, event),
            Entry::Lagged(count) => {
                self.witness.missed(*count, subscriber.next_sequence());
                return *count;
            }
            // Not taken down, so it will be missing.
            _ => {}
        }
        0
    }

    /// That there is no subscriber.
    pub(crate) fn cannot_begin(&self, error: SubscribeError) -> Failure {
        Failure::broken(format!("{} cannot begin to read", self.name), error)
    }

    /// Ends a connection.
    pub(crate) fn disconnect(&mut self, subscriber: Subscriber<Event>) {
        self.connections.push(subscriber.state());
    }

    /// Lets it take place on a thread of its own.
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

impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, begin, witness, connections, .. } = self;
        let pieces = witness.spans.iter().filter(|span| span.is_seen()).count();
        write!(f, "{name:<8} {} from event {begin} on, in {pieces} ", witness.seen_count())?;
        f.write_str(if pieces == 1 { "piece" } else { "pieces" })?;
        write!(f, "; missed {}", witness.missed_count())?;
        if connections.len() > 1 {
            write!(f, "; came {} times", connections.len())?;
        }
        Ok(())
    }
}
