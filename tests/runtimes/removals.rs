//! A removal ends the wait of a task inside the removed sink, wherever that wait is.

use crate::{by_hand, poll};
use buslane::journal::Start;
use buslane::{Bus, Channel, Journal, Overflow, Publisher, SinkExt, SinkId};
use std::any::Any;
use std::task::{Poll, Waker};

/// A bus, the sink that is to be removed from it, what keeps the inner sinks open after that, and the
/// bus and the publisher of a task that waits inside it.
struct Kept {
    name: &'static str,
    removed_from: Bus<u64>,
    id: SinkId,
    outer: Bus<u64>,
    _kept: Vec<Box<dyn Any>>,
}

type Add = Box<dyn FnOnce(&Bus<u64>) -> SinkId>;

impl Kept {
    /// Returns each way in which a full sink can be inside one that is removed. The user keeps a handle
    /// of every bus and channel, so a removal closes none of them.
    fn all() -> Vec<Self> {
        let new = |name, sink: Add, kept| {
            let outer = Bus::new();
            let id = sink(&outer);
            Self { name, removed_from: outer.clone(), id, outer, _kept: kept }
        };
        let nested = || {
            let (channel, receiver) = Channel::lossless(2).unwrap();
            let inner = Bus::new();
            inner.add(channel).unwrap();
            (inner, receiver)
        };
        let (inner, receiver) = nested();
        let sink = inner.clone();
        let bus = new("bus", Box::new(|bus| bus.add(sink).unwrap()), vec![Box::new((inner, receiver))]);

        let (inner, receiver) = nested();
        let sink = inner.clone().map(|n: &u64| *n);
        let mapped =
            new("mapped bus", Box::new(|bus| bus.add(sink).unwrap()), vec![Box::new((inner, receiver))]);

        let (inner, receiver) = nested();
        let (lossy, other) = Channel::lossy(2).unwrap();
        let sink = lossy.tee(inner.clone());
        let tee =
            new("tee", Box::new(|bus| bus.add(sink).unwrap()), vec![Box::new((inner, receiver, other))]);

        let (several, receiver) = Channel::shared_lossless(2).unwrap();
        let inner = Bus::new();
        inner.add(several).unwrap();
        let sink = inner.clone();
        let shared =
            new("shared room", Box::new(|bus| bus.add(sink).unwrap()), vec![Box::new((inner, receiver))]);

        let journal = Journal::new(64).unwrap();
        let gate = journal.subscription().start(Start::Now).gating().subscribe().unwrap();
        let inner = Bus::new();
        inner.add(journal).unwrap();
        let sink = inner.clone();
        let journal = new("journal", Box::new(|bus| bus.add(sink).unwrap()), vec![Box::new((inner, gate))]);

        // The middle one of three buses loses its sink, and the outer one its own.
        let (inner, receiver) = nested();
        let (middle, sink) = (Bus::new(), inner.clone());
        let id = middle.add(sink).unwrap();
        let outer = Bus::new();
        let outermost = outer.add(middle.clone()).unwrap();
        let kept: Vec<Box<dyn Any>> = vec![Box::new((inner, receiver))];
        let deep = Self {
            name: "sink of a nested bus",
            removed_from: middle,
            id,
            outer: outer.clone(),
            _kept: kept,
        };
        let (inner, receiver) = nested();
        let (middle, sink) = (Bus::new(), inner.clone());
        middle.add(sink).unwrap();
        let far = new(
            "bus in a bus",
            {
                let sink = middle.clone();
                Box::new(|bus| bus.add(sink).unwrap())
            },
            vec![Box::new((middle, inner, receiver))],
        );
        let _ = outermost;
        vec![bus, mapped, tee, shared, journal, deep, far]
    }

    fn fill(&self, publisher: &mut Publisher<u64>) {
        while let Poll::Ready(permit) = poll(std::pin::pin!(publisher.reserve()), Waker::noop()) {
            assert!(permit.unwrap().publish(0).unwrap().is_complete(), "{}", self.name);
        }
    }
}

