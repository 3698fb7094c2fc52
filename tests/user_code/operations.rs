//! The operations that user code may call: every call that waits, and every call that takes a lock.

use crate::world::{Event, LIMIT, World, ignore, lock};
use buslane::stats::{FlushReport, SinkState};
use buslane::time::Deadline;
use buslane::{Bus, Queue, Sink, noop};
use std::time::Instant;

type Operation = (&'static str, fn(&World));

pub(crate) const OPERATIONS: &[Operation] = &[
    ("Bus::publish into a full lane", |world| drop(world.full.publish(Event::plain()))),
    ("Publisher::publish into a full lane", |world| {
        let mut publisher = world.full.publisher();
        drop((publisher.publish(Event::plain()), publisher.publish(Event::plain())));
    }),
    ("with_local into a full lane", |world| {
        drop(world.full.with_local(|publisher| publisher.publish(Event::plain())));
    }),
    ("Journal::publish at a gate", |world| drop(world.gated.publish(Event::plain()))),
    ("remove", |world| {
        let ids = lock(&world.ids).clone();
        ids.iter().for_each(|(bus, id)| {
            let _ = bus.remove(*id);
        });
    }),
    ("remove_timeout", |world| {
        let ids = lock(&world.ids).clone();
        ids.iter().for_each(|(bus, id)| {
            let _ = bus.remove_timeout(*id, LIMIT);
        });
    }),
    ("close_timeout", |world| world.buses().iter().for_each(|bus| drop(bus.close_timeout(LIMIT)))),
    ("flush_timeout", |world| world.buses().iter().for_each(|bus| drop(bus.flush_timeout(LIMIT)))),
    ("Publisher::flush_timeout", |world| {
        world.buses().iter().for_each(|bus| drop(bus.publisher().flush_timeout(LIMIT)));
    }),
    ("snapshot", |world| world.buses().iter().for_each(|bus| drop(bus.snapshot()))),
    ("add", |world| world.buses().iter().for_each(|bus| ignore(bus.add(noop())))),
    ("subscribe", |world| world.buses().iter().for_each(|bus| drop(bus.subscribe_lossy(8)))),
    ("publisher", |world| world.buses().iter().for_each(|bus| drop(bus.publisher()))),
    ("publish", |world| world.buses().iter().for_each(|bus| drop(bus.publish(Event::plain())))),
    ("Queue::close_timeout", |world| drop(world.queue.close_timeout(LIMIT))),
    ("Queue::flush_timeout", |world| drop(world.queue.flush_timeout(LIMIT))),
    ("Queue::state", |world| drop(world.queue.state())),
    ("drop of a last queue", |_| drop(Queue::builder().spawn(|_: Event| {}).unwrap())),
    ("drop of a last bus", |_| {
        let bus = Bus::new();
        bus.add(Queue::builder().spawn(|_: Event| {}).unwrap()).unwrap();
        drop(bus);
    }),
    ("Channel::flush_timeout", |world| drop(world.channel.flush_timeout(LIMIT))),
    ("Channel::close", |world| world.channel.close()),
    ("Journal::close", |world| world.journal.close()),
    ("write to its own sink", |world| {
        for object in world.objects() {
            (0..8).for_each(|_| drop(object.write(Event::plain())));
        }
    }),
    ("flush of its own sink", |world| {
        for object in world.objects() {
            object.flush_by(Deadline::after(LIMIT), &mut FlushReport::default());
        }
    }),
    ("close of its own sink", |world| {
        for object in world.objects() {
            drop(object.close_by(Deadline::after(LIMIT)));
        }
    }),
    ("state of its own sink", |world| {
        for object in world.objects() {
            object.describe(&mut SinkState::default());
            object.reports_closed();
            object.tick(Instant::now());
            object.end_of_batch();
        }
    }),
    ("abort of its own sink", |world| {
        for object in world.objects() {
            object.abort_now();
        }
    }),
];
