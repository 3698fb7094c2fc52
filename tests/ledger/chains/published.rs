//! The outcome that a publisher receives agrees with the ledgers, for each way of publishing and
//! each kind of sink.

use buslane::retry::Backoff;
use buslane::sink::Inner;
use buslane::stats::{Disposition, DropReason, Ledger, SinkKind};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Journal, Overflow, Published, Queue, Sink, SinkExt, WriteError, sink_fn};
use std::sync::Arc;

const WAYS: [&str; 7] =
    ["publish", "try_publish", "publish_with", "in place", "publish_batch", "Bus::publish", "with_local"];

/// Publishes `events` events in the given way.
fn publish(bus: &Bus<u64>, way: &str, events: u64) -> Published {
    let mut publisher = bus.publisher();
    let mut told = Published::default();
    if way == "publish_batch" {
        return publisher.publish_batch((0..events).collect::<Vec<_>>()).unwrap();
    }
    for event in 0..events {
        told += match way {
            "publish" => publisher.publish(event).unwrap(),
            "try_publish" => publisher.try_publish(event).unwrap_or_else(|back| {
                assert_eq!(back.into_event(), event);
                let mut told = Published::default();
                told.refused = 1;
                told
            }),
            "publish_with" => publisher.publish_with(|| event).unwrap(),
            "in place" => publisher.publish_in_place(|| event / 2, |half| *half = event).unwrap(),
            "Bus::publish" => bus.publish(event).unwrap(),
            _ => bus.with_local(|publisher| publisher.publish(event)).unwrap(),
        };
    }
    told
}

fn counts(told: Published) -> (usize, u32, u32) {
    (told.accepted, told.dropped, told.refused)
}

fn ledger(bus: &Bus<u64>) -> Ledger {
    let ledger = bus.snapshot().sinks[0].state.ledger;
    assert_eq!(ledger.check(), Ok(()));
    ledger
}

#[test]
fn published_counts_drops_and_refusals_of_full_rings() {
    for way in WAYS {
        for (overflow, expected) in [
            (Overflow::DropNewest, (4, 6, 0)),
            // All new events are accepted; the evicted ones count in the ledger.
            (Overflow::DropOldest, (10, 0, 0)),
            (Overflow::Refuse, (4, 0, 6)),
        ] {
            for filtered in [false, true] {
                let context = format!("{way}, {overflow:?}, filtered: {filtered}");
                let bus = Bus::new();
                let (channel, _receiver) = Channel::builder().capacity(4).overflow(overflow).build().unwrap();
                if filtered {
                    bus.add(channel.filter(|_| true)).unwrap();
                } else {
                    bus.add(channel).unwrap();
                }
                let told = publish(&bus, way, 10);
                assert_eq!(counts(told), expected, "{context}");
                assert_eq!(told.is_complete(), overflow == Overflow::DropOldest, "{context}");
                let ledger = ledger(&bus);
                let dropped = ledger.dropped.full + ledger.refused.full;
                assert_eq!(dropped, u64::from(told.dropped + told.refused), "{context}: {ledger}");
            }
        }
    }
}

#[test]
fn published_counts_drops_in_every_kind_of_mailbox() {
    type Build = fn(Arc<Gate>) -> Queue<u64>;
    let builds: [(&str, Build); 2] = [
        ("several workers", |gate| {
            let work = move |_: &u64| gate.pass();
            Queue::builder().capacity(4).workers(2).spawn_sink(sink_fn(work)).unwrap()
        }),
        ("by key", |gate| {
            let work = move |_: &u64| gate.pass();
            Queue::builder().capacity(4).workers(2).ordered_by(|_| 0).spawn_sink(sink_fn(work)).unwrap()
        }),
    ];
    for way in WAYS {
        for (name, build) in builds {
            let (gate, bus) = (Arc::new(Gate::closed()), Bus::new());
            bus.add(build(gate.clone())).unwrap();
            let told = publish(&bus, way, 100);
            let context = format!("{way}, {name}: {told}");
            assert!(told.dropped > 0 && told.refused == 0, "{context}");
            gate.open();
            assert!(bus.close().is_done(), "{context}");
            let ledger = ledger(&bus);
            assert_eq!(
                (told.accepted as u64, 100),
                (ledger.delivered, ledger.offered),
                "{context}; {ledger}"
            );
            assert_eq!(u64::from(told.dropped), ledger.dropped.full, "{context}; {ledger}");
        }
    }
}

