//! The ledger: it balances under every policy and every fault, and the check detects each kind of
//! imbalance.

mod chains;
mod serialized;

use buslane::stats::{
    CloseReport, DropReason, Dropped, Finish, FlushReport, Ledger, Refused, SinkState, SinkStatus,
};
use buslane::testing::Gate;
use buslane::{Overflow, Queue, WaitStrategy, WriteError};
use std::collections::HashMap;
use std::thread;
use std::time::Duration;
use test_support::{Entry, Log, WAYS, Way, assert_balanced, lane, wait_for};

/// Returns every counter of a ledger, by name.
fn counters(ledger: &mut Ledger) -> Vec<(&'static str, &mut u64)> {
    let Ledger { offered, accepted, refused, delivered, filtered, dropped, pending, .. } = ledger;
    let Refused { full, closed, timeout, reentrant, failed, .. } = refused;
    let Dropped {
        full: dropped_full,
        evicted,
        receiver_dropped,
        aborted,
        failed: dropped_failed,
        panicked,
        ..
    } = dropped;
    vec![
        ("offered", offered),
        ("accepted", accepted),
        ("refused(full)", full),
        ("refused(closed)", closed),
        ("refused(timeout)", timeout),
        ("refused(reentrant)", reentrant),
        ("refused(failed)", failed),
        ("delivered", delivered),
        ("filtered", filtered),
        ("dropped(full)", dropped_full),
        ("dropped(evicted)", evicted),
        ("dropped(receiver_dropped)", receiver_dropped),
        ("dropped(aborted)", aborted),
        ("dropped(failed)", dropped_failed),
        ("dropped(panicked)", panicked),
        ("pending", pending),
    ]
}

/// Returns a ledger that balances, with a different number in each counter.
fn balanced() -> Ledger {
    let mut ledger = Ledger::default();
    for (number, (_, counter)) in (1..).zip(counters(&mut ledger)) {
        *counter = number;
    }
    let exit = ledger.delivered + ledger.filtered + ledger.dropped.total() + ledger.pending;
    ledger.accepted = exit;
    ledger.offered = exit + ledger.refused.total();
    ledger
}

#[test]
fn ledger_check_detects_a_change_of_any_counter() {
    assert_eq!(Ledger::default().check(), Ok(()));
    assert_eq!(balanced().check(), Ok(()));
    for place in 0..counters(&mut balanced()).len() {
        for change in [1, -1] {
            let mut ledger = balanced();
            let (name, counter) = counters(&mut ledger).swap_remove(place);
            *counter = counter.checked_add_signed(change).unwrap();
            let imbalance = ledger.check().expect_err(name);
            assert_eq!(*imbalance.0, ledger);
            assert!(imbalance.to_string().contains("does not balance"), "{imbalance}");
        }
    }
}

#[test]
fn ledger_sum_adds_every_counter() {
    let (mut sum, mut single) = (balanced(), balanced());
    sum += single;
    for ((name, twice), (_, once)) in counters(&mut sum).into_iter().zip(counters(&mut single)) {
        assert_eq!(*twice, 2 * *once, "{name}");
    }
    assert_eq!(sum.check(), Ok(()));
}

#[test]
fn ledger_displays_its_equations_without_zeros() {
    let mut ledger = balanced();
    let text = ledger.to_string();
    for (name, counter) in counters(&mut ledger) {
        assert!(text.contains(&format!("{name} {counter}")), "{name} in {text}");
    }
    assert_eq!(Ledger::default().to_string(), "offered 0 = accepted 0; accepted 0 = delivered 0");
}

#[test]
fn event_stays_pending_until_it_is_handled() {
    for way in WAYS {
        let gate = Gate::closed();
        let at = gate.clone();
        let queue = Queue::builder().spawn(move |_: u64| at.pass()).unwrap();
        let mut entry = Entry::into(&queue, way);
        (0..3).for_each(|event| entry.write(event).unwrap());
        for handled in 0..3 {
            gate.wait_reached(handled + 1);
            let ledger = assert_balanced(&queue.state());
            assert_eq!((ledger.accepted, ledger.delivered + ledger.pending), (3, 3), "{way:?}");
            assert!(ledger.pending >= 1, "{way:?}");
            gate.permit(1);
        }
        test_support::flush(&queue);
        assert_eq!(assert_balanced(&queue.state()).delivered, 3);
    }
}

