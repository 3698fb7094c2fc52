//! The user code that batches and retries call, on a thread of the user.

use crate::call_sites::{Place, place, roomy};
use crate::sinks::{Answer, Custom, clock, remove};
use crate::world::{Event, LIMIT, Trap, World};
use buslane::retry::{Attempt, Backoff, Next, RetryPolicy};
use buslane::sink::Batch;
use buslane::stats::FlushReport;
use buslane::testing::ManualClock;
use buslane::time::Deadline;
use buslane::{Sink, SinkExt, sink_fn};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A policy that calls the crate in one of its methods.
struct Policy(Arc<Trap>, &'static str);

impl Policy {
    fn reach(&self, at: &str) {
        if self.1 == at {
            self.0.spring();
        }
    }
}

impl<E> RetryPolicy<E> for Policy {
    fn before(&self, _: &E) -> Duration {
        self.reach("before");
        Duration::ZERO
    }

    fn failure(&self, _: &E, attempt: &Attempt<'_>) -> Next {
        self.reach("failure");
        if attempt.number() > 1 { Next::GiveUp } else { Next::After(Duration::from_millis(1)) }
    }

    fn success(&self) {
        self.reach("success");
    }

    fn abandoned(&self) {
        self.reach("abandoned");
    }
}

/// A key that calls the crate.
#[derive(Clone)]
struct Key(u32, Arc<Trap>, &'static str);

impl Key {
    fn reach(&self, at: &str) {
        if self.2 == at {
            self.1.spring();
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reach("hash");
        // All keys have the same hash, so that they are compared.
        0_u8.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.reach("eq");
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        self.reach("drop");
    }
}

/// Sets an event aside, then later events of its key and of another key; then the retry tries them.
fn keyed(world: &World, trap: &Arc<Trap>, at: &'static str, inner: Custom) {
    let (of_key, policy) = (trap.clone(), Backoff::new(Duration::from_millis(1), Duration::from_millis(1)));
    let key = move |event: &Event| {
        let key = Key(event.key, of_key.clone(), at);
        key.reach("key function");
        key
    };
    let policy = policy.max_attempts(2);
    let retry = Arc::new(inner.retry_by_key(key, policy).clock(ManualClock::hurrying()));
    world.own(&retry);
    world.add(&world.solo, retry.clone());
    for key in [1, 1, 2] {
        drop(retry.write(Event::keyed(key)));
    }
    tick(&*retry);
    drop(retry.close_by(Deadline::after(LIMIT)));
}

fn tick(sink: &impl Sink<Event>) {
    sink.tick(Instant::now() + LIMIT);
}

fn retry(world: &World, trap: &Arc<Trap>, at: &'static str, inner: Custom) {
    let retry = Arc::new(inner.retry(Policy(trap.clone(), at)).clock(clock(trap, at)));
    world.own(&retry);
    world.add(&world.solo, retry.clone());
    drop(retry.write(Event::plain()));
}

/// Returns a batch of two events.
pub(crate) fn gather(inner: Custom) -> Batch<Event, Custom> {
    SinkExt::<Vec<Event>>::batch(inner, 2)
}

/// Fills, flushes and closes a batch on a thread of the user.
fn batch(world: &World, trap: &Arc<Trap>, at: &'static str, answer: Answer) {
    let size = trap.clone();
    let batch = gather(Custom::answering(trap, at, answer));
    let batch = batch.bytes(1024, move |_: &Event| {
        if at == "size" {
            size.spring();
        }
        1
    });
    let batch = Arc::new(batch.age(Duration::from_millis(1)));
    world.own(&batch);
    world.add(&world.solo, batch.clone());
    (0..3).for_each(|_| drop(batch.write(Event::plain())));
    tick(&*batch);
    batch.flush_by(Deadline::after(LIMIT), &mut FlushReport::default());
    drop(batch.close_by(Deadline::after(LIMIT)));
}

pub(crate) const PLACES: &[Place] = &[
    roomy("write downstream of a batch", |world, trap| batch(world, trap, "write", Answer::Ok)),
    roomy("flush downstream of a batch", |world, trap| batch(world, trap, "flush", Answer::Ok)),
    roomy("flush downstream of a batch without room", |world, trap| {
        batch(world, trap, "flush", Answer::Full)
    }),
    roomy("tick downstream of a batch", |world, trap| batch(world, trap, "tick", Answer::Ok)),
    roomy("close downstream of a batch", |world, trap| batch(world, trap, "close", Answer::Ok)),
    roomy("flush in the close of a batch", |world, trap| {
        let batch = Arc::new(gather(Custom::answering(trap, "flush", Answer::Full)));
        world.own(&batch);
        drop(batch.write(Event::plain()));
        drop(batch.close_by(Deadline::after(Duration::from_secs(1))));
    }),
    place("size of a batch", |world, trap| batch(world, trap, "size", Answer::Ok)),
    place("before of a policy", |world, trap| retry(world, trap, "before", Custom::new(trap, ""))),
    place("success of a policy", |world, trap| retry(world, trap, "success", Custom::new(trap, ""))),
    place("failure of a policy", |world, trap| {
        retry(world, trap, "failure", Custom::answering(trap, "", Answer::Failed));
    }),
    place("clock of a retry", |world, trap| retry(world, trap, "now", Custom::new(trap, ""))),
    place("wait of a clock", |world, trap| {
        retry(world, trap, "wait_until", Custom::answering(trap, "", Answer::Failed));
    }),
    roomy("write downstream of a retry", |world, trap| retry(world, trap, "", Custom::new(trap, "write"))),
    roomy("write of dead letters", |world, trap| {
        let inner = Custom::answering(trap, "", Answer::Failed);
        let retry = inner.retry(Policy(trap.clone(), "")).dead_letters(Custom::new(trap, "write"));
        let retry = Arc::new(retry);
        world.own(&retry);
        world.add(&world.solo, retry.clone());
        drop(retry.write(Event::plain()));
    }),
    roomy("flush of dead letters", |world, trap| {
        let retry = Custom::new(trap, "").retry(Policy(trap.clone(), ""));
        let retry = Arc::new(retry.dead_letters(Custom::new(trap, "flush")));
        world.own(&retry);
        retry.flush_by(Deadline::after(LIMIT), &mut FlushReport::default());
    }),
    place("drop of dead letters", |world, trap| {
        let retry = Custom::new(trap, "").retry(Policy(trap.clone(), ""));
        let id = world.add(&world.solo, retry.dead_letters(Custom::new(trap, "drop")));
        remove(&world.solo, id);
    }),
    place("key function of a retry", |world, trap| {
        keyed(world, trap, "key function", Custom::answering(trap, "", Answer::Failed));
    }),
    place("hash of a key", |world, trap| {
        keyed(world, trap, "hash", Custom::answering(trap, "", Answer::Failed));
    }),
    place("eq of a key", |world, trap| {
        keyed(world, trap, "eq", Custom::answering(trap, "", Answer::Failed));
    }),
    place("drop of a key", |world, trap| {
        keyed(world, trap, "drop", Custom::answering(trap, "", Answer::Failed));
    }),
    roomy("write downstream of a retry by key", |world, trap| {
        keyed(world, trap, "", Custom::answering(trap, "write", Answer::Failed));
    }),
    roomy("second write downstream of a retry by key", |world, trap| {
        let calls = std::sync::atomic::AtomicU32::new(0);
        let spring = trap.clone();
        let inner = sink_fn(move |_: &Event| {
            if calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                return Err("no route");
            }
            spring.spring();
            Ok(())
        });
        let policy = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        let retry =
            Arc::new(inner.retry_by_key(|event: &Event| event.key, policy).clock(ManualClock::hurrying()));
        world.own(&retry);
        world.add(&world.solo, retry.clone());
        drop(retry.write(Event::plain()));
        drop(retry.close_by(Deadline::after(LIMIT)));
    }),
    roomy("close downstream of a retry by key", |world, trap| {
        keyed(world, trap, "", Custom::answering(trap, "close", Answer::Failed));
    }),
];
