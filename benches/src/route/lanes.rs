//! The routes of `buslane`: each way to publish with each way to consume.
//!
//! | publish | consume |
//! |---|---|
//! | [`ByPublisher`]: `Publisher::publish` | [`Queues`]: a queue with a closure, a handler or a sink |
//! | [`ByLocal`]: `Bus::with_local` | [`Reads`]: a receiver, by each of its calls |
//! | [`ByBus`]: `Bus::publish`, through the shared lane | |
//! | [`ByBatch`], [`ByLossyBatch`]: `Publisher::publish_batch` | |
//!
//! In a [`spinning`](Called::spinning) route no thread ever sleeps, and a publisher without room is
//! refused and tries again at once. A [`waiting`](Called::waiting) route has the default waiting.
//! [`Queued`], [`Received`] and [`Shared`] are the most used routes; [`Journaled`] has a journal in
//! the place of the bus.

mod consume;
mod journal;
mod publish;
mod short;

use super::{Line, Route};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::{Bus, Overflow, WaitStrategy};

pub use consume::{Consume, Queues, Reads};
pub use journal::Journaled;
pub use publish::{ByBatch, ByBus, ByLocal, ByLossyBatch, ByPublisher, Publish};
pub use short::{Queued, Received, Shared};

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

/// The settings of a queue or a channel.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The wait strategy of the consumer.
    pub wait: WaitStrategy,
    /// The behavior of a publisher without room: wait as [`Overflow::Block`] does, or try again at
    /// once.
    pub overflow: Overflow,
    /// The room of a lane, in events.
    pub capacity: usize,
}

/// A route of `buslane`: how events are published, and how they are consumed.
#[derive(Clone, Copy, Debug)]
pub struct Called<P, C> {
    publish: P,
    consume: C,
    /// `None`: the default of the consumer.
    wait: Option<WaitStrategy>,
    overflow: Overflow,
    /// Whether all lanes together have room for [`CAPACITY`] events.
    together: bool,
}

impl<P: Publish, C: Consume> Called<P, C> {
    /// Returns the route with the default waiting; publishers wait for room.
    #[must_use]
    pub const fn waiting(publish: P, consume: C) -> Self {
        Self { publish, consume, wait: None, overflow: Overflow::Block, together: false }
    }

    /// Returns the route where no thread ever sleeps, and publishers without room try again.
    #[must_use]
    pub const fn spinning(publish: P, consume: C) -> Self {
        let wait = Some(WaitStrategy::BusySpin);
        Self { publish, consume, wait, overflow: Overflow::Refuse, together: false }
    }

    /// Returns the route with this behavior of publishers without room.
    #[must_use]
    pub const fn overflow(self, overflow: Overflow) -> Self {
        Self { overflow, ..self }
    }

    /// Returns the route with this wait strategy of the consumer.
    #[must_use]
    pub const fn wait(self, wait: WaitStrategy) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// Returns the route with room for [`CAPACITY`] events in all lanes together, as in a channel.
    #[must_use]
    pub const fn together(self) -> Self {
        Self { together: true, ..self }
    }
}

impl<P: Publish, C: Consume> Route for Called<P, C> {
    const LOSSY: bool = P::LOSSY;

    fn open(
        self,
        publishers: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let settings = Settings {
            wait: self.wait.unwrap_or(C::WAIT),
            overflow: self.overflow,
            capacity: if self.together { CAPACITY / publishers } else { CAPACITY },
        };
        let bus = Bus::new();
        let consumer = self.consume.start(&bus, settings, handle);
        Line { senders: self.publish.senders(bus, publishers), consumer }
    }
}
