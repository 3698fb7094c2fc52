//! A combinator that shows each event and its outcome to an observer.

use crate::error::{OutOfMemory, WriteError};
use crate::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{Disposition, DropReason};
use crate::time::Deadline;
use crate::wait::context::quietly;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// An observer of the events at one point of a chain, for metrics, traces and tests.
///
/// By default the methods do nothing, except that [`dropped`](Self::dropped) calls
/// [`success`](Self::success). The writing thread calls them, and several threads may do so at the
/// same time, so they should be as cheap as a counter. Their panics are ignored, and no call inside
/// them waits.
///
/// An `Arc` of an inspector is an inspector too, so that its counts can be read elsewhere.
///
/// # Examples
/// The metrics of an endpoint: the inspector upstream of the queue sees events enter, the one
/// downstream of it sees them leave.
/// ```
/// use buslane::{Bus, sink_fn, SinkExt, WriteError};
/// use buslane::sink::Inspector;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
///
/// #[derive(Default)]
/// struct Metrics {
///     pending: AtomicI64,
///     successes: AtomicU64,
///     failures: AtomicU64,
/// }
///
/// struct Entering(Arc<Metrics>);
/// impl<E> Inspector<E> for Entering {
///     fn success(&self) {
///         self.0.pending.fetch_add(1, Relaxed);
///     }
/// }
///
/// struct Leaving(Arc<Metrics>);
/// impl<E> Inspector<E> for Leaving {
///     fn success(&self) {
///         self.0.pending.fetch_sub(1, Relaxed);
///         self.0.successes.fetch_add(1, Relaxed);
///     }
///     fn failure(&self, _error: &WriteError<E>) {
///         self.0.pending.fetch_sub(1, Relaxed);
///         self.0.failures.fetch_add(1, Relaxed);
///     }
/// }
///
/// let metrics = Arc::new(Metrics::default());
/// let endpoint = sink_fn(|n: &u32| if *n == 3 { Err("no") } else { Ok(()) });
/// let queue = endpoint.inspect(Leaving(metrics.clone())).queue(64)?;
/// let bus = Bus::new();
/// bus.add(queue.inspect(Entering(metrics.clone())))?;
/// for n in 0..10 {
///     bus.publish(n)?;
/// }
/// assert!(bus.close().is_done());
/// assert_eq!(metrics.pending.load(Relaxed), 0);
/// assert_eq!((metrics.successes.load(Relaxed), metrics.failures.load(Relaxed)), (9, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Inspector<E>: Send + Sync {
    /// Observes an event before it is written to the inner sink.
    ///
    /// # Examples
    /// ```
    /// use buslane::{noop, Sink, SinkExt};
    /// use buslane::sink::Inspector;
    /// use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
    /// #[derive(Default)]
    /// struct Bytes(AtomicUsize);
    /// impl Inspector<String> for Bytes {
    ///     fn ingress(&self, event: &String) {
    ///         self.0.fetch_add(event.len(), Ordering::Relaxed);
    ///     }
    /// }
    /// let bytes = Arc::new(Bytes::default());
    /// noop().inspect(bytes.clone()).write(String::from("event"))?;
    /// assert_eq!(bytes.0.load(Ordering::Relaxed), 5);
    /// # Ok::<(), buslane::WriteError<String>>(())
    /// ```
    fn ingress(&self, event: &E) {
        let _ = event;
    }

    /// Observes that the inner sink accepted the event that this thread wrote last.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, sink_fn, SinkExt};
    /// use buslane::sink::Inspector;
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// #[derive(Default)]
    /// struct Accepted(AtomicU64);
    /// impl<E> Inspector<E> for Accepted {
    ///     fn success(&self) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    /// let accepted = Arc::new(Accepted::default());
    /// let sink = sink_fn(|n: &u32| if *n == 3 { Err("no") } else { Ok(()) }).inspect(accepted.clone());
    /// (0..10).for_each(|n| drop(sink.write(n)));
    /// assert_eq!(accepted.0.load(Ordering::Relaxed), 9);
    /// ```
    fn success(&self) {}

    /// Observes that the inner sink accepted the event and has already dropped it.
    ///
    /// For example, the inner sink had no room, or a retry passed the event to its dead letters. By
    /// default this calls [`success`](Self::success). Events that an inner sink drops later are not
    /// reported here.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// use buslane::sink::Inspector;
    /// use buslane::stats::DropReason;
    /// use std::sync::{Arc, Mutex};
    /// #[derive(Default)]
    /// struct Losses(Mutex<Vec<DropReason>>);
    /// impl<E> Inspector<E> for Losses {
    ///     fn dropped(&self, reason: DropReason) {
    ///         self.0.lock().unwrap().push(reason);
    ///     }
    /// }
    /// let losses = Arc::new(Losses::default());
    /// let (channel, _receiver) = Channel::lossy(1)?;
    /// let channel = channel.inspect(losses.clone());
    /// (0..3).try_for_each(|n| channel.write(n))?;
    /// assert_eq!(*losses.0.lock().unwrap(), [DropReason::Full; 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn dropped(&self, reason: DropReason) {
        let _ = reason;
        self.success();
    }

    /// Observes that the inner sink did not accept the event, which the error holds.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, sink_fn, SinkExt, WriteError};
    /// use buslane::sink::Inspector;
    /// use std::sync::{Arc, Mutex};
    /// #[derive(Default)]
    /// struct Errors(Mutex<Vec<String>>);
    /// impl<E> Inspector<E> for Errors {
    ///     fn failure(&self, error: &WriteError<E>) {
    ///         self.0.lock().unwrap().push(error.to_string());
    ///     }
    /// }
    /// let errors = Arc::new(Errors::default());
    /// assert!(sink_fn(|_: &u32| Err("no route")).inspect(errors.clone()).write(7).is_err());
    /// assert_eq!(*errors.0.lock().unwrap(), ["the sink failed: no route"]);
    /// ```
    fn failure(&self, error: &WriteError<E>) {
        let _ = error;
    }
}

