//! Which handles keep a bus open, and what the drop of the last one does.

use buslane::error::{Closed, RecvError};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Queue, sink_fn};
use std::sync::mpsc;
use std::thread;
use test_support::bus::{Closable, took};
use test_support::{Drops, GUARD, Log, Tracked, ends, wait_for};

/// Returns a handler that owns `tracked` and sends each event to the test.
fn tracked_handler(tracked: Tracked, handled: mpsc::Sender<u32>) -> impl FnMut(u32) + Send + 'static {
    move |event| {
        let _owned = &tracked;
        let _ = handled.send(event);
    }
}

#[test]
fn last_handle_drop_closes_after_the_backlog() {
    let (bus, drops, (sender, handled)) = (Bus::new(), Drops::default(), mpsc::channel());
    let closed = Log::new();
    let log = closed.clone();
    bus.add(Queue::builder().spawn(tracked_handler(drops.track(1), sender)).unwrap()).unwrap();
    bus.add(Closable::new(|_: &u32| (), move || log.push(()))).unwrap();
    let other = bus.clone();
    let _ = bus.publisher().publish_batch([1, 2, 3]).unwrap();
    drop(bus);
    assert_eq!(other.publish(4), Ok(took(2, 0)), "another handle keeps the bus open");
    drop(other);
    assert_eq!(closed.entries(), [()]);
    let mut seen = ends(move || handled.iter().collect::<Vec<_>>());
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4]);
    wait_for(|| drops.ids() == [1]);
}

#[test]
fn publisher_and_its_clone_keep_the_bus_open() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let first = bus.publisher();
    drop(bus);
    let mut second = first.clone();
    drop(first);
    assert_eq!(second.publish(1), Ok(took(1, 0)));
    assert_eq!(receiver.recv(), Ok(1));
    drop(second);
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
}

#[test]
fn clone_of_a_cached_publisher_keeps_the_bus_open() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    let mut clone = bus.with_local(|local| local.clone());
    drop(bus);
    assert_eq!(clone.publish(1), Ok(took(1, 0)));
    assert_eq!(receiver.recv(), Ok(1));
}

#[test]
fn last_handle_drop_in_its_worker_does_not_wait() {
    let (sender, handled) = mpsc::channel();
    let bus = Bus::new();
    let (own, gate) = (bus.clone(), Gate::closed());
    let at = gate.clone();
    let mut own = Some(own);
    let handler = move |event: u32| {
        at.pass();
        drop(own.take());
        sender.send(event).unwrap();
    };
    bus.add(Queue::builder().spawn(handler).unwrap()).unwrap();
    let _ = bus.publisher().publish_batch([1, 2, 3]).unwrap();
    gate.wait_reached(1);
    drop(bus);
    gate.open();
    let handled = ends(move || handled.iter().collect::<Vec<_>>());
    assert_eq!(handled, [1, 2, 3], "the worker handles all events before it ends");
}

#[test]
fn last_handle_drop_in_a_direct_sink_does_not_wait() {
    let bus = Bus::new();
    let (sender, handles) = mpsc::channel::<Bus<u32>>();
    let handles = std::sync::Mutex::new(handles);
    bus.add(sink_fn(move |_: &u32| drop(handles.lock().unwrap().try_recv()))).unwrap();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    sender.send(bus.clone()).unwrap();
    ends(move || {
        // The sink drops the last handle but one. The last is the handle that `publish` borrows for
        // the call.
        let published = bus.publish(1);
        assert_eq!(published, Ok(took(2, 0)));
        drop(bus);
    });
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
}

#[test]
fn last_handle_drop_while_unwinding_does_not_wait() {
    let (gate, (sender, handled)) = (Gate::closed(), mpsc::channel());
    let at = gate.clone();
    let unwound = ends(move || {
        thread::spawn(move || {
            let bus = Bus::new();
            let handler = move |event: u32| {
                at.pass();
                sender.send(event).unwrap();
            };
            bus.add(Queue::builder().spawn(handler).unwrap()).unwrap();
            let _ = bus.publisher().publish_batch([1, 2]).unwrap();
            panic!("panic while the thread owns a bus");
        })
        .join()
        .is_err()
    });
    assert!(unwound);
    gate.open();
    assert_eq!(ends(move || handled.iter().collect::<Vec<_>>()), [1, 2], "no accepted event is dropped");
}

#[test]
fn bus_drop_drops_sinks_despite_a_cached_publisher() {
    let (bus, drops) = (Bus::new(), Drops::default());
    let tracked = drops.track(1);
    bus.add(sink_fn(move |_: &u32| {
        let _owned = &tracked;
    }))
    .unwrap();
    let (order, orders) = mpsc::channel::<()>();
    let (done, finished) = mpsc::channel();
    let local = bus.clone();
    let pool = thread::spawn(move || {
        let _ = local.with_local(|publisher| publisher.publish(1)).unwrap();
        drop(local);
        done.send(()).unwrap();
        // Like a pool thread that stays idle for a long time.
        let _ = orders.recv();
    });
    finished.recv_timeout(GUARD).unwrap();
    drop(bus);
    let dropped = drops.ids();
    drop(order);
    pool.join().unwrap();
    assert_eq!(dropped, [1]);
    assert_eq!(drops.ids(), [1]);
}

#[test]
fn bus_drop_loses_no_event_that_queues_accepted() {
    // As in the drop of a queue: the drop of the bus has a limit, and the worker continues alone.
    let (gate, (sender, handled)) = (Gate::closed(), mpsc::channel());
    let at = gate.clone();
    let bus = Bus::new();
    let handler = move |event: u32| {
        at.pass();
        sender.send(event).unwrap();
    };
    bus.add(Queue::builder().spawn(handler).unwrap()).unwrap();
    let _ = bus.publisher().publish_batch([1, 2, 3]).unwrap();
    gate.wait_reached(1);
    ends(move || drop(bus));
    gate.open();
    assert_eq!(ends(move || handled.iter().collect::<Vec<_>>()), [1, 2, 3]);
}

#[test]
fn closed_bus_returns_the_published_event() {
    let (bus, drops) = (Bus::new(), Drops::default());
    let (channel, receiver) = Channel::<std::sync::Arc<Tracked>>::lossy(8).unwrap();
    bus.add(channel).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(std::sync::Arc::new(drops.track(1))).unwrap();
    assert!(bus.close().is_done());
    let Err(Closed(event)) = publisher.publish(std::sync::Arc::new(drops.track(2))) else {
        panic!("the bus is closed");
    };
    assert_eq!((event.id, drops.ids()), (2, vec![]));
    drop((event, receiver));
    assert_eq!(drops.ids(), [1, 2]);
}
