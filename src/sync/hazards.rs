//! The hazard words of each thread, which name the values that the thread reads.
//!
//! A value that the control plane replaces is freed when no reader is left. A reader names the value
//! in a word of its own thread, by plain stores, and the control plane reads the words of all
//! threads. [`Current`](super::current::Current) is the value, and states why a name protects it.
//!
//! A thread registers its words at its first read, once for all values of the process, and takes
//! them away when it ends. Reads nest, when code that is called during a read begins another one, so
//! a thread has several words. A read that finds no free word has to protect its value by other
//! means, and so has a read on a thread that is ending.
//!
//! # Invariants
//! - H1: only its own thread writes the words of a record.
//! - H2: a record is registered, and lives, from before its thread can find it until that thread
//!   ends. A [`Word`] never leaves its thread, and is dropped in the call that took it.
//! - H3: a word is 0 exactly while no [`Word`] has it.
#![expect(unsafe_code, reason = "a thread reaches its own record without a reference count")]

use super::{Arc, AtomicUsize, CachePadded, MODEL, Mutex, Ordering, lock, per_process, per_thread};
use std::cell::{Cell, RefCell};
use std::ptr::{NonNull, null};

/// The number of values that one thread names at a time.
const WORDS: usize = if MODEL { 2 } else { 8 };

/// The words of one thread, alone on their cache lines.
struct Record(CachePadded<[AtomicUsize; WORDS]>);

/// The records of all threads that have read a value.
struct Registry(Mutex<Vec<Arc<Record>>>);

per_process! {
    static REGISTRY: Arc<Registry> = Arc::new(Registry(Mutex::new(Vec::new())))
}

/// Takes the record of a thread out of the registry when the thread ends.
struct Owner(RefCell<Option<(Arc<Registry>, Arc<Record>)>>);

impl Drop for Owner {
    fn drop(&mut self) {
        // H2: this thread finds the record no more.
        let _ = RECORD.try_with(|record| record.set(null()));
        if let Some((registry, record)) = self.0.take() {
            lock(&registry.0).retain(|known| !Arc::ptr_eq(known, &record));
        }
    }
}

per_thread! {
    /// The record of this thread; null before the first read, and when the thread is ending.
    static RECORD: Cell<*const Record> = Cell::new(null())
}

per_thread! {
    static OWNER: Owner = Owner(RefCell::new(None)),
    dropped with the thread
}

/// A word of this thread, until it is dropped.
pub(crate) struct Word(NonNull<AtomicUsize>);

impl Word {
    /// Takes a free word of this thread. The first call of a thread allocates.
    ///
    /// Returns `None` if all words are taken, or the thread is ending.
    #[inline(always)]
    pub(crate) fn take() -> Option<Self> {
        let record = RECORD.try_with(Cell::get).unwrap_or(null());
        if record.is_null() {
            return Self::first();
        }
        // SAFETY: H2.
        let first = &unsafe { &*record }.0[0];
        if is_free(first) { Some(Self(first.into())) } else { Self::nested(record) }
    }

    #[cold]
    #[inline(never)]
    fn nested(record: *const Record) -> Option<Self> {
        // SAFETY: H2.
        let words = &unsafe { &*record }.0;
        words.iter().find(|word| is_free(word)).map(|word| Self(word.into()))
    }

    #[cold]
    #[inline(never)]
    fn first() -> Option<Self> {
        let registry: &Arc<Registry> = &REGISTRY;
        let record = Arc::new(Record(CachePadded::new(std::array::from_fn(|_| AtomicUsize::new(0)))));
        let owned = (registry.clone(), record.clone());
        OWNER.try_with(|owner| owner.0.replace(Some(owned))).ok()?;
        lock(&registry.0).push(record.clone());
        RECORD.try_with(|known| known.set(&raw const *record)).ok()?;
        Some(Self((&record.0[0]).into()))
    }

    /// Names a value by its address, which is not 0.
    ///
    /// A light fence must follow, before the check whether the value may still be read.
    #[inline(always)]
    pub(crate) fn name(&self, address: usize) {
        // SAFETY: H2.
        let word = unsafe { self.0.as_ref() };
        // ORD(hazards.word): Release; pairs with the Acquire in `is_named`: a thread that finds this
        // name instead of its own sees that the read before this one is over. A store does not
        // continue the release sequence of the store before it.
        word.store(address, Ordering::Release);
    }
}

impl Drop for Word {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: H2.
        let word = unsafe { self.0.as_ref() };
        // ORD(hazards.word): Release; pairs with the Acquire in `is_named`: the read is over.
        word.store(0, Ordering::Release);
    }
}

/// Returns whether a word of this thread is free.
#[inline(always)]
fn is_free(word: &AtomicUsize) -> bool {
    // Relaxed: H1, H3.
    word.load(Ordering::Relaxed) == 0
}

/// Returns whether a thread has registered words. One that registers later reads what was stored
/// before this call.
pub(crate) fn is_any_registered() -> bool {
    !lock(&REGISTRY.0).is_empty()
}

/// Returns whether a thread names the value at this address. If not, the reads of all threads that
/// named it are over, and visible.
pub(crate) fn is_named(address: usize) -> bool {
    // ORD(hazards.word): Acquire; pairs with the Release in `Word::drop`, and in `Word::name`.
    let names = |word: &AtomicUsize| word.load(Ordering::Acquire) == address;
    lock(&REGISTRY.0).iter().any(|record| record.0.iter().any(names))
}
