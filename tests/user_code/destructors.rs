//! Events whose destructors panic, in every container that holds several of them: all are dropped,
//! no call unwinds, and no event is counted twice.

use buslane::journal::Start;
use buslane::retry::{Attempt, DeadLetter, Next, RetryPolicy};
use buslane::ring::{blocks, mpmc, spsc};
use buslane::sink::lane::Lanes;
use buslane::stats::SinkState;
use buslane::testing::Gate;
use buslane::{Bus, Channel, Journal, Overflow, Queue, Sink, SinkExt, WriteError, noop, sink_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{GUARD, assert_balanced, ends};

const COUNT: usize = 50;

/// The number of live bombs.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

/// An event that panics when it is dropped.
struct Bomb {
    alive: Alive,
    /// Owned memory, so that a leak checker detects a leaked event.
    _memory: Box<usize>,
}

impl Alive {
    fn bomb(&self) -> Bomb {
        self.0.fetch_add(1, Ordering::Relaxed);
        Bomb { alive: self.clone(), _memory: Box::new(7) }
    }

    fn bombs(&self, count: usize) -> Vec<Bomb> {
        (0..count).map(|_| self.bomb()).collect()
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn assert_none(&self) {
        assert_eq!(self.get(), 0);
    }
}

impl Clone for Bomb {
    fn clone(&self) -> Self {
        self.alive.bomb()
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.alive.0.fetch_sub(1, Ordering::Relaxed);
        panic!("a destructor that panics, as requested by the test");
    }
}

/// Returns the state of the sink with this name.
fn state_of<E: Send + 'static>(bus: &Bus<E>, name: &str) -> SinkState {
    bus.snapshot().sinks.into_iter().find(|sink| sink.name == name).unwrap().state
}

/// Drops a value while the thread unwinds.
fn drop_in_unwinding<T>(value: T) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _value = value;
        panic!("as requested by the test");
    }));
    assert!(outcome.is_err());
}

/// Drops a holder in each possible way.
fn goes<T>(mut holder: impl FnMut(&Alive) -> T) {
    for unwinding in [false, true] {
        let alive = Alive::default();
        let full = holder(&alive);
        assert!(alive.get() > 0);
        if unwinding {
            drop_in_unwinding(full);
        } else {
            drop(full);
        }
        alive.assert_none();
    }
}

#[test]
fn rings_drop_every_event_left() {
    goes(|alive| {
        let (mut producer, consumer) = spsc::ring(COUNT).unwrap();
        (0..COUNT).for_each(|_| assert!(producer.push(alive.bomb()).is_ok()));
        (producer, consumer)
    });
    // The events were written, but not shown.
    goes(|alive| {
        let (mut producer, consumer) = spsc::ring(COUNT).unwrap();
        (0..COUNT).for_each(|_| producer.write(alive.bomb()));
        (consumer, producer)
    });
    goes(|alive| {
        let ring = mpmc::Ring::new(COUNT).unwrap();
        (0..COUNT).for_each(|_| assert!(ring.push(alive.bomb()).is_ok()));
        ring
    });
    for capacity in [1, 7, 64, 200] {
        goes(|alive| {
            let (mut writer, source) = blocks::ring(capacity).unwrap();
            let mut reader = source.reader(0).unwrap();
            for n in 0..2 * capacity {
                std::mem::forget(writer.put(alive.bomb()).inspect(|_| {
                    alive.0.fetch_sub(1, Ordering::Relaxed);
                }));
                writer.commit();
                if n == 0 {
                    let _ = reader.look();
                }
            }
            (writer, source, reader)
        });
    }
}

#[test]
fn unwinding_drain_in_place_drops_the_lent_event() {
    let alive = Alive::default();
    let (mut producer, mut consumer) = spsc::ring(4).unwrap();
    (0..4).for_each(|_| assert!(producer.push(alive.bomb()).is_ok()));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        consumer.drain_in_place(4, |_| panic!("as requested by the test"));
    }));
    assert!(outcome.is_err());
    assert_eq!((alive.get(), consumer.drain_in_place(9, |_| {})), (3, 3));
    alive.assert_none();
}

