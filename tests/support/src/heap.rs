//! A global allocator that counts, for each thread, what is asked of it and given back, and refuses what is large if asked to.
#![expect(unsafe_code, reason = "a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// What one thread asked of the allocator and gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    pub(crate) allocations: u64,
    pub(crate) frees: u64,
    /// Bytes asked for less bytes given back.
    pub(crate) bytes: i64,
    /// Bytes asked for.
    pub(crate) asked: u64,
}

thread_local! {
    // Without a destructor, so that it can be used to the very end of a thread.
    static HEAP: Cell<Heap> = const { Cell::new(Heap { allocations: 0, frees: 0, bytes: 0, asked: 0 }) };
    /// From how many bytes on an allocation counts as large, and how many of those are granted.
    static LARGE: Cell<(usize, usize)> = const { Cell::new((usize::MAX, 0)) };
}

fn note(change: impl FnOnce(&mut Heap)) {
    let _ = HEAP.try_with(|heap| {
        let mut now = heap.get();
        change(&mut now);
        heap.set(now);
    });
}

/// Whether the system has so much left.
fn is_granted(bytes: usize) -> bool {
    let (large, granted) = LARGE.try_with(Cell::get).unwrap_or((usize::MAX, 0));
    if bytes >= large && granted > 0 {
        let _ = LARGE.try_with(|limit| limit.set((large, granted - 1)));
    }
    bytes < large || granted > 0
}

pub(crate) struct Counting;

// SAFETY: every call is handed on to the system's allocator as it is, or refused as an allocator may; counting touches no memory of
// the heap.
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
        // SAFETY: as our caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(|heap| {
            heap.frees += 1;
            heap.bytes -= layout.size() as i64;
        });
        // SAFETY: as our caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the calling thread's heap went through while `run` ran, and its result.
pub(crate) fn heap_of<R>(run: impl FnOnce() -> R) -> (Heap, R) {
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

/// Runs something on a thread to which the system gives so many more pieces of `large` bytes or more, and then no other.
#[expect(clippy::allow_attributes, reason = "an expectation fails where it is used")]
#[allow(dead_code, reason = "only some tests run out of memory")]
pub(crate) fn with_large<R>(large: usize, granted: usize, run: impl FnOnce() -> R) -> R {
    LARGE.set((large, granted));
    let result = run();
    LARGE.set((usize::MAX, 0));
    result
}
