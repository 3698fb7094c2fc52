//! Sinks of every kind and policy, with less room than events, while a thread takes snapshots of
//! their ledgers.

use crate::support::{Event, LIMIT, Log, Progress, Source, Told};
use buslane::stats::Ledger;
use buslane::{Bus, Channel, Overflow, Queue, Receiver, SinkExt, WaitStrategy};
use loom_tests::schedules::explore;
use loom_tests::thread;

const PUBLISHERS: usize = 3;
const EVENTS: usize = 4;

const POLICIES: [Overflow; 4] =
    [Overflow::DropNewest, Overflow::DropOldest, Overflow::Refuse, Overflow::Close];

fn read(mut receiver: Receiver<Event>) -> thread::JoinHandle<(Receiver<Event>, Log)> {
    thread::spawn(move || {
        let log = Log::default();
        while let Ok(event) = receiver.recv() {
            log.note(&event);
        }
        (receiver, log)
    })
}

/// Asserts that a sink saw some events of each publisher, in order, once.
fn assert_ascending(log: &Log) {
    for publisher in 0..=PUBLISHERS {
        assert!(log.of(publisher).is_sorted_by(|one, other| one < other), "in order, once");
    }
}

/// Checks the ledger of a sink that has seen these events, and returns how many it accepted.
fn accepted(ledger: &Ledger, log: &Log) -> usize {
    assert_ascending(log);
    ledger.check().unwrap();
    assert_eq!((ledger.delivered as usize, ledger.pending), (log.len(), 0));
    ledger.accepted as usize
}

#[test]
fn every_policy_keeps_an_exact_ledger() {
    // Channels with room for one event per lane under each policy, an unbounded queue, a filtered
    // queue, and a nested bus with a channel; publishers that come and go, one that is shared,
    // snapshots and a close in between. Each accepted event was handled or dropped with a reason,
    // and the ledgers are exact.
    explore(|| {
        let (bus, source, told, progress) = (Bus::new(), Source::new(), Told::default(), Progress::default());
        let channel = |overflow| {
            let builder = Channel::builder().capacity(1).overflow(overflow).wait_strategy(WaitStrategy::Park);
            let (channel, receiver) = builder.build().expect("a small channel");
            (channel, read(receiver))
        };
        let queue = |builder: buslane::queue::QueueBuilder<Event>| {
            let log = Log::default();
            let handled = log.clone();
            let queue =
                builder.wait_strategy(WaitStrategy::Park).spawn(move |event: Event| handled.note(&event));
            (queue.expect("a small queue"), log)
        };
        let channels = POLICIES.map(channel);
        for (channel, _) in &channels {
            bus.add(channel.clone()).expect("open");
        }
        let (unbounded, unbounded_log) = queue(Queue::builder().unbounded());
        bus.add(unbounded.clone()).expect("open");
        let (wanted, wanted_log) = queue(Queue::builder().capacity(PUBLISHERS * EVENTS));
        bus.add(wanted.clone().filter(|event: &Event| event.number.is_multiple_of(2))).expect("open");
        // Its publishers, those of the lanes into it, take over the lanes of dropped ones.
        let inner = Bus::builder().kept_publishers(2).build();
        let (nested, nested_reader) = channel(Overflow::DropNewest);
        inner.add(nested.clone()).expect("open");
        bus.add(inner.clone()).expect("open");

        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|me| {
                let (bus, source, told) = (bus.clone(), source.clone(), told.clone());
                let progress = progress.clone();
                thread::spawn(move || {
                    // The first publisher is dropped in the middle, and its thread continues with
                    // its cached publisher, which has private lanes; the last publisher has none.
                    let mut own = (me == 0).then(|| bus.publisher());
                    for number in 0..EVENTS {
                        if number == EVENTS / 2 {
                            own = None;
                        }
                        let event = source.event(if own.is_some() { PUBLISHERS } else { me }, number);
                        let outcome = match &mut own {
                            Some(publisher) => publisher.publish(event.clone()),
                            None if me < 2 => bus.with_local(|publisher| publisher.publish(event.clone())),
                            None => bus.publish(event.clone()),
                        };
                        told.note(&event, outcome);
                        progress.step();
                    }
                })
            })
            .collect();
        let (watched, time) = (bus.clone(), progress.clone());
        let onlooker = thread::spawn(move || {
            time.wait(PUBLISHERS * EVENTS);
            for _ in 0..3 {
                let snapshot = watched.snapshot();
                assert!(snapshot.sinks.len() <= POLICIES.len() + 3);
            }
        });
        let closing = bus.clone();
        let closer = thread::spawn(move || {
            progress.wait(PUBLISHERS * EVENTS);
            closing.close_timeout(LIMIT)
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        onlooker.join().unwrap();
        let report = closer.join().unwrap();
        assert!(report.is_done(), "{report}");

        let mut taken = 0;
        for (channel, reader) in channels {
            let (_receiver, log) = reader.join().unwrap();
            taken += accepted(&channel.state().ledger, &log);
        }
        for (queue, log) in [(unbounded, unbounded_log), (wanted, wanted_log)] {
            taken += accepted(&queue.state().ledger, &log);
        }
        let (receiver, log) = nested_reader.join().unwrap();
        accepted(&nested.state().ledger, &log);
        let sinks = bus.snapshot().sinks;
        for sink in sinks.iter().chain(&inner.snapshot().sinks) {
            sink.state.ledger.check().unwrap();
        }
        let [.., filter, bus_behind] = &sinks[..] else { panic!("all of them") };
        let passed_on = filter.state.ledger.filtered + bus_behind.state.ledger.accepted;
        assert_eq!(told.accepted(), taken + passed_on as usize, "the ledgers count the accepted events");
        drop((bus, inner, nested, receiver));
        source.assert_all_dropped();
    });
}
