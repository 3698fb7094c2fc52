//! The user code of sinks, hooks and combinators that a bus or a user's thread calls.

use crate::call_sites::{Place, place, roomy};
use crate::world::{DropTrap, Event, LIMIT, Trap, World, ignore, lock, read_channel};
use buslane::error::OutOfMemory;
use buslane::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use buslane::sink::{Inspector, SinkKey};
use buslane::stats::{CloseReport, Disposition, FlushReport, SinkState};
use buslane::testing::ManualClock;
use buslane::time::Deadline;
use buslane::time::{Clock, Pause};
use buslane::{Bus, Channel, Overflow, Publisher, Sink, SinkExt, SinkId, WriteError, sink_fn};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

/// A sink that calls the crate in one of its methods. With lanes it is a stage without an inner
/// sink.
pub(crate) struct Custom {
    trap: Arc<Trap>,
    at: &'static str,
    lanes: bool,
    /// The outcome of a write.
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Ok,
    Full,
    Failed,
}

impl Custom {
    pub(crate) fn new(trap: &Arc<Trap>, at: &'static str) -> Self {
        Self { trap: trap.clone(), at, lanes: false, answer: Answer::Ok }
    }

    fn with_lanes(trap: &Arc<Trap>, at: &'static str) -> Self {
        Self { trap: trap.clone(), at, lanes: true, answer: Answer::Ok }
    }

    pub(crate) fn answering(trap: &Arc<Trap>, at: &'static str, answer: Answer) -> Self {
        Self { trap: trap.clone(), at, lanes: false, answer }
    }

    fn reach(&self, at: &str) {
        if self.at == at {
            self.trap.spring();
        }
    }
}

impl Drop for Custom {
    fn drop(&mut self) {
        self.reach("drop");
    }
}

impl<T: Send + 'static> Sink<T> for Custom {
    fn write(&self, event: T) -> Result<(), WriteError<T>> {
        self.reach("write");
        match self.answer {
            Answer::Ok => Ok(()),
            Answer::Full => Err(WriteError::Full(event)),
            Answer::Failed => Err(WriteError::Failed { event, source: "no route".into() }),
        }
    }

    fn close_by(&self, _: Deadline) -> CloseReport {
        self.reach("close");
        CloseReport::done()
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<T>>, OutOfMemory> {
        self.reach("lane");
        let stage = Stage { trap: self.trap.clone(), at: self.at, events: PhantomData };
        Ok(self.lanes.then(|| Lane::staged(stage)))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.reach("has_lanes");
        self.lanes
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        self.reach("flush");
    }

    fn abort_now(&self) {
        self.reach("abort");
    }

    fn end_of_batch(&self) {
        self.reach("end of batch");
    }

    fn tick(&self, _: Instant) -> Option<Instant> {
        self.reach("tick");
        None
    }

    fn reports_closed(&self) -> bool {
        self.reach("is closed");
        false
    }

    fn describe(&self, _: &mut SinkState) {
        self.reach("describe");
    }

    fn key(&self) -> Option<SinkKey> {
        self.reach("key");
        None
    }
}

/// A sink that drops its publisher while the bus creates a lane for it.
struct Departing {
    publisher: std::sync::Mutex<Option<Publisher<Event>>>,
    lane: Custom,
}

