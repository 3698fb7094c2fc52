//! Faults on a bus: panics, errors, closed sinks, and handlers that change their own bus. No other
//! sink is affected.

use buslane::bus::SinkFailure;
use buslane::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use buslane::stats::Disposition;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Overflow, Queue, Sink, SinkExt, WaitStrategy, WriteError, noop, sink_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use test_support::bus::{Closable, Route, assert_books, flush_bus, ledger, lost, recorder, sink, took};
use test_support::{GUARD, Log, ends, wait_for};

/// Returns a direct sink that always reports `Closed`, and the number of its calls.
fn closed_sink() -> (Arc<AtomicUsize>, impl Sink<u32> + 'static) {
    struct ClosedSink(Arc<AtomicUsize>);
    impl Sink<u32> for ClosedSink {
        fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(WriteError::Closed(event))
        }
    }
    let asked = Arc::new(AtomicUsize::new(0));
    (asked.clone(), ClosedSink(asked))
}

#[test]
fn closed_sink_is_purged_and_the_rest_lose_nothing() {
    for which in 0..3 {
        let bus = Bus::new();
        let (asked, closed) = closed_sink();
        bus.add_named("closed", closed).unwrap();
        let (first, one) = recorder();
        let (second, other) = recorder();
        let mut receiver = bus.subscribe_lossy(8).unwrap();
        bus.add(one).unwrap();
        bus.add(other).unwrap();
        let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
        assert_eq!(route.publish(1), Ok(took(3, 1)));
        assert_eq!(bus.sink_count(), 3, "a closed sink is no longer counted");
        assert_eq!(route.publish(2), Ok(took(3, 0)), "{}: the closed sink is not called again", route.name());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_books(&bus);
        assert_eq!(bus.snapshot().sinks.len(), 3, "purged");
        assert_eq!(route.publish(3), Ok(took(3, 0)));
        for seen in [first.entries(), second.entries(), receiver.drain().collect()] {
            assert_eq!(seen, [1, 2, 3], "{}", route.name());
        }
    }
}

#[test]
fn closed_channel_or_queue_costs_others_no_event() {
    for which in 0..3 {
        for filtered in [false, true] {
            let bus = Bus::new();
            let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
            let (channel, gone) = Channel::lossy(8).unwrap();
            let queue = Queue::builder().spawn(|_: u32| {}).unwrap();
            if filtered {
                bus.add(channel.filter(|_: &u32| true)).unwrap();
                bus.add(queue.clone().filter(|_: &u32| true)).unwrap();
            } else {
                bus.add(channel).unwrap();
                bus.add(queue.clone()).unwrap();
            }
            let mut receivers = [bus.subscribe_lossy(8).unwrap(), bus.subscribe_lossy(8).unwrap()];
            assert_eq!(route.publish(1), Ok(took(4, 0)));
            drop(gone);
            assert!(queue.close().is_done());
            assert_eq!(route.publish(2), Ok(took(2, 2)), "{}", route.name());
            assert_eq!(route.publish(3), Ok(took(2, 0)), "{}", route.name());
            assert_eq!(bus.snapshot().sinks.len(), 2);
            assert_eq!(route.publish(4), Ok(took(2, 0)));
            for receiver in &mut receivers {
                assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2, 3, 4]);
            }
            assert_books(&bus);
        }
    }
}

