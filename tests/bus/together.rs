//! `Bus::publish` into the shared lanes of several sinks.

use buslane::{Bus, Channel, Overflow, Receiver};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use test_support::bus::{assert_books, recorder, took};
use test_support::{ends, waits};

/// An event of `SIZE` bytes after its number. The clone panics once a countdown ends.
#[derive(Debug)]
struct Filled<const SIZE: usize>(u32, Arc<AtomicUsize>, [u8; SIZE]);

impl<const SIZE: usize> Filled<SIZE> {
    fn new(number: u32, clones: &Arc<AtomicUsize>) -> Self {
        Self(number, clones.clone(), [number as u8; SIZE])
    }
}

impl<const SIZE: usize> Clone for Filled<SIZE> {
    fn clone(&self) -> Self {
        assert!(self.1.fetch_sub(1, Ordering::Relaxed) != 1, "panic in the clone");
        Self(self.0, self.1.clone(), self.2)
    }
}

fn channel<E: Send + 'static>(bus: &Bus<E>, capacity: usize, overflow: Overflow) -> Receiver<E> {
    let (channel, receiver) = Channel::builder().capacity(capacity).overflow(overflow).build().unwrap();
    bus.add(channel).unwrap();
    receiver
}

/// Publishes into each number of channels up to five, alone and beside a direct sink.
fn reaches_every_sink<const SIZE: usize>() {
    for (channels, is_beside_direct) in (1..=5).flat_map(|channels| [(channels, false), (channels, true)]) {
        let bus: Bus<Filled<SIZE>> = Bus::new();
        let mut receivers: Vec<_> = (0..channels).map(|_| channel(&bus, 8, Overflow::DropNewest)).collect();
        let (seen, direct) = recorder();
        if is_beside_direct {
            bus.add(direct).unwrap();
        }
        let clones = Arc::new(AtomicUsize::new(usize::MAX));
        let sinks = channels + usize::from(is_beside_direct);
        for number in 1..=3 {
            assert_eq!(bus.publish(Filled::new(number, &clones)).unwrap(), took(sinks, 0));
        }
        // All sinks but the last get a clone, and the recorder makes one.
        let recorded = usize::from(is_beside_direct);
        assert_eq!(usize::MAX - clones.load(Ordering::Relaxed), 3 * (sinks - 1 + recorded));
        for receiver in &mut receivers {
            for number in 1..=3 {
                let event = receiver.try_recv().unwrap();
                assert_eq!((event.0, event.2), (number, [number as u8; SIZE]));
            }
            assert!(receiver.is_empty());
        }
        let expected = if is_beside_direct { &[1, 2, 3][..] } else { &[] };
        assert_eq!(seen.entries().iter().map(|event| event.0).collect::<Vec<_>>(), expected);
        assert_books(&bus);
    }
}

#[test]
fn publish_reaches_all_lanes_in_order() {
    reaches_every_sink::<8>();
    reaches_every_sink::<1000>();
}

#[test]
fn panicking_clone_leaves_earlier_lanes_their_event() {
    for (channels, at) in (2..=5).flat_map(|channels| (0..channels - 1).map(move |at| (channels, at))) {
        let bus: Bus<Filled<8>> = Bus::new();
        let mut receivers: Vec<_> = (0..channels).map(|_| channel(&bus, 8, Overflow::DropNewest)).collect();
        let clones = Arc::new(AtomicUsize::new(at + 1));
        let event = Filled::new(1, &clones);
        assert!(catch_unwind(AssertUnwindSafe(|| bus.publish(event).map(drop))).is_err(), "clone {at}");
        clones.store(usize::MAX, Ordering::Relaxed);
        assert_eq!(bus.publish(Filled::new(2, &clones)).unwrap(), took(channels, 0));
        for (place, receiver) in receivers.iter_mut().enumerate() {
            let events: Vec<u32> = receiver.drain().map(|event| event.0).collect();
            assert_eq!(events, if place < at { &[1, 2][..] } else { &[2] }, "clone {at} of {channels}");
        }
        assert_books(&bus);
    }
}

/// An event whose clones run an action.
struct Acting(u32, Arc<dyn Fn() + Send + Sync>);

