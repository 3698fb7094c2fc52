//! The destructor of an event may make any call, both when the event is overwritten and when it is
//! dropped with its journal. A call that would wait elsewhere returns at once.

use crate::{HOUR, journals};
use buslane::bus::Removed;
use buslane::error::RemoveError;
use buslane::journal::{Entry, Start};
use buslane::stats::Finish;
use buslane::{Bus, Channel, Journal, Overflow, Publisher, Queue, SinkId, WriteError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use test_support::{ends, lock, wait_for};

type Act = Box<dyn FnOnce() + Send>;

/// An event whose destructor runs an act once. Clones run none.
#[derive(Default)]
struct Event(Mutex<Option<Act>>);

impl Event {
    fn new(act: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(act))))
    }
}

impl Clone for Event {
    /// The first clone takes the act, so that it runs in one sink.
    fn clone(&self) -> Self {
        Self(Mutex::new(lock(&self.0).take()))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let act = lock(&self.0).take();
        if let Some(act) = act {
            act();
        }
    }
}

/// Everything that a destructor may call: a bus with a journal and other sinks, each of which would
/// make the caller wait.
struct World {
    bus: Bus<Event>,
    journal: Journal<Event>,
    id: SinkId,
    other: SinkId,
    /// A full channel without a reader.
    full: Channel<u64>,
    full_bus: Bus<u64>,
    /// A journal whose publisher would wait for a subscriber.
    barred: Journal<u64>,
    queue: Queue<Event>,
}

