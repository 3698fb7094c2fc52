//! Events that are completed in their slots: every sink gets the whole event, and no consumer sees it
//! before.

use buslane::bus::InlineBytes;
use buslane::error::Closed;
use buslane::journal::Start;
use buslane::{Bus, Channel, Journal, Overflow, Published, Publisher, Queue, SinkExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use test_support::bus::{ledger, lost, recorder, took};
use test_support::{GUARD, Log, wait_for};

type Text = InlineBytes<100>;

/// Publishes a text in two pieces, with the steps of `meanwhile` between them.
fn publish(
    publisher: &mut Publisher<Text>,
    text: &str,
    meanwhile: impl FnOnce(),
) -> Result<Published, Closed<()>> {
    let (first, second) = text.split_at(text.len() / 2);
    let begin = || {
        let mut begun = Text::new();
        assert!(begun.append(first.as_bytes()));
        begun
    };
    publisher.publish_in_place(begin, |event| {
        meanwhile();
        assert!(event.append(second.as_bytes()));
    })
}

fn texts(events: impl IntoIterator<Item = Text>) -> Vec<String> {
    events.into_iter().map(|event| String::from_utf8_lossy(&event).into_owned()).collect()
}

#[test]
fn consumer_gets_each_completed_event_in_order() {
    for capacity in [1, 3, 64] {
        let bus = Bus::new();
        let mut receiver = bus.subscribe_lossy(capacity).unwrap();
        let mut publisher = bus.publisher();
        for n in 0..200 {
            let text = "x".repeat(n % 100);
            assert_eq!(publish(&mut publisher, &text, || {}), Ok(took(1, 0)));
            assert_eq!(texts(receiver.try_recv()), [text]);
        }
    }
}

#[test]
fn consumer_does_not_see_an_incomplete_event() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(4).unwrap();
    let mut publisher = bus.publisher();
    let look = || assert!(receiver.try_recv().is_err());
    assert_eq!(publish(&mut publisher, "whole", look), Ok(took(1, 0)));
    assert_eq!(texts(receiver.try_recv()), ["whole"]);
}

#[test]
fn every_kind_of_sink_gets_the_completed_event() {
    type Add = fn(&Bus<Text>, Log<Text>);
    let adds: [(&str, Add); 6] = [
        ("a queue", |bus, log| {
            bus.add(Queue::builder().spawn(move |event| log.push(event)).unwrap()).unwrap();
        }),
        ("a queue with two workers", |bus, log| {
            let worker = |_| {
                let log = log.clone();
                move |event| log.push(event)
            };
            bus.add(Queue::builder().workers(2).spawn_each(worker).unwrap()).unwrap();
        }),
        ("a queue that evicts", |bus, log| {
            let queue = Queue::builder().overflow(Overflow::DropOldest);
            bus.add(queue.spawn(move |event| log.push(event)).unwrap()).unwrap();
        }),
        ("an unbounded queue", |bus, log| {
            bus.add(Queue::builder().unbounded().spawn(move |event| log.push(event)).unwrap()).unwrap();
        }),
        ("a filtered queue", |bus, log| {
            let queue = Queue::builder().spawn(move |event| log.push(event)).unwrap();
            bus.add(queue.filter(|event: &Text| event.len() > 1)).unwrap();
        }),
        ("a journal", |bus, log| {
            let journal = Journal::new(64).unwrap();
            let mut subscriber = journal.subscribe(Start::Oldest).unwrap();
            bus.add(journal).unwrap();
            std::thread::spawn(move || {
                while let Ok(entry) = subscriber.recv() {
                    log.push(entry.event().expect("no event is missed"));
                }
            });
        }),
    ];
    for (what, add) in adds {
        let (bus, log) = (Bus::new(), Log::new());
        add(&bus, log.clone());
        let mut publisher = bus.publisher();
        for text in ["one", "two", "three"] {
            assert_eq!(publish(&mut publisher, text, || {}), Ok(took(1, 0)), "{what}");
        }
        wait_for(|| log.entries().len() == 3);
        let mut seen = texts(log.entries());
        seen.sort();
        assert_eq!(seen, ["one", "three", "two"], "{what}");
    }
}

#[test]
fn several_sinks_get_the_same_event() {
    let bus = Bus::new();
    let mut receivers = [(); 3].map(|()| bus.subscribe_lossy(4).unwrap());
    let (direct, sink) = recorder();
    bus.add(sink).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(publish(&mut publisher, "event", || {}), Ok(took(4, 0)));
    for receiver in &mut receivers {
        assert_eq!(texts(receiver.try_recv()), ["event"]);
    }
    assert_eq!(texts(direct.entries()), ["event"]);
}

