//! The iterators of a receiver.

use super::kind::{Exclusive, Kind};
use super::receiver::Receiver;
use crate::mailbox::Find;
use crate::mailbox::intake::Intake;
use std::fmt;
use std::iter::FusedIterator;

impl<E: Send + 'static, K: Kind> Receiver<E, K> {
    /// Returns an iterator over the unread events, which does not wait for more.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// assert_eq!(receiver.try_iter().next(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_iter(&mut self) -> TryIter<'_, E, K> {
        TryIter { receiver: self }
    }

    /// Returns an iterator that waits for each event and ends when the stream ends.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let reader = std::thread::spawn(move || receiver.iter().sum::<u32>());
    /// channel.write(40)?;
    /// channel.write(2)?;
    /// channel.close();
    /// assert_eq!(reader.join().unwrap(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&mut self) -> Iter<'_, E, K> {
        Iter { receiver: self, exhausted: false }
    }
}

impl<E: Send + 'static, K: Kind> IntoIterator for Receiver<E, K> {
    type Item = E;
    type IntoIter = IntoIter<E, K>;

    /// Returns an iterator that owns the receiver, waits for each event and ends when the stream
    /// ends.
    fn into_iter(self) -> IntoIter<E, K> {
        IntoIter { receiver: self, exhausted: false }
    }
}

impl<'a, E: Send + 'static, K: Kind> IntoIterator for &'a mut Receiver<E, K> {
    type Item = E;
    type IntoIter = Iter<'a, E, K>;

    /// Returns the same iterator as [`Receiver::iter`].
    fn into_iter(self) -> Iter<'a, E, K> {
        self.iter()
    }
}

/// The iterator of [`Receiver::iter`], which waits for each event until the stream ends.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// channel.write(1)?;
/// channel.close();
/// for n in &mut receiver {
///     assert_eq!(n, 1);
/// }
/// assert!(receiver.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "iterators do nothing unless consumed"]
pub struct Iter<'a, E: Send + 'static, K: Kind = Exclusive> {
    pub(super) receiver: &'a mut Receiver<E, K>,
    pub(super) exhausted: bool,
}

impl<E: Send + 'static, K: Kind> Iterator for Iter<'_, E, K> {
    type Item = E;

    #[inline]
    fn next(&mut self) -> Option<E> {
        fused(&mut self.exhausted, || self.receiver.recv().ok())
    }
}

impl<E: Send + 'static, K: Kind> FusedIterator for Iter<'_, E, K> {}

/// The iterator that owns its receiver and waits for each event until the stream ends.
///
/// Dropping the iterator drops the receiver.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// let bus = Bus::new();
/// let receiver = bus.subscribe_lossy(8)?;
/// bus.publish(40)?;
/// bus.publish(2)?;
/// bus.close();
/// let mut sum = 0;
/// for n in receiver {
///     sum += n;
/// }
/// assert_eq!(sum, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "iterators do nothing unless consumed"]
pub struct IntoIter<E: Send + 'static, K: Kind = Exclusive> {
    pub(super) receiver: Receiver<E, K>,
    pub(super) exhausted: bool,
}

impl<E: Send + 'static, K: Kind> Iterator for IntoIter<E, K> {
    type Item = E;

    #[inline]
    fn next(&mut self) -> Option<E> {
        fused(&mut self.exhausted, || self.receiver.recv().ok())
    }
}

impl<E: Send + 'static, K: Kind> FusedIterator for IntoIter<E, K> {}

/// The iterator of [`Receiver::try_iter`], which takes the unread events and does not wait.
///
/// Not fused: the iterator returns `None` when no event is there, and `Some` again after the next
/// event has arrived.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// let mut events = receiver.try_iter();
/// assert_eq!(events.next(), None);
/// channel.write(7)?;
/// assert_eq!(events.next(), Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "iterators do nothing unless consumed"]
pub struct TryIter<'a, E: Send + 'static, K: Kind = Exclusive> {
    pub(super) receiver: &'a mut Receiver<E, K>,
}

impl<E: Send + 'static, K: Kind> Iterator for TryIter<'_, E, K> {
    type Item = E;

    #[inline]
    fn next(&mut self) -> Option<E> {
        if let Some(mut known) = self.receiver.intake.known() {
            return Some(known.take());
        }
        self.receiver.take(Find::Written)
    }
}

/// The iterator of [`Receiver::drain`] over the events that were there when it was created.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// channel.write(1)?;
/// let mut events = receiver.drain();
/// channel.write(2)?;
/// assert_eq!((events.next(), events.next()), (Some(1), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "iterators do nothing unless consumed"]
pub struct Drain<'a, E: Send + 'static> {
    pub(super) receiver: &'a mut Receiver<E>,
    pub(super) exhausted: bool,
}

impl<E: Send + 'static> Iterator for Drain<'_, E> {
    type Item = E;

    #[inline]
    fn next(&mut self) -> Option<E> {
        fused(&mut self.exhausted, || self.receiver.drain_one())
    }
}

impl<E: Send + 'static> FusedIterator for Drain<'_, E> {}

impl<E: Send + 'static, K: Kind> fmt::Debug for Iter<'_, E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.receiver).finish()
    }
}

impl<E: Send + 'static, K: Kind> fmt::Debug for IntoIter<E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.receiver).finish()
    }
}

impl<E: Send + 'static, K: Kind> fmt::Debug for TryIter<'_, E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TryIter").field(self.receiver).finish()
    }
}

impl<E: Send + 'static> fmt::Debug for Drain<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Drain").field(self.receiver).finish()
    }
}

/// Calls `next` until it has returned `None` once. An unbounded channel may get an event after its
/// end was read.
#[inline]
fn fused<E>(exhausted: &mut bool, next: impl FnOnce() -> Option<E>) -> Option<E> {
    if *exhausted {
        return None;
    }
    let event = next();
    *exhausted = event.is_none();
    event
}
