//! User code that calls the crate from where the crate calls it: clones, destructors, hashes,
//! comparisons, handlers, sinks and the destructors of a thread's locals, while other threads add,
//! remove, flush and close.
//!
//! Inside user code no call waits, so every call returns; a wait that does not end is a deadlock,
//! which shuttle reports.

use crate::support::LIMIT;
use buslane::retry::Backoff;
use buslane::{Bus, Channel, Journal, Overflow, Queue, Receiver, SinkExt, SinkId, WaitStrategy, noop};
use loom_tests::schedules::explore;
use loom_tests::{Condvar, thread};
use shuttle::rand::{Rng, thread_rng};
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

const PUBLISHERS: usize = 2;
const EVENTS: usize = 2;
/// The number of calls that user code makes in one execution.
const CALLS: usize = 8;

/// The objects that user code calls: weakly, because the user code is in the rings of these
/// objects.
struct World {
    bus: Bus<Event>,
    queue: Queue<Event>,
    channel: Channel<Event>,
    journal: Journal<Event>,
    ids: Mutex<Vec<SinkId>>,
    left: AtomicUsize,
}

impl World {
    /// Makes one random call, while any calls are left.
    fn call(&self) {
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if spent.is_err() || !thread_rng().gen_bool(0.7) {
            return;
        }
        let event = Event::plain();
        match thread_rng().gen_range(0..13) {
            0 => drop(self.bus.publish(event)),
            1 => drop(self.bus.publisher().publish(event)),
            2 => drop(self.bus.with_local(|publisher| publisher.publish(event))),
            3 => {
                let id = self.ids.lock().unwrap().pop();
                let _ = id.map(|id| self.bus.remove(id));
            }
            4 => {
                let added = self.bus.add(noop());
                self.ids.lock().unwrap().extend(added);
            }
            5 => drop(self.bus.flush_timeout(LIMIT)),
            6 => drop(self.bus.close_timeout(LIMIT)),
            7 => drop(self.bus.snapshot()),
            8 => drop(self.queue.flush_timeout(LIMIT)),
            9 => drop(self.queue.close_timeout(LIMIT)),
            10 => drop(self.channel.flush_timeout(LIMIT)),
            11 => drop(self.journal.publish(event)),
            _ => self.journal.close(),
        }
    }
}

/// Calls the crate from user code, as long as the objects exist.
#[derive(Clone, Default)]
struct Caller(Option<Weak<World>>);

impl Caller {
    fn call(&self) {
        if let Some(world) = self.0.as_ref().and_then(Weak::upgrade) {
            world.call();
        }
    }
}

/// An event whose clone and destructor call the crate.
struct Event {
    caller: Caller,
    _alive: Arc<()>,
}

impl Event {
    /// Returns an event that calls nothing.
    fn plain() -> Self {
        Self { caller: Caller::default(), _alive: Arc::default() }
    }
}

impl Clone for Event {
    fn clone(&self) -> Self {
        self.caller.call();
        Self { caller: self.caller.clone(), _alive: self._alive.clone() }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.caller.call();
    }
}

/// A key whose hash, comparison, clone and destructor call the crate.
struct Key(Caller);

impl Clone for Key {
    fn clone(&self) -> Self {
        self.0.call();
        Self(self.0.clone())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.call();
        hasher.write_u8(0);
    }
}

impl PartialEq for Key {
    fn eq(&self, _: &Self) -> bool {
        self.0.call();
        true
    }
}

impl Eq for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.call();
    }
}

fn channel<E: Send + 'static>(overflow: Overflow) -> (Channel<E>, Receiver<E>) {
    let builder = Channel::builder().capacity(1).overflow(overflow).wait_strategy(WaitStrategy::Park);
    builder.build().expect("a small channel")
}

/// Reads to the end of the stream. The events read no longer call the crate: the thread would wait
/// for its own reads.
fn read(mut receiver: Receiver<Event>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        while let Ok(mut event) = receiver.recv() {
            event.caller = Caller::default();
        }
    })
}