impl Clone for Acting {
    fn clone(&self) -> Self {
        (self.1)();
        Self(self.0, self.1.clone())
    }
}

#[test]
fn lane_closed_in_a_clone_refuses_and_others_accept() {
    for closed in 0..3 {
        let bus: Bus<Acting> = Bus::new();
        let receivers = [0, 1, 2].map(|_| Mutex::new(Some(channel(&bus, 8, Overflow::Refuse))));
        let receivers = Arc::new(receivers);
        let closing = receivers.clone();
        let drop_one = Arc::new(move || drop(closing[closed].lock().unwrap().take()));
        assert_eq!(bus.publish(Acting(1, drop_one)).unwrap().accepted, 2, "closed: {closed}");
        assert_eq!(bus.publish(Acting(2, Arc::new(|| {}))).unwrap().accepted, 2, "closed: {closed}");
        for receiver in &*receivers {
            if let Some(receiver) = &mut *receiver.lock().unwrap() {
                assert_eq!(receiver.drain().map(|event| event.0).collect::<Vec<_>>(), [1, 2]);
            }
        }
        assert_books(&bus);
    }
}

#[test]
fn sink_removed_in_a_clone_gets_no_event() {
    let bus: Bus<Acting> = Bus::new();
    let mut first = channel(&bus, 8, Overflow::Refuse);
    let (removed, mut removed_receiver) = Channel::builder().capacity(8).build().unwrap();
    let id = bus.add(removed).unwrap();
    let mut last = channel(&bus, 8, Overflow::Refuse);
    let removing = bus.clone();
    // The second clone finds it removed.
    let remove = Arc::new(move || {
        let _ = removing.remove(id);
    });
    assert_eq!(bus.publish(Acting(1, remove)).unwrap().accepted, 2);
    assert!(removed_receiver.try_recv().is_err());
    assert_eq!((first.recv().unwrap().0, last.recv().unwrap().0), (1, 1));
    assert_books(&bus);
}

#[test]
fn full_lanes_refuse_and_others_accept() {
    // Each set of full lanes among three; the last sink gets the event itself, the others clones.
    for full in 0..8_u32 {
        let bus = Bus::new();
        let capacity = |place: u32| if full >> place & 1 == 1 { 1 } else { 2 };
        let mut receivers = [0, 1, 2].map(|place| channel(&bus, capacity(place), Overflow::Refuse));
        assert_eq!(bus.publish(String::from("first")).unwrap(), took(3, 0));
        assert_eq!(
            bus.publish(String::from("second")).unwrap(),
            took(3 - full.count_ones() as usize, full.count_ones())
        );
        for (place, receiver) in (0..).zip(&mut receivers) {
            let events: Vec<String> = receiver.drain().collect();
            assert_eq!(events, &["first", "second"][..capacity(place)], "full: {full:b}");
        }
        assert_books(&bus);
    }
}

#[test]
fn full_lane_evicts_its_oldest_event_only() {
    let bus = Bus::new();
    let mut small = channel(&bus, 2, Overflow::DropOldest);
    let mut large = channel(&bus, 8, Overflow::DropOldest);
    let evicting = (1..=4).map(|number| bus.publish(number).unwrap().accepted).collect::<Vec<_>>();
    assert_eq!(evicting, [2, 2, 2, 2]);
    assert_eq!(small.drain().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(large.drain().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_books(&bus);
}

#[test]
fn publisher_that_waits_for_room_has_served_the_others() {
    let bus = Bus::new();
    let mut blocking = channel(&bus, 1, Overflow::Block);
    let mut other = channel(&bus, 8, Overflow::Refuse);
    assert_eq!(bus.publish(1).unwrap(), took(2, 0));
    let publishing = bus.clone();
    let waiting = waits(move || publishing.publish(2));
    assert_eq!((other.recv(), other.recv()), (Ok(1), Ok(2)));
    assert_eq!(ends(move || (blocking.recv(), blocking.recv())), (Ok(1), Ok(2)));
    assert_eq!(waiting.join().unwrap(), Ok(took(2, 0)));
    assert_books(&bus);
}