impl Sink<Event> for Departing {
    fn write(&self, _: Event) -> Result<(), WriteError<Event>> {
        Ok(())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<Event>>, OutOfMemory> {
        let publisher = lock(&self.publisher).take();
        drop(publisher);
        self.lane.lane()
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }
}

/// A sink that is removed while the bus creates a lane into it.
struct Leaving {
    of: std::sync::OnceLock<(Bus<Event>, SinkId)>,
    lane: Custom,
}

impl Sink<Event> for Leaving {
    fn write(&self, _: Event) -> Result<(), WriteError<Event>> {
        Ok(())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<Event>>, OutOfMemory> {
        if let Some((bus, id)) = self.of.get() {
            ignore(bus.remove(*id));
        }
        self.lane.lane()
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }
}

struct Stage<T> {
    trap: Arc<Trap>,
    at: &'static str,
    events: PhantomData<fn(T)>,
}

impl<T> LaneWrite<T> for Stage<T> {
    fn offer(&mut self, _: T, _: Deadline) -> Result<Disposition, WriteError<T>> {
        if self.at == "push" {
            self.trap.spring();
        }
        Ok(Disposition::Delivered)
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }
}

impl<T> Drop for Stage<T> {
    fn drop(&mut self) {
        if self.at == "drop of the lane" {
            self.trap.spring();
        }
    }
}

/// An error whose text or drop calls the crate.
#[derive(Debug)]
struct Failure(Arc<Trap>, &'static str);

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trap")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == "text" {
            self.0.spring();
        }
        f.write_str("a failure")
    }
}

impl std::error::Error for Failure {}

impl Drop for Failure {
    fn drop(&mut self) {
        if self.1 == "drop" {
            self.0.spring();
        }
    }
}

fn failing(trap: &Arc<Trap>, at: &'static str) -> impl Sink<Event> + 'static {
    let trap = trap.clone();
    sink_fn(move |_: &Event| Err::<(), _>(Failure(trap.clone(), at)))
}

pub(crate) fn remove(bus: &Bus<Event>, id: Option<SinkId>) {
    if let Some(id) = id {
        let _ = bus.remove(id);
    }
}

/// A clock that calls the crate.
pub(crate) struct TrapClock(Arc<Trap>, &'static str, ManualClock);

impl fmt::Debug for TrapClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrapClock")
    }
}

impl Clock for TrapClock {
    fn now(&self) -> Instant {
        if self.1 == "now" {
            self.0.spring();
        }
        self.2.now()
    }

    fn wait_until(&self, moment: Instant, pause: &Arc<Pause>) {
        if self.1 == "wait_until" {
            self.0.spring();
        }
        self.2.wait_until(moment, pause);
    }
}

pub(crate) fn clock(trap: &Arc<Trap>, at: &'static str) -> TrapClock {
    TrapClock(trap.clone(), at, ManualClock::hurrying())
}

/// Publishes through a stage upstream of a channel, by a publisher or by `Bus::publish`.
fn stages<S: Sink<Event> + 'static>(world: &World, stage: impl Fn(Channel<Event>) -> S, own: bool) {
    world.add(&world.solo, stage(read_channel()));
    if own {
        drop(world.solo.publisher().publish(Event::plain()));
    } else {
        drop(world.solo.publish(Event::plain()));
    }
}

