//! The tests of projects that build on go-events, where they concern the same parts.

use crate::{assert_all, at_once, check_close};
use buslane::error::RecvError;
use buslane::stats::{DropReason, Ledger, SinkState};
use buslane::testing::{Collect, Gate};
use buslane::{Bus, Channel, Overflow, Queue, Receiver, Sink, SinkExt, sink_fn};
use std::sync::Arc;
use std::thread;
use test_support::{Entry, GUARD, Log, WAYS, assert_balanced, ends, wait_for};

/// distribution's TestEventQueue: its listeners count incoming and outgoing events. Here the ledger
/// does.
#[test]
fn queue_has_no_pending_events_after_close() {
    let (gate, seen) = (Gate::closed(), Collect::new());
    let queue = Queue::builder().capacity(1024).spawn_sink(gate.before(seen.clone())).unwrap();
    at_once(1000, |n| queue.write(n).unwrap());
    gate.wait_reached(1);
    let ledger = queue.state().ledger;
    assert_eq!((ledger.offered, ledger.accepted, ledger.pending, ledger.delivered), (1000, 1000, 1000, 0));
    gate.open();
    // In distribution, a second close is an error.
    check_close(&queue, 1000);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.accepted, ledger.pending, ledger.delivered), (1000, 0, 1000));
    assert_eq!((ledger.refused.closed, seen.len()), (1, 1000));
}

/// The content of a notification that distribution sends to its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    action: &'static str,
    target: &'static str,
}

/// distribution's TestIgnoredSink with all of its 17 cases: an endpoint gets no event that is in
/// one of its two lists.
#[test]
fn endpoint_receives_no_ignored_targets_or_actions() {
    const BLOB: Note = Note { action: "push", target: "blob" };
    const MANIFEST: Note = Note { action: "pull", target: "manifest" };
    /// The event, the ignored targets and actions, and whether the endpoint gets the event.
    type Case = (Note, &'static [&'static str], &'static [&'static str], bool);
    let cases: [Case; 17] = [
        (BLOB, &[], &[], true),
        (BLOB, &["other"], &["other"], true),
        (BLOB, &["blob", "manifest"], &["other"], false),
        (BLOB, &["other"], &["pull"], true),
        (BLOB, &["other"], &["pull", "push"], false),
        (BLOB, &[], &["pull"], true),
        (BLOB, &[], &["push"], false),
        (BLOB, &[], &["mount", "delete"], true),
        (MANIFEST, &[], &[], true),
        (MANIFEST, &["other"], &["other"], true),
        (MANIFEST, &["blob"], &["other"], true),
        (MANIFEST, &["blob", "manifest"], &["other"], false),
        (MANIFEST, &["other"], &["push"], true),
        (MANIFEST, &["other"], &["pull", "push"], false),
        (MANIFEST, &[], &["push"], true),
        (MANIFEST, &[], &["pull"], false),
        (MANIFEST, &[], &["mount", "delete"], true),
    ];
    for (note, targets, actions, told) in cases {
        for way in WAYS {
            let (channel, mut endpoint) = Channel::lossy(1).unwrap();
            let ignoring = Arc::new(channel.filter(move |note: &Note| {
                !targets.contains(&note.target) && !actions.contains(&note.action)
            }));
            Entry::into(&ignoring, way).write(note).unwrap();
            let what = format!("{note:?} where {targets:?} and {actions:?} are ignored, {way:?}");
            assert_eq!(endpoint.try_recv().ok(), told.then_some(note), "{what}");
            let mut state = SinkState::default();
            ignoring.describe(&mut state);
            let ledger = assert_balanced(&state);
            assert_eq!((ledger.offered, ledger.filtered), (1, u64::from(!told)), "{what}");
        }
    }
}

/// An event as containerd publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Envelope {
    namespace: &'static str,
    topic: &'static str,
    id: Option<&'static str>,
}

fn envelope(topic: &'static str, id: Option<&'static str>) -> Envelope {
    Envelope { namespace: "default", topic, id }
}

fn published() -> Vec<Envelope> {
    vec![
        envelope("/containers/create", Some("one")),
        envelope("/tasks/start", Some("one")),
        envelope("/tasks/exit", Some("two")),
        envelope("/images/delete", None),
    ]
}

/// containerd's TestExchangeBasic: two subscribers, three events, and an end that both see.
#[test]
fn subscribers_receive_every_event_and_the_end() {
    let bus = Bus::new();
    let mut first = bus.subscribe_lossy(8).unwrap();
    let mut second = bus.subscribe_lossy(8).unwrap();
    let events = &published()[..3];
    for event in events {
        assert_eq!(bus.publish(event.clone()).unwrap().accepted, 2);
    }
    // One subscriber leaves, and the bus removes it.
    assert_eq!(second.drain().collect::<Vec<_>>(), events);
    drop(second);
    assert_eq!(bus.publish(published().remove(3)).unwrap().accepted, 1);
    assert!(bus.close().is_done());
    let (read, end) = ends(move || (first.iter().collect::<Vec<_>>(), first.recv()));
    assert_eq!((read, end), (published(), Err(RecvError::Closed)));
}

