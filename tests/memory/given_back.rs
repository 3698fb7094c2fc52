//! The ring of a publisher is freed when both sides are done with it, without a query of the sink's
//! state: counted in bytes of all threads.
//!
//! Every test keeps a handle of the sink, and queries nothing from it.

use buslane::testing::Gate;
use buslane::{Bus, Channel, Overflow, Publisher, Queue, Receiver, SinkId, WaitStrategy, noop};
use std::sync::Mutex;
use test_support::heap::{WIDE, wide_bytes};
use test_support::{lane, lock, wait_for};

/// An event whose rings are counted by [`wide_bytes`].
#[derive(Clone)]
#[repr(align(4096))]
struct Event(u8);

const _: () = assert!(align_of::<Event>() >= WIDE);

/// The bytes of the rings that were created since a starting point.
struct Rings(i64);

impl Rings {
    /// Starts to count now.
    fn since_now() -> Self {
        Self(wide_bytes())
    }

    fn bytes(&self) -> i64 {
        wide_bytes() - self.0
    }
}

/// Calls `test` for each kind of private lane, in sequence and never in parallel with another test.
fn for_each_lane(mut test: impl FnMut(Overflow)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = lock(&ALONE);
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Block] {
        test(overflow);
        // A worker holds its queue until its thread ends.
        wait_for(|| wide_bytes() == 0);
    }
}

fn channel(overflow: Overflow) -> (Channel<Event>, Receiver<Event>) {
    let builder = Channel::builder().capacity(4).overflow(overflow);
    builder.wait_strategy(WaitStrategy::Park).build().unwrap()
}

/// Returns a bus that keeps no lanes of dropped publishers.
fn bus() -> Bus<Event> {
    Bus::builder().kept_publishers(0).build()
}

/// Returns a publisher of a bus with this sink, after it has published one event into its private
/// ring.
fn publisher(bus: &Bus<Event>, rings: &Rings) -> Publisher<Event> {
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish(Event(1)).unwrap().accepted, 1);
    assert!(rings.bytes() > 0, "a lane has a ring");
    publisher
}

#[test]
fn ring_goes_when_a_publisher_leaves_a_read_lane() {
    for_each_lane(|overflow| {
        let (channel, mut receiver) = channel(overflow);
        let bus = bus();
        bus.add(channel.clone()).unwrap();
        let rings = Rings::since_now();
        let publisher = publisher(&bus, &rings);
        assert!(receiver.try_recv().is_ok());
        drop(publisher);
        // The next poll drops the receiver's half.
        assert!(receiver.try_recv().is_err());
        assert_eq!(rings.bytes(), 0, "{overflow}");
        drop(channel);
    });
}

#[test]
fn ring_goes_when_a_left_lane_is_read() {
    for_each_lane(|overflow| {
        let (channel, mut receiver) = channel(overflow);
        let bus = bus();
        bus.add(channel.clone()).unwrap();
        let rings = Rings::since_now();
        drop(publisher(&bus, &rings));
        assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_err());
        assert_eq!(rings.bytes(), 0, "{overflow}");
        drop(channel);
    });
}

#[test]
fn ring_goes_with_a_dropped_receiver() {
    for_each_lane(|overflow| {
        for publisher_first in [false, true] {
            let (channel, receiver) = channel(overflow);
            let bus = bus();
            bus.add(channel.clone()).unwrap();
            let rings = Rings::since_now();
            let publisher = publisher(&bus, &rings);
            if publisher_first {
                drop(publisher);
                drop(receiver);
            } else {
                drop(receiver);
                drop(publisher);
            }
            assert_eq!(rings.bytes(), 0, "{overflow}, publisher first: {publisher_first}");
            drop(channel);
        }
    });
}

#[test]
fn ring_goes_with_a_closed_and_drained_channel() {
    for_each_lane(|overflow| {
        let (channel, mut receiver) = channel(overflow);
        let bus = bus();
        let id = bus.add(channel.clone()).unwrap();
        let rings = Rings::since_now();
        let mut publisher = publisher(&bus, &rings);
        channel.close();
        assert!(bus.remove(id).is_ok());
        // The publisher returns the lane, and the bus drops it.
        assert_eq!(publisher.publish(Event(1)).unwrap().accepted, 0);
        drop(bus.snapshot());
        assert!(receiver.recv().is_ok() && receiver.recv().is_err());
        assert_eq!(rings.bytes(), 0, "{overflow}");
        drop((channel, receiver));
    });
}

#[test]
fn lane_into_a_closed_sink_keeps_no_ring() {
    for_each_lane(|overflow| {
        let (channel, receiver) = channel(overflow);
        drop(receiver);
        let rings = Rings::since_now();
        drop(lane(&channel));
        assert_eq!(rings.bytes(), 0, "{overflow}");
        drop(channel);
    });
}

