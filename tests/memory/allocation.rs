//! Publishing allocates and frees nothing: from the first event, after a change of the list, and
//! with full lanes.

mod queries;

use buslane::journal::{Entry, Feed, OnLag, Start};
use buslane::sink::lane::Lanes;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{
    Bus, Channel, Journal, Overflow, Queue, Receiver, Sink, SinkExt, SinkId, Subscriber, WaitStrategy,
    WriteError, noop, sink_fn,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use test_support::heap::{Heap, heap_of};
use test_support::{GUARD, wait_for};

/// The size of the events of the design's measurements.
type Event = [u64; 4];
const EVENT: Event = [7; 4];

/// Runs `run` and asserts that it leaves the heap alone.
#[track_caller]
fn quietly<R>(what: &str, run: impl FnOnce() -> R) -> R {
    let (heap, result) = heap_of(run);
    assert_eq!(heap, Heap::default(), "{what}");
    result
}

/// Returns a bus with every kind of sink that a publisher meets, of small capacity, and their
/// receivers.
fn full_house() -> (Bus<Event>, Vec<Receiver<Event>>) {
    let (bus, mut receivers) = (Bus::new(), Vec::new());
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Refuse] {
        for filtered in [false, true] {
            let (channel, receiver) = Channel::builder().capacity(16).overflow(overflow).build().unwrap();
            receivers.push(receiver);
            if filtered {
                bus.add(channel.filter(|event: &Event| event[0] > 0)).unwrap();
            } else {
                bus.add(channel).unwrap();
            }
        }
    }
    let (mapped, receiver) = Channel::builder().capacity(16).build().unwrap();
    receivers.push(receiver);
    bus.add(mapped.map(|event: &Event| *event)).unwrap();
    let mut channel = || {
        let (channel, receiver) = Channel::builder().capacity(16).build().unwrap();
        receivers.push(receiver);
        channel
    };
    bus.add(channel().timeout(GUARD).catch_panic().inspect(()).inspect_fn(|_| ())).unwrap();
    bus.add(channel().sample(2).rate_limit(1e9, 1)).unwrap();
    bus.add(channel().tee(channel())).unwrap();
    bus.add(noop().tee(noop()).timeout(GUARD)).unwrap();
    let sum = AtomicU64::new(0);
    bus.add(sink_fn(move |event: &Event| sum.store(event[0], Ordering::Relaxed))).unwrap();
    let inner = Bus::new();
    receivers.push(inner.subscribe_lossy(16).unwrap());
    bus.add(inner).unwrap();
    bus.add(Queue::builder().capacity(16).spawn(|_: Event| {}).unwrap()).unwrap();
    bus.add(Queue::builder().capacity(16).wait_strategy(WaitStrategy::Park).spawn(|_: Event| {}).unwrap())
        .unwrap();
    (bus, receivers)
}

#[test]
fn publisher_never_allocates_even_with_full_lanes() {
    let (bus, mut receivers) = full_house();
    let mut publisher = bus.publisher();
    let _ = quietly("the first event", || publisher.publish(EVENT).unwrap());
    quietly("until lanes are full, and beyond", || {
        (0..100).for_each(|_| assert!(publisher.publish(EVENT).is_ok()));
    });
    quietly("try_publish", || (0..100).for_each(|_| assert!(publisher.try_publish(EVENT).is_ok())));
    quietly("publish_with", || (0..100).for_each(|_| assert!(publisher.publish_with(|| EVENT).is_ok())));
    let mut in_place = || publisher.publish_in_place(|| EVENT, |event| event[0] = 7);
    quietly("publish_in_place", || (0..100).for_each(|_| assert!(in_place().is_ok())));
    quietly("publish_batch", || (0..100).for_each(|_| assert!(publisher.publish_batch([EVENT; 5]).is_ok())));
    for receiver in &mut receivers {
        assert!(receiver.try_recv().is_ok());
    }
    let _ = quietly("after the readers made room", || publisher.publish(EVENT).unwrap());
}

