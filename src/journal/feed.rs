//! The reading side of a journal, for those who subscribe.

use super::entry::{Sequence, Start};
use super::shared::Shared;
use super::subscriber::Subscriber;
use super::subscription::Subscription;
use crate::error::SubscribeError;
use crate::ledger::SinkState;
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
/// let mut subscriber = feed.subscribe(buslane::Start::Oldest)?;
/// assert_eq!(subscriber.recv()?.event(), Some(7));
/// assert!(subscriber.recv().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Feed<E>(pub(super) Arc<Shared<E>>);

impl<E: Send + Sync + 'static> Feed<E> {
    /// Makes a subscriber that begins at `start`, with the default settings. On a closed journal it reads what is kept, and then
    /// [`Closed`](crate::Closed).
    ///
    /// # Guarantees
    /// Copies nothing. History and what follows join without a gap and without a repetition.
    ///
    /// # Errors
    /// [`SubscribeError`] when it cannot begin there, or there is no memory for a block of 64 events.
    pub fn subscribe(&self, start: Start) -> Result<Subscriber<E>, SubscribeError> {
        self.subscription().start(start).subscribe()
    }

    /// The settings of a subscriber.
    pub fn subscription(&self) -> Subscription<E> {
        Subscription::new(&self.0)
    }
}

impl<E> Feed<E> {
    /// The place of the next event.
    #[must_use]
    pub fn next(&self) -> Sequence {
        Sequence::new(self.0.source.tail())
    }

    /// The place of the oldest event that is kept for certain.
    #[must_use]
    pub fn oldest(&self) -> Sequence {
        Sequence::new(self.0.source.oldest())
    }

    /// Whether no event follows.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.source.is_closed()
    }

    /// What the journal says about itself and its subscribers.
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
