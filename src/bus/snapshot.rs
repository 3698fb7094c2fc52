//! Snapshots of a bus and its sinks.

use super::Bus;
use super::core::Core;
use super::info::SinkRef;
use crate::sink::Sink;
use crate::stats::{Ledger, SinkSnapshot, SinkState, SinkStatus, Snapshot};
use crate::sync::lock;
use crate::wait::context::caught;

impl<E: Send + 'static> Bus<E> {
    /// Returns the state and the ledger of every sink, in the order in which the sinks were added.
    ///
    /// A closed bus still reports its sinks.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// let bus = Bus::new();
    /// bus.add_named("audit", Queue::builder().spawn(|n: u32| println!("{n}"))?)?;
    /// bus.publish(1)?;
    /// assert!(bus.close().is_done());
    /// let snapshot = bus.snapshot();
    /// assert_eq!((snapshot.sinks[0].name.as_str(), snapshot.sinks[0].state.ledger.delivered), ("audit", 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        self.core().snapshot()
    }
}

impl<E: Send + 'static> Core<E> {
    pub(super) fn snapshot(&self) -> Snapshot {
        self.purge(usize::MAX);
        let sinks = self
            .infos()
            .into_iter()
            .filter_map(|info| {
                let mut state = SinkState::default();
                // A sink that panics here reports nothing.
                let mut ask = |sink: &SinkRef<E>| caught(|| sink.describe(&mut state));
                let _ = self.ask(info.id, |_, sink| ask(sink))?;
                let mut counted = Ledger::default();
                info.counters.add_to(&mut counted);
                state.last_error = state.last_error.or_else(|| info.last_error());
                if !state.kind.keeps_ledger() {
                    state.ledger = counted;
                    if info.is_closed() || self.is_closed() {
                        state.status = SinkStatus::Drained;
                    }
                } else {
                    // The sink keeps its own ledger. Panics of a stage are counted only by the bus.
                    state.ledger.add_panicked(info.counters.unwound());
                }
                Some(SinkSnapshot { id: info.id, name: info.name.clone(), location: info.location, state })
            })
            .collect();
        let publishers = lock(&self.control).publisher_count();
        Snapshot { sinks, publishers, closed: self.is_closed() }
    }
}
