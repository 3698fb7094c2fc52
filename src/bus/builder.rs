//! The settings of a bus.

use super::Bus;
use super::core::{BusHandle, Core};
use super::hooks::{BusHooks, SinkFailure};
use super::kept::KEPT;
use crate::sync::MODEL;
use crate::wait::context::Quiet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

impl<E: Send + 'static> Bus<E> {
    /// Makes a bus without sinks.
    ///
    /// The compiler infers the event type from the first sink, publish or receive that names it.
    /// Where none does, as with [`noop`](crate::noop) alone, write `Bus::<Event>::new()`.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue, noop};
    /// let bus = Bus::new();
    /// bus.add(Queue::builder().spawn(|n: u64| println!("{n}"))?)?; // a `Bus<u64>`
    /// let bus = Bus::<u64>::new();
    /// bus.add(noop())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// ```
    /// let bus = buslane::Bus::new();
    /// assert_eq!(bus.publish("to no sink")?.accepted, 0);
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// bus.publish("to one")?;
    /// assert_eq!(receiver.recv()?, "to one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder for a bus with hooks.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, sink_fn};
    /// let (sender, failures) = std::sync::mpsc::channel();
    /// let bus = Bus::builder().on_error(move |failure| drop(sender.send(failure.to_string()))).build();
    /// bus.add_named("disk", sink_fn(|_: &u32| Err("no space left")))?;
    /// bus.publish(1)?;
    /// assert_eq!(failures.recv()?, "disk: no space left");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> BusBuilder<E> {
        BusBuilder::new()
    }
}

/// The settings of a [`Bus`].
///
/// A bus has no hook for dropped events, because it stores no events. Queues and channels store
/// events and drop them, so they have the hook:
/// [`QueueBuilder::on_drop`](crate::queue::QueueBuilder::on_drop),
/// [`ChannelBuilder::on_drop`](crate::channel::ChannelBuilder::on_drop).
///
/// # Examples
/// ```
/// use buslane::{Bus, sink_fn};
/// let bus = Bus::builder().on_error(|failure| eprintln!("{failure}")).build();
/// bus.add_named("picky", sink_fn(|n: &u32| if *n > 1 { Err("too much") } else { Ok(()) }))?;
/// assert_eq!(bus.publish(2)?.refused, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Not `Clone`: the hook, its only setting, is a user's function.
#[must_use = "a builder does nothing until `build` is called"]
pub struct BusBuilder<E> {
    hooks: BusHooks<E>,
    kept_publishers: usize,
}

impl<E: Send + 'static> BusBuilder<E> {
    pub(super) fn new() -> Self {
        // A model of a publisher that leaves its lanes to no other one says so.
        let kept_publishers = if MODEL { 0 } else { KEPT };
        Self { hooks: BusHooks { on_error: None, events: PhantomData }, kept_publishers }
    }

    /// Sets a hook that is called when a sink fails or panics on the publishing thread.
    ///
    /// The hook runs on that thread, and its own panics are ignored. Queues have their own hook:
    /// [`QueueBuilder::on_error`](crate::queue::QueueBuilder::on_error).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, sink_fn};
    /// let (sender, failures) = std::sync::mpsc::channel();
    /// let bus = Bus::builder().on_error(move |failure| drop(sender.send(failure.to_string()))).build();
    /// bus.add_named("picky", sink_fn(|n: &u32| assert!(*n < 10, "{n} is too much")))?;
    /// bus.publish(7)?;
    /// bus.publish(12)?;
    /// assert_eq!(failures.try_iter().collect::<Vec<_>>(), ["picky: the sink panicked: 12 is too much"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_error(mut self, hook: impl Fn(&SinkFailure) + Send + Sync + 'static) -> Self {
        let hook = Quiet::new(hook);
        self.hooks.on_error = Some(Box::new(move |failure| (*hook)(failure)));
        self
    }

    /// Sets the maximum number of dropped publishers whose lanes the bus keeps for the next
    /// publishers. The default is 16; 0 keeps none.
    ///
    /// A [`publisher`](Bus::publisher) that takes over such lanes makes none, and touches no new
    /// memory. The bus keeps the lanes of at most as many publishers as existed at the same time,
    /// until its next change: an add, a removal or a close frees all of them.
    /// [`docs::memory`](crate::docs::memory#kept-lanes) has the sizes.
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// let bus = Bus::builder().kept_publishers(0).build();
    /// let receiver = bus.subscribe_lossy(8)?;
    /// bus.publisher().publish("event")?;
    /// drop(receiver.into_iter().next());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kept_publishers(mut self, most: usize) -> Self {
        self.kept_publishers = most;
        self
    }

    /// Builds the bus.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::builder().on_error(|failure| eprintln!("{failure}")).build();
    /// assert_eq!(bus.publish("to no sink")?.accepted, 0);
    /// # Ok::<(), buslane::error::Closed<&str>>(())
    /// ```
    pub fn build(self) -> Bus<E> {
        Bus(Arc::new_cyclic(|handle| BusHandle {
            core: Core::new(self.hooks, self.kept_publishers, handle.clone()),
        }))
    }
}

impl<E: Send + 'static> Default for BusBuilder<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for BusBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusBuilder")
            .field("on_error", &self.hooks.on_error.is_some())
            .field("kept_publishers", &self.kept_publishers)
            .finish()
    }
}