#[test]
fn dropped_receiver_drops_every_event_left() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Refuse] {
        goes(|alive| {
            let (channel, receiver) = Channel::builder().capacity(COUNT).overflow(overflow).build().unwrap();
            (0..COUNT).for_each(|_| assert!(channel.write(alive.bomb()).is_ok()));
            let mut lane = channel.lane().unwrap().unwrap();
            (0..COUNT).for_each(|_| assert!(lane.push(alive.bomb(), buslane::time::Deadline::NEVER).is_ok()));
            (lane, channel, receiver)
        });
    }
    goes(|alive| {
        let (channel, receiver) = Channel::builder().unbounded().build().unwrap();
        (0..COUNT).for_each(|_| assert!(channel.write(alive.bomb()).is_ok()));
        (channel, receiver)
    });
    goes(|alive| {
        let (channel, receiver) = Channel::builder().capacity(COUNT).build_shared().unwrap();
        (0..COUNT).for_each(|_| assert!(channel.write(alive.bomb()).is_ok()));
        (channel, receiver.clone(), receiver)
    });
}

#[test]
fn overflowing_events_are_dropped_and_counted_once() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let alive = Alive::default();
        let (channel, receiver) = Channel::builder().capacity(2).overflow(overflow).build().unwrap();
        (0..COUNT).for_each(|_| assert!(channel.write(alive.bomb()).is_ok()));
        assert_eq!(alive.get(), 2);
        let ledger = assert_balanced(&receiver.state());
        assert_eq!((ledger.offered, ledger.dropped.total()), (COUNT as u64, COUNT as u64 - 2));
        drop(receiver);
        alive.assert_none();
    }
}

#[test]
fn aborted_queue_drops_every_event_left() {
    let alive = Alive::default();
    let gate = Gate::closed();
    let at = gate.clone();
    let queue = Queue::builder().capacity(COUNT).spawn(move |bomb: Bomb| {
        std::mem::forget(bomb);
        at.pass();
    });
    let queue = queue.unwrap();
    assert!(queue.write(alive.bomb()).is_ok());
    gate.wait_reached(1);
    (0..COUNT).for_each(|_| assert!(queue.write(alive.bomb()).is_ok()));
    assert_eq!(queue.close_timeout(Duration::ZERO).undelivered, COUNT as u64 + 1);
    gate.open();
    let queue = ends(move || {
        assert!(queue.close_timeout(GUARD).undelivered <= COUNT as u64 + 1);
        queue
    });
    // An event is pending until its destructor has returned.
    test_support::wait_for(|| queue.state().ledger.pending == 0);
    assert_eq!(alive.get(), 1, "the forgotten event");
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.aborted), (1, COUNT as u64));
}

#[test]
fn journal_drops_overwritten_and_remaining_events() {
    for capacity in [1, 10, 200] {
        goes(|alive| {
            let journal = Journal::new(capacity).unwrap();
            let mut still = journal.subscribe(Start::Oldest).unwrap();
            for _ in 0..3 * capacity + 200 {
                assert!(journal.publish(alive.bomb()).is_ok());
                let _ = still.try_recv_with(|_| ());
            }
            assert!(journal.publish_batch(alive.bombs(2 * capacity + 200)).is_ok());
            let state = journal.state();
            assert_eq!(assert_balanced(&state).delivered, 5 * capacity as u64 + 400);
            assert!(alive.get() <= capacity + 4 * 64, "{} in {capacity}", alive.get());
            (journal, still)
        });
        goes(|alive| {
            let (mut writer, feed) = Journal::single(capacity).unwrap();
            assert!(writer.publish_batch(alive.bombs(2 * capacity + 200)).is_ok());
            (0..200).for_each(|_| assert!(writer.publish(alive.bomb()).is_ok()));
            (writer, feed)
        });
    }
}

