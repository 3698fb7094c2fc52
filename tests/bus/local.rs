//! The publisher that a thread caches for a bus: borrowed, nested, and freed at thread exit.

use buslane::error::{Closed, RecvError};
use buslane::{Bus, Channel, Overflow, Published, sink_fn};
use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::thread;
use test_support::bus::{recorder, took};
use test_support::{Drops, GUARD, Log, ends, wait_for};

#[test]
fn a_thread_has_one_publisher_for_each_bus() {
    let (one, other) = (Bus::<u32>::new(), Bus::<u32>::new());
    let mut receiver = one.subscribe_lossy(16).unwrap();
    for event in 0..5 {
        assert_eq!(one.with_local(|local| local.publish(event)), Ok(took(1, 0)));
        assert_eq!(other.clone().with_local(|local| local.publish(event)), Ok(took(0, 0)));
    }
    assert_eq!((one.snapshot().publishers, other.snapshot().publishers), (1, 1));
    assert_eq!((receiver.state().lanes, receiver.drain().collect::<Vec<_>>()), (1, vec![0, 1, 2, 3, 4]));
    let bus = one.clone();
    let _ = thread::spawn(move || bus.with_local(|local| local.publish(5)).unwrap()).join().unwrap();
    wait_for(|| one.snapshot().publishers == 1);
    assert_eq!(receiver.recv(), Ok(5), "the event outlives the publishing thread");
}

#[test]
fn each_event_type_has_its_own_local_publisher() {
    let (numbers, texts) = (Bus::<u32>::new(), Bus::<String>::new());
    let mut received = (numbers.subscribe_lossy(8).unwrap(), texts.subscribe_lossy(8).unwrap());
    numbers.with_local(|local| {
        let _ = local.publish(1).unwrap();
        let _ = texts.with_local(|inner| inner.publish("one".into()).unwrap());
    });
    assert_eq!((received.0.recv(), received.1.recv()), (Ok(1), Ok(String::from("one"))));
    assert_eq!((received.0.state().lanes, received.1.state().lanes), (1, 1));
}

#[test]
fn nested_with_local_uses_the_shared_lanes() {
    let bus: Bus<u32> = Bus::new();
    let mut receiver = bus.subscribe_lossy(16).unwrap();
    let (called, direct) = recorder();
    bus.add(direct).unwrap();
    bus.with_local(|outer| {
        assert_eq!(outer.publish(1), Ok(took(2, 0)));
        bus.with_local(|inner| {
            assert_eq!(inner.publish(2), Ok(took(2, 0)));
            assert_eq!(inner.try_publish(3).unwrap(), took(2, 0));
            assert_eq!(inner.publish_with(|| 4), Ok(took(2, 0)));
            assert_eq!(inner.publish_batch([5, 6]), Ok(took(4, 0)));
            assert!(bus.with_local(|third| third.publish(7)).is_ok());
        });
        assert_eq!(outer.publish(8), Ok(took(2, 0)));
    });
    assert_eq!(called.entries(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(receiver.state().lanes, 1);
    assert_eq!(receiver.drain().collect::<HashSet<_>>(), (1..=8).collect());
}

#[test]
fn direct_sink_publishes_inside_with_local() {
    let (bus, log) = (Bus::new(), Log::new());
    let (weak, seen) = (bus.downgrade(), log.clone());
    bus.add(sink_fn(move |event: &u32| {
        seen.push(*event);
        if *event < 3 {
            let _ = weak.upgrade().unwrap().with_local(|local| local.publish(event + 1)).unwrap();
        }
    }))
    .unwrap();
    let _ = bus.with_local(|local| local.publish(0)).unwrap();
    assert_eq!(log.entries(), [0, 1, 2, 3]);
}

#[test]
fn panicking_closure_returns_the_local_publisher() {
    let bus: Bus<u32> = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        bus.with_local(|local| {
            let _ = local.publish(1).unwrap();
            panic!("panic after the publish");
        })
    }));
    assert!(unwound.is_err());
    let _ = bus.with_local(|local| local.publish(2)).unwrap();
    assert_eq!((bus.snapshot().publishers, receiver.state().lanes), (1, 1));
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_cached_publisher_does_not_keep_the_bus_open() {
    let bus: Bus<u32> = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let weak = bus.downgrade();
    let _ = bus.with_local(|local| local.publish(1)).unwrap();
    drop(bus);
    assert!(weak.upgrade().is_none());
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Closed)));
}

#[test]
fn with_local_reports_a_closed_bus_cached_or_new() {
    for cached in [true, false] {
        let bus: Bus<u32> = Bus::new();
        let _receiver = bus.subscribe_lossy(8).unwrap();
        if cached {
            let _ = bus.with_local(|local| local.publish(1)).unwrap();
        }
        assert!(bus.close().is_done());
        for _ in 0..2 {
            assert_eq!(bus.with_local(|local| local.publish(2)), Err(Closed(2)));
        }
    }
}

#[test]
fn new_local_publisher_frees_those_of_dropped_buses() {
    let drops = Drops::default();
    let buses: Vec<Bus<u32>> = (0..10).map(|_| Bus::new()).collect();
    for (id, bus) in (0..).zip(&buses) {
        let tracked = drops.track(id);
        bus.add(sink_fn(move |_: &u32| {
            let _owned = &tracked;
        }))
        .unwrap();
        let _ = bus.with_local(|local| local.publish(1)).unwrap();
    }
    drop(buses);
    let another: Bus<u32> = Bus::new();
    let _ = another.with_local(|local| local.publish(1)).unwrap();
    assert_eq!(drops.ids(), (0..10).collect::<Vec<_>>());
}

/// Publishes on a bus when it is dropped, and then closes the bus if the flag is set.
struct LastWord(Bus<u32>, bool);