/// Returns a world in which every event calls the crate, with its sinks attached, and the threads
/// that read from it.
fn world() -> (Arc<World>, Vec<thread::JoinHandle<()>>) {
    let (channel, receiver) = channel(Overflow::DropOldest);
    let queue = Queue::builder()
        .capacity(2)
        .wait_strategy(WaitStrategy::Park)
        .spawn(|event: Event| event.caller.call())
        .expect("a small queue");
    let journal = Journal::new(2).expect("a small journal");
    let world = Arc::new(World {
        bus: Bus::new(),
        queue: queue.clone(),
        channel: channel.clone(),
        journal: journal.clone(),
        ids: Mutex::default(),
        left: AtomicUsize::new(CALLS),
    });
    let bus = &world.bus;
    let mut ids =
        vec![bus.add(queue).expect("open"), bus.add(channel).expect("open"), bus.add(journal).expect("open")];
    let policy = || Backoff::default().max_attempts(1);
    let keyed = noop().retry_by_key(|event: &Event| Key(event.caller.clone()), policy());
    ids.push(bus.add(keyed).expect("open"));
    ids.push(
        bus.add(noop().filter(|event: &Event| {
            event.caller.call();
            true
        }))
        .expect("open"),
    );
    *world.ids.lock().unwrap() = ids;
    let readers = vec![read(receiver)];
    (world, readers)
}

/// Publishes events that call the crate.
fn publish(me: usize, world: &Arc<World>, alive: &Arc<()>) -> thread::JoinHandle<()> {
    let (bus, caller, alive) = (world.bus.clone(), Caller(Some(Arc::downgrade(world))), alive.clone());
    thread::spawn(move || {
        let mut publisher = (me > 0).then(|| bus.publisher());
        for _ in 0..EVENTS {
            let event = Event { caller: caller.clone(), _alive: alive.clone() };
            match &mut publisher {
                Some(publisher) => drop(publisher.publish(event)),
                None => drop(bus.publish(event)),
            }
        }
    })
}

