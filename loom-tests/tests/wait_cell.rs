//! The cell in which one consumer parks.

use buslane::wait::{FencePair, WaitCell};
use loom_tests::{Arc, AtomicBool, AtomicUsize, Ordering, Task, model, thread};

struct Place {
    cell: WaitCell,
    events: AtomicUsize,
    data: AtomicUsize,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            cell: WaitCell::new(FencePair::process()),
            events: AtomicUsize::new(0),
            data: AtomicUsize::new(0),
        })
    }

    /// Publishes as a lane does: a store, the fence, a load of the word.
    fn publish(&self, events: usize) {
        self.events.store(events, Ordering::Relaxed);
        self.cell.fence();
        self.cell.wake();
    }

    fn await_events(&self, events: usize) {
        while self.events.load(Ordering::Relaxed) < events {
            self.cell.park_unless(None, || self.events.load(Ordering::Relaxed) >= events);
        }
    }
}

#[test]
fn publish_wakes_a_parking_consumer() {
    // The consumer finds an event, or its publisher wakes it: no deadlock. Fails when the fence of
    // `fence` or that of `park_unless` is missing.
    model(|| {
        let place = Place::new();
        let publisher = place.clone();
        let publisher = thread::spawn(move || publisher.publish(1));
        place.await_events(1);
        publisher.join().unwrap();
    });
}

#[test]
fn two_publishes_wake_two_parks() {
    // As above, where the second park begins while the first wake-up is still in progress in the
    // cell. Fails when ORD(cell.state) is Relaxed in the store of `wake_from` or the exchange of
    // `prepare`: the slot is then written while it is read.
    model(|| {
        let place = Place::new();
        let publisher = place.clone();
        let publisher = thread::spawn(move || {
            publisher.publish(1);
            publisher.publish(2);
        });
        place.await_events(1);
        place.await_events(2);
        publisher.join().unwrap();
    });
}

#[test]
fn two_publishers_wake_a_parking_consumer() {
    // Two wakers compete for one parked consumer: one gets it, and neither event is lost. Fails
    // when the exchange of `wake_from` is not a read-modify-write, or when a fence is missing.
    model(|| {
        let place = Place::new();
        let publishers = [0, 1].map(|_| {
            let place = place.clone();
            thread::spawn(move || {
                place.events.fetch_add(1, Ordering::Relaxed);
                place.cell.fence();
                place.cell.wake();
            })
        });
        place.await_events(2);
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn waker_sees_the_sleeper_it_wakes() {
    // A thread that sees PARKED sees the parked consumer. Fails when ORD(cell.state) is Relaxed in
    // the store of `prepare` or the exchange of `wake_from`. There is no fence between them here:
    // the waker only wakes.
    model(|| {
        let place = Place::new();
        let waker = place.clone();
        let waker = thread::spawn(move || waker.cell.wake());
        place.cell.park_unless(None, || true);
        waker.join().unwrap();
    });
}

#[test]
fn wake_now_ends_a_park() {
    // `wake_now` has its own fence. Fails without it, or without the fence of `park_unless`.
    model(|| {
        let place = Place::new();
        let waker = place.clone();
        let waker = thread::spawn(move || {
            waker.events.store(1, Ordering::Relaxed);
            waker.cell.wake_now();
        });
        place.await_events(1);
        waker.join().unwrap();
    });
}

#[test]
fn wake_now_ends_a_nap() {
    // `wake_now` ends a nap, and the cell is empty afterward. A nap has no handshake (it is bounded
    // by time, which is outside the models), so the waker repeats until the consumer runs. Fails
    // when ORD(cell.state) is Relaxed in `wake_from` or `prepare`.
    model(|| {
        let place = Place::new();
        let up = Arc::new(AtomicBool::new(false));
        let (waker, done) = (place.clone(), up.clone());
        let waker = thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                waker.cell.wake_now();
                thread::yield_now();
            }
        });
        place.cell.nap(std::time::Duration::from_millis(1));
        up.store(true, Ordering::Release);
        waker.join().unwrap();
    });
}

