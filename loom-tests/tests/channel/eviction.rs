//! The newest events evict the oldest.

use super::{books, channel, lane, push, rest, write};
use buslane::error::{RecvError, TryRecvError};
use buslane::stats::DropReason;
use buslane::{Channel, Overflow};
use loom_tests::{Lives, Steps, Tracked, model, thread};
use std::sync::{Arc, Mutex};

/// Runs `pushes` pushes into a drop-oldest channel against `looks` polls: the counters are exact.
fn drop_oldest(pushes: usize, looks: usize, shared: bool) {
    let (lives, steps) = (Lives::new(pushes), Steps::new());
    let evicted = Arc::new(Mutex::new(Vec::new()));
    let hook = evicted.clone();
    let (channel, mut receiver) = Channel::builder()
        .capacity(1)
        .overflow(Overflow::DropOldest)
        .on_drop(move |event: Tracked, reason| hook.lock().unwrap().push((event.id(), reason)))
        .build()
        .expect("a small channel");
    let mut lane = lane(&channel);
    let (writer, values, turns) = (channel.clone(), lives.clone(), steps.clone());
    let publisher = thread::spawn(move || {
        for id in 0..pushes {
            turns.step();
            let value = values.value(id);
            assert!(if shared { write(&writer, value) } else { push(&mut lane, value) });
        }
    });
    let mut got = Vec::new();
    for _ in 0..looks {
        steps.step();
        match receiver.try_recv() {
            Ok(value) => got.push(value.id()),
            Err(end) => assert_eq!(end, TryRecvError::Empty),
        }
    }
    publisher.join().unwrap();
    channel.close();
    got.extend(rest(&mut receiver).0);
    assert!(got.is_sorted(), "first in, first out");
    let dropped = evicted.lock().unwrap();
    let books = books(&channel);
    let evictions = dropped.iter().filter(|(_, reason)| *reason == DropReason::Evicted).count();
    assert_eq!((books.accepted, books.delivered), (pushes as u64, got.len() as u64));
    assert_eq!(books.dropped.evicted, evictions as u64);
    assert_eq!(books.dropped.full, (dropped.len() - evictions) as u64);
    drop(dropped);
    drop((channel, receiver));
    lives.assert_all_dropped();
}

#[test]
fn drop_oldest_in_a_lane_keeps_counters_exact() {
    // accepted = delivered + evicted + dropped, and the hook receives each dropped event. Fails
    // when ORD(mpmc.stamp) is Relaxed, or when a thread counts an eviction that another thread
    // made.
    model(|| drop_oldest(2, 2, false));
}

#[test]
fn drop_oldest_on_shared_lane_keeps_counters_exact() {
    // As above, on the shared lane.
    model(|| drop_oldest(2, 2, true));
}

#[test]
fn close_reaches_the_reader_after_two_evictions() {
    // A writer that evicts the last event and then finds the channel closed wakes no thread, and
    // still the reader sees the end. Fails when a reader parks although its shared lane has ended:
    // `has_work` must check the end, too.
    model(|| {
        let lives = Lives::new(2);
        let (channel, mut receiver) = channel(1, Overflow::DropOldest);
        let writers = [0, 1].map(|id| {
            let (channel, value) = (channel.clone(), lives.value(id));
            thread::spawn(move || write(&channel, value))
        });
        // The yield lets the writers run without a preemption.
        thread::yield_now();
        channel.close();
        let (got, end) = rest(&mut receiver);
        assert_eq!(end, RecvError::Closed);
        let accepted = writers.into_iter().filter_map(|writer| writer.join().unwrap().then_some(())).count();
        let books = books(&channel);
        assert_eq!((books.accepted, books.delivered), (accepted as u64, got.len() as u64));
        assert_eq!(books.pending, 0);
        drop((channel, receiver));
        lives.assert_all_dropped();
    });
}

/// Polls a drop-oldest channel while one writer pushes: each event that is read comes after the losses
/// that precede it.
fn losses_precede(shared: bool) {
    let lives = Lives::new(2);
    let (channel, mut receiver) = channel(1, Overflow::DropOldest);
    let mut lane = lane(&channel);
    let (writer, values) = (channel.clone(), lives.clone());
    let publisher = thread::spawn(move || {
        for id in 0..2 {
            let value = values.value(id);
            assert!(if shared { write(&writer, value) } else { push(&mut lane, value) });
        }
    });
    let first = loop {
        match receiver.try_recv() {
            Ok(value) => break value.id() as u64,
            Err(_) => thread::yield_now(),
        }
    };
    assert!(receiver.lost() >= first, "{} of {first} lost events", receiver.lost());
    publisher.join().unwrap();
    drop((channel, receiver));
    lives.assert_all_dropped();
}

#[test]
fn losses_in_a_lane_precede_the_next_event() {
    // The thread that evicts counts afterwards. Fails when the reader does not count the evicted
    // events that it has passed.
    model(|| losses_precede(false));
}

#[test]
fn losses_on_the_shared_lane_precede_the_next_event() {
    // As above, on the shared lane.
    model(|| losses_precede(true));
}
