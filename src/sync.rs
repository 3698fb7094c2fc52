//! The only door to the standard library's atomics, cells and parking, to `arc-swap`, to loom and
//! to shuttle.
//!
//! Everything concurrent in this crate is written against this module. Built with `--cfg loom` and the feature
//! `loom`, the same names mean loom's types, so that a model checker sees every access of ours. What loom cannot
//! see (the asymmetric fence, deadlines) is reduced here to something it can: both fences become
//! `fence(SeqCst)`, and a park has no time limit. With `--cfg shuttle` and the feature `shuttle` they mean shuttle's,
//! reduced in the same way: it plays schedules at random where loom tries all of them, and takes every access for `SeqCst`.
//!
//! | piece | what it is | `unsafe` inside |
//! |---|---|---|
//! | [`slot`] | a cell of a ring | yes |
//! | [`handoff`] | a mailbox with a return stack, and leases, for publishers' tables and changes | yes |
//! | [`guarded`] | a value that one side may take away while others look at it, by hazard words | yes |
//! | [`kept`] | what each thread keeps for an owner that all share | yes |
//! | [`swap`] | the copy-on-write list (`ArcSwap`) | in models only |
//! | [`membarrier`] | the asymmetric fence pair | yes (a system call) |
//! | [`parking`] | parking one thread | no |
//! | [`processors`] | how many processors there are | yes (a system call) |
//! | [`prefetch`] | asking for a line before it is written | yes (an instruction) |
//! | [`pace`] | the pace of a wait for another thread | no |
//! | `mutant` | under loom only: weakening one ordering at run time | no |

pub(crate) mod guarded;
pub(crate) mod handoff;
pub(crate) mod kept;
pub(crate) mod lent;
pub(crate) mod membarrier;
#[cfg(all(loom, feature = "loom"))]
mod mutant;
pub(crate) mod pace;
pub(crate) mod parking;
pub(crate) mod prefetch;
pub(crate) mod processors;
#[cfg_attr(
    all(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")), not(feature = "loom")),
    expect(dead_code, reason = "in models, only a model of its own uses it")
)]
pub(crate) mod slot;
pub(crate) mod swap;

/// Whether this build is a model, for loom or shuttle: nothing naps, spins or times out.
pub(crate) const MODEL: bool = cfg!(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")));
/// Whether panics of foreign code are caught. Not under loom, where a scenario asserts anywhere.
pub(crate) const CATCHES: bool = cfg!(not(all(loom, feature = "loom")));

/// What checks the model, for those of our modules that stand in for what it cannot see into. The paths in it are the same.
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

/// Checks, between announcing a park and parking, whether there is something to do: returns what
/// `check` does.
///
/// A mutant of a model leaves the check out, as if it had found nothing (`false`, `None`): the model
/// must fail then.
#[cfg(not(all(loom, feature = "loom")))]
#[inline(always)]
pub(crate) fn recheck<R: Default>(check: impl FnOnce() -> R) -> R {
    check()
}

/// Marks the branch that calls it as unlikely, so that its code is placed away from the hot path.
///
/// Does what `std::hint::cold_path` does, which needs Rust 1.95.
#[cold]
#[inline]
pub(crate) const fn cold_path() {}

/// Locks a mutex. A panic while it was held leaves nothing half done in this crate (no foreign code runs under
/// our locks), so poisoning carries no information.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Tells the processor, or the model's scheduler, that this thread is waiting for another one.
#[inline]
pub(crate) fn spin_hint() {
    if MODEL { thread::yield_now() } else { std::hint::spin_loop() }
}

/// Adds to a counter that only the calling thread writes: a plain load and a plain store.
#[inline]
pub(crate) fn add_single_writer(counter: &AtomicU64, n: u64) {
    // Relaxed: readers only want a count, nothing is published by it.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// A thread-local that is initialized by a constant; a model's cannot say so.
///
/// Without a destructor it answers until the very end of the thread, also to the destructors of other thread-locals. One that has a
/// destructor says so, and each look at it handles the case that it is gone: neither as "yes" nor as "no".
#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
macro_rules! per_thread {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr) => {
        $crate::sync::per_thread! { $(#[$doc])* static $name: $type = $init, dropped with the thread }
        const _: () = assert!(!std::mem::needs_drop::<$type>(), "a thread-local with a destructor may be gone");
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

pub(crate) use per_thread;
