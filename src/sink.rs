//! Sinks: the trait that everything implements, and the combinators that wrap one sink into another.
//!
//! | item | what it is |
//! |---|---|
//! | [`Sink`] | anything that accepts events; a sink of your own is one method |
//! | [`SinkExt`] | the combinators, as methods of every sink |
//! | [`sink_fn`], [`SinkFn`], [`Outcome`] | a sink made of a closure |
//! | [`noop`], [`Noop`] | a sink that accepts every event and does nothing |
//! | [`Filter`], [`Map`], [`Sample`], [`RateLimit`], [`Inspect`], [`InspectFn`], [`Inspector`], [`Tee`], [`Timeout`], [`CatchPanic`], [`Batch`] | what the combinators return |
//! | [`SinkKey`] | the identity of a sink |
//!
//! # Examples
//! ```
//! use buslane::{Channel, Sink, SinkExt};
//! let (channel, mut receiver) = Channel::lossy(8)?;
//! let errors = channel.map(|code: &u32| format!("HTTP {code}")).filter(|code: &u32| *code >= 500);
//! errors.write(200)?;
//! errors.write(503)?;
//! assert_eq!(receiver.recv()?, "HTTP 503");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod ext;
pub(crate) mod function;
pub(crate) mod lane;
pub(crate) mod signal;

pub use crate::combinators::batch::Batch;
pub use crate::combinators::catch_panic::CatchPanic;
pub use crate::combinators::filter::Filter;
pub use crate::combinators::inspect::{Inspect, InspectFn, Inspector};
pub use crate::combinators::map::Map;
pub use crate::combinators::rate_limit::RateLimit;
pub use crate::combinators::sample::Sample;
pub use crate::combinators::tee::Tee;
pub use crate::combinators::timeout::Timeout;
pub use ext::SinkExt;
pub use function::{Noop, Outcome, SinkFn, noop, sink_fn};
pub use lane::{Lane, LaneSealer, LaneWrite};
pub use signal::Signal;

use crate::error::{OutOfMemory, WriteError};
use crate::stats::{CloseReport, Disposition};
use crate::time::Deadline;
use crate::wait::context::Quiet;
use std::sync::Arc;

/// A place where events go.
///
/// A user's sink has to say what [`write`](Self::write) does, and nothing else. The other methods have defaults that are
/// right for a sink that does its work at once; wrappers hand every one of them on.
///
/// # Contract
/// - `Ok` from `write` means that the event was accepted under the sink's stated guarantee; `Err` gives the event back. What
///   became of an accepted event is returned by [`offer`](Self::offer), and counted in the sink's [`Ledger`](crate::stats::Ledger).
/// - [`WriteError::Closed`] is final. A write after [`close`](Self::close) is `Closed`, and `close` is idempotent.
/// - A sink may be written to from many threads at once. What sits behind a [`Queue`](crate::Queue) is called by its worker
///   only, and by several threads if it has several.
///
/// # Examples
/// ```
/// use buslane::{Sink, WriteError};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Total(AtomicU64);
///
/// impl Sink<u64> for Total {
///     fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
///         self.0.fetch_add(event, Ordering::Relaxed);
///         Ok(())
///     }
/// }
///
/// let total = std::sync::Arc::new(Total::default());
/// let bus = buslane::Bus::new();
/// bus.add(total.clone())?;
/// bus.publish(40)?;
/// bus.publisher().publish(2)?;
/// assert_eq!(total.0.load(Ordering::Relaxed), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Sink<E>: Send + Sync {
    /// Accepts an event, or gives it back.
    ///
    /// # Errors
    /// [`WriteError`] with the event and the reason.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write("event")?;
    /// assert_eq!(receiver.recv()?, "event");
    /// drop(receiver);
    /// assert!(channel.write("late").is_err_and(|error| error.into_event() == "late"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn write(&self, event: E) -> Result<(), WriteError<E>>;

    /// Accepts an event and reports what became of it, or gives it back.
    ///
    /// `Ok` from [`write`](Self::write) only means that the event was accepted: a full queue under
    /// [`Overflow::DropNewest`](crate::Overflow::DropNewest), the default, has dropped it all the same. What stands in front of
    /// a sink calls this method, and counts what it returns.
    ///
    /// By default it calls `write`, and an accepted event is [`Delivered`](Disposition::Delivered). A sink that wraps another
    /// one returns what the `offer` of that returned, and writes by it: `self.offer(event).map(drop)`. If it only has a `write`,
    /// the stages in front of it count as delivered whatever the inner sink accepted.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::stats::{Disposition, DropReason};
    /// let (channel, _receiver) = Channel::lossy(1)?;
    /// assert_eq!(channel.offer(1)?, Disposition::Pending);
    /// assert_eq!(channel.offer(2)?, Disposition::Dropped(DropReason::Full));
    /// assert!(channel.write(3).is_ok()); // accepted, and dropped as well
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        self.write(event).map(|()| Disposition::Delivered)
    }

    /// Takes no more events, and works off what was accepted until the deadline.
    ///
    /// A wrapper returns the report of its inner sink, or [merges](CloseReport::merge) it into its own. A bus or a tee that closes
    /// several sinks tells all of them first: there, the report of a queue also carries what is still to be waited for, and a bus may
    /// call this on a thread of its own.
    ///
    /// Everything in this crate that waits in a close stops at the deadline. A sink of your own gets the deadline, and no call is
    /// interrupted: a wrapper borrows its inner sink, so it calls that sink's `close` on the calling thread (a tee and a retry may call one
    /// of two sinks on another thread), and returns when the inner sink does. The same holds for [`Signal::Flush`]. To keep a limit also
    /// for a sink that ignores it, close or flush a [`Bus`](crate::Bus) or a [`Queue`](crate::Queue) upstream: these call the sink on
    /// another thread, and leave a call that is overdue.
    ///
    /// # Examples
    /// ```
    /// use buslane::{noop, Sink};
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// let sink = noop();
    /// assert!(sink.close(Deadline::after(Duration::from_secs(5))).is_done());
    /// assert!(sink.write("late").is_err_and(|error| error.is_closed()));
    /// ```
    fn close(&self, deadline: Deadline) -> CloseReport {
        let _ = deadline;
        CloseReport::done()
    }

    /// A private way in for one publisher; `None` where events go through [`write`](Self::write).
    ///
    /// # Errors
    /// [`OutOfMemory`] when the memory of the lane cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, noop, Sink};
    /// use buslane::time::Deadline;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// if let Some(mut lane) = channel.lane()? {
    ///     lane.push("event", Deadline::NEVER)?;
    /// }
    /// assert_eq!(receiver.recv()?, "event");
    /// assert!(noop::<&str>().lane()?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn lane(&self) -> Result<Option<Lane<E>>, OutOfMemory> {
        Ok(None)
    }

    /// Whether [`lane`](Self::lane) gives out lanes. What such a sink does in `write` is only to put the event into a lane,
    /// so a bus lets it wait for room; every other sink is called as foreign code, inside of which nothing waits.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, noop};
    /// let (channel, _receiver) = Channel::<u32>::lossy(8)?;
    /// assert!(channel.has_lanes() && !noop::<u32>().has_lanes());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    fn has_lanes(&self) -> bool {
        false
    }

    /// Takes a signal of the control plane. Wrappers hand it on.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// use buslane::sink::Signal;
    /// let (channel, receiver) = Channel::<u32>::lossy(8)?;
    /// let sink = channel.filter(|n| *n > 3); // hands signals on
    /// drop(receiver);
    /// let mut closed = false;
    /// sink.signal(&mut Signal::IsClosed(&mut closed));
    /// assert!(closed);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    fn signal(&self, signal: &mut Signal<'_>) {
        let _ = signal;
    }

    /// What makes two sinks the same one. Handles to one thing answer alike; `None` is like no other.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, noop};
    /// let shared = std::sync::Arc::new(noop::<u32>());
    /// assert!(shared.key().is_some() && shared.key() == shared.clone().key());
    /// assert_eq!(noop::<u32>().key(), None);
    /// ```
    fn key(&self) -> Option<SinkKey> {
        None
    }
}

