//! The list of sinks as `Bus::publish` reads it: nested publishes, threads that end, and changes of
//! the list during a publish.

use buslane::bus::Removed;
use buslane::{Bus, Channel, SinkId, sink_fn};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::thread;
use test_support::Log;
use test_support::bus::{assert_books, recorder};

#[test]
fn deeply_nested_publishes_reach_the_last_bus() {
    // More levels than a thread has hazard words, each with a sink that comes after the nested
    // publish: the lists of all levels stay readable until their publishes end.
    let buses: Vec<Bus<u32>> = (0..12).map(|_| Bus::new()).collect();
    let logs: Vec<Log<u32>> = (0..12).map(|_| Log::new()).collect();
    for (level, bus) in buses.iter().enumerate() {
        if let Some(next) = buses.get(level + 1) {
            let next = next.downgrade();
            bus.add(sink_fn(move |event: &u32| {
                let _ = next.upgrade().map(|bus| bus.publish(*event + 1));
            }))
            .unwrap();
        }
        let log = logs[level].clone();
        bus.add(sink_fn(move |event: &u32| log.push(*event))).unwrap();
    }
    for event in [0, 100] {
        assert!(buses[0].publish(event).unwrap().is_complete());
    }
    for (level, log) in (0..).zip(&logs) {
        assert_eq!(log.entries(), [level, 100 + level]);
    }
    for bus in &buses {
        assert_books(bus);
    }
}

#[test]
fn change_in_a_nested_publish_keeps_the_outer_list() {
    // The sink publishes on its own bus, and changes the list meanwhile: the publish in progress
    // still delivers to the sinks that it began with.
    let (bus, added) = (Bus::new(), Log::new());
    let (weak, log) = (bus.downgrade(), added.clone());
    bus.add(sink_fn(move |event: &u32| {
        if *event < 20 {
            let bus = weak.upgrade().unwrap();
            log.push(bus.add(buslane::noop()).unwrap());
            let _ = bus.publish(event + 20);
        }
    }))
    .unwrap();
    let (last, direct) = recorder();
    bus.add(direct).unwrap();
    for event in 0..20 {
        let accepted = bus.publish(event).unwrap().accepted;
        assert_eq!(accepted, 2 + event as usize, "a sink that was added during the publish is not in it");
    }
    let seen: Vec<u32> = (0..20).flat_map(|event| [event + 20, event]).collect();
    assert_eq!(last.entries(), seen);
    for id in added.entries() {
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    }
    assert_eq!(bus.sink_count(), 2);
}

#[test]
fn sink_removed_in_a_publish_gets_no_event() {
    // After the removal returned, no call enters the sink, not even one of the same publish.
    let (bus, id) = (Bus::new(), Arc::new(OnceLock::<SinkId>::new()));
    let (weak, known) = (bus.downgrade(), id.clone());
    bus.add(sink_fn(move |event: &u32| {
        if *event == 2 {
            assert_eq!(weak.upgrade().unwrap().remove(*known.get().unwrap()), Ok(Removed::FromInside));
        }
    }))
    .unwrap();
    let (channel, mut receiver) = Channel::lossy(8).unwrap();
    id.set(bus.add(channel.clone()).unwrap()).unwrap();
    let mut kept = bus.subscribe_lossy(8).unwrap();
    let outcomes = [1, 2, 3].map(|event| {
        let published = bus.publish(event).unwrap();
        (published.accepted, published.refused)
    });
    assert_eq!(outcomes, [(3, 0), (2, 1), (2, 0)]);
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1]);
    assert_eq!(kept.drain().collect::<Vec<_>>(), [1, 2, 3]);
}

/// An event whose clone removes a sink.
#[derive(Debug)]
struct Removes(Option<(Bus<Removes>, Arc<OnceLock<SinkId>>)>);

impl Clone for Removes {
    fn clone(&self) -> Self {
        if let Some((bus, id)) = &self.0 {
            assert_eq!(bus.remove(*id.get().unwrap()), Ok(Removed::FromInside));
        }
        Self(None)
    }
}

#[test]
fn sink_removed_in_a_clone_gets_no_event() {
    let (bus, id) = (Bus::new(), Arc::new(OnceLock::new()));
    let first = bus.subscribe_lossy(8).unwrap();
    let (channel, receiver) = Channel::lossy(8).unwrap();
    id.set(bus.add(channel.clone()).unwrap()).unwrap();
    let published = bus.publish(Removes(Some((bus.clone(), id)))).unwrap();
    assert_eq!((published.accepted, published.refused), (1, 1));
    assert_eq!((first.len(), receiver.len()), (1, 0));
}

/// Publishes when its thread ends.
struct Last(RefCell<Option<Bus<u32>>>);

impl Drop for Last {
    fn drop(&mut self) {
        let bus = self.0.take().expect("set by the test");
        assert_eq!(bus.publish(2).unwrap().accepted, 1);
    }
}

thread_local! {
    static LAST: Last = const { Last(RefCell::new(None)) };
}

#[test]
fn ending_thread_publishes_through_the_list() {
    // Thread-locals are dropped in an order that depends on their first use.
    for publishes_first in [false, true] {
        let bus = Bus::new();
        let mut receiver = bus.subscribe_lossy(8).unwrap();
        let other = bus.clone();
        let ending = thread::spawn(move || {
            if publishes_first {
                let _ = other.publish(1).unwrap();
            }
            LAST.with(|last| last.0.replace(Some(other.clone())));
            if !publishes_first {
                let _ = other.publish(1).unwrap();
            }
        });
        ending.join().unwrap();
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2]);
        // The thread has left nothing behind that would delay a removal.
        let id = bus.add(buslane::noop()).unwrap();
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    }
}
