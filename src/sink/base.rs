//! The trait that every sink implements, and the identity of a sink.

use super::inner::{self, Inner, Wraps};
use super::lane::{Internal, Lane, Lanes, SharedAccess};
use crate::error::{ConfigError, OutOfMemory, WriteError};
use crate::stats::{CloseReport, Disposition, FlushReport, Ledgers, SinkState, Weight};
use crate::time::Deadline;
use crate::wait::context::Quiet;
use std::sync::Arc;
use std::time::Instant;

/// A destination of events.
///
/// Your own sink implements [`write`](Self::write), and nothing else. The defaults of the other
/// methods are right for a sink that finishes its work inside `write`. A wrapper around another
/// sink also implements two of them:
///
/// - [`inner`](Self::inner) names the inner sink. Then every *control* (close, flush, abort, tick
///   and the other methods with a default that visits the inner sinks) reaches it.
/// - [`offer`](Self::offer) returns what became of the event in the inner sink.
///
/// # Contract
/// - `Ok` from `write` means that the sink accepted the event under its stated guarantee. `Err`
///   gives the event back. [`offer`](Self::offer) returns what became of an accepted event, and the
///   sink's [`Ledger`](crate::stats::Ledger) counts it.
/// - [`WriteError::Closed`] is final. A write after [`close_by`](Self::close_by) returns `Closed`,
///   and `close_by` is idempotent.
/// - Many threads may write to a sink at once. A sink downstream of a [`Queue`](crate::Queue) is
///   called only by the queue's worker, or by several threads if the queue has several workers.
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

    /// Accepts an event and returns what became of it, or gives it back.
    ///
    /// `Ok` from [`write`](Self::write) only means that the event was accepted. A full queue under
    /// [`Overflow::DropNewest`](crate::Overflow::DropNewest), the default, accepts the event and
    /// drops it. Upstream stages call `offer`, and count the disposition that it returns.
    ///
    /// By default, `offer` calls `write`, and an accepted event is
    /// [`Delivered`](Disposition::Delivered). A wrapper returns the result of the inner sink's
    /// `offer`, and implements `write` by its own: `self.offer(event).map(drop)`. If a wrapper
    /// implements `write` only, the upstream stages count every event that the inner sink accepted
    /// as delivered, whatever became of it. `testing::SinkContract` finds such a wrapper.
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
    // The default cannot ask the inner sink: its `write` returns no disposition. A mark on the
    // thread would cost every direct write to a queue a store, and would report the wrong sink for
    // a wrapper that writes to several, or writes twice.
    #[inline]
    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        self.write(event).map(|()| Disposition::Delivered)
    }

    /// Names the inner sinks of this sink, so that every control reaches them.
    ///
    /// By default, a sink has none. A wrapper names each of its inner sinks here, and so forwards
    /// every control that it does not override. An override of a control calls that control of the
    /// inner sink.
    ///
    /// If a sink names several inner sinks, a control reaches each of them, even if another one
    /// panics. Each control documents how it combines their results.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink, WriteError, sink_fn};
    /// use buslane::sink::Inner;
    /// use buslane::stats::Disposition;
    /// struct Logged<S>(S);
    /// impl<E: std::fmt::Debug, S: Sink<E>> Sink<E> for Logged<S> {
    ///     fn write(&self, event: E) -> Result<(), WriteError<E>> {
    ///         self.offer(event).map(drop)
    ///     }
    ///     fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
    ///         println!("{event:?}");
    ///         self.0.offer(event)
    ///     }
    ///     fn inner(&self, visit: &mut Inner<'_>) {
    ///         visit.sink(&self.0);
    ///     }
    /// }
    /// let logged = Logged(sink_fn(|n: &u32| println!("{n}")));
    /// let queue = Queue::builder().spawn_sink(logged)?;
    /// queue.write(1)?;
    /// assert!(queue.close().is_done()); // and so is the inner sink
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn inner(&self, visit: &mut Inner<'_>) {
        let _ = visit;
    }

    /// Closes the sink to further events, and drains accepted events until the deadline.
    ///
    /// By default, it closes the inner sink and returns that sink's report. Without an inner sink,
    /// nothing is left to do. Several inner sinks are closed together:
    ///
    /// - All of them are asked to close before any is waited for.
    /// - Sinks with lanes, which drain by themselves, come before the others.
    /// - The report names each sink by its number.
    ///
    /// A bus or a tee that closes several sinks asks all of them to close before it waits. In that
    /// case the report of a queue also carries the waits that remain, and a bus may call this
    /// method on a separate thread.
    ///
    /// Every wait of this crate inside a close ends at the deadline. Your own sink receives the
    /// deadline, but no call is interrupted. A wrapper borrows its inner sink: it calls that sink's
    /// `close_by` on the calling thread, and returns when the inner sink does. (A tee and a retry
    /// may call one of two sinks on another thread.) The same holds for
    /// [`flush_by`](Self::flush_by).
    ///
    /// To bound a sink that ignores the deadline, close or flush a [`Bus`](crate::Bus) or a
    /// [`Queue`](crate::Queue) upstream: these call the sink on another thread, and abandon a call
    /// that is overdue.
    ///
    /// # Examples
    /// ```
    /// use buslane::{noop, Sink};
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// let sink = noop();
    /// assert!(sink.close_by(Deadline::after(Duration::from_secs(5))).is_done());
    /// assert!(sink.write("late").is_err_and(|error| error.is_closed()));
    /// ```
    fn close_by(&self, deadline: Deadline) -> CloseReport {
        inner::close_by(self, deadline)
    }

    /// Waits until every event accepted before the call was handled, or until the deadline, and
    /// notes the outcome in the report.
    ///
    /// By default, it flushes the inner sink with the same report. Several inner sinks are flushed
    /// together, as they are [closed](Self::close_by). An override passes the report on, or
    /// [merges](FlushReport::merge) its own report into it, because the report carries the waits
    /// that remain.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// use buslane::stats::FlushReport;
    /// use buslane::time::Deadline;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let sink = channel.filter(|n: &u32| *n > 3);
    /// sink.write(4)?;
    /// receiver.recv()?;
    /// let mut report = FlushReport::default();
    /// sink.flush_by(Deadline::NOW, &mut report);
    /// assert!(report.is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        inner::flush_by(self, deadline, report);
    }

    /// Ends every wait at once, because a close has passed its deadline.
    ///
    /// By default, it aborts each inner sink. A retry aborts its [dead
    /// letters](crate::retry::Retry::dead_letters) only after the letters that the abort causes.
    ///
    /// # Examples
    /// A sink that waits for an answer, and stops waiting when it is aborted:
    /// ```
    /// use buslane::{Sink, WriteError};
    /// use buslane::time::Pause;
    /// use buslane::time::Deadline;
    /// #[derive(Default)]
    /// struct Asking(Pause);
    /// impl Sink<u32> for Asking {
    ///     fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
    ///         let answered = self.0.wait(Deadline::NEVER, || false);
    ///         if answered { Ok(()) } else { Err(WriteError::Closed(event)) }
    ///     }
    ///     fn abort_now(&self) {
    ///         self.0.interrupt();
    ///     }
    /// }
    /// let sink = Asking::default();
    /// std::thread::scope(|scope| {
    ///     let writer = scope.spawn(|| sink.write(1));
    ///     sink.abort_now();
    ///     assert!(writer.join().unwrap().is_err_and(|error| error.is_closed()));
    /// });
    /// ```
    fn abort_now(&self) {
        inner::abort_now(self);
    }

    /// Writes out buffers, because the worker upstream has reached the end of a batch.
    ///
    /// A batch ends when the worker has forwarded every waiting event, or as many as the queue's
    /// [`max_batch`](crate::queue::QueueBuilder::max_batch) allows. By default, the call goes to
    /// each inner sink.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink, WriteError};
    /// use std::sync::{Arc, Mutex};
    /// #[derive(Default)]
    /// struct Lines { buffer: Mutex<String>, file: Mutex<String> }
    /// impl Sink<u32> for Lines {
    ///     fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
    ///         self.buffer.lock().unwrap().push_str(&format!("{event}\n"));
    ///         Ok(())
    ///     }
    ///     fn end_of_batch(&self) {
    ///         self.file.lock().unwrap().push_str(&std::mem::take(&mut *self.buffer.lock().unwrap()));
    ///     }
    /// }
    /// let lines = Arc::new(Lines::default());
    /// let queue = Queue::builder().spawn_sink(lines.clone())?;
    /// queue.write(1)?;
    /// queue.write(2)?;
    /// assert!(queue.close().is_done());
    /// assert_eq!(*lines.file.lock().unwrap(), "1\n2\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn end_of_batch(&self) {
        inner::end_of_batch(self);
    }

    /// Passes the current time to the sink, and returns when the sink has to be called again at the
    /// latest.
    ///
    /// `None` means that the sink does not depend on time. By default, the call goes to each inner
    /// sink, and the earliest of their times is returned. An override returns the earlier of its
    /// own time and that of the inner sink.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, SinkExt, noop};
    /// use std::time::{Duration, Instant};
    /// let batch = noop().batch(100).age(Duration::from_secs(1));
    /// batch.write(7)?;
    /// let now = Instant::now();
    /// assert_eq!(batch.filter(|n: &u32| *n > 3).tick(now), Some(now + Duration::from_secs(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn tick(&self, now: Instant) -> Option<Instant> {
        inner::tick(self, now)
    }

    /// Returns `true` if the sink knows that it accepts no further events.
    ///
    /// By default, the inner sink decides. A sink with several inner sinks is closed when all of
    /// them are. A sink without inner sinks that does not override this method is open.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// let (channel, receiver) = Channel::<u32>::lossy(8)?;
    /// let sink = channel.filter(|n| *n > 3);
    /// drop(receiver);
    /// assert!(sink.reports_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn reports_closed(&self) -> bool {
        inner::reports_closed(self)
    }

    /// Fills in the state that a snapshot shows of this sink.
    ///
    /// By default, the inner sink fills it in. Of several inner sinks, only errors and retries are
    /// shown: each of them counts for itself, and the caller counts the events that enter this
    /// sink. A sink with its own [`Ledger`](crate::stats::Ledger) sets a
    /// [`SinkKind`](crate::stats::SinkKind); then the caller counts no event of that sink.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// use buslane::stats::{SinkKind, SinkState};
    /// let (channel, receiver) = Channel::lossy(8)?;
    /// let sink = channel.filter(|n: &u32| *n > 3);
    /// sink.write(1)?;
    /// let mut state = SinkState::default();
    /// sink.describe(&mut state);
    /// assert_eq!((state.kind, state.ledger.filtered), (SinkKind::Channel, 1));
    /// # drop(receiver);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn describe(&self, state: &mut SinkState) {
        inner::describe(self, state);
    }

    /// Checks the settings of this sink and of its inner sinks.
    ///
    /// It is called once, when the sink is put to use: by [`Bus::add`](crate::Bus::add), and by a
    /// queue that is started with the sink. By default, it returns the first error of an inner
    /// sink.
    ///
    /// # Errors
    /// [`ConfigError`] with the setting, its value and its limit.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, SinkExt, noop};
    /// let sink = noop::<Vec<u32>>().batch(0);
    /// assert!(sink.validate().is_err());
    /// ```
    fn validate(&self) -> Result<(), ConfigError> {
        inner::validate(self)
    }

    /// Returns the identity of the sink, which all handles to the sink share.
    ///
    /// A sink whose key is `None` is identical to no other sink. A wrapper does not have the
    /// identity of its inner sink.
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

    /// Makes a private lane for one publisher, or returns `None` if events go through
    /// [`write`](Self::write).
    #[doc(hidden)]
    fn make_lane(&self, internal: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        let _ = internal;
        Ok(None)
    }

    /// Returns `true` if [`make_lane`](Self::make_lane) makes lanes.
    ///
    /// The `write` of such a sink only puts the event into a lane, so a bus lets it wait for room.
    /// A bus calls every other sink as user code, inside of which nothing waits.
    #[doc(hidden)]
    fn makes_lanes(&self, internal: Internal) -> bool {
        let _ = internal;
        false
    }

    /// Returns the access to the shared lane of a queue or a channel, if an [`offer`](Self::offer)
    /// does nothing but push into it.
    #[doc(hidden)]
    fn shared_access(&self, internal: Internal) -> Option<SharedAccess<E>> {
        let _ = internal;
        None
    }

    /// Lists the ledgers that count the outcome of events that were [pending](Disposition::Pending)
    /// when this sink accepted them.
    #[doc(hidden)]
    fn add_ledgers(&self, list: &mut Ledgers, internal: Internal) {
        let _ = internal;
        inner::add_ledgers(self, list);
    }

    /// Makes this sink also count the events in its batches, as a batch upstream does. Called when
    /// that batch is made.
    #[doc(hidden)]
    fn weigh(&self, weight: &Weight, internal: Internal) {
        let _ = internal;
        inner::weigh(self, weight);
    }
}

