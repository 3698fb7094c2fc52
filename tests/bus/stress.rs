//! Several publishers while sinks are added, removed and closed. A sink that stays gets each event
//! once and in order. A sink that leaves sees no gap up to its end. All ledgers balance. Sizes keep
//! each scenario under a few seconds.

use buslane::bus::Removed;
use buslane::error::TryRecvError;
use buslane::queue::QueueBuilder;
use buslane::{Bus, Channel, Overflow, Queue, Receiver, Sink, SinkExt, WaitStrategy, sink_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use test_support::bus::{Route, assert_books, flush_bus};
use test_support::{GUARD, assert_balanced, lock};

const PUBLISHERS: u64 = 3;
const EVENTS: u64 = 4_000;

/// An event with its publisher and its number in that publisher's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbered {
    source: u64,
    number: u64,
}

/// Checks for each publisher that its numbers are consecutive, from any first number.
#[derive(Clone, Default)]
struct Sequence {
    next: [Option<u64>; PUBLISHERS as usize],
    count: u64,
}

impl Sequence {
    fn note(&mut self, event: Numbered) {
        let next = &mut self.next[event.source as usize];
        let expected = next.unwrap_or(event.number);
        assert_eq!(event.number, expected, "publisher {}", event.source);
        *next = Some(expected + 1);
        self.count += 1;
    }

    /// Checks an event of a sink that may refuse: numbers may be missing, but never decrease.
    fn note_with_gaps(&mut self, event: Numbered) {
        let next = &mut self.next[event.source as usize];
        assert!(next.is_none_or(|next| event.number >= next), "publisher {}", event.source);
        *next = Some(event.number + 1);
        self.count += 1;
    }

    #[track_caller]
    fn assert_complete(&self) {
        assert_eq!(self.next, [Some(EVENTS); PUBLISHERS as usize]);
        assert_eq!(self.count, PUBLISHERS * EVENTS, "no event is missing");
    }
}

type Seen = Arc<Mutex<Sequence>>;

fn note(seen: &Seen) -> impl Fn(&Numbered) + Send + Sync + 'static + use<> {
    let seen = seen.clone();
    move |event| lock(&seen).note(*event)
}

fn lossless() -> QueueBuilder<Numbered> {
    Queue::builder().capacity(64).overflow(Overflow::Block)
}

/// Starts the publishers, each with a different route. Each ends after its last event.
fn publishers(bus: &Bus<Numbered>, go: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    (0..PUBLISHERS)
        .map(|source| {
            let (bus, go) = (bus.clone(), go.clone());
            thread::spawn(move || {
                let mut route = Route::all(&bus).into_iter().nth(source as usize % 3).unwrap();
                while !go.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                for number in 0..EVENTS {
                    assert!(route.publish(Numbered { source, number }).is_ok());
                }
            })
        })
        .collect()
}

/// Adds one lossless sink of every kind, and returns the events that each has seen.
fn steady_sinks(bus: &Bus<Numbered>) -> Vec<Seen> {
    let mut all = Vec::new();
    let mut seen = || {
        all.push(Seen::default());
        note(&all[all.len() - 1])
    };
    for wait in [WaitStrategy::nap(), WaitStrategy::Park, WaitStrategy::SpinPark, WaitStrategy::poll()] {
        let check = seen();
        bus.add(lossless().wait_strategy(wait).spawn(move |event| check(&event)).unwrap()).unwrap();
    }
    let check = seen();
    let filtered = lossless().spawn(move |event| check(&event)).unwrap();
    bus.add(filtered.filter(|event: &Numbered| event.number < u64::MAX)).unwrap();
    bus.add(sink_fn(seen())).unwrap();
    let inner = Bus::new();
    let check = seen();
    inner.add(lossless().spawn(move |event| check(&event)).unwrap()).unwrap();
    bus.add(inner).unwrap();
    all
}

#[test]
fn sinks_see_events_once_while_others_come_and_go() {
    let (bus, go) = (Bus::new(), Arc::new(AtomicBool::new(false)));
    let steady = steady_sinks(&bus);
    let threads = publishers(&bus, &go);
    go.store(true, Ordering::Release);
    let (mut passing, mut closed) = (Vec::new(), Vec::new());
    let mut round = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        let seen = Seen::default();
        let check = note(&seen);
        match round % 5 {
            0 => {
                let queue = lossless().spawn(move |event| check(&event)).unwrap();
                let id = bus.add(queue.clone()).unwrap();
                thread::yield_now();
                assert_eq!(bus.remove(id), Ok(Removed::Quiet));
                let entered = queue.state().ledger.accepted;
                passing.push((queue, entered, seen));
            }
            1 => {
                let calls = Arc::new(AtomicU64::new(0));
                let count = calls.clone();
                let id = bus
                    .add(sink_fn(move |event: &Numbered| {
                        count.fetch_add(1, Ordering::Relaxed);
                        check(event);
                    }))
                    .unwrap();
                thread::yield_now();
                assert_eq!(bus.remove(id), Ok(Removed::Quiet));
                let before = calls.load(Ordering::Relaxed);
                thread::yield_now();
                assert_eq!(calls.load(Ordering::Relaxed), before, "the sink was called after its removal");
            }
            2 => drop(bus.subscribe_lossy(8).unwrap()),
            3 => {
                let queue = lossless().spawn(move |event| check(&event)).unwrap();
                bus.add(queue.clone().filter(|_: &Numbered| true)).unwrap();
                thread::yield_now();
                assert!(queue.close().is_done());
                closed.push((queue, seen));
            }
            _ => drop(bus.publisher()),
        }
        round += 1;
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    flush_bus(&bus);
    for seen in &steady {
        lock(seen).assert_complete();
    }
    for (queue, entered, seen) in passing {
        assert!(queue.flush_timeout(GUARD).is_done());
        let ledger = assert_balanced(&queue.state());
        assert_eq!(ledger.accepted, entered, "an event entered the queue after the removal");
        assert_eq!((ledger.delivered, ledger.pending), (lock(&seen).count, 0));
    }
    // A ledger balances only at rest, and publishers were still running when these queues closed.
    for (queue, seen) in closed {
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.delivered, ledger.pending), (lock(&seen).count, 0));
    }
    assert_books(&bus);
    let report = bus.close();
    assert!(report.is_done(), "{report}");
}

