//! A copy-on-write value that readers name in a hazard word of their thread.
//!
//! A reader loads the pointer to the newest value, names that value, fences, and loads the pointer
//! again. If it is still the same, the value stays until the reader clears the word. The control
//! plane replaces the pointer first, fences, and reads the words of all threads before it frees the
//! old value. With a fence on both sides, either the reader sees that the value was replaced, or the
//! control plane sees the name. A read takes two stores, a light fence and no read-modify-write. (M.
//! Michael's hazard pointers, 2004.)
//!
//! A reader that has no free word, or that sees a newer pointer, takes a snapshot of the
//! [`Swap`] instead, which never waits either.
//!
//! # Invariants
//! - C1: `newest` points to the value that `kept` holds, or held before a [`Current::replace`] that
//!   has not returned.
//! - C2: a value is freed by [`Retired::unread`] only, after a [`Current::fence`] that came after the
//!   replacement, when no word names it and no snapshot holds it.
#![expect(unsafe_code, reason = "a value is read through a pointer, which the hazard word protects")]

#[cfg(test)]
mod models;

use super::hazards::{Word, is_any_registered, is_named};
use super::membarrier::{FencePair, heavy_fence_or_wait, light_fence};
use super::swap::{Replaced, Snapshot, Swap};
use super::{AtomicPtr, Ordering};
use std::ops::Deref;
use std::ptr::NonNull;

/// A value that one thread at a time replaces, and that other threads read.
pub(crate) struct Current<T> {
    newest: AtomicPtr<T>,
    pair: FencePair,
    kept: Swap<T>,
}

impl<T> Current<T> {
    pub(crate) fn new(value: T, pair: FencePair) -> Self {
        let (kept, newest) = Swap::new_at(value);
        Self { newest: AtomicPtr::new(newest.as_ptr()), pair, kept }
    }

    /// Returns the value, which stays while the result lives. Wait-free.
    #[inline(always)]
    pub(crate) fn read(&self) -> Reading<T> {
        match self.read_named() {
            Some(named) => named.into(),
            None => self.snapshot(),
        }
    }

    /// Returns the value like [`read`](Self::read), if a word is free and the value is not replaced
    /// meanwhile. The result has no other protection to choose from, so it stays in registers.
    #[inline(always)]
    pub(crate) fn read_named(&self) -> Option<Named<T>> {
        let word = Word::take()?;
        let newest = self.newest.load(Ordering::Relaxed);
        word.name(newest.addr());
        // ORD(hazards.word): light fence; pairs with the heavy one in `fence`: this thread sees
        // the newer pointer, or the control plane sees the name.
        light_fence(self.pair);
        // ORD(current.newest): Acquire; pairs with the Release in `replace`: the value is written.
        // Not at the load above, after which the address may belong to another value.
        if self.newest.load(Ordering::Acquire) != newest {
            return None;
        }
        NonNull::new(newest).map(|value| Named { value, word })
    }

    /// Returns the value like [`read`](Self::read), without a hazard word, by two
    /// read-modify-writes.
    #[cold]
    #[inline(never)]
    pub(crate) fn snapshot(&self) -> Reading<T> {
        let snapshot = self.kept.load();
        Reading { value: NonNull::from(&*snapshot), _protection: Protection::Held(snapshot) }
    }

    /// Returns whether no newer value has replaced the one that this thread reads.
    #[inline(always)]
    pub(crate) fn is_newest(&self, reading: &Reading<T>) -> bool {
        // Relaxed: nothing is read through the pointer. A replacement on this thread, or one that
        // this thread knows of, is seen.
        std::ptr::eq(self.newest.load(Ordering::Relaxed), reading.value.as_ptr())
    }

    /// Replaces the value, and returns the old one, which threads may still read.
    ///
    /// Two calls never overlap: their caller holds a lock.
    pub(crate) fn replace(&self, value: T) -> Replaced<T> {
        let (replaced, newest) = self.kept.swap_at(value);
        // ORD(current.newest): Release; pairs with the Acquire in `read`: the value is written.
        self.newest.store(newest.as_ptr(), Ordering::Release);
        replaced
    }

    /// Returns whether no thread has registered words. One that registers later finds the newer
    /// value, so [`fence`](Self::fence) would have no effect.
    pub(crate) fn needs_no_fence(&self) -> bool {
        !is_any_registered()
    }

    /// Executes the fence between the replacement of values and the check of the hazard words.
    pub(crate) fn fence(&self) {
        if !self.needs_no_fence() {
            // ORD(hazards.word): heavy fence; pairs with the light one in `read`.
            heavy_fence_or_wait(self.pair);
        }
    }
}

/// A value that a hazard word of this thread names.
pub(crate) struct Named<T> {
    value: NonNull<T>,
    word: Word,
}

impl<T> Deref for Named<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: C2: the word named the value while it was the newest one, and still does.
        unsafe { self.value.as_ref() }
    }
}

impl<T> From<Named<T>> for Reading<T> {
    #[inline(always)]
    fn from(Named { value, word }: Named<T>) -> Self {
        Self { value, _protection: Protection::Named(word) }
    }
}

/// A value that this thread reads.
pub(crate) struct Reading<T> {
    value: NonNull<T>,
    _protection: Protection<T>,
}

/// What keeps a value: a hazard word that names it, or a snapshot.
enum Protection<T> {
    Named(#[expect(dead_code, reason = "its drop ends the read")] Word),
    Held(#[expect(dead_code, reason = "its drop ends the read")] Snapshot<T>),
}

impl<T> Deref for Reading<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: C2: the word named the value while it was the newest one, and still does; or the
        // snapshot holds it.
        unsafe { self.value.as_ref() }
    }
}

/// Replaced values, until no thread reads them.
pub(crate) struct Retired<T> {
    /// Replaced since the last fence.
    fresh: Vec<Replaced<T>>,
    fenced: Vec<Replaced<T>>,
}

impl<T> Retired<T> {
    pub(crate) fn new() -> Self {
        Self { fresh: Vec::new(), fenced: Vec::new() }
    }

    pub(crate) fn add(&mut self, value: Replaced<T>) {
        self.fresh.push(value);
    }

    /// Returns the number of values for which no fence was executed.
    pub(crate) fn unfenced(&self) -> usize {
        self.fresh.len()
    }

    /// Removes and returns the values for which no fence was executed. The caller executes
    /// [`Current::fence`], which may take long, and then calls [`fenced`](Self::fenced).
    pub(crate) fn take_fresh(&mut self) -> Vec<Replaced<T>> {
        std::mem::take(&mut self.fresh)
    }

    /// Adds values for which the fence was executed.
    pub(crate) fn fenced(&mut self, values: Vec<Replaced<T>>) {
        self.fenced.extend(values);
    }

    /// Removes and returns the values that no thread reads any longer. No later reader gets them.
    pub(crate) fn unread(&mut self) -> Vec<Replaced<T>> {
        // C2. The words come first: `is_unread` borrows the value mutably, and a thread whose word
        // names the value may be reading it. No thread begins to read a value that was replaced.
        let is_unread = |value: &mut Replaced<T>| !is_named(value.address()) && value.is_unread();
        self.fenced.extract_if(.., is_unread).collect()
    }
}
