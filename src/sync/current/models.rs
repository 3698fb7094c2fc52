//! Models of a copy-on-write value that readers name in hazard words.

use super::{Current, FencePair, Retired};
use crate::sync::slot::Slot;
use loom_tests::{Arc, model, model_with, thread};

/// A value that a model sees being read and freed.
struct Seen(Slot<u32>);

// SAFETY: the models check that the drop, which takes the content, comes after all reads.
unsafe impl Sync for Seen {}

impl Seen {
    fn new(content: u32) -> Self {
        let slot = Slot::empty();
        // SAFETY: the slot is new and empty.
        unsafe { slot.put(content) };
        Self(slot)
    }

    fn content(&self) -> u32 {
        // SAFETY: the slot is filled until the drop.
        unsafe { self.0.with(|content| *content) }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        // SAFETY: `&mut self`, and the slot is filled.
        unsafe { self.0.take() };
    }
}

fn current(content: u32) -> Arc<Current<Seen>> {
    Arc::new(Current::new(Seen::new(content), FencePair::Symmetric))
}

/// Replaces the value, and frees old values until none is left.
fn replace(current: &Current<Seen>, content: u32) {
    let mut retired = Retired::new();
    retired.add(current.replace(Seen::new(content)));
    let fresh = retired.take_fresh();
    current.fence();
    retired.fenced(fresh);
    while retired.unread().is_empty() {
        thread::yield_now();
    }
}

#[test]
fn value_is_freed_after_its_readers() {
    // The control plane frees a value only when no thread reads it, and a reader sees what was
    // written. Fails when a fence of ORD(hazards.word), the Release of `Word::drop`, the Acquire of
    // `is_named`, or either side of ORD(current.newest) is missing, or when `read` does not check
    // the pointer again.
    model(|| {
        let current = current(1);
        let other = current.clone();
        let reader = thread::spawn(move || {
            let first = other.read().content();
            assert!(first <= other.read().content());
        });
        replace(&current, 2);
        reader.join().unwrap();
        assert_eq!(current.read().content(), 2);
    });
}

#[test]
fn next_name_ends_the_read_before_it() {
    // A control plane that finds the name of the next value in a word, and never the empty word
    // before it, sees that the earlier read is over. Fails when the Release of `Word::name` is
    // Relaxed.
    model_with(2, || {
        let (one, two) = (current(1), current(2));
        let (first, second) = (one.clone(), two.clone());
        let reader = thread::spawn(move || {
            assert!(first.read().content() > 0);
            let reading = second.read();
            thread::yield_now();
            assert_eq!(reading.content(), 2);
        });
        replace(&one, 3);
        reader.join().unwrap();
        drop(two);
    });
}

#[test]
fn nested_reads_keep_their_values() {
    // Each read keeps its value until it ends, also with more reads than a thread has words. Fails
    // when a nested read takes a word that is not free, or a read without a word keeps nothing.
    model_with(2, || {
        let current = current(1);
        let other = current.clone();
        let reader = thread::spawn(move || {
            let readings = [other.read(), other.read(), other.read()];
            let contents = readings.each_ref().map(|reading| reading.content());
            assert!(contents.is_sorted());
        });
        replace(&current, 2);
        reader.join().unwrap();
    });
}

#[test]
fn ended_thread_holds_no_value() {
    // A thread that has read and ended, and one that registers later, delay nothing and lose
    // nothing. Fails when a thread that ends leaves a word filled, or a registration is not visible
    // to the control plane.
    model(|| {
        let current = current(1);
        let other = current.clone();
        let reader = thread::spawn(move || other.read().content());
        replace(&current, 2);
        assert!(reader.join().unwrap() <= 2);
        replace(&current, 3);
        assert_eq!(current.read().content(), 3);
    });
}
