//! A journal that is removed from a bus, or closed, while publishers wait at its gate: they are
//! released, and each event is accounted for.

use crate::{HOUR, books, numbers, rest};
use buslane::bus::Removed;
use buslane::error::OutOfMemory;
use buslane::sink::Inner;
use buslane::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use buslane::stats::Disposition;
use buslane::time::Deadline;
use buslane::{
    Bus, Channel, Journal, Overflow, Published, Publisher, Sink, SinkExt, SinkId, Subscriber, WriteError,
};
use std::thread::JoinHandle;
use std::time::Duration;
use test_support::bus::{Route, took};
use test_support::{ends, wait_for, waits};

fn journal() -> Journal<u64> {
    Journal::builder().capacity(64).gate_limit(HOUR).build().unwrap()
}

fn gate(journal: &Journal<u64>) -> Subscriber<u64> {
    journal.subscription().gating().subscribe().unwrap()
}

/// Fills the journal up to its gate without waiting, and returns the number of events.
fn fill(journal: &Journal<u64>) -> u64 {
    (0..).find(|n| journal.try_publish(*n).is_err()).unwrap()
}

/// Starts a publisher with private lanes that publishes an event for which the journal has no room.
fn blocked(
    mut publisher: Publisher<u64>,
    publish: impl FnOnce(&mut Publisher<u64>) -> Published + Send + 'static,
) -> JoinHandle<(Published, Publisher<u64>)> {
    waits(move || (publish(&mut publisher), publisher))
}

/// Removes a sink while a publisher with private lanes waits for it, and returns the result of that
/// publish.
#[track_caller]
fn removed_meanwhile(
    bus: Bus<u64>,
    id: SinkId,
    publish: impl FnOnce(&mut Publisher<u64>) -> Published + Send + 'static,
) -> Published {
    let publisher = blocked(bus.publisher(), publish);
    let bus = ends(move || {
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        bus
    });
    let (published, mut publisher) = ends(move || publisher.join().unwrap());
    assert_eq!(publisher.publish(0).unwrap().accepted, bus.sink_count(), "the publisher stays usable");
    published
}

fn one(publisher: &mut Publisher<u64>) -> Published {
    publisher.publish(1000).unwrap()
}

#[test]
fn removal_releases_a_publisher_at_the_gate() {
    let (bus, journal) = (Bus::new(), journal());
    let id = bus.add(journal.clone()).unwrap();
    let mut gate = gate(&journal);
    let full = fill(&journal);
    let closed = journal.state().ledger.refused.closed;
    assert_eq!(removed_meanwhile(bus, id, one), took(0, 1));
    assert_eq!(books(&journal.feed()).ledger.refused.closed, closed + 1, "counted");
    // The journal still works without the bus.
    assert!(!journal.feed().is_closed());
    assert_eq!(gate.try_iter().count() as u64, full);
    assert_eq!(journal.publish(7).unwrap().get(), full);
    books(&journal.feed());
}

#[test]
fn removal_releases_a_batch_at_the_gate() {
    let (bus, journal) = (Bus::new(), journal());
    let id = bus.add(journal.clone()).unwrap();
    let _gate = gate(&journal);
    fill(&journal);
    let publish = |publisher: &mut Publisher<u64>| publisher.publish_batch(numbers(0..10)).unwrap();
    assert_eq!(removed_meanwhile(bus, id, publish), took(0, 10));
}

#[test]
fn removal_releases_a_local_publisher_at_the_gate() {
    let (bus, journal) = (Bus::new(), journal());
    let id = bus.add(journal.clone()).unwrap();
    let _gate = gate(&journal);
    fill(&journal);
    let other = bus.clone();
    let publisher = waits(move || other.with_local(|publisher| publisher.publish(1).unwrap()));
    assert_eq!(ends(move || bus.remove(id)), Ok(Removed::Quiet));
    assert_eq!(ends(move || publisher.join().unwrap()), took(0, 1));
}

#[test]
fn limited_removal_releases_a_publisher_at_the_gate() {
    let (bus, journal) = (Bus::new(), journal());
    let id = bus.add(journal.clone()).unwrap();
    let _gate = gate(&journal);
    fill(&journal);
    let publisher = blocked(bus.publisher(), one);
    let removed = ends(move || bus.remove_timeout(id, HOUR));
    assert_eq!(removed, Ok(Removed::Quiet), "the removal returns long before its limit");
    assert_eq!(ends(move || publisher.join().unwrap().0), took(0, 1));
}

#[test]
fn zero_limit_removal_releases_a_publisher() {
    let (bus, journal) = (Bus::new(), journal());
    let id = bus.add(journal.clone()).unwrap();
    let _gate = gate(&journal);
    fill(&journal);
    let publisher = blocked(bus.publisher(), one);
    let removed = ends(move || bus.remove_timeout(id, Duration::ZERO));
    assert!(matches!(removed, Ok(Removed::Quiet | Removed::StillInside)));
    assert_eq!(ends(move || publisher.join().unwrap().0), took(0, 1));
}

