//! Removing a sink: what the removal guarantees about calls in progress, which events still enter
//! and are handled, and what is dropped.

mod entry_paths;
mod leftover_calls;
mod waits;

use buslane::bus::Removed;
use buslane::error::{RecvError, RemoveError};
use buslane::stats::{DropReason, SinkStatus};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Overflow, Queue, Sink, SinkExt, SinkId, WriteError, noop, sink_fn};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;
use test_support::bus::{Route, assert_books, flush_bus, gated, recorder, took};
use test_support::{Drops, GUARD, Log, Tracked, assert_balanced, ends, wait_for};

const SHORT: Duration = Duration::from_millis(20);

/// A sink whose drop is recorded.
struct Kept(#[expect(dead_code, reason = "only its drop matters")] Tracked);

impl Sink<u32> for Kept {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        Ok(())
    }
}

#[test]
fn unknown_id_and_second_removal_are_errors() {
    let (bus, other) = (Bus::<u32>::new(), Bus::<u32>::new());
    let id = bus.add(noop()).unwrap();
    let _first = other.add(noop()).unwrap();
    let foreign = other.add(noop()).unwrap();
    assert_eq!(bus.remove(foreign), Err(RemoveError::Unknown));
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    assert_eq!(bus.remove(id), Err(RemoveError::Unknown));
    assert_eq!(bus.remove_timeout(id, Duration::ZERO), Err(RemoveError::Unknown));
    let id = bus.add(noop()).unwrap();
    assert!(bus.close().is_done());
    assert_eq!(bus.remove(id), Err(RemoveError::Unknown));
}

#[test]
fn removed_sink_handles_only_accepted_events() {
    for which in 0..3 {
        let bus = Bus::new();
        let (gate, handled) = (Gate::closed(), Log::new());
        let (at, log) = (gate.clone(), handled.clone());
        let queue = Queue::builder().spawn(move |event: u32| {
            at.pass();
            log.push(event);
        });
        let queue = queue.unwrap();
        let (channel, mut receiver) = Channel::lossy(8).unwrap();
        let (called, direct) = recorder();
        let direct = Arc::new(direct);
        let ids = [
            bus.add(queue.clone()).unwrap(),
            bus.add(channel.clone()).unwrap(),
            bus.add(channel.clone().filter(|_: &u32| true)).unwrap(),
            bus.add(direct.clone()).unwrap(),
        ];
        let mut kept = bus.subscribe_lossy(8).unwrap();
        let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
        let mut idle = Route::all(&bus).into_iter().nth(which).unwrap();
        assert_eq!(route.publish(1), Ok(took(5, 0)));
        for id in ids {
            assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        }
        assert_eq!(route.publish(2), Ok(took(1, 0)), "{}", route.name());
        assert_eq!(idle.publish(3), Ok(took(1, 0)), "{}", idle.name());
        gate.open();
        assert!(queue.flush_timeout(GUARD).is_done());
        assert_eq!(handled.entries(), [1]);
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 1]);
        assert_eq!(called.entries(), [1]);
        let mut seen: Vec<u32> = kept.drain().collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3]);
        assert_eq!(assert_balanced(&queue.state()).delivered, 1);
        assert_balanced(&channel.state());
        // The queue is not closed: it serves its other writers, and can be added again.
        queue.write(4).unwrap();
        let _again = bus.add(queue.clone()).unwrap();
        assert_eq!(route.publish(5), Ok(took(2, 0)));
        assert!(queue.flush_timeout(GUARD).is_done());
        assert_eq!(handled.entries(), [1, 4, 5]);
    }
}