impl<E, S: Sink<E> + ?Sized> Wraps<E> for S {
    fn each_inner(&self, visit: &mut Inner<'_>) {
        self.inner(visit);
    }

    fn is_reported_closed(&self) -> bool {
        self.reports_closed()
    }
}

impl<E, S: Sink<E> + ?Sized> Lanes<E> for S {
    fn lane(&self) -> Result<Option<Lane<E>>, OutOfMemory> {
        self.make_lane(Internal::TOKEN)
    }

    fn has_lanes(&self) -> bool {
        self.makes_lanes(Internal::TOKEN)
    }
}

/// The identity of a sink, taken from the allocation that its handles share.
///
/// # Examples
/// Two handles to one channel are the same sink:
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, _receiver) = Channel::<u32>::lossy(8)?;
/// assert!(channel.key().is_some() && channel.key() == channel.clone().key());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SinkKey(usize);

impl SinkKey {
    /// Returns the identity shared by all clones of this `Arc`.
    ///
    /// Two `Arc`s that exist at the same time have the same identity only if they share one
    /// allocation, even if their values have no size.
    ///
    /// # Examples
    /// ```
    /// use buslane::sink::SinkKey;
    /// use std::sync::Arc;
    /// let (shared, other) = (Arc::new(()), Arc::new(()));
    /// assert_eq!(SinkKey::of(&shared), SinkKey::of(&shared.clone()));
    /// assert_ne!(SinkKey::of(&shared), SinkKey::of(&other));
    /// ```
    #[must_use]
    pub fn of<T: ?Sized>(shared: &Arc<T>) -> Self {
        // An `Arc` stores its counts before the value, so the value's address is inside the
        // allocation or at its end: the value of another `Arc` never has that address.
        Self(Arc::as_ptr(shared).cast::<()>().addr())
    }
}

