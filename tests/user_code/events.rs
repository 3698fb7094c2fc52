//! The event's own code: its clone, its drop, the code that creates it, and the code that inspects
//! it.

use crate::call_sites::{Place, place, roomy};
use crate::world::{At, Event, Trap, World, ignore, lock, read_channel};
use buslane::journal::Start;
use buslane::{Channel, Journal, Overflow, Receiver, SinkExt};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::SystemTime;

pub(crate) const PLACES: &[Place] = &[
    place("clone, Bus::publish", |world, trap| drop(world.bus.publish(Event::at(At::Clone, trap)))),
    place("clone, Bus::publish to lanes", |world, trap| {
        drop(world.lanes.publish(Event::at(At::Clone, trap)));
    }),
    place("clone, Publisher", |world, trap| {
        drop(world.bus.publisher().publish(Event::at(At::Clone, trap)));
    }),
    place("clone, Publisher to lanes", |world, trap| {
        drop(world.lanes.publisher().publish(Event::at(At::Clone, trap)));
    }),
    place("clone, with_local", |world, trap| {
        drop(world.bus.with_local(|publisher| publisher.publish(Event::at(At::Clone, trap))));
    }),
    place("clone, batch", |world, trap| {
        ignore(world.bus.publisher().publish_batch(&[Event::at(At::Clone, trap), Event::plain()]));
    }),
    place("clone, batch to lanes", |world, trap| {
        ignore(world.lanes.publisher().publish_batch(&[Event::at(At::Clone, trap), Event::plain()]));
    }),
    place("clone, a filtered lane and another", |world, trap| {
        world.add(&world.solo, read_channel().filter(|_: &Event| true));
        world.add(&world.solo, read_channel());
        drop(world.solo.publisher().publish(Event::at(At::Clone, trap)));
    }),
    roomy("clone, the lane of a tee", |world, trap| {
        world.add(&world.solo, read_channel().tee(read_channel()));
        drop(world.solo.publisher().publish(Event::at(At::Clone, trap)));
    }),
    roomy("clone, the write of a tee", |world, trap| {
        world.add(&world.solo, read_channel().tee(read_channel()));
        drop(world.solo.publish(Event::at(At::Clone, trap)));
    }),
    roomy("clone, a gating subscriber", |world, trap| {
        let journal = Journal::new(64).unwrap();
        world.own(&Arc::new(journal.clone()));
        let mut subscriber = journal.subscription().start(Start::Oldest).gating().subscribe().unwrap();
        drop(journal.publish(Event::at(At::Clone, trap)));
        while journal.try_publish(Event::plain()).is_ok() {}
        drop(subscriber.try_recv());
    }),
    place("drop, refused, Bus::publish", |world, trap| {
        let _receiver = full(world, Overflow::Refuse);
        drop(world.solo.publish(Event::at(At::Drop, trap)));
    }),
    place("drop, refused, Publisher", |world, trap| {
        let _receiver = full(world, Overflow::Refuse);
        let mut publisher = world.solo.publisher();
        drop(publisher.publish(Event::plain()));
        drop(publisher.publish(Event::at(At::Drop, trap)));
    }),
    place("drop, no room, Bus::publish", |world, trap| {
        let _receiver = full(world, Overflow::DropNewest);
        drop(world.solo.publish(Event::at(At::Drop, trap)));
    }),
    place("drop, no room, Publisher", |world, trap| {
        let _receiver = full(world, Overflow::DropNewest);
        let mut publisher = world.solo.publisher();
        drop(publisher.publish(Event::plain()));
        drop(publisher.publish(Event::at(At::Drop, trap)));
    }),
    place("drop, evicted, Bus::publish", |world, trap| {
        let _receiver = full(world, Overflow::DropOldest);
        drop(world.solo.publish(Event::at(At::Drop, trap)));
        drop(world.solo.publish(Event::plain()));
    }),
    place("drop, evicted, Publisher", |world, trap| {
        let _receiver = full(world, Overflow::DropOldest);
        let mut publisher = world.solo.publisher();
        drop(publisher.publish(Event::at(At::Drop, trap)));
        drop(publisher.publish(Event::plain()));
    }),
    place("drop, a gate's", |world, trap| {
        world.add(&world.solo, read_channel().filter(|_: &Event| false));
        drop(world.solo.publisher().publish(Event::at(At::Drop, trap)));
    }),
    place("drop, filtered, Bus::publish", |world, trap| {
        world.add(&world.solo, read_channel().filter(|event: &Event| event.key > 0));
        drop(world.solo.publish(Event::keyed(1)));
        drop(world.solo.publish(Event::at(At::Drop, trap)));
    }),
    roomy("drop, overwritten, Bus::publish", |world, trap| {
        world.add(&world.solo, Journal::new(64).unwrap());
        drop(world.solo.publish(Event::at(At::Drop, trap)));
        (0..256).for_each(|_| drop(world.solo.publish(Event::plain())));
    }),
    roomy("drop, overwritten, Publisher", |world, trap| {
        world.add(&world.solo, Journal::new(64).unwrap());
        let mut publisher = world.solo.publisher();
        drop(publisher.publish(Event::at(At::Drop, trap)));
        (0..256).for_each(|_| drop(publisher.publish(Event::plain())));
    }),
    place("drop, a receiver that is dropped", |world, trap| {
        let (channel, receiver) = Channel::lossy(8).unwrap();
        world.own(&Arc::new(channel.clone()));
        world.add(&world.solo, channel);
        drop(world.solo.publish(Event::at(At::Drop, trap)));
        drop(receiver);
    }),
    place("publish_with", |world, trap| {
        let mut publisher = world.bus.publisher();
        ignore(publisher.publish_with(|| {
            trap.spring();
            Event::plain()
        }));
    }),
    place("publish_in_place, begin", |world, trap| {
        let mut publisher = world.bus.publisher();
        ignore(publisher.publish_in_place(
            || {
                trap.spring();
                Event::plain()
            },
            |_| {},
        ));
    }),
    place("publish_in_place, complete", |world, trap| {
        world.add(&world.solo, read_channel());
        let mut publisher = world.solo.publisher();
        ignore(publisher.publish_in_place(Event::plain, |_| trap.spring()));
    }),
    roomy("drain_with", |world, trap| {
        let (channel, mut receiver) =
            Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
        world.own(&Arc::new(channel.clone()));
        world.add(&world.solo, channel);
        drop(world.solo.publish(Event::plain()));
        receiver.drain_with(|_| {
            // The slot is already free, and the first write fills it again.
            trap.spring();
        });
        receiver.try_iter().for_each(drop);
        std::thread::spawn(move || while receiver.recv().is_ok() {});
    }),
    place("filter of a subscriber", |world, trap| {
        let spring = trap.clone();
        world.add(&world.solo, world.journal.clone());
        let subscription = world.journal.subscription().start(Start::Oldest).gating();
        let filtered = subscription.filter(move |_: &Event| {
            spring.spring();
            true
        });
        let mut subscriber = filtered.subscribe().unwrap();
        drop(world.journal.publish(Event::plain()));
        drop(subscriber.try_recv());
    }),
    place("time of an event", |world, trap| {
        let spring = trap.clone();
        let time = move |_: &Event| {
            spring.spring();
            SystemTime::now()
        };
        let journal = Journal::builder().capacity(64).time_by(time).build().unwrap();
        world.own(&Arc::new(journal.clone()));
        let start = Start::Since(SystemTime::UNIX_EPOCH);
        let mut subscriber = journal.subscription().start(start).gating().subscribe().unwrap();
        while journal.try_publish(Event::plain()).is_ok() {}
        drop(subscriber.try_recv());
    }),
    place("wake of a task, Bus::publish", |world, trap| {
        wake(world, trap, |world| {
            drop(world.solo.publish(Event::plain()));
        })
    }),
    place("wake of a task, Publisher", |world, trap| {
        wake(world, trap, |world| {
            drop(world.solo.publisher().publish(Event::plain()));
        })
    }),
    place("wake of a task, close", |world, trap| {
        wake(world, trap, |world| {
            drop(world.solo.close());
        })
    }),
    place("wake of a task, remove", |world, trap| {
        wake(world, trap, |world| {
            let ids = lock(&world.ids).clone();
            let _publisher = world.solo.publisher();
            ids.iter().for_each(|(bus, id)| {
                let _ = bus.remove(*id);
            });
            drop(world.solo.close());
        })
    }),
    place("drop of a waker", |world, trap| {
        let (channel, mut receiver) = Channel::lossy(8).unwrap();
        world.add(&world.solo, channel);
        let waker = Waker::from(Arc::new(DropWaker(trap.clone())));
        drop(receiver.poll_recv(&mut Context::from_waker(&waker)));
        drop(waker);
        drop(receiver.poll_recv(&mut Context::from_waker(Waker::noop())));
    }),
    place("drop of one waker of many", |world, trap| {
        let (channel, mut receiver) = Channel::shared_lossy(8).unwrap();
        world.add(&world.solo, channel);
        let waker = Waker::from(Arc::new(DropWaker(trap.clone())));
        drop(receiver.poll_recv(&mut Context::from_waker(&waker)));
        drop(waker);
        drop(receiver.poll_recv(&mut Context::from_waker(Waker::noop())));
    }),
];

