//! `publish_async` into sinks that branch, and through shared lanes: no sink whose policy is to wait is
//! given up because it is full at that moment.

use crate::{by_hand, poll};
use buslane::channel::SharedReceiver;
use buslane::{Bus, Channel, Publisher, Receiver, SinkExt, SinkId, sink_fn};
use std::sync::Arc;
use std::task::Poll;
use test_support::{assert_balanced, block_on};

type Event = (u64, Arc<()>);

/// The event of a sink that takes the room of another sink in the middle of a publish.
const THIEF: u64 = 99;

/// A bus with a lossy channel, and with a full sink inside a sink that branches.
struct Branch {
    name: &'static str,
    bus: Bus<Event>,
    /// A clone of the full channel, which several receivers share.
    channel: Channel<Event>,
    receiver: SharedReceiver<Event>,
    /// The other channel of the branch.
    lossy: Receiver<Event>,
    /// The bus that has the full channel, and its id there, if it is a sink of a bus.
    inner: Option<(Bus<Event>, SinkId)>,
}

impl Branch {
    fn new(
        name: &'static str,
        make: impl FnOnce(&Bus<Event>, Channel<Event>, Channel<Event>) -> Inner,
    ) -> Self {
        let (channel, receiver) = Channel::shared_lossless(1).unwrap();
        let (other, lossy) = Channel::lossy(16).unwrap();
        let bus = Bus::new();
        let inner = make(&bus, channel.clone(), other);
        // Called before the sinks that may make a publisher wait: takes the room of one of them.
        let thief = channel.clone();
        let steal = move |(number, count): &Event| {
            if *number == 1 {
                use buslane::Sink;
                assert!(thief.write((THIEF, count.clone())).is_ok(), "there was room");
            }
        };
        bus.add(sink_fn(steal)).unwrap();
        Self { name, bus, channel, receiver, lossy, inner }
    }

    fn all() -> Vec<Self> {
        let into = |bus: &Bus<Event>, channel, other| {
            let id = bus.add(channel).unwrap();
            bus.add(other).unwrap();
            Some((bus.clone(), id))
        };
        let nested = |channel, other| {
            let inner = Bus::new();
            let at = into(&inner, channel, other);
            (inner, at)
        };
        vec![
            Self::new("bus", into),
            Self::new("nested bus", |bus, channel, other| {
                let (inner, at) = nested(channel, other);
                bus.add(inner).unwrap();
                at
            }),
            Self::new("mapped nested bus", |bus, channel, other| {
                let (inner, at) = nested(channel, other);
                bus.add(inner.map(|event: &Event| event.clone()).filter(|_| true)).unwrap();
                at
            }),
            Self::new("bus in a bus in a bus", |bus, channel, other| {
                let (inner, at) = nested(channel, other);
                let middle = Bus::new();
                middle.add(inner).unwrap();
                bus.add(middle).unwrap();
                at
            }),
            Self::new("tee", |bus, channel, other| {
                bus.add(channel.tee(other)).unwrap();
                None
            }),
            Self::new("tee of a nested bus", |bus, channel, other| {
                let inner = Bus::new();
                let id = inner.add(channel).unwrap();
                bus.add(other.tee(inner.clone())).unwrap();
                Some((inner, id))
            }),
        ]
    }

    /// Returns the numbers of the events that the lossy channel has got.
    fn seen(&mut self) -> Vec<u64> {
        self.lossy.drain().map(|(number, _)| number).collect()
    }

    fn take(&mut self) -> Option<u64> {
        self.receiver.try_recv().ok().map(|(number, _)| number)
    }
}

type Inner = Option<(Bus<Event>, SinkId)>;

fn event(number: u64) -> (Arc<()>, Event) {
    let count = Arc::new(());
    (count.clone(), (number, count))
}