#[test]
fn unread_lane_without_events_keeps_no_ring() {
    for_each_lane(|overflow| {
        let (channel, receiver) = channel(overflow);
        let bus = bus();
        bus.add(channel.clone()).unwrap();
        let rings = Rings::since_now();
        drop(bus.publisher());
        assert_eq!(rings.bytes(), 0, "{overflow}");
        drop((channel, receiver));
    });
}

/// Returns a queue that reads private lanes, whose handlers pass `gate` with each event: with one
/// worker, or with one worker for each part of the keys.
fn queue(overflow: Overflow, is_ordered: bool, gate: &Gate) -> Queue<Event> {
    let builder = Queue::builder().capacity(4).overflow(overflow);
    let handler = || {
        let gate = gate.clone();
        move |_: Event| gate.pass()
    };
    if is_ordered {
        builder.workers(2).ordered_by(|event: &Event| event.0).spawn_each(|_| handler()).unwrap()
    } else {
        builder.spawn(handler()).unwrap()
    }
}

#[test]
fn ring_goes_when_a_worker_reads_a_left_lane() {
    for is_ordered in [false, true] {
        for_each_lane(|overflow| {
            let gate = Gate::closed();
            let queue = queue(overflow, is_ordered, &gate);
            let bus = bus();
            bus.add(queue.clone()).unwrap();
            let rings = Rings::since_now();
            drop(publisher(&bus, &rings));
            gate.open();
            wait_for(|| rings.bytes() == 0);
            assert!(queue.close().is_done());
        });
    }
}

#[test]
fn ring_goes_with_a_closed_queue() {
    for (is_ordered, publisher_first) in [(false, false), (false, true), (true, false), (true, true)] {
        for_each_lane(|overflow| {
            let gate = Gate::closed();
            let queue = queue(overflow, is_ordered, &gate);
            let bus = bus();
            bus.add(queue.clone()).unwrap();
            let rings = Rings::since_now();
            let mut publisher = Some(publisher(&bus, &rings));
            publisher.take_if(|_| publisher_first);
            gate.open();
            assert!(queue.close().is_done());
            drop(publisher);
            assert_eq!(rings.bytes(), 0, "{overflow}, publisher first: {publisher_first}");
        });
    }
}

#[test]
fn kept_ring_goes_with_the_next_change_of_the_bus() {
    let ways: [fn(&Bus<Event>, SinkId); 4] = [
        |bus, _| assert!(bus.add(noop()).is_ok()),
        |bus, id| assert!(bus.remove(id).is_ok()),
        |bus, _| assert!(bus.close().is_done()),
        |bus, _| drop(bus.attach(noop()).unwrap()),
    ];
    for_each_lane(|overflow| {
        for (at, way) in ways.iter().enumerate() {
            let (channel, mut receiver) = channel(overflow);
            let bus = Bus::new();
            let id = bus.add(channel.clone()).unwrap();
            let rings = Rings::since_now();
            let first = publisher(&bus, &rings);
            let each = rings.bytes();
            assert!(receiver.try_recv().is_ok());
            drop(first);
            for _ in 0..10 {
                let again = publisher(&bus, &rings);
                assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_err());
                drop(again);
                assert_eq!(rings.bytes(), each, "{overflow}, {at}: one ring serves all publishers");
            }
            way(&bus, id);
            assert!(receiver.try_recv().is_err());
            assert_eq!(rings.bytes(), 0, "{overflow}, {at}");
            drop(channel);
        }
    });
}

#[test]
fn kept_rings_go_with_the_bus() {
    for_each_lane(|overflow| {
        let (channel, mut receiver) = channel(overflow);
        let bus = Bus::new();
        bus.add(channel.clone()).unwrap();
        let rings = Rings::since_now();
        drop([publisher(&bus, &rings), publisher(&bus, &rings)]);
        drop(bus);
        assert_eq!(receiver.drain().count(), 2);
        assert!(receiver.try_recv().is_err());
        assert_eq!(rings.bytes(), 0, "{overflow}");
        drop(channel);
    });
}

#[test]
fn kept_ring_of_a_dropped_receiver_goes_with_the_next_publisher() {
    for_each_lane(|overflow| {
        let (channel, receiver) = channel(overflow);
        let bus = Bus::new();
        bus.add(channel.clone()).unwrap();
        let rings = Rings::since_now();
        drop(publisher(&bus, &rings));
        drop(receiver);
        drop(bus.publisher());
        assert_eq!((rings.bytes(), bus.sink_count()), (0, 0), "{overflow}");
        drop(channel);
    });
}