#[test]
fn published_counts_losses_of_a_direct_sink() {
    for way in WAYS {
        let bus = Bus::new();
        bus.add(sink_fn(|event: &u64| match event % 3 {
            0 => Ok(()),
            1 => Err("no route"),
            _ => panic!("as requested"),
        }))
        .unwrap();
        assert_eq!(counts(publish(&bus, way, 9)), (3, 3, 3), "{way}");
        let ledger = ledger(&bus);
        assert_eq!((ledger.delivered, ledger.dropped.panicked, ledger.refused.failed), (3, 3, 3), "{way}");
    }
}

#[test]
fn filtered_is_accepted_and_panicked_is_dropped() {
    for way in WAYS {
        for with_lane in [false, true] {
            let bus = Bus::new();
            let keep = |event: &u64| event.is_multiple_of(3) || (event % 3 == 1 && panic!("as requested"));
            let (channel, _receiver) = Channel::lossy(64).unwrap();
            if with_lane {
                bus.add(channel.filter(keep)).unwrap();
            } else {
                bus.add(sink_fn(|_: &u64| ()).filter(keep)).unwrap();
            }
            assert_eq!(counts(publish(&bus, way, 9)), (6, 3, 0), "{way}, lane: {with_lane}");
            let ledger = ledger(&bus);
            assert_eq!((ledger.filtered, ledger.dropped.panicked), (3, 3), "{way}: {ledger}");
        }
    }
}

#[test]
fn published_counts_dead_letters_as_dropped() {
    for way in WAYS {
        let bus = Bus::new();
        let retry = sink_fn(|event: &u64| if event.is_multiple_of(2) { Ok(()) } else { Err("no route") });
        let retry = retry.retry(Backoff::default().max_attempts(1));
        bus.add(retry.dead_letters(sink_fn(|_: &buslane::retry::DeadLetter<u64>| ()))).unwrap();
        assert_eq!(counts(publish(&bus, way, 10)), (5, 5, 0), "{way}");
        let state = bus.snapshot().sinks.remove(0).state;
        assert_eq!((state.ledger.delivered, state.ledger.dropped.failed), (5, 5), "{way}: {}", state.ledger);
        assert_eq!((state.kind, state.retries[0].letters_sent), (SinkKind::Retry, 5), "{way}");
    }
}

#[test]
fn nested_bus_forwards_its_published_counts() {
    for way in WAYS {
        for (overflow, expected) in [
            (Overflow::DropNewest, (4, 6, 0)),
            (Overflow::DropOldest, (10, 0, 0)),
            (Overflow::Refuse, (4, 0, 6)),
        ] {
            let (bus, middle, inner) = (Bus::new(), Bus::new(), Bus::new());
            let (channel, _receiver) = Channel::builder().capacity(4).overflow(overflow).build().unwrap();
            inner.add(channel).unwrap();
            middle.add(inner.clone()).unwrap();
            bus.add(middle.clone()).unwrap();
            assert_eq!(counts(publish(&bus, way, 10)), expected, "{way}, {overflow:?}");
            let ledger = ledger(&bus);
            let (dropped, refused) = (ledger.dropped.full, ledger.refused.full);
            assert_eq!((dropped, refused), (u64::from(expected.1), u64::from(expected.2)), "{way}: {ledger}");
        }
        // One sink that accepts an event is enough, and no sink at all is no loss.
        let (bus, inner) = (Bus::new(), Bus::new());
        bus.add(inner.clone()).unwrap();
        assert_eq!(counts(publish(&bus, way, 10)), (10, 0, 0), "{way}, no sink");
        let _receiver = inner.subscribe_lossy(4).unwrap();
        inner.add(buslane::noop()).unwrap();
        assert_eq!(counts(publish(&bus, way, 10)), (10, 0, 0), "{way}, one sink that accepts every event");
    }
}

#[test]
fn nested_bus_without_open_sinks_stays_attached() {
    let (bus, inner) = (Bus::new(), Bus::new());
    drop(inner.subscribe_lossy(4).unwrap());
    bus.add(inner.clone()).unwrap();
    let _ = bus.publish(1).unwrap();
    let mut receiver = inner.subscribe_lossy(4).unwrap();
    assert_eq!(counts(bus.publish(2).unwrap()), (1, 0, 0));
    assert_eq!(receiver.recv(), Ok(2));
}

