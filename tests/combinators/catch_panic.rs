//! Panics of the inner sink, with and without a bus upstream.

use crate::{channel, describe, entry};
use buslane::error::OutOfMemory;
use buslane::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use buslane::stats::{CloseReport, Disposition, FlushReport, SinkState, SinkStatus};
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Sink, SinkExt, WriteError, sink_fn};
use std::sync::Arc;
use test_support::bus::{lost, sink, took};
use test_support::{Entry, Outcome, WAYS, assert_balanced, outcome};

/// Returns a sink that panics on odd numbers.
fn odd_panics() -> impl Sink<u64> {
    sink_fn(|event: &u64| assert!(event.is_multiple_of(2), "odd"))
}

#[test]
fn panic_costs_only_its_event() {
    let sink = odd_panics().catch_panic();
    (0..100).for_each(|event| assert_eq!(outcome(sink.write(event)), Outcome::Accepted));
    let state = describe(&sink);
    assert_eq!(assert_balanced(&state).dropped.panicked, 50);
    assert!(state.last_error.is_some_and(|text| text.contains("odd")));
    assert_eq!(state.status, SinkStatus::Open);
}

#[test]
fn n_consecutive_panics_close_the_sink() {
    let sink = odd_panics().catch_panic().close_after(3);
    for event in [1, 1, 2, 1, 1, 2, 1, 1, 1] {
        assert_eq!(outcome(sink.write(event)), Outcome::Accepted);
    }
    assert_eq!(outcome(sink.write(2)), Outcome::Closed(2));
    let (mut closed, state) = (false, describe(&sink));
    closed |= sink.reports_closed();
    assert!(closed && state.status == SinkStatus::Drained);
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.dropped.panicked, ledger.refused.closed), (7, 1));
    assert!(sink.close_by(Deadline::NOW).is_done());
    let once = odd_panics().catch_panic().close_after(0);
    assert!(once.write(1).is_ok() && once.write(2).is_err());
}

#[test]
fn bus_removes_a_sink_that_only_panics() {
    let bus = Bus::new();
    bus.add_named("panicking", odd_panics().catch_panic().close_after(3)).unwrap();
    let mut publisher = bus.publisher();
    for (event, expected) in [(0, took(1, 0)), (1, lost(0, 1, 0)), (1, lost(0, 1, 0)), (1, lost(0, 1, 0))] {
        assert_eq!(publisher.publish(event), Ok(expected));
    }
    let state = sink(&bus, "panicking").state;
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.panicked), (4, 1, 3));
    assert_eq!(publisher.publish(2), Ok(took(0, 1)));
    assert_eq!(bus.sink_count(), 0);
    assert!(bus.close().is_done());
}

/// A sink with lanes whose methods panic.
struct Clumsy<S>(S);

struct ClumsyLane(Lane<u64>);

impl LaneWrite<u64> for ClumsyLane {
    fn offer(&mut self, event: u64, deadline: Deadline) -> Result<Disposition, WriteError<u64>> {
        assert!(event.is_multiple_of(2), "odd");
        self.0.offer(event, deadline)
    }
    fn inner(&self) -> Option<&dyn InnerLane> {
        Some(&self.0)
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        Some(&mut self.0)
    }
}

impl<S: Sink<u64>> Sink<u64> for Clumsy<S> {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        assert!(event.is_multiple_of(2), "odd");
        self.0.write(event)
    }
    fn close_by(&self, _: Deadline) -> CloseReport {
        panic!("a close")
    }
    fn make_lane(&self, _: Internal) -> Result<Option<Lane<u64>>, OutOfMemory> {
        Ok(self.0.lane()?.map(|lane| Lane::staged(ClumsyLane(lane))))
    }
    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }
    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        panic!("a control")
    }
    fn end_of_batch(&self) {
        panic!("a control")
    }
    fn describe(&self, state: &mut SinkState) {
        self.0.describe(state);
    }
}

#[test]
fn panics_in_lane_close_and_flush_are_caught() {
    for way in WAYS {
        let (channel, mut receiver) = channel(64, Overflow::Refuse);
        let sink = Arc::new(Clumsy(channel).catch_panic().close_after(2));
        let mut entry: Entry<u64> = entry(&sink, way);
        for event in [0, 1, 2, 3, 5] {
            assert_eq!(outcome(entry.write(event)), Outcome::Accepted, "{way:?}");
        }
        assert_eq!(outcome(entry.write(6)), Outcome::Closed(6), "{way:?}");
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 2]);
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.panicked), (6, 2, 3));
        assert_eq!(ledger.refused.closed, 1);
        let report = sink.close_by(Deadline::NOW);
        assert!(!report.is_done() && report.to_string().contains("a close"), "{report}");
        let mut report = FlushReport::default();
        sink.flush_by(Deadline::NOW, &mut report);
        assert!(!report.is_done() && report.to_string().contains("a control"), "{report}");
        sink.end_of_batch();
    }
}