/// Implements `Sink` for a pointer to a sink. The controls reach the target as the inner sink.
macro_rules! point_to_sink {
    ($key:expr) => {
        #[inline]
        fn write(&self, event: E) -> Result<(), WriteError<E>> {
            (**self).write(event)
        }

        #[inline]
        fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
            (**self).offer(event)
        }

        fn inner(&self, visit: &mut Inner<'_>) {
            visit.sink::<E>(&**self);
        }

        fn key(&self) -> Option<SinkKey> {
            let key: fn(&Self) -> Option<SinkKey> = $key;
            key(self)
        }

        fn make_lane(&self, internal: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
            (**self).make_lane(internal)
        }

        fn makes_lanes(&self, internal: Internal) -> bool {
            (**self).makes_lanes(internal)
        }

        fn shared_access(&self, internal: Internal) -> Option<SharedAccess<E>> {
            (**self).shared_access(internal)
        }
    };
}

impl<E, S: Sink<E> + ?Sized> Sink<E> for &S {
    point_to_sink!(|sink| (**sink).key());
}

impl<E, S: Sink<E> + ?Sized> Sink<E> for Box<S> {
    point_to_sink!(|sink| (**sink).key());
}

/// A sink on a bus. Any thread may drop the last reference to it.
impl<E, S: Sink<E>> Sink<E> for Quiet<S> {
    point_to_sink!(|sink| (**sink).key());
}

/// Clones of one `Arc` are the same sink.
impl<E, S: Sink<E> + ?Sized> Sink<E> for Arc<S> {
    point_to_sink!(|sink| (**sink).key().or_else(|| Some(SinkKey::of(sink))));
}
