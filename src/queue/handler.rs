//! The closures, handlers and sinks that a queue's workers call.

#[cfg(test)]
mod models;

use crate::error::{BoxError, WriteError};
use crate::sink::Sink;
use crate::sink::function::Outcome;
use crate::stats::{CloseReport, Disposition, FlushReport, Ledgers, Passage};
use crate::sync::{self, AtomicUsize, Ordering};
use crate::time::Deadline;
use crate::wait::context::{UserCode, error_text};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

/// The stateful consumer of a [`Queue`](crate::Queue), for work that needs more than a closure.
///
/// The one worker thread calls all methods; of several workers, each has its own handler. An error
/// is counted, kept for the snapshot and passed to the queue's `on_error` hook; the worker
/// continues.
///
/// # Examples
/// ```
/// use buslane::{BoxError, Queue};
/// use buslane::queue::Handler;
/// use std::io::Write;
///
/// /// Writes a line for each event and flushes once per batch.
/// struct Lines(std::io::BufWriter<Vec<u8>>);
///
/// impl Handler<u32> for Lines {
///     fn handle(&mut self, event: u32) -> Result<(), BoxError> {
///         Ok(writeln!(self.0, "{event}")?)
///     }
///
///     fn end_of_batch(&mut self) -> Result<(), BoxError> {
///         Ok(self.0.flush()?)
///     }
/// }
///
/// let queue = Queue::builder().spawn_handler(Lines(std::io::BufWriter::new(Vec::new())))?;
/// # let _ = queue;
/// # Ok::<(), buslane::error::SpawnError>(())
/// ```
pub trait Handler<E>: Send + 'static {
    /// Handles one event.
    ///
    /// # Errors
    /// Any error of the handler; the event then counts as `failed`.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue, Sink};
    /// use buslane::queue::Handler;
    /// use std::sync::mpsc::{Sender, channel};
    /// struct Parse(Sender<u32>);
    /// impl Handler<&'static str> for Parse {
    ///     fn handle(&mut self, event: &'static str) -> Result<(), BoxError> {
    ///         Ok(self.0.send(event.parse()?)?)
    ///     }
    /// }
    /// let (sender, numbers) = channel();
    /// let queue = Queue::builder().spawn_handler(Parse(sender))?;
    /// queue.write("seven")?;
    /// queue.write("7")?;
    /// assert!(queue.close().is_done());
    /// assert_eq!((numbers.recv()?, queue.state().ledger.dropped.failed), (7, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn handle(&mut self, event: E) -> Result<(), BoxError>;

    /// Ends a batch: the worker has handled every waiting event, or `max_batch` events.
    ///
    /// This is where a handler flushes its buffers.
    ///
    /// # Errors
    /// Any error of the handler.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue, Sink};
    /// use buslane::queue::Handler;
    /// use std::sync::mpsc::{Sender, channel};
    /// struct Lines { buffer: String, file: Sender<String> }
    /// impl Handler<u32> for Lines {
    ///     fn handle(&mut self, event: u32) -> Result<(), BoxError> {
    ///         self.buffer += &format!("{event}\n");
    ///         Ok(())
    ///     }
    ///     fn end_of_batch(&mut self) -> Result<(), BoxError> {
    ///         Ok(self.file.send(std::mem::take(&mut self.buffer))?)
    ///     }
    /// }
    /// let (file, written) = channel();
    /// let queue = Queue::builder().spawn_handler(Lines { buffer: String::new(), file })?;
    /// queue.write(1)?;
    /// queue.write(2)?;
    /// assert!(queue.close().is_done());
    /// assert_eq!(written.iter().collect::<String>(), "1\n2\n"); // in one piece or two
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Does periodic work, and returns the time of the next call.
    ///
    /// The worker calls it:
    /// - when the worker starts;
    /// - after each batch and each flush;
    /// - no later than the time that the previous call returned; `None`, the default, means after
    ///   the next batch or flush.
    ///
    /// After a panic it is called again within 100 ms.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue};
    /// use buslane::queue::Handler;
    /// use std::{sync::mpsc::{Sender, channel}, time::{Duration, Instant}};
    /// struct Heart(Sender<Instant>);
    /// impl Handler<u32> for Heart {
    /// #   fn handle(&mut self, _: u32) -> Result<(), BoxError> { Ok(()) }
    ///     fn tick(&mut self, now: Instant) -> Option<Instant> {
    ///         let _ = self.0.send(now);
    ///         Some(now + Duration::from_millis(1))
    ///     }
    /// }
    /// let (sender, beats) = channel();
    /// let queue = Queue::builder().spawn_handler(Heart(sender))?;
    /// assert!(beats.recv()? <= beats.recv()?); // and so on, without any event
    /// # drop(queue);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn tick(&mut self, now: Instant) -> Option<Instant> {
        let _ = now;
        None
    }

    /// Flushes what the handler holds, when the queue is flushed and every event accepted before
    /// the flush was handled.
    ///
    /// By default this calls [`end_of_batch`](Self::end_of_batch).
    ///
    /// # Errors
    /// Any error of the handler, or work that did not end before the deadline.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue};
    /// use buslane::queue::Handler;
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// struct Disk;
    /// impl Handler<u32> for Disk {
    /// #   fn handle(&mut self, _: u32) -> Result<(), BoxError> { Ok(()) }
    ///     fn flush(&mut self, _deadline: Deadline) -> Result<(), BoxError> {
    ///         Err("no space left".into())
    ///     }
    /// }
    /// let queue = Queue::builder().name("disk").spawn_handler(Disk)?;
    /// let report = queue.flush_timeout(Duration::from_secs(60));
    /// assert!(report.errors[0].ends_with("no space left"));
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    fn flush(&mut self, deadline: Deadline) -> Result<(), BoxError> {
        let _ = deadline;
        self.end_of_batch()
    }

    /// Closes the handler; called once, after the last event.
    ///
    /// # Errors
    /// Any error of the handler; the report of the close contains it.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue};
    /// use buslane::queue::Handler;
    /// struct Disk;
    /// impl Handler<u32> for Disk {
    /// #   fn handle(&mut self, _: u32) -> Result<(), BoxError> { Ok(()) }
    ///     fn close(&mut self) -> Result<(), BoxError> {
    ///         Err("no space left".into())
    ///     }
    /// }
    /// let queue = Queue::builder().spawn_handler(Disk)?;
    /// assert!(queue.close().errors[0].ends_with("no space left"));
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    fn close(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// An error of a handler, with the event if the handler returned it.
pub(crate) struct Unhandled<E> {
    pub(super) event: Option<E>,
    pub(super) source: BoxError,
    /// The handler accepts no further events.
    pub(super) closed: bool,
}

/// The interface of closures, handlers and sinks towards the worker.
pub(crate) trait Work<E>: Send + 'static {
    /// Whether the worker reads the clock for ticks.
    const TICKS: bool;

    fn handle(&mut self, event: E) -> Result<Disposition, Unhandled<E>>;

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Option<Instant> {
        let _ = now;
        None
    }

    fn flush(&mut self, deadline: Deadline) -> Result<FlushReport, BoxError> {
        let _ = deadline;
        Ok(FlushReport::default())
    }

    fn close(&mut self, deadline: Deadline) -> CloseReport {
        let _ = deadline;
        CloseReport::done()
    }
}