/// What the handler does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Errors,
    Panics,
    ManyPanics,
}

/// How the queue ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// After all writes.
    Quiet,
    /// While all writers write.
    Sudden,
    /// While all writers write, and the rest is aborted.
    Aborted,
}

const EACH: u64 = 300;

/// The outcomes that the writers saw.
#[derive(Debug, Default)]
struct Seen {
    ok: u64,
    full: u64,
    closed: u64,
    timeout: u64,
}

fn write_all(mut entry: Entry<u64>) -> Seen {
    let mut seen = Seen::default();
    for event in 0..EACH {
        match entry.write(event) {
            Ok(()) => seen.ok += 1,
            Err(WriteError::Full(_)) => seen.full += 1,
            Err(WriteError::Closed(_)) => seen.closed += 1,
            Err(WriteError::Timeout(_)) => seen.timeout += 1,
            Err(other) => panic!("{other}"),
        }
        if event % 16 == 0 {
            thread::yield_now();
        }
    }
    seen
}

fn check_run(overflow: Overflow, fault: Fault, ending: Ending, unbounded: bool) {
    let scenario = format!("{overflow:?}, {fault:?}, {ending:?}, unbounded {unbounded}");
    let (dropped, calls) = (Log::new(), Log::new());
    let (hook, called) = (dropped.clone(), calls.clone());
    let builder = Queue::builder()
        .capacity(5)
        .overflow(overflow)
        .wait_strategy(WaitStrategy::SpinPark)
        .close_after_panics(if fault == Fault::ManyPanics { 3 } else { u32::MAX })
        .on_drop(move |_, reason| hook.push(reason));
    let builder = if unbounded { builder.unbounded() } else { builder };
    let queue = builder
        .spawn(move |event: u64| {
            called.push(());
            match fault {
                Fault::Errors if event.is_multiple_of(3) => Err("a third"),
                Fault::Panics if event % 64 == 63 => std::panic::resume_unwind(Box::new("quietly")),
                Fault::ManyPanics if event > 100 => std::panic::resume_unwind(Box::new("quietly")),
                _ => Ok(()),
            }
        })
        .unwrap();
    let writers = [Way::Private, Way::Private, Way::Shared, Way::Shared].map(|way| {
        let entry = Entry::into(&queue, way);
        thread::spawn(move || write_all(entry))
    });
    match ending {
        Ending::Quiet => {}
        Ending::Sudden => {
            wait_for(|| queue.state().ledger.offered > EACH);
            assert_eq!(queue.close().finish, Finish::Done, "{scenario}");
        }
        Ending::Aborted => {
            wait_for(|| queue.state().ledger.offered > EACH);
            let _may_be_done = queue.close_timeout(Duration::ZERO);
        }
    }
    let mut seen = Seen::default();
    for writer in writers {
        let one = writer.join().unwrap();
        seen.ok += one.ok;
        seen.full += one.full;
        seen.closed += one.closed;
        seen.timeout += one.timeout;
    }
    let _first_report_stands = queue.close();
    wait_for(|| queue.state().status == SinkStatus::Drained);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.offered, ledger.accepted), (4 * EACH, seen.ok), "{scenario}");
    let refused = (ledger.refused.full, ledger.refused.closed, ledger.refused.timeout);
    assert_eq!(refused, (seen.full, seen.closed, seen.timeout), "{scenario}");
    assert_eq!(ledger.pending, 0, "{scenario}");
    let handled = ledger.delivered + ledger.dropped.failed + ledger.dropped.panicked;
    assert_eq!(handled, calls.entries().len() as u64, "{scenario}");
    let mut told = HashMap::<DropReason, u64>::new();
    dropped.entries().into_iter().for_each(|reason| *told.entry(reason).or_default() += 1);
    let told = |reason| told.get(&reason).copied().unwrap_or(0);
    assert_eq!(told(DropReason::Full), ledger.dropped.full, "{scenario}");
    assert_eq!(told(DropReason::Evicted), ledger.dropped.evicted, "{scenario}");
    assert_eq!(told(DropReason::Aborted), ledger.dropped.aborted, "{scenario}");
    assert_eq!((told(DropReason::Failed), told(DropReason::ReceiverDropped)), (0, 0), "{scenario}");
    match fault {
        Fault::None => assert_eq!(handled, ledger.delivered),
        Fault::Errors => assert_eq!(ledger.dropped.panicked, 0),
        Fault::Panics | Fault::ManyPanics => assert_eq!(ledger.dropped.failed, 0),
    }
}