/// Returns a receiver on the `solo` bus, whose channel has room for one event; it is full, except
/// with `DropOldest`.
fn full(world: &World, overflow: Overflow) -> Receiver<Event> {
    let (channel, receiver) = Channel::builder().capacity(1).overflow(overflow).build().unwrap();
    world.add(&world.solo, channel);
    if overflow != Overflow::DropOldest {
        drop(world.solo.publish(Event::plain()));
    }
    receiver
}

struct SpringWaker(Arc<Trap>);

impl Wake for SpringWaker {
    fn wake(self: Arc<Self>) {
        self.0.spring();
    }
}

struct DropWaker(Arc<Trap>);

impl Wake for DropWaker {
    fn wake(self: Arc<Self>) {}
}

impl Drop for DropWaker {
    fn drop(&mut self) {
        self.0.spring();
    }
}

/// Runs a task that waits for the `solo` bus, and the call that wakes it.
fn wake(world: &World, trap: &Arc<Trap>, by: fn(&World)) {
    let (channel, mut receiver) = Channel::lossy(8).unwrap();
    world.add(&world.solo, channel);
    let waker = Waker::from(Arc::new(SpringWaker(trap.clone())));
    assert!(receiver.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    by(world);
    std::thread::spawn(move || while receiver.recv().is_ok() {});
}