/// containerd's TestExchangeFilters. Filters are functions here, so a filter language is up to the
/// user.
#[test]
fn subscribers_see_what_their_filters_keep() {
    type Keep = fn(&Envelope) -> bool;
    let cases: [(&str, Keep, &[usize]); 7] = [
        ("none", |_| true, &[0, 1, 2, 3]),
        ("topic==/tasks/start", |event| event.topic == "/tasks/start", &[1]),
        ("event.id", |event| event.id.is_some(), &[0, 1, 2]),
        (
            "id==one or topic==/images/delete",
            |event| event.id == Some("one") || event.topic == "/images/delete",
            &[0, 1, 3],
        ),
        ("topic~=^/tasks/", |event| event.topic.starts_with("/tasks/"), &[1, 2]),
        ("two topics", |event| matches!(event.topic, "/tasks/exit" | "/containers/create"), &[0, 2]),
        (
            "namespace==default,topic~=^/tasks/,id==two",
            |event| {
                event.namespace == "default" && event.topic.starts_with("/tasks/") && event.id == Some("two")
            },
            &[2],
        ),
    ];
    let bus = Bus::new();
    let mut receivers: Vec<Receiver<Envelope>> = Vec::new();
    for (_, keep, _) in cases {
        let (channel, receiver) = Channel::lossy(8).unwrap();
        bus.add(channel.filter(keep)).unwrap();
        receivers.push(receiver);
    }
    let mut publisher = bus.publisher();
    for event in published() {
        assert_eq!(publisher.publish(event).unwrap().refused, 0);
    }
    for ((name, _, expected), receiver) in cases.iter().zip(&mut receivers) {
        let expected: Vec<_> = expected.iter().map(|n| published()[*n].clone()).collect();
        assert_eq!(receiver.drain().collect::<Vec<_>>(), expected, "{name}");
    }
    for sink in bus.snapshot().sinks {
        let ledger = assert_balanced(&sink.state);
        assert_eq!((ledger.offered, ledger.filtered + ledger.delivered), (4, 4));
    }
}

/// The behavior that the tests of containerd's `eventq` check, without its time limit. Events
/// without a reader are kept for the first reader, up to a bound. A later reader gets later events
/// only. Events that are never read are reported.
#[test]
fn the_first_reader_has_what_came_before_it() {
    let (bus, discarded) = (Bus::new(), Log::new());
    let hook = discarded.clone();
    let backlog = Channel::builder().capacity(4).overflow(Overflow::DropOldest);
    let backlog = backlog.on_drop(move |n, reason| hook.push((n, reason)));
    let (channel, mut first) = backlog.build().unwrap();
    bus.add(channel).unwrap();
    (0..6).for_each(|n| assert_eq!(bus.publish(n).unwrap().accepted, 1));
    assert_eq!(first.drain().collect::<Vec<_>>(), [2, 3, 4, 5]);
    let mut second = bus.subscribe_lossy(8).unwrap();
    (6..9).for_each(|n| assert_eq!(bus.publish(n).unwrap().accepted, 2));
    assert_eq!(first.recv(), Ok(6));
    drop(first);
    assert!(bus.close().is_done());
    assert_eq!(second.iter().collect::<Vec<_>>(), [6, 7, 8]);
    let told: Vec<_> = discarded.entries();
    assert_eq!(told[..2], [(0, DropReason::Evicted), (1, DropReason::Evicted)]);
    assert_eq!(told[2..].iter().map(|(n, _)| *n).collect::<Vec<_>>(), [7, 8]);
}

/// An event of swarmkit's watch tests: its tags, and a number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tagged(&'static [&'static str], u64);

/// swarmkit's TestWatch: watchers get events with their tags in order, and none after they cancel.
#[test]
fn watchers_receive_tagged_events_until_they_cancel() {
    let bus = Bus::new();
    let watch = |tag: &'static str| {
        let (channel, receiver) = Channel::lossy(64).unwrap();
        let id = bus.add(channel.filter(move |event: &Tagged| event.0.contains(&tag))).unwrap();
        (id, receiver)
    };
    let ((one, mut first), (_, mut second)) = (watch("t1"), watch("t2"));
    let mut publisher = bus.publisher();
    let tags: [&'static [&'static str]; 4] = [&["t1"], &["t2"], &["t1", "t2"], &[]];
    let mut publish = |from: u64| {
        for (n, tags) in (from..).zip(tags) {
            let _ = publisher.publish(Tagged(tags, n)).unwrap();
        }
    };
    let numbers = |receiver: &mut Receiver<Tagged>| receiver.drain().map(|event| event.1).collect::<Vec<_>>();
    publish(0);
    assert_eq!((numbers(&mut first), numbers(&mut second)), (vec![0, 2], vec![1, 2]));
    bus.remove(one).unwrap();
    publish(4);
    assert_eq!((numbers(&mut first), numbers(&mut second)), (vec![], vec![5, 6]));
}

