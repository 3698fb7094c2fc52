//! Sinks made from a function, and a sink that accepts every event and does nothing.

use super::base::Sink;
use crate::error::{BoxError, WriteError};
use crate::stats::CloseReport;
use crate::sync::{AtomicBool, Ordering};
use crate::time::Deadline;
use std::fmt;
use std::marker::PhantomData;

/// The return type of a closure that handles events: nothing, or a result.
///
/// # Examples
/// ```
/// use buslane::sink::Outcome;
/// assert!(().into_result().is_ok());
/// assert!(Err::<(), _>("no").into_result().is_err());
/// ```
pub trait Outcome {
    /// Converts the value into a result with a boxed error.
    ///
    /// # Errors
    /// The error that the closure returned.
    ///
    /// # Examples
    /// ```
    /// use buslane::sink::Outcome;
    /// let parsed = "seven".parse::<u32>().map(drop);
    /// assert!(parsed.into_result().is_err_and(|error| error.is::<std::num::ParseIntError>()));
    /// ```
    fn into_result(self) -> Result<(), BoxError>;
}

impl Outcome for () {
    #[inline(always)]
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<X: Into<BoxError>> Outcome for Result<(), X> {
    #[inline(always)]
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// A sink that calls a function on the publishing thread; made by [`sink_fn`].
///
/// # Examples
/// ```
/// use buslane::{Sink, WriteError, sink_fn};
/// let picky = sink_fn(|n: &u32| if *n > 1 { Err("too much") } else { Ok(()) });
/// assert!(picky.write(1).is_ok());
/// assert!(matches!(picky.write(2), Err(WriteError::Failed { event: 2, .. })));
/// ```
pub struct SinkFn<E, F> {
    function: F,
    closed: AtomicBool,
    events: PhantomData<fn(E)>,
}

/// Returns a sink that calls `function` with each event, on the publishing thread.
///
/// # Guarantees
/// The function may run on several threads at once. The publisher waits for it: put a
/// [`Queue`](crate::Queue) upstream of work that takes longer than a few hundred nanoseconds.
///
/// The function borrows the event, so that a failing call can give the event back.
///
/// # Examples
/// ```
/// let bus = buslane::Bus::new();
/// bus.add(buslane::sink_fn(|event: &u32| println!("{event}")))?;
/// bus.publish(7)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sink_fn<E, R: Outcome, F: Fn(&E) -> R + Send + Sync>(function: F) -> SinkFn<E, F> {
    SinkFn { function, closed: AtomicBool::new(false), events: PhantomData }
}

impl<E, R: Outcome, F: Fn(&E) -> R + Send + Sync> Sink<E> for SinkFn<E, F> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        // Relaxed: a write that is ordered after the close by other means sees the flag, and no
        // other write needs to.
        if self.closed.load(Ordering::Relaxed) {
            return Err(WriteError::Closed(event));
        }
        match (self.function)(&event).into_result() {
            Ok(()) => Ok(()),
            Err(source) => Err(WriteError::Failed { event, source }),
        }
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.closed.store(true, Ordering::Relaxed);
        CloseReport::done()
    }

    fn reports_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl<E, F> fmt::Debug for SinkFn<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkFn").finish_non_exhaustive()
    }
}

/// A sink that accepts every event and does nothing; made by [`noop`].
///
/// # Examples
/// ```
/// use buslane::{noop, Sink};
/// use buslane::time::Deadline;
/// let sink = noop();
/// assert!(sink.write(7).is_ok());
/// assert!(sink.close_by(Deadline::NOW).is_done());
/// assert!(sink.write(7).is_err());
/// ```
pub struct Noop<E> {
    closed: AtomicBool,
    events: PhantomData<fn(E)>,
}

/// Returns a sink that accepts every event and does nothing.
///
/// # Examples
/// ```
/// use buslane::Sink;
/// assert!(buslane::noop::<u32>().write(1).is_ok());
/// ```
#[must_use]
pub fn noop<E>() -> Noop<E> {
    Noop { closed: AtomicBool::new(false), events: PhantomData }
}

impl<E> Default for Noop<E> {
    fn default() -> Self {
        noop()
    }
}

impl<E> Sink<E> for Noop<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(WriteError::Closed(event));
        }
        drop(event);
        Ok(())
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.closed.store(true, Ordering::Relaxed);
        CloseReport::done()
    }

    fn reports_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl<E> fmt::Debug for Noop<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noop")
    }
}
