//! Memory of the threads that write: no allocation for a line, and no lane for a few lines.

use crate::{Recorder, close, flush, log};
use std::io::Write;
use std::thread;
use test_support::heap::{Heap, heap_of};

/// A line of 120 bytes.
const LINE: [u8; 120] = {
    let mut line = [b'-'; 120];
    line[119] = b'\n';
    line
};
/// The bytes of the slots of a lane, with the default capacity.
const LANE: u64 = 1024 * 256;

/// Returns what a new thread allocates for this number of lines.
fn heap_of_thread(log: &buslane_tracing::NonBlocking, lines: usize) -> Heap {
    let log = log.clone();
    let writing = move || (0..lines).for_each(|_| (&log).write_all(&LINE).unwrap());
    thread::spawn(move || heap_of(writing).0).join().unwrap()
}

#[test]
fn threads_with_a_few_lines_take_no_lane() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    let asked: u64 = (0..200).map(|_| heap_of_thread(&log, 16).asked).sum();
    // What remains are the records of hazards, a few hundred bytes for each thread.
    assert!(asked < LANE, "200 threads took {asked} bytes");
    close(guard);
}

#[test]
fn thread_with_many_lines_takes_a_lane() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    let heap = heap_of_thread(&log, 100);
    assert!((LANE..2 * LANE).contains(&heap.asked), "{heap:?}");
    close(guard);
}

#[test]
fn short_lines_allocate_nothing() {
    let recorder = Recorder::new();
    let (log, guard) = log(&recorder);
    let write = || (&log).write_all(&LINE).unwrap();
    (0..100).for_each(|_| write());
    flush(&guard);
    let (heap, ()) = heap_of(|| (0..500).for_each(|_| write()));
    assert_eq!((heap.allocations, heap.frees), (0, 0));
    close(guard);
}
