//! What is published together: the argument of every `publish_batch`.
//!
//! A bus needs each event once for each sink: it clones out of a slice, for `Copy` events by one
//! `memcpy` into each ring. A journal needs each event once, and moves it: events that are not
//! `Clone` can be published. It must know their number before it begins, and while other publishers
//! wait for it no user code may run. An iterator serves neither: a bus would have to collect it,
//! and its `next` is user code. So the argument is a slice, an array or a vector, borrowed or
//! owned, and each publisher takes from it in the way that suits it.

use crate::wait::context::{cloned, discard_each};
use std::slice;

/// Events that are published together: `&[E]`, `&[E; N]` and `&Vec<E>`, of which the events are
/// cloned, and `[E; N]` and `Vec<E>`, of which they are moved where one consumer gets them.
///
/// Sealed: the crate implements it for these types only.
///
/// # Examples
/// ```
/// use buslane::{Bus, Journal};
/// let bus = Bus::new();
/// let mut receiver = bus.subscribe_lossy(16)?;
/// let mut publisher = bus.publisher();
/// let events = vec![1, 2, 3];
/// publisher.publish_batch(&events)?; // borrowed
/// publisher.publish_batch([4, 5])?;
/// assert_eq!(receiver.drain().sum::<u32>(), 15);
///
/// struct Unique(u32); // neither `Copy` nor `Clone`
/// let journal = Journal::new(64)?;
/// journal.publish_batch(vec![Unique(1), Unique(2)])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Events<E>: Batch<E> {}

impl<E, B: Batch<E>> Events<E> for B {}

/// How events are taken out of a batch.
pub trait Batch<E> {
    /// Each event, moved or cloned one by one.
    type Each: Iterator<Item = E>;
    /// The events, owned: no user code runs when one is taken out.
    type Owned: ExactSizeIterator<Item = E>;

    /// The events, to be cloned.
    fn as_slice(&self) -> &[E];

    /// Each event; borrowed ones are cloned as they are taken.
    fn each(self) -> Self::Each;

    /// All events; borrowed ones are cloned now.
    fn owned(self) -> Self::Owned;

    /// Drops events that are owned, each by itself.
    fn discard(self);
}

/// Clones of borrowed events, each made when it is taken.
#[derive(Debug)]
pub struct Clones<'a, E>(slice::Iter<'a, E>);

impl<E: Clone> Iterator for Clones<'_, E> {
    type Item = E;

    #[inline]
    fn next(&mut self) -> Option<E> {
        self.0.next().map(cloned)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a, E: Clone> Batch<E> for &'a [E] {
    type Each = Clones<'a, E>;
    type Owned = std::vec::IntoIter<E>;

    fn as_slice(&self) -> &[E] {
        self
    }

    fn each(self) -> Self::Each {
        Clones(self.iter())
    }

    fn owned(self) -> Self::Owned {
        self.each().collect::<Vec<E>>().into_iter()
    }

    fn discard(self) {}
}

/// Forwards to the slice of borrowed events.
macro_rules! borrowed {
    ($kind:ty, $($parameters:tt)*) => {
        impl<'a, E: Clone, $($parameters)*> Batch<E> for &'a $kind {
            type Each = Clones<'a, E>;
            type Owned = std::vec::IntoIter<E>;

            fn as_slice(&self) -> &[E] {
                &self[..]
            }

            fn each(self) -> Self::Each {
                Batch::each(&self[..])
            }

            fn owned(self) -> Self::Owned {
                Batch::owned(&self[..])
            }

            fn discard(self) {}
        }
    };
}

borrowed!([E; N], const N: usize);
borrowed!(Vec<E>,);

/// Takes owned events out of what holds them.
macro_rules! owned {
    ($kind:ty, $iter:ty, $($parameters:tt)*) => {
        impl<E, $($parameters)*> Batch<E> for $kind {
            type Each = $iter;
            type Owned = $iter;

            fn as_slice(&self) -> &[E] {
                self
            }

            fn each(self) -> Self::Each {
                self.into_iter()
            }

            fn owned(self) -> Self::Owned {
                self.into_iter()
            }

            fn discard(self) {
                discard_each(self);
            }
        }
    };
}

owned!([E; N], std::array::IntoIter<E, N>, const N: usize);
owned!(Vec<E>, std::vec::IntoIter<E>,);

/// A batch to be cloned from, which is dropped when that is done, also by unwinding.
pub(crate) struct Cloned<E, B: Batch<E>>(Option<B>, std::marker::PhantomData<E>);

impl<E, B: Batch<E>> Cloned<E, B> {
    pub(crate) fn new(batch: B) -> Self {
        Self(Some(batch), std::marker::PhantomData)
    }

    pub(crate) fn events(&self) -> &[E] {
        self.0.as_ref().map_or(&[], B::as_slice)
    }
}

impl<E, B: Batch<E>> Drop for Cloned<E, B> {
    fn drop(&mut self) {
        if let Some(batch) = self.0.take() {
            batch.discard();
        }
    }
}
