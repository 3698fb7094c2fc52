//! The settings of a bus.

use super::entry::Info;
use super::handle::Handle;
use super::{Bus, Core};
use crate::error::WriteError;
use crate::panics::{error_text, quietly};
use crate::stats::SinkId;
use crate::sync::quiet::Quiet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// What an `on_error` hook of a bus is told: which sink failed while it was called on the publishing thread, and how.
///
/// # Examples
/// ```
/// use buslane::{Bus, sink_fn};
/// let (sender, failures) = std::sync::mpsc::channel();
/// let bus = Bus::builder().on_error(move |failure| drop(sender.send(failure.clone()))).build();
/// let id = bus.add_named("disk", sink_fn(|_: &u32| Err("no space left")))?;
/// bus.publish(1)?;
/// let failure = failures.recv()?;
/// assert_eq!((failure.id, failure.name.as_str(), failure.error.as_str()), (id, "disk", "no space left"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkFailure {
    /// The sink.
    pub id: SinkId,
    /// Its name.
    pub name: String,
    /// What went wrong. Never the event.
    pub error: String,
}

impl fmt::Display for SinkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.error)
    }
}

type OnError = Box<dyn Fn(&SinkFailure) + Send + Sync>;

pub(super) struct BusHooks<E> {
    on_error: Option<OnError>,
    events: PhantomData<fn(E)>,
}

impl<E> BusHooks<E> {
    /// Tells the hook of a failure; full and closed sinks are none.
    pub(super) fn failed(&self, info: &Info, error: &WriteError<E>) {
        if let WriteError::Failed { source, .. } = error {
            self.tell(info, error_text(source));
        }
    }

    pub(super) fn panicked(&self, info: &Info, text: &str) {
        self.tell(info, format!("the sink panicked: {text}"));
    }

    #[cold]
    fn tell(&self, info: &Info, error: String) {
        info.set_error(error.clone());
        if let Some(hook) = &self.on_error {
            let failure = SinkFailure { id: info.id, name: info.name.clone(), error };
            quietly(|| hook(&failure));
        }
    }
}

/// The settings of a [`Bus`].
///
/// There is no hook for dropped events here: a bus keeps none. It is queues and channels that drop events, and have them at hand
/// when they do, so `on_drop` is theirs: [`QueueBuilder::on_drop`](crate::queue::QueueBuilder::on_drop),
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
#[must_use = "a builder does nothing until `build` is called"]
pub struct BusBuilder<E>(BusHooks<E>);

impl<E: Send + 'static> BusBuilder<E> {
    pub(super) fn new() -> Self {
        Self(BusHooks { on_error: None, events: PhantomData })
    }

    /// Is called when a sink fails, or panics, while it is called on the publishing thread; on that thread. Its own panics
    /// are ignored. Queues have a hook of their own: [`QueueBuilder::on_error`](crate::queue::QueueBuilder::on_error).
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
        self.0.on_error = Some(Box::new(move |failure| (*hook)(failure)));
        self
    }

    /// Makes the bus.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::builder().on_error(|failure| eprintln!("{failure}")).build();
    /// assert_eq!(bus.publish("to nobody")?.accepted, 0);
    /// # Ok::<(), buslane::error::Closed<&str>>(())
    /// ```
    pub fn build(self) -> Bus<E> {
        Bus(Arc::new_cyclic(|handle| Handle { core: Core::new(self.0, handle.clone()) }))
    }
}

impl<E> fmt::Debug for BusBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusBuilder").field("on_error", &self.0.on_error.is_some()).finish()
    }
}