#[test]
fn a_panic_in_a_direct_sink_costs_that_sink_one_event() {
    let failures = Log::new();
    let hook = failures.clone();
    let bus = Bus::builder().on_error(move |failure: &SinkFailure| hook.push(failure.clone())).build();
    let (called, direct) = recorder();
    let id = bus.add_named("panics", sink_fn(|n: &u32| assert!(*n != 1, "not {n}"))).unwrap();
    bus.add_named("calm", direct).unwrap();
    for route in &mut Route::all(&bus) {
        for event in 0..3 {
            let told = if event == 1 { lost(1, 1, 0) } else { took(2, 0) };
            assert_eq!(route.publish(event), Ok(told), "{}", route.name());
        }
    }
    assert_eq!(called.entries(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    let panicked = ledger(&bus, "panics");
    assert_eq!((panicked.offered, panicked.delivered, panicked.dropped.panicked), (9, 6, 3));
    assert_eq!(sink(&bus, "panics").state.last_error.as_deref(), Some("the sink panicked: not 1"));
    let failures = failures.entries();
    assert_eq!(failures.len(), 3);
    assert!(failures.iter().all(|failure| failure.id == id && failure.name == "panics"));
    assert_eq!(failures[0].to_string(), "panics: the sink panicked: not 1");
    assert_books(&bus);
}

#[test]
fn failing_sink_refuses_and_calls_a_panicking_hook() {
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let bus = Bus::builder()
        .on_error(move |failure: &SinkFailure| {
            count.fetch_add(1, Ordering::Relaxed);
            panic!("panic in the hook: {failure}");
        })
        .build();
    bus.add_named("fails", sink_fn(|_: &u32| Err::<(), _>("no space"))).unwrap();
    let (called, direct) = recorder();
    bus.add(direct).unwrap();
    for route in &mut Route::all(&bus) {
        assert_eq!(route.publish(1), Ok(took(1, 1)), "{}", route.name());
    }
    assert_eq!((told.load(Ordering::Relaxed), called.entries().len()), (3, 3));
    let failed = ledger(&bus, "fails");
    assert_eq!((failed.offered, failed.accepted, failed.refused.failed), (3, 0, 3));
    assert_eq!(sink(&bus, "fails").state.last_error.as_deref(), Some("no space"));
    assert_eq!(bus.sink_count(), 2, "a failure closed the sink");
}

#[test]
fn panic_in_a_stage_or_handler_affects_no_other_sink() {
    let bus = Bus::new();
    let (filtered, mut behind_filter) = Channel::lossy(8).unwrap();
    let (mapped, mut behind_map) = Channel::lossy(8).unwrap();
    let handled = Log::new();
    let log = handled.clone();
    let on_one = |event: &u32| assert!(*event != 1, "one");
    let filter = filtered.filter(move |event: &u32| {
        on_one(event);
        true
    });
    let map = mapped.map(move |event: &u32| {
        on_one(event);
        *event
    });
    let queue = Queue::builder().spawn(move |event: u32| {
        on_one(&event);
        log.push(event);
    });
    bus.add_named("filter", filter).unwrap();
    bus.add_named("map", map).unwrap();
    bus.add_named("queue", queue.unwrap()).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..3 {
        // The handler panics later, on its worker.
        let told = if event == 1 { lost(1, 2, 0) } else { took(3, 0) };
        assert_eq!(publisher.publish(event), Ok(told));
    }
    let seen = [behind_filter.drain().collect::<Vec<_>>(), behind_map.drain().collect()];
    flush_bus(&bus);
    assert_eq!((seen, handled.entries()), ([vec![0, 2], vec![0, 2]], vec![0, 2]));
    for name in ["filter", "map", "queue"] {
        assert_eq!(ledger(&bus, name).dropped.panicked, 1, "{name}");
    }
}

/// An event whose clone panics once a countdown ends.
struct Fragile(u32, Arc<AtomicUsize>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(self.1.fetch_sub(1, Ordering::Relaxed) != 1, "panic in the clone");
        Self(self.0, self.1.clone())
    }
}

#[test]
fn panicking_clone_leaves_earlier_sinks_their_event() {
    // One sink of each kind, in the order in which a publisher serves them. The clone for sink `at`
    // panics.
    for at in 0..4 {
        for batch in [false, true] {
            let bus: Bus<Fragile> = Bus::new();
            let mut seen = Vec::new();
            let park = || Queue::builder().wait_strategy(WaitStrategy::Park).capacity(8);
            for name in ["fast", "another", "staged", "direct"] {
                let (sender, handled) = mpsc::channel();
                seen.push(handled);
                match name {
                    "direct" => {
                        bus.add_named(name, sink_fn(move |event: &Fragile| sender.send(event.0))).unwrap()
                    }
                    "staged" => {
                        let queue = park().spawn(move |event: Fragile| sender.send(event.0)).unwrap();
                        bus.add_named(name, queue.filter(|_: &Fragile| true)).unwrap()
                    }
                    _ => bus
                        .add_named(name, park().spawn(move |event: Fragile| sender.send(event.0)).unwrap())
                        .unwrap(),
                };
            }
            bus.add_named("last", noop()).unwrap();
            let clones = Arc::new(AtomicUsize::new(at + 1));
            let mut publisher = bus.publisher();
            let event = Fragile(1, clones.clone());
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                if batch {
                    let _ = publisher.publish_batch(&[event]);
                } else {
                    let _ = publisher.publish(event);
                }
            }));
            assert!(unwound.is_err(), "clone {at}");
            // Each consumer whose lane got the event is parked without a timeout of its own, and
            // has to be woken.
            for handled in &seen[..at] {
                assert_eq!(handled.recv_timeout(GUARD), Ok(1), "clone {at}, batch {batch}");
            }
            clones.store(usize::MAX, Ordering::Relaxed);
            assert!(publisher.publish(Fragile(2, clones)).is_ok_and(|published| published == took(5, 0)));
            for handled in &seen {
                assert_eq!(
                    handled.recv_timeout(GUARD),
                    Ok(2),
                    "delivered exactly once, clone {at}, batch {batch}"
                );
            }
            flush_bus(&bus);
            assert_books(&bus);
        }
    }
}

