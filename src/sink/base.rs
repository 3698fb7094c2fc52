//! The trait that every sink implements, and the identity of a sink.

use super::inner::{self, Inner, Wraps};
use super::lane::{Internal, Lane, Lanes};
use crate::error::{ConfigError, OutOfMemory, WriteError};
use crate::stats::{CloseReport, Disposition, FlushReport, Ledgers, SinkState, Weight};
use crate::time::Deadline;
use crate::wait::context::Quiet;
use std::sync::Arc;
use std::time::Instant;

/// A place where events go.
///
/// A sink of your own implements [`write`](Self::write), and nothing else. The other methods have defaults that are right for a sink
/// that does its work at once. A wrapper around another sink implements [`inner`](Self::inner) too: then every control reaches
/// the inner sink.
///
/// # Contract
/// - `Ok` from `write` means that the event was accepted under the sink's stated guarantee; `Err` gives the event back. What
///   became of an accepted event is returned by [`offer`](Self::offer), and counted in the sink's [`Ledger`](crate::stats::Ledger).
/// - [`WriteError::Closed`] is final. A write after [`close_by`](Self::close_by) is `Closed`, and `close_by` is idempotent.
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

    /// Names the sinks that this one calls, so that the controls below reach them.
    ///
    /// By default there are none. A wrapper names each of its inner sinks here, and by that forwards every control which it does
    /// not override. A wrapper that overrides one calls the inner sink in it.
    ///
    /// Where a sink names several, a control reaches each of them, also when another one panics: see each control for what the answers
    /// come to.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink, WriteError, sink_fn};
    /// use buslane::sink::Inner;
    /// struct Logged<S>(S);
    /// impl<E: std::fmt::Debug, S: Sink<E>> Sink<E> for Logged<S> {
    ///     fn write(&self, event: E) -> Result<(), WriteError<E>> {
    ///         println!("{event:?}");
    ///         self.0.write(event)
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

    /// Closes the sink: it accepts no further events, and drains what was accepted until the deadline.
    ///
    /// By default it closes the inner sink and returns that sink's report. Several inner sinks are closed as one: all of them are
    /// told first, those that drain by themselves before the others, and the report names each by its number. With no inner sink there
    /// is nothing to do.
    ///
    /// A bus or a tee that closes several sinks tells all of them first: there, the report of a queue also carries what is still to be
    /// waited for, and a bus may call this on a thread of its own.
    ///
    /// Everything in this crate that waits in a close stops at the deadline. A sink of your own gets the deadline, and no call is
    /// interrupted: a wrapper borrows its inner sink, so it calls that sink's `close_by` on the calling thread (a tee and a retry may
    /// call one of two sinks on another thread), and returns when the inner sink does. The same holds for
    /// [`flush_by`](Self::flush_by). To keep a limit also for a sink that ignores it, close or flush a [`Bus`](crate::Bus) or a
    /// [`Queue`](crate::Queue) upstream: these call the sink on another thread, and leave a call that is overdue.
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

    /// Waits, until the deadline, until every event accepted so far was handled, and notes in the report how far that came.
    ///
    /// By default it flushes the inner sink, with this very report; several inner sinks are flushed as one, as they are
    /// [closed](Self::close_by). A wrapper that overrides it passes on the report, or
    /// [merges](FlushReport::merge) a report of its own into it: what is still to be waited for travels in there.
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

    /// Gives up waiting at once: a close has run past its deadline.
    ///
    /// By default it aborts each inner sink.
    ///
    /// # Examples
    /// A sink that waits for an answer, and stops when it is aborted:
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

    /// Writes out buffers: the worker upstream has forwarded every event that was waiting.
    ///
    /// By default each inner sink does.
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

    /// Tells the sink the time, and returns the moment at which it is to be called again at the latest; `None` if time means nothing
    /// to it.
    ///
    /// By default it calls each inner sink and returns the earliest of their moments. A wrapper that overrides it returns the earlier
    /// of its own moment and that of the inner sink.
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

    /// Returns `true` if the sink accepts no further events, as far as it knows.
    ///
    /// By default the inner sink answers; several inner sinks are closed when all of them are. A sink that names none and does not
    /// override it is open.
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

    /// Fills in the state that a snapshot shows.
    ///
    /// By default the inner sink does. Of several inner sinks only errors and retries are shown, because each counts for itself: the
    /// caller counts what enters here. A sink that keeps a [`Ledger`](crate::stats::Ledger) of its own sets a
    /// [`SinkKind`](crate::stats::SinkKind), and the caller counts no event of that sink.
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

    /// Checks the settings of this sink and of its inner sinks. Called once, where a sink is put to use: by
    /// [`Bus::add`](crate::Bus::add), and by a queue that is started with it.
    ///
    /// By default the first error of an inner sink.
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

    /// Returns the identity of the sink. Handles to one sink return the same; `None` is like no other.
    ///
    /// A wrapper does not have the identity of its inner sink.
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

    /// Makes a private lane for one publisher; `None` where events go through [`write`](Self::write).
    #[doc(hidden)]
    fn make_lane(&self, internal: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        let _ = internal;
        Ok(None)
    }

    /// Whether [`make_lane`](Self::make_lane) makes lanes. What such a sink does in `write` is only to put the event into a lane,
    /// so a bus lets it wait for room; every other sink is called as user code, inside of which nothing waits.
    #[doc(hidden)]
    fn makes_lanes(&self, internal: Internal) -> bool {
        let _ = internal;
        false
    }

    /// Names the ledgers in which events end that were [pending](Disposition::Pending) when this sink accepted them.
    #[doc(hidden)]
    fn add_ledgers(&self, list: &mut Ledgers, internal: Internal) {
        let _ = internal;
        inner::add_ledgers(self, list);
    }

    /// A batch upstream counts the events of its batches: this sink counts them, too. Called when the batch is made.
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

/// The identity of a sink: the allocation that its handles share.
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
    /// Returns the identity of everything that shares this `Arc`. Two of them that are alive share one allocation or have different
    /// identities, also if their values have no size.
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
        // The counts lie in front of the value, so the value's address is inside of the allocation or at its end: no value of
        // another `Arc` is there.
        Self(Arc::as_ptr(shared).cast::<()>().addr())
    }
}

/// A pointer to a sink is that sink: the controls reach it as the pointer's inner sink.
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
    };
}

impl<E, S: Sink<E> + ?Sized> Sink<E> for &S {
    point_to_sink!(|sink| (**sink).key());
}

impl<E, S: Sink<E> + ?Sized> Sink<E> for Box<S> {
    point_to_sink!(|sink| (**sink).key());
}

/// The sink of a bus, of which any thread may drop the last reference.
impl<E, S: Sink<E>> Sink<E> for Quiet<S> {
    point_to_sink!(|sink| (**sink).key());
}

/// Clones of one `Arc` are the same sink.
impl<E, S: Sink<E> + ?Sized> Sink<E> for Arc<S> {
    point_to_sink!(|sink| (**sink).key().or_else(|| Some(SinkKey::of(sink))));
}