#[test]
fn journal_on_a_bus_counts_no_event_twice() {
    let alive = Alive::default();
    let (bus, journal) = (Bus::new(), Journal::new(4).unwrap());
    bus.add_named("journal", journal.clone()).unwrap();
    let mut publisher = bus.publisher();
    for _ in 0..COUNT {
        assert!(publisher.publish(alive.bomb()).is_ok());
        assert!(bus.publish(alive.bomb()).is_ok());
    }
    let ledger = assert_balanced(&state_of(&bus, "journal"));
    assert_eq!((ledger.offered, ledger.delivered), (2 * COUNT as u64, 2 * COUNT as u64));
    drop((publisher, bus, journal));
    alive.assert_none();
}

/// A sink that always fails.
struct Fails;

impl RetryPolicy<Bomb> for Fails {
    fn failure(&self, _event: &Bomb, _attempt: &Attempt<'_>) -> Next {
        Next::After(Duration::from_secs(3600))
    }
}

fn down() -> impl Sink<Bomb> + 'static {
    struct Down;
    impl Sink<Bomb> for Down {
        fn write(&self, event: Bomb) -> Result<(), WriteError<Bomb>> {
            Err(WriteError::Failed { event, source: "down".into() })
        }
    }
    Down
}

#[test]
fn keyed_retry_drops_every_parked_event() {
    let parked = |alive: &Alive| {
        let retry = down().retry_by_key(|_: &Bomb| 7, Fails);
        (0..COUNT).for_each(|_| assert!(retry.write(alive.bomb()).is_ok()));
        retry
    };
    goes(parked);
    let alive = Alive::default();
    let retry = parked(&alive);
    assert_eq!(retry.close_by(buslane::time::Deadline::NOW).undelivered, COUNT as u64);
    alive.assert_none();
}

#[test]
fn unclaimed_dead_letters_are_dropped() {
    let alive = Alive::default();
    let (letters, receiver) = Channel::lossy(COUNT).unwrap();
    let retry = down()
        .retry_by_key(|_: &Bomb| 7, Fails)
        .dead_letters(sink_fn(move |letter: &DeadLetter<Bomb>| drop(letters.write(letter.attempts))));
    (0..COUNT).for_each(|_| assert!(retry.write(alive.bomb()).is_ok()));
    let _ = retry.close_by(buslane::time::Deadline::NOW);
    drop((retry, receiver));
    alive.assert_none();
}

#[test]
fn batch_drops_every_event_it_holds() {
    struct Refuses;
    impl Sink<Vec<Bomb>> for Refuses {
        fn write(&self, batch: Vec<Bomb>) -> Result<(), WriteError<Vec<Bomb>>> {
            Err(WriteError::Full(batch))
        }
    }
    struct Fails;
    impl Sink<Vec<Bomb>> for Fails {
        fn write(&self, event: Vec<Bomb>) -> Result<(), WriteError<Vec<Bomb>>> {
            Err(WriteError::Failed { event, source: "down".into() })
        }
    }
    goes(|alive| {
        let batch = Refuses.batch(COUNT);
        (0..COUNT + 3).for_each(|_| assert!(batch.write(alive.bomb()).is_ok()));
        batch
    });
    let alive = Alive::default();
    let batch = Refuses.batch(COUNT);
    (0..COUNT + 3).for_each(|_| assert!(batch.write(alive.bomb()).is_ok()));
    assert_eq!(batch.close_by(buslane::time::Deadline::NOW).undelivered, COUNT as u64 + 3);
    assert_eq!(assert_balanced(&batch.state()).dropped.aborted, COUNT as u64 + 3);
    alive.assert_none();
    let batch = Fails.batch(COUNT);
    (0..COUNT).for_each(|_| assert!(batch.write(alive.bomb()).is_ok()));
    assert_eq!(assert_balanced(&batch.state()).dropped.failed, COUNT as u64);
    alive.assert_none();
}