#[test]
fn panicking_clone_in_shared_publish_frees_the_list() {
    let bus: Bus<Fragile> = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let id = bus.add(noop()).unwrap();
    let clones = Arc::new(AtomicUsize::new(1));
    let unwound = catch_unwind(AssertUnwindSafe(|| bus.publish(Fragile(1, clones.clone())).map(drop)));
    assert!(unwound.is_err() && receiver.is_empty());
    clones.store(usize::MAX, Ordering::Relaxed);
    let _ = bus.publish(Fragile(2, clones)).unwrap();
    assert_eq!(receiver.recv().map(|event| event.0), Ok(2));
    let removing = bus.clone();
    assert!(ends(move || removing.remove(id)).is_ok());
    assert_books(&bus);
}

#[test]
fn handler_may_publish_add_remove_and_close_its_bus() {
    for direct in [false, true] {
        for which in 0..3 {
            ends(move || {
                let (bus, steps) = (Bus::new(), Log::new());
                let (weak, log) = (bus.downgrade(), steps.clone());
                let turn = move |event: u32| {
                    let Some(bus) = weak.upgrade() else { return };
                    if event == 1 {
                        let (added, late) = recorder();
                        let id = bus.add(late).unwrap();
                        let _ = bus.publish(10).unwrap();
                        let _ = bus.publisher().publish(11).unwrap();
                        let _ = bus.with_local(|local| local.publish(12)).unwrap();
                        bus.remove(id).unwrap();
                        let _ = bus.publish(13).unwrap();
                        log.push(added.entries());
                        let _ = bus.close();
                        log.push(vec![u32::from(bus.is_closed())]);
                    }
                };
                if direct {
                    bus.add(sink_fn(move |event: &u32| turn(*event))).unwrap();
                } else {
                    bus.add(Queue::builder().overflow(Overflow::Block).spawn(turn).unwrap()).unwrap();
                }
                let _ = Route::all(&bus).into_iter().nth(which).unwrap().publish(1).unwrap();
                wait_for(|| steps.entries().len() == 2);
                assert_eq!(steps.entries(), [vec![10, 11, 12], vec![1]]);
                assert!(bus.close().is_done());
                assert_books(&bus);
            });
        }
    }
}

