//! The only access to the standard library's atomics, cells and parking, and to `arc-swap`, loom
//! and shuttle.
//!
//! All concurrent code in this crate uses the types of this module. With `--cfg loom` and the
//! feature `loom`, the same names are loom's types, so the model checker sees every access. With
//! `--cfg shuttle` and the feature `shuttle`, they are shuttle's, which runs random schedules
//! instead of all of them and treats every access as `SeqCst`.
//!
//! Neither tool can model the asymmetric fence or deadlines. In models both fences are
//! `fence(SeqCst)`, and a park has no time limit.
//!
//! | piece | what it is | `unsafe` inside |
//! |---|---|---|
//! | [`slot`] | a cell of a ring | yes |
//! | [`inline_bytes`] | bytes inside an event | yes |
//! | [`handoff`] | a mailbox with a return stack, and leases, for publishers' tables and changes | yes |
//! | [`guarded`] | a value that one thread may take while others read it, by hazard words | yes |
//! | [`current`] | the copy-on-write value that threads read under a hazard word | yes |
//! | `hazards` | the hazard words of each thread | yes |
//! | [`kept`] | one value per thread for a shared owner | yes |
//! | [`swap`] | the copy-on-write value (`ArcSwap`) | in models only |
//! | [`membarrier`] | the asymmetric fence pair | yes (a system call) |
//! | [`parking`] | parking one thread | no |
//! | [`processors`] | the number of processors | yes (a system call) |
//! | [`prefetch`] | prefetching a cache line before it is written | yes (an instruction) |
//! | [`readings`] | cheap readings of the time | yes (an instruction, a system call) |
//! | [`pace`] | the backoff of a wait for another thread | no |
//! | `mutant` | under loom only: weakening one ordering at run time | no |

pub(crate) mod current;
pub(crate) mod guarded;
pub(crate) mod handoff;
mod hazards;
pub(crate) mod inline_bytes;
pub(crate) mod kept;
pub(crate) mod lent;
pub(crate) mod membarrier;
#[cfg(all(loom, feature = "loom"))]
mod mutant;
pub(crate) mod pace;
pub(crate) mod parking;
pub(crate) mod prefetch;
pub(crate) mod processors;
pub(crate) mod readings;
#[cfg_attr(
    all(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")), not(feature = "loom")),
    expect(dead_code, reason = "in models, only its own model uses it")
)]
pub(crate) mod slot;
pub(crate) mod swap;

/// Whether this build is a model for loom or shuttle, where no thread naps, spins or times out.
pub(crate) const MODEL: bool = cfg!(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")));
/// Whether panics of user code are caught. Not under loom, where a caught assertion would hide a
/// failure.
pub(crate) const CATCHES: bool = cfg!(not(all(loom, feature = "loom")));

/// The model checker, for modules that replace a type which the checker cannot see into. Both
/// checkers have the same paths.
#[cfg(all(loom, feature = "loom"))]
pub(crate) use loom as checker;
#[cfg(all(shuttle, feature = "shuttle"))]
pub(crate) use shuttle as checker;

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod imp {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
    };
    pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
    pub(crate) mod thread {
        pub(crate) use std::thread::{JoinHandle, ThreadId, current, yield_now};

        /// Starts a named thread.
        pub(crate) fn spawn_named<T: Send + 'static>(
            name: String,
            body: impl FnOnce() -> T + Send + 'static,
        ) -> std::io::Result<JoinHandle<T>> {
            std::thread::Builder::new().name(name).spawn(body)
        }
    }
}

#[cfg(all(loom, feature = "loom"))]
mod imp {
    pub(crate) use super::mutant::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) mod thread {
        pub(crate) use loom::thread::{JoinHandle, ThreadId, current, yield_now};

        pub(crate) fn spawn_named<T: Send + 'static>(
            _name: String,
            body: impl FnOnce() -> T + Send + 'static,
        ) -> std::io::Result<JoinHandle<T>> {
            Ok(loom::thread::spawn(body))
        }
    }
}

#[cfg(all(shuttle, feature = "shuttle"))]
mod imp {
    pub(crate) use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
    };
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};
    pub(crate) mod thread {
        pub(crate) use shuttle::thread::{JoinHandle, ThreadId, current, yield_now};

        pub(crate) fn spawn_named<T: Send + 'static>(
            name: String,
            body: impl FnOnce() -> T + Send + 'static,
        ) -> std::io::Result<JoinHandle<T>> {
            shuttle::thread::Builder::new().name(name).spawn(body)
        }
    }
}

pub(crate) use crossbeam_utils::CachePadded;
pub(crate) use imp::{
    Arc, AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, fence, thread,
};

#[cfg(not(all(loom, feature = "loom")))]
pub(crate) use imp::compiler_fence;
#[cfg(all(loom, feature = "loom"))]
pub(crate) use mutant::recheck;

/// Checks for work between the announcement of a park and the park, and returns the result of
/// `check`.
///
/// A mutant of a model skips the check and returns the default (`false`, `None`). The model must
/// then fail.
#[cfg(not(all(loom, feature = "loom")))]
#[inline(always)]
pub(crate) fn recheck<R: Default>(check: impl FnOnce() -> R) -> R {
    check()
}

/// Marks the branch that calls it as unlikely, so that its code is placed away from the hot path.
///
/// Equivalent to `std::hint::cold_path`, which needs Rust 1.95.
#[cold]
#[inline]
pub(crate) const fn cold_path() {}

/// Locks a mutex and ignores poisoning.
///
/// No user code runs under a lock of this crate, so a panic leaves no state half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Signals to the processor, or to the model's scheduler, that this thread waits for another one.
#[inline]
pub(crate) fn spin_hint() {
    if MODEL { thread::yield_now() } else { std::hint::spin_loop() }
}

/// Adds to a counter that only the calling thread writes: a plain load and a plain store.
#[inline]
pub(crate) fn add_single_writer(counter: &AtomicU64, n: u64) {
    // Relaxed: readers want only the count, and it publishes nothing.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// Returns a number, at least 1, that no other call in this process returns.
pub(crate) fn unique_number() -> u64 {
    // Not an atomic of the models: it orders nothing, and outlives each of their executions.
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Declares a thread-local with a constant initializer, which the thread-locals of a model lack.
///
/// A thread-local without a destructor stays accessible until its thread ends, also to the
/// destructors of other thread-locals. One that has a destructor is declared with
/// `dropped with the thread`, and each access handles the case that it is gone, which is neither
/// "yes" nor "no".
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
macro_rules! per_thread {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr) => {
        $crate::sync::per_thread! { $(#[$doc])* static $name: $type = $init, dropped with the thread }
        const _: () = assert!(!std::mem::needs_drop::<$type>(), "one with a destructor needs `dropped with the thread`");
    };
    ($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr, dropped with the thread) => {
        std::thread_local! {
            $(#[$doc])*
            static $name: $type = const { $init };
        }
    };
}

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
macro_rules! per_thread {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr $(, dropped with the thread)?) => {
        $crate::sync::checker::thread_local! {
            $(#[$doc])*
            static $name: $type = $init;
        }
    };
}

/// Declares a static that is created at first use. A model has one of its own in each execution.
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
macro_rules! per_process {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr) => {
        $(#[$doc])*
        static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $init);
    };
}

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
macro_rules! per_process {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr) => {
        $crate::sync::checker::lazy_static! {
            $(#[$doc])*
            static ref $name: $type = $init;
        }
    };
}

pub(crate) use {per_process, per_thread};