#[test]
fn full_branch_gets_the_event_when_it_has_room() {
    for mut place in Branch::all() {
        let mut publisher = place.bus.publisher();
        let (mut publish, count, waker) = by_hand(publisher.publish_async(event(1).1));
        assert!(poll(publish.as_mut(), &waker).is_pending(), "{}: it gives up a full sink", place.name);
        assert!(poll(publish.as_mut(), &waker).is_pending(), "{}: a spurious poll", place.name);
        assert_eq!(place.lossy.drain().count(), 1, "{}: the other sink has it", place.name);
        assert_eq!(place.receiver.try_recv().map(|(number, _)| number), Ok(THIEF), "{}", place.name);
        assert_eq!(count.get(), 1, "{}", place.name);
        let Poll::Ready(published) = poll(publish.as_mut(), &waker) else { panic!("{}: room", place.name) };
        assert_eq!(published.unwrap().refused, 0, "{}", place.name);
        drop(publish);
        assert_eq!(place.take(), Some(1), "{}", place.name);
        assert!(place.lossy.is_empty() && place.receiver.is_empty(), "{}: exactly once", place.name);
        assert_balanced(&place.channel.state());
        place.bus.snapshot().sinks.iter().for_each(|sink| _ = assert_balanced(&sink.state));
        // The next publish is as usual.
        assert_eq!(block_on(publisher.publish_async(event(2).1)).unwrap().refused, 0);
        assert_eq!((place.take(), place.seen()), (Some(2), vec![2]), "{}", place.name);
    }
}

#[test]
fn tee_waits_for_the_side_that_lacks_the_event() {
    let (first, _first_receiver) = Channel::lossless(1).unwrap();
    let (second, mut second_receiver) = Channel::shared_lossless(1).unwrap();
    let (thief, bus) = (second.clone(), Bus::new());
    bus.add(sink_fn(move |_: &u64| assert!(buslane::Sink::write(&thief, THIEF).is_ok()))).unwrap();
    bus.add(first.tee(second)).unwrap();
    let mut publisher = bus.publisher();
    let (mut publish, count, waker) = by_hand(publisher.publish_async(1));
    assert!(poll(publish.as_mut(), &waker).is_pending());
    // The first side has the event, and stays full.
    assert_eq!(second_receiver.try_recv(), Ok(THIEF));
    assert_eq!(count.get(), 1);
    assert!(matches!(poll(publish.as_mut(), &waker), Poll::Ready(Ok(published)) if published.is_complete()));
    assert_eq!(second_receiver.try_recv(), Ok(1));
}

#[test]
fn cancelled_publish_takes_its_event_back() {
    for mut place in Branch::all() {
        let mut publisher = place.bus.publisher();
        let (kept, event_of_one) = event(1);
        let (mut publish, count, waker) = by_hand(publisher.publish_async(event_of_one));
        assert!(poll(publish.as_mut(), &waker).is_pending(), "{}", place.name);
        assert_eq!(place.seen(), [1], "{}", place.name);
        drop((publish, waker));
        assert_eq!(Arc::strong_count(&count), 1, "{}: a waker is left", place.name);
        assert_eq!(place.take(), Some(THIEF), "{}", place.name);
        assert_eq!(Arc::strong_count(&kept), 1, "{}: the event is left in a lane", place.name);
        assert_eq!(place.take(), None, "{}: the sink does not get it later", place.name);
        assert_eq!(block_on(publisher.publish_async(event(2).1)).unwrap().refused, 0);
        assert_eq!((place.take(), place.seen()), (Some(2), vec![2]), "{}", place.name);
        assert_balanced(&place.channel.state());
    }
}

#[test]
fn removal_ends_what_a_branch_owes() {
    for mut place in Branch::all() {
        let Some((inner, id)) = place.inner.clone() else { continue };
        let mut publisher = place.bus.publisher();
        let (mut publish, count, waker) = by_hand(publisher.publish_async(event(1).1));
        assert!(poll(publish.as_mut(), &waker).is_pending(), "{}", place.name);
        inner.remove(id).unwrap();
        assert!(count.get() > 0, "{}", place.name);
        let Poll::Ready(published) = poll(publish.as_mut(), &waker) else { panic!("{}", place.name) };
        // As for a thread that waits: a sink of the bus itself refuses the event.
        assert_eq!(published.unwrap().refused, u32::from(place.name == "bus"), "{}", place.name);
        drop(publish);
        assert_eq!((place.take(), place.take()), (Some(THIEF), None), "{}", place.name);
        assert_eq!(place.seen(), [1], "{}", place.name);
    }
}

