//! The iterators of a subscriber.

use super::entry::Entry;
use super::subscriber::Subscriber;
use std::fmt;
use std::iter::FusedIterator;

impl<E: Send + Sync + 'static> Subscriber<E> {
    /// Returns an iterator that waits for each entry and ends when the stream ends.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// journal.publish_batch(vec![40, 2])?;
    /// journal.close();
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Oldest)?;
    /// assert_eq!(subscriber.iter().filter_map(|entry| entry.event()).sum::<u32>(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&mut self) -> Iter<'_, E>
    where
        E: Clone,
    {
        Iter(self)
    }

    /// Returns an iterator over the unread entries, which does not wait for more.
    ///
    /// # Examples
    /// ```
    /// let journal = buslane::Journal::new(16)?;
    /// journal.publish_batch(vec![40, 2])?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Oldest)?;
    /// assert_eq!(subscriber.try_iter().filter_map(|entry| entry.event()).sum::<u32>(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_iter(&mut self) -> TryIter<'_, E>
    where
        E: Clone,
    {
        TryIter(self)
    }
}

/// The iterator of [`Subscriber::iter`], which waits for each entry until the stream ends.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Start};
/// let journal = Journal::new(16)?;
/// journal.publish_batch(vec![40, 2])?;
/// journal.close();
/// let mut subscriber = journal.subscribe(Start::Oldest)?;
/// let mut sum = 0;
/// for entry in &mut subscriber {
///     sum += entry.event().unwrap_or(0);
/// }
/// assert_eq!(sum, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "iterators do nothing unless consumed"]
pub struct Iter<'a, E: Send + Sync + 'static>(&'a mut Subscriber<E>);

/// The iterator that owns its subscriber and waits for each entry until the stream ends.
///
/// Dropping the iterator drops the subscriber.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Start};
/// let journal = Journal::new(16)?;
/// journal.publish_batch(vec![40, 2])?;
/// journal.close();
/// let events = journal.subscribe(Start::Oldest)?.into_iter().filter_map(Entry::event);
/// assert_eq!(events.sum::<u32>(), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "iterators do nothing unless consumed"]
pub struct IntoIter<E: Send + Sync + 'static>(Subscriber<E>);

/// The iterator of [`Subscriber::try_iter`], which takes the unread entries and does not wait.
///
/// Not fused: the iterator returns `None` when no entry is there, and `Some` again after the next
/// event has been published.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Start};
/// let journal = Journal::new(16)?;
/// let mut subscriber = journal.subscribe(Start::Now)?;
/// let mut entries = subscriber.try_iter();
/// assert_eq!(entries.next(), None);
/// journal.publish(7)?;
/// assert_eq!(entries.next().and_then(Entry::event), Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "iterators do nothing unless consumed"]
pub struct TryIter<'a, E: Send + Sync + 'static>(&'a mut Subscriber<E>);

impl<E: Clone + Send + Sync + 'static> Iterator for Iter<'_, E> {
    type Item = Entry<E>;

    #[inline]
    fn next(&mut self) -> Option<Entry<E>> {
        self.0.recv().ok()
    }
}

impl<E: Clone + Send + Sync + 'static> Iterator for IntoIter<E> {
    type Item = Entry<E>;

    #[inline]
    fn next(&mut self) -> Option<Entry<E>> {
        self.0.recv().ok()
    }
}

impl<E: Clone + Send + Sync + 'static> Iterator for TryIter<'_, E> {
    type Item = Entry<E>;

    #[inline]
    fn next(&mut self) -> Option<Entry<E>> {
        self.0.try_recv().ok()
    }
}

/// Fused because a subscriber remembers that its stream has ended.
impl<E: Clone + Send + Sync + 'static> FusedIterator for Iter<'_, E> {}

impl<E: Clone + Send + Sync + 'static> FusedIterator for IntoIter<E> {}

impl<E: Clone + Send + Sync + 'static> IntoIterator for Subscriber<E> {
    type Item = Entry<E>;
    type IntoIter = IntoIter<E>;

    /// Returns an iterator that owns the subscriber, waits for each entry and ends when the stream
    /// ends.
    fn into_iter(self) -> IntoIter<E> {
        IntoIter(self)
    }
}

impl<'a, E: Clone + Send + Sync + 'static> IntoIterator for &'a mut Subscriber<E> {
    type Item = Entry<E>;
    type IntoIter = Iter<'a, E>;

    /// Returns the same iterator as [`Subscriber::iter`].
    fn into_iter(self) -> Iter<'a, E> {
        self.iter()
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for Iter<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.0).finish()
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for IntoIter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.0).finish()
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for TryIter<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TryIter").field(self.0).finish()
    }
}