#[test]
fn user_code_calls_the_bus_without_deadlock() {
    // Two publishers; events, keys, a predicate and a handler that call a random operation of the
    // bus, its queue, channel and journal; another thread that adds, removes, flushes and finally
    // closes.
    explore(|| {
        let (world, readers) = world();
        let alive = Arc::new(());
        let publishers: Vec<_> = (0..PUBLISHERS).map(|me| publish(me, &world, &alive)).collect();
        let controlling = world.clone();
        let control = thread::spawn(move || {
            let bus = &controlling.bus;
            let added = bus.add(noop());
            let _ = bus.flush_timeout(LIMIT);
            let _ = added.map(|id| bus.remove(id));
            let id = controlling.ids.lock().unwrap().pop();
            let _ = id.map(|id| bus.remove(id));
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        control.join().unwrap();
        // Runs on a separate thread, because a cached publisher of the main thread would keep the
        // bus and its events to the end.
        let closing = world.clone();
        let closer = thread::spawn(move || {
            let report = closing.bus.close_timeout(LIMIT);
            assert!(report.is_done(), "{report}");
            // The bus does not close a removed sink.
            assert!(closing.queue.close_timeout(LIMIT).is_done());
            closing.channel.close();
            closing.journal.close();
        });
        closer.join().unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        for ledger in [world.queue.state().ledger, world.channel.state().ledger] {
            ledger.check().unwrap();
            assert_eq!(ledger.pending, 0);
        }
        drop(world);
        // A worker that has reported its end may still have to drop its last event.
        (0..1000).take_while(|_| Arc::strong_count(&alive) > 1).for_each(|_| thread::yield_now());
        assert_eq!(Arc::strong_count(&alive), 1, "every event was dropped");
    });
}

/// A door that one thread opens for others.
#[derive(Clone, Default)]
struct Door(Arc<(loom_tests::Mutex<bool>, Condvar)>);

impl Door {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let mut is_open = self.0.0.lock().unwrap();
        while !*is_open {
            is_open = self.0.1.wait(is_open).unwrap();
        }
    }
}

/// Part of a handler: opens a door when the queue drops it, and so has drained.
struct Ended(Door);

impl Ended {
    fn handle(&self, _: usize) {}
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[test]
fn close_reaches_other_sinks_past_a_stalled_sink() {
    // The handler of one queue stalls until the handler of a second queue, added after it, has been
    // dropped. Meanwhile two threads close the bus and a third removes a sink. The close reaches
    // every sink before it waits for any of them, so the second queue ends.
    explore(|| {
        let (bus, door) = (Bus::new(), Door::default());
        let stalls = door.clone();
        let builder = || Queue::builder().capacity(2).wait_strategy(WaitStrategy::Park);
        let stalled = builder().spawn(move |_: usize| stalls.pass()).expect("a small queue");
        let ended = Ended(door);
        let healthy = builder().spawn(move |event| ended.handle(event)).expect("a small queue");
        bus.add(stalled.clone()).expect("open");
        bus.add(healthy.clone()).expect("open");
        let other = bus.add(noop()).expect("open");
        assert_eq!(bus.publish(1).expect("open").accepted, 3);
        let closers: Vec<_> = (0..2)
            .map(|_| {
                let bus = bus.clone();
                thread::spawn(move || bus.close_timeout(LIMIT))
            })
            .collect();
        let removing = bus.clone();
        let remover = thread::spawn(move || removing.remove(other));
        for closer in closers {
            let report = closer.join().unwrap();
            assert!(report.is_done(), "{report}");
        }
        let _ = remover.join().unwrap();
        for queue in [stalled, healthy] {
            let ledger = queue.state().ledger;
            ledger.check().unwrap();
            assert_eq!((ledger.accepted, ledger.delivered), (1, 1));
        }
    });
}

/// Calls a bus when the thread ends.
struct AtEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

shuttle::thread_local! {
    static AT_END: RefCell<AtEnd> = RefCell::new(AtEnd(None));
}

#[test]
fn ending_threads_call_the_bus_without_deadlock() {
    // Two threads publish through the bus's cached publishers. While their locals are dropped, they
    // publish again, flush or close, before or after that publisher is dropped; another thread
    // closes. Every flush or close that reports done is done.
    explore(|| {
        let bus = Bus::new();
        let queue = Queue::builder().capacity(8).wait_strategy(WaitStrategy::Park).spawn(|_: usize| {});
        let queue = queue.expect("a small queue");
        bus.add(queue.clone()).expect("open");
        let threads: Vec<_> = (0..2)
            .map(|number: usize| {
                let (bus, queue) = (bus.clone(), queue.clone());
                let (first, flushes) = (thread_rng().gen_bool(0.5), thread_rng().gen_bool(0.5));
                thread::spawn(move || {
                    let at_end = {
                        let (bus, queue) = (bus.clone(), queue.clone());
                        move || {
                            let published = bus.with_local(|publisher| publisher.publish(number));
                            let accepted = published.map_or(0, |published| published.accepted as u64);
                            let done = if flushes {
                                bus.flush_timeout(LIMIT).is_done()
                            } else {
                                bus.close_timeout(LIMIT).is_done()
                            };
                            let ledger = queue.state().ledger;
                            assert!(
                                !done || ledger.delivered >= accepted,
                                "done, but events are missing: {ledger}"
                            );
                        }
                    };
                    let register = || {
                        AT_END.with(|end| end.borrow_mut().0 = Some(Box::new(at_end)));
                    };
                    if first {
                        register();
                        let _ = bus.with_local(|publisher| publisher.publish(number));
                    } else {
                        let _ = bus.with_local(|publisher| publisher.publish(number));
                        register();
                    }
                })
            })
            .collect();
        let closing = bus.clone();
        let closer = thread::spawn(move || closing.close_timeout(LIMIT));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(closer.join().unwrap().is_done());
        assert!(bus.close_timeout(LIMIT).is_done());
        let ledger = queue.state().ledger;
        ledger.check().unwrap();
        assert_eq!((ledger.pending, ledger.delivered), (0, ledger.accepted));
    });
}
