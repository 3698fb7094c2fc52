//! Reading one entry at a time, with or without waiting.

use super::Subscriber;
use super::find::Found;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::journal::entry::{Entry, Sequence};
use crate::sync::parking::Unparker;
use crate::sync::{MODEL, spin_hint, thread};
use crate::time::Deadline;
use crate::wait::context::{UserCode, caught};
use crate::wait::strategy::Step;
use std::mem::needs_drop;
use std::time::{Duration, Instant};

impl<E: Send + Sync + 'static> Subscriber<E> {
    /// Calls `read` with a reference to the next event, if there is one, and takes it without a
    /// clone.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when no event is there, [`TryRecvError::Closed`] when the stream has
    /// ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::{Entry, Start};
    /// let journal = Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(Start::Now)?;
    /// journal.publish(vec![1, 2, 3])?;
    /// let entry = subscriber.try_recv_with(|numbers: &Vec<i32>| numbers.iter().sum::<i32>())?;
    /// assert_eq!(entry.event(), Some(6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_recv_with<R>(&mut self, read: impl FnOnce(&E) -> R) -> Result<Entry<R>, TryRecvError> {
        self.try_take(u64::MAX, read)
    }

    /// As [`try_recv_with`](Self::try_recv_with), but judges no event from position
    /// `end` on.
    #[inline]
    fn try_take<R>(&mut self, end: u64, read: impl FnOnce(&E) -> R) -> Result<Entry<R>, TryRecvError> {
        // The fast path: no bound, filter or gate applies.
        if self.reader.has_values() && self.is_plain {
            return Ok(self.take(read));
        }
        Ok(match self.find(end)?.ok_or(TryRecvError::Empty)? {
            Found::Event => {
                // A publish from user code on this thread must not wait for this same subscriber.
                let _here = self.gating.then(|| self.shared.crew.read());
                let entry = self.take(read);
                self.end_after_the_last();
                entry
            }
            Found::Lagged(events) => Entry::Lagged(events),
            Found::Panicked(sequence) => Entry::Panicked(sequence),
        })
    }

    /// Takes the next event, which is known to be there.
    #[inline(always)]
    fn take<R>(&mut self, read: impl FnOnce(&E) -> R) -> Entry<R> {
        let position = self.reader.position();
        let sequence = Sequence::new(position);
        match self.reader.take(|_, event| caught(|| read(event))) {
            Ok(seen) => {
                self.delivered += 1;
                self.seat.delivered(self.delivered, position + 1);
                Entry::Event(sequence, seen)
            }
            Err(_) => {
                self.went_past_a_panic();
                Entry::Panicked(sequence)
            }
        }
    }

    /// Takes the next entry if there is one, without waiting.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when no event is there, [`TryRecvError::Closed`] when the stream has
    /// ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::error::TryRecvError;
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// assert_eq!(subscriber.try_recv(), Err(TryRecvError::Empty));
    /// journal.publish(7)?;
    /// assert_eq!(subscriber.try_recv()?.event(), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_recv(&mut self) -> Result<Entry<E>, TryRecvError>
    where
        E: Clone,
    {
        self.try_recv_before(u64::MAX)
    }

    /// As [`try_recv`](Self::try_recv), but judges no event from position `end` on.
    #[inline]
    pub(super) fn try_recv_before(&mut self, end: u64) -> Result<Entry<E>, TryRecvError>
    where
        E: Clone,
    {
        if needs_drop::<E>() && self.gating {
            // The clone is user code, in which nothing waits: publishers wait for this subscriber,
            // so a publish in there would wait for itself. The clone of an event without a
            // destructor is assumed to be a mere copy.
            return self.try_take(end, |event| {
                let _user_code = UserCode::enter();
                event.clone()
            });
        }
        self.try_take(end, E::clone)
    }

    /// Takes the next entry, waiting for it by the [wait
    /// strategy](crate::journal::Subscription::wait_strategy).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may consume an
    /// `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvError::Closed`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::{Entry, Start};
    /// let journal = Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(Start::Now)?;
    /// let reader = std::thread::spawn(move || subscriber.recv());
    /// let sequence = journal.publish(7)?;
    /// assert_eq!(reader.join().unwrap()?, Entry::Event(sequence, 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn recv(&mut self) -> Result<Entry<E>, RecvError>
    where
        E: Clone,
    {
        self.linger_when_dry();
        loop {
            match self.try_recv() {
                Ok(entry) => return Ok(entry),
                Err(TryRecvError::Empty) => self.wait(None),
                Err(TryRecvError::Closed | TryRecvError::Overflowed) => return Err(RecvError::Closed),
            }
        }
    }

    /// Takes the next entry, waiting for at most `limit`.
    ///
    /// A limit of zero is the same as [`try_recv`](Self::try_recv).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may consume an
    /// `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when no event arrived in time, [`RecvTimeoutError::Closed`]
    /// when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::error::RecvTimeoutError;
    /// use std::time::Duration;
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// assert_eq!(subscriber.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// journal.publish(7)?;
    /// assert!(subscriber.recv_timeout(Duration::from_secs(1)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Entry<E>, RecvTimeoutError>
    where
        E: Clone,
    {
        self.recv_until(Deadline::after(limit))
    }

    /// Takes the next entry, waiting at most until the given instant.
    ///
    /// An instant in the past is the same as [`try_recv`](Self::try_recv).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may consume an
    /// `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when no event arrived in time, [`RecvTimeoutError::Closed`]
    /// when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// journal.publish(7)?;
    /// let over = std::time::Instant::now();
    /// assert!(subscriber.recv_deadline(over).is_ok());
    /// assert_eq!(subscriber.recv_deadline(over), Err(buslane::error::RecvTimeoutError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_deadline(&mut self, moment: Instant) -> Result<Entry<E>, RecvTimeoutError>
    where
        E: Clone,
    {
        self.recv_until(Deadline::at(moment))
    }

    fn recv_until(&mut self, deadline: Deadline) -> Result<Entry<E>, RecvTimeoutError>
    where
        E: Clone,
    {
        self.linger_when_dry();
        loop {
            // The clock is read before the attempt, so that a thread woken at its deadline still
            // polls once.
            let left = deadline.remaining();
            match self.try_recv() {
                Ok(entry) => return Ok(entry),
                Err(TryRecvError::Closed | TryRecvError::Overflowed) => return Err(RecvTimeoutError::Closed),
                Err(TryRecvError::Empty) if left.is_some_and(|left| left.is_zero()) => {
                    return Err(RecvTimeoutError::Timeout);
                }
                Err(TryRecvError::Empty) => self.wait(left),
            }
        }
    }

    /// Under a fast flow, pauses briefly after every event was taken, so that subscriber and
    /// publisher do not contend for the same cache lines.
    #[inline]
    pub(super) fn linger_when_dry(&mut self) {
        if self.reader.is_dry() && !MODEL {
            let position = self.reader.position();
            let taken = position.saturating_sub(self.lingered_at) as usize;
            self.lingered_at = position;
            self.linger.ran_dry(taken, self.shared.source.capacity());
        }
    }

    /// Waits by the wait strategy, for at most `limit`. May return spuriously.
    #[cold]
    pub(super) fn wait(&mut self, limit: Option<Duration>) {
        self.wait_beside(&Unparker::current(), limit, || false);
    }

    /// Waits for news of the journal like [`wait`](Self::wait), or until another thread unparks
    /// `thread`, which is a handle of the calling thread, or `ready` returns `true`.
    #[cold]
    pub(crate) fn wait_beside(
        &mut self,
        thread: &Unparker,
        limit: Option<Duration>,
        ready: impl Fn() -> bool,
    ) {
        let limit = match (limit, self.bounds.remaining()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.linger.found_nothing();
        // Whatever the strategy, this thread replaces a task that waited on this subscriber before.
        self.cancel();
        let position = self.reader.position();
        let taken = position.saturating_sub(self.waited_at);
        if taken > 0 {
            self.idler.found(taken as usize);
            self.waited_at = position;
        }
        let Self { idler, shared, seat, reader, berth, .. } = self;
        match idler.step(shared.source.capacity(), Instant::now) {
            Step::Spin => spin_hint(),
            Step::Yield => thread::yield_now(),
            Step::Nap(nap) => {
                let nap = limit.map_or(nap, |limit| limit.min(nap));
                seat.cell.nap_unless(nap, || reader.has_news() || ready());
            }
            Step::Park => {
                shared.sleepers.park_as(thread, berth, limit, || reader.has_news() || ready());
            }
        }
    }
}
