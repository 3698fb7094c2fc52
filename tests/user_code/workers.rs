//! The user code that the worker of a queue calls.

use crate::call_sites::{Place, place, roomy};
use crate::retries::gather;
use crate::sinks::Custom;
use crate::world::{At, DropTrap, Event, LIMIT, Trap, World};
use buslane::queue::{Handler, QueueBuilder};
use buslane::time::Deadline;
use buslane::{BoxError, Overflow, Queue, Sink};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A handler that calls the crate in one of its methods.
struct Handles(Arc<Trap>, &'static str);

impl Handles {
    fn reach(&self, at: &str) {
        if self.1 == at {
            self.0.spring();
        }
    }
}

impl Handler<Event> for Handles {
    fn handle(&mut self, _: Event) -> Result<(), BoxError> {
        self.reach("handle");
        if self.1 == "on_error" { Err("no route".into()) } else { Ok(()) }
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        self.reach("end of batch");
        Ok(())
    }

    fn tick(&mut self, _: Instant) -> Option<Instant> {
        self.reach("tick");
        None
    }

    fn flush(&mut self, _: Deadline) -> Result<(), BoxError> {
        self.reach("flush");
        Ok(())
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.reach("close");
        Ok(())
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.reach("drop");
    }
}

/// Returns a builder of a queue with little room, whose writers wait.
fn builder() -> QueueBuilder<Event> {
    Queue::builder().capacity(2).overflow(Overflow::Block)
}

/// Adds a queue to the bus, and has it write, flush and close.
fn exercise(world: &World, queue: Queue<Event>) {
    let queue = Arc::new(queue);
    world.own(&queue);
    world.add(&world.solo, (*queue).clone());
    drop(queue.write(Event::plain()));
    drop(queue.flush_timeout(LIMIT));
    drop(queue.close_timeout(LIMIT));
}

fn handled(world: &World, trap: &Arc<Trap>, at: &'static str) {
    exercise(world, builder().spawn_handler(Handles(trap.clone(), at)).unwrap());
}

fn written(world: &World, trap: &Arc<Trap>, at: &'static str, workers: usize) {
    exercise(world, builder().workers(workers).spawn_sink(Custom::new(trap, at)).unwrap());
}

fn batched(world: &World, trap: &Arc<Trap>, at: &'static str) {
    let batch = Arc::new(gather(Custom::new(trap, at)).age(Duration::from_millis(1)));
    world.own(&batch);
    exercise(world, builder().spawn_sink(batch).unwrap());
}

/// A key whose hash calls the crate.
struct Key(Arc<Trap>);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.spring();
        0_u8.hash(state);
    }
}

pub(crate) const PLACES: &[Place] = &[
    place("handle", |world, trap| handled(world, trap, "handle")),
    place("end of a batch of a handler", |world, trap| handled(world, trap, "end of batch")),
    place("tick of a handler", |world, trap| {
        let handler = Handles(trap.clone(), "tick");
        // The first tick may come before any thread knows the queue.
        let queue = builder().spawn_handler(handler).unwrap();
        exercise(world, queue);
    }),
    place("flush of a handler", |world, trap| handled(world, trap, "flush")),
    place("close of a handler", |world, trap| handled(world, trap, "close")),
    place("drop of a handler", |world, trap| handled(world, trap, "drop")),
    place("on_error of a queue", |world, trap| {
        let spring = trap.clone();
        let builder = builder().on_error(move |_| spring.spring());
        exercise(world, builder.spawn_handler(Handles(trap.clone(), "on_error")).unwrap());
    }),
    place("on_drop of a queue", |world, trap| {
        let spring = trap.clone();
        let builder = Queue::builder().capacity(1).on_drop(move |_: Event, _| spring.spring());
        let (entered, inside) = std::sync::mpsc::channel();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let queue = builder.spawn(move |_: Event| {
            let _ = entered.send(());
            let _ = gate.recv();
        });
        let queue = queue.unwrap();
        drop(queue.write(Event::plain()));
        inside.recv().unwrap();
        // Another sink, because the worker of this queue is blocked at this call site.
        world.add(&world.lanes, Custom::new(trap, ""));
        (0..2).for_each(|_| drop(queue.write(Event::plain())));
        drop(open);
        exercise(world, queue);
    }),
    place("drop of a handler's closure", |world, trap| {
        let held = DropTrap(trap.clone());
        let queue = builder().spawn(move |_: Event| {
            let _ = &held;
        });
        exercise(world, queue.unwrap());
    }),
    place("drop of a hook", |world, trap| {
        let held = DropTrap(trap.clone());
        let builder = builder().on_error(move |_| {
            let _ = &held;
        });
        exercise(world, builder.spawn(|_: Event| {}).unwrap());
    }),
    place("drop of an event in a worker", |world, trap| {
        let queue = builder().spawn(|_: Event| {}).unwrap();
        let queue = Arc::new(queue);
        world.own(&queue);
        drop(queue.write(Event::at(At::Drop, trap)));
        drop(queue.flush_timeout(LIMIT));
    }),
    place("key function of a queue", |world, trap| {
        let spring = trap.clone();
        let builder = builder().workers(2).ordered_by(move |event: &Event| {
            spring.spring();
            event.key
        });
        exercise(world, builder.spawn_each(|_| |_: Event| {}).unwrap());
    }),
    place("hash of a key of a queue", |world, trap| {
        let spring = trap.clone();
        let builder = builder().workers(2).ordered_by(move |_: &Event| Key(spring.clone()));
        exercise(world, builder.spawn_each(|_| |_: Event| {}).unwrap());
    }),
    place("write downstream of a queue", |world, trap| written(world, trap, "write", 1)),
    place("end of a batch downstream of a queue", |world, trap| written(world, trap, "end of batch", 1)),
    place("tick downstream of a queue", |world, trap| written(world, trap, "tick", 1)),
    roomy("flush downstream of a queue", |world, trap| written(world, trap, "flush", 1)),
    roomy("close downstream of a queue", |world, trap| written(world, trap, "close", 1)),
    place("drop downstream of a queue", |world, trap| written(world, trap, "drop", 1)),
    place("write downstream of two workers", |world, trap| written(world, trap, "write", 2)),
    roomy("flush downstream of two workers", |world, trap| written(world, trap, "flush", 2)),
    roomy("close downstream of two workers", |world, trap| written(world, trap, "close", 2)),
    roomy("write downstream of a queue and a batch", |world, trap| batched(world, trap, "write")),
    roomy("flush downstream of a queue and a batch", |world, trap| batched(world, trap, "flush")),
    roomy("tick downstream of a queue and a batch", |world, trap| batched(world, trap, "tick")),
    roomy("close downstream of a queue and a batch", |world, trap| batched(world, trap, "close")),
];