#[test]
fn publisher_never_allocates_after_a_list_change() {
    let bus: Bus<Event> = Bus::new();
    let mut publisher = bus.publisher();
    let _ = quietly("without sinks", || publisher.publish(EVENT).unwrap());
    type Build = fn() -> Box<dyn Sink<Event>>;
    let builds: [(&str, Build); 5] = [
        ("a direct sink", || Box::new(noop())),
        ("a queue", || Box::new(Queue::builder().capacity(16).spawn(|_: Event| {}).unwrap())),
        ("a filtered queue", || {
            Box::new(Queue::builder().capacity(16).spawn(|_: Event| {}).unwrap().filter(|_: &Event| true))
        }),
        ("an evicting queue", || {
            let queue = Queue::builder().capacity(16).overflow(Overflow::DropOldest);
            Box::new(queue.spawn(|_: Event| {}).unwrap())
        }),
        ("a bus", || Box::new(Bus::new())),
    ];
    // Runs on another thread, whose heap is counted separately; twice, so that retired tables are
    // reused in between.
    let mut ids: Vec<SinkId> = Vec::new();
    for round in 0..2 {
        for (what, build) in builds {
            ids.push(bus.add(build()).unwrap());
            let _ = quietly(&format!("after {what} was added, round {round}"), || {
                publisher.publish(EVENT).unwrap()
            });
            let _ = quietly("again", || publisher.publish(EVENT).unwrap());
        }
    }
    let other = bus.publisher();
    drop(other);
    let _ = quietly("after another publisher came and went", || publisher.publish(EVENT).unwrap());
    for (left, id) in ids.into_iter().rev().enumerate() {
        bus.remove(id).unwrap();
        let what = format!("after removal {left}");
        let published = quietly(&what, || publisher.publish(EVENT).unwrap());
        // A queue may be full when its worker has not run yet.
        assert_eq!(published.accepted + published.dropped as usize, 9 - left);
    }
}

#[test]
fn publisher_never_allocates_after_missed_changes() {
    let bus: Bus<Event> = Bus::new();
    let mut publisher = bus.publisher();
    for round in 0..10 {
        let receivers: Vec<_> = (0..10).map(|_| bus.subscribe_lossy(16).unwrap()).collect();
        let gone: Vec<_> = bus.snapshot().sinks.iter().step_by(2).map(|sink| sink.id).collect();
        gone.into_iter().for_each(|id| assert!(bus.remove(id).is_ok()));
        let _ = quietly(&format!("round {round}"), || publisher.publish(EVENT).unwrap());
        drop(receivers);
        let _ = quietly("with sinks that turn out to be closed", || publisher.publish(EVENT).unwrap());
    }
}

