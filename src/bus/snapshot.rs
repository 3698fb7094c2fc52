//! What a bus and its sinks say about themselves.

use super::Core;
use super::entry::SinkId;
use crate::ledger::{Ledger, SinkState, SinkStatus};
use crate::panics::foreign;
use crate::sink::signal::Signal;
use crate::sync::lock;
use std::fmt;
use std::panic::Location;

/// What a bus and its sinks say about themselves, at about one moment.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::<u32>::new();
/// bus.add_named("nothing", buslane::noop())?;
/// let snapshot = bus.snapshot();
/// assert_eq!(snapshot.sinks[0].name, "nothing");
/// println!("{snapshot}");
/// # Ok::<(), buslane::AddError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The sinks, in the order in which they were added.
    pub sinks: Vec<SinkSnapshot>,
    /// How many publishers there are.
    pub publishers: usize,
    /// Whether the bus is closed.
    pub closed: bool,
}

/// What one sink says about itself.
///
/// # Examples
/// ```
/// use buslane::{Bus, Queue};
/// let bus = Bus::new();
/// bus.add_named("audit", Queue::builder().capacity(64).spawn(|n: u32| println!("{n}"))?)?;
/// let snapshot = bus.snapshot();
/// let sink = &snapshot.sinks[0];
/// assert_eq!((sink.name.as_str(), sink.state.kind, sink.state.capacity), ("audit", "queue", 64));
/// println!("{sink}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SinkSnapshot {
    /// Names its attachment to the bus.
    pub id: SinkId,
    /// The name it was given, or the place where it was added.
    pub name: String,
    /// Where it was added.
    pub location: &'static Location<'static>,
    /// What it says about itself; for a sink that says nothing, what the bus counted.
    pub state: SinkState,
}

impl<E: Send + 'static> Core<E> {
    pub(super) fn snapshot(&self) -> Snapshot {
        self.purge();
        let sinks = self
            .sinks()
            .0
            .iter()
            .map(|(info, sink)| {
                let mut state = SinkState::default();
                // A sink that panics when asked says nothing.
                let _ = foreign(|| sink.signal(&mut Signal::Describe(&mut state)));
                let mut counted = Ledger::default();
                info.counters.add_to(&mut counted);
                state.last_error = state.last_error.or_else(|| info.last_error());
                if state.kind.is_empty() {
                    state.kind = "direct";
                    counted.keep_away(&state.ledger);
                    state.ledger = counted;
                    if info.is_dead() || self.is_closed() {
                        state.status = SinkStatus::Closed;
                    }
                } else {
                    // The sink keeps its own books; of a stage that panicked only the bus knows.
                    state.ledger.add_panicked(counted.dropped.panicked);
                }
                SinkSnapshot { id: info.id, name: info.name.clone(), location: info.location, state }
            })
            .collect();
        let publishers = lock(&self.control).publisher_count();
        Snapshot { sinks, publishers, closed: self.is_closed() }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.closed { "closed" } else { "open" };
        write!(f, "bus {state}, {} publishers, {} sinks", self.publishers, self.sinks.len())?;
        for sink in &self.sinks {
            write!(f, "\n{sink}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SinkSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &self.state;
        write!(f, "{} ({}, {:?}", self.name, state.kind, state.status)?;
        if state.capacity > 0 {
            write!(f, ", depth {} of {}, high water {}", state.depth, state.capacity, state.high_water)?;
        }
        if let Some(since) = state.backlog_for {
            write!(f, ", backlog for {since:.1?}")?;
        }
        write!(f, "): {}", state.ledger)?;
        if let Some(error) = &state.last_error {
            write!(f, "; last error: {error}")?;
        }
        for subscriber in &state.subscribers {
            write!(f, "\n  {subscriber}")?;
        }
        Ok(())
    }
}