#[test]
fn removal_releases_every_publisher_at_the_gate() {
    let (bus, journal) = (Bus::new(), journal());
    let id = bus.add(journal.clone()).unwrap();
    let _gate = gate(&journal);
    fill(&journal);
    let publishers = [(); 8].map(|()| blocked(bus.publisher(), one));
    assert_eq!(ends(move || bus.remove(id)), Ok(Removed::Quiet));
    for publisher in publishers {
        assert_eq!(ends(move || publisher.join().unwrap().0), took(0, 1));
    }
    assert_eq!(books(&journal.feed()).ledger.refused.closed, 8);
}

#[test]
fn removal_releases_publishers_through_combinators() {
    type Wrap = fn(&Bus<u64>, Journal<u64>) -> SinkId;
    let ways: [(&str, Wrap); 6] = [
        ("filter", |bus, journal| bus.add(journal.filter(|_| true)).unwrap()),
        ("map", |bus, journal| bus.add(journal.map(|n: &u64| *n)).unwrap()),
        ("inspect", |bus, journal| bus.add(journal.inspect_fn(|_: &u64| {})).unwrap()),
        ("catch_panic", |bus, journal| bus.add(journal.catch_panic()).unwrap()),
        ("tee", |bus, journal| {
            let (channel, receiver) = Channel::lossy(1024).unwrap();
            std::mem::forget(receiver);
            bus.add(channel.tee(journal)).unwrap()
        }),
        ("tee of journals", |bus, journal| bus.add(Journal::new(64).unwrap().tee(journal)).unwrap()),
    ];
    for (way, wrap) in ways {
        let (bus, journal) = (Bus::new(), journal());
        let id = wrap(&bus, journal.clone());
        let _gate = gate(&journal);
        fill(&journal);
        let publisher = blocked(bus.publisher(), one);
        assert_eq!(ends(move || bus.remove(id)), Ok(Removed::Quiet), "{way}");
        let _ = ends(move || publisher.join().unwrap());
        assert_eq!(books(&journal.feed()).ledger.refused.closed, 1, "{way}");
    }
}

#[test]
fn removal_keeps_publishers_of_another_bus_waiting() {
    let (bus, other, journal) = (Bus::new(), Bus::new(), journal());
    let id = bus.add(journal.clone()).unwrap();
    other.add(journal.clone()).unwrap();
    let mut gate = gate(&journal);
    let full = fill(&journal);
    let (gone, stays) = (blocked(bus.publisher(), one), blocked(other.publisher(), one));
    let direct = waits({
        let journal = journal.clone();
        move || journal.publish(1000).unwrap().get()
    });
    assert_eq!(ends(move || bus.remove(id)), Ok(Removed::Quiet));
    assert_eq!(ends(move || gone.join().unwrap().0), took(0, 1));
    let reader = std::thread::spawn(move || gate.iter().take(full as usize + 2).count() as u64);
    assert_eq!(ends(move || reader.join().unwrap()), full + 2);
    assert_eq!(ends(move || stays.join().unwrap().0), took(1, 0));
    assert!(ends(move || direct.join().unwrap()) >= full);
    assert_eq!(books(&journal.feed()).ledger.refused.closed, 1);
}

/// A user-defined stage that does not name its inner lane, so the lane cannot be sealed.
struct Stage(Lane<u64>);

impl LaneWrite<u64> for Stage {
    fn offer(&mut self, event: u64, deadline: Deadline) -> Result<Disposition, WriteError<u64>> {
        self.0.offer(event, deadline)
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }
}

/// A user-defined wrapper around another sink.
struct Wrapped<S>(S);

impl<S: Sink<u64>> Sink<u64> for Wrapped<S> {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        self.0.write(event)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.0);
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u64>>, OutOfMemory> {
        Ok(self.0.lane()?.map(|lane| Lane::staged(Stage(lane))))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }
}

#[test]
fn removal_releases_publishers_of_unsealable_sinks() {
    type Wrap = fn(&Bus<u64>, Journal<u64>, Bus<u64>) -> SinkId;
    let ways: [(&str, Wrap); 4] = [
        ("a bus", |bus, journal, inner| {
            inner.add(journal).unwrap();
            bus.add(inner).unwrap()
        }),
        ("two buses", |bus, journal, inner| {
            let between = Bus::new();
            inner.add(journal).unwrap();
            between.add(inner).unwrap();
            // A bus closes when its last handle is dropped.
            std::mem::forget(between.clone());
            bus.add(between).unwrap()
        }),
        ("a mapped bus", |bus, journal, inner| {
            inner.add(journal.filter(|_| true)).unwrap();
            bus.add(inner.map(|n: &u64| *n)).unwrap()
        }),
        ("a user-defined stage", |bus, journal, inner| {
            inner.add(journal.clone()).unwrap();
            bus.add(Wrapped(journal)).unwrap()
        }),
    ];
    for (way, wrap) in ways {
        let (bus, inner, journal) = (Bus::new(), Bus::new(), journal());
        let id = wrap(&bus, journal.clone(), inner.clone());
        let mut gate = gate(&journal);
        let full = fill(&journal);
        let publisher = blocked(bus.publisher(), one);
        assert_eq!(ends(move || bus.remove(id)), Ok(Removed::Quiet), "{way}");
        let _ = ends(move || publisher.join().unwrap());
        let refused = books(&journal.feed()).ledger.refused;
        assert_eq!(refused.timeout + refused.closed, 1, "{way}: {refused:?}");
        // The inner bus and its journal still work.
        assert_eq!(gate.try_iter().count() as u64, full);
        assert_eq!((inner.sink_count(), inner.publish(7).unwrap()), (1, took(1, 0)), "{way}");
        assert_eq!(inner.publisher().publish(8).unwrap(), took(1, 0), "{way}");
        books(&journal.feed());
    }
}

