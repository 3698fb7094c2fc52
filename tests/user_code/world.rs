//! The objects that a case calls, and the trap that calls them from inside user code.

use buslane::bus::SinkFailure;
use buslane::journal::Start;
use buslane::stats::FlushReport;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Journal, Overflow, Queue, Receiver, Sink, SinkId, Subscriber, noop};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;
use test_support::limit;

/// The limit of every operation that has one: longer than the watchdog waits.
pub(crate) const LIMIT: Duration = limit::scaled(Duration::from_secs(60));
/// The wait of a call site that may wait for room.
const A_MOMENT: Duration = Duration::from_millis(2);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether user code may wait for room that another thread makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// A full lane stays full forever, so a wait there never ends.
    Never,
    /// Blocking sinks wait there for room as part of their job, for a short time.
    AMoment,
}

/// The part of an event's code that calls the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Nowhere,
    Clone,
    Drop,
}

pub(crate) struct Event {
    pub(crate) key: u32,
    at: At,
    trap: Option<Arc<Trap>>,
}

impl Event {
    pub(crate) fn plain() -> Self {
        Self { key: 0, at: At::Nowhere, trap: None }
    }

    pub(crate) fn keyed(key: u32) -> Self {
        Self { key, at: At::Nowhere, trap: None }
    }

    pub(crate) fn at(at: At, trap: &Arc<Trap>) -> Self {
        Self { key: 0, at, trap: Some(trap.clone()) }
    }
}

impl Clone for Event {
    fn clone(&self) -> Self {
        if let (At::Clone, Some(trap)) = (self.at, &self.trap) {
            trap.spring();
        }
        // Only the original calls the crate when it is dropped: the test knows where that happens.
        Self { key: self.key, at: At::Nowhere, trap: None }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let (At::Drop, Some(trap)) = (self.at, &self.trap) {
            trap.spring();
        }
    }
}

/// Calls the crate from inside user code, once.
pub(crate) struct Trap {
    world: Weak<World>,
    armed: AtomicBool,
    done: AtomicBool,
    operation: fn(&World),
    sprung: Mutex<Sender<()>>,
    seen: Mutex<mpsc::Receiver<()>>,
}

impl Trap {
    pub(crate) fn new(world: &Arc<World>, operation: fn(&World)) -> Arc<Self> {
        let (sprung, seen) = mpsc::channel();
        Arc::new(Self {
            world: Arc::downgrade(world),
            armed: AtomicBool::new(true),
            done: AtomicBool::new(false),
            operation,
            sprung: Mutex::new(sprung),
            seen: Mutex::new(seen),
        })
    }

    pub(crate) fn spring(&self) {
        struct Tell<'a>(&'a Trap);
        impl Drop for Tell<'_> {
            fn drop(&mut self) {
                let _ = lock(&self.0.sprung).send(());
            }
        }
        if self.armed.swap(false, Ordering::AcqRel)
            && let Some(world) = self.world.upgrade()
        {
            let tell = Tell(self);
            (self.operation)(&world);
            self.done.store(true, Ordering::Release);
            drop(tell);
        }
    }

    /// Waits until any thread has sprung the trap.
    pub(crate) fn wait_reached(&self) {
        lock(&self.seen).recv_timeout(limit::scaled(Duration::from_secs(9))).expect("the place was reached");
    }

    pub(crate) fn wait(&self) {
        self.wait_reached();
        assert!(self.done.load(Ordering::Acquire), "the operation returned");
    }
}

/// Ignores the outcome of a call, which does not matter here.
pub(crate) fn ignore<T>(_: T) {}

/// Springs when it is dropped: a capture of a closure.
pub(crate) struct DropTrap(pub(crate) Arc<Trap>);

impl Drop for DropTrap {
    fn drop(&mut self) {
        self.0.spring();
    }
}

/// The objects that a case calls.
pub(crate) struct World {
    /// A bus with a sink of every kind.
    pub(crate) bus: Bus<Event>,
    /// A bus with two lanes.
    pub(crate) lanes: Bus<Event>,
    /// A bus with only the sinks of the call site.
    pub(crate) solo: Bus<Event>,
    pub(crate) queue: Queue<Event>,
    pub(crate) channel: Channel<Event>,
    pub(crate) journal: Journal<Event>,
    /// A bus with one full lane.
    pub(crate) full: Bus<Event>,
    /// A journal whose next block is gated.
    pub(crate) gated: Journal<Event>,
    /// The sinks that may be removed.
    pub(crate) ids: Mutex<Vec<(Bus<Event>, SinkId)>>,
    /// The objects of the call site.
    pub(crate) objects: Mutex<Vec<Arc<dyn Sink<Event>>>>,
    pub(crate) on_error: Arc<Mutex<Option<Arc<Trap>>>>,
    _full_reader: Mutex<Receiver<Event>>,
    _gating: Mutex<Subscriber<Event>>,
}