#[test]
fn close_ends_what_a_branch_owes() {
    for mut place in Branch::all() {
        let mut publisher = place.bus.publisher();
        let (mut publish, count, waker) = by_hand(publisher.publish_async(event(1).1));
        assert!(poll(publish.as_mut(), &waker).is_pending(), "{}", place.name);
        let _ = place.bus.close();
        assert!(count.get() > 0, "{}", place.name);
        // At least one sink has the event.
        assert!(matches!(poll(publish.as_mut(), &waker), Poll::Ready(Ok(_))), "{}", place.name);
        drop(publish);
        assert_eq!((place.take(), place.take()), (Some(THIEF), None), "{}", place.name);
    }
}

#[test]
fn full_sink_added_inside_a_nested_bus_gets_the_event() {
    // The publisher reserves room in the sinks that it knows of. The sink is full, and was added since.
    let (outer, inner) = (Bus::new(), Bus::new());
    outer.add(inner.clone()).unwrap();
    let mut lossy = inner.subscribe_lossy(16).unwrap();
    let mut publisher = outer.publisher();
    assert!(publisher.publish(0).unwrap().is_complete());
    let (channel, mut receiver) = Channel::shared_lossless(1).unwrap();
    inner.add(channel.clone()).unwrap();
    assert!(buslane::Sink::write(&channel, THIEF).is_ok());
    let (mut publish, count, waker) = by_hand(publisher.publish_async(1));
    assert!(poll(publish.as_mut(), &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok(THIEF));
    assert_eq!(count.get(), 1);
    assert!(matches!(poll(publish.as_mut(), &waker), Poll::Ready(Ok(published)) if published.is_complete()));
    assert_eq!((receiver.try_recv(), lossy.drain().collect::<Vec<_>>()), (Ok(1), vec![0, 1]));
}

/// Lends a publisher without lanes.
fn without_lanes(bus: &Bus<Event>, body: impl FnOnce(&mut Publisher<Event>)) {
    bus.with_local(|_| bus.with_local(body));
}

#[test]
fn shared_lane_gets_the_event_when_it_has_room() {
    for cancelled in [false, true] {
        let mut place = Branch::all().remove(0);
        let bus = place.bus.clone();
        without_lanes(&bus, |publisher| {
            let (kept, event_of_one) = event(1);
            let (mut publish, count, waker) = by_hand(publisher.publish_async(event_of_one));
            assert!(poll(publish.as_mut(), &waker).is_pending());
            assert_eq!(place.seen(), [1], "the other sinks have it");
            if cancelled {
                drop(publish);
                assert_eq!((place.take(), place.take()), (Some(THIEF), None));
                assert_eq!(Arc::strong_count(&kept), 1);
                return;
            }
            assert_eq!((place.take(), count.get()), (Some(THIEF), 1));
            let Poll::Ready(published) = poll(publish.as_mut(), &waker) else { panic!("room") };
            assert_eq!((published.unwrap().refused, place.take()), (0, Some(1)));
        });
        assert_balanced(&place.channel.state());
    }
}

#[test]
fn close_of_a_bus_ends_a_publish_without_lanes() {
    let (channel, _receiver) = Channel::shared_lossless(1).unwrap();
    let bus = Bus::new();
    bus.add(channel).unwrap();
    without_lanes(&bus, |publisher| {
        assert!(publisher.publish(event(0).1).unwrap().is_complete());
        let (mut publish, count, waker) = by_hand(publisher.publish_async(event(1).1));
        assert!(poll(publish.as_mut(), &waker).is_pending());
        let _ = bus.close();
        assert!(count.get() > 0);
        assert!(matches!(poll(publish.as_mut(), &waker), Poll::Ready(Err(_))));
    });
}