/// Reads until the stream ends, and checks that the events have no gap.
fn read(mut receiver: Receiver<Numbered>) -> JoinHandle<Sequence> {
    thread::spawn(move || {
        let mut sequence = Sequence::default();
        for event in receiver.iter() {
            sequence.note(event);
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        sequence
    })
}

#[test]
fn receivers_see_no_gap_while_others_come_and_go() {
    let (bus, go) = (Bus::new(), Arc::new(AtomicBool::new(false)));
    let channel = || Channel::builder().capacity(64).overflow(Overflow::Block).build().unwrap();
    let (steady, reader) = channel();
    bus.add(steady).unwrap();
    let steady = read(reader);
    let threads = publishers(&bus, &go);
    go.store(true, Ordering::Release);
    let mut readers = Vec::new();
    for round in 0..60 {
        let (channel, receiver) = channel();
        let id = bus.add(channel.clone()).unwrap();
        match round % 3 {
            0 => {
                readers.push(read(receiver));
                bus.remove(id).unwrap();
                drop(channel);
            }
            1 => {
                readers.push(read(receiver));
                channel.close();
            }
            _ => drop(receiver),
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let passing: u64 = readers.into_iter().map(|reader| reader.join().unwrap().count).sum();
    assert!(passing <= 40 * PUBLISHERS * EVENTS);
    assert!(bus.close().is_done());
    steady.join().unwrap().assert_complete();
    assert_books(&bus);
}

#[test]
fn events_accepted_during_close_are_handled_in_order() {
    for round in 0..30 {
        let bus = Bus::new();
        let seen: Vec<Seen> = (0..3).map(|_| Seen::default()).collect();
        let queues: Vec<Queue<Numbered>> = seen
            .iter()
            .map(|seen| {
                let (seen, builder) = (seen.clone(), Queue::builder().overflow(Overflow::Refuse));
                builder.spawn(move |event| lock(&seen).note_with_gaps(event)).unwrap()
            })
            .collect();
        bus.add(queues[0].clone()).unwrap();
        bus.add(queues[1].clone().filter(|_: &Numbered| true)).unwrap();
        bus.add(queues[2].clone()).unwrap();
        let threads: Vec<_> = (0..PUBLISHERS)
            .map(|source| {
                let bus = bus.clone();
                thread::spawn(move || {
                    let mut route = Route::all(&bus).into_iter().nth(source as usize % 3).unwrap();
                    let mut accepted = 0;
                    for number in 0.. {
                        match route.publish(Numbered { source, number }) {
                            Ok(published) => accepted += published.accepted as u64,
                            Err(_) => break,
                        }
                    }
                    accepted
                })
            })
            .collect();
        while lock(&seen[0]).count < round {
            thread::yield_now();
        }
        let report = bus.close_timeout(GUARD);
        assert!(report.is_done(), "{report}");
        let accepted: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        let handled: u64 = seen.iter().map(|seen| lock(seen).count).sum();
        assert_eq!(handled, accepted);
        for queue in &queues {
            let ledger = assert_balanced(&queue.state());
            assert_eq!((ledger.accepted, ledger.pending), (ledger.delivered, 0));
        }
    }
}

#[test]
fn shared_queue_serves_buses_that_add_and_remove_it() {
    let seen = Seen::default();
    let check = note(&seen);
    let queue = lossless().spawn(move |event| check(&event)).unwrap();
    let threads: Vec<_> = (0..PUBLISHERS)
        .map(|source| {
            let queue = queue.clone();
            thread::spawn(move || {
                let bus = Bus::new();
                let mut publisher = bus.publisher();
                for number in 0..EVENTS / 10 {
                    let id = bus.add(queue.clone()).unwrap();
                    assert_eq!(publisher.publish(Numbered { source, number }).unwrap().accepted, 1);
                    // Order holds within one lane, and here each event has a different lane.
                    assert!(queue.flush_timeout(GUARD).is_done());
                    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
                }
                drop(publisher);
                bus
            })
        })
        .collect();
    let buses: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, lock(&seen).count), (PUBLISHERS * EVENTS / 10, PUBLISHERS * EVENTS / 10));
    drop(buses);
    assert!(
        queue.write(Numbered { source: 0, number: EVENTS / 10 }).is_ok(),
        "a queue removed from its bus stays open"
    );
    assert!(queue.close().is_done());
}