/// swarmkit's TestTimeoutLimitWatch. A watcher that exceeds its limit is disconnected and removed.
/// It learns that after it has read all accepted events. The stream of a watcher that cancels ends.
#[test]
fn slow_watcher_is_disconnected() {
    const LIMIT: u64 = 5;
    let bus = Bus::new();
    let builder = Channel::builder().capacity(LIMIT as usize).overflow(Overflow::Close);
    let (channel, mut slow) = builder.build().unwrap();
    bus.add(channel).unwrap();
    let (quick, mut cancelled) = Channel::lossy(64).unwrap();
    bus.add(quick).unwrap();
    let mut publisher = bus.publisher();
    let taken: Vec<usize> = (0..2 * LIMIT).map(|n| publisher.publish(n).unwrap().accepted).collect();
    assert_eq!(taken, [2, 2, 2, 2, 2, 1, 1, 1, 1, 1]);
    assert!((0..LIMIT).all(|n| slow.recv() == Ok(n)));
    assert_eq!(slow.recv(), Err(RecvError::Overflowed));
    assert_eq!(bus.sink_count(), 1, "the slow watcher is removed");
    cancelled.close();
    assert_eq!(cancelled.iter().count() as u64, 2 * LIMIT, "all accepted events, and then the end");
    assert_eq!(publisher.publish(0).unwrap().accepted, 0);
}

/// The sizes of swarmkit's benchmarks: up to 10 000 listeners and 64 publishers. Each addition
/// copies the list of a bus, so large numbers are spread over nested buses.
#[test]
fn many_publishers_reach_many_listeners_once_each() {
    const EACH: u64 = 2;
    for (groups, listeners, publishers) in [(1, 10, 64), (1, 100, 8), (1, 1_000, 4), (50, 200, 1)] {
        let bus = Bus::new();
        let subscribe_all = |_| {
            let group = Bus::new();
            bus.add(group.clone()).unwrap();
            let capacity = (publishers * EACH) as usize;
            (0..listeners).map(move |_| group.subscribe_lossy(capacity).unwrap())
        };
        let mut receivers: Vec<Receiver<u64>> = (0..groups).flat_map(subscribe_all).collect();
        thread::scope(|scope| {
            for first in 0..publishers {
                let bus = &bus;
                scope.spawn(move || {
                    for n in 0..EACH {
                        assert_eq!(bus.publish(first * EACH + n).unwrap().accepted, groups);
                    }
                });
            }
        });
        assert!(bus.close().is_done());
        assert_eq!(receivers.len(), groups * listeners);
        receivers.iter_mut().for_each(|receiver| assert_all(receiver.iter().collect(), publishers * EACH));
    }
}

/// distribution's TestMetricsExpvar: every endpoint is listed with its counts. In distribution, a
/// removed endpoint stays listed.
#[test]
fn snapshot_lists_endpoints_with_their_counts() {
    let (bus, gate) = (Bus::new(), Gate::closed());
    assert!(bus.snapshot().sinks.is_empty());
    let failing = sink_fn(|_: &u64| Err::<(), _>("503 Service Unavailable"));
    let ids = [
        bus.add_named("slow", gate.before(Collect::new()).queue(8).unwrap()).unwrap(),
        bus.add_named("failing", failing.queue(8).unwrap()).unwrap(),
    ];
    (0..3).for_each(|n| assert_eq!(bus.publish(n).unwrap().accepted, 2));
    // The (events, pending, successes, failures) of each endpoint, in distribution's terms.
    let counts = || -> Vec<_> {
        let counts =
            |ledger: Ledger| (ledger.accepted, ledger.pending, ledger.delivered, ledger.dropped.failed);
        let sinks = bus.snapshot().sinks.into_iter();
        sinks.map(|sink| (sink.name, counts(sink.state.ledger))).collect()
    };
    wait_for(|| counts() == [("slow".into(), (3, 3, 0, 0)), ("failing".into(), (3, 0, 0, 3))]);
    // Checked only now, because a ledger balances at rest.
    for sink in bus.snapshot().sinks {
        let _ = assert_balanced(&sink.state);
    }
    let text = bus.snapshot().to_string();
    assert!(text.contains("slow") && text.contains("503 Service Unavailable"), "{text}");
    gate.open();
    assert!(bus.flush_timeout(GUARD).is_done());
    assert_eq!(counts()[0].1, (3, 0, 3, 0));
    bus.remove(ids[1]).unwrap();
    assert_eq!(counts().len(), 1, "a removed endpoint is still listed");
    assert!(bus.close().is_done());
}