#[test]
fn direct_sink_removing_itself_does_not_wait() {
    for which in 0..3 {
        let removed = ends(move || {
            let (bus, drops) = (Bus::new(), Drops::default());
            let (weak, id) = (bus.downgrade(), Arc::new(OnceLock::<SinkId>::new()));
            let (known, tracked) = (id.clone(), drops.track(1));
            let removed = Log::new();
            let log = removed.clone();
            let sink = sink_fn(move |event: &u32| {
                let _owned = &tracked;
                log.push((*event, weak.upgrade().unwrap().remove(*known.get().unwrap())));
            });
            id.set(bus.add(sink).unwrap()).unwrap();
            let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
            assert_eq!(route.publish(1), Ok(took(1, 0)));
            assert_eq!(route.publish(2), Ok(took(0, 0)));
            assert_eq!(bus.snapshot().sinks.len(), 0);
            assert_eq!(drops.ids(), [1], "the next control call drops the sink, also with an idle publisher");
            removed.entries()
        });
        assert_eq!(removed, [(1, Ok(Removed::FromInside))]);
    }
}

#[test]
fn sinks_removing_each_other_do_not_deadlock() {
    let removed = ends(|| {
        let bus = Bus::new();
        let ids = Arc::new([OnceLock::<SinkId>::new(), OnceLock::<SinkId>::new()]);
        let (gate, removed) = (Gate::closed(), Log::new());
        for (own, other) in [(0, 1), (1, 0)] {
            let (weak, known, at, log) = (bus.downgrade(), ids.clone(), gate.clone(), removed.clone());
            let sink = sink_fn(move |event: &usize| {
                if *event == own {
                    at.pass();
                    log.push(weak.upgrade().unwrap().remove(*known[other].get().unwrap()));
                }
            });
            ids[own].set(bus.add(sink).unwrap()).unwrap();
        }
        let threads: Vec<_> = [0, 1]
            .map(|event| {
                let mut publisher = bus.publisher();
                thread::spawn(move || publisher.publish(event).unwrap())
            })
            .into();
        gate.wait_reached(2);
        gate.open();
        threads.into_iter().for_each(|it| assert!(it.join().unwrap().accepted > 0));
        assert_eq!(bus.sink_count(), 0);
        removed.entries()
    });
    assert_eq!(removed, [Ok(Removed::FromInside), Ok(Removed::FromInside)]);
}

#[test]
fn handler_removing_its_queue_gets_accepted_events() {
    let (bus, id, log) = (Bus::new(), Arc::new(OnceLock::<SinkId>::new()), Log::new());
    let (weak, known, handled) = (bus.downgrade(), id.clone(), log.clone());
    let queue = Queue::builder().spawn(move |event: u32| {
        let removed = weak.upgrade().map(|bus| bus.remove(*known.wait()));
        handled.push((event, removed));
    });
    let queue = queue.unwrap();
    let added = bus.add(queue.clone()).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish_batch([1, 2]), Ok(took(2, 0)));
    id.set(added).unwrap();
    wait_for(|| log.entries().len() == 2);
    let seen = [(1, Some(Ok(Removed::FromInside))), (2, Some(Err(RemoveError::Unknown)))];
    assert_eq!(log.entries(), seen);
    assert_eq!(publisher.publish(3), Ok(took(0, 0)));
    assert_eq!(queue.state().status, SinkStatus::Open);
}

#[test]
fn a_removal_waits_for_the_call_in_progress() {
    for which in 0..3 {
        let (bus, gate) = (Bus::new(), Gate::closed());
        let (called, direct) = gated(&gate);
        let id = bus.add(direct).unwrap();
        let publishing = bus.clone();
        let publisher = thread::spawn(move || {
            Route::all(&publishing).into_iter().nth(which).unwrap().publish(1).unwrap()
        });
        gate.wait_reached(1);
        let (removing, log) = (bus.clone(), called.clone());
        let remover = thread::spawn(move || (removing.remove(id), log.entries()));
        wait_for(|| bus.sink_count() == 0);
        assert!(!remover.is_finished(), "the removal waits for the call in progress");
        gate.open();
        assert_eq!(remover.join().unwrap(), (Ok(Removed::Quiet), vec![1]));
        assert_eq!(publisher.join().unwrap(), took(1, 0));
    }
}

