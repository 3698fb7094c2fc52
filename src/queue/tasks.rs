//! Waiting for a queue in a task: for room, for a flush, and for its end.

use super::{Queue, control};
use crate::error::WriteError;
use crate::mailbox::Mailbox;
use crate::sink::lane::RoomWait;
use crate::sink::{AsyncWrite, CloseAsync, FlushAsync, UntilClosed, WriteAsync};
use crate::stats::FlushReport;
use crate::time::Deadline;
use crate::wait::context::Wait;

impl<E: Send + 'static> Queue<E> {
    /// Returns a future that writes an event, and waits for room as a task.
    ///
    /// It waits where [`write`](crate::Sink::write) would block the thread, without a limit: bound it with
    /// the timer of the runtime. A queue that drops, evicts or refuses makes it wait for nothing.
    ///
    /// # Cancel safety
    /// The event is gone with a future that is dropped before it is ready. It is not in the queue.
    ///
    /// # Errors
    /// Those of [`write`](crate::Sink::write), with the event.
    ///
    /// # Panics
    /// If it is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Overflow, Queue};
    /// use futures::executor::block_on;
    /// let queue = Queue::builder().capacity(1).overflow(Overflow::Block).spawn(|n: u32| println!("{n}"))?;
    /// block_on(async {
    ///     for n in 0..10 {
    ///         queue.write_async(n).await.expect("the queue is open");
    ///     }
    ///     assert!(queue.close_async().await.is_done());
    /// });
    /// assert_eq!(queue.state().ledger.delivered, 10);
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    pub fn write_async(&self, event: E) -> WriteAsync<'_, E> {
        WriteAsync::new(self, event)
    }

    /// Returns a future that closes the queue, and waits until every accepted event was handled.
    ///
    /// It does not block the thread, and has no limit: bound it with the timer of the runtime, and
    /// then call [`close_timeout`](Self::close_timeout), which discards the backlog at its deadline.
    /// Inside a delivery it is ready at once, with [`Finish::Pending`](crate::stats::Finish::Pending).
    ///
    /// # Cancel safety
    /// The future may be dropped at any time. The queue is closed from the first poll on, and the
    /// worker drains it. A later close returns the same report.
    ///
    /// # Panics
    /// If it is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// use futures::executor::block_on;
    /// let queue = Queue::builder().spawn(|n: u32| println!("{n}"))?;
    /// queue.write(1)?;
    /// assert!(block_on(queue.close_async()).is_done());
    /// assert_eq!(queue.state().ledger.delivered, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_async(&self) -> CloseAsync {
        // Neither keeps the queue open.
        let (begun, ended) = (self.0.0.clone(), self.0.0.clone());
        CloseAsync::new(
            move || control::close(&begun, Deadline::NEVER, Wait::Deferred),
            move || control::close(&ended, Deadline::NOW, Wait::Here),
        )
    }

    /// Returns a future that waits until every event accepted before its first poll was handled and
    /// the handler has flushed.
    ///
    /// It does not block the thread, and has no limit: bound it with the timer of the runtime. Inside
    /// a delivery it is ready at once, with [`Finish::Pending`](crate::stats::Finish::Pending). It is ready with `Pending`, too, where
    /// a stage downstream of the worker holds events for a backoff
    /// ([`retry_by_key`](crate::SinkExt::retry_by_key)), or a batch for which there is no room: the
    /// worker continues with them.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time, and the queue flushed again.
    ///
    /// # Panics
    /// If it is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// use futures::executor::block_on;
    /// let queue = Queue::builder().spawn(|n: u32| println!("{n}"))?;
    /// queue.write(1)?;
    /// assert!(block_on(queue.flush_async()).is_done());
    /// assert_eq!(queue.state().ledger.delivered, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_async(&self) -> FlushAsync {
        let shared = self.0.0.clone();
        FlushAsync::new(move || {
            let mut report = FlushReport::default();
            control::flush(&shared, Deadline::NEVER, Wait::Deferred, &mut report);
            report
        })
    }

    /// Returns a future that is ready when the queue is closed: by a close, by an overflow, or by its
    /// handler. Accepted events may still be in it.
    ///
    /// The future does not keep the queue open. It may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use buslane::Queue;
    /// use futures::executor::block_on;
    /// let queue = Queue::builder().spawn(|n: u32| println!("{n}"))?;
    /// let closed = queue.closed();
    /// drop(queue);
    /// block_on(closed);
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    pub fn closed(&self) -> UntilClosed {
        UntilClosed::new(Mailbox::until_sealed(&self.0.0.mailbox))
    }
}

impl<E: Send + 'static> AsyncWrite<E, ()> for Queue<E> {
    fn attempt(&self, event: E) -> Result<(), WriteError<E>> {
        let shared = &*self.0.0;
        match &shared.route {
            None => shared.mailbox.write(event, Deadline::NOW),
            Some(route) => route.write(event, Deadline::NOW),
        }
        .map(drop)
    }

    fn may_wait(&self) -> bool {
        self.0.0.mailbox.may_make_wait()
    }

    fn full(&self, event: &E) -> Option<RoomWait> {
        let shared = &*self.0.0;
        match &shared.route {
            None => Mailbox::full(&shared.mailbox).map(RoomWait::new),
            Some(route) => route.full(event),
        }
    }
}
