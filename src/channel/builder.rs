//! The settings of a channel.

use super::receiver::Receiver;
use super::shared::SharedReceiver;
use super::{Channel, Handle};
use crate::error::InvalidConfig;
use crate::inbox::overflow::Overflow;
use crate::inbox::{Inbox, InboxConfig};
use crate::ledger::DropReason;
use crate::wait::WaitStrategy;
use std::fmt;
use std::sync::Arc;

/// The settings of a [`Channel`].
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | 1024 events per lane |
/// | [`overflow`](Self::overflow) | [`Overflow::DropNewest`] |
/// | [`wait`](Self::wait) | [`WaitStrategy::SpinPark`] |
/// | [`unbounded`](Self::unbounded), [`on_drop`](Self::on_drop) | none |
///
/// # Examples
/// ```
/// use buslane::{Channel, Overflow};
/// let (channel, receiver) = Channel::<u64>::builder().capacity(64).overflow(Overflow::DropOldest).build()?;
/// # drop((channel, receiver));
/// # Ok::<(), buslane::InvalidConfig>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct ChannelBuilder<E>(InboxConfig<E>);

impl<E: Send + 'static> ChannelBuilder<E> {
    pub(super) fn new() -> Self {
        Self(InboxConfig {
            capacity: 1024,
            unbounded: false,
            overflow: Overflow::default(),
            wait: WaitStrategy::SpinPark,
            on_drop: None,
        })
    }

    /// How many events each lane holds: exactly so many, per publisher; in all if the receiver is shared.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.0.capacity = capacity;
        self
    }

    /// What happens to an event for which there is no room.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.0.overflow = overflow;
        self
    }

    /// Removes the bound: the channel grows as long as memory lasts, and a publish may allocate. Events published while
    /// the channel is closing may be accepted and given up, counted as `aborted`.
    pub fn unbounded(mut self) -> Self {
        self.0.unbounded = true;
        self
    }

    /// How a blocking read waits for events.
    pub fn wait(mut self, wait: WaitStrategy) -> Self {
        self.0.wait = wait;
        self
    }

    /// Is called with each event that was accepted and is dropped, on the thread that drops it: the publisher's, or the
    /// one that drops the receiver. Its panics are ignored.
    pub fn on_drop(mut self, hook: impl Fn(E, DropReason) + Send + Sync + 'static) -> Self {
        self.0.on_drop = Some(Arc::new(hook));
        self
    }

    /// Makes the channel.
    ///
    /// # Errors
    /// [`InvalidConfig`] when a setting cannot be.
    pub fn build(self) -> Result<(Channel<E>, Receiver<E>), InvalidConfig> {
        let (inbox, reader) = Inbox::new(self.0)?;
        Ok((Channel(Arc::new(Handle(inbox))), Receiver::new(reader)))
    }

    /// Makes the channel with a receiver that can be cloned: each event goes to one of the receivers. All publishers then
    /// share one ring, and [`capacity`](Self::capacity) is that of the whole channel. See [`SharedReceiver`].
    ///
    /// # Errors
    /// [`InvalidConfig`] when a setting cannot be.
    pub fn build_shared(self) -> Result<(Channel<E>, SharedReceiver<E>), InvalidConfig> {
        let (inbox, member) = Inbox::shared(self.0)?;
        Ok((Channel(Arc::new(Handle(inbox))), SharedReceiver::new(member)))
    }
}

impl<E> fmt::Debug for ChannelBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBuilder")
            .field("capacity", &self.0.capacity)
            .field("overflow", &self.0.overflow)
            .field("wait", &self.0.wait)
            .finish_non_exhaustive()
    }
}