#[test]
fn bus_removal_releases_a_publisher_in_a_full_channel() {
    let (bus, inner) = (Bus::new(), Bus::new());
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    inner.add(channel).unwrap();
    let id = bus.add(inner.clone()).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    let publisher = blocked(publisher, one);
    assert_eq!(ends(move || bus.remove(id)), Ok(Removed::Quiet));
    let _ = ends(move || publisher.join().unwrap());
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(inner.publisher().publish(2).unwrap(), took(1, 0), "the channel stays on its bus");
    assert_eq!(receiver.recv(), Ok(2));
}

#[test]
fn wait_at_a_gate_ends_with_the_timeout_around_it() {
    let (bus, journal) = (Bus::new(), journal());
    bus.add(journal.clone().timeout(Duration::from_millis(10))).unwrap();
    let _gate = gate(&journal);
    fill(&journal);
    let published = ends(move || [bus.publisher().publish(1).unwrap(), bus.publish(2).unwrap()]);
    assert_eq!(published, [took(0, 1); 2]);
    assert_eq!(books(&journal.feed()).ledger.refused.timeout, 2);
}

/// Starts a publisher for every way to wait at the gate of a journal on a bus.
fn crowd(bus: &Bus<u64>, journal: &Journal<u64>) -> Vec<JoinHandle<u64>> {
    let refused = |published: Published| published.refused as u64;
    let routes = Route::all(bus).map(|mut route| {
        waits(move || match route.publish(1000) {
            Ok(published) => refused(published),
            Err(_) => 1,
        })
    });
    let (one, batch, sink) = (journal.clone(), journal.clone(), journal.clone());
    let mut all = Vec::from(routes);
    all.push(waits(move || u64::from(one.publish(1000).is_err())));
    all.push(waits(move || {
        batch.publish_batch(numbers(0..10)).map_or_else(|back| back.into_event().len() as u64, |_| 0)
    }));
    all.push(waits(move || u64::from(Sink::write(&sink, 1000).is_err())));
    all
}

/// Closes the bus with `close` while publishers wait in every way. Checks that each is released,
/// and that its events are counted.
#[track_caller]
fn closed_meanwhile(close: impl FnOnce(Bus<u64>, Journal<u64>) + Send + 'static) {
    let (bus, journal) = (Bus::new(), journal());
    bus.add(journal.clone()).unwrap();
    let mut gate = gate(&journal);
    let full = fill(&journal);
    let before = journal.state().ledger.refused.total();
    let crowd = crowd(&bus, &journal);
    let feed = journal.feed();
    wait_for(|| feed.next().get() == full);
    ends(move || close(bus, journal));
    let refused: u64 = crowd.into_iter().map(|one| ends(move || one.join().unwrap())).sum();
    assert_eq!(refused, 15);
    // The bus itself refused a publish that had not reached the journal yet.
    let counted = books(&feed).ledger.refused;
    assert!(counted.total() - before <= 15 && counted.closed >= 12, "{counted:?}");
    assert_eq!(rest(&mut gate), numbers(0..full));
}

#[test]
fn bus_close_releases_every_publisher() {
    closed_meanwhile(|bus, _| assert!(bus.close().is_done()));
}

#[test]
fn limited_bus_close_releases_every_publisher() {
    closed_meanwhile(|bus, _| assert!(bus.close_timeout(HOUR).is_done()));
}

#[test]
fn journal_close_releases_every_publisher() {
    closed_meanwhile(|_, journal| journal.close());
}

#[test]
fn last_handle_drop_releases_a_lane_at_the_gate() {
    let journal = journal();
    let mut lane = journal.lane().unwrap().unwrap();
    let _gate = gate(&journal);
    fill(&journal);
    let feed = journal.feed();
    let pushing =
        waits(move || lane.push(1, buslane::time::Deadline::NEVER).is_err_and(|error| error.is_closed()));
    drop(journal);
    assert!(ends(move || pushing.join().unwrap()));
    assert_eq!(books(&feed).ledger.refused.closed, 1);
}
