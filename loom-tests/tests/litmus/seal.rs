//! The seal of a ring against its producer and its consumer: exactly the accepted events are taken,
//! and the others come back.

use crate::rounds::{Part, play, rounds};
use buslane::ring::spsc::{Consumer, Producer, Sealer, ring};
use buslane::wait::{FencePair, WaitCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const EVENTS: u64 = 4;
/// The number of rings that are created in advance.
const RINGS: usize = 500;

/// The counts of the three sides in a round.
#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    back: AtomicU64,
    taken: AtomicU64,
    end: AtomicU64,
}

/// Runs the publisher's part: pushes until the ring is closed.
fn push(producer: &mut Producer<u64>, fence: &WaitCell, counters: &Counters) {
    let (mut accepted, mut back) = (0, 0);
    for event in 0..EVENTS {
        if producer.push(event).is_err() {
            break;
        }
        fence.fence();
        let before = back;
        let open = producer.settle(|value| {
            assert_eq!(value, event, "only the last pushed event comes back");
            back += 1;
        });
        accepted += u64::from(before == back);
        if !open {
            break;
        }
    }
    counters.accepted.store(accepted, Ordering::Relaxed);
    counters.back.store(back, Ordering::Relaxed);
}

/// Runs the consumer's part: takes events until the ring has ended.
fn take(consumer: &mut Consumer<u64>, counters: &Counters) {
    let mut taken = 0;
    while !consumer.is_drained() {
        match consumer.pop() {
            Some(event) => {
                assert_eq!(event, taken, "in order");
                taken += 1;
            }
            None => std::thread::yield_now(),
        }
    }
    assert_eq!(consumer.pop(), None, "an event after the end");
    counters.taken.store(taken, Ordering::Relaxed);
}

/// Runs the test with this number of threads: with two, the sealing thread takes the events
/// afterward.
fn seal(what: &str, threads: usize, count: usize) {
    let (counters, fence) = (Counters::default(), WaitCell::new(FencePair::process()));
    let (mut made, mut played, mut cut, mut came_back) = (0, 0, 0, 0);
    while made < count {
        let rings = RINGS.min(count - made);
        made += rings;
        let (mut producers, mut consumers, mut sealers) = (Vec::new(), Vec::new(), Vec::new());
        for (producer, consumer) in (0..rings).map(|_| ring(EVENTS as usize).expect("a small ring")) {
            sealers.push(producer.sealer());
            producers.push(producer);
            consumers.push(consumer);
        }
        // One thread runs two parts that need the consumers, in sequence.
        let consumers = Mutex::new(consumers);
        let take_one = |round: usize| take(&mut consumers.lock().unwrap()[round], &counters);
        let end = |sealer: &Sealer<u64>| counters.end.store(sealer.seal(), Ordering::Relaxed);
        let mut parts: Vec<Part<'_>> = vec![Box::new(|round| push(&mut producers[round], &fence, &counters))];
        if threads == 2 {
            parts.push(Box::new(|round| {
                end(&sealers[round]);
                take_one(round);
            }));
        } else {
            parts.push(Box::new(take_one));
            parts.push(Box::new(|round| end(&sealers[round])));
        }
        played += play(rings, parts, |_| {
            let [accepted, back, taken, end] =
                [&counters.accepted, &counters.back, &counters.taken, &counters.end]
                    .map(|word| word.load(Ordering::Relaxed));
            assert_eq!((accepted, taken), (end, end), "accepted, and taken");
            assert!(back <= 1 && accepted + back <= EVENTS);
            cut += u64::from(0 < end && end < EVENTS);
            came_back += back;
        });
    }
    eprintln!("{what}: {played} rounds, sealed in the middle {cut}, taken back {came_back}");
}

#[test]
fn seal_agrees_with_the_producer() {
    seal("seal against producer", 2, rounds(1));
}

#[test]
fn seal_agrees_with_producer_and_consumer() {
    seal("seal against producer and consumer", 3, rounds(2));
}
