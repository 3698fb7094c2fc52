//! No memory for a ring: the caller receives an error, or falls back to the shared lane. Existing
//! sinks continue to work, and partial allocations are freed.

use buslane::channel::ChannelBuilder;
use buslane::error::{AddError, BuildError, OutOfMemory, SpawnError, SubscribeError};
use buslane::journal::{Entry, Start};
use buslane::queue::QueueBuilder;
use buslane::{Bus, Channel, Journal, Published, Queue, Receiver, Sink, SinkExt, WaitStrategy};
use std::sync::Arc;
use std::thread;
use test_support::heap::{heap_of, with_large};
use test_support::{Drops, GUARD, Log, assert_balanced, wait_for};

type Event = [u64; 4];
const CAPACITY: usize = 4096;
/// Smaller than any ring of these tests, and larger than any other allocation.
const RING: usize = 1 << 16;
const NO_MEMORY: OutOfMemory = OutOfMemory::new(CAPACITY);

/// Runs `run` with memory for exactly `granted` more rings.
fn rings<R>(granted: usize, run: impl FnOnce() -> R) -> R {
    with_large(RING, granted, run)
}

fn event(n: u64) -> Event {
    [n; 4]
}

fn channel_builder() -> ChannelBuilder<Event> {
    Channel::builder().capacity(CAPACITY).wait_strategy(WaitStrategy::Park)
}

fn channel() -> (Channel<Event>, Receiver<Event>) {
    channel_builder().build().expect("memory")
}

fn queue_builder() -> QueueBuilder<Event> {
    Queue::builder().capacity(CAPACITY)
}

/// Returns the first field of each readable event.
fn read(receiver: &mut Receiver<Event>) -> Vec<u64> {
    receiver.drain().map(|[n, ..]| n).collect()
}

fn took(accepted: usize) -> Published {
    let mut published = Published::default();
    published.accepted = accepted;
    published
}

#[test]
fn add_without_lane_memory_fails_and_bus_continues() {
    let bus = Bus::new();
    let (there, mut first) = channel();
    bus.add(there.clone()).unwrap();
    let mut publisher = bus.publisher();
    let (channel, mut second) = channel();
    let kept = Arc::new(());
    let with_kept = || {
        let kept = kept.clone();
        channel.clone().filter(move |_: &Event| Arc::strong_count(&kept) > 0)
    };
    assert!(matches!(rings(0, || bus.add(with_kept())), Err(AddError::OutOfMemory(NO_MEMORY))));
    assert_eq!((bus.sink_count(), Arc::strong_count(&kept)), (1, 1), "no part of it stays on the bus");
    assert_eq!(publisher.publish(event(1)), Ok(took(1)));
    assert_eq!(rings(0, || bus.publish(event(2))), Ok(took(1)));
    assert!(read(&mut second).is_empty());

    bus.add(with_kept()).unwrap();
    assert_eq!(publisher.publish(event(3)), Ok(took(2)));
    assert_eq!((read(&mut first), read(&mut second)), (vec![1, 3, 2], vec![3]));
    assert!(bus.close_timeout(GUARD).is_done());
    for (channel, delivered) in [(there, 3), (channel, 1)] {
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.offered, ledger.delivered, ledger.pending), (delivered, delivered, 0));
    }
}

#[test]
fn failed_add_frees_the_lanes_it_made() {
    let bus = Bus::new();
    bus.add(buslane::noop()).unwrap();
    let mut publishers = [bus.publisher(), bus.publisher(), bus.publisher()];
    let (channel, mut receiver) = channel();
    let mut in_vain = || {
        assert!(matches!(rings(2, || bus.add(channel.clone())), Err(AddError::OutOfMemory(NO_MEMORY))));
        // A poll drops ended lanes, and a query folds their counters into the channel.
        assert!(receiver.try_recv().is_err());
        assert_eq!(channel.state().lanes, 0);
    };
    in_vain();
    let (heap, ()) = heap_of(|| (0..20).for_each(|_| in_vain()));
    assert!(heap.bytes < 1024, "{heap:?}");
    bus.add(channel.clone()).unwrap();
    for publisher in &mut publishers {
        assert_eq!(publisher.publish(event(1)), Ok(took(2)));
    }
    assert_eq!(read(&mut receiver), [1, 1, 1]);
    assert_eq!(channel.state().lanes, 3);
}