/// An inspector that does nothing.
impl<E> Inspector<E> for () {}

impl<E, I: Inspector<E> + ?Sized> Inspector<E> for Arc<I> {
    fn ingress(&self, event: &E) {
        (**self).ingress(event);
    }

    fn success(&self) {
        (**self).success();
    }

    fn dropped(&self, reason: DropReason) {
        (**self).dropped(reason);
    }

    fn failure(&self, error: &WriteError<E>) {
        (**self).failure(error);
    }
}

/// An [`Inspector`] that calls a closure with each event.
///
/// Made by [`SinkExt::inspect_fn`](crate::SinkExt::inspect_fn).
///
/// # Examples
/// ```
/// use buslane::{Sink, SinkExt, noop};
/// let (sender, seen) = std::sync::mpsc::channel();
/// let sink = noop().inspect_fn(move |n: &u32| drop(sender.send(*n)));
/// sink.write(7)?;
/// assert_eq!(seen.try_recv(), Ok(7));
/// # Ok::<(), buslane::WriteError<u32>>(())
/// ```
pub struct InspectFn<F>(F);

impl<F> InspectFn<F> {
    pub(crate) fn new(look: F) -> Self {
        Self(look)
    }
}

impl<E, F: Fn(&E) + Send + Sync> Inspector<E> for InspectFn<F> {
    fn ingress(&self, event: &E) {
        (self.0)(event);
    }
}

impl<F> fmt::Debug for InspectFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InspectFn")
    }
}

/// A sink that shows each event and its outcome to an [`Inspector`].
///
/// Made by [`SinkExt::inspect`](crate::SinkExt::inspect).
///
/// # Examples
/// ```
/// use buslane::{noop, Sink, SinkExt};
/// use buslane::sink::Inspector;
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// #[derive(Default)]
/// struct Count(AtomicU64);
/// impl<E> Inspector<E> for Count {
///     fn success(&self) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
/// let count = Arc::new(Count::default());
/// let sink = noop::<u32>().inspect(count.clone());
/// sink.write(7)?;
/// assert_eq!(count.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), buslane::WriteError<u32>>(())
/// ```
#[must_use = "an inspect does nothing until it is written to or added to a bus"]
pub struct Inspect<E, S, I> {
    inner: S,
    inspector: Arc<I>,
    events: PhantomData<fn(E)>,
}

impl<E, S, I> Inspect<E, S, I> {
    pub(crate) fn new(inner: S, inspector: I) -> Self {
        Self { inner, inspector: Arc::new(inspector), events: PhantomData }
    }
}

/// Writes an event, and shows the event and its outcome to the inspector.
fn shown<E>(
    inspector: &impl Inspector<E>,
    event: E,
    write: impl FnOnce(E) -> Result<Disposition, WriteError<E>>,
) -> Result<Disposition, WriteError<E>> {
    quietly(|| inspector.ingress(&event));
    let outcome = write(event);
    match outcome.as_ref().map(|disposition| disposition.whole()) {
        Ok(Disposition::Dropped(reason)) => quietly(|| inspector.dropped(reason)),
        Ok(_) => quietly(|| inspector.success()),
        Err(error) => quietly(|| inspector.failure(error)),
    }
    outcome
}

impl<E, S, I> Sink<E> for Inspect<E, S, I>
where
    E: Send + 'static,
    S: Sink<E>,
    I: Inspector<E> + 'static,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        shown(&*self.inspector, event, |event| self.inner.offer(event))
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        let stage = |inner| Lane::staged(InspectLane { inner, inspector: self.inspector.clone() });
        Ok(self.inner.lane()?.map(stage))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.inner.has_lanes()
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.inspector))
    }
}

impl<E, S: fmt::Debug, I> fmt::Debug for Inspect<E, S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspect").field("inner", &self.inner).finish_non_exhaustive()
    }
}

struct InspectLane<E, I> {
    inner: Lane<E>,
    inspector: Arc<I>,
}

impl<E: Send + 'static, I: Inspector<E>> LaneWrite<E> for InspectLane<E, I> {
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        shown(&*self.inspector, event, |event| self.inner.offer(event, deadline))
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        Some(&self.inner)
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        Some(&mut self.inner)
    }
}
