//! Attachments: guards that remove their sink when they are dropped.

use buslane::bus::{Attachment, Removed};
use buslane::error::{AddError, RemoveError};
use buslane::testing::{Collect, Gate};
use buslane::{Bus, Sink, WriteError, noop, sink_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use test_support::{Drops, GUARD, lock, wait_for};

/// The upper bound for a drop that must not wait, with slack for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

#[test]
fn drop_removes_the_sink() {
    let (bus, seen) = (Bus::new(), Collect::new());
    let attached = bus.attach_named("seen", seen.clone()).unwrap();
    assert_eq!(bus.snapshot().sink("seen").unwrap().id, attached.id());
    let _ = bus.publish(1).unwrap();
    drop(attached);
    let _ = bus.publish(2).unwrap();
    assert_eq!((seen.events(), bus.has_sinks()), (vec![1], false));
}

#[test]
fn drop_runs_the_destructor_of_the_sink() {
    let (bus, drops) = (Bus::<u32>::new(), Drops::default());
    let kept = drops.track(1);
    let attached = bus
        .attach(sink_fn(move |_: &u32| {
            std::hint::black_box(&kept);
        }))
        .unwrap();
    assert!(drops.ids().is_empty());
    drop(attached);
    assert_eq!(drops.ids(), [1]);
}

#[test]
fn location_is_that_of_the_caller() {
    let bus = Bus::<u32>::new();
    let (line, _attached) = (line!(), bus.attach(noop()).unwrap());
    assert_eq!(bus.snapshot().sinks[0].location.line(), line);
}

#[test]
fn detach_keeps_the_sink() {
    let bus = Bus::<u32>::new();
    let id = bus.attach(noop()).unwrap().detach();
    assert!(bus.has_sinks());
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
}

#[test]
fn remove_reports_its_outcome_once() {
    let bus = Bus::<u32>::new();
    assert_eq!(bus.attach(noop()).unwrap().remove(), Ok(Removed::Quiet));
    let attached = bus.attach(noop()).unwrap();
    bus.remove(attached.id()).unwrap();
    assert_eq!(attached.remove(), Err(RemoveError::Unknown));
}

#[test]
fn guard_outlives_its_bus() {
    let bus = Bus::<u32>::new();
    let (one, other) = (bus.attach(noop()).unwrap(), bus.attach(noop()).unwrap());
    assert!(bus.close().is_done());
    drop(one);
    drop(bus);
    assert_eq!(other.remove_timeout(GUARD), Err(RemoveError::Unknown));
    let closed = Bus::<u32>::new();
    assert!(closed.close().is_done());
    assert_eq!(closed.attach(noop()).map(Attachment::detach), Err(AddError::Closed));
}

#[test]
fn guard_does_not_keep_the_bus_open() {
    let (bus, seen) = (Bus::<u32>::new(), Collect::new());
    let attached = bus.attach(seen.clone()).unwrap();
    let weak = bus.downgrade();
    drop(bus);
    assert!(weak.upgrade().is_none());
    drop(attached);
}

#[test]
fn first_of_two_guards_removes_the_sink() {
    let (bus, sink) = (Bus::<u32>::new(), Arc::new(noop()));
    let (one, other) = (bus.attach(sink.clone()).unwrap(), bus.attach(sink).unwrap());
    assert_eq!(one.id(), other.id());
    drop(one);
    assert!(!bus.has_sinks());
    drop(other);
}

/// A sink that drops its own guard in its first delivery.
struct SelfRemoving(Mutex<Option<Attachment<u32>>>, Collect<u32>);

impl Sink<u32> for SelfRemoving {
    fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
        drop(lock(&self.0).take());
        self.1.write(event)
    }
}

#[test]
fn drop_inside_its_own_delivery_does_not_wait() {
    for shared in [true, false] {
        let (bus, seen) = (Bus::new(), Collect::new());
        let mut publisher = bus.publisher();
        let sink = Arc::new(SelfRemoving(Mutex::new(None), seen.clone()));
        *lock(&sink.0) = Some(bus.attach(sink.clone()).unwrap());
        let begun = Instant::now();
        for n in 0..3 {
            if shared { bus.publish(n).map(drop) } else { publisher.publish(n).map(drop) }.unwrap();
        }
        assert!(begun.elapsed() < AT_ONCE);
        assert_eq!((seen.events(), bus.has_sinks()), (vec![0], false));
    }
}

#[test]
fn drop_while_unwinding_does_not_wait_for_a_call() {
    let (bus, gate) = (Bus::new(), Gate::closed());
    let held = gate.clone();
    let attached = bus.attach(sink_fn(move |_: &u32| held.pass())).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| bus.publish(1));
        gate.wait_reached(1);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _attached = attached;
            panic!("panic requested by the test");
        }));
        // The call is still in progress.
        assert!(unwound.is_err() && !bus.has_sinks());
        gate.open();
    });
    wait_for(|| bus.snapshot().sinks.is_empty());
}

#[test]
fn drop_waits_at_most_half_a_second_for_a_call() {
    let (bus, gate) = (Bus::new(), Gate::closed());
    let held = gate.clone();
    let attached = bus.attach(sink_fn(move |_: &u32| held.pass())).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| bus.publish(1));
        gate.wait_reached(1);
        let begun = Instant::now();
        drop(attached);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(500) && took < AT_ONCE, "{took:?}");
        assert!(!bus.has_sinks());
        gate.open();
    });
}
