//! The amount of memory in use, and a system without free memory.
#![expect(unsafe_code, reason = "a global allocator")]

use crate::system;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Counts the memory in use, in stripes to avoid contention between threads. On a thread that
/// requests it, refuses every allocation above a limit.
struct Counting;

const STRIPES: usize = 16;

#[repr(align(128))]
struct Stripe(AtomicI64);

static IN_USE: [Stripe; STRIPES] = [const { Stripe(AtomicI64::new(0)) }; STRIPES];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Without destructors, so that both can be used to the very end of a thread.
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    static MOST: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn note(bytes: i64) {
    let stripe = STRIPE.try_with(|stripe| {
        if stripe.get() == usize::MAX {
            stripe.set(THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        stripe.get()
    });
    IN_USE[stripe.unwrap_or(0)].0.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call is forwarded to the system's allocator unchanged, or refused as allocators
// may; counting touches no memory of the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if MOST.try_with(Cell::get).is_ok_and(|most| layout.size() > most) {
            return null_mut();
        }
        note(layout.size() as i64);
        // SAFETY: as the caller guarantees.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(-(layout.size() as i64));
        // SAFETY: as the caller guarantees.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the bytes that are allocated and not freed, in the whole process.
pub(crate) fn in_use() -> i64 {
    IN_USE.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
}

/// Runs `run` on a thread that gets no allocation above `most` bytes.
pub(crate) fn with_at_most<R>(most: usize, run: impl FnOnce() -> R) -> R {
    MOST.set(most);
    let result = run();
    MOST.set(usize::MAX);
    result
}

/// Returns the bytes of memory that the system has given this process, without those that the
/// allocator returns on request. `None` where the system does not report it.
pub(crate) fn resident() -> Option<u64> {
    system::give_back();
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
