//! The queue: which events it accepts, in which order its worker handles them, and what happens to
//! events without room.

mod activity;
mod close;
mod faults;
mod handler;
mod workers;

use buslane::error::{ConfigErrorKind, OutOfMemory, SpawnError};
use buslane::ring::MAX_CAPACITY;
use buslane::stats::{DropReason, SinkKind, SinkStatus};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Overflow, Queue, Sink, SinkExt, noop};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use test_support::{
    Entry, GUARD, Log, Outcome, WAYS, Way, assert_balanced, flush, invalid, lane, outcome, waits,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a queue of numbers whose worker is blocked at the gate while it handles the number 0,
/// and the log of handled events.
fn held_queue(capacity: usize, overflow: Overflow) -> (Queue<u64>, Gate, Log<u64>) {
    let (gate, log) = (Gate::closed(), Log::new());
    let (at, handled) = (gate.clone(), log.clone());
    let queue = Queue::builder()
        .capacity(capacity)
        .overflow(overflow)
        .spawn(move |event| {
            at.pass();
            handled.push(event);
        })
        .unwrap();
    // The event uses a private lane, so that it takes no room in the others.
    lane(&queue).push(0, Deadline::NOW).unwrap();
    gate.wait_reached(1);
    (queue, gate, log)
}

#[test]
fn both_entry_paths_deliver_in_order() {
    for way in WAYS {
        let log = Log::new();
        let handled = log.clone();
        let queue = Queue::builder().capacity(1000).spawn(move |event| handled.push(event)).unwrap();
        let mut entry = Entry::into(&queue, way);
        for event in 0..1000_u64 {
            assert_eq!(outcome(entry.write(event)), Outcome::Accepted);
        }
        flush(&queue);
        assert_eq!(log.entries(), (0..1000).collect::<Vec<_>>());
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.offered, ledger.accepted, ledger.delivered), (1000, 1000, 1000));
    }
}

#[test]
fn each_lane_holds_exactly_its_capacity() {
    for (capacity, way) in [1, 3, 1000].into_iter().flat_map(|capacity| WAYS.map(|way| (capacity, way))) {
        let (queue, gate, log) = held_queue(capacity, Overflow::Refuse);
        let mut entry = Entry::into(&queue, way);
        for event in 1..=capacity as u64 {
            assert_eq!(outcome(entry.write(event)), Outcome::Accepted, "capacity {capacity}, {way:?}");
        }
        assert_eq!(outcome(entry.write(7777)), Outcome::Full(7777), "capacity {capacity}, {way:?}");
        let state = queue.state();
        assert_eq!((state.depth, state.capacity), (capacity as u64 + 1, capacity as u64));
        assert_balanced(&state);
        gate.open();
        flush(&queue);
        assert_eq!(log.entries(), (0..=capacity as u64).collect::<Vec<_>>());
        assert_eq!(assert_balanced(&queue.state()).refused.full, 1);
    }
}

#[test]
fn invalid_settings_are_typed_errors() {
    type Huge = [u8; 1 << 20];
    let build = Queue::<u8>::builder;
    assert_eq!(invalid(build().capacity(0).spawn(|_| ())), ConfigErrorKind::Capacity);
    assert_eq!(invalid(noop::<u8>().queue(0)), ConfigErrorKind::Capacity);
    for asked in [MAX_CAPACITY + 1, usize::MAX] {
        let error = build().capacity(asked).spawn(|_| ()).unwrap_err();
        let text = format!("capacity {asked} is invalid: it must be at most {MAX_CAPACITY} events");
        assert!(error.to_string().contains(&text), "{error}");
        assert_eq!(invalid(Err::<(), _>(error)), ConfigErrorKind::Capacity);
    }
    let huge = Queue::<Huge>::builder().capacity(MAX_CAPACITY).spawn(drop);
    assert!(matches!(huge, Err(SpawnError::OutOfMemory(error)) if error == OutOfMemory::new(MAX_CAPACITY)));
    assert_eq!(invalid(build().max_batch(0).spawn(|_| ())), ConfigErrorKind::BatchSize);
    assert_eq!(invalid(build().name("nul\0inside").spawn(|_| ())), ConfigErrorKind::Name);
    let error = build().capacity(0).spawn(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the worker cannot be started: capacity 0 is invalid: it must be at least 1 event"
    );
}