fn world() -> Arc<World> {
    let (bus, journal) = (Bus::new(), Journal::<Event>::new(1).unwrap());
    let id = bus.add(journal.clone()).unwrap();
    let queue = Queue::builder().spawn(|_: Event| {}).unwrap();
    let other = bus.add(queue.clone()).unwrap();
    let (full, receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    let full_bus = Bus::new();
    full_bus.add(full.clone()).unwrap();
    let _ = full_bus.publish(1).unwrap();
    let barred = Journal::builder().capacity(1).gate_limit(HOUR).build().unwrap();
    let gate = barred.subscription().gating().subscribe().unwrap();
    while barred.try_publish(0).is_ok() {}
    std::mem::forget((receiver, gate));
    Arc::new(World { bus, journal, id, other, full, full_bus, barred, queue })
}

type Call = fn(&World);

/// Returns all calls that wait elsewhere.
fn acts() -> Vec<(&'static str, Call)> {
    let acts: [(&str, Call); 15] = [
        ("remove of the journal", |world| {
            assert_eq!(world.bus.remove(world.id), Ok(Removed::FromInside));
            assert_eq!(world.bus.remove(world.id), Err(RemoveError::Unknown));
        }),
        ("remove with a limit", |world| {
            assert_eq!(world.bus.remove_timeout(world.id, HOUR), Ok(Removed::FromInside));
        }),
        ("remove of another sink", |world| {
            assert_eq!(world.bus.remove(world.other), Ok(Removed::FromInside));
        }),
        ("close of the bus", |world| {
            assert_eq!(world.bus.close_timeout(HOUR).finish, Finish::Pending);
        }),
        ("flush of the bus", |world| {
            assert_eq!(world.bus.flush_timeout(HOUR).finish, Finish::Pending);
        }),
        // Done if the queue's worker has already ended.
        ("close of a queue", |world| assert_ne!(world.queue.close_timeout(HOUR).finish, Finish::TimedOut)),
        ("flush of a queue", |world| assert_ne!(world.queue.flush_timeout(HOUR).finish, Finish::TimedOut)),
        ("a publish into a full channel", |world| {
            assert_eq!(world.full_bus.publish(2).unwrap().refused, 1);
            assert!(matches!(buslane::Sink::write(&world.full, 3), Err(WriteError::Full(3))));
        }),
        ("a publish at a gate", |world| {
            assert!(matches!(world.barred.publish(1), Err(WriteError::Full(1))));
            assert!(matches!(world.barred.publish_batch(vec![1, 2]), Err(WriteError::Full(_))));
        }),
        ("a publish into the same journal", |world| {
            assert!(world.journal.publish(Event::default()).is_ok());
            assert!(world.journal.publish_batch(vec![Event::default(), Event::default()]).is_ok());
        }),
        ("a publish on the same bus", |world| {
            assert!(world.bus.publish(Event::default()).is_ok());
            assert!(world.bus.with_local(|publisher| publisher.publish(Event::default())).is_ok());
        }),
        ("subscribing and reading", |world| {
            let gating = world.journal.subscription().start(Start::Oldest).gating().subscribe();
            assert!(gating.unwrap().try_recv_with(|_| ()).is_ok());
        }),
        ("looks", |world| {
            let _ = (world.bus.snapshot(), world.journal.state(), world.journal.feed().state());
        }),
        ("close of the journal", |world| world.journal.close()),
        ("an add, and a publisher", |world| {
            world.bus.add(Journal::new(4).unwrap()).unwrap();
            drop(world.bus.publisher());
        }),
    ];
    acts.into()
}

/// Puts an event with a destructor into the journal, and publishes until it is overwritten.
#[track_caller]
fn each(name: &str, publish: impl Fn(&World, &mut Publisher<Event>, Event) + Copy + Send + 'static) {
    for (act, body) in acts() {
        let world = world();
        let done = Arc::new(AtomicBool::new(false));
        let (inner, flag) = (Arc::downgrade(&world), done.clone());
        let event = Event::new(move || {
            if let Some(world) = inner.upgrade() {
                body(&world);
                flag.store(true, Ordering::Release);
            }
        });
        world.journal.publish(event).unwrap_or_else(|_| panic!("the journal is open"));
        let name = format!("{name}: {act}");
        let acted = ends({
            let done = done.clone();
            move || {
                let mut publisher = world.bus.publisher();
                for _ in 0..4 {
                    publish(&world, &mut publisher, Event::default());
                }
                drop(publisher);
                done.load(Ordering::Acquire)
            }
        });
        assert!(acted, "{name}");
    }
}

#[test]
fn destructor_in_journal_publish_does_not_wait() {
    each("publish", |world, _, event| drop(world.journal.publish(event)));
}

#[test]
fn destructor_in_journal_batch_does_not_wait() {
    each("publish_batch", |world, _, event| drop(world.journal.publish_batch(vec![event, Event::default()])));
}

#[test]
fn destructor_in_bus_publish_does_not_wait() {
    each("Bus::publish", |world, _, event| drop(world.bus.publish(event)));
}

#[test]
fn destructor_in_publisher_publish_does_not_wait() {
    each("Publisher::publish", |_, publisher, event| drop(publisher.publish(event)));
    each("Publisher::publish_batch", |_, publisher, event| {
        let _ = publisher.publish_batch(&[event]);
    });
}

#[test]
fn destructor_in_local_publish_does_not_wait() {
    each("with_local", |world, _, event| drop(world.bus.with_local(|publisher| publisher.publish(event))));
}

/// Returns a journal for the destructors of a single writer's events, which cannot reach the writer
/// itself.
fn barred() -> Journal<u64> {
    let barred = Journal::builder().capacity(1).gate_limit(HOUR).build().unwrap();
    std::mem::forget(barred.subscription().gating().subscribe().unwrap());
    while barred.try_publish(0).is_ok() {}
    barred
}

/// Returns an event whose destructor publishes where it would have to wait, and the result of that
/// publish.
fn waiting_event() -> (Event, Arc<OnceLock<bool>>) {
    let (barred, outcome) = (barred(), Arc::new(OnceLock::new()));
    let seen = outcome.clone();
    let event = Event::new(move || {
        let refused = matches!(barred.publish(1), Err(WriteError::Full(1)));
        let _ = seen.set(refused);
    });
    (event, outcome)
}

#[test]
fn destructor_in_any_publish_waits_for_no_gate() {
    for batch in [false, true] {
        for mut pen in journals::<Event>(1) {
            let (event, outcome) = waiting_event();
            assert!(pen.publish(event).is_ok());
            ends(move || {
                for _ in 0..4 {
                    if batch {
                        pen.batch(vec![Event::default()]);
                    } else {
                        assert!(pen.publish(Event::default()).is_ok());
                    }
                }
            });
            assert_eq!(outcome.get(), Some(&true));
        }
    }
}

#[test]
fn destructor_left_to_a_reader_waits_for_no_gate() {
    for mut pen in journals::<Event>(1) {
        let (event, outcome) = waiting_event();
        assert!(pen.publish(event).is_ok());
        let mut slow = pen.feed().subscribe(Start::Oldest).unwrap();
        assert!(slow.try_recv_with(|_| ()).is_ok());
        pen.all((0..4).map(|_| Event::default()));
        assert_eq!(outcome.get(), None, "the reader still has the event's block");
        drop(slow);
        ends(move || pen.all((0..4).map(|_| Event::default())));
        assert_eq!(outcome.get(), Some(&true));
    }
}

#[test]
fn destructor_of_a_kept_event_waits_for_no_gate() {
    for mut pen in journals::<Event>(8) {
        let (event, outcome) = waiting_event();
        assert!(pen.publish(event).is_ok());
        ends(move || drop(pen));
        assert_eq!(outcome.get(), Some(&true));
    }
}

/// An event whose clone publishes into the journal that is being read.
struct Echo(Option<Journal<Echo>>, Arc<Mutex<Vec<bool>>>);

impl Clone for Echo {
    fn clone(&self) -> Self {
        if let Some(journal) = &self.0 {
            for _ in 0..10 {
                let refused = journal.publish(Self(None, self.1.clone())).is_err();
                lock(&self.1).push(refused);
            }
        }
        Self(None, self.1.clone())
    }
}

#[test]
fn clone_for_a_gating_subscriber_does_not_wait_for_it() {
    let journal = Journal::builder().capacity(2).gate_limit(HOUR).build().unwrap();
    let mut gate = journal.subscription().gating().subscribe().unwrap();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    assert!(journal.publish(Echo(Some(journal.clone()), outcomes.clone())).is_ok());
    let first = ends(move || matches!(gate.recv(), Ok(Entry::Event(..))));
    assert!(first);
    let outcomes = lock(&outcomes).clone();
    assert!(outcomes.len() == 10 && !outcomes[0] && outcomes[9], "{outcomes:?}");
}

#[test]
fn destructor_runs_when_others_may_publish() {
    // During a destructor, other publishers and readers continue, because no claim is held.
    let journal = Journal::<Event>::new(1).unwrap();
    let (other, feed) = (journal.clone(), journal.feed());
    let event = Event::new(move || {
        let other = std::thread::spawn(move || other.publish(Event::default()).is_ok());
        wait_for(|| other.is_finished());
        assert!(other.join().unwrap_or(false));
    });
    assert!(journal.publish(event).is_ok());
    ends(move || (0..4).for_each(|_| assert!(journal.publish(Event::default()).is_ok())));
    assert_eq!(feed.next().get(), 6);
}
