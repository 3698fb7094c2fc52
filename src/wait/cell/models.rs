//! Models of a cell whose consumer and publishers take turns in paying for the fence. The other
//! models of the cell are in `loom-tests`.
//!
//! In a model the light fence of the asymmetric pair is a full one. So a publisher whose own full
//! fence is to be tested has no other. That the change of the payer needs `membarrier` is shown by
//! `store_buffer`.
//!
//! They need the asymmetric pair, and Miri has no `membarrier`.
#![cfg(not(miri))]

use super::WaitCell;
use crate::wait::FencePair;
use crate::wait::payer::Payer::{self, Consumer, Publishers};
use loom_tests::{Arc, AtomicUsize, Ordering, Task, model, thread};

struct Place {
    cell: WaitCell,
    events: AtomicUsize,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self { cell: WaitCell::new(FencePair::Asymmetric), events: AtomicUsize::new(0) })
    }

    /// Makes a cell whose consumer has asked publishers for a full fence.
    fn asked() -> Arc<Self> {
        let place = Self::new();
        place.cell.park_unless_paid(Publishers, None, || true);
        assert!(place.cell.asks_for_fence() && !place.cell.is_parked());
        place
    }

    /// Publishes, with the light fence only if it is `fenced`.
    fn publish(&self, event: usize, fenced: bool) {
        self.events.store(event, Ordering::Relaxed);
        if fenced {
            self.cell.fence();
        }
        self.cell.wake();
    }

    fn await_event(&self, event: usize, payer: Payer) {
        while self.events.load(Ordering::Relaxed) < event {
            self.cell.park_unless_paid(payer, None, || self.events.load(Ordering::Relaxed) >= event);
        }
    }
}

#[test]
fn asked_publisher_wakes_a_parking_consumer() {
    // Without a light fence, as the asymmetric one is in truth. Fails when the fence of
    // `fence_if_asked` or the full one of `fence_as_asked` is missing.
    model(|| {
        let place = Place::asked();
        let publisher = place.clone();
        let publisher = thread::spawn(move || publisher.publish(1, false));
        place.await_event(1, Publishers);
        publisher.join().unwrap();
    });
}

#[test]
fn asked_publisher_wakes_a_registering_task() {
    // As above, for a task.
    model(|| {
        let place = Place::asked();
        let publisher = place.clone();
        let publisher = thread::spawn(move || publisher.publish(1, false));
        let (task, waker) = Task::new();
        while place.events.load(Ordering::Relaxed) == 0 {
            let registered = place.cell.register_paid(Publishers, &waker);
            if registered && place.events.load(Ordering::Relaxed) == 0 {
                task.sleep();
            }
        }
        publisher.join().unwrap();
    });
}

#[test]
fn publisher_wakes_a_consumer_that_asks() {
    // At the first of these parks, the publisher need not have seen the bit. Fails when the heavy
    // fence of `fence_as_asked` is missing, or when `take` clears the whole word.
    model(|| {
        let place = Place::new();
        let publisher = place.clone();
        let publisher = thread::spawn(move || {
            publisher.publish(1, true);
            publisher.publish(2, true);
        });
        place.await_event(1, Publishers);
        place.await_event(2, Publishers);
        publisher.join().unwrap();
    });
}

#[test]
fn publisher_wakes_a_consumer_that_asks_no_more() {
    // The consumer lets publishers off as it parks. Fails when the heavy fence of
    // `park_unless_paid` is missing.
    model(|| {
        let place = Place::asked();
        let publisher = place.clone();
        let publisher = thread::spawn(move || publisher.publish(1, true));
        place.await_event(1, Consumer);
        publisher.join().unwrap();
    });
}

#[test]
fn awake_consumer_lets_publishers_off() {
    // While the publisher of the event may still be taking the consumer out. Fails when
    // ORD(cell.state) is Relaxed in the exchange of `let_publishers_off`: the slot is then written
    // while it is read.
    model(|| {
        let place = Place::asked();
        let publisher = place.clone();
        let publisher = thread::spawn(move || {
            publisher.publish(1, true);
            publisher.publish(2, true);
        });
        place.await_event(1, Publishers);
        let off = place.cell.let_publishers_off();
        place.await_event(2, if off { Consumer } else { Publishers });
        publisher.join().unwrap();
        assert!(!off || !place.cell.asks_for_fence());
    });
}

#[test]
fn sleeper_enters_after_publishers_were_let_off() {
    // Another thread enters the cell that the publisher has emptied. Fails when ORD(cell.state) is
    // Relaxed in the store of `let_publishers_off`.
    model(|| {
        let place = Place::asked();
        let (publisher, sleeper) = (place.clone(), place.clone());
        let publisher = thread::spawn(move || publisher.publish(1, true));
        let sleeper = thread::spawn(move || {
            if !sleeper.cell.asks_for_fence() {
                sleeper.cell.park_unless(None, || true);
            }
        });
        place.cell.park_unless_paid(Publishers, None, || true);
        place.cell.let_publishers_off();
        publisher.join().unwrap();
        sleeper.join().unwrap();
    });
}