/// What makes two sinks the same one: the address of what they share.
///
/// # Examples
/// Two handles to one channel are the same sink:
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, _receiver) = Channel::<u32>::lossy(8)?;
/// assert!(channel.key().is_some() && channel.key() == channel.clone().key());
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SinkKey(usize);

impl SinkKey {
    /// The key of everything that shares this allocation.
    ///
    /// # Examples
    /// ```
    /// use buslane::sink::SinkKey;
    /// let shared = std::sync::Arc::new(1);
    /// assert_eq!(SinkKey::of(&*shared), SinkKey::of(&*shared.clone()));
    /// ```
    #[must_use]
    pub fn of<T: ?Sized>(shared: &T) -> Self {
        Self(std::ptr::from_ref(shared).cast::<()>().addr())
    }
}

/// Hands every method on to what `$self` points to.
macro_rules! forward {
    ($key:expr) => {
        #[inline]
        fn write(&self, event: E) -> Result<(), WriteError<E>> {
            (**self).write(event)
        }

        #[inline]
        fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
            (**self).offer(event)
        }

        fn close(&self, deadline: Deadline) -> CloseReport {
            (**self).close(deadline)
        }

        fn lane(&self) -> Result<Option<Lane<E>>, OutOfMemory> {
            (**self).lane()
        }

        fn has_lanes(&self) -> bool {
            (**self).has_lanes()
        }

        fn signal(&self, signal: &mut Signal<'_>) {
            (**self).signal(signal);
        }

        fn key(&self) -> Option<SinkKey> {
            let key: fn(&Self) -> Option<SinkKey> = $key;
            key(self)
        }
    };
}

impl<E, S: Sink<E> + ?Sized> Sink<E> for &S {
    forward!(|sink| (**sink).key());
}

impl<E, S: Sink<E> + ?Sized> Sink<E> for Box<S> {
    forward!(|sink| (**sink).key());
}

/// The sink of a bus, of which any thread may drop the last reference.
impl<E, S: Sink<E>> Sink<E> for Quiet<S> {
    forward!(|sink| (**sink).key());
}

/// Clones of one `Arc` are the same sink.
impl<E, S: Sink<E> + ?Sized> Sink<E> for Arc<S> {
    forward!(|sink| (**sink).key().or_else(|| Some(SinkKey::of(&**sink))));
}