/// Wraps the function that makes handlers, so that it runs as user code and never waits.
pub(super) fn as_user_code<T>(mut make: impl FnMut(usize) -> T) -> impl FnMut(usize) -> T {
    move |number| {
        let _user_code = UserCode::enter();
        make(number)
    }
}

fn unhandled<E>(source: BoxError) -> Unhandled<E> {
    Unhandled { event: None, source, closed: false }
}

pub(super) struct FnWork<R, F>(F, PhantomData<fn() -> R>);

impl<R, F> FnWork<R, F> {
    pub(super) fn new(function: F) -> Self {
        Self(function, PhantomData)
    }
}

impl<E, R: Outcome + 'static, F: FnMut(E) -> R + Send + 'static> Work<E> for FnWork<R, F> {
    const TICKS: bool = false;

    #[inline(always)]
    fn handle(&mut self, event: E) -> Result<Disposition, Unhandled<E>> {
        (self.0)(event).into_result().map(|()| Disposition::Delivered).map_err(unhandled)
    }
}

pub(super) struct HandlerWork<H>(pub(super) H);

impl<E, H: Handler<E>> Work<E> for HandlerWork<H> {
    const TICKS: bool = true;

    #[inline]
    fn handle(&mut self, event: E) -> Result<Disposition, Unhandled<E>> {
        self.0.handle(event).map(|()| Disposition::Delivered).map_err(unhandled)
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        self.0.end_of_batch()
    }

