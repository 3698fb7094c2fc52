//! Fan-out of a bus: which sink gets which event, the order, the names of sinks, and what keeps the
//! bus open.

use buslane::bus::Removed;
use buslane::error::{AddError, ConfigErrorKind, RecvError, TryRecvError};
use buslane::{Bus, Channel, Published, Queue, Sink, SinkExt, noop, sink_fn};
use std::collections::HashSet;
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use test_support::bus::{Route, assert_books, flush_bus, recorder, took};
use test_support::{Log, ends, invalid};

/// Returns a queue, and the log of the events that its handler handled.
fn logging_queue() -> (Log<u64>, Queue<u64>) {
    let log = Log::new();
    let handled = log.clone();
    (log, Queue::builder().spawn(move |event| handled.push(event)).unwrap())
}

#[test]
fn every_publish_path_delivers_once_to_each_sink() {
    let bus = Bus::new();
    let mut routes = Route::all(&bus);
    let (handled, queue) = logging_queue();
    let (behind_filter, filtered) = logging_queue();
    let (behind_map, mapped) = logging_queue();
    let (called, direct) = recorder();
    let (called_behind_filter, filtered_direct) = recorder();
    let inner = Bus::new();
    let mut nested = inner.subscribe_lossy(64).unwrap();
    bus.add(queue).unwrap();
    bus.add(filtered.filter(|event: &u64| event % 2 == 1)).unwrap();
    bus.add(mapped.map(|event: &u64| event + 100)).unwrap();
    bus.add(direct).unwrap();
    bus.add(filtered_direct.filter(|event: &u64| event.is_multiple_of(2))).unwrap();
    bus.add(inner).unwrap();
    let mut late = Route::all(&bus);
    for (event, route) in (0..).zip(routes.iter_mut().chain(&mut late)) {
        assert_eq!(route.publish(event), Ok(took(6, 0)), "{}", route.name());
    }
    // The reader of a channel has to drain it for a flush to end.
    assert_eq!(nested.drain().collect::<HashSet<_>>(), (0..6).collect());
    flush_bus(&bus);
    assert_eq!(called.entries(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(called_behind_filter.entries(), [0, 2, 4]);
    let sorted = |log: &Log<u64>| {
        let mut entries = log.entries();
        entries.sort_unstable();
        entries
    };
    assert_eq!(sorted(&handled), [0, 1, 2, 3, 4, 5]);
    assert_eq!(sorted(&behind_filter), [1, 3, 5]);
    assert_eq!(sorted(&behind_map), [100, 101, 102, 103, 104, 105]);
    assert_books(&bus);
}

#[test]
fn each_sink_sees_a_publishers_events_in_order() {
    let bus = Bus::new();
    let (handled, queue) = logging_queue();
    let (called, direct) = recorder();
    let mut receiver = bus.subscribe_lossy(256).unwrap();
    bus.add(queue).unwrap();
    bus.add(direct).unwrap();
    let mut routes = Route::all(&bus);
    for turn in 0..20 {
        for (source, route) in (0..).zip(&mut routes) {
            let _ = route.publish(source * 100 + turn).unwrap();
        }
    }
    let read = receiver.drain().collect();
    flush_bus(&bus);
    for seen in [handled.entries(), called.entries(), read] {
        assert_eq!(seen.len(), 60);
        for source in 0..3 {
            let of_one: Vec<u64> = seen.iter().copied().filter(|event| event / 100 == source).collect();
            assert_eq!(of_one, (source * 100..source * 100 + 20).collect::<Vec<_>>());
        }
    }
}

#[test]
fn lanes_are_filled_before_direct_sinks_are_called() {
    let bus = Bus::new();
    let (channel, mut receiver) = Channel::lossy(8).unwrap();
    let (sender, seen) = mpsc::channel();
    let (at_call, state) = (channel.clone(), sender);
    bus.add(sink_fn(move |_: &u32| state.send(at_call.state().depth).unwrap())).unwrap();
    bus.add(channel.clone()).unwrap();
    bus.add(channel.filter(|_: &u32| true)).unwrap();
    let _ = bus.publisher().publish(7).unwrap();
    assert_eq!(seen.try_recv(), Ok(2), "the direct sink ran after both lanes had the event");
    let _ = bus.publisher().publish_batch([8, 9]).unwrap();
    assert_eq!(
        (seen.try_recv(), seen.try_recv()),
        (Ok(6), Ok(6)),
        "the direct sink ran after both lanes had the batch"
    );
    assert_eq!(receiver.drain().count(), 6);
}

#[test]
fn publish_after_add_reaches_the_sink_on_all_threads() {
    let bus: Bus<u64> = Bus::new();
    let (done, results) = mpsc::channel();
    let orders: Vec<_> = (0..3)
        .map(|which| {
            let (order, orders) = mpsc::channel::<u64>();
            let (bus, done) = (bus.clone(), done.clone());
            thread::spawn(move || {
                let [mut first, mut second, mut third] = Route::all(&bus);
                done.send(Ok(Published::default())).unwrap();
                for event in orders {
                    let route = [&mut first, &mut second, &mut third][which as usize % 3].publish(event);
                    done.send(route).unwrap();
                }
            });
            order
        })
        .collect();
    orders.iter().for_each(|_| assert!(results.recv().unwrap().is_ok()));
    let mut receivers = Vec::new();
    for sinks in 1..=20 {
        receivers.push(bus.subscribe_lossy(256).unwrap());
        for order in &orders {
            order.send(sinks).unwrap();
            assert_eq!(results.recv().unwrap(), Ok(took(sinks as usize, 0)));
        }
    }
    for (first, receiver) in (1..).zip(&mut receivers) {
        let seen: Vec<u64> = receiver.drain().collect();
        assert_eq!(seen.len() as u64, 3 * (21 - first));
        assert!(seen.iter().all(|event| *event >= first));
    }
}

#[test]
fn two_handles_to_one_sink_are_one_entry() {
    let bus: Bus<u32> = Bus::new();
    let mut publisher = bus.publisher();
    let (channel, _receiver) = Channel::lossy(8).unwrap();
    let queue = Queue::builder().spawn(|_: u32| {}).unwrap();
    let shared = Arc::new(noop::<u32>());
    let inner = Bus::new();
    let same: [[Box<dyn Sink<u32>>; 2]; 5] = [
        [Box::new(channel.clone()), Box::new(channel)],
        [Box::new(queue.clone()), Box::new(Arc::new(queue))],
        [Box::new(shared.clone()), Box::new(shared.clone())],
        [Box::new(shared.clone() as Arc<dyn Sink<u32>>), Box::new(Box::new(shared))],
        [Box::new(inner.clone()), Box::new(inner)],
    ];
    let ids: Vec<_> = same
        .into_iter()
        .map(|[first, second]| {
            let id = bus.add(first).unwrap();
            assert_eq!(bus.add_named("again", second), Ok(id));
            id
        })
        .collect();
    assert_eq!(ids[2], ids[3], "clones of an Arc have one identity, whatever their type");
    assert_eq!(bus.sink_count(), 4);
    assert!(bus.snapshot().sinks.iter().all(|sink| sink.name != "again"));
    assert_eq!(publisher.publish(1), Ok(took(4, 0)));
    assert_eq!(bus.publish(2), Ok(took(4, 0)));
}

#[test]
fn sinks_without_identity_are_entries_of_their_own() {
    let bus: Bus<u32> = Bus::new();
    let first = bus.add(noop()).unwrap();
    let second = bus.add(noop()).unwrap();
    assert_ne!(first, second);
    let (channel, _receiver) = Channel::lossy(8).unwrap();
    bus.add(channel.clone().filter(|_: &u32| true)).unwrap();
    bus.add(channel.filter(|_: &u32| true)).unwrap();
    assert_eq!(bus.publish(1), Ok(took(4, 0)));
    let (one, other) = (Arc::new(noop::<u32>()), Arc::new(noop::<u32>()));
    assert_ne!(bus.add(one).unwrap(), bus.add(other).unwrap());
}

#[test]
fn an_id_is_never_used_again() {
    let bus: Bus<u32> = Bus::new();
    let (channel, _receiver) = Channel::lossy(8).unwrap();
    let mut ids = HashSet::new();
    for _ in 0..5 {
        let id = bus.add(channel.clone()).unwrap();
        assert!(ids.insert(id), "{id} was used before");
        assert_eq!(bus.publish(0), Ok(took(1, 0)));
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    }
    assert_eq!(channel.state().depth, 5, "every id led to the same channel");
}

#[test]
fn unnamed_sink_is_named_after_its_caller_location() {
    let bus: Bus<u32> = Bus::new();
    let line = line!() + 1;
    bus.add(noop()).unwrap();
    let _receiver = bus.subscribe_lossy(8).unwrap();
    bus.add_named("named", noop()).unwrap();
    let sinks = bus.snapshot().sinks;
    let names: Vec<_> = sinks.iter().map(|sink| sink.name.clone()).collect();
    assert_eq!(names, [format!("{}:{line}", file!()), format!("{}:{}", file!(), line + 1), "named".into()]);
    for (offset, sink) in (0..).zip(&sinks) {
        assert_eq!((sink.location.file(), sink.location.line()), (file!(), line + offset));
    }
}

#[test]
fn add_reports_a_closed_bus_and_a_zero_capacity() {
    let bus: Bus<u32> = Bus::new();
    assert_eq!(invalid(bus.subscribe_lossy(0)), ConfigErrorKind::Capacity);
    assert!(bus.close().is_done());
    assert_eq!(bus.add(noop()), Err(AddError::Closed));
    assert_eq!(bus.subscribe_lossy(8).map(drop), Err(AddError::Closed));
    assert_eq!(bus.add(bus.clone()), Err(AddError::Itself));
    assert!(!bus.has_sinks());
}

#[test]
fn next_publish_removes_a_dropped_receiver() {
    for which in 0..3 {
        let bus: Bus<u32> = Bus::new();
        let mut route = Route::all(&bus).into_iter().nth(which).unwrap();
        let (kept, mut rest) = (bus.subscribe_lossy(8).unwrap(), vec![bus.subscribe_lossy(8).unwrap()]);
        rest.push(bus.subscribe_lossy(8).unwrap());
        assert_eq!((bus.has_sinks(), bus.sink_count()), (true, 3));
        drop(rest);
        let _ = route.publish(1).unwrap();
        assert_eq!((bus.has_sinks(), bus.sink_count()), (true, 1), "{}", route.name());
        assert_eq!(bus.snapshot().sinks.len(), 1);
        assert_eq!(route.publish(2), Ok(took(1, 0)), "{}", route.name());
        drop(kept);
        let _ = route.publish(3).unwrap();
        assert_eq!((bus.has_sinks(), bus.sink_count()), (false, 0));
        assert_eq!(route.publish(4), Ok(took(0, 0)), "{}", route.name());
    }
}

#[test]
fn short_lived_subscribers_leave_no_sinks() {
    let bus: Bus<u64> = Bus::new();
    let _publisher = bus.publisher();
    for _ in 0..100 {
        drop(bus.subscribe_lossy(8).unwrap());
    }
    assert!(bus.snapshot().sinks.len() <= 1, "{}", bus.snapshot());
}

#[test]
fn weak_handle_upgrades_while_the_bus_is_open() {
    let bus: Bus<u32> = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let weak = bus.downgrade();
    let _ = weak.clone().upgrade().unwrap().publish(1).unwrap();
    let mut publisher = bus.publisher();
    drop(bus);
    assert_eq!(weak.upgrade().unwrap().sink_count(), 1);
    let _ = publisher.publish(2).unwrap();
    assert_eq!(receiver.drain().collect::<HashSet<_>>(), HashSet::from([1, 2]));
    drop(publisher);
    assert!(weak.upgrade().is_none());
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
}

#[test]
fn weak_handle_in_a_handler_keeps_no_bus_alive() {
    let (sender, handled) = mpsc::channel();
    let bus = Bus::new();
    let weak = bus.downgrade();
    let handler = move |event: u64| {
        sender.send(event).unwrap();
        if event > 0
            && let Some(bus) = weak.upgrade()
        {
            let _ = bus.publish(event - 1).unwrap();
        }
    };
    bus.add(Queue::builder().spawn(handler).unwrap()).unwrap();
    let _ = bus.publish(3).unwrap();
    assert_eq!(handled.iter().take(4).collect::<Vec<_>>(), [3, 2, 1, 0]);
    drop(bus);
    assert!(ends(move || handled.recv()).is_err(), "the handler is dropped with the bus");
}

#[test]
fn a_guard_closes_a_bus_that_is_never_dropped() {
    static EVENTS: LazyLock<Bus<u32>> = LazyLock::new(Bus::new);
    let mut receiver = EVENTS.subscribe_lossy(8).unwrap();
    {
        let _guard = EVENTS.close_on_drop();
        let _ = EVENTS.publish(1).unwrap();
        assert!(!EVENTS.is_closed());
    }
    assert!(EVENTS.is_closed());
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1]);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn bus_of_non_clone_events_subscribes_and_closes() {
    struct Once(#[expect(dead_code, reason = "an event has some content")] u32);
    let bus: Bus<Once> = Bus::default();
    let _receiver = bus.subscribe_lossy(8).unwrap();
    let publisher = bus.publisher();
    drop(publisher.clone());
    assert!(format!("{bus:?} {publisher:?}").contains("Bus"));
    assert_eq!(bus.snapshot().publishers, 1);
    assert!(bus.close().is_done() && bus.is_closed());
}
