//! Deliberate leaks, which show that the memory check can fail.

use crate::event::Event;
use buslane::Publisher;
use clap::ValueEnum;
use std::mem::forget;
use std::time::Duration;

/// The memory that is leaked while sinks are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// Nothing.
    #[default]
    Nothing,
    /// The lanes of each publisher, at the end of its life.
    Lanes,
    /// The batches of each sink that accepts batches.
    Batches,
}

impl Plant {
    /// Returns a publisher's lifetime, for one that would live as long as `life`: shorter where it
    /// leaks, so that the leak is found early.
    pub(crate) fn life(self, life: Duration) -> Duration {
        if self == Self::Lanes { life / 8 } else { life }
    }

    pub(crate) fn leak_publisher(self, publisher: Publisher<Event>) {
        if self == Self::Lanes {
            forget(publisher);
        }
    }

    pub(crate) fn leak_batch(self, batch: &[Event]) {
        if self == Self::Batches {
            forget(batch.to_vec());
        }
    }
}