#[test]
fn tee_drops_only_events_that_both_sides_drop() {
    for way in WAYS {
        let bus = Bus::new();
        let (first, _one) = Channel::lossy(2).unwrap();
        let (second, _other) = Channel::lossy(4).unwrap();
        bus.add(first.tee(second)).unwrap();
        assert_eq!(counts(publish(&bus, way, 10)), (4, 6, 0), "{way}");
        assert_eq!(ledger(&bus).dropped.full, 8 + 6, "{way}");
    }
}

#[test]
fn journal_accepts_every_published_event() {
    for way in WAYS {
        let bus = Bus::new();
        bus.add(Journal::new(64).unwrap()).unwrap();
        assert_eq!(counts(publish(&bus, way, 200)), (200, 0, 0), "{way}");
    }
}

#[test]
fn offer_reports_the_drop_that_write_hides() {
    let (channel, _receiver) = Channel::lossy(1).unwrap();
    assert_eq!(channel.offer(1).unwrap(), Disposition::Pending);
    assert!(channel.write(2).is_ok(), "accepted, and dropped");
    for sink in [
        Box::new(channel.clone()) as Box<dyn Sink<u64>>,
        Box::new(channel.clone().map(|event: &u64| *event)),
        Box::new(Arc::new(channel.clone()).inspect(())),
        Box::new(channel.clone().filter(|_| true).timeout(std::time::Duration::from_secs(1))),
        Box::new(channel.clone().catch_panic()),
        Box::new(channel.clone().tee(channel.clone())),
    ] {
        assert_eq!(sink.offer(3).unwrap(), Disposition::Dropped(DropReason::Full));
    }
    assert_eq!(channel.state().ledger.check(), Ok(()));
}

/// A user-defined wrapper around another sink.
struct Wrapper<S>(S);

impl<S: Sink<u64>> Sink<u64> for Wrapper<S> {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: u64) -> Result<Disposition, WriteError<u64>> {
        self.0.offer(event)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.0);
    }
}

#[test]
fn published_counts_drops_downstream_of_user_wrappers() {
    for way in WAYS {
        let (bus, gate) = (Bus::new(), Gate::closed());
        let at = gate.clone();
        let queue = Queue::builder().capacity(4).overflow(Overflow::DropNewest).max_batch(1);
        let queue = queue.spawn(move |_| at.pass()).unwrap();
        // The worker holds one event, and the ring four.
        queue.write(0).unwrap();
        gate.wait_reached(1);
        bus.add(Wrapper(Wrapper(queue))).unwrap();
        assert_eq!(counts(publish(&bus, way, 10)), (4, 6, 0), "{way}");
        assert_eq!(bus.snapshot().sinks[0].state.ledger.dropped.full, 6, "{way}");
        gate.open();
        assert!(bus.close().is_done());
    }
}

#[test]
fn other_writers_do_not_affect_the_queue_ledger() {
    let (channel, mut receiver) = Channel::lossy(64).unwrap();
    let queue = channel.clone().queue(64).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    assert!(queue.flush_timeout(std::time::Duration::ZERO).finish != buslane::stats::Finish::Pending);
    while receiver.try_recv().is_err() {
        std::thread::yield_now();
    }
    (0..5).for_each(|event| channel.write(event).unwrap());
    assert!(queue.close().is_done());
    let ledger = queue.state().ledger;
    assert_eq!(ledger.check(), Ok(()));
    assert_eq!((ledger.offered, ledger.delivered), (10, 10), "{ledger}");
}

#[test]
fn queue_ledger_follows_events_unread_downstream() {
    let (channel, mut receiver) = Channel::lossy(64).unwrap();
    let queue = channel.queue(64).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    assert!(queue.close().is_done());
    assert_eq!((queue.state().ledger.delivered, queue.state().ledger.pending), (0, 10));
    (0..4).for_each(|event| assert_eq!(receiver.recv(), Ok(event)));
    drop(receiver);
    let ledger = queue.state().ledger;
    assert_eq!((ledger.delivered, ledger.dropped.receiver_dropped, ledger.pending), (4, 6, 0), "{ledger}");
    assert_eq!(ledger.check(), Ok(()));
}