#[test]
fn filtered_events_are_counted_once() {
    let alive = Alive::default();
    let bus = Bus::new();
    bus.add_named("filter", noop().filter(|_: &Bomb| false)).unwrap();
    let (channel, _receiver) = Channel::lossy(8).unwrap();
    bus.add_named("lane", channel.filter(|_: &Bomb| false)).unwrap();
    let mut publisher = bus.publisher();
    for _ in 0..COUNT {
        assert!(bus.publish(alive.bomb()).is_ok());
        assert!(publisher.publish(alive.bomb()).is_ok());
    }
    for name in ["filter", "lane"] {
        let ledger = assert_balanced(&state_of(&bus, name));
        assert_eq!((ledger.filtered, ledger.dropped.total()), (2 * COUNT as u64, 0), "{name}");
    }
    drop((publisher, bus));
    alive.assert_none();
}

#[test]
fn publish_without_sinks_drops_its_event() {
    let alive = Alive::default();
    let bus = Bus::new();
    let mut publisher = bus.publisher();
    for _ in 0..3 {
        assert!(bus.publish(alive.bomb()).is_ok());
        assert!(publisher.publish(alive.bomb()).is_ok());
        assert!(bus.with_local(|publisher| publisher.publish(alive.bomb())).is_ok());
    }
    alive.assert_none();
}

#[test]
fn lanes_of_an_ended_thread_drop_every_event_left() {
    let alive = Alive::default();
    let (bus, own) = (Bus::new(), alive.clone());
    let receiver = bus.subscribe_lossy(COUNT).unwrap();
    let thread_bus = bus.clone();
    let writing = thread::spawn(move || {
        (0..COUNT).for_each(|_| assert!(thread_bus.with_local(|lane| lane.publish(own.bomb())).is_ok()));
    });
    assert!(writing.join().is_ok());
    assert_eq!(alive.get(), COUNT);
    drop(receiver);
    drop(bus);
    alive.assert_none();
}

#[test]
fn panicking_sink_drops_all_run_without_unwinding() {
    struct Loaded(#[expect(dead_code, reason = "for its drop")] Bomb);
    impl Sink<u32> for Loaded {
        fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
            Ok(())
        }
    }
    for way in 0..4 {
        let alive = Alive::default();
        let bus = Bus::new();
        let ids: Vec<_> = (0..COUNT).map(|_| bus.add(Loaded(alive.bomb())).unwrap()).collect();
        let mut publisher = bus.publisher();
        assert_eq!(publisher.publish(1).unwrap().accepted, COUNT);
        match way {
            0 => ids.into_iter().for_each(|id| assert!(bus.remove(id).is_ok())),
            1 => assert!(bus.close().is_done()),
            2 => drop(bus.snapshot()),
            _ => {}
        }
        if way == 3 {
            drop_in_unwinding((publisher, bus));
        } else {
            drop((publisher, bus));
        }
        alive.assert_none();
    }
}

#[test]
fn hooks_and_predicates_of_all_lanes_are_dropped() {
    let alive = Alive::default();
    for publishes in [false, true] {
        let bus = Bus::new();
        let mut publisher = bus.publisher();
        let ids: Vec<_> = (0..3)
            .flat_map(|_| {
                let (hook, predicate, failure) = (alive.bomb(), alive.bomb(), alive.bomb());
                let builder = Channel::<u64>::builder().capacity(2);
                let (channel, receiver) =
                    builder.on_drop(move |_, _| assert!(hook.alive.get() > 0)).build().unwrap();
                drop(receiver);
                let filtered = channel.clone().filter(move |_: &u64| predicate.alive.get() > 0);
                let queue = Queue::builder()
                    .capacity(2)
                    .on_error(move |_| assert!(failure.alive.get() > 0))
                    .spawn(|_: u64| {})
                    .unwrap();
                [bus.add(channel).unwrap(), bus.add(filtered).unwrap(), bus.add(queue).unwrap()]
            })
            .collect();
        if publishes {
            let _ = publisher.publish(1).unwrap();
        }
        // Each event in the publisher is dropped, whether its sink was removed or not. A sink whose
        // receiver was dropped may already be detached.
        let removed = ids.iter().step_by(2).filter(|id| bus.remove(**id).is_ok()).count();
        assert!(removed > 0, "a queue is still attached");
        drop(bus);
        drop(publisher);
    }
    test_support::wait_for(|| alive.get() == 0);
}
