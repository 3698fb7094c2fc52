//! The settings of a channel.

use super::receiver::{Receiver, SharedReceiver};
use super::{Channel, ChannelHandle};
use crate::error::BuildError;
use crate::mailbox::member::Member;
use crate::mailbox::overflow::Overflow;
use crate::mailbox::reader::Reader;
use crate::mailbox::{MailboxConfig, quiet_hook};
use crate::stats::DropReason;
use crate::wait::WaitStrategy;
use std::fmt;
use std::sync::Arc;

/// The settings of a [`Channel`].
///
/// | setting | default |
/// |---|---|
/// | [`capacity`](Self::capacity) | 1024 events per lane |
/// | [`overflow`](Self::overflow) | [`Overflow::DropNewest`] |
/// | [`wait_strategy`](Self::wait_strategy) | [`WaitStrategy::SpinPark`] |
/// | [`unbounded`](Self::unbounded), [`on_drop`](Self::on_drop) | none |
///
/// # Examples
/// ```
/// use buslane::{Channel, Overflow};
/// let (channel, receiver) = Channel::<u64>::builder().capacity(64).overflow(Overflow::DropOldest).build()?;
/// # drop((channel, receiver));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
// Not `Clone`: the hook is a user's function, and a crew and scales belong to one mailbox.
#[must_use = "a builder does nothing until `build` is called"]
pub struct ChannelBuilder<E>(MailboxConfig<E>);

impl<E: Send + 'static> ChannelBuilder<E> {
    pub(super) fn new() -> Self {
        Self(MailboxConfig::new(WaitStrategy::SpinPark))
    }

    /// Sets the number of events that each lane holds.
    ///
    /// The bound is exact. It holds per publisher, or for the whole channel if the receiver is
    /// shared. See [how to choose a capacity](crate::docs::defaults#how-to-choose-a-capacity).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, Overflow};
    /// let (channel, mut receiver) = Channel::builder().capacity(2).overflow(Overflow::Refuse).build()?;
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// let (mut one, mut other) = (bus.publisher(), bus.publisher());
    /// for n in 0..3 {
    ///         one.publish(n)?; // room for two events
    ///         other.publish(n)?; // and for two more in the lane of the other publisher
    /// }
    /// assert_eq!(receiver.try_iter().count(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.0.capacity = capacity;
        self
    }

    /// Sets what happens to an event for which there is no room.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Overflow, Sink};
    /// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::DropOldest).build()?;
    /// channel.write("old")?;
    /// channel.write("new")?;
    /// assert_eq!(receiver.recv()?, "new");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.0.overflow = overflow;
        self
    }

    /// Removes the bound: the channel grows until memory is exhausted, and a publish may allocate.
    ///
    /// Events published while the channel is closing may be accepted and then dropped, counted as
    /// `aborted`.
    ///
    /// One publish in 32 allocates a block for the events that follow. Another publisher that
    /// arrives while that block is being linked waits for a few stores. A reader that reaches an
    /// event that is still being written waits for its publisher. Both waits sleep if the other
    /// thread has lost its processor.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::builder().unbounded().build()?;
    /// for n in 0..10_000 {
    ///     channel.write(n)?;
    /// }
    /// assert!(receiver.try_iter().eq(0..10_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unbounded(mut self) -> Self {
        self.0.unbounded = true;
        self
    }

    /// Sets how a blocking read waits for events.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, WaitStrategy};
    /// let (channel, mut receiver) = Channel::builder().wait_strategy(WaitStrategy::Park).build()?;
    /// let reader = std::thread::spawn(move || receiver.recv());
    /// channel.write(7)?;
    /// assert_eq!(reader.join().unwrap()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_strategy(mut self, wait: WaitStrategy) -> Self {
        self.0.wait = wait;
        self
    }

    /// Sets a hook that is called with each event that was accepted and then dropped.
    ///
    /// The hook runs on the thread that drops the event: the publisher's, or the thread that drops
    /// the receiver. Its panics are ignored.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::stats::DropReason;
    /// let (sender, dropped) = std::sync::mpsc::channel();
    /// let (channel, receiver) = Channel::builder()
    ///     .capacity(1)
    ///     .on_drop(move |n: u32, reason| drop(sender.send((n, reason))))
    ///     .build()?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// drop(receiver);
    /// assert!(dropped.try_iter().eq([(2, DropReason::Full), (1, DropReason::ReceiverDropped)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_drop(mut self, hook: impl Fn(E, DropReason) + Send + Sync + 'static) -> Self {
        self.0.on_drop = Some(quiet_hook(hook));
        self
    }

    /// Creates the channel.
    ///
    /// # Errors
    /// [`BuildError`] when a setting is invalid, or the memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel};
    /// let (channel, mut receiver) = Channel::builder().capacity(64).build()?;
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// bus.publish(7)?;
    /// assert_eq!(receiver.recv()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(self) -> Result<(Channel<E>, Receiver<E>), BuildError> {
        let (mailbox, reader) = Reader::open(self.0)?;
        Ok((Channel(Arc::new(ChannelHandle(mailbox))), Receiver::new(reader)))
    }

    /// Creates the channel with a receiver that can be cloned: each event goes to one of the
    /// receivers.
    ///
    /// All publishers then share one ring, and [`capacity`](Self::capacity) bounds the whole
    /// channel. See [`SharedReceiver`].
    ///
    /// # Errors
    /// [`BuildError`] when a setting is invalid, or the memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut one) = Channel::builder().capacity(64).build_shared()?;
    /// let mut other = one.clone();
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// assert_eq!((one.recv()?, other.recv()?), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build_shared(self) -> Result<(Channel<E>, SharedReceiver<E>), BuildError> {
        let (mailbox, member) = Member::open(self.0)?;
        Ok((Channel(Arc::new(ChannelHandle(mailbox))), Receiver::new(member)))
    }
}

impl<E: Send + 'static> Default for ChannelBuilder<E> {
    fn default() -> Self {
        Self::new()
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
