//! The reading side of a journal.

use super::core::JournalCore;
use super::entry::{Sequence, Start};
use super::subscriber::Subscriber;
use super::subscription::Subscription;
use crate::error::SubscribeError;
use crate::sink::UntilClosed;
use crate::stats::SinkState;
use std::fmt;
use std::sync::Arc;

/// A handle to a journal that can subscribe but not publish.
///
/// A feed does not keep the journal open.
///
/// # Examples
/// ```
/// let journal = buslane::Journal::new(16)?;
/// let feed = journal.feed();
/// journal.publish(7)?;
/// drop(journal);
/// let mut subscriber = feed.subscribe(buslane::journal::Start::Oldest)?;
/// assert_eq!(subscriber.recv()?.event(), Some(7));
/// assert!(subscriber.recv().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Feed<E>(pub(super) Arc<JournalCore<E>>);

impl<E: Send + Sync + 'static> Feed<E> {
    /// Creates a subscriber that begins at `start`, with the default settings.
    ///
    /// On a closed journal the subscriber reads the kept events, and then
    /// [`RecvError::Closed`](crate::error::RecvError::Closed).
    ///
    /// # Guarantees
    /// Subscribing copies no event. History and live events join without a gap or a repetition.
    ///
    /// # Errors
    /// [`SubscribeError`] when the subscriber cannot begin at `start`, or the memory for a block of
    /// 64 events cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, feed) = Journal::single(16)?;
    /// for n in 0..5 {
    ///     writer.publish(n)?;
    /// }
    /// let mut last = feed.subscribe(Start::Last(2))?;
    /// writer.publish(5)?;
    /// let events: Vec<_> = last.try_iter().filter_map(|entry| entry.event()).collect();
    /// assert_eq!(events, [3, 4, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe(&self, start: Start) -> Result<Subscriber<E>, SubscribeError> {
        self.subscription().start(start).subscribe()
    }

    /// Returns the settings of a new subscriber.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, feed) = Journal::single(16)?;
    /// for n in 0..5 {
    ///     writer.publish(n)?;
    /// }
    /// let mut odd = feed.subscription().start(Start::Oldest).filter(|n| n % 2 == 1).subscribe()?;
    /// let events: Vec<_> = odd.try_iter().filter_map(|entry| entry.event()).collect();
    /// assert_eq!(events, [1, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscription(&self) -> Subscription<E> {
        Subscription::new(&self.0)
    }

    /// Returns a future that is ready when the journal is closed.
    ///
    /// It may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use futures::executor::block_on;
    /// let (writer, feed) = buslane::Journal::<u32>::single(16)?;
    /// let closed = feed.closed();
    /// drop(writer);
    /// block_on(closed);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn closed(&self) -> UntilClosed {
        UntilClosed::new(JournalCore::until_closed(&self.0))
    }
}

impl<E> Feed<E> {
    /// Returns the position of the next event to be published.
    ///
    /// # Examples
    /// Subscribe to everything that is published from now on:
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, feed) = Journal::single(16)?;
    /// writer.publish("old")?;
    /// let next = feed.next();
    /// writer.publish("new")?;
    /// assert_eq!(feed.subscribe(Start::At(next))?.recv()?.event(), Some("new"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn next(&self) -> Sequence {
        Sequence::new(self.0.source.tail())
    }

    /// Returns the position of the oldest event that is guaranteed to be kept.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// let (mut writer, feed) = Journal::single(64)?;
    /// for n in 0..1000 {
    ///     writer.publish(n)?;
    /// }
    /// assert_eq!(feed.next().get() - feed.oldest().get(), 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn oldest(&self) -> Sequence {
        Sequence::new(self.0.source.oldest())
    }

    /// Returns `true` if the journal is closed: no further event will be published.
    ///
    /// # Examples
    /// ```
    /// let (writer, feed) = buslane::Journal::<u32>::single(16)?;
    /// assert!(!feed.is_closed());
    /// drop(writer);
    /// assert!(feed.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.source.is_closed()
    }

    /// Returns the state of the journal and of its subscribers.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, feed) = Journal::single(16)?;
    /// let mut subscriber = feed.subscribe(Start::Now)?;
    /// writer.publish("one")?;
    /// writer.publish("two")?;
    /// subscriber.recv()?;
    /// assert_eq!(feed.state().subscribers[0].behind, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> SinkState {
        let mut state = SinkState::default();
        self.0.describe(&mut state);
        state
    }
}

impl<E> Clone for Feed<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> fmt::Debug for Feed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("state", &self.state()).finish()
    }
}