#[test]
fn limited_removal_reports_a_call_in_progress() {
    for which in 0..3 {
        let (bus, gate, drops) = (Bus::new(), Gate::closed(), Drops::default());
        let (called, tracked, at) = (Log::new(), drops.track(1), gate.clone());
        let log = called.clone();
        let direct = sink_fn(move |event: &u32| {
            let _owned = &tracked;
            at.pass();
            log.push(*event);
        });
        let id = bus.add(direct).unwrap();
        let mut other = bus.publisher();
        let publishing = bus.clone();
        let publisher = thread::spawn(move || {
            Route::all(&publishing).into_iter().nth(which).unwrap().publish(1).unwrap()
        });
        gate.wait_reached(1);
        assert_eq!(bus.remove_timeout(id, SHORT), Ok(Removed::StillInside));
        assert_eq!(bus.remove_timeout(id, Duration::ZERO), Err(RemoveError::Unknown));
        assert_eq!(other.publish(2), Ok(took(0, 0)));
        assert_eq!(bus.publish(3), Ok(took(0, 0)));
        assert_eq!(drops.ids(), [0; 0], "a sink in use is not dropped");
        gate.open();
        assert_eq!(publisher.join().unwrap(), took(1, 0));
        assert_eq!(called.entries(), [1]);
        assert_eq!(bus.snapshot().sinks.len(), 0);
        assert_eq!(drops.ids(), [1], "the next control call drops the sink");
    }
}

#[test]
fn removal_keeps_out_a_publish_begun_before() {
    // An earlier sink holds up the publish, so that it reaches the removed sink after the removal
    // returned.
    type Build = fn() -> (Box<dyn Sink<u32>>, Channel<u32>, buslane::Receiver<u32>);
    fn of(builder: buslane::channel::ChannelBuilder<u32>) -> (Channel<u32>, buslane::Receiver<u32>) {
        builder.build().unwrap()
    }
    let builds: [(&str, Build); 4] = [
        ("evicting", || {
            let (channel, receiver) = of(Channel::builder().overflow(Overflow::DropOldest));
            (Box::new(channel.clone()), channel, receiver)
        }),
        ("filtered", || {
            let (channel, receiver) = of(Channel::builder());
            (Box::new(channel.clone().filter(|_: &u32| true)), channel, receiver)
        }),
        ("unbounded", || {
            let (channel, receiver) = of(Channel::builder().unbounded());
            (Box::new(channel.clone()), channel, receiver)
        }),
        ("unbounded, filtered", || {
            let (channel, receiver) = of(Channel::builder().unbounded());
            (Box::new(channel.clone().filter(|_: &u32| true)), channel, receiver)
        }),
    ];
    for (what, build) in builds {
        let (bus, gate) = (Bus::new(), Gate::closed());
        let at = gate.clone();
        let (before, _held) = Channel::lossy(8).unwrap();
        bus.add(before.filter(move |_: &u32| {
            at.pass();
            true
        }))
        .unwrap();
        let (sink, channel, _receiver) = build();
        let id = bus.add(sink).unwrap();
        let mut publisher = bus.publisher();
        let publisher = thread::spawn(move || publisher.publish(1).unwrap());
        gate.wait_reached(1);
        assert_eq!(bus.remove_timeout(id, GUARD), Ok(Removed::Quiet), "{what}: no call is in progress");
        gate.open();
        let _ = publisher.join().unwrap();
        assert_eq!(channel.state().depth, 0, "{what}: an event entered after the removal");
        assert_balanced(&channel.state());
    }
}

#[test]
fn a_removal_waits_for_the_predicate_in_progress() {
    for which in 0..3 {
        let (bus, gate) = (Bus::new(), Gate::closed());
        let (at, asked) = (gate.clone(), Log::new());
        let log = asked.clone();
        let (channel, _receiver) = Channel::lossy(8).unwrap();
        let filter = channel.filter(move |event: &u32| {
            at.pass();
            log.push(*event);
            true
        });
        let id = bus.add(filter).unwrap();
        let publishing = bus.clone();
        let publisher = thread::spawn(move || {
            let _ = Route::all(&publishing).into_iter().nth(which).unwrap().publish(1);
        });
        gate.wait_reached(1);
        assert_eq!(bus.remove_timeout(id, SHORT), Ok(Removed::StillInside));
        gate.open();
        publisher.join().unwrap();
        assert_eq!(asked.entries(), [1]);
    }
}