/// Returns a channel that is read until it is closed.
pub(crate) fn read_channel() -> Channel<Event> {
    let (channel, mut receiver) = Channel::lossy(64).unwrap();
    thread::spawn(move || while receiver.recv().is_ok() {});
    channel
}

impl World {
    pub(crate) fn new(room: Room) -> Arc<Self> {
        let overflow = match room {
            Room::Never => Overflow::Block,
            Room::AMoment => Overflow::BlockFor(A_MOMENT),
        };
        let gate_limit = if room == Room::Never { LIMIT } else { A_MOMENT };
        let on_error: Arc<Mutex<Option<Arc<Trap>>>> = Arc::default();
        let hook = on_error.clone();
        let bus = Bus::builder()
            .on_error(move |_: &SinkFailure| {
                let trap = lock(&hook).clone();
                if let Some(trap) = trap {
                    trap.spring();
                }
            })
            .build();
        let (lanes, full) = (Bus::new(), Bus::new());
        let queue = Queue::builder().spawn(|_: Event| {}).unwrap();
        let channel = read_channel();
        let journal = Journal::new(64).unwrap();
        let mut ids = vec![(bus.clone(), bus.add(noop()).unwrap())];
        bus.add(queue.clone()).unwrap();
        bus.add(channel.clone()).unwrap();
        bus.add(journal.clone()).unwrap();
        ids.push((lanes.clone(), lanes.add(queue.clone()).unwrap()));
        lanes.add(channel.clone()).unwrap();
        let (one, full_reader) = Channel::builder().capacity(1).overflow(overflow).build().unwrap();
        full.add(one).unwrap();
        let _ = full.publish(Event::plain()).unwrap();
        let _ = full.with_local(|publisher| publisher.publish(Event::plain())).unwrap();
        let gated = Journal::builder().capacity(64).gate_limit(gate_limit).build().unwrap();
        let gating = gated.subscription().start(Start::Now).gating().subscribe().unwrap();
        while gated.try_publish(Event::plain()).is_ok() {}
        Arc::new(Self {
            bus,
            lanes,
            solo: Bus::new(),
            queue,
            channel,
            journal,
            full,
            gated,
            ids: Mutex::new(ids),
            objects: Mutex::default(),
            on_error,
            _full_reader: Mutex::new(full_reader),
            _gating: Mutex::new(gating),
        })
    }

    /// Adds a sink to a bus, for removal by the operations.
    pub(crate) fn add(&self, bus: &Bus<Event>, sink: impl Sink<Event> + 'static) -> Option<SinkId> {
        let id = bus.add(sink).ok()?;
        lock(&self.ids).push((bus.clone(), id));
        Some(id)
    }

    /// Registers a sink, so that the operations can call it.
    pub(crate) fn own(&self, sink: &Arc<impl Sink<Event> + 'static>) {
        lock(&self.objects).push(sink.clone());
    }

    pub(crate) fn objects(&self) -> Vec<Arc<dyn Sink<Event>>> {
        lock(&self.objects).clone()
    }

    pub(crate) fn buses(&self) -> [&Bus<Event>; 3] {
        [&self.bus, &self.lanes, &self.solo]
    }

    /// Asserts that everything still works, flushes and closes included.
    pub(crate) fn check_it_works(&self) {
        for object in self.objects() {
            let mut report = FlushReport::default();
            object.flush_by(Deadline::after(LIMIT), &mut report);
        }
        for bus in self.buses() {
            if !bus.is_closed() {
                assert!(bus.publish(Event::plain()).is_ok());
                assert!(bus.publisher().publish(Event::plain()).is_ok());
                let report = bus.flush_timeout(LIMIT);
                assert!(report.unfinished.is_empty(), "{report}");
            }
        }
        for _ in 0..2 {
            for object in self.objects() {
                let report = object.close_by(Deadline::after(LIMIT));
                assert!(report.unfinished.is_empty(), "{report}");
            }
            for bus in self.buses() {
                let report = bus.close_timeout(LIMIT);
                assert!(report.unfinished.is_empty(), "{report}");
            }
        }
    }
}
