//! A global allocator that counts allocations and frees for each thread, and refuses large
//! allocations on request.
//!
//! A test binary that needs it names it: `#[global_allocator] static ALLOCATOR: Counting =
//! Counting;`. Counters and refusals belong to one thread, so tests that run at the same time do
//! not disturb each other.
#![expect(unsafe_code, reason = "a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, Ordering};

/// What one thread allocated and freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// Number of allocations.
    pub allocations: u64,
    /// Number of frees.
    pub frees: u64,
    /// Bytes allocated minus bytes freed.
    pub bytes: i64,
    /// Bytes allocated.
    pub asked: u64,
}

thread_local! {
    // Without a destructor, so that it is usable until the end of a thread.
    static HEAP: Cell<Heap> = const { Cell::new(Heap { allocations: 0, frees: 0, bytes: 0, asked: 0 }) };
    /// The size from which an allocation counts as large, and how many large allocations are
    /// granted.
    static LARGE: Cell<(usize, usize)> = const { Cell::new((usize::MAX, 0)) };
}

/// The alignment from which the bytes of all threads are counted together.
pub const WIDE: usize = 4096;

/// Bytes in use, of all threads, in allocations with an alignment of at least [`WIDE`].
static WIDE_BYTES: AtomicI64 = AtomicI64::new(0);

fn note_wide(layout: Layout, bytes: i64) {
    if layout.align() >= WIDE {
        WIDE_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Returns the bytes of all threads in allocations with an alignment of at least [`WIDE`], which
/// are the rings of events with that alignment.
pub fn wide_bytes() -> i64 {
    WIDE_BYTES.load(Ordering::Relaxed)
}

fn note(change: impl FnOnce(&mut Heap)) {
    let _ = HEAP.try_with(|heap| {
        let mut now = heap.get();
        change(&mut now);
        heap.set(now);
    });
}

/// Returns whether the allocation is granted.
fn is_granted(bytes: usize) -> bool {
    let (large, granted) = LARGE.try_with(Cell::get).unwrap_or((usize::MAX, 0));
    if bytes >= large && granted > 0 {
        let _ = LARGE.try_with(|limit| limit.set((large, granted - 1)));
    }
    bytes < large || granted > 0
}

/// The system's allocator, with counters.
#[derive(Debug)]
pub struct Counting;

// SAFETY: every call is forwarded to the system's allocator unchanged, or fails as an allocator
// may. Counting touches no memory of the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_granted(layout.size()) {
            return null_mut();
        }
        note(|heap| {
            heap.allocations += 1;
            heap.bytes += layout.size() as i64;
            heap.asked += layout.size() as u64;
        });
        note_wide(layout, layout.size() as i64);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(|heap| {
            heap.frees += 1;
            heap.bytes -= layout.size() as i64;
        });
        note_wide(layout, -(layout.size() as i64));
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Returns what the calling thread allocated and freed during `run`, and the result of `run`.
pub fn heap_of<R>(run: impl FnOnce() -> R) -> (Heap, R) {
    let before = HEAP.get();
    let result = run();
    let after = HEAP.get();
    let heap = Heap {
        allocations: after.allocations - before.allocations,
        frees: after.frees - before.frees,
        bytes: after.bytes - before.bytes,
        asked: after.asked - before.asked,
    };
    (heap, result)
}

/// Runs `run` while the calling thread is granted `granted` allocations of at least `large` bytes,
/// and no further ones.
pub fn with_large<R>(large: usize, granted: usize, run: impl FnOnce() -> R) -> R {
    LARGE.set((large, granted));
    let result = run();
    LARGE.set((usize::MAX, 0));
    result
}