#[test]
fn removal_in_predicate_or_hook_does_not_wait() {
    for which in 0..3 {
        ends(move || {
            let (bus, ids) = (Bus::<u32>::new(), Arc::new(OnceLock::<[SinkId; 2]>::new()));
            let remove = |index: usize| {
                let (weak, known) = (bus.downgrade(), ids.clone());
                move || weak.upgrade().unwrap().remove(known.get().unwrap()[index])
            };
            let (in_filter, in_hook) = (remove(0), remove(1));
            let removed = Log::new();
            let (log, hooked) = (removed.clone(), removed.clone());
            let (filtered, _receiver) = Channel::lossy(8).unwrap();
            let (full, _other) = Channel::builder()
                .capacity(1)
                .on_drop(move |_, reason| hooked.push((reason == DropReason::Full, in_hook())))
                .build()
                .unwrap();
            let filter = filtered.filter(move |_: &u32| {
                log.push((false, in_filter()));
                true
            });
            ids.set([bus.add(filter).unwrap(), bus.add(full).unwrap()]).unwrap();
            let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
            let _ = route.publish(1).unwrap();
            let _ = route.publish(2).unwrap();
            assert_eq!(route.publish(3), Ok(took(0, 0)));
            assert_eq!(removed.entries().len(), 2);
            assert!(removed.entries().iter().all(|(_, removed)| removed.is_ok()));
        });
    }
}

#[test]
fn removed_sink_is_dropped_despite_an_idle_publisher() {
    let (bus, drops) = (Bus::new(), Drops::default());
    let mut idle = bus.publisher();
    let id = bus.add(Kept(drops.track(1))).unwrap();
    let _ = idle.publish(1).unwrap();
    let other = bus.add(Kept(drops.track(2))).unwrap();
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    assert_eq!(drops.ids(), [1]);
    assert_eq!(bus.remove(other), Ok(Removed::Quiet), "the idle publisher never saw this sink");
    assert_eq!(drops.ids(), [1, 2]);
    assert_eq!(idle.publish(2), Ok(took(0, 0)));
}

#[test]
fn removal_drains_and_closes_a_queue_owned_by_the_bus() {
    let (bus, (sender, handled)) = (Bus::new(), mpsc::channel());
    let id = bus.add(Queue::builder().spawn(move |event: u32| sender.send(event)).unwrap()).unwrap();
    let mut idle = bus.publisher();
    let _ = idle.publish_batch([1, 2, 3]).unwrap();
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    assert_eq!(
        ends(move || handled.iter().collect::<Vec<_>>()),
        [1, 2, 3],
        "the worker ends after the last event"
    );
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let id = bus.snapshot().sinks[0].id;
    let _ = idle.publish(4).unwrap();
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    assert_eq!(receiver.recv(), Ok(4));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
}

#[test]
fn removal_releases_a_publisher_blocked_on_the_sink() {
    let bus = Bus::new();
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    let mut other = bus.subscribe_lossy(8).unwrap();
    let ids = [bus.add(channel.clone()).unwrap(), bus.add(channel.filter(|_: &u32| true)).unwrap()];
    let mut publisher = bus.publisher();
    let publishing = thread::spawn(move || [publisher.publish(1).unwrap(), publisher.publish(2).unwrap()]);
    assert_eq!((other.recv(), other.recv()), (Ok(1), Ok(2)));
    assert_eq!(bus.remove(ids[1]), Ok(Removed::Quiet));
    assert_eq!(bus.remove(ids[0]), Ok(Removed::Quiet));
    assert_eq!(publishing.join().unwrap(), [took(3, 0), took(1, 2)]);
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 1]);
    flush_bus(&bus);
    assert_books(&bus);
}