#[test]
fn ledger_balances_for_every_policy_fault_and_ending() {
    for overflow in [
        Overflow::DropNewest,
        Overflow::DropOldest,
        Overflow::Refuse,
        Overflow::Block,
        Overflow::BlockFor(Duration::from_micros(50)),
        Overflow::Close,
    ] {
        for fault in [Fault::None, Fault::Errors, Fault::Panics, Fault::ManyPanics] {
            for ending in [Ending::Quiet, Ending::Sudden, Ending::Aborted] {
                check_run(overflow, fault, ending, false);
            }
        }
    }
}

#[test]
fn unbounded_ledger_balances_for_every_fault() {
    for fault in [Fault::None, Fault::Errors, Fault::Panics, Fault::ManyPanics] {
        for ending in [Ending::Quiet, Ending::Sudden, Ending::Aborted] {
            check_run(Overflow::DropNewest, fault, ending, true);
        }
    }
}

#[test]
fn ledger_keeps_counters_of_dropped_lanes() {
    let queue = Queue::builder().capacity(1).spawn(|_: u64| ()).unwrap();
    for _ in 0..20 {
        let seen = write_all(Entry::Private(lane(&queue)));
        assert_eq!(seen.ok, EACH);
    }
    test_support::flush(&queue);
    let state: SinkState = queue.state();
    let ledger = assert_balanced(&state);
    assert_eq!((state.lanes, ledger.offered, ledger.accepted), (0, 20 * EACH, 20 * EACH));
    assert_eq!(ledger.delivered + ledger.dropped.full, 20 * EACH);
}

#[test]
fn report_merges_parts_under_their_names() {
    let mut report = CloseReport::done();
    report.merge("quiet", CloseReport::done());
    assert!(report.is_done());
    report.merge("busy", CloseReport::pending());
    report.merge("stuck", CloseReport::timed_out(3));
    let mut nested = CloseReport::done();
    nested.merge("inner", CloseReport::timed_out(4));
    report.merge("outer", nested);
    report.merge("disk", CloseReport::failed("no room"));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 7));
    assert_eq!(report.unfinished, ["busy", "stuck", "outer/inner"]);
    assert_eq!(report.errors, ["disk: no room"]);
    assert_eq!(
        report.to_string(),
        "timed out; 7 undelivered; unfinished: busy, stuck, outer/inner; errors: disk: no room"
    );
    assert!(!CloseReport::failed("no room").is_done() && !CloseReport::pending().is_done());

    let mut flush = FlushReport::default();
    assert!(flush.is_done());
    let (mut inner, mut stuck) = (FlushReport::default(), FlushReport::default());
    stuck.note(Finish::TimedOut);
    stuck.note(Finish::Pending);
    inner.merge("sink", stuck);
    flush.merge("quiet", FlushReport::default());
    flush.merge("outer", inner);
    assert_eq!(
        (flush.finish, flush.unfinished.clone()),
        (Finish::TimedOut, vec![String::from("outer/sink")])
    );
    assert_eq!(flush.to_string(), "timed out; unfinished: outer/sink");
}