#[test]
fn publisher_without_lane_memory_uses_shared_lanes() {
    let bus = Bus::new();
    let (channel, mut receiver) = channel();
    let log = Log::new();
    let seen = log.clone();
    let queue = queue_builder().spawn(move |[n, ..]: Event| seen.push(n)).unwrap();
    bus.add(channel.clone()).unwrap();
    bus.add(queue.clone()).unwrap();
    let mut poor = rings(0, || bus.publisher());
    let mut half = rings(1, || bus.publisher());
    let mut rich = bus.publisher();
    assert_eq!((channel.state().lanes, queue.state().lanes), (2, 1));
    for n in 0..100 {
        for (publisher, at) in [(&mut poor, 0), (&mut half, 1000), (&mut rich, 2000)] {
            assert_eq!(publisher.publish(event(at + n)), Ok(took(2)));
        }
        let local = rings(0, || bus.with_local(|publisher| publisher.publish(event(3000 + n))));
        assert_eq!(local, Ok(took(2)));
    }
    // The next change finds memory again, and keeps the existing lanes.
    let (late, mut late_receiver) = channel_builder().build().unwrap();
    bus.add(late).unwrap();
    assert_eq!(poor.publish(event(100)), Ok(took(3)));
    assert_eq!(read(&mut late_receiver), [100]);

    drop((poor, half, rich));
    assert!(bus.close_timeout(GUARD).is_done());
    for (got, state) in [(read(&mut receiver), channel.state()), (log.entries(), queue.state())] {
        for at in [0, 1000, 2000, 3000] {
            let of_one: Vec<u64> = got.iter().copied().filter(|n| n / 1000 * 1000 == at).collect();
            let count = if at == 0 { 101 } else { 100 };
            assert!(of_one.iter().copied().eq(at..at + count), "each event of one publisher, in order");
        }
        let ledger = assert_balanced(&state);
        assert_eq!((ledger.offered, ledger.accepted, ledger.delivered), (401, 401, 401));
    }
}

#[test]
fn keyed_queue_makes_all_worker_lanes_or_none() {
    let log = Log::new();
    let seen = log.clone();
    let queue = queue_builder()
        .workers(3)
        .ordered_by(|[n, ..]: &Event| *n)
        .spawn_each(|_| {
            let seen = seen.clone();
            move |[n, ..]: Event| seen.push(n)
        })
        .unwrap();
    let bus = Bus::new();
    let _first = bus.publisher();
    assert!(matches!(rings(2, || bus.add(queue.clone())), Err(AddError::OutOfMemory(NO_MEMORY))));
    bus.add(queue.clone()).unwrap();
    let mut poor = rings(2, || bus.publisher());
    for n in 0..100 {
        assert_eq!(poor.publish(event(n)), Ok(took(1)));
    }
    assert!(bus.close_timeout(GUARD).is_done());
    let mut got = log.entries();
    got.sort_unstable();
    assert!(got.into_iter().eq(0..100));
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.offered, ledger.delivered), (100, 100));
}

/// Runs `make` twice without memory for it, and then once with memory.
#[track_caller]
fn only_with_memory<R>(granted: usize, make: impl Fn() -> Result<R, BuildError>) {
    let refused = || assert_eq!(rings(granted, || make().err()), Some(NO_MEMORY.into()));
    refused();
    let (heap, ()) = heap_of(refused);
    assert_eq!(heap.bytes, 0, "{heap:?}");
    assert!(make().is_ok());
}

#[test]
fn channel_and_journal_without_memory_fail_to_build() {
    only_with_memory(0, || Channel::<Event>::lossy(CAPACITY));
    only_with_memory(0, || Channel::<Event>::shared_lossy(CAPACITY));
    only_with_memory(0, || channel_builder().build());
    only_with_memory(0, || channel_builder().build_shared());
    only_with_memory(0, || Journal::<Event>::new(CAPACITY));
    only_with_memory(0, || Journal::<Event>::single(CAPACITY));
    only_with_memory(0, || Journal::<Event>::builder().capacity(CAPACITY).sample_time().build());
    only_with_memory(0, || Journal::<Event>::builder().capacity(CAPACITY).build_single());
    let bus = Bus::<Event>::new();
    assert!(matches!(
        rings(0, || bus.subscribe_lossy(CAPACITY).err()),
        Some(AddError::OutOfMemory(NO_MEMORY))
    ));
    let _publisher = bus.publisher();
    // There is memory for the shared lane, and none for the private one.
    assert!(matches!(
        rings(1, || bus.subscribe_lossy(CAPACITY).err()),
        Some(AddError::OutOfMemory(NO_MEMORY))
    ));
    assert_eq!(bus.sink_count(), 0);
}