impl Drop for LastWord {
    fn drop(&mut self) {
        assert_eq!(self.0.with_local(|local| local.publish(2)), Ok(took(1, 0)));
        if self.1 {
            assert!(self.0.close().is_done());
            // Caches one more publisher, which frees the publisher of the bus that is now closed.
            let third: Bus<u32> = Bus::new();
            let _ = third.with_local(|local| local.publish(0)).unwrap();
        }
    }
}

#[test]
fn freed_publisher_may_publish_on_the_next_bus() {
    for closes in [false, true] {
        let gone: Bus<u32> = Bus::new();
        let next: Bus<u32> = Bus::new();
        let mut receiver = next.subscribe_lossy(8).unwrap();
        let last_word = LastWord(next.clone(), closes);
        gone.add(sink_fn(move |_: &u32| {
            let _owned = &last_word;
        }))
        .unwrap();
        let _ = gone.with_local(|local| local.publish(1)).unwrap();
        // The publisher that this thread caches is now the last owner of the bus.
        drop(gone);
        let published = next.with_local(|local| local.publish(3));
        assert_eq!(published, if closes { Err(Closed(3)) } else { Ok(took(1, 0)) });
        assert_eq!(receiver.drain().collect::<Vec<_>>(), if closes { vec![2] } else { vec![2, 3] });
    }
}

/// Publishes when its thread exits.
struct Farewell(Bus<&'static str>, mpsc::Sender<bool>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let lazily = self.0.with_local(|local| local.publish("good"));
        let shared = self.0.publish("bye");
        let own = self.0.publisher().publish("!");
        let _ = self.1.send([lazily, shared, own].iter().all(|published| *published == Ok(took(2, 0))));
    }
}

thread_local! {
    static FAREWELL: RefCell<Option<Farewell>> = const { RefCell::new(None) };
}

#[test]
fn destructor_at_thread_exit_publishes() {
    for farewell_first in [true, false] {
        let bus = Bus::new();
        let mut receiver = bus.subscribe_lossy(8).unwrap();
        let (called, direct) = recorder();
        bus.add(direct).unwrap();
        let (sender, went_well) = mpsc::channel();
        let publishing = bus.clone();
        let ended = ends(move || {
            thread::spawn(move || {
                let farewell = Farewell(publishing.clone(), sender);
                let set = || FAREWELL.with(|place| place.replace(Some(farewell)));
                // The order of destructors depends on which thread-local was used first.
                if farewell_first {
                    drop(set());
                    let _ = publishing.with_local(|local| local.publish("oh")).unwrap();
                } else {
                    let _ = publishing.with_local(|local| local.publish("oh")).unwrap();
                    drop(set());
                }
            })
            .join()
        });
        assert!(ended.is_ok());
        assert_eq!(went_well.recv_timeout(GUARD), Ok(true));
        assert_eq!(called.entries(), ["oh", "good", "bye", "!"]);
        assert_eq!(receiver.drain().collect::<HashSet<_>>(), HashSet::from(["oh", "good", "bye", "!"]));
        wait_for(|| bus.snapshot().publishers == 0);
    }
}

/// Publishes on a bus without room when its thread exits.
struct Refused(Bus<u32>, mpsc::Sender<Result<Published, Closed<u32>>>);

impl Drop for Refused {
    fn drop(&mut self) {
        let _ = self.1.send(self.0.with_local(|local| local.publish(2)));
    }
}

thread_local! {
    static REFUSED: RefCell<Option<Refused>> = const { RefCell::new(None) };
}

#[test]
fn destructor_at_thread_exit_does_not_wait_for_room() {
    let (channel, _receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    let bus = Bus::new();
    bus.add(channel).unwrap();
    let _ = bus.publish(1).unwrap();
    let (sender, published) = mpsc::channel();
    let publishing = bus.clone();
    let ending = thread::spawn(move || {
        // Used first, so destroyed last: by then the thread has no cached publisher any more.
        REFUSED.with(|place| place.replace(Some(Refused(publishing.clone(), sender))));
        publishing.with_local(|_| ());
    });
    assert_eq!(published.recv_timeout(GUARD), Ok(Ok(took(0, 1))));
    ending.join().unwrap();
}

#[test]
fn thread_exit_drops_the_last_handle_of_a_bus() {
    let drops = Drops::default();
    let (bus, tracked) = (Bus::<&'static str>::new(), drops.track(1));
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    bus.add(sink_fn(move |_: &&'static str| {
        let _owned = &tracked;
    }))
    .unwrap();
    let (sender, went_well) = mpsc::channel();
    ends(move || {
        thread::spawn(move || {
            let _ = bus.with_local(|local| local.publish("oh")).unwrap();
            FAREWELL.with(|place| place.borrow_mut().insert(Farewell(bus, sender)).0.is_closed());
        })
        .join()
        .unwrap();
    });
    assert_eq!(went_well.recv_timeout(GUARD), Ok(true));
    assert_eq!(receiver.iter().count(), 4);
    wait_for(|| drops.ids() == [1]);
}

#[test]
fn static_bus_serves_many_local_publishers() {
    static EVENTS: LazyLock<Bus<u64>> = LazyLock::new(Bus::new);
    let total = Arc::new(Mutex::new(0));
    let sum = total.clone();
    EVENTS.add(sink_fn(move |event: &u64| *sum.lock().unwrap() += event)).unwrap();
    let threads: Vec<_> = (1..=4)
        .map(|event| {
            thread::spawn(move || {
                for _ in 0..100 {
                    let _ = EVENTS.with_local(|local| local.publish(event)).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*total.lock().unwrap(), 1000);
    wait_for(|| EVENTS.snapshot().publishers == 0);
}