#[test]
fn publisher_never_allocates_for_failing_sinks() {
    struct ClosedSink;
    impl Sink<Event> for ClosedSink {
        fn write(&self, event: Event) -> Result<(), WriteError<Event>> {
            Err(if event[0] == 0 { WriteError::Full(event) } else { WriteError::Closed(event) })
        }
    }
    let bus: Bus<Event> = Bus::new();
    let mut publisher = bus.publisher();
    bus.add(ClosedSink).unwrap();
    let (refusing, _receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build().unwrap();
    bus.add(refusing).unwrap();
    let kept = bus.subscribe_lossy(16).unwrap();
    let dropped = bus.subscribe_lossy(16).unwrap();
    let _ = quietly("full", || publisher.publish([0; 4]).unwrap());
    drop(dropped);
    let _ = quietly("closed", || publisher.publish(EVENT).unwrap());
    let _ = quietly("after that", || publisher.publish(EVENT).unwrap());
    assert!(bus.close().is_done());
    quietly("on a closed bus", || assert!(publisher.publish(EVENT).is_err()));
    drop(kept);
}

#[test]
fn wake_of_a_parked_consumer_never_allocates() {
    let (sender, handled) = mpsc::sync_channel(1);
    let bus: Bus<u64> = Bus::new();
    let queue =
        Queue::builder().wait_strategy(WaitStrategy::Park).spawn(move |n: u64| sender.send(n).unwrap());
    bus.add(queue.unwrap()).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..100 {
        let _ = quietly("a wake", || publisher.publish(event).unwrap());
        assert_eq!(handled.recv_timeout(GUARD), Ok(event));
    }
}

#[test]
fn blocked_publisher_never_allocates() {
    let gate = Gate::closed();
    let at = gate.clone();
    let bus: Bus<Event> = Bus::new();
    let builder = Queue::builder().capacity(2).overflow(Overflow::Block);
    let queue = builder.spawn(move |_: Event| at.pass()).unwrap();
    bus.add(queue.clone()).unwrap();
    let mut publisher = bus.publisher();
    let publishing = thread::spawn(move || {
        let (heap, ()) = heap_of(|| (0..100).for_each(|_| assert!(publisher.publish(EVENT).is_ok())));
        heap
    });
    wait_for(|| queue.state().ledger.accepted == 2);
    (0..2000).for_each(|_| thread::yield_now());
    gate.open();
    assert_eq!(publishing.join().unwrap(), Heap::default());
}

#[test]
fn local_publisher_allocates_only_on_first_use() {
    let (bus, _receivers) = full_house();
    let _ = bus.with_local(|local| local.publish(EVENT)).unwrap();
    quietly("with_local", || {
        (0..100).for_each(|_| assert!(bus.with_local(|local| local.publish(EVENT)).is_ok()));
    });
    let another = bus.subscribe_lossy(16).unwrap();
    let _ = quietly("after an add", || bus.with_local(|local| local.publish(EVENT)).unwrap());
    drop(another);
    let _ = quietly("after that left", || bus.with_local(|local| local.publish(EVENT)).unwrap());
}

#[test]
fn nested_local_publisher_never_allocates() {
    let (bus, _receivers) = full_house();
    let _ = bus.with_local(|_| bus.with_local(|shared| shared.publish(EVENT))).unwrap();
    quietly("nested", || {
        let _ = bus.with_local(|_| bus.with_local(|shared| shared.publish(EVENT))).unwrap();
    });
}

#[test]
fn shared_lanes_allocate_only_on_first_use() {
    let (bus, _receivers) = full_house();
    // A thread's first load of a list creates that thread's record of the lists it reads.
    let _ = bus.publish(EVENT).unwrap();
    quietly("shared", || (0..100).for_each(|_| assert!(bus.publish(EVENT).is_ok())));
    let another = bus.subscribe_lossy(16).unwrap();
    let _ = quietly("after an add", || bus.publish(EVENT).unwrap());
    drop(another);
    let _ = quietly("with a sink that turns out to be closed", || bus.publish(EVENT).unwrap());
    let id = bus.add(noop()).unwrap();
    bus.remove(id).unwrap();
    let _ = quietly("after a removal", || bus.publish(EVENT).unwrap());
    assert!(bus.close().is_done());
    quietly("on a closed bus", || assert!(bus.publish(EVENT).is_err()));
}

#[test]
fn publishers_never_free_a_replaced_list() {
    // A sink delays the publish, which keeps reading its list until the bus has another list or
    // none.
    for close in [false, true] {
        let (bus, gate) = (Bus::<Event>::new(), Gate::closed());
        let at = gate.clone();
        bus.add(sink_fn(move |_: &Event| at.pass())).unwrap();
        let (order, orders) = mpsc::channel::<()>();
        let publishing = bus.clone();
        let publisher = thread::spawn(move || {
            let warm: Bus<Event> = Bus::new();
            let _ = warm.publish(EVENT).unwrap();
            orders.recv().unwrap();
            let (heap, published) = heap_of(|| publishing.publish(EVENT));
            (heap.frees, published.is_ok())
        });
        order.send(()).unwrap();
        gate.wait_reached(1);
        if close {
            let closing = bus.clone();
            let closer = thread::spawn(move || closing.close_timeout(Duration::from_millis(1)));
            let _ = closer.join().unwrap();
        } else {
            bus.add(noop()).unwrap();
        }
        gate.open();
        assert_eq!(publisher.join().unwrap(), (0, true), "close: {close}");
    }
}

/// Returns subscribers of every kind that a publisher may meet: inside a block, lagging, parked as
/// tasks, slow or forgotten.
fn readers(feed: &Feed<Event>) -> Vec<Subscriber<Event>> {
    let forgotten = feed.subscribe(Start::Oldest).unwrap();
    std::mem::forget(forgotten);
    (0..12)
        .map(|n| {
            let subscription = feed.subscription().start(Start::Oldest);
            let subscription = if n % 2 == 0 { subscription.on_lag(OnLag::Newest) } else { subscription };
            let subscription =
                if n % 3 == 0 { subscription.filter(|event| event[0] > 0) } else { subscription };
            subscription.name(format!("reader {n}")).subscribe().unwrap()
        })
        .collect()
}

/// Lets every reader read a few events, each in another way, so that they end in blocks of
/// different ages.
fn read_a_little(readers: &mut [Subscriber<Event>], round: usize) {
    for (n, reader) in readers.iter_mut().enumerate().filter(|(n, _)| (n + round).is_multiple_of(3)) {
        match n % 4 {
            0 => drop(reader.try_recv()),
            1 => assert!(reader.try_recv_slice().is_ok()),
            2 => assert!(reader.try_recv_with(|event| event[0]).is_ok()),
            _ => assert!(reader.try_iter().count() < 1000),
        }
    }
}

#[test]
fn journal_publish_never_allocates() {
    for capacity in [1, 64, 100] {
        let journal = Journal::builder().capacity(capacity).sample_time().build().unwrap();
        quietly("the first event", || journal.publish(EVENT).unwrap());
        let mut all = readers(&journal.feed());
        for round in 0..50 {
            quietly("publish", || (0..40).for_each(|_| assert!(journal.publish(EVENT).is_ok())));
            quietly("try_publish", || (0..40).for_each(|_| assert!(journal.try_publish(EVENT).is_ok())));
            let mut lane = journal.lane().unwrap().unwrap();
            quietly("a lane", || (0..40).for_each(|_| assert!(lane.push(EVENT, Deadline::NEVER).is_ok())));
            let batch = vec![EVENT; 90];
            let (heap, _) = heap_of(|| journal.publish_batch(batch).unwrap());
            assert_eq!((heap.allocations, heap.frees), (0, 1), "the batch itself");
            quietly("reading", || read_a_little(&mut all, round));
        }
        drop(all);
        quietly("after they left", || (0..1000).for_each(|_| assert!(journal.publish(EVENT).is_ok())));
        journal.close();
        quietly("closed", || assert!(journal.publish(EVENT).is_err()));
    }
}

#[test]
fn single_journal_publish_never_allocates() {
    for capacity in [1, 64, 100] {
        let (mut writer, feed) = Journal::builder().capacity(capacity).sample_time().build_single().unwrap();
        quietly("the first event", || writer.publish(EVENT).unwrap());
        let mut all = readers(&feed);
        for round in 0..50 {
            quietly("publish", || (0..40).for_each(|_| assert!(writer.publish(EVENT).is_ok())));
            quietly("try_publish", || (0..40).for_each(|_| assert!(writer.try_publish(EVENT).is_ok())));
            quietly("publish_batch", || assert!(writer.publish_batch([EVENT; 90]).is_ok()));
            quietly("reading", || read_a_little(&mut all, round));
        }
        drop(all);
        quietly("after they left", || (0..1000).for_each(|_| assert!(writer.publish(EVENT).is_ok())));
    }
}

#[test]
fn journal_frees_one_owned_event_per_overwrite() {
    let journal = Journal::new(64).unwrap();
    let mut still = journal.subscribe(Start::Now).unwrap();
    (0..1000_u64).for_each(|n| assert!(journal.publish(Box::new(n)).is_ok()));
    assert_eq!(still.try_recv_with(|_| ()), Ok(Entry::Lagged(936)));
    assert!(still.try_recv_with(|_| ()).is_ok());
    let (heap, ()) = heap_of(|| (0..500).for_each(|n| assert!(journal.publish(Box::new(n)).is_ok())));
    assert_eq!(heap.allocations, 500, "the boxes");
    // The stalled reader retains one block.
    assert!((500 - 64..=500).contains(&heap.frees), "{heap:?}");
}

#[test]
fn resubscribe_allocates_no_block() {
    let journal = Journal::<[u64; 64]>::new(256).unwrap();
    drop((journal.subscribe(Start::Now).unwrap(), journal.subscribe(Start::Now).unwrap()));
    let (heap, _two) =
        heap_of(|| [journal.subscribe(Start::Oldest).unwrap(), journal.subscribe(Start::Now).unwrap()]);
    assert!(heap.bytes < 4096, "{heap:?}: a block has 64 events of 512 bytes");
    let (heap, _third) = heap_of(|| journal.subscribe(Start::Oldest).unwrap());
    assert!(
        (64 * 512..2 * 64 * 512).contains(&heap.bytes),
        "{heap:?}: one block more than the highest reader count needed"
    );
}

#[test]
fn wake_of_parked_subscribers_never_allocates() {
    const READERS: usize = 4;
    let (mut writer, feed) = Journal::single(64).unwrap();
    let (sender, read) = mpsc::sync_channel(READERS);
    for _ in 0..READERS {
        let (mut reader, sender) =
            (feed.subscription().wait_strategy(WaitStrategy::Park).subscribe().unwrap(), sender.clone());
        thread::spawn(move || {
            for n in 0..100_u64 {
                let (heap, entry) = heap_of(|| reader.recv().unwrap());
                assert_eq!(entry.event(), Some(n));
                sender.send(heap).unwrap();
            }
        });
    }
    for event in 0..100 {
        quietly("a wake", || writer.publish(event).unwrap());
        for _ in 0..READERS {
            assert_eq!(read.recv_timeout(GUARD), Ok(Heap::default()), "reading and parking");
        }
    }
}

#[test]
fn publishers_blocked_at_a_gate_never_allocate() {
    let builder = || Journal::builder().capacity(64).gate_limit(GUARD);
    let (mut writer, feed) = builder().build_single().unwrap();
    waits_quietly("the only publisher", &feed, move |n| writer.publish(n).is_ok());
    let journal = builder().build().unwrap();
    let mut lane = journal.lane().unwrap().unwrap();
    waits_quietly("a lane", &journal.feed(), move |n| lane.push(n, Deadline::NEVER).is_ok());
    let bus = Bus::new();
    bus.add(journal.clone()).unwrap();
    let mut publisher = bus.publisher();
    waits_quietly("a publisher of a bus", &journal.feed(), move |n| publisher.publish(n).is_ok());
}

/// Publishes on a separate thread, against a gating subscriber that makes the publisher wait for
/// every block.
#[track_caller]
fn waits_quietly(what: &str, feed: &Feed<u64>, mut publish: impl FnMut(u64) -> bool + Send + 'static) {
    let mut gate = feed.subscription().gating().subscribe().unwrap();
    let (first, (sender, done)) = (gate.next_sequence().get(), mpsc::channel());
    thread::spawn(move || {
        // A thread's record of the lists it reads is created once.
        let _ = Bus::new().publish(0).unwrap();
        let (heap, ()) = heap_of(|| (0..1000).for_each(|n| assert!(publish(n))));
        sender.send(heap).unwrap();
    });
    for n in 0..1000 {
        if n % 64 == 0 {
            // The publisher reaches the gate.
            wait_for(|| gate.behind() >= (1000 - n).min(64));
            (0..200).for_each(|_| thread::yield_now());
        }
        assert_eq!(gate.recv().unwrap().event(), Some(n), "{what}, from {first} on");
    }
    assert_eq!(done.recv_timeout(GUARD), Ok(Heap::default()), "{what}");
}