#[test]
fn queue_without_memory_fails_and_drops_handlers() {
    let drops = Drops::default();
    let held = |id| {
        let held = drops.track(id);
        move |_: Event| assert!(held.id < 10)
    };
    let config = |made: Result<Queue<Event>, SpawnError>| match made {
        Ok(_) => panic!("created without memory"),
        Err(SpawnError::OutOfMemory(error)) => error,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(config(rings(0, || queue_builder().spawn(held(0)))), NO_MEMORY);
    assert_eq!(config(rings(0, || queue_builder().spawn_sink(buslane::noop()))), NO_MEMORY);
    let several = || queue_builder().workers(2).spawn_each(|worker| held(1 + worker as u64));
    assert_eq!(config(rings(0, several)), NO_MEMORY);
    let by_key = || queue_builder().workers(3).ordered_by(|[n, ..]: &Event| *n);
    // There is memory for the rings of two of the three workers.
    let ordered = || by_key().spawn_each(|worker| held(3 + worker as u64));
    assert_eq!(config(rings(2, ordered)), NO_MEMORY);
    wait_for(|| drops.ids() == [0, 1, 2, 3, 4, 5]);
    let queue = queue_builder().spawn(held(6)).unwrap();
    assert!(queue.write(event(1)).is_ok() && queue.close_timeout(GUARD).is_done());
    assert_eq!(queue.state().ledger.delivered, 1);
}

/// An event so large that 64 of them, one block of a journal, exceed [`RING`].
type Large = [u64; 512];

/// Returns the first field of each event that a subscriber still has to read.
fn firsts(subscriber: &mut buslane::Subscriber<Large>) -> Vec<u64> {
    subscriber
        .try_iter()
        .map(|entry| match entry {
            Entry::Event(_, [n, ..]) => n,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn subscribe_without_memory_fails_journal_continues() {
    let journal = Journal::<Large>::new(128).unwrap();
    let no_memory = SubscribeError::OutOfMemory(OutOfMemory::new(64));
    let mut reader = journal.subscribe(Start::Oldest).unwrap();
    journal.publish([0; 512]).unwrap();
    let in_vain = || {
        let refused = rings(0, || journal.subscribe(Start::Oldest)).map(drop);
        assert_eq!(refused, Err(no_memory));
        let refused = rings(0, || journal.subscription().name("gate").gating().subscribe()).map(drop);
        assert_eq!(refused, Err(no_memory));
    };
    in_vain();
    let (heap, ()) = heap_of(in_vain);
    assert_eq!(heap.bytes, 0, "{heap:?}");
    assert_eq!(journal.state().subscribers.len(), 1, "a refused subscriber is not listed");
    // No gate remains whose cursor never advances.
    for n in 1..100 {
        assert!(rings(0, || journal.try_publish([n; 512]).is_ok()));
    }
    assert!(firsts(&mut reader).into_iter().eq(0..100));
    let mut late = journal.subscribe(Start::Oldest).unwrap();
    assert!(firsts(&mut late).into_iter().eq(0..100));
    // The block of a dropped subscriber serves the next one.
    drop(late);
    let mut next = rings(0, || journal.subscribe(Start::Last(1))).unwrap();
    assert_eq!(firsts(&mut next), [99]);
    for n in 100..400 {
        assert!(journal.try_publish([n; 512]).is_ok());
    }
    let mut rest = 0;
    while let Ok(entry) = reader.try_recv() {
        rest += if let Entry::Lagged(events) = entry { events } else { 1 };
    }
    assert_eq!(rest, 300, "read, or reported as missed");
    assert_balanced(&journal.state());
}

#[test]
fn failed_adds_do_not_affect_other_publishers() {
    let bus = Bus::new();
    let (channel, mut receiver) = channel();
    bus.add(channel).unwrap();
    let mut publisher = bus.publisher();
    let publisher = thread::spawn(move || {
        for n in 0..CAPACITY as u64 {
            assert_eq!(publisher.publish(event(n)), Ok(took(1)));
        }
        publisher
    });
    let (other, _reader) = self::channel();
    while !publisher.is_finished() {
        assert!(matches!(rings(0, || bus.add(other.clone())), Err(AddError::OutOfMemory(NO_MEMORY))));
    }
    drop(publisher.join().unwrap());
    assert!(read(&mut receiver).into_iter().eq(0..CAPACITY as u64));
}