#[test]
fn removal_wakes_a_task_inside_the_sink() {
    for place in Kept::all() {
        let mut publisher = place.outer.publisher();
        place.fill(&mut publisher);
        let (mut reserve, count, waker) = by_hand(publisher.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending(), "{}", place.name);
        place.removed_from.remove(place.id).unwrap();
        assert!(count.get() > 0, "{}: the removal wakes the task", place.name);
        assert!(poll(reserve.as_mut(), &waker).is_ready(), "{}", place.name);
    }
}

#[test]
fn removal_ends_a_publish_inside_the_sink() {
    for place in Kept::all() {
        let mut publisher = place.outer.publisher();
        place.fill(&mut publisher);
        let (mut publish, count, waker) = by_hand(publisher.publish_async(7));
        assert!(poll(publish.as_mut(), &waker).is_pending(), "{}", place.name);
        place.removed_from.remove(place.id).unwrap();
        assert!(count.get() > 0, "{}", place.name);
        let Poll::Ready(published) = poll(publish.as_mut(), &waker) else { panic!("{}", place.name) };
        assert_eq!(published.unwrap().refused, 0, "{}: a removed sink refuses nothing", place.name);
    }
}

#[test]
fn removal_wakes_a_publisher_without_lanes() {
    for shared in [false, true] {
        let builder = Channel::builder().capacity(1).overflow(Overflow::Block);
        let bus = Bus::new();
        let (private, several);
        let id = if shared {
            several = builder.build_shared().unwrap();
            bus.add(several.0.clone())
        } else {
            private = builder.build().unwrap();
            bus.add(private.0.clone())
        };
        // Inside the thread's own publisher, a second one has no lanes.
        bus.with_local(|_| {
            bus.with_local(|publisher| {
                assert!(publisher.try_publish(0).unwrap().is_complete());
                let (mut reserve, count, waker) = by_hand(publisher.reserve());
                assert!(poll(reserve.as_mut(), &waker).is_pending());
                bus.remove(id.unwrap()).unwrap();
                assert_eq!(count.get(), 1, "the removal wakes the task");
                let Poll::Ready(Ok(permit)) = poll(reserve.as_mut(), &waker) else {
                    panic!("no sink is left")
                };
                assert_eq!(permit.publish(1).unwrap().accepted, 0);
            });
        });
    }
}

#[test]
fn removal_of_another_sink_ends_no_wait() {
    for place in Kept::all() {
        let (other, _receiver) = Channel::lossy(128).unwrap();
        let other = place.outer.add(other).unwrap();
        let mut publisher = place.outer.publisher();
        place.fill(&mut publisher);
        let (mut reserve, _, waker) = by_hand(publisher.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending(), "{}", place.name);
        place.outer.remove(other).unwrap();
        assert!(poll(reserve.as_mut(), &waker).is_pending(), "{}", place.name);
    }
}

#[test]
fn sink_added_again_makes_the_task_wait_again() {
    // The lane inside the kept bus serves the next publisher there, with the same entry on the list.
    let (channel, mut receiver) = Channel::lossless(1).unwrap();
    let (outer, inner) = (Bus::<u64>::new(), Bus::<u64>::new());
    inner.add(channel).unwrap();
    let id = outer.add(inner.clone()).unwrap();
    let mut publisher = outer.publisher();
    assert!(publisher.publish(0).unwrap().is_complete());
    let (mut reserve, count, waker) = by_hand(publisher.reserve());
    assert!(poll(reserve.as_mut(), &waker).is_pending());
    outer.remove(id).unwrap();
    let polled = count.get();
    outer.add(inner.clone()).unwrap();
    match poll(reserve.as_mut(), &waker) {
        // A new lane is empty.
        Poll::Ready(permit) => drop(permit.unwrap()),
        Poll::Pending => {
            assert_eq!(receiver.try_recv(), Ok(0));
            assert!(count.get() > polled);
            assert!(poll(reserve.as_mut(), &waker).is_ready());
        }
    }
}