#[test]
fn invalid_thread_name_is_in_the_error() {
    let long = format!("{}\0", "é".repeat(20));
    for (name, shown, index) in [
        ("nul\0inside", r#""nul\0inside""#, 3),
        ("\0", r#""\0""#, 0),
        ("exactly22bytes-in-all\0", r#""exactly22bytes-in-all\0""#, 21),
        // The error keeps the first 22 bytes, or one less if a character ends after them.
        (&*long, r#""ééééééééééé"..."#, 40),
        (&*format!("a{long}"), r#""aéééééééééé"..."#, 41),
    ] {
        let error = Queue::<u8>::builder().name(name).spawn(|_| ()).unwrap_err();
        let text = format!("thread name {shown} is invalid: remove the NUL byte at index {index}");
        assert!(error.to_string().ends_with(&text), "{error}");
    }
}

#[test]
fn worker_thread_has_the_name_of_its_queue() {
    let (sender, names) = mpsc::channel();
    let queue = Queue::builder()
        .name("audit")
        .spawn(move |_: ()| sender.send(thread::current().name().map(String::from)))
        .unwrap();
    queue.write(()).unwrap();
    assert_eq!(names.recv_timeout(GUARD).unwrap().as_deref(), Some("audit"));
}

#[test]
fn lanes_alternate_after_a_quarter_of_capacity() {
    let (queue, gate, log) = held_queue(8, Overflow::Refuse);
    let mut entries = [Way::Private, Way::Private, Way::Shared].map(|way| Entry::into(&queue, way));
    for (entry, first) in entries.iter_mut().zip([100, 200, 300]) {
        for event in first..first + 8 {
            entry.write(event).unwrap();
        }
    }
    gate.open();
    flush(&queue);
    let mut counts = [0_i32; 4];
    for event in log.entries() {
        counts[event as usize / 100] += 1;
        let [_, a, b, shared] = counts;
        let ahead = (a - b).abs().max((a - shared).abs()).max((b - shared).abs());
        assert!(ahead <= 2, "{:?}", log.entries());
    }
    assert_eq!(counts, [1, 8, 8, 8]);
}

#[test]
fn unbounded_queue_delivers_every_event_in_order() {
    let (gate, log) = (Gate::closed(), Log::new());
    let (at, handled) = (gate.clone(), log.clone());
    let queue = Queue::builder()
        .capacity(1)
        .unbounded()
        .overflow(Overflow::Refuse)
        .spawn(move |event| {
            at.pass();
            handled.push(event);
        })
        .unwrap();
    let mut entries = WAYS.map(|way| Entry::into(&queue, way));
    for event in 0..10_000_u64 {
        assert_eq!(outcome(entries[event as usize % 2].write(event)), Outcome::Accepted);
    }
    gate.wait_reached(1);
    let state = queue.state();
    assert_eq!((state.depth, state.capacity), (10_000, 0));
    assert_balanced(&state);
    gate.open();
    flush(&queue);
    assert_eq!(log.entries(), (0..10_000).collect::<Vec<_>>());
    assert!(queue.close().is_done());
    for (event, entry) in entries.iter_mut().enumerate() {
        assert_eq!(outcome(entry.write(event as u64)), Outcome::Closed(event as u64));
    }
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.refused.closed), (10_000, 2));
}

#[test]
fn drop_oldest_evicts_for_the_newest_event() {
    for way in WAYS {
        let (gate, log, dropped) = (Gate::closed(), Log::new(), Log::new());
        let (at, handled, hook) = (gate.clone(), log.clone(), dropped.clone());
        let queue = Queue::builder()
            .capacity(3)
            .overflow(Overflow::DropOldest)
            .on_drop(move |event, reason| hook.push((event, reason)))
            .spawn(move |event: u64| {
                at.pass();
                handled.push(event);
            })
            .unwrap();
        let mut entry = Entry::into(&queue, way);
        entry.write(0).unwrap();
        gate.wait_reached(1);
        for event in 1..=8 {
            assert_eq!(outcome(entry.write(event)), Outcome::Accepted, "{way:?}");
        }
        assert_eq!(dropped.entries(), [1, 2, 3, 4, 5].map(|event| (event, DropReason::Evicted)), "{way:?}");
        gate.open();
        flush(&queue);
        assert_eq!(log.entries(), [0, 6, 7, 8], "{way:?}");
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.accepted, ledger.dropped.evicted, ledger.delivered), (9, 5, 4));
    }
}

#[test]
fn blocked_writer_continues_when_room_is_made() {
    for (overflow, way) in [Overflow::Block, Overflow::BlockFor(HOUR)]
        .into_iter()
        .flat_map(|policy| WAYS.map(|way| (policy, way)))
    {
        let (queue, gate, log) = held_queue(1, overflow);
        let mut entry = Entry::into(&queue, way);
        let writer = waits(move || (1..=100).all(|event| entry.write(event).is_ok()));
        gate.open();
        assert!(writer.join().unwrap(), "{overflow:?}, {way:?}");
        flush(&queue);
        assert_eq!(log.entries(), (0..=100).collect::<Vec<_>>(), "{overflow:?}, {way:?}");
        assert_eq!(assert_balanced(&queue.state()).refused.total(), 0);
    }
}

#[test]
fn timed_out_writer_gets_its_event_back() {
    for (limit, way) in [0, 1].into_iter().flat_map(|limit| WAYS.map(|way| (limit, way))) {
        let (queue, gate, _) = held_queue(1, Overflow::BlockFor(Duration::from_millis(limit)));
        let mut entry = Entry::into(&queue, way);
        entry.write(1).unwrap();
        assert_eq!(outcome(entry.write(2)), Outcome::Timeout(2), "{way:?}");
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.offered, ledger.refused.timeout, ledger.pending), (3, 1, 2));
        gate.open();
        assert!(queue.close().is_done());
    }
}