struct Looks(Arc<Trap>, &'static str);

impl Inspector<Event> for Looks {
    fn ingress(&self, _: &Event) {
        if self.1 == "ingress" {
            self.0.spring();
        }
    }

    fn success(&self) {
        if self.1 == "success" {
            self.0.spring();
        }
    }
}

macro_rules! by_both_ways {
    ($place:ident, $name:literal, $stage:expr) => {
        [
            $place(concat!($name, ", Bus::publish"), |world, trap| stages(world, $stage(trap), false)),
            $place(concat!($name, ", Publisher"), |world, trap| stages(world, $stage(trap), true)),
        ]
    };
}

const STAGES: [[Place; 2]; 5] = [
    by_both_ways!(place, "predicate", |trap: &Arc<Trap>| {
        let trap = trap.clone();
        move |channel: Channel<Event>| {
            let trap = trap.clone();
            channel.filter(move |_: &Event| {
                trap.spring();
                true
            })
        }
    }),
    by_both_ways!(place, "mapping", |trap: &Arc<Trap>| {
        let trap = trap.clone();
        move |channel: Channel<Event>| {
            let trap = trap.clone();
            channel.map(move |_: &Event| {
                trap.spring();
                Event::plain()
            })
        }
    }),
    by_both_ways!(place, "inspector's ingress", |trap: &Arc<Trap>| {
        let trap = trap.clone();
        move |channel: Channel<Event>| channel.inspect(Looks(trap.clone(), "ingress"))
    }),
    by_both_ways!(place, "inspector's success", |trap: &Arc<Trap>| {
        let trap = trap.clone();
        move |channel: Channel<Event>| channel.inspect(Looks(trap.clone(), "success"))
    }),
    by_both_ways!(place, "clock of a rate limit", |trap: &Arc<Trap>| {
        let trap = trap.clone();
        move |channel: Channel<Event>| {
            // The clock is replaced after the constructor, which reads it once.
            let clock = clock(&trap, "now");
            channel.rate_limit(1e6, 100).clock(clock)
        }
    }),
];

pub(crate) const PLACES: &[Place] = &[
    STAGES[0][0],
    STAGES[0][1],
    STAGES[1][0],
    STAGES[1][1],
    STAGES[2][0],
    STAGES[2][1],
    STAGES[3][0],
    STAGES[3][1],
    STAGES[4][0],
    STAGES[4][1],
    place("write, Bus::publish", |world, trap| {
        world.add(&world.bus, Custom::new(trap, "write"));
        drop(world.bus.publish(Event::plain()));
    }),
    place("write, Publisher", |world, trap| {
        world.add(&world.bus, Custom::new(trap, "write"));
        drop(world.bus.publisher().publish(Event::plain()));
    }),
    roomy("write of a sink with lanes, Bus::publish", |world, trap| {
        world.add(&world.bus, Custom::with_lanes(trap, "write"));
        drop(world.bus.publish(Event::plain()));
    }),
    roomy("push of a stage, Publisher", |world, trap| {
        world.add(&world.bus, Custom::with_lanes(trap, "push"));
        drop(world.bus.publisher().publish(Event::plain()));
    }),
    place("lane, Bus::publisher", |world, trap| {
        world.add(&world.bus, Custom::with_lanes(trap, "lane"));
        drop(world.bus.publisher());
    }),
    place("lane, Bus::add", |world, trap| {
        let _publisher = world.bus.publisher();
        world.add(&world.bus, Custom::with_lanes(trap, "lane"));
    }),
    place("has_lanes, Bus::add", |world, trap| ignore(world.solo.add(Custom::new(trap, "has_lanes")))),
    place("key, Bus::add", |world, trap| ignore(world.bus.add(Custom::new(trap, "key")))),
    place("describe, Bus::snapshot", |world, trap| {
        world.add(&world.bus, Custom::new(trap, "describe"));
        drop(world.bus.snapshot());
    }),
    place("is_closed, Bus::snapshot", |world, trap| {
        world.add(&world.bus, Custom::with_lanes(trap, "is closed"));
        drop(world.bus.snapshot());
    }),
    roomy("close, Bus::close", |world, trap| {
        world.add(&world.bus, Custom::new(trap, "close"));
        drop(world.bus.close());
    }),
    roomy("flush, Bus::flush", |world, trap| {
        world.add(&world.bus, Custom::new(trap, "flush"));
        drop(world.bus.flush_timeout(LIMIT));
    }),
    place("drop of a sink, Bus::remove", |world, trap| {
        let id = world.bus.add(Custom::new(trap, "drop")).ok();
        remove(&world.bus, id);
    }),
    place("drop of a sink, the last handle of a bus", |_, trap| {
        let bus = Bus::new();
        bus.add(Custom::new(trap, "drop")).unwrap();
        drop::<Bus<Event>>(bus);
    }),
    place("drop of a sink, a close from inside, and a sweep", |world, trap| {
        let weak = world.solo.downgrade();
        let id = Arc::new(std::sync::Mutex::new(None));
        let of_sink = id.clone();
        world.add(
            &world.solo,
            sink_fn(move |_: &Event| {
                if let (Some(bus), Some(id)) = (weak.upgrade(), *lock(&of_sink)) {
                    ignore(bus.remove(id));
                }
            }),
        );
        *lock(&id) = Some(world.solo.add(Custom::new(trap, "drop")).unwrap());
        drop(world.solo.publish(Event::plain()));
        drop(world.solo.snapshot());
    }),
    place("drop of a lane, Publisher", |world, trap| {
        world.add(&world.bus, Custom::with_lanes(trap, "drop of the lane"));
        drop(world.bus.publisher());
    }),
    place("drop of a lane, Bus::remove", |world, trap| {
        let mut publisher = world.bus.publisher();
        let id = world.add(&world.bus, Custom::with_lanes(trap, "drop of the lane"));
        remove(&world.bus, id);
        drop(publisher.publish(Event::plain()));
        drop(world.bus.snapshot());
    }),
    place("drop of a lane whose publisher went, Bus::add", |world, trap| {
        let publisher = std::sync::Mutex::new(Some(world.solo.publisher()));
        let departing = Departing { publisher, lane: Custom::with_lanes(trap, "drop of the lane") };
        world.add(&world.solo, departing);
    }),
    place("drop of a lane whose sink went, Bus::publisher", |world, trap| {
        let leaving = Arc::new(Leaving {
            of: std::sync::OnceLock::new(),
            lane: Custom::with_lanes(trap, "drop of the lane"),
        });
        if let Some(id) = world.add(&world.solo, leaving.clone()) {
            let _ = leaving.of.set((world.solo.clone(), id));
        }
        drop(world.solo.publisher());
    }),
    place("drop of a lane's events, Publisher", |world, trap| {
        let (channel, receiver) = Channel::lossy(8).unwrap();
        let id = world.add(&world.solo, channel);
        let mut publisher = world.solo.publisher();
        drop(publisher.publish(Event::at(crate::world::At::Drop, trap)));
        remove(&world.solo, id);
        drop(publisher);
        drop(receiver);
    }),
    place("drop of a closure, Bus::remove", |world, trap| {
        let held = DropTrap(trap.clone());
        let filter = read_channel().filter(move |_: &Event| {
            let _ = &held;
            true
        });
        let id = world.add(&world.bus, filter);
        let _publisher = world.bus.publisher();
        remove(&world.bus, id);
        drop(world.bus.snapshot());
        drop(_publisher);
    }),
    place("on_error of a bus", |world, trap| {
        *lock(&world.on_error) = Some(trap.clone());
        world.add(&world.bus, sink_fn(|_: &Event| Err("no route")));
        drop(world.bus.publish(Event::plain()));
        *lock(&world.on_error) = None;
    }),
    place("text of an error, Bus::publish", |world, trap| {
        world.add(&world.bus, failing(trap, "text"));
        drop(world.bus.publish(Event::plain()));
    }),
    place("drop of an error, Publisher", |world, trap| {
        world.add(&world.bus, failing(trap, "drop"));
        drop(world.bus.publisher().publish(Event::plain()));
    }),
    place("on_drop of a channel", |world, trap| {
        let spring = trap.clone();
        let builder = Channel::builder().capacity(1).on_drop(move |_: Event, _| spring.spring());
        let (channel, receiver) = builder.build().unwrap();
        world.own(&Arc::new(channel.clone()));
        world.add(&world.solo, channel);
        (0..2).for_each(|_| drop(world.solo.publish(Event::plain())));
        drop(receiver);
    }),
    place("on_drop of a channel that evicts", |world, trap| {
        let spring = trap.clone();
        let builder = Channel::builder().capacity(1).overflow(Overflow::DropOldest);
        let (channel, receiver) = builder.on_drop(move |_: Event, _| spring.spring()).build().unwrap();
        world.own(&Arc::new(channel.clone()));
        world.add(&world.solo, channel);
        let mut publisher = world.solo.publisher();
        (0..2).for_each(|_| drop(publisher.publish(Event::plain())));
        drop(receiver);
    }),
    place("describe downstream of a tee", |world, trap| {
        world.add(&world.bus, Custom::new(trap, "describe").tee(Custom::new(trap, "")));
        let mut state = SinkState::default();
        drop(world.bus.snapshot());
        world.bus.describe(&mut state);
    }),
];