    fn tick(&mut self, now: Instant) -> Option<Instant> {
        self.0.tick(now)
    }

    fn flush(&mut self, deadline: Deadline) -> Result<FlushReport, BoxError> {
        let _user_code = UserCode::enter();
        self.0.flush(deadline).map(|()| FlushReport::default())
    }

    fn close(&mut self, _deadline: Deadline) -> CloseReport {
        let _user_code = UserCode::enter();
        self.0.close().map_or_else(CloseReport::failed, |()| CloseReport::done())
    }
}

/// The inner sink of one worker, or of several workers that share it.
pub(crate) struct SinkWork<S> {
    sink: Arc<S>,
    /// The number of workers that have not ended. The last one closes the sink: the others may
    /// still have events for it.
    working: sync::Arc<AtomicUsize>,
    /// Counts the events that this worker has offered to the sink.
    passage: Arc<Passage>,
}

/// What the handles of a queue know about the inner sink, even after it was dropped. Reading it
/// calls no user code.
pub(crate) struct InnerLedgers {
    ledgers: Ledgers,
    passages: Vec<Arc<Passage>>,
}

impl InnerLedgers {
    pub(super) fn new<S>(ledgers: Ledgers, works: &[SinkWork<S>]) -> Self {
        Self { ledgers, passages: works.iter().map(|work| work.passage.clone()).collect() }
    }

    pub(super) fn ledgers(&self) -> &Ledgers {
        &self.ledgers
    }

    /// Returns the number of events that the sink did not keep, of each passage. It is read before
    /// the sink's ledgers.
    pub(super) fn decided(&self) -> Vec<u64> {
        self.passages.iter().map(|passage| passage.decided()).collect()
    }

    /// Returns an upper bound of the events that the sink may have kept. It is read after the
    /// sink's ledgers, and `decided` before them.
    pub(super) fn kept_at_most(&self, decided: &[u64]) -> u64 {
        self.passages.iter().zip(decided).map(|(passage, decided)| passage.kept_at_most(*decided)).sum()
    }
}

impl<S> SinkWork<S> {
    /// Returns the work of each of `workers` workers that share `sink`.
    pub(crate) fn of(sink: &Arc<S>, workers: usize) -> Vec<Self> {
        let working = sync::Arc::new(AtomicUsize::new(workers));
        let work = |_| Self { sink: sink.clone(), working: working.clone(), passage: Arc::default() };
        (0..workers).map(work).collect()
    }
}

impl<E: Send + 'static, S: Sink<E> + 'static> Work<E> for SinkWork<S> {
    const TICKS: bool = true;

    fn handle(&mut self, event: E) -> Result<Disposition, Unhandled<E>> {
        self.passage.offer_single(|| self.sink.offer(event)).map_err(|error| {
            let closed = error.is_closed();
            let text = error_text(&error);
            match error {
                WriteError::Failed { event, source } => Unhandled { event: Some(event), source, closed },
                other => Unhandled { event: Some(other.into_event()), source: text.into(), closed },
            }
        })
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        self.sink.end_of_batch();
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Option<Instant> {
        // Each worker calls this: then only the worker that wrote an event has to be awake in time
        // for it.
        self.sink.tick(now)
    }

    // The next two methods do not run inside a delivery: the inner sink may be a queue that has to
    // be waited for. The calls come from outside, with a deadline.

    fn flush(&mut self, deadline: Deadline) -> Result<FlushReport, BoxError> {
        let mut report = FlushReport::default();
        self.sink.end_of_batch();
        self.sink.flush_by(deadline, &mut report);
        Ok(report)
    }

    fn close(&mut self, deadline: Deadline) -> CloseReport {
        // ORD(work.working): AcqRel; pairs with itself: what the other workers wrote is visible to
        // the sink's close.
        let last = self.working.fetch_sub(1, Ordering::AcqRel) == 1;
        if last { self.sink.close_by(deadline) } else { CloseReport::done() }
    }
}
