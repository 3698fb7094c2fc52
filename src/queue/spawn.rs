//! Starting a queue and its workers, upstream of closures, handlers or sinks.

use super::builder::QueueBuilder;
use super::flush::FlushRequests;
use super::handler::{FnWork, Handler, HandlerWork, InnerLedgers, SinkWork, Work, as_user_code};
use super::partition::Route;
use super::worker::{Hooks, Worker};
use super::{Handle, Queue, QueueCore, Tell, WorkersEnd};
use crate::error::{ConfigError, Invalid, SpawnError};
use crate::mailbox::Mailbox;
use crate::mailbox::intake::Intake;
use crate::mailbox::member::Member;
use crate::mailbox::reader::Reader;
use crate::sink::control::{Control, ledgers_of, validated};
use crate::sink::function::Outcome;
use crate::sink::{Inner, Sink};
use crate::stats::{CloseReport, Identity, Ledgers};
use crate::sync::{self, Mutex, thread};
use std::sync::{Arc, Weak};

/// The most workers of one queue.
const MOST_WORKERS: usize = 1024;

impl<E: Send + 'static> QueueBuilder<E> {
    /// Starts the queue with a closure that returns nothing or a result.
    ///
    /// # Errors
    /// Returns a [`SpawnError`] when a setting is invalid, more than one worker is set, the memory
    /// cannot be allocated, or the system cannot start a thread.
    ///
    /// # Examples
    /// An error counts as `failed`, and the worker continues:
    /// ```
    /// use buslane::{Queue, Sink};
    /// let queue = Queue::builder().spawn(|text: &'static str| text.parse::<u32>().map(drop))?;
    /// for text in ["1", "two", "3"] {
    ///     queue.write(text)?;
    /// }
    /// assert!(queue.close().is_done());
    /// let ledger = queue.state().ledger;
    /// assert_eq!((ledger.delivered, ledger.dropped.failed), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn<R: Outcome + 'static>(
        self,
        function: impl FnMut(E) -> R + Send + 'static,
    ) -> Result<Queue<E>, SpawnError> {
        self.start_one(FnWork::new(function))
    }

    /// Starts the queue with a closure for each worker.
    ///
    /// The calling thread calls `make` with the number of each worker, from 0, before any worker
    /// starts.
    ///
    /// # Errors
    /// Returns a [`SpawnError`] when a setting is invalid, the memory cannot be allocated, or the
    /// system cannot start a thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let total = Arc::new(AtomicU64::new(0));
    /// let queue = Queue::builder().workers(3).spawn_each(|_worker| {
    ///     let total = total.clone();
    ///     move |n: u64| {
    ///         total.fetch_add(n, Ordering::Relaxed);
    ///     }
    /// })?;
    /// for n in 1..=100 {
    ///     queue.write(n)?;
    /// }
    /// assert!(queue.close().is_done());
    /// assert_eq!(total.load(Ordering::Relaxed), 5050);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_each<R, F>(self, make: impl FnMut(usize) -> F) -> Result<Queue<E>, SpawnError>
    where
        R: Outcome + 'static,
        F: FnMut(E) -> R + Send + 'static,
    {
        let workers = self.check()?;
        self.start((0..workers).map(as_user_code(make)).map(FnWork::new).collect(), workers, None)
    }

    /// Starts the queue with a handler.
    ///
    /// # Errors
    /// Returns a [`SpawnError`] when a setting is invalid, more than one worker is set, the memory
    /// cannot be allocated, or the system cannot start a thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue, Sink};
    /// use buslane::queue::Handler;
    /// use std::sync::mpsc::{Sender, channel};
    /// struct Sum(u64, Sender<u64>);
    /// impl Handler<u64> for Sum {
    ///     fn handle(&mut self, event: u64) -> Result<(), BoxError> {
    ///         self.0 += event;
    ///         Ok(())
    ///     }
    ///     fn close(&mut self) -> Result<(), BoxError> {
    ///         Ok(self.1.send(self.0)?)
    ///     }
    /// }
    /// let (sender, sum) = channel();
    /// let queue = Queue::builder().spawn_handler(Sum(0, sender))?;
    /// queue.write(40)?;
    /// queue.write(2)?;
    /// assert!(queue.close().is_done());
    /// assert_eq!(sum.recv()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_handler(self, handler: impl Handler<E>) -> Result<Queue<E>, SpawnError> {
        self.start_one(HandlerWork(handler))
    }

    /// Starts the queue with a handler for each worker.
    ///
    /// The calling thread calls `make` with the number of each worker, from 0, before any worker
    /// starts. When the queue is flushed or closed, each worker flushes or closes its own handler.
    ///
    /// # Errors
    /// Returns a [`SpawnError`] when a setting is invalid, the memory cannot be allocated, or the
    /// system cannot start a thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue, Sink};
    /// use buslane::queue::Handler;
    /// use std::sync::mpsc::{Sender, channel};
    /// struct Part { worker: usize, sum: u64, sender: Sender<(usize, u64)> }
    /// impl Handler<u64> for Part {
    ///     fn handle(&mut self, event: u64) -> Result<(), BoxError> {
    ///         self.sum += event;
    ///         Ok(())
    ///     }
    ///     fn close(&mut self) -> Result<(), BoxError> {
    ///         Ok(self.sender.send((self.worker, self.sum))?)
    ///     }
    /// }
    /// let (sender, parts) = channel();
    /// let make = |worker| Part { worker, sum: 0, sender: sender.clone() };
    /// let queue = Queue::builder().workers(2).spawn_each_handler(make)?;
    /// queue.write(40)?;
    /// queue.write(2)?;
    /// assert!(queue.close().is_done());
    /// assert_eq!(parts.iter().take(2).map(|(_worker, sum)| sum).sum::<u64>(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_each_handler<H: Handler<E>>(
        self,
        make: impl FnMut(usize) -> H,
    ) -> Result<Queue<E>, SpawnError> {
        let workers = self.check()?;
        self.start((0..workers).map(as_user_code(make)).map(HandlerWork).collect(), workers, None)
    }

    /// Starts the queue with a sink for each worker.
    ///
    /// The calling thread calls `make` with the number of each worker, from 0, before any worker
    /// starts.
    ///
    /// Each worker writes to its own sink, flushes it and closes it, so the sinks share nothing:
    /// with a [`batch`](crate::SinkExt::batch) for each worker, batches are sent in parallel. When
    /// one of the sinks reports that it is closed, the queue closes.
    ///
    /// # Errors
    /// Returns a [`SpawnError`] when a setting is invalid, the memory cannot be allocated, or the
    /// system cannot start a thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Queue, Sink, SinkExt};
    /// let (batches, mut receiver) = Channel::lossy(64)?;
    /// let queue = Queue::builder()
    ///     .workers(2)
    ///     .spawn_each_sink(|_worker| batches.clone().batch(10))?;
    /// for n in 0..100 {
    ///     queue.write(n)?;
    /// }
    /// assert!(queue.close().is_done());
    /// assert_eq!(receiver.drain().map(|batch| batch.len()).sum::<usize>(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_each_sink<S: Sink<E> + 'static>(
        self,
        make: impl FnMut(usize) -> S,
    ) -> Result<Queue<E>, SpawnError> {
        let workers = self.check()?;
        let sinks: Vec<_> = (0..workers).map(as_user_code(make)).map(Arc::new).collect();
        let works = sinks.iter().flat_map(|sink| SinkWork::of(sink, 1)).collect();
        self.start_sinks(&sinks, works, workers)
    }

    /// Starts the queue with one sink, to which all workers write.
    ///
    /// When that sink reports that it is closed, the queue closes.
    ///
    /// With several workers, one of them flushes the sink when the queue is flushed, each of them
    /// calls its [`tick`](Sink::tick), and the last worker to end closes it.
    ///
    /// # Errors
    /// Returns a [`SpawnError`] when a setting is invalid, the memory cannot be allocated, or the
    /// system cannot start a thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Queue, Sink, SinkExt};
    /// use buslane::error::RecvError;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let queue = Queue::builder().name("tens").spawn_sink(channel.map(|n: &u32| n * 10))?;
    /// queue.write(7)?;
    /// assert!(queue.close().is_done()); // and so is the inner sink
    /// assert_eq!((receiver.recv(), receiver.recv()), (Ok(70), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_sink(self, inner: impl Sink<E> + 'static) -> Result<Queue<E>, SpawnError> {
        let workers = self.check()?;
        let sinks = [Arc::new(inner)];
        let works = SinkWork::of(&sinks[0], workers);
        self.start_sinks(&sinks, works, 1)
    }

    fn start_sinks<S: Sink<E> + 'static>(
        self,
        sinks: &[Arc<S>],
        works: Vec<SinkWork<S>>,
        handlers: usize,
    ) -> Result<Queue<E>, SpawnError> {
        sinks.iter().try_for_each(|sink| validated(&**sink))?;
        // Weak, so that a worker drops its sink when the worker ends, rather than with the last
        // handle of the queue.
        let downstream: Vec<_> = sinks.iter().map(Arc::downgrade).collect();
        let tell = move |control: &mut dyn FnMut(&dyn Control)| {
            for sink in downstream.iter().filter_map(Weak::upgrade) {
                Inner::new(control).caught::<E>(&*sink, &drop);
            }
        };
        let mut all = Ledgers::default();
        sinks.iter().for_each(|sink| all.join(ledgers_of(&**sink)));
        let inner = InnerLedgers::new(all, &works);
        self.start(works, handlers, Some((Box::new(tell), inner)))
    }

    /// Checks the settings, and returns the number of workers.
    fn check(&self) -> Result<usize, ConfigError> {
        if self.max_batch == 0 {
            return Err(Invalid::ZeroBatch.into());
        }
        if let Some(invalid) = Invalid::nul_in_name(&self.name) {
            return Err(invalid.into());
        }
        match self.workers {
            0 => Err(Invalid::ZeroWorkers.into()),
            1..=MOST_WORKERS => Ok(self.workers),
            asked => Err(Invalid::TooManyWorkers { asked, most: MOST_WORKERS }.into()),
        }
    }

    fn start_one(self, work: impl Work<E>) -> Result<Queue<E>, SpawnError> {
        match self.check()? {
            1 => self.start(vec![work], 1, None),
            workers => Err(Invalid::OneHandler { workers }.into()),
        }
    }

    /// Starts a worker for each element of `works`; `handlers` is the number of handlers that a
    /// flush asks.
    fn start<W: Work<E>>(
        mut self,
        works: Vec<W>,
        handlers: usize,
        inner: Option<(Tell, InnerLedgers)>,
    ) -> Result<Queue<E>, SpawnError> {
        let workers = works.len();
        let key = self.key.take().filter(|_| workers > 1);
        if let Some(key) = key {
            let parts = (0..workers).map(|_| Reader::open(self.mailbox.clone()));
            let (mailboxes, readers): (Vec<_>, Vec<_>) =
                parts.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            let route = Some(Route::new(mailboxes.clone(), key));
            self.launch(mailboxes[0].clone(), route, works.into_iter().zip(readers), handlers, inner)
        } else if workers > 1 {
            let (mailbox, first) = Member::open(self.mailbox.clone())?;
            let mut members: Vec<_> = (1..workers).map(|_| first.another()).collect();
            members.push(first);
            self.launch(mailbox, None, works.into_iter().zip(members), handlers, inner)
        } else {
            let (mailbox, reader) = Reader::open(self.mailbox.clone())?;
            self.launch(mailbox, None, works.into_iter().zip([reader]), handlers, inner)
        }
    }

    fn launch<W: Work<E>, I: Intake<E>>(
        self,
        mailbox: sync::Arc<Mailbox<E>>,
        route: Option<Arc<Route<E>>>,
        workers: impl ExactSizeIterator<Item = (W, I)>,
        handlers: usize,
        inner: Option<(Tell, InnerLedgers)>,
    ) -> Result<Queue<E>, SpawnError> {
        let count = workers.len();
        let (tell, inner) = inner.unzip();
        let shared = Arc::new(QueueCore {
            mailbox,
            route,
            // Each worker has its own flush requests, or all workers share one list.
            flush_requests: (0..handlers).map(|_| FlushRequests::new(count / handlers)).collect(),
            // Stays `None` if no caller closes the queue and its last handle is dropped.
            close_deadline: Mutex::new(None),
            ending: Mutex::new(WorkersEnd { working: vec![true; count], report: CloseReport::default() }),
            report: Mutex::new(None),
            identity: Identity::new(),
            tell,
            inner,
        });
        let hooks = Hooks {
            max_batch: self.max_batch,
            close_after_panics: self.close_after_panics,
            on_error: self.on_error,
        };
        for (number, (work, intake)) in workers.enumerate() {
            let name = if count > 1 { format!("{}-{number}", self.name) } else { self.name.clone() };
            let worker = Worker::new(shared.clone(), number, intake, work, hooks.clone());
            if let Err(error) = thread::spawn_named(name, move || worker.run()) {
                // The workers that already run find the mailboxes sealed, and end.
                shared.seal();
                return Err(SpawnError::Thread(error));
            }
        }
        Ok(Queue(Arc::new(Handle(shared))))
    }
}