#[test]
fn full_queue_refuses_inside_a_delivery() {
    for overflow in [Overflow::Block, Overflow::BlockFor(HOUR)] {
        let (full, gate, _) = held_queue(1, overflow);
        full.write(1).unwrap();
        let mut into_full = lane(&full);
        assert!(into_full.may_wait());
        into_full.push(2, Deadline::NOW).unwrap();
        assert_eq!(outcome(into_full.push(3, Deadline::NOW)), Outcome::Full(3));
        let (sender, outcomes) = mpsc::channel();
        let target = full.clone();
        let outer = Queue::builder()
            .spawn(move |event: u64| {
                sender.send([outcome(target.write(event)), outcome(into_full.push(event, Deadline::NEVER))])
            })
            .unwrap();
        outer.write(4).unwrap();
        let found = outcomes.recv_timeout(GUARD).unwrap();
        assert_eq!(found, [Outcome::Full(4), Outcome::Full(4)], "{overflow:?}");
        assert_eq!(assert_balanced(&full.state()).refused.full, 3);
        gate.open();
        assert!(outer.close().is_done() && full.close().is_done());
    }
}

#[test]
fn zero_sized_and_large_events_arrive_whole() {
    #[repr(align(128))]
    struct Wide([u64; 32]);
    for way in WAYS {
        let (sender, sums) = mpsc::channel();
        let queue = Queue::builder()
            .capacity(3)
            .overflow(Overflow::Block)
            .spawn(move |wide: Wide| {
                assert_eq!(std::ptr::from_ref(&wide).addr() % 128, 0);
                sender.send(wide.0.iter().sum::<u64>())
            })
            .unwrap();
        let mut entry = Entry::into(&queue, way);
        for n in 0..100 {
            assert!(entry.write(Wide([n; 32])).is_ok());
        }
        assert!(queue.close().is_done());
        assert_eq!(sums.iter().collect::<Vec<_>>(), (0..100).map(|n| 32 * n).collect::<Vec<_>>());

        let queue = Queue::builder().capacity(3).overflow(Overflow::Block).spawn(|()| ()).unwrap();
        let mut entry = Entry::into(&queue, way);
        (0..100).for_each(|_| entry.write(()).unwrap());
        assert!(queue.close().is_done());
        assert_eq!(assert_balanced(&queue.state()).delivered, 100);
    }
}

#[test]
fn queue_state_reports_kind_status_and_backlog() {
    let (queue, gate, _) = held_queue(4, Overflow::Refuse);
    assert_eq!((queue.state().kind, queue.state().status), (SinkKind::Queue, SinkStatus::Open));
    assert_eq!((queue.key(), lane(&queue).sealer().is_some()), (queue.clone().key(), true));
    let mut entry = lane(&queue);
    (1..=3).for_each(|event| entry.push(event, Deadline::NEVER).unwrap());
    let first = queue.state().backlog_for.expect("a backlog");
    assert!(queue.state().backlog_for.is_some_and(|later| later >= first));
    drop(entry);
    gate.open();
    flush(&queue);
    let state = queue.state();
    assert_eq!((state.depth, state.high_water, state.backlog_for), (0, 3, None));
    // The lanes of dropped publishers are removed, but their counters stay.
    assert_eq!((state.lanes, assert_balanced(&state).delivered), (0, 4));
    assert!(queue.close().is_done());
    assert_eq!(queue.state().status, SinkStatus::Drained);
    assert!(format!("{queue:?}").starts_with("Queue"));
}