#[test]
fn publish_to_own_full_queue_is_refused_at_once() {
    ends(|| {
        let (bus, results) = (Bus::new(), Log::new());
        let (weak, log) = (bus.downgrade(), results.clone());
        let queue = Queue::builder().capacity(2).overflow(Overflow::Block).spawn(move |event: u32| {
            let Some(bus) = weak.upgrade().filter(|_| event == 0) else { return };
            for mut route in Route::all(&bus) {
                // The event that is being handled still occupies a slot, in the lane from which it
                // came.
                let refused: u32 = (1..=3).map(|event| route.publish(event).unwrap().refused).sum();
                log.push((route.name(), refused));
            }
        });
        bus.add(queue.unwrap()).unwrap();
        let mut publisher = bus.publisher();
        let _ = publisher.publish(0).unwrap();
        wait_for(|| results.entries().len() == 3);
        assert_eq!(results.entries(), [("publisher", 1), ("shared", 1), ("local", 1)]);
        flush_bus(&bus);
        assert_books(&bus);
    });
}

#[test]
fn panicking_user_lane_does_not_stop_the_publish() {
    struct Panicking(Lane<u32>);
    impl LaneWrite<u32> for Panicking {
        fn inner(&self) -> Option<&dyn InnerLane> {
            Some(&self.0)
        }

        fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
            Some(&mut self.0)
        }
        fn offer(&mut self, event: u32, deadline: Deadline) -> Result<Disposition, WriteError<u32>> {
            assert!(event != 1, "one");
            self.0.offer(event, deadline)
        }
    }
    struct Foreign(Channel<u32>);
    impl Sink<u32> for Foreign {
        fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
            assert!(event != 1, "one");
            self.0.write(event)
        }
        fn make_lane(&self, _: Internal) -> Result<Option<Lane<u32>>, buslane::error::OutOfMemory> {
            Ok(self.0.lane()?.map(|inner| Lane::staged(Panicking(inner))))
        }
        fn makes_lanes(&self, _: Internal) -> bool {
            true
        }
    }
    for which in 0..3 {
        let bus = Bus::new();
        let (channel, mut receiver) = Channel::lossy(8).unwrap();
        bus.add(Foreign(channel)).unwrap();
        let (called, direct) = recorder();
        bus.add(direct).unwrap();
        let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
        let caught =
            catch_unwind(AssertUnwindSafe(|| (0..3).map(|event| route.publish(event).is_ok()).count()));
        assert!(caught.is_ok(), "{}: a panic of user code reached the caller", route.name());
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(called.entries(), [0, 1, 2]);
    }
}

#[test]
fn blocked_direct_sink_delays_no_other_publisher() {
    let bus = Bus::new();
    let (entered, inside) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    bus.add(sink_fn(move |event: &u32| {
        if *event == 0 {
            entered.send(()).unwrap();
            released.lock().unwrap().recv_timeout(GUARD).unwrap();
        }
    }))
    .unwrap();
    let mut receiver = bus.subscribe_lossy(64).unwrap();
    let mut stuck = bus.publisher();
    let held = thread::spawn(move || stuck.publish(0).unwrap());
    inside.recv_timeout(GUARD).unwrap();
    for mut route in Route::all(&bus) {
        assert_eq!(route.publish(1), Ok(took(2, 0)));
    }
    // Nor does the sink delay the control plane.
    let id = bus.add(Closable::new(|_: &u32| (), || {})).unwrap();
    assert!(bus.remove_timeout(id, GUARD).is_ok());
    assert_eq!(bus.snapshot().sinks.len(), 2);
    release.send(()).unwrap();
    assert_eq!(held.join().unwrap(), took(2, 0));
    assert_eq!(receiver.drain().count(), 4);
}
