//! Inspectors: what they see and where, and that they change nothing.

use crate::{channel, describe, entry};
use buslane::sink::Inspector;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink, SinkExt, WriteError, sink_fn};
use std::sync::Arc;
use test_support::bus::{assert_books, took};
use test_support::{Log, Outcome, WAYS, assert_balanced, outcome};

/// An inspector that logs what it sees.
#[derive(Clone)]
struct Witness(Log<String>);

impl Inspector<u64> for Witness {
    fn ingress(&self, event: &u64) {
        self.0.push(format!("in {event}"));
    }

    fn success(&self) {
        self.0.push("success".into());
    }

    fn failure(&self, error: &WriteError<u64>) {
        self.0.push(error.to_string());
    }
}

#[test]
fn inspector_sees_each_event_and_its_outcome() {
    for way in WAYS {
        let log = Log::new();
        let (channel, mut receiver) = channel(1, Overflow::Refuse);
        let sink = Arc::new(channel.inspect(Witness(log.clone())));
        let mut entry = entry(&sink, way);
        assert_eq!(outcome(entry.write(1)), Outcome::Accepted, "{way:?}");
        assert_eq!(outcome(entry.write(2)), Outcome::Full(2));
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.accepted, ledger.refused.full), (2, 1, 1));
        receiver.close();
        assert_eq!(outcome(entry.write(3)), Outcome::Closed(3));
        let seen = log.entries();
        assert_eq!(seen, ["in 1", "success", "in 2", "the sink is full", "in 3", "the sink is closed"]);
    }
}

#[test]
fn inspectors_see_events_enter_and_leave_a_queue() {
    let (front, back) = (Log::new(), Log::new());
    let sink = sink_fn(|event: &u64| if event % 10 == 3 { Err("no") } else { Ok(()) });
    let queue = sink.inspect(Witness(back.clone())).queue(1000).unwrap();
    let bus = Bus::new();
    bus.add(queue.inspect(Arc::new(Witness(front.clone())))).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..100 {
        let publish = if event % 2 == 0 { publisher.publish(event) } else { bus.publish(event) };
        assert_eq!(publish, Ok(took(1, 0)));
    }
    assert!(bus.close().is_done());
    let count = |log: &Log<String>, text: &str| log.entries().iter().filter(|entry| *entry == text).count();
    assert_eq!((count(&front, "success"), count(&back, "success")), (100, 90));
    assert_eq!((count(&front, "the sink failed: no"), count(&back, "the sink failed: no")), (0, 10));
    assert_eq!((front.entries().len(), back.entries().len()), (200, 200));
    assert_books(&bus);
}

#[test]
fn inspector_panics_affect_no_delivery() {
    struct Clumsy;
    impl Inspector<u64> for Clumsy {
        fn ingress(&self, _: &u64) {
            panic!("an ingress");
        }
        fn success(&self) {
            panic!("a success");
        }
        fn failure(&self, _: &WriteError<u64>) {
            panic!("a failure");
        }
    }
    for way in WAYS {
        let (channel, mut receiver) = channel(2, Overflow::Refuse);
        let sink = Arc::new(channel.inspect(Clumsy).inspect_fn(|_| panic!("a closure")));
        let mut entry = entry(&sink, way);
        (0..2).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Accepted));
        assert_eq!(outcome(entry.write(2)), Outcome::Full(2));
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 1]);
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.delivered, ledger.refused.full), (3, 2, 1));
    }
}

#[test]
fn close_inside_an_inspector_does_not_wait() {
    assert!(sink_fn(|_: &u64| ()).inspect(()).write(1).is_ok());
    // A queue whose close has to wait, because its worker is stuck.
    let gate = Gate::closed();
    let at = gate.clone();
    let held = Queue::builder().spawn(move |_: u64| at.pass()).unwrap();
    held.write(0).unwrap();
    gate.wait_reached(1);
    let (log, queue) = (Log::new(), held.clone());
    let reports = log.clone();
    let sink = sink_fn(|_: &u64| ())
        .inspect_fn(move |_| reports.push(queue.close_timeout(std::time::Duration::MAX).finish));
    sink.write(1).unwrap();
    assert_eq!(log.entries(), [buslane::stats::Finish::Pending]);
    gate.open();
    assert!(held.close().is_done());
    assert!(sink.close_by(Deadline::NOW).is_done());
}
