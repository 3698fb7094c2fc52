//! The reading side of a journal, for those who subscribe.

use super::core::JournalCore;
use super::entry::{Sequence, Start};
use super::subscriber::Subscriber;
use super::subscription::Subscription;
use crate::error::SubscribeError;
use crate::stats::SinkState;
use std::fmt;
use std::sync::Arc;

/// The reading side of a journal: whoever has it can subscribe, and cannot publish. It does not keep the journal open.
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
    /// Makes a subscriber that begins at `start`, with the default settings. On a closed journal it reads what is kept, and then
    /// [`Closed`](crate::error::Closed).
    ///
    /// # Guarantees
    /// Copies nothing. History and what follows join without a gap and without a repetition.
    ///
    /// # Errors
    /// [`SubscribeError`] when it cannot begin there, or there is no memory for a block of 64 events.
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

    /// The settings of a subscriber.
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
}

impl<E> Feed<E> {
    /// The place of the next event.
    ///
    /// # Examples
    /// What comes from here on:
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

    /// The place of the oldest event that is kept for certain.
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

    /// Whether no event follows.
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

    /// What the journal says about itself and its subscribers.
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