#[test]
fn nothing_is_called_without_sinks() {
    let bus: Bus<Text> = Bus::new();
    let mut publisher = bus.publisher();
    let never = |publisher: &mut Publisher<Text>| {
        publisher.publish_in_place(|| panic!("no sink wants the event"), |_| panic!("there is no event"))
    };
    assert_eq!(never(&mut publisher), Ok(took(0, 0)));
    assert_eq!(bus.with_local(|local| never(local)), Ok(took(0, 0)));
    let id = bus.add(Channel::lossy(4).unwrap().0).unwrap();
    bus.remove(id).unwrap();
    assert_eq!(never(&mut publisher), Ok(took(0, 0)));
    assert!(bus.close().is_done());
    assert_eq!(never(&mut publisher), Err(Closed(())));
}

#[test]
fn full_lane_applies_its_overflow_policy() {
    for (overflow, expected) in [
        (Overflow::DropNewest, lost(0, 1, 0)),
        (Overflow::Refuse, took(0, 1)),
        (Overflow::DropOldest, took(1, 0)),
    ] {
        let (channel, mut receiver) = Channel::builder().capacity(2).overflow(overflow).build().unwrap();
        let bus = Bus::new();
        bus.add_named("channel", channel).unwrap();
        let mut publisher = bus.publisher();
        for text in ["one", "two"] {
            assert_eq!(publish(&mut publisher, text, || {}), Ok(took(1, 0)));
        }
        assert_eq!(publish(&mut publisher, "three", || {}), Ok(expected));
        let left = if matches!(overflow, Overflow::DropOldest) { ["two", "three"] } else { ["one", "two"] };
        assert_eq!(texts(receiver.drain()), left);
        assert_eq!(ledger(&bus, "channel").offered, 3);
    }
}

#[test]
fn sink_that_is_added_meanwhile_gets_the_event() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(4).unwrap();
    let mut publisher = bus.publisher();
    let mut late = None;
    let add = || late = Some(bus.subscribe_lossy(4).unwrap());
    assert_eq!(publish(&mut publisher, "event", add), Ok(took(2, 0)));
    assert_eq!(texts(receiver.try_recv()), ["event"]);
    let mut late = late.unwrap();
    assert_eq!(texts(late.try_recv()), ["event"]);
    assert_eq!(publish(&mut publisher, "again", || {}), Ok(took(2, 0)));
}

#[test]
fn receiver_that_is_dropped_meanwhile_refuses_the_event() {
    let bus = Bus::new();
    let receiver = bus.subscribe_lossy(4).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(publish(&mut publisher, "event", || drop(receiver)), Ok(took(0, 1)));
    assert_eq!(publish(&mut publisher, "again", || {}), Ok(took(0, 0)));
}

#[test]
fn close_meanwhile_returns_the_event_to_no_sink() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(4).unwrap();
    let mut publisher = bus.publisher();
    let closing = bus.clone();
    let close = || drop(std::thread::spawn(move || closing.close_timeout(GUARD)).join());
    assert_eq!(publish(&mut publisher, "event", close), Err(Closed(())));
    assert_eq!(texts(receiver.drain()), [""; 0]);
}

/// An event with a destructor that its test sees.
#[derive(Clone)]
struct Held(#[expect(dead_code, reason = "it is counted")] Option<Arc<()>>);

#[test]
fn panic_publishes_nothing_and_drops_the_event() {
    // With one sink the event is completed in its slot, with two on the stack.
    for sinks in 1..=2 {
        let (bus, alive) = (Bus::new(), Arc::new(()));
        let mut receivers: Vec<_> = (0..sinks).map(|_| bus.subscribe_lossy(2).unwrap()).collect();
        let mut publisher = bus.publisher();
        let held = || Held(Some(alive.clone()));
        for _ in 0..5 {
            let panics = || publisher.publish_in_place(held, |_| panic!("while it completes the event"));
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
            let panics = || publisher.publish_in_place(|| panic!("before the event"), |_| {});
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        }
        assert!(receivers.iter_mut().all(|receiver| receiver.drain().count() == 0));
        assert_eq!(Arc::strong_count(&alive), 1);
        assert_eq!(publisher.publish_in_place(|| Held(None), |event| *event = held()), Ok(took(sinks, 0)));
        assert_eq!(Arc::strong_count(&alive), 1 + sinks);
        assert!(receivers.iter_mut().all(|receiver| receiver.drain().count() == 1));
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[test]
fn nested_publish_takes_the_shared_lane() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossy(8).unwrap();
    bus.with_local(|outer| {
        let nested = || {
            let mut event = Text::new();
            assert!(event.append(b"inner"));
            let published = bus.with_local(|inner| inner.publish(event));
            assert_eq!(published.ok(), Some(took(1, 0)));
        };
        assert_eq!(publish(outer, "outer", nested), Ok(took(1, 0)));
    });
    let mut seen = texts(receiver.drain());
    seen.sort();
    assert_eq!(seen, ["inner", "outer"]);
}
