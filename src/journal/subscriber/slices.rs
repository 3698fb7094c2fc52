//! Reading many events at once, in place.

use super::Subscriber;
use super::find::Found;
use crate::error::{RecvError, TryRecvError};
use crate::journal::bounds::{Judgement, ask};
use crate::journal::entry::{Entry, Sequence};

impl<E: Send + Sync + 'static> Subscriber<E> {
    /// Takes up to 64 adjacent unread events, and lends them as a slice, in place.
    ///
    /// The [`Sequence`] is the position of the first event. The events are not overwritten while
    /// the slice lives, and publishers continue nevertheless.
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
    /// (0..5).for_each(|n| { let _ = journal.publish(n); });
    /// if let Entry::Event(first, events) = subscriber.try_recv_slice()? {
    ///     assert_eq!((first.get(), events), (0, &[0, 1, 2, 3, 4][..]));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_recv_slice(&mut self) -> Result<Entry<&[E]>, TryRecvError> {
        let found = self.find_slice()?.ok_or(TryRecvError::Empty)?;
        Ok(self.lend(found))
    }

    /// Lends a slice of events like [`try_recv_slice`](Self::try_recv_slice), waiting for the first
    /// event.
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
    /// let first = journal.publish_batch(vec![1, 2, 3])?;
    /// assert_eq!(subscriber.recv_slice()?, Entry::Event(first, &[1, 2, 3][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_slice(&mut self) -> Result<Entry<&[E]>, RecvError> {
        self.linger_when_dry();
        loop {
            if let Some(found) = self.find_slice()? {
                return Ok(self.lend(found));
            }
            self.wait(None);
        }
    }

    /// Appends up to `max` entries to `into`, waiting for the first, and returns their number.
    ///
    /// A `max` of zero returns at once, without an event. `into` grows only if its spare capacity
    /// is too small. [`recv_slice`](Self::recv_slice) lends the events in place instead, without a
    /// clone.
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
    /// journal.publish_batch(vec![1, 2, 3])?;
    /// let mut batch = Vec::new();
    /// assert_eq!(subscriber.recv_batch(&mut batch, 2)?, 2);
    /// assert!(batch.into_iter().filter_map(Entry::event).eq([1, 2]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_batch(&mut self, into: &mut Vec<Entry<E>>, max: usize) -> Result<usize, RecvError>
    where
        E: Clone,
    {
        if max == 0 {
            return Ok(0);
        }
        into.push(self.recv()?);
        let mut count = 1;
        while count < max {
            let Ok(entry) = self.try_recv() else { break };
            into.push(entry);
            count += 1;
        }
        Ok(count)
    }

    #[inline]
    fn find_slice(&mut self) -> Result<Option<Found>, RecvError> {
        if self.reader.has_values() && self.takes_all { Ok(Some(Found::Event)) } else { self.find(u64::MAX) }
    }

    /// Lends the wanted events that are known to be there. The first one is known to be wanted.
    #[inline]
    fn lend(&mut self, found: Found) -> Entry<&[E]> {
        match found {
            Found::Event => {}
            Found::Lagged(events) => return Entry::Lagged(events),
            Found::Panicked(sequence) => return Entry::Panicked(sequence),
        }
        let count = if self.takes_all { self.reader.known() } else { self.wanted_in_a_row() };
        let first = self.reader.position();
        self.delivered += count as u64;
        self.seat.delivered(self.delivered, first + count as u64);
        if self.bounds.end_before(first + count as u64) {
            self.end_subscription();
        }
        Entry::Event(Sequence::new(first), self.reader.take_values(count))
    }

    /// Returns the length of the run of wanted events among those that are known to be there. The
    /// first one is known to be wanted.
    fn wanted_in_a_row(&mut self) -> usize {
        let Self { reader, bounds, wanted, judged, .. } = self;
        let stamp = reader.stamp().unwrap_or(0);
        let first = reader.position();
        let rest = reader.values().get(1..).unwrap_or(&[]);
        let more = (first + 1..).zip(rest).take_while(|(position, event)| {
            let judgement = ask(bounds, wanted, (*position, *event), stamp);
            let within = judgement == Ok(Judgement::Within);
            if !within {
                *judged = Some((*position, judgement));
            }
            within
        });
        1 + more.count()
    }
}
