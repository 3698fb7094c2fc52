//! The most used routes.

use super::{ByBus, ByPublisher, Called, Queues, Reads};
use crate::event::{Event, Seed};
use crate::route::{Line, Route};
use buslane::{Overflow, WaitStrategy};

/// A route with a publisher for each thread, and a queue with a closure.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// The wait strategy of the queue.
    pub wait: WaitStrategy,
    /// The behavior of a publisher without room: wait as [`Overflow::Block`] does, or try again at
    /// once.
    pub overflow: Overflow,
}

impl Queued {
    /// No thread ever sleeps.
    pub const SPINNING: Self = Self { wait: WaitStrategy::BusySpin, overflow: Overflow::Refuse };
    /// The default waiting of a queue; publishers wait for room.
    pub const DEFAULT: Self = Self::waiting(WaitStrategy::nap());

    /// Returns a queue with this wait strategy; publishers wait for room.
    #[must_use]
    pub const fn waiting(wait: WaitStrategy) -> Self {
        Self { wait, overflow: Overflow::Block }
    }
}

impl Route for Queued {
    fn open(
        self,
        count: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let route = Called::waiting(ByPublisher, Queues::Closure);
        route.wait(self.wait).overflow(self.overflow).open(count, handle)
    }
}

/// A route with `Bus::publish` on each thread, through the shared lane, and a queue with the
/// default waiting.
#[derive(Clone, Copy, Debug)]
pub struct Shared;

impl Route for Shared {
    fn open(
        self,
        count: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        Called::waiting(ByBus, Queues::Closure).open(count, handle)
    }
}

/// A route with a publisher for each thread, and a channel whose receiver takes single events by
/// `Receiver::recv`.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// The wait strategy of the receiver.
    pub wait: WaitStrategy,
}

impl Received {
    /// The default waiting of a receiver.
    pub const DEFAULT: Self = Self { wait: WaitStrategy::SpinPark };
}

impl Route for Received {
    fn open(
        self,
        count: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        Called::waiting(ByPublisher, Reads::Recv).wait(self.wait).open(count, handle)
    }
}
