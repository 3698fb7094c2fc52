//! Nested buses: events sent through all levels, closing as seen from inner and outer bus, and
//! cycles in which every call returns.

use buslane::bus::Removed;
use buslane::error::{AddError, Closed};
use buslane::stats::SinkStatus;
use buslane::{Bus, Sink, SinkExt, WriteError};
use std::sync::Arc;
use test_support::bus::{Route, assert_books, flush_bus, ledger, recorder, sink, took};
use test_support::{GUARD, ends};

/// Returns two buses that are each a sink of the other, each with a direct sink.
fn cycle() -> (Bus<u64>, Bus<u64>) {
    let (left, right) = (Bus::new(), Bus::new());
    left.add_named("right", right.clone()).unwrap();
    right.add_named("left", left.clone()).unwrap();
    (left, right)
}

#[test]
fn nested_buses_forward_to_sinks_added_later() {
    let (outer, middle, inner) = (Bus::new(), Bus::new(), Bus::new());
    outer.add_named("middle", middle.clone()).unwrap();
    middle.add_named("inner", inner.clone()).unwrap();
    let mut routes = Route::all(&outer);
    for (event, route) in (0..).zip(&mut routes) {
        assert_eq!(route.publish(event), Ok(took(1, 0)), "a bus without sinks accepts the event");
    }
    let mut receiver = inner.subscribe_lossy(64).unwrap();
    let (called, direct) = recorder();
    middle.add(direct).unwrap();
    for (event, route) in (10..).zip(&mut routes) {
        assert_eq!(route.publish(event), Ok(took(1, 0)));
    }
    assert_eq!(called.entries(), [10, 11, 12]);
    assert_eq!(receiver.drain().collect::<std::collections::HashSet<_>>(), (10..13).collect());
    flush_bus(&outer);
    for bus in [&outer, &middle] {
        assert_books(bus);
    }
    let middle = ledger(&outer, "middle");
    assert_eq!((middle.offered, middle.delivered), (6, 6));
    assert_eq!(sink(&outer, "middle").state.kind, buslane::stats::SinkKind::Bus);
}

#[test]
fn a_closed_inner_bus_is_a_closed_sink() {
    for which in 0..3 {
        let (outer, inner) = (Bus::new(), Bus::new());
        let mut receiver = outer.subscribe_lossy(8).unwrap();
        outer.add_named("inner", inner.clone()).unwrap();
        let mut route = Route::all(&outer).into_iter().nth(which).unwrap();
        assert!(inner.close().is_done());
        assert_eq!(route.publish(1), Ok(took(1, 1)), "{}", route.name());
        assert_eq!(route.publish(2), Ok(took(1, 0)), "{}", route.name());
        assert_eq!(outer.sink_count(), 1);
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn outer_close_closes_the_inner_bus_after_its_events() {
    let (outer, inner) = (Bus::new(), Bus::new());
    let mut receiver = inner.subscribe_lossy(8).unwrap();
    outer.add_named("inner", inner.clone()).unwrap();
    let mut publisher = outer.publisher();
    let _ = publisher.publish(1).unwrap();
    assert!(outer.close().is_done());
    assert!(inner.is_closed());
    assert_eq!(publisher.publish(2), Err(Closed(2)));
    assert_eq!(inner.publish(3), Err(Closed(3)));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [1]);
    assert_eq!(sink(&outer, "inner").state.status, SinkStatus::Drained);
}

#[test]
fn a_removed_inner_bus_stays_open_for_others() {
    let (one, other, inner) = (Bus::new(), Bus::new(), Bus::new());
    let mut receiver = inner.subscribe_lossy(8).unwrap();
    let id = one.add(inner.clone()).unwrap();
    other.add(inner.clone()).unwrap();
    let mut routes = Route::all(&one);
    routes.iter_mut().for_each(|route| assert_eq!(route.publish(1), Ok(took(1, 0))));
    assert_eq!(one.remove(id), Ok(Removed::Quiet));
    for route in &mut routes {
        assert_eq!(route.publish(2), Ok(took(0, 0)));
    }
    let _ = other.publish(3).unwrap();
    let _ = inner.publish(4).unwrap();
    assert_eq!(receiver.drain().count(), 5);
    assert!(!inner.is_closed());
}

#[test]
fn add_refuses_the_bus_itself_in_any_wrapper() {
    let bus: Bus<u32> = Bus::new();
    assert_eq!(bus.add(bus.clone()), Err(AddError::Itself));
    assert_eq!(bus.add(Arc::new(bus.clone())), Err(AddError::Itself));
    assert_eq!(bus.add(Box::new(bus.clone()) as Box<dyn Sink<u32>>), Err(AddError::Itself));
    assert_eq!(bus.sink_count(), 0);
}

#[test]
fn filtered_bus_on_itself_refuses_looping_events() {
    ends(|| {
        let bus: Bus<u32> = Bus::new();
        let (called, direct) = recorder();
        bus.add_named("direct", direct).unwrap();
        bus.add_named("loop", bus.clone().filter(|_: &u32| true)).unwrap();
        let mut routes = Route::all(&bus);
        for route in &mut routes {
            let before = called.entries().len();
            let _ = route.publish(1).unwrap();
            let rounds = called.entries().len() - before;
            assert!((2..=17).contains(&rounds), "{}: {rounds} rounds", route.name());
        }
        assert!(ledger(&bus, "direct").check().is_ok());
    });
}

#[test]
fn cycle_of_two_buses_refuses_a_looping_event() {
    ends(|| {
        let (left, right) = cycle();
        let (called, direct) = recorder();
        right.add_named("direct", direct).unwrap();
        let mut routes: Vec<_> = Route::all(&left).into_iter().chain(Route::all(&right)).collect();
        for route in &mut routes {
            let before = called.entries().len();
            assert!(route.publish(1).is_ok(), "{}", route.name());
            let rounds = called.entries().len() - before;
            assert!((1..=17).contains(&rounds), "{}: {rounds} rounds", route.name());
        }
        // The bus that refuses the event at the end of the round counts it in its ledger.
        assert!(matches!(left.write(1), Ok(()) | Err(WriteError::Reentrant(1))));
    });
}

#[test]
fn a_snapshot_of_a_cycle_of_buses_ends() {
    ends(|| {
        let (left, right) = cycle();
        let _ = left.publish(1).unwrap();
        assert_eq!((left.snapshot().sinks.len(), right.snapshot().sinks.len()), (1, 1));
        let books = ledger(&left, "right");
        assert!(books.refused.reentrant + ledger(&right, "left").refused.reentrant > 0, "{books}");
    });
}

#[test]
fn a_flush_of_a_cycle_of_buses_ends() {
    ends(|| {
        let (left, right) = cycle();
        let _ = left.publish(1).unwrap();
        assert!(left.flush_timeout(GUARD).is_done());
        assert!(right.flush_timeout(GUARD).is_done());
    });
}

#[test]
fn close_of_a_cycle_of_buses_does_not_wait_for_itself() {
    ends(|| {
        let (left, right) = cycle();
        let _ = left.publish(1).unwrap();
        let report = left.close_timeout(2 * GUARD);
        assert!(report.is_done(), "{report}");
        assert!(right.is_closed());
        assert!(right.close().is_done());
    });
}