#[test]
fn wake_now_is_seen_by_a_nap_that_rechecks() {
    // A nap that checks again after its announcement never sleeps through a change that `wake_now`
    // follows. Fails when the fence of `nap_unless` or that of `wake_now` is missing.
    model(|| {
        let place = Place::new();
        let waker = place.clone();
        let waker = thread::spawn(move || {
            waker.events.store(1, Ordering::Relaxed);
            waker.cell.wake_now();
        });
        while place.events.load(Ordering::Relaxed) == 0 {
            let limit = std::time::Duration::from_millis(1);
            place.cell.nap_unless(limit, || place.events.load(Ordering::Relaxed) != 0);
        }
        waker.join().unwrap();
    });
}

/// Waits for `events` as a future does: check, register, check again.
fn await_as_task(place: &Place, events: usize) {
    let (task, waker) = Task::new();
    loop {
        if place.events.load(Ordering::Relaxed) >= events {
            break;
        }
        if !place.cell.register(&waker) {
            thread::yield_now();
            continue;
        }
        if place.events.load(Ordering::Relaxed) >= events {
            break;
        }
        task.sleep();
    }
}

#[test]
fn publish_reaches_a_registering_task() {
    // As for threads: the task finds the event, or it is woken. Fails when the fence of `fence` or
    // that of `register` is missing.
    model(|| {
        let place = Place::new();
        let publisher = place.clone();
        let publisher = thread::spawn(move || publisher.publish(1));
        await_as_task(&place, 1);
        publisher.join().unwrap();
    });
}

#[test]
fn two_publishes_reach_a_task_that_reregisters() {
    // A task that registers while it is being woken checks again at once. Fails when
    // ORD(cell.state) is Relaxed in the store of `wake_from` or the exchange of `prepare`.
    model(|| {
        let place = Place::new();
        let publisher = place.clone();
        let publisher = thread::spawn(move || {
            publisher.publish(1);
            publisher.publish(2);
        });
        await_as_task(&place, 1);
        await_as_task(&place, 2);
        publisher.join().unwrap();
    });
}

#[test]
fn new_waker_replaces_the_old_waker() {
    // The second registration replaces the first waker, unless that was woken; the first is dropped
    // once. Fails when ORD(cell.state) is Relaxed in `cancel`.
    model(|| {
        let place = Place::new();
        let ((first, first_waker), (second, second_waker)) = (Task::new(), Task::new());
        let publisher = place.clone();
        let publisher = thread::spawn(move || publisher.publish(1));
        let registered = place.cell.register(&first_waker) && place.cell.register(&second_waker);
        if registered && place.events.load(Ordering::Relaxed) == 0 {
            second.sleep();
        }
        publisher.join().unwrap();
        drop((first_waker, second_waker));
        drop(place);
        assert_eq!(std::sync::Arc::strong_count(&first), 1, "the first waker leaked");
        assert_eq!(std::sync::Arc::strong_count(&second), 1, "the second waker leaked");
    });
}

#[test]
fn woken_consumer_sees_the_wakers_stores() {
    // A consumer that checks again sees the waker's stores before the wake: the data of the event,
    // not only its count. Fails when the event's own store is Relaxed; the cell adds no order, and
    // needs none.
    model(|| {
        let place = Place::new();
        let publisher = place.clone();
        let publisher = thread::spawn(move || {
            publisher.data.store(7, Ordering::Relaxed);
            publisher.events.store(1, Ordering::Release);
            publisher.cell.fence();
            publisher.cell.wake();
        });
        while place.events.load(Ordering::Acquire) == 0 {
            place.cell.park_unless(None, || place.events.load(Ordering::Acquire) != 0);
        }
        assert_eq!(place.data.load(Ordering::Relaxed), 7);
        publisher.join().unwrap();
    });
}

#[test]
fn cell_releases_both_sleepers() {
    // If two threads park in one cell in turn, neither takes the other out: all but one return at
    // once, and a woken thread leaves the cell to the next. Fails when `cancel` empties a cell that
    // holds another thread's entry.
    model(|| {
        let place = Place::new();
        let sleepers = [1, 2].map(|events| {
            let place = place.clone();
            thread::spawn(move || place.await_events(events))
        });
        place.publish(1);
        place.publish(2);
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}
