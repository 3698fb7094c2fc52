//! The argument of every `publish_batch`: events that are published together.
//!
//! A bus needs one copy of each event per sink. It clones the events from a slice, and copies
//! `Copy` events into each ring by one `memcpy`. A journal needs each event once and moves it, so
//! events that are not `Clone` can be published. The journal must know the number of events before
//! it begins. While other publishers wait for it, no user code may run.
//!
//! An iterator serves neither: a bus would have to collect it, and its `next` is user code. So the
//! argument is a slice, an array or a vector, borrowed or owned, and each publisher takes the
//! events from it in the way that suits it.

use crate::wait::context::{cloned, discard_each};
use std::slice;

/// Events that are published together: borrowed (`&[E]`, `&[E; N]`, `&Vec<E>`) or owned (`[E; N]`,
/// `Vec<E>`).
///
/// A bus clones the events. A journal clones borrowed events and moves owned events.
///
/// This trait is sealed: the crate implements it for these types only.
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
pub trait Events<E>: Sealed<E> {}

impl<E, B: Sealed<E>> Events<E> for B {}

/// The ways to take the events out of a slice, an array or a vector. It seals [`Events`].
pub trait Sealed<E> {
    /// An iterator that moves or clones each event as it is taken.
    type Each: Iterator<Item = E>;
    /// An iterator over owned events. No user code runs when an event is taken from it.
    type Owned: ExactSizeIterator<Item = E>;

    /// Returns the events as a slice, to be cloned.
    fn as_slice(&self) -> &[E];

    /// Returns an iterator over the events. Borrowed events are cloned as they are taken.
    fn each(self) -> Self::Each;

    /// Returns all events, owned. Borrowed events are cloned in this call.
    fn owned(self) -> Self::Owned;

    /// Drops owned events one by one, so that a panic in one destructor does not skip the others.
    fn discard(self);
}

/// An iterator that clones each borrowed event as it is taken.
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

impl<'a, E: Clone> Sealed<E> for &'a [E] {
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

/// Implements `Sealed` for borrowed events by forwarding to the slice.
macro_rules! borrowed {
    ($kind:ty, $($parameters:tt)*) => {
        impl<'a, E: Clone, $($parameters)*> Sealed<E> for &'a $kind {
            type Each = Clones<'a, E>;
            type Owned = std::vec::IntoIter<E>;

            fn as_slice(&self) -> &[E] {
                &self[..]
            }

            fn each(self) -> Self::Each {
                Sealed::each(&self[..])
            }

            fn owned(self) -> Self::Owned {
                Sealed::owned(&self[..])
            }

            fn discard(self) {}
        }
    };
}

borrowed!([E; N], const N: usize);
borrowed!(Vec<E>,);

/// Implements `Sealed` for a container of owned events.
macro_rules! owned {
    ($kind:ty, $iter:ty, $($parameters:tt)*) => {
        impl<E, $($parameters)*> Sealed<E> for $kind {
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

/// A batch whose events are cloned, and which is dropped afterwards, also when a clone unwinds.
pub(crate) struct Cloned<E, B: Sealed<E>>(Option<B>, std::marker::PhantomData<E>);

impl<E, B: Sealed<E>> Cloned<E, B> {
    pub(crate) fn new(batch: B) -> Self {
        Self(Some(batch), std::marker::PhantomData)
    }

    pub(crate) fn events(&self) -> &[E] {
        self.0.as_ref().map_or(&[], B::as_slice)
    }
}

impl<E, B: Sealed<E>> Drop for Cloned<E, B> {
    fn drop(&mut self) {
        if let Some(batch) = self.0.take() {
            batch.discard();
        }
    }
}
